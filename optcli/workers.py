"""Work shared with forked processes: the same answers in the same order, however many there are."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from optcli.threads import VARIABLE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

GRACE = 2.0  # seconds that a worker has to end what it does once the run shall stop
LOOK = 0.05  # seconds between two looks for a signal while workers are busy
PAYS = 0.2  # seconds of work in sight from which on forking pays
FORWARDED = ("SIGINT", "SIGTERM")
QUIET = ("SIGINT", "SIGUSR1", "SIGINFO", "SIGTSTP")  # for the parent alone, whose handlers a worker has too


class Workers:
    """Calls `work` in `count` forked processes, which know all that this one knew at the first `map` that pays.

    Use it as a context: at its end no process is left. Where there is no fork, or only one core, or nothing to gain,
    `work` is called here. `asked` tells whether the run shall stop, and by what; `told` says so on either side.
    A worker that is lost, whatever the reason, costs time alone: its task is done here.
    """

    def __init__(self, work: Callable[[Any], Any], count: int, asked: Callable[[], str | bool | None]) -> None:
        self._work = work
        self._count = count
        self._asked = asked
        self._parent = 0  # the process that began this one
        self._flag: Any = None
        self._team: list[tuple[ForkProcess, Connection]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._team:
            process.kill()
            process.join()
            connection.close()
        self._team = []

    def told(self) -> str | bool | None:
        """Whether the run shall stop."""
        if self._parent:
            return bool(self._flag[0]) or os.getppid() != self._parent
        return self._asked()

    def map(self, tasks: Sequence[Any], sight: float, idle: Callable[[], None]) -> Iterator[Any]:
        """The answers in the order of the tasks, each when it is asked for or before; tasks and answers are pickled.

        `sight` is how many seconds of work one process would have before it; `idle` is called now and then.
        """
        if not self._team and self._count > 1 and len(tasks) > 1 and sight >= PAYS:
            self._fork()
        if not self._team or len(tasks) < 2:
            return map(self._work, tasks)
        return self._shared(tasks, idle)

    def _shared(self, tasks: Sequence[Any], idle: Callable[[], None]) -> Iterator[Any]:
        from multiprocessing.connection import wait

        answers: dict[int, Any] = {}
        waiting = iter(range(len(tasks)))
        busy: dict[Any, int] = {}
        free = [connection for _, connection in self._team]
        following = 0
        lost: list[int] = []
        asked = 0.0
        try:
            while following < len(tasks):
                while free and (k := next(waiting, None)) is not None:
                    connection = free.pop()
                    try:
                        connection.send(tasks[k])
                        busy[connection] = k
                    except OSError:
                        self._bury(connection)
                        lost.append(k)
                if not busy and not lost and (k := next(waiting, None)) is not None:
                    lost.append(k)  # no worker is left
                if lost:
                    k = lost.pop()
                    answers[k] = self._work(tasks[k])
                heard: Any = wait(list(busy), 0.0 if lost else LOOK) if busy else ()
                for connection in heard:
                    k = busy.pop(connection)
                    try:
                        answers[k] = connection.recv()
                        free.append(connection)
                    except (EOFError, OSError):
                        self._bury(connection)
                        lost.append(k)
                if self._asked() and not asked:
                    self._flag[0], asked = 1, time.monotonic()
                if asked and time.monotonic() - asked > GRACE:  # who does not hear is not waited for
                    for connection in list(busy):
                        lost.append(busy.pop(connection))
                        self._bury(connection)
                idle()
                while following in answers:
                    yield answers.pop(following)
                    following += 1
        finally:
            # who does not want the rest wants nobody to work on it
            for connection in busy:
                self._bury(connection)

    def _bury(self, connection: Any) -> None:
        for process, other in self._team:
            if other is connection:
                process.kill()
                process.join()
                other.close()
        self._team = [each for each in self._team if each[1] is not connection]

    # ------------------------------------------------------------ processes

    def _fork(self) -> None:
        import mmap
        import multiprocessing

        count, self._count = self._count, 1
        # the libraries of macOS may hang in a forked process; a daemon may have no children
        if not hasattr(os, "fork") or sys.platform == "darwin" or multiprocessing.current_process().daemon:
            return
        context = multiprocessing.get_context("fork")
        if self._flag is None:
            self._flag = mmap.mmap(-1, 1)
        parent = os.getpid()
        with _blocked(FORWARDED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that a fork leaves behind: a worker uses none
            for _ in range(count):
                try:
                    ours, theirs = context.Pipe()
                except OSError:  # no more files for this process
                    break
                inherited = [connection for _, connection in self._team] + [ours]
                process = context.Process(target=self._serve, args=(theirs, inherited, parent), daemon=True)
                try:
                    process.start()
                except OSError:  # no more processes for this user: those that are there will do
                    ours.close()
                    break
                finally:
                    theirs.close()
                self._team.append((process, ours))

    def _serve(self, connection: Connection, inherited: Sequence[Connection], parent: int) -> None:
        """The life of a worker: it prints nothing, and ends with its parent, or at the first thing that goes wrong."""
        try:
            for name in QUIET:
                if hasattr(signal, name):
                    signal.signal(signal.Signals[name], signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _unblock(FORWARDED)
            os.environ[VARIABLE] = "1"
            self._parent = parent
            for other in inherited:
                other.close()
            while True:
                connection.send(self._work(connection.recv()))
        except BaseException:
            os._exit(1)


def _numbers(names: Iterable[str]) -> set[signal.Signals]:
    return {signal.Signals[name] for name in names}


@contextmanager
def _blocked(names: Iterable[str]) -> Iterator[None]:
    """These signals wait: a process that is just being born has the handlers of its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _numbers(names))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unblock(names: Iterable[str]) -> None:
    with suppress(OSError):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _numbers(names))
