"""Kinds of values: how what a user wrote becomes a number, a word, a text, and what is said where it does not fit.

A kind is a function (key, node, folder) → value that raises ConfigError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from optcli.config.tree import Array, Node, Scalar, items, said
from optcli.config.tree import Sequence as Listed
from optcli.errors import ConfigError, did_you_mean, visible

Kind = Callable[[str, Node, Path | None], object]

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
NAME = r"[A-Za-z_\u0370-\u03ff\u1f00-\u1fff][A-Za-z0-9_\u0370-\u03ff\u1f00-\u1fff]*"  # contract §1: ASCII or Greek
MAX_DIGITS = 400  # contract §1
MAX_NAME = 255  # contract §1
INT64 = 1 << 63

TRUE, FALSE = {"true", "yes", "on"}, {"false", "no", "off"}
NONE = "none"  # also a word: some fields of methods may be none
NOTHING = {"", "null", "~", NONE}
NONFINITE = re.compile(r"[+-]?\.?(?:inf|infinity|nan|oo)", re.IGNORECASE)
DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9:.Zz+ -]*)?")


def misfit(key: str, expected: str, node: Node, remedy: str = "") -> ConfigError:
    """The error of a value that does not fit its key."""
    return ConfigError(f"{key} must be {expected}, not {said(node)}", node.where, remedy)


def to_float(key: str, node: Node, expected: str = "a number") -> float:
    """A finite decimal number. Raises ConfigError."""
    if not isinstance(node, Scalar):
        raise misfit(key, expected, node)
    text = node.text.strip()
    if NUMBER.fullmatch(text) and len(text) <= MAX_DIGITS:
        if not node.plain:
            raise misfit(key, expected, node, "Remove the quotes.")
        value = float(text)
        if not math.isinf(value):
            return value
        raise misfit(key, expected, node, "It is too large for a double; the largest is 1.797e308.")
    raise misfit(key, expected, node, why_no_number(text))


def why_no_number(text: str) -> str:
    """A remedy for text that looks like a number of another notation, or an empty string."""
    if len(text) > MAX_DIGITS:
        return f"A number has at most {MAX_DIGITS} digits."
    if text in NOTHING:
        return "Give it a value, or remove the key."
    if NONFINITE.fullmatch(text):
        return "It must be finite."
    if text.lower() in TRUE | FALSE:
        return "True and false are no numbers."
    if DATE.fullmatch(text):
        return "A date is no number; a difference needs blanks: 3 - 2."
    if NUMBER.fullmatch(plain := text.replace("_", "").replace("−", "-").replace(" ", "")):
        return f"Write {plain}."
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        return f"Write {text.replace(',', '.')} with a decimal point."
    if re.fullmatch(r"[+-]?0(?:[xX][0-9a-fA-F]{1,16}|[oO][0-7]{1,16}|[bB][01]{1,16})", text):
        return f"Write it in decimal: {int(text, 0)}."
    return ""


def number(*, above: float | None = None, least: float | None = None) -> Kind:
    """A finite number > above, or >= least."""
    bound = f" above {above:g}" if above is not None else f", {least:g} or more" if least is not None else ""

    def convert(key: str, node: Node, folder: Path | None) -> float:
        value = to_float(key, node, "a number" + bound)
        if (above is not None and value <= above) or (least is not None and value < least):
            raise misfit(key, "a number" + bound, node)
        return value

    return convert


def whole(*, least: int = 0, below: int = INT64) -> Kind:
    """A whole number, least <= n < below; `1e3` is one."""
    expected = f"a whole number, {least} or more"

    def convert(key: str, node: Node, folder: Path | None) -> int:
        value = to_float(key, node, expected)
        if not value.is_integer() or value < least:
            raise misfit(key, expected, node)
        text = node.text.strip() if isinstance(node, Scalar) else ""
        exact = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else int(value)
        if exact >= below:
            raise misfit(key, expected + (" and below 2^63" if below == INT64 else f" and below {below}"), node)
        return exact

    return convert


def word(*known: str) -> Kind:
    """One of the words in `known`."""

    def convert(key: str, node: Node, folder: Path | None) -> str:
        expected = ", ".join(known[:-1]) + f" or {known[-1]}"
        if isinstance(node, Scalar) and node.text.strip().lower() in known:
            return node.text.strip().lower()
        raise misfit(key, expected, node, did_you_mean(node.text, known) if isinstance(node, Scalar) else "")

    return convert


def switch(key: str, node: Node, folder: Path | None) -> bool:
    """True or false, in any of YAML's words for them."""
    if isinstance(node, Scalar) and node.plain and (text := node.text.strip().lower()) in TRUE | FALSE | {"1", "0"}:
        return text in TRUE or text == "1"
    raise misfit(key, "true or false", node)


