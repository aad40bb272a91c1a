"""How many cores there are to use."""

from __future__ import annotations

import os

VARIABLE = "OPTCLI_THREADS"


def threads() -> int:
    """How many threads, or processes, share what can be shared: OPTCLI_THREADS, else the cores of this process."""
    given = os.environ.get(VARIABLE, "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
