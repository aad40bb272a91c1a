"""Text to tokens, each with its place. What cannot begin a token is named and explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from optcli.errors import ExpressionError, visible

MOST_BYTES = 16 * 2**20  # the longest text that is read
MOST_DIGITS = 400  # of one number
MOST_NAME = 255  # characters of one name

GREEK = "ͰͱͲͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-Ͽ"  # letters only; what lies between are signs
LETTER = f"A-Za-z_{GREEK}"
TOKEN = re.compile(
    rf"""(?P<blank>[ \t\r\n\u00a0]+)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[{LETTER}][{LETTER}0-9]*)
    |(?P<operator>\*\*|<=|>=|==|!=|[-+*/^()\[\],;=<>·⋅×÷−≤≥≠])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
SAME = {"^": "**", "·": "*", "⋅": "*", "×": "*", "÷": "/", "−": "-", "≤": "<=", "≥": ">=", "≠": "!="}

# Letters of other alphabets that are drawn like a Latin one (Unicode confusables, the lower and upper case of Cyrillic)
LOOKALIKE = dict(zip("авсԁеһіјӏорԛѕԝхуАВСЕНІЈКМОРЅТХУ", "abcdehijlopqswxyABCEHIJKMOPSTXY", strict=False))

EXPLAINED = {
    "²": "write x**2 for a square",
    "³": "write x**3 for a cube",
    "√": "write sqrt(x) for a square root",
    "°": "angles are in radians: write 30*pi/180 for 30 degrees",
    "%": "write Mod(a, b) for a remainder, 0.5 for 50 percent",
    "!": "write gamma(x + 1) for a factorial",
    "|": "write abs(x) for an absolute value, `or` between conditions",
    "&": "write `and` between conditions",
    "{": "use round brackets ( ) to group",
    "}": "use round brackets ( ) to group",
    "\\": "LaTeX is not understood: write a/b, sqrt(x), sin(x)",
    "'": "a text in quotes has no place in a formula; a derivative is taken for you",
    '"': "a text in quotes has no place in a formula",
    "`": "a text in quotes has no place in a formula",
    ".": "attributes have no place in a formula: write sin(x), not numpy.sin(x)",
    ":": "write where(condition, a, b) for a choice; a function needs no lambda",
    "?": "write where(condition, a, b) for a choice",
    "@": "write Sum(A[i,j]*x[j], (j, 1, n)) for a matrix product, dot(u, v) for a scalar product",
    "#": "comments are understood in .txt files only",
    "~": "write not for a negation",
    "$": "a shell variable was not filled in: use double quotes around the formula",
    "⌊": "write floor(x)",
    "⌋": "write floor(x)",
    "⌈": "write ceiling(x)",
    "⌉": "write ceiling(x)",
    "∗": "write * for a product",
    "⁄": "write / for a quotient",
    "∕": "write / for a quotient",
    "“": "a text in quotes has no place in a formula",
    "”": "a text in quotes has no place in a formula",
    "‘": "a text in quotes has no place in a formula",
    "’": "a text in quotes has no place in a formula; a derivative is taken for you",
    "µ": "this is the micro sign: type the Greek letter μ, or write mu",
    "½": "write 1/2",
    "¼": "write 1/4",
    "¾": "write 3/4",
    "∞": "infinity (oo) is understood in --bounds only",
    "∑": "write Sum(x[i], (i, 1, n))",
    "Σ": "write Sum(x[i], (i, 1, n))",
    "∏": "write Product(x[i], (i, 1, n))",
}


class Token(NamedTuple):
    """`kind` is number, name, operator or end; `text` with every operator in its plain spelling."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(text: str) -> Iterator[Token]:
    """The tokens of `text` one after the other, an `end` token last.

    Raises ExpressionError at the first character that has no meaning, at numbers and names that are too long, and at
    texts beyond 16 MiB. A leading byte-order mark is dropped.
    """
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise ExpressionError("the text is longer than 16 MiB", remedy="Put data into files, and sums into Sum(…).")
    start = 1 if text.startswith("\ufeff") else 0
    for match in TOKEN.finditer(text, start):
        kind = match.lastgroup
        if kind == "blank":
            continue
        word, at = match.group(), match.start()
        if kind == "operator":
            yield Token("operator", SAME.get(word, word), at, match.end())
        elif kind == "name":
            if len(word) > MOST_NAME:
                message = f"a name of {len(word)} characters: the limit is {MOST_NAME}"
                raise ExpressionError(message, text, match.span(), "Choose a shorter name.")
            yield Token("name", word, at, match.end())
        elif kind == "number":
            _check_number(text, word, match.span())
            yield Token("number", word, at, match.end())
        else:
            _unknown(text, at)
    yield Token("end", "", len(text), len(text))


def _check_number(text: str, word: str, span: tuple[int, int]) -> None:
    if len(word) > MOST_DIGITS and sum(char.isdigit() for char in word) > MOST_DIGITS:
        raise ExpressionError(f"a number of more than {MOST_DIGITS} digits", text, span, "A double keeps 17 digits.")
    after = text[span[1] : span[1] + 1]
    if after == "." or (word[-1] == "." and after.isdigit()):
        raise ExpressionError("a number has one decimal point", text, (span[0], span[1] + 1), "Write 1.25, or 1.2*3.")
    if after == "_":
        raise ExpressionError("digits cannot be grouped with _", text, (span[0], span[1] + 1), "Write 1000 or 1e3.")
    if word == "0" and after in tuple("xXbBoO") and re.match(r"[0-9a-fA-F_]", text[span[1] + 1 : span[1] + 2] or ""):
        message = "numbers are decimal: no hexadecimal, octal or binary"
        raise ExpressionError(message, text, (span[0], span[1] + 1), "Write 255, or 2.55e2.")


def _unknown(text: str, at: int) -> NoReturn:
    import unicodedata

    char = text[at]
    span = (at, at + 1)
    if char in EXPLAINED and char != "Σ":
        raise ExpressionError(f"{char} is not understood", text, span, _capital(EXPLAINED[char]) + ".")
    code = f"U+{ord(char):04X}"
    name = unicodedata.name(char, "")
    if char in LOOKALIKE:
        raise ExpressionError(
            f"{char} is {name} ({code}), not the Latin letter {LOOKALIKE[char]}",
            text,
            span,
            f"Type {LOOKALIKE[char]} on a Latin keyboard.",
        )
    plain = unicodedata.normalize("NFKC", char)
    if plain != char and plain.isascii() and plain.isprintable():
        hint = f"**{plain}" if "SUPERSCRIPT" in name else plain.strip() or "a blank"
        raise ExpressionError(f"{char} is {name} ({code}), not {plain}", text, span, f"Write {hint}.")
    if "DASH" in name or "HYPHEN" in name or "MINUS" in name:
        raise ExpressionError(f"{visible(char)} is {name} ({code}), not a minus", text, span, "Write -.")
    if unicodedata.category(char)[0] in "CZ":
        raise ExpressionError(
            f"the invisible character {code} {name}".rstrip() + " has no place here", text, span, "Delete it."
        )
    if unicodedata.category(char)[0] == "M":
        raise ExpressionError(f"{name} ({code}) joins the character before it", text, span, "Use a plain letter.")
    remedy = "Names are made of Latin or Greek letters, digits and _." if char.isalpha() else "Delete it."
    if char.isdigit():
        remedy = f"Write {unicodedata.digit(char)}."
    raise ExpressionError(f"{visible(char)} ({code} {name}) is not understood".replace(" )", ")"), text, span, remedy)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