def text(*, most: int = 0, what: str = "text") -> Kind:
    """Text that is not empty, of up to `most` characters (0: any number)."""

    def convert(key: str, node: Node, folder: Path | None) -> str:
        if not isinstance(node, Scalar) or not node.text.strip():
            raise misfit(key, what, node)
        if node.plain and node.text in NOTHING:
            raise misfit(key, what, node, "Give it a value, or remove the key; text goes in quotes.")
        if most and len(node.text) > most:
            remedy = f"Shorten it by {len(node.text) - most} characters."
            raise misfit(key, f"{what} of up to {most} characters", node, remedy)
        if not encodable(node.text):
            raise misfit(key, what, node, "It is no valid Unicode.")
        return node.text

    return convert


def encodable(text: str) -> bool:
    """Whether `text` can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def code_text(key: str, node: Node, folder: Path | None) -> str:
    """The text of a function; control characters other than blanks and line ends are refused."""
    value = text(what="a name, a file or an expression")(key, node, folder)
    assert isinstance(value, str)
    if bad := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", value):
        raise misfit(key, "text without control characters", Scalar(bad[0], node.where), "Remove it.")
    return value


def codes(key: str, node: Node, folder: Path | None) -> tuple[int, ...]:
    """Exit codes: `10,11` or a list."""
    expected = "exit codes like 10,11"
    parts: Sequence[Node]
    if isinstance(node, Scalar):
        parts = [Scalar(part.strip(), node.where, node.plain) for part in node.text.split(",")]
    elif isinstance(node, Listed | Array):
        parts = items(node)
    else:
        raise misfit(key, expected, node)
    code = whole(least=0, below=256)
    found = []
    for part in parts:
        value = code(f"a code of {key}", part, folder)
        assert isinstance(value, int)
        found.append(value)
    if not found:
        raise misfit(key, expected, node)
    return tuple(dict.fromkeys(found))


def field_value(key: str, node: Node, folder: Path | None) -> bool | int | float | str:
    """The value of a method's field, as it looks: the method's own table judges it."""
    if not isinstance(node, Scalar):
        raise misfit(key, "a number or a word", node)
    value = node.text.strip()
    if not node.plain:
        return node.text
    if value.lower() == NONE:
        return NONE
    if value in NOTHING:
        raise misfit(key, "a number or a word", node, "Give it a value, or remove it.")
    if value.lower() in TRUE | FALSE:
        return value.lower() in TRUE
    if re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return int(value)
    if NUMBER.fullmatch(value) or why_no_number(value):
        return to_float(key, node)
    return value


def checked_name(key: str, node: Scalar, what: str = "name") -> str:
    """A name of the language (contract §1). Raises ConfigError."""
    name = node.text.strip()
    if not re.fullmatch(NAME, name):
        remedy = "A name is made of letters, digits and _, and begins with no digit."
        if match := re.fullmatch(rf"({NAME})\s*[:=]\s*(\S+)", name):
            remedy = f"Write `{visible(match[1])}: {visible(match[2])}`, with a blank after the colon."
        raise ConfigError(f"{said(node)} in {key} is no {what}", node.where, remedy)
    if len(name) > MAX_NAME:
        raise ConfigError(f"a {what} in {key} is longer than {MAX_NAME} characters", node.where, "Shorten it.")
    return name
