"""Native rules of the operations that are no single instruction or function: lines of LLVM, text and nothing else.

`{y}` is the result, `{0}`, `{1}`, … are the arguments, and a name that begins with `{y}.` is a value of the rule's own.
All are doubles; a condition is 1.0 or 0.0 and holds where it is not zero (NaN is not). Each rule gives the numbers of
its numpy kernel, NaN and Inf included.
"""

from __future__ import annotations

SQUARE = "{y} = fmul double {0}, {0}"

# a zero on either side gives zero: what `chain` means where a factor is not finite
MASKED_CHAIN = """\
{y}.p = fmul double {0}, {1}
{y}.n = fcmp uno double {y}.p, {y}.p
{y}.a = fcmp oeq double {0}, 0.0
{y}.b = fcmp oeq double {1}, 0.0
{y}.z = or i1 {y}.a, {y}.b
{y}.m = and i1 {y}.n, {y}.z
{y} = select i1 {y}.m, double 0.0, double {y}.p"""

SIGN = """\
{y}.p = fcmp ogt double {0}, 0.0
{y}.n = fcmp olt double {0}, 0.0
{y}.z = fcmp oeq double {0}, 0.0
{y}.a = select i1 {y}.z, double 0.0, double {0}
{y}.b = select i1 {y}.n, double -1.0, double {y}.a
{y} = select i1 {y}.p, double 1.0, double {y}.b"""

HEAVISIDE = """\
{y}.p = fcmp ogt double {0}, 0.0
{y}.n = fcmp olt double {0}, 0.0
{y}.z = fcmp oeq double {0}, 0.0
{y}.a = select i1 {y}.z, double 0.5, double {0}
{y}.b = select i1 {y}.n, double 0.0, double {y}.a
{y} = select i1 {y}.p, double 1.0, double {y}.b"""

# the remainder with the sign of the divisor: fmod, moved by one divisor where the signs differ
MOD = """\
{y}.r = call double @fmod(double {0}, double {1})
{y}.z = fcmp oeq double {y}.r, 0.0
{y}.n = fcmp olt double {y}.r, 0.0
{y}.m = fcmp olt double {1}, 0.0
{y}.d = xor i1 {y}.n, {y}.m
{y}.s = fadd double {y}.r, {1}
{y}.t = select i1 {y}.d, double {y}.s, double {y}.r
{y}.o = call double @llvm.copysign.f64(double 0.0, double {1})
{y} = select i1 {y}.z, double {y}.o, double {y}.t"""

SIGMOID = """\
{y}.a = call double @llvm.fabs.f64(double {0})
{y}.m = fneg double {y}.a
{y}.e = call double @exp(double {y}.m)
{y}.c = fcmp olt double {0}, 0.0
{y}.t = select i1 {y}.c, double {y}.e, double 1.0
{y}.d = fadd double 1.0, {y}.e
{y} = fdiv double {y}.t, {y}.d"""

# max(x, 0) + log1p(exp(-|x|)), NaN where x is
SOFTPLUS = """\
{y}.a = call double @llvm.fabs.f64(double {0})
{y}.m = fneg double {y}.a
{y}.e = call double @exp(double {y}.m)
{y}.l = call double @log1p(double {y}.e)
{y}.c = fcmp ole double {0}, 0.0
{y}.t = select i1 {y}.c, double 0.0, double {0}
{y} = fadd double {y}.t, {y}.l"""

# of one exponent for all: 0.5 is a root, as in kernels.power
POWER = """\
{y}.p = call double @pow(double {0}, double {1})
{y}.r = call double @llvm.sqrt.f64(double {0})
{y}.c = fcmp oeq double {1}, 0.5
{y} = select i1 {y}.c, double {y}.r, double {y}.p"""

# of two; more are folded from the left
LARGEST = """\
{y}.g = fcmp ogt double {0}, {1}
{y}.n = fcmp uno double {0}, {0}
{y}.c = or i1 {y}.g, {y}.n
{y} = select i1 {y}.c, double {0}, double {1}"""
SMALLEST = LARGEST.replace("ogt", "olt")

WHERE = """\
{y}.c = fcmp une double {0}, 0.0
{y} = select i1 {y}.c, double {1}, double {2}"""


def compare(predicate: str) -> str:
    return f"{{y}}.c = fcmp {predicate} double {{0}}, {{1}}\n{{y}} = uitofp i1 {{y}}.c to double"


def _logic(instruction: str) -> str:
    return (
        "{y}.a = fcmp une double {0}, 0.0\n{y}.b = fcmp une double {1}, 0.0\n"
        f"{{y}}.c = {instruction} i1 {{y}}.a, {{y}}.b\n{{y}} = uitofp i1 {{y}}.c to double"
    )


AND, OR = _logic("and"), _logic("or")
NOT = "{y}.c = fcmp oeq double {0}, 0.0\n{y} = uitofp i1 {y}.c to double"
