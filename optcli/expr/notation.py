"""Habits of other notations, explained where the parser stumbles over them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from optcli.errors import ExpressionError, visible
from optcli.expr.tokens import Token

# what stands just before the spot (to the end) → message, remedy
HABITS: tuple[tuple[str, str, str], ...] = (
    (r"\blambda\s+[\w, ]+$", "a function needs no lambda", "Give the formula alone: x**2"),
    (
        r"\b(?:return|let|def|minimize|minimise|maximize|maximise|min|max)\s+$",
        "words have no place in a formula",
        "Give the formula alone: x**2",
    ),
    (r"\bis\s+$", "`is` is no comparison", "Write == between numbers."),
)


def no_operator(text: str, tokens: Sequence[Token], at: int) -> ExpressionError:
    """The error for a token that cannot follow a complete operand."""
    token, before = tokens[at], tokens[at - 1]
    span = (token.start, token.end)
    if token.text == "=":
        return _equals(text, tokens, at)
    power = _function_power(tokens, at)
    if power is not None:
        name, exponent, start = power
        return ExpressionError(
            f"{name}^{exponent}(x) is not understood", text, (start, token.end), f"Write {name}(x)**{exponent}."
        )
    for pattern, message, remedy in HABITS:
        if re.search(pattern, text[max(0, token.start - 60) : token.start]):
            return ExpressionError(message, text, (before.start, token.end), remedy)
    if token.text in ("if", "else", "for", "in", "is"):
        remedy = "Write where(condition, a, b) for a choice." if token.text in ("if", "else") else "Give one formula."
        return ExpressionError(f"`{token.text}` has no place in a formula", text, span, remedy)
    if token.text == "[" or token.kind == "end":
        return ExpressionError("only a name can have an index", text, span, "Write x[1].")
    return _product(text, before, token)


def _product(text: str, before: Token, token: Token) -> ExpressionError:
    left, right = visible(before.text[:20]), visible(token.text[:20])
    if before.text == "0" and token.kind == "name" and token.text[:1] in "xXbBoO":
        return ExpressionError("numbers are decimal", text, (before.start, token.end), "Write it in decimal digits.")
    if before.kind == "number" and token.text in ("j", "i", "I"):
        return ExpressionError(
            "the language is real: no imaginary numbers", text, (before.start, token.end), "Leave it out."
        )
    if before.kind == "name":
        from optcli.expr.functions import FUNCTIONS

        if before.text in FUNCTIONS:
            inside = right if token.kind in ("name", "number") else "x"
            return ExpressionError(
                f"{left} is a function, and its argument stands in brackets",
                text,
                (before.start, token.end),
                f"Write {left}({inside}).",
            )
    closing = f"…{left}" if left in (")", "]") else left
    opening = f"{right}…" if right == "(" else right
    return ExpressionError(
        "something is missing here; a product needs its *",
        text,
        (token.start, token.end),
        f"Write {closing}*{opening}.",
    )


def _equals(text: str, tokens: Sequence[Token], at: int) -> ExpressionError:
    token = tokens[at]
    span = (token.start, token.end)
    if tokens[at + 1].text == "=":
        return ExpressionError("= = is two signs", text, span, "Write == to compare.")
    defines = re.match(r"\s*(\w+)\s*\([\w\s,]*\)\s*$", text[: token.start])
    if defines:
        return ExpressionError(
            f"{visible(defines[1][:20])}(…) = … defines a function",
            text,
            (0, token.end),
            "Give the formula alone: x**2",
        )
    before = text[: token.start]
    if before.count("(") > before.count(")"):
        return ExpressionError(
            "arguments have no names, and a comparison is ==", text, span, "Give the value alone: log(x, 2)."
        )
    return ExpressionError(
        "= has no place here",
        text,
        span,
        "Minimize the difference's square for an equation; a definition is: name = value;",
    )


def _function_power(tokens: Sequence[Token], at: int) -> tuple[str, str, int] | None:
    """(name, exponent, start) where the tokens before `at` read like sin^2 and `at` opens a bracket or names x."""
    if at < 3 or tokens[at - 1].kind != "number" or tokens[at - 2].text != "**" or tokens[at - 3].kind != "name":
        return None
    name = tokens[at - 3]
    return (name.text, tokens[at - 1].text, name.start) if len(name.text) > 1 else None


def no_operand(text: str, tokens: Sequence[Token], at: int) -> ExpressionError:
    """The error for a token that stands where a number, a name or a bracket must begin."""
    token = tokens[at]
    before = tokens[at - 1] if at else None
    span = (token.start, token.end)
    if token.kind == "end":
        if before is None:
            return ExpressionError("the expression is empty", remedy="Give a formula such as (x - 1)**2 + y**2.")
        if before.text == ";":
            return ExpressionError(
                "the value is missing after the definitions",
                text,
                (before.start, before.end),
                "Write it after the last ;",
            )
        return ExpressionError(
            f"something must follow {before.text}", text, (before.start, before.end), "Complete the formula."
        )
    if token.text == "=":
        return ExpressionError("= has no place here", text, span, "Give the formula alone, without a leading =.")
    if token.text == "[":
        return ExpressionError(
            "a list has no place in a formula", text, span, "Vectors are written x[1], x[2]; brackets are ( )."
        )
    if token.text in ("*", "/", "**", "+", "-") and before is not None and before.text in ("*", "/", "**", "+", "-"):
        return ExpressionError(
            f"{before.text} and {token.text} stand together",
            text,
            (before.start, token.end),
            "Delete one, or put something between.",
        )
    if token.text == ")" and before is not None:
        return ExpressionError("something is missing before )", text, span)
    if token.text in ("and", "or"):
        return ExpressionError(f"`{token.text}` needs a condition on both sides", text, span)
    return ExpressionError(
        f"{token.text} cannot stand here", text, span, "A number, a name or a bracket is missing before it."
    )
