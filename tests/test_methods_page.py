"""docs/methods.md is what its maker makes of the methods."""

from __future__ import annotations

import importlib.util
from pathlib import Path

MAKER = Path(__file__).resolve().parent.parent / "docs" / "methods_page.py"


def test_the_page_is_that_of_the_methods() -> None:
    spec = importlib.util.spec_from_file_location("methods_page", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page(), "run python docs/methods_page.py"
