"""Graphs kept on disk: a file each in the user's cache folder, bytes under a key, and nothing that is ever executed.

Nothing here fails: a folder or file that is missing, foreign, damaged or not to be written is no cache. Files come into
being whole, by a rename, so that any number of processes may read, write and empty the folder at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from optcli.errors import ConfigError, FileError, did_you_mean, visible

SWITCH = "OPTCLI_CACHE"
ON, OFF = ("", "on", "1", "yes", "true"), ("off", "0", "no", "false")
ENDING, PARTIAL = ".graph", ".partial"
OURS = re.compile(r"[0-9a-f]{64}\.graph|[0-9a-f]{64}\.[0-9a-f]{16}\.partial")
MOST_OF_ONE = 4 << 20  # bytes of one file
MOST_BYTES = 64 << 20  # of all files
MOST_FILES = 2000
STALE = 3600.0  # seconds after which a file that was never finished is removed
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
SEAL = 65  # the first line: the SHA-256 of the rest


class Contents(NamedTuple):
    """What is kept; `state` is "on", or says what it is not used for and why."""

    folder: str
    entries: int
    size: int  # bytes
    state: str = "on"


def enabled() -> bool:
    """Whether OPTCLI_CACHE leaves the cache on. Raises ConfigError for a word that is neither on nor off."""
    word = os.environ.get(SWITCH, "").strip().lower()
    if word not in ON and word not in OFF:
        remedy = did_you_mean(word, ("on", "off")) or "Write off, or on."
        raise ConfigError(f"the cache of graphs is on or off, not '{visible(word[:40])}'", SWITCH, remedy)
    return word in ON


def folder() -> str:
    """Where graphs are kept, whether or not it is there; empty where this user has no place for it."""
    from platformdirs import user_cache_dir

    try:
        path = user_cache_dir("optcli", appauthor=False)
    except (OSError, RuntimeError, KeyError):
        return ""
    return path if os.path.isabs(path) and "\0" not in path else ""


def read(key: str) -> bytes | None:
    """The bytes kept under a key, None where there are none that can be trusted. Raises ConfigError as `enabled`."""
    if not enabled():
        return None
    place = folder()
    try:
        if not place or not _is_ours(os.stat(place)):
            return None
        handle = os.open(os.path.join(place, key + ENDING), READ)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not _is_ours(found) or found.st_size > MOST_OF_ONE:
            return None
        data = b""
        while len(data) <= MOST_OF_ONE and (piece := os.read(handle, MOST_OF_ONE)):
            data += piece
        with contextlib.suppress(OSError):
            os.utime(os.path.join(place, key + ENDING))  # the files used last are those that stay
    except OSError:
        return None
    finally:
        os.close(handle)
    return data[SEAL:] if data[:SEAL] == _seal(data[SEAL:]) else None


def write(key: str, data: bytes) -> None:
    """Keep bytes under a key where that is possible, and let the files go that were not used for longest."""
    place = folder()
    if SEAL + len(data) > MOST_OF_ONE or not place or not enabled():
        return
    target = os.path.join(place, key)
    partial = f"{target}.{os.urandom(8).hex()}{PARTIAL}"
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        if not _is_ours(os.stat(place)):
            return
        handle = os.open(partial, WRITE, 0o600)
        try:
            rest = memoryview(_seal(data) + data)
            while rest:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)
        os.replace(partial, target + ENDING)
        _bound(place)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def contents() -> Contents:
    """What is kept, and where. Raises FileError for a folder that cannot be read, ConfigError as `enabled`."""
    place, state = folder(), "on"
    if not enabled():
        state = f"off, as {SWITCH} says"
    elif not place:
        state = "off: this user has no folder for it"
    files: list[tuple[str, os.stat_result]] = []
    try:
        if place and os.path.lexists(place):
            if not _is_ours(os.stat(place)):
                state = "off: the folder belongs to another user"
            files = list(_files(place))
        if state == "on" and not _can_write(place):
            state = "read only: the folder cannot be written"
    except OSError as error:
        raise _failure("read", place, error) from None
    graphs = [found for name, found in files if name.endswith(ENDING)]
    return Contents(place, len(graphs), sum(found.st_size for _, found in files), state)


def clear() -> int:
    """Remove every graph and return how many there were. Raises FileError where that cannot be done."""
    place, count = folder(), 0
    try:
        if not place or not os.path.lexists(place):
            return 0
        if not _is_ours(os.stat(place)):
            raise FileError(f"{visible(place)} belongs to another user", "Only that user can empty it.")
        for name, _ in list(_files(place)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(place, name))
                count += name.endswith(ENDING)
    except FileError:
        raise
    except OSError as error:
        raise _failure("empty", place, error) from None
    return count


def _failure(what: str, place: str, error: OSError) -> FileError:
    return FileError(
        f"cannot {what} {visible(place)}: {error.strerror}",
        f"Set {SWITCH}=off, or XDG_CACHE_HOME to a folder of yours.",
    )


def _seal(data: bytes) -> bytes:
    return sha256(data).hexdigest().encode("ascii") + b"\n"


def _is_ours(found: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user; on Windows, where the folder is the user's own, it does."""
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def _can_write(place: str) -> bool:
    """Whether there is such a folder to write to, or can be one."""
    while not os.path.lexists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    return os.path.isdir(place) and os.access(place, os.W_OK)


def _files(place: str) -> Iterator[tuple[str, os.stat_result]]:
    """The names and sizes of our files; what else lies in the folder is not touched. Raises OSError."""
    with os.scandir(place) as entries:
        for entry in entries:
            if OURS.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(found.st_mode):
                        yield entry.name, found


def _bound(place: str) -> None:
    """Remove the files that were not used for longest until the rest is within the bounds. Raises OSError."""
    files = sorted(_files(place), key=lambda item: item[1].st_mtime)
    count, size, now = len(files), sum(found.st_size for _, found in files), time.time()
    for name, found in files:
        stale = name.endswith(PARTIAL) and found.st_mtime < now - STALE
        if stale or ((count > MOST_FILES or size > MOST_BYTES) and name.endswith(ENDING)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(place, name))
            count, size = count - 1, size - found.st_size
