"""Writes methods.md from the table of methods: `python docs/methods_page.py`; a test holds the page to it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from optcli.optimize.auto import DENSE, EASY, FEW, LONG, SIMPLEX
from optcli.optimize.methods import METHODS, describe

PAGE = Path(__file__).resolve().parent / "methods.md"
HEAD = f"""\
# Methods

`--method NAME` takes one of these, `--lr` its learning rate where it has one, `--set FIELD=VALUE` any other field;
`optcli methods NAME` shows the same as here. This page is made by `docs/methods_page.py` from the methods themselves.

Without `--method`, **auto** takes gd where a learning rate is given. Else it goes by the function: newton up to {FEW}
variables, bfgs up to {DENSE}, lbfgs beyond; with bounds projected_newton up to {DENSE}, lbfgsb beyond; bfgs, lbfgs or
lbfgsb where the function has kinks. From {LONG:,} variables on, without bounds and where an evaluation is light, cg has
{EASY} updates first, which is all that easy problems take; if it does not converge, lbfgs begins anew from the start.
Where a method gets no further and the point is no minimum, another one goes on from there, and nelder_mead up to
{SIMPLEX} variables. What was taken, and why, stands in the first lines and in the
JSON's `legs`. From a saddle auto goes on downhill (`--no-escape`: it stays).

Variables of very different size are measured in units of their own, powers of two from the curvature at the start, the
bounds, or the start itself, so that no digit changes on the way; `--no-scaling` does without. Methods with a learning
rate are left as they are.

`--starts N` runs from N points and tells every minimum with how often it was found: Sobol points in the bounds, or
around the start where there are none, by turns with hops from the best minima so far. `--seed` decides which. All cores
are used (`OPTCLI_THREADS`: fewer); the digits are the same on any number of them. For their sake the program has one
BLAS thread unless `OPENBLAS_NUM_THREADS` says otherwise; `import optcli` leaves that to you.

| method | fields | |
|---|---|---|
"""


def rows() -> Iterable[str]:
    for name in METHODS:
        about = describe(name)
        own = [field for field in about["parameters"] if not field["shared"]]
        fields = ", ".join(f"{field['name']} = {_shown(field['default'])}" for field in own)
        yield f"| [{name}](#{name}) | {fields} | {about['summary']} |"


def sections() -> Iterable[str]:
    shared: dict[str, dict[str, object]] = {}
    for name in METHODS:
        about = describe(name)
        summary = about["summary"][0].upper() + about["summary"][1:]
        yield f"\n## {name}\n\n{summary}.\n\n```text\n{about['formula']}\n```\n"
        for field in about["parameters"]:
            if field["shared"]:
                shared.setdefault(str(field["name"]), field)
            else:
                yield _field(field)
        yield f"\n{about['reference']}"
    if shared:
        yield "\n## Fields that all methods with a learning rate have\n"
        yield from map(_field, shared.values())


def _field(field: dict[str, object]) -> str:
    return f"- `{field['name']}` = {_shown(field['default'])}: {field['help']} ({field['range']})"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join([*rows(), *sections()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
