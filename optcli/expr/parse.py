"""Tokens to syntax: operator precedence with an explicit stack, so that no text is too long or too deep for it.

The result is a flat list in postorder: arguments stand before what uses them. A definition is one node that several
others point to. Whether a name is a function, and whether its arguments fit, is decided later (`resolve`): this module
imports neither numpy nor SymPy.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

from optcli.errors import ExpressionError
from optcli.expr.syntax import COMPARISONS, CONDITIONS, CONSTANTS, RESERVED, TRUTH, Syntax, SyntaxNode
from optcli.expr.tokens import Token, tokenize

MOST_DEPTH = 200  # open brackets, calls, right-nested powers and prefix signs together
AHEAD, BEHIND, WINDOW = 3 * MOST_DEPTH, 8, 8192  # tokens that are looked at; an operand has at most 2*MOST_DEPTH
# binding power of what stands between two operands; prefix signs bind tighter than * and looser than **
BINARY = {"or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6, "**": 8}
ARITHMETIC = frozenset("+-*/") | {"**"}
NO_NUMBER = CONDITIONS | {"pair"}
PREFIX = {"not": 3, "+": 7, "-": 7}


def parse(text: str) -> Syntax:
    """The syntax of a text. Raises ExpressionError with the span of what is wrong."""
    return _Parser(text, tokenize(text)).run()


def variables_of(text: str, known: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of a text that are no parameters or data (`known`), in the order of first appearance."""
    given = set(known)
    return tuple(name for name in parse(text).names if name not in given)


class _Open(NamedTuple):
    """An entry of the stack: an operator that waits for its right side, or a bracket that waits for its end."""

    what: str  # the operator, or one of BRACKETS
    power: int  # 0 for a bracket: nothing inside reaches beyond it
    arity: int  # 1 for a prefix, 2 between operands, 0 for a bracket
    start: int
    end: int
    name: str = ""  # what is called or indexed
    base: int = 0  # how many operands stood before
    first: int = 0  # number of the first node inside


CLOSING = frozenset((",", ")", "]"))
BRACKETS = {"group": ")", "call": ")", "index": "]"}


