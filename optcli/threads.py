"""How many cores there are, and work that threads share: long loops in machine code and in numpy, which let go of the
interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


VARIABLE = "OPTCLI_THREADS"


def threads() -> int:
    """How many threads, or processes, share what can be shared: OPTCLI_THREADS, else the cores of this process."""
    given = os.environ.get(VARIABLE, "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix="optcli")


def share(count: int, work: Callable[[int], None], workers: int | None = None) -> None:
    """work(0) … work(count − 1), on this thread and as many others as there are processors for."""
    workers = min(count, threads() if workers is None else workers)
    waiting = iter(range(count))

    def some() -> None:
        for k in waiting:  # a range's iterator is advanced by one thread at a time
            work(k)

    others = [_pool(workers - 1).submit(some) for _ in range(workers - 1)]
    some()
    for other in others:
        other.result()
