"""Who may import whom, and where each third-party library has its home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "optcli"

# room → the rooms it may use, also by imports inside functions; imports point down
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "layout": set(),
    "threads": set(),
    "autograd": set(),
    "engine": {"autograd", "threads"},
    "expr": {"autograd", "errors", "layout"},
    "optimize": {"errors"},
    "data": {"errors"},
    "config": {"errors", "data", "library"},  # library: to tell a name from a formula when a result is replayed
    "library": {"errors", "config"},
    "blame": {"autograd", "expr", "optimize"},  # optimize: who asks for names
    "objective": {"autograd", "engine", "errors", "expr", "layout"},
    "build": {"compiled", "errors", "expr", "library", "objective", "optimize"},
    "compiled": {"autograd", "engine", "objective", "optimize"},  # objective: the type of what it compiles
    "conclusion": {"blame", "layout", "objective", "optimize"},
    "formula": {"build", "errors", "layout", "objective"},
    "points": {"build", "config", "data", "engine", "errors", "expr", "layout", "objective"},
    "checkpoint": {"errors", "optimize", "report"},  # report: numbers as strict JSON
    "keeping": {"checkpoint", "errors", "optimize", "outcome", "prepare"},  # the types of what it keeps
    "report": {"errors", "layout", "outcome"},
    "outcome": {"layout", "optimize", "report"},  # report: what a row is
    "choosing": {"config", "errors", "optimize"},
    "prepare": {"build", "config", "data", "errors", "objective", "optimize", "points"},
    # checkpoint: the type of what goes on
    "problems": {"build", "checkpoint", "errors", "objective", "optimize", "prepare"},
    "rows": {"keeping", "layout", "optimize", "outcome"},  # keeping: the type of what is told of each leg
    "starts": {"conclusion", "local_runs", "optimize", "outcome", "rows"},
    "local_runs": {"conclusion", "optimize", "outcome", "prepare", "problems", "rows", "threads", "workers"},
    "workers": {"threads"},
    "run": {
        *("checkpoint", "choosing", "conclusion", "config", "errors", "keeping", "local_runs", "optimize", "outcome"),
        *("points", "prepare", "problems", "rows", "starts"),
    },
    "stages": {"autograd", "config", "engine", "expr", "objective", "prepare"},
    "cli": {
        *("checkpoint", "config", "errors", "expr", "keeping", "library", "optimize", "outcome", "prepare", "report"),
        *("run", "stages"),
    },
    "__init__": {"autograd", "errors", "formula", "run"},
    "__main__": {"cli"},
}

# third-party library → the rooms that are its home
HOME: dict[str, set[str]] = {
    "numpy": {
        "autograd",
        "engine",
        "expr",
        "optimize",
        "config",
        "data",
        "blame",
        "objective",
        "checkpoint",
        "compiled",
        "formula",
        "layout",
        "local_runs",
        "points",
        "starts",
    }
    | {"run", "stages", "report"},
    "sympy": {"expr"},
    "click": {"cli"},
    "rich": {"report"},
    "yaml": {"config"},
    "llvmlite": {"engine"},
    "platformdirs": {"expr"},
}
LAZY = {  # module → what it loads only where it is used
    "layout": {"numpy"},
    "config": {"numpy", "yaml"},
    "report": {"numpy", "rich"},
    "expr": {"platformdirs"},
}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether at the top level and outside TYPE_CHECKING) of each import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(tree.body)
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out += [(alias.name, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "optcli" else [module]
            out += [(name, node in top) for name in names]
    return out


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_to_the_plan(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_USE, f"a room without a rule: {room}"
    for module, at_top in imports(path):
        root, _, rest = module.partition(".")
        if root == "optcli":
            other = rest.partition(".")[0]
            allowed = other == room or other in MAY_USE[room] or other in ("", "__version__")
            assert allowed, f"{room} may not use {module}"
        elif root in HOME:
            assert room in HOME[root], f"{root} has no home in {room}"
            assert not (at_top and root in LAZY.get(room, ())), f"{path.name}: {root} is loaded where it is used"


def test_no_rule_is_without_use() -> None:
    used = {(room_of(path), m.split(".")[1]) for path in FILES for m, _ in imports(path) if m.startswith("optcli.")}
    rules = {(room, other) for room, others in MAY_USE.items() for other in others}
    assert rules - used == set()


def test_no_room_without_a_name() -> None:
    assert not [path.name for path in FILES if path.stem in ("utils", "helpers", "common", "misc")]
