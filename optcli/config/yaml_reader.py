"""Strict YAML: text → tree with `file:line:column`, without tags, anchors, merge keys, duplicates or recursion."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from optcli.config.tree import Node, Scalar, Sequence, Table, said
from optcli.errors import ConfigError, FileError, visible

MAX_BYTES = 16 << 20  # of a file; contract §1 has the same limit for a text
YAML_TAG = "tag:yaml.org,2002:"  # what `!!` stands for
MAX_DEPTH = 20  # open lists and mappings; what people write has four

# What YAML 1.2 §5.1 calls not printable, and DEL.
NOT_PRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")

QUOTE = "Put text with special characters in quotes: '…'."
REMEDIES = (  # part of PyYAML's message (C parser or not) → what to do
    ("cannot start any token", QUOTE),
    ("mapping values are not allowed", "A blank belongs after the colon of a key, and text with ': ' in quotes."),
    ("could not find expected ':'", "A line is `key: value`, with a blank after the colon."),
    ("block scalar", QUOTE),
    ("quoted scalar", "Close the quote."),
    ("flow", "Close every [ and {; separate entries by commas."),
    ("simple key", "A line is `key: value`, with a blank after the colon."),
    ("block mapping", "The keys of one mapping begin in the same column."),
    ("block collection", "The items of one list begin in the same column."),
)


def read_text(path: str | os.PathLike[str], most: int = MAX_BYTES) -> str:
    """The text of a UTF-8 file of up to `most` bytes, without a byte-order mark.

    Raises FileError if it cannot be read, ConfigError if it is no such text.
    """
    name = visible(os.fspath(path))
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or "no such file can exist"
        raise FileError(f"{name} cannot be read: {reason}", "Check the path and that the file may be read.") from None
    if len(data) > most:
        raise ConfigError(
            f"the file is larger than {most >> 20} MiB", name, "Keep large arrays in a .npy or .csv file."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError("the file is not UTF-8 text", f"{name}:{line}:{column}", "Save it as UTF-8.") from None


def read_yaml(path: str | os.PathLike[str]) -> Table:
    """The mapping that a YAML file holds. Raises FileError, ConfigError."""
    return parse_yaml(read_text(path), visible(os.fspath(path)))


def parse_yaml(text: str, name: str) -> Table:
    """The mapping that `text` holds; `name` begins every place. Raises ConfigError."""
    import yaml

    text = text.removeprefix("\ufeff")
    if bad := NOT_PRINTABLE.search(text):
        line, column = text.count("\n", 0, bad.start()) + 1, bad.start() - text.rfind("\n", 0, bad.start())
        raise ConfigError(
            f"the control character {visible(bad[0])} does not belong here", f"{name}:{line}:{column}", "Remove it."
        )
    try:
        root = _read(text, name)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not YAML: {visible(str(error).splitlines()[0])}", name) from None
    if root is None or (isinstance(root, Scalar) and not root.text and root.plain):
        raise ConfigError("the file is empty", f"{name}:1:1", "A first line could be `function: rosenbrock`.")
    if not isinstance(root, Table):
        remedy = "A line is `key: value`, as in `function: rosenbrock`."
        raise ConfigError(f"the file must be a mapping of keys to values, not {said(root)}", root.where, remedy)
    return root


def _read(text: str, name: str) -> Node | None:
    """The tree of the first and only document. Raises ConfigError, yaml.YAMLError."""
    import yaml

    if yaml.__with_libyaml__:
        try:
            return _build(yaml.parse(text, Loader=yaml.CBaseLoader), name)
        except yaml.MarkedYAMLError as error:
            # libyaml 0.2.6 counts brackets ahead of the events it hands out; the other parser comes to MAX_DEPTH first
            if "nesting depth" not in (error.problem or ""):
                raise
    return _build(yaml.parse(text, Loader=yaml.BaseLoader), name)


def _build(events: Iterator[Any], name: str) -> Node | None:
    """The tree of events; the stack of open collections is a list, so depth cannot overflow."""
    import yaml

    open_: list[tuple[str, bool, list[Node]]] = []  # place, is it a mapping, what it holds so far
    root: Node | None = None
    documents = 0
    for event in events:
        where = f"{name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ConfigError("a second document begins", where, "One file is one run: remove what follows `---`.")
        if isinstance(event, yaml.NodeEvent):
            _refuse_references(event, where)
        node: Node | None = None
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(event.value, where, bool(event.implicit[0]))
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_) == MAX_DEPTH:
                raise ConfigError(f"lists and mappings are nested more than {MAX_DEPTH} deep", where, "Flatten them.")
            open_.append((where, isinstance(event, yaml.MappingStartEvent), []))
        elif isinstance(event, yaml.CollectionEndEvent):
            begun, is_mapping, held = open_.pop()
            node = _table(held, begun) if is_mapping else Sequence(tuple(held), begun)
        if node is not None:
            if open_:
                open_[-1][2].append(node)
            else:
                root = node
    return root


def _refuse_references(event: Any, where: str) -> None:
    anchor, tag = event.anchor, getattr(event, "tag", None)
    if anchor is not None:
        mark = "*" if type(event).__name__ == "AliasEvent" else "&"
        remedy = f"Write the value out, or put text that begins with {mark} in quotes."
        raise ConfigError(f"the reference {mark}{visible(anchor[:40])} is not read", where, remedy)
    if tag is not None:
        shown = tag.replace(YAML_TAG, "!!")[:60]
        raise ConfigError(
            f"the tag {visible(shown)} is not read", where, "Remove it, or put text that begins with ! in quotes."
        )


def _table(held: list[Node], where: str) -> Table:
    entries: list[tuple[Scalar, Node]] = []
    seen: dict[str, str] = {}
    for key, value in zip(held[::2], held[1::2], strict=True):
        if not isinstance(key, Scalar):
            raise ConfigError(f"a key must be a word, not {said(key)}", key.where, "Write `key: value`.")
        if key.text == "<<" and key.plain:
            raise ConfigError("merge keys are not read", key.where, "Write the keys out.")
        if key.text in seen:
            line = seen[key.text].rsplit(":", 2)[1]
            raise ConfigError(f"the key {said(key)} is already in line {line}", key.where, "Keep one of the two.")
        seen[key.text] = key.where
        entries.append((key, value))
    return Table(tuple(entries), where)


def _syntax_error(error: Any, name: str) -> ConfigError:
    """PyYAML's error in one line; an unclosed quote is shown where it opens, the rest where reading stopped."""
    context, problem = error.context or "", error.problem or "it cannot be read"
    mark = error.problem_mark or error.context_mark
    if "quoted scalar" in context and "end of stream" in problem:
        mark, problem = error.context_mark or mark, "the quote that opens here is never closed"
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    text = f"{context} {problem}"
    remedy = next((remedy for part, remedy in REMEDIES if part in text), "")
    if "\\t" in problem or _char_at(mark) == "\t":
        remedy = "Indent with blanks, not with tabs."
    return ConfigError(f"this is not YAML: {visible(problem)}", where, remedy)


def _char_at(mark: Any) -> str:
    buffer = getattr(mark, "buffer", None)
    return buffer[mark.pointer : mark.pointer + 1] if buffer else ""
