"""Nothing that a user types is ever executed, and what is refused loads little."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "optcli").rglob("*.py"))
HOSTILE = ROOT / "tests" / "data" / "hostile_expressions.json"
# calls that turn text into code or objects
FORBIDDEN = {"eval", "exec", "compile", "sympify", "parse_expr", "S", "lambdify", "symbols", "__import__", "getstate"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "code", "codeop"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_call_turns_text_into_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            pattern = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "re"
            assert name not in FORBIDDEN or pattern, f"line {node.lineno}: {name}(…)"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & FORBIDDEN_MODULES
        if isinstance(node, ast.ImportFrom):
            assert node.module not in FORBIDDEN_MODULES


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )


AUDITED = """
import json, os, sys
import optcli
import optcli.autograd.rolled, optcli.expr.lower, optcli.expr.ranges  # what a graph that is kept would leave for later
optcli.function("sin(x)*y + Sum(v[i], (i, 1, 3))")(x=1, y=2, v=[1, 2, 3])
items = json.load(open(sys.argv[1], encoding="utf-8"))
seen = []
def hook(event, args):
    if event in ("exec", "compile"):  # importing a module does both, with the name of a file that is there
        name = args[0].co_filename if event == "exec" else args[1]
        if not os.path.isfile(os.fsdecode(name or "")):
            seen.append((event, str(args)[:200]))
    if event in ("os.system", "subprocess.Popen", "os.exec", "os.fork", "socket.connect"):
        seen.append((event, str(args)[:200]))
    writes = event == "open" and (
        set(args[1]) & set("wax+") if isinstance(args[1], str) else args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )
    if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.utime"):
        (kept if str(args[0]).startswith(CACHE) else seen).append((event, str(args)[:200]))
CACHE, kept = os.environ["XDG_CACHE_HOME"], []
sys.addaudithook(hook)
for item in items:
    kept.clear()
    given = item["input"]
    text = given if isinstance(given, str) else "".join(part * times for part, times in given["parts"])
    try:
        f = optcli.function(text)
        f({name: 1.5 for name in f.variables})
    except optcli.ExpressionError as error:
        str(error)
        assert not kept, (text[:60], kept)  # what is refused leaves nothing behind, not even a graph
    assert not seen, (text[:60], seen)
print("quiet", len(items))
"""


def test_no_text_is_compiled_executed_or_written_while_it_is_read() -> None:
    done = python(AUDITED, str(HOSTILE))
    count = len(json.loads(HOSTILE.read_text(encoding="utf-8")))
    assert done.stdout.strip() == f"quiet {count}", done.stderr[-2000:]


REFUSALS = """
import json, sys
import optcli
refused = 0
for item in json.load(open(sys.argv[1], encoding="utf-8")):
    if item["must"] == "reject" and not item.get("may"):
        given = item["input"]
        text = given if isinstance(given, str) else "".join(part * times for part, times in given["parts"])
        try:
            optcli.function(text)
        except optcli.ExpressionError:
            refused += 1
assert "sympy" not in sys.modules
print(refused)
"""


def test_what_is_refused_is_refused_before_sympy_is_loaded() -> None:
    items = json.loads(HOSTILE.read_text(encoding="utf-8"))
    done = python(REFUSALS, str(HOSTILE))
    assert done.stdout.strip() == str(sum(i["must"] == "reject" and not i.get("may") for i in items)), done.stderr


LOADED = """
import sys
words, heavy = sys.argv[1].split(), sys.argv[2].split()
if words:
    from optcli.cli import main
    sys.stdout = open(__import__("os").devnull, "w")
    main(words)
else:
    import optcli
sys.stderr.write("loaded: " + " ".join(name for name in heavy if name in sys.modules))
"""
LIGHT = [
    ("", "numpy sympy click rich yaml"),
    ("--help", "numpy sympy rich yaml"),
    ("minimize --help", "numpy sympy rich yaml"),
    ("functions", "numpy sympy"),
    ("functions rosenbrock", "numpy sympy"),
]


@pytest.mark.parametrize(("words", "heavy"), LIGHT, ids=["import", "help", "command help", "list", "one"])
def test_heavy_libraries_are_loaded_where_they_are_used(words: str, heavy: str) -> None:
    done = python(LOADED, words, heavy)
    assert done.stderr == "loaded: "
