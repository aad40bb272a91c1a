"""Files that are asked for: opened before the run, whole or not at all, never over one that optcli did not write."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO, Self

from optcli.errors import FileError, visible

RECOGNISE = 64  # bytes at the beginning of a file by which it is known as ours


class OutputFile:
    """A file in the making: written beside its place under another name, put there by `commit`.

    Left as a context without `commit`, it leaves nothing behind. Devices and pipes are written directly. Raises
    FileError where `path` cannot be written, or exists and does not begin with one of `ours` (unless `force`).
    """

    def __init__(self, path: str, ours: Sequence[bytes] = (), force: bool = False) -> None:
        self._path = path
        self._shown = visible(path)
        self._temporary = ""
        try:
            place = os.path.realpath(path)
            self._place = place
            self.file: BinaryIO = self._direct() if is_special(place) else self._beside(place, ours, force)
        except (OSError, ValueError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"cannot write {self._shown}: {reason(error)}.") from error

    def write(self, data: bytes) -> None:
        """Raises FileError when, for instance, the disk is full."""
        try:
            self.file.write(data)
            self.file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FileError(f"cannot write {self._shown}: {reason(error)}.") from error

    def commit(self) -> None:
        """Close the file and put it in its place in one step."""
        try:
            self.file.flush()
            if self._temporary:
                os.fsync(self.file.fileno())
            self.file.close()
            if self._temporary:
                os.replace(self._temporary, self._place)
        except OSError as error:
            raise FileError(f"cannot write {self._shown}: {reason(error)}.") from error
        self._temporary = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)

    def _direct(self) -> BinaryIO:
        return open(self._place, "wb")

    def _beside(self, place: str, ours: Sequence[bytes], force: bool) -> BinaryIO:
        refuse_foreign(place, self._shown, ours, force)
        mode = mode_of(place)
        folder, name = os.path.split(place)
        if len(os.fsencode(name)) > os.pathconf(folder, "PC_NAME_MAX"):
            raise FileError(f"cannot write {self._shown[:80]}…: the name is too long.")
        import tempfile

        handle, self._temporary = tempfile.mkstemp(prefix=".optcli-", suffix=".tmp", dir=folder)
        os.fchmod(handle, mode)
        return os.fdopen(handle, "wb")


class LogFile(OutputFile):
    """A file that is written in its place, so that it can be followed; removed if the run never begins."""

    def __init__(self, path: str, ours: Sequence[bytes] = (), force: bool = False) -> None:
        self._fresh = not os.path.lexists(path)
        self._begun = False
        super().__init__(path, ours, force)

    def write(self, data: bytes) -> None:
        if not self._begun:
            self.begin()
        super().write(data)

    def begin(self) -> None:
        """From here on the file stays; an earlier log is emptied."""
        self._begun = True
        if not is_special(self._place):
            self.file.truncate(0)

    def commit(self) -> None:
        self.file.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._fresh and not self._begun:
            with contextlib.suppress(OSError):
                os.unlink(self._place)

    def _beside(self, place: str, ours: Sequence[bytes], force: bool) -> BinaryIO:
        refuse_foreign(place, self._shown, ours, force)
        return open(place, "r+b" if os.path.exists(place) else "xb")


def refuse_foreign(place: str, shown: str, ours: Sequence[bytes], force: bool, what: str = "result") -> None:
    """Raise FileError if `place` exists and does not begin as optcli's files do, unless `force`."""
    if not os.path.lexists(place) or force:
        return
    with open(place, "rb") as file:
        if file.read(RECOGNISE).startswith(tuple(ours)):
            return
    raise FileError(
        f"{shown} exists and is no {what} of optcli.", "Choose another name, or give --force to overwrite it."
    )


def is_special(place: str) -> bool:
    """Whether something that is no regular file stands there. Raises FileError for a folder."""
    try:
        mode = os.stat(place).st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        raise FileError(f"cannot write {visible(place)}: it is a folder.")
    return not stat.S_ISREG(mode)


def mode_of(place: str) -> int:
    """The permissions of the file that is replaced, or those that a new file gets here."""
    try:
        return stat.S_IMODE(os.stat(place).st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def reason(error: Exception) -> str:
    """What the system says, as the end of a sentence."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
