"""A file that is written again and again, and whole at every moment: by a rename, also where the power fails."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence

from optcli.errors import FileError, visible
from optcli.report.files import is_special, mode_of, reason, refuse_foreign


class KeptFile:
    """`path` holds what was given to `replace` last, or what stood there before.

    Raises FileError where `path` cannot be written, or exists and does not begin with one of `ours` (unless `force`).
    Nothing is changed before the first `replace`.
    """

    def __init__(self, path: str, ours: Sequence[bytes], force: bool = False) -> None:
        self._shown = visible(path)
        try:
            self._place = os.path.realpath(path)
            self._folder = os.path.dirname(self._place)
            if is_special(self._place):
                raise FileError(f"cannot write {self._shown}: it is no regular file.")
            refuse_foreign(self._place, self._shown, ours, force, "checkpoint")
            # no name of a user's: it may be as long as the file system allows
            self._prefix = f".optcli-{hashlib.sha256(os.fsencode(self._place)).hexdigest()[:12]}-"
            self._sweep()
            if os.path.exists(self._place):
                open(self._place, "ab").close()  # whether it may be written, and below its folder
            self._write(b"", put=False)
        except (OSError, ValueError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"cannot write {self._shown}: {reason(error)}.") from error

    def replace(self, data: bytes) -> None:
        """Raises FileError when, for instance, the disk is full; the file is then as it was."""
        try:
            self._write(data, put=True)
        except OSError as error:
            raise FileError(f"cannot write {self._shown}: {reason(error)}.") from error

    def _write(self, data: bytes, put: bool) -> None:
        temporary = os.path.join(self._folder, f"{self._prefix}{secrets.token_hex(8)}.tmp")
        try:
            # made anew and never through a link
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
            with os.fdopen(handle, "wb") as file:
                _lock(file.fileno())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if put:
                    os.chmod(temporary, mode_of(self._place))
                    os.replace(temporary, self._place)
            if put:
                self._settle()
        finally:  # also where a second signal ends the program here
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def _settle(self) -> None:
        """Let the rename reach the disk, where a folder can be told so."""
        with contextlib.suppress(OSError):
            handle = os.open(self._folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _sweep(self) -> None:
        """Remove what runs that were killed left beside the file: a writer that lives holds a lock on its own."""
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._folder):
                if entry.name.startswith(self._prefix):
                    with contextlib.suppress(OSError), open(entry.path, "rb") as file:
                        if _lock(file.fileno()):
                            os.unlink(entry.path)


def _lock(handle: int) -> bool:
    """Whether the file is ours alone now, until it is closed; False where that cannot be told."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