class _Parser:
    """The state of one parse; `run` is used once."""

    def __init__(self, text: str, tokens: Iterator[Token]) -> None:
        self.text = text
        self.source = tokens
        self.tokens: list[Token] = []  # a window of them, so that a long text costs no list of all
        self.at = 0
        self._refill()
        self.nodes: list[SyntaxNode] = []
        self.operands: list[int] = []
        self.stack: list[_Open] = []
        self.depth = 0
        self.vectors: set[str] = set()
        self.free: dict[str, list[int]] = {}  # nodes of names that no Sum has bound yet
        self.definitions: dict[str, int] = {}
        self.grouped: set[int] = set()
        self.binders = 0

    def run(self) -> Syntax:
        while (name := self._definition_name()) is not None:
            root = self._expression()
            if self.tokens[self.at].kind == "end":
                self._fail_equation(name)
            if self.free.get(name.text) or name.text in self.vectors:
                self._fail(f"{name.text} is used in its own definition", name, "Give the new value a name of its own.")
            self.at += 1
            self.definitions[name.text] = root
        root = self._expression()
        token = self.tokens[self.at]
        if token.kind != "end":
            self._fail(
                "; ends a definition, and here is none", token, "Write name = value; expression, with the value last."
            )
        for defined, value in self.definitions.items():
            for k in self.free.get(defined, ()):
                self.nodes[k] = self.nodes[k]._replace(kind="use", args=(value,))
        starts: dict[str, int] = {}
        for node in self.nodes:
            if node.kind in ("name", "at"):
                starts[node.value] = min(node.start, starts.get(node.value, node.start))
        names = tuple(sorted(starts, key=starts.__getitem__))
        return Syntax(self.text, tuple(self.nodes), root, names, tuple(self.definitions.items()))

    def _definition_name(self) -> Token | None:
        token = self.tokens[self.at]
        if token.kind != "name" or self.tokens[self.at + 1].text != "=":
            return None
        if token.text in RESERVED:
            self._fail(f"{token.text} is reserved and cannot be defined", token)
        if token.text in self.definitions:
            self._fail(f"{token.text} is defined twice", token, "Give the second definition a name of its own.")
        if self.free.get(token.text) or token.text in self.vectors:
            self._fail(f"{token.text} is used before its definition", token, "Definitions stand before their use.")
        self.at += 2
        return token

    def _refill(self) -> None:
        """See to it that the next AHEAD tokens are there, and let go of those long past."""
        if self.at + AHEAD > len(self.tokens) and (not self.tokens or self.tokens[-1].kind != "end"):
            past = max(0, self.at - BEHIND)
            del self.tokens[:past]
            self.at -= past
            self.tokens.extend(itertools.islice(self.source, WINDOW))

    # ------------------------------------------------------------ one expression

    def _expression(self) -> int:
        """Parse up to `;` or the end; the number of the expression's node."""
        base = len(self.operands)
        while True:
            self._refill()
            self._operand()
            while self.tokens[self.at].text in CLOSING and self._closing():
                self._refill()
            token = self.tokens[self.at]
            if token.kind == "end" or token.text == ";":
                self._reduce(0)
                if self.stack:
                    self._fail_unclosed(token)
                root = self.operands.pop()
                assert len(self.operands) == base
                self._number(root)
                return root
            self._operator(token)

    def _operand(self) -> None:
        """Everything up to and with the next operand; leaves the parser before what follows it."""
        while True:
            token = self.tokens[self.at]
            following = self.tokens[self.at + 1].text if token.kind != "end" else ""
            self.at += 1
            if token.kind == "number":
                self._emit("number", float(token.text), (), token.start, token.end)
                return
            if token.kind == "name" and token.text != "not":
                if following in ("(", "["):
                    bracket = self.tokens[self.at]
                    self.at += 1
                    if following == "(" and self._empty_call(token, bracket):
                        return
                    self._open("call" if following == "(" else "index", token.start, bracket.end, token.text)
                    continue
                self._name(token)
                return
            if token.text == "(":
                self._open("group", token.start, token.end)
            elif token.text in PREFIX and token.kind != "end":
                self._push(_Open(token.text, PREFIX[token.text], 1, token.start, token.end))
            else:
                self.at -= 1
                self._fail_operand(token)

    def _empty_call(self, name: Token, bracket: Token) -> bool:
        token = self.tokens[self.at]
        if token.text != ")":
            return False
        self.at += 1
        self._emit("call", name.text, (), name.start, token.end)
        return True

    def _name(self, token: Token) -> None:
        word = token.text
        if word in CONSTANTS:
            self._emit("constant", CONSTANTS[word], (), token.start, token.end)
        elif word in TRUTH:
            self._emit("truth", word == "True", (), token.start, token.end)
        elif word in ("and", "or"):
            self._fail_operand(token)
        elif word == "I":
            self._fail(
                "I, the imaginary unit, has no place here: the language is real", token, "Name a variable i or k."
            )
        elif word == "oo":
            self._fail("oo stands for infinity in --bounds only", token, "Write a number.")
        elif word == "None":
            self._fail("None is not a number", token, "Give a number or a name.")
        else:
            self.free.setdefault(word, []).append(len(self.nodes))
            self._emit("name", word, (), token.start, token.end)

    def _closing(self) -> bool:
        """Take a comma or a closing bracket, if that is what comes; True where an operand is complete after it."""
        token = self.tokens[self.at]
        if token.text not in CLOSING:
            return False
        self._reduce(0)
        if not self.stack:
            self._fail_outside(token)
        top = self.stack[-1]
        if token.text == ",":
            self.at += 1
            if self.tokens[self.at].text in (")", "]"):
                self._fail("something must follow the comma", token, "Delete it, or add what is missing.")
            self._operand()
            return True
        if token.text != BRACKETS[top.what]:
            self._fail(
                f"{token.text} does not close what was opened here",
                (top.start, top.end),
                f"Close it with {BRACKETS[top.what]}.",
            )
        self.at += 1
        self.stack.pop()
        self.depth -= 1
        args = tuple(self.operands[top.base :])
        del self.operands[top.base :]
        self._close(top, args, token.end)
        return True

    def _close(self, top: _Open, args: tuple[int, ...], end: int) -> None:
        if top.what == "index":
            for arg in args:
                self._number(arg)
            if top.name in RESERVED or top.name in self.definitions:
                what = "reserved" if top.name in RESERVED else "defined as a number"
                self._fail(f"{top.name} is {what} and has no entries", (top.start, top.end))
            self.vectors.add(top.name)
            self._emit("at", top.name, args, top.start, end)
        elif top.what == "call":
            if top.name in ("Sum", "Product"):
                self._sum(top, args, end)
            else:
                self._emit("call", top.name, args, top.start, end)
        elif len(args) > 1:
            self._emit("pair", None, args, top.start, end)
        else:
            node = self.nodes[args[0]]
            self.nodes[args[0]] = node._replace(start=top.start, end=end)
            self.grouped.add(args[0])
            self.operands.append(args[0])

    def _sum(self, top: _Open, args: tuple[int, ...], end: int) -> None:
        body, triples = args[0], args[1:]
        usage = f"Write {top.name}(expression, (i, 1, n))."
        if not triples:
            self._fail(f"{top.name} needs an index with its bounds", (top.start, end), usage)
        self._number(body)
        for triple in triples:
            node = self.nodes[triple]
            if node.kind != "pair" or len(node.args) != 3 or self.nodes[node.args[0]].kind not in ("name", "bound"):
                self._fail("an index is given as (i, from, to), with a name of its own", (node.start, node.end), usage)
        for triple in triples:
            index, low, high = self.nodes[triple].args
            self._number(low)
            self._number(high)
            name = self.nodes[index].value
            if not isinstance(name, str):
                self._fail(f"{name[0]} is the index of two bounds", self._span(index), usage)
            self.binders += 1
            free = self.free[name]
            # what this triple binds stands before it and inside this call; later triples bind its bounds
            begin, stop = bisect_left(free, top.first), bisect_left(free, index)
            for k in free[begin:stop]:
                self.nodes[k] = self.nodes[k]._replace(kind="bound", value=(name, self.binders))
            self.nodes[index] = self.nodes[index]._replace(kind="binder")
            del free[begin : stop + 1]
            kind = "sum" if top.name == "Sum" else "product"
            self.nodes.append(SyntaxNode(kind, (name, self.binders), (body, low, high), top.start, end))
            body = len(self.nodes) - 1
        self.operands.append(body)

    def _operator(self, token: Token) -> None:
        """Take the operator between two operands."""
        if token.text not in BINARY or token.kind == "end":
            self._fail_operator(token)
        power = BINARY[token.text]
        self._reduce(power + 1 if token.text == "**" else power)
        if token.text == "**":
            base = self.nodes[self.operands[-1]]
            if base.kind == "name" and base.value == "e" and self.operands[-1] not in self.grouped:
                self._fail(
                    "e as the base of a power is refused",
                    (base.start, token.end),
                    "Write exp(x) or E**x, or (e)**x for a variable e.",
                )
        self.at += 1
        self._push(_Open(token.text, power, 2, token.start, token.end))

    # ------------------------------------------------------------ the stack

    def _open(self, what: str, start: int, end: int, name: str = "") -> None:
        self._push(_Open(what, 0, 0, start, end, name, len(self.operands), len(self.nodes)))

    def _push(self, entry: _Open) -> None:
        if entry.arity < 2 or entry.what == "**":
            self.depth += 1
            if self.depth > MOST_DEPTH:
                self._fail(
                    f"more than {MOST_DEPTH} brackets, calls, powers and signs are open here",
                    (entry.start, entry.end),
                    "Give the inner parts names: r = x**2 + 1; sqrt(r)",
                )
        self.stack.append(entry)

    def _reduce(self, power: int) -> None:
        """Finish every waiting operator that binds at least as tight as `power`."""
        while self.stack and self.stack[-1].power >= max(power, 1):
            entry = self.stack.pop()
            if entry.arity == 1:
                self.depth -= 1
                self._prefix(entry)
            else:
                if entry.what == "**":
                    self.depth -= 1
                self._binary(entry)

    def _prefix(self, entry: _Open) -> None:
        arg = self.operands.pop()
        node = self.nodes[arg]
        if entry.what == "not":
            self._condition(arg)
            self._emit("not", None, (arg,), entry.start, node.end)
            return
        self._number(arg)
        if entry.what == "-":
            self._emit("neg", None, (arg,), entry.start, max(node.end, entry.end))
        else:
            self.operands.append(arg)

    def _binary(self, entry: _Open) -> None:
        right = self.operands.pop()
        left = self.operands.pop()
        before, after = self.nodes[left], self.nodes[right]
        start, end = before.start, after.end
        if entry.what in ARITHMETIC:
            if before.kind in NO_NUMBER or after.kind in NO_NUMBER:
                self._number(left)
                self._number(right)
            self._emit(entry.what, None, (left, right), start, end)
        elif entry.what in ("and", "or"):
            self._condition(left)
            self._condition(right)
            self._emit(entry.what, None, (left, right), start, end)
        else:
            self._number(right)
            if before.kind == "compare" and left not in self.grouped:
                self._emit("compare", (*before.value, entry.what), (*before.args, right), start, end)
            else:
                self._number(left)
                self._emit("compare", (entry.what,), (left, right), start, end)

    def _emit(self, kind: str, value: Any, args: tuple[int, ...], start: int, end: int) -> None:
        self.operands.append(len(self.nodes))
        self.nodes.append(SyntaxNode(kind, value, args, start, end))

    # ------------------------------------------------------------ what does not fit

    def _span(self, k: int) -> tuple[int, int]:
        return self.nodes[k].start, self.nodes[k].end

    def _number(self, k: int) -> None:
        kind = self.nodes[k].kind
        if kind in CONDITIONS:
            self._fail(
                "a condition stands where a number is needed",
                self._span(k),
                "Conditions belong into where(condition, a, b) and Piecewise.",
            )
        if kind == "pair":
            node = self.nodes[k]
            first = self.nodes[node.args[0]]
            if len(node.args) == 2 and first.kind == "number":
                self._fail(
                    "a comma stands where a number is needed",
                    self._span(k),
                    "Write decimals with a point: 1.5, not 1,5.",
                )
            self._fail("a list stands where a number is needed", self._span(k))

    def _condition(self, k: int) -> None:
        if self.nodes[k].kind not in CONDITIONS:
            self._fail(
                "a number stands where a condition is needed", self._span(k), "Compare it with something: x > 0."
            )

    def _fail(self, message: str, at: Token | tuple[int, int], remedy: str = "") -> NoReturn:
        span = (at.start, at.end) if isinstance(at, Token) else at
        raise ExpressionError(message, self.text, span, remedy)

    def _fail_operand(self, token: Token) -> NoReturn:
        from optcli.expr import notation

        raise notation.no_operand(self.text, self.tokens, self.at)

    def _fail_operator(self, token: Token) -> NoReturn:
        from optcli.expr import notation

        raise notation.no_operator(self.text, self.tokens, self.at)

    def _fail_outside(self, token: Token) -> NoReturn:
        if token.text == ",":
            before = self.tokens[self.at - 1].kind
            decimal = before == "number" and self.tokens[self.at + 1].kind == "number"
            remedy = "Write decimals with a point: 1.5, not 1,5." if decimal else "Give one expression."
            self._fail("a comma has no place outside brackets", token, remedy)
        self._fail(
            f"{token.text} closes nothing", token, f"Delete it, or open {'(' if token.text == ')' else '['} before."
        )

    def _fail_unclosed(self, token: Token) -> NoReturn:
        top = self.stack[-1]
        self._fail("this bracket is never closed", (top.end - 1, top.end), f"Add {BRACKETS[top.what]}.")

    def _fail_equation(self, name: Token) -> NoReturn:
        equals = self.text.index("=", name.end)
        if not self.definitions and name.text in ("y", "f", "z"):
            remedy = f"Leave out `{name.text} =`: give the formula alone."
        else:
            remedy = f"End the definition with ; and let the value follow: {name.text} = …; expression"
        self._fail("= defines a name, and the text ends without a value", (equals, equals + 1), remedy)
