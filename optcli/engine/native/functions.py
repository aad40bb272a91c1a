"""Functions of our own in LLVM's language, which a module has where it calls them."""

from __future__ import annotations

import math

PAIRWISE = """\
; the sum of n doubles, by halves
define internal double @pairwise(ptr %p, i64 %n) {
entry:
  %small = icmp sle i64 %n, 8
  br i1 %small, label %loop, label %split
split:
  %half = sdiv i64 %n, 2
  %rest = sub i64 %n, %half
  %left = call double @pairwise(ptr %p, i64 %half)
  %middle = getelementptr double, ptr %p, i64 %half
  %right = call double @pairwise(ptr %middle, i64 %rest)
  %both = fadd double %left, %right
  ret double %both
loop:
  %i = phi i64 [0, %entry], [%j, %body]
  %s = phi double [0.0, %entry], [%u, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %a = getelementptr double, ptr %p, i64 %i
  %v = load double, ptr %a
  %u = fadd double %s, %v
  %j = add i64 %i, 1
  br label %loop, !llvm.loop !0
done:
  ret double %s
}"""

IN_ORDER = """\
; the sum of n doubles, from the first to the last
define internal double @in_order(ptr %p, i64 %n) {
entry:
  %first = load double, ptr %p
  br label %loop
loop:
  %i = phi i64 [1, %entry], [%j, %body]
  %s = phi double [%first, %entry], [%u, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %a = getelementptr double, ptr %p, i64 %i
  %v = load double, ptr %a
  %u = fadd double %s, %v
  %j = add i64 %i, 1
  br label %loop, !llvm.loop !0
done:
  ret double %s
}"""

HAND_ON = """\
; add to a target what each block but the last left for later entries
define internal void @hand_on(ptr %target, ptr %left, i64 %blocks, i64 %width, i64 %low, i64 %step, i64 %size) {
entry:
  %last = sub i64 %blocks, 1
  br label %block
block:
  %b = phi i64 [0, %entry], [%b.next, %block.end]
  %begin = phi i64 [%low, %entry], [%until, %block.end]
  %until = add i64 %begin, %step
  %from = mul i64 %b, %width
  %more = icmp slt i64 %b, %last
  br i1 %more, label %head, label %done
head:
  %j = phi i64 [0, %block], [%j.next, %body]
  %at = add i64 %until, %j
  %inside = icmp slt i64 %at, %size
  %within = icmp slt i64 %j, %width
  %go = and i1 %inside, %within
  br i1 %go, label %body, label %block.end
body:
  %k = add i64 %from, %j
  %p = getelementptr double, ptr %left, i64 %k
  %v = load double, ptr %p
  %q = getelementptr double, ptr %target, i64 %at
  %old = load double, ptr %q
  %new = fadd double %old, %v
  store double %new, ptr %q
  %j.next = add i64 %j, 1
  br label %head, !llvm.loop !0
block.end:
  %b.next = add i64 %b, 1
  br label %block
done:
  ret void
}"""

# The exponential in lines that a loop can have in place, several entries at once.
# exp(x) = 2^k·exp(r), k = round(x/ln 2), |r| <= ln(2)/2, with ln 2 in two parts (Cody & Waite, Software Manual for the
# Elementary Functions, 1980, chapter 6) and Taylor's polynomial of degree 13, whose rest is below 2^-57. Adding MAGIC
# rounds to a whole number and leaves it in the lowest bits; 2^k is two factors, so that the ends of the range come out.
MAGIC, MAGIC_BITS = "6755399441055744.0", 0x4338000000000000  # 1.5·2^52
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 32 bits: k·LN2_HIGH is exact
LEAST, MOST = "-746.0", "710.0"  # beyond, the result is 0 and infinite


def _exponential() -> str:
    lines = [
        f"%low = fcmp olt double %x, {LEAST}",
        f"%a = select i1 %low, double {LEAST}, double %x",
        f"%high = fcmp ogt double %a, {MOST}",
        f"%b = select i1 %high, double {MOST}, double %a",
    ]
    for name, scale in (("k", 1.0 / math.log(2.0)), ("h", 0.5 / math.log(2.0))):
        lines += [
            f"%{name}.s = fmul double %b, {scale!r}",
            f"%{name}.m = fadd double %{name}.s, {MAGIC}",
            f"%{name}.b = bitcast double %{name}.m to i64",
            f"%{name}.i = sub i64 %{name}.b, {MAGIC_BITS}",
        ]
    lines += [
        f"%k = fsub double %k.m, {MAGIC}",
        f"%r1 = call double @llvm.fma.f64(double %k, double {-LN2_HIGH!r}, double %b)",
        f"%r = call double @llvm.fma.f64(double %k, double {-LN2_LOW!r}, double %r1)",
    ]
    total = repr(1.0 / math.factorial(13))
    for n in range(12, -1, -1):
        term = repr(1.0 / math.factorial(n))
        lines.append(f"%p{n} = call double @llvm.fma.f64(double {total}, double %r, double {term})")
        total = f"%p{n}"
    lines.append("%rest = sub i64 %k.i, %h.i")
    for name, power in (("one", "%rest"), ("two", "%h.i")):
        lines += [
            f"%{name}.e = add i64 {power}, 1023",
            f"%{name}.b = shl i64 %{name}.e, 52",
            f"%{name} = bitcast i64 %{name}.b to double",
        ]
    lines += ["%scaled = fmul double %p0, %one", "%y = fmul double %scaled, %two", "ret double %y"]
    body = "\n".join(f"  {line}" for line in lines)
    return f"; exp\ndefine internal double @near_exp(double %x) alwaysinline {{\n{body}\n}}"


FUNCTIONS = {"@pairwise": PAIRWISE, "@in_order": IN_ORDER, "@hand_on": HAND_ON, "@near_exp": _exponential()}
IN_LOOPS = {"@exp(": "@near_exp("}  # what loops call instead where the processor has fused multiply-adds
