"""Where a run may write: a config, which may be a stranger's, only below its own folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from optcli.config.kinds import misfit, text
from optcli.config.tree import Node, Scalar, said
from optcli.errors import ConfigError

MAX_COMPONENT = 255  # bytes, of most file systems
REMEDY = "Give a relative path below the config's folder, or use --output, which takes any path."


def output(key: str, node: Node, folder: Path | None) -> Path:
    """A file to write; one that a config in `folder` names must lie below it (see `safe_output`)."""
    value = text(what="a file")(key, node, folder)
    assert isinstance(value, str)
    if folder is not None:
        return safe_output(folder, value, node.where, overwrite=True)
    if "\0" in value:
        raise misfit(key, "a file", node)
    return Path(value)


def safe_output(folder: Path, name: str, where: str = "", *, overwrite: bool = False) -> Path:
    """The path `name` below `folder`, without `..`, links or odd characters on the way.

    Raises ConfigError otherwise, and where the file exists unless `overwrite`: whoever opens it checks again.
    """

    def refused(why: str, remedy: str = REMEDY) -> ConfigError:
        return ConfigError(f"output {said(Scalar(name, where))} {why}", where, remedy)

    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name):
        raise refused("holds a control character")
    if name.startswith(("/", "~")) or "\\" in name or (len(name) > 1 and name[1] == ":"):
        raise refused("is no relative path")
    parts = name.split("/")
    for part in parts:
        if part == "..":
            raise refused("leaves the config's folder")
        if part.strip() in ("", "."):
            raise refused("is no file name")
        if part.startswith("-"):
            raise refused("looks like an option")
        if len(part.encode()) > MAX_COMPONENT:
            raise refused(f"has a part of more than {MAX_COMPONENT} bytes", "Shorten it.")
    path = folder
    try:
        for n, part in enumerate(parts, 1):
            path = path / part
            if path.is_symlink():
                raise refused("goes through a link")
            if path.exists():
                last = n == len(parts)
                if not (path.is_file() if last else path.is_dir()):
                    raise refused("is no file" if last else f"goes through {said(Scalar(part, where))}, no folder")
                if last and not overwrite:
                    raise refused("exists already", "Choose another name, or remove the file.")
    except OSError as error:
        raise refused(f"cannot be used: {error.strerror}") from None
    return path
