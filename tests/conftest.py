"""What holds for every test."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Tests, their collection, and the processes that they start keep their graphs in a folder of their own."""
    config.stash[CACHE] = os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="optcli-cache-")
    os.environ.pop("OPTCLI_CACHE", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[CACHE], ignore_errors=True)
