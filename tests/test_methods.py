"""Methods: single steps from the papers by hand, ten steps against torch.optim's form, make and describe."""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import optcli
from optcli.errors import ConfigError, UsageError
from optcli.optimize.methods import METHODS, describe, find, make
from optcli.optimize.methods.first_order import FirstOrder
from optcli.optimize.solve import Problem, Stop, solve

FIRST_ORDER = [name for name in METHODS if issubclass(find(name), FirstOrder)]
G = ([0.5, -4.0], [0.25, 1.0])  # two gradients; the displacements below were worked out on paper
SECOND_ADAM = (0.07 / 0.19) / (math.sqrt(0.00031225 / 0.001999) + 1e-8)

BY_HAND = [
    ("gd", {"lr": 0.1}, [-0.05, 0.4], [-0.025, -0.1]),
    # v1 = −lr·g1; v2 = 0.9·v1 − lr·g2
    ("momentum", {"lr": 0.1}, [-0.05, 0.4], [-0.07, 0.26]),
    ("momentum", {"lr": 0.1, "beta": 0.5}, [-0.05, 0.4], [-0.05, 0.1]),
    # the same v; s = 0.9·v − lr·g
    ("nesterov", {"lr": 0.1}, [-0.095, 0.76], [-0.088, 0.134]),
    # the corrected moments of step 1 are g and g²: a step of lr against the sign of g
    ("adam", {}, [-0.001 * 0.5 / (0.5 + 1e-8), 0.001 * 4 / (4 + 1e-8)], [-0.001 * SECOND_ADAM, None]),
    ("adam", {"eps": 0.5}, [-0.001 * 0.5 / 1.0, 0.001 * 4 / 4.5], [None, None]),
    # without memory: every step is lr·sign(g)
    ("adam", {"lr": 0.1, "beta1": 0, "beta2": 0, "eps": 1e-300}, [-0.1, 0.1], [-0.1, -0.1]),
]


def first_order(name: str, settings: dict[str, Any]) -> FirstOrder:
    method = make(name, settings)
    assert isinstance(method, FirstOrder)
    return method


@pytest.mark.parametrize(("name", "settings", "first", "second"), BY_HAND)
def test_first_steps_from_the_paper(name: str, settings: dict[str, Any], first: list[float], second: list[Any]) -> None:
    method = first_order(name, settings)
    x = np.array([1.0, -2.0])
    state = method.init_state(x)
    for i, (g, expected) in enumerate(zip(G, (first, second), strict=True), start=1):
        state, s = method.update(state, x, np.array(g), i)
        x = x + s
        for got, want in zip(s, expected, strict=True):
            assert want is None or got == pytest.approx(want, rel=1e-12)


# ---- torch.optim's forms, in plain floats, one entry at a time


def torch_sgd(lr: float, momentum: float = 0.0, nesterov: bool = False) -> Callable[[], Callable[[float, int], float]]:
    def entry() -> Callable[[float, int], float]:
        buf: list[float] = []

        def step(g: float, _: int) -> float:
            if momentum == 0.0:
                return -lr * g
            buf[:] = [momentum * buf[0] + g] if buf else [g]
            return -lr * (g + momentum * buf[0] if nesterov else buf[0])

        return step

    return entry


def torch_adam(lr: float, beta1: float, beta2: float, eps: float) -> Callable[[], Callable[[float, int], float]]:
    def entry() -> Callable[[float, int], float]:
        moments = [0.0, 0.0]

        def step(g: float, i: int) -> float:
            moments[0] += (g - moments[0]) * (1 - beta1)  # lerp
            moments[1] = moments[1] * beta2 + (1 - beta2) * g * g
            step_size = lr / (1 - beta1**i)
            denominator = math.sqrt(moments[1]) / math.sqrt(1 - beta2**i) + eps
            return -step_size * moments[0] / denominator

        return step

    return entry


TORCH = [
    ("gd", {"lr": 0.02}, torch_sgd(0.02)),
    ("momentum", {"lr": 0.02}, torch_sgd(0.02, 0.9)),
    ("momentum", {"lr": 0.01, "beta": 0.3}, torch_sgd(0.01, 0.3)),
    ("nesterov", {"lr": 0.02}, torch_sgd(0.02, 0.9, nesterov=True)),
    ("nesterov", {"lr": 0.01, "beta": 0.3}, torch_sgd(0.01, 0.3, nesterov=True)),
    ("adam", {}, torch_adam(0.001, 0.9, 0.999, 1e-8)),
    ("adam", {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3}, torch_adam(0.1, 0.5, 0.9, 1e-3)),
]


def valley(x: Any) -> tuple[float, Any]:
    """Rosenbrock with a = 1, b = 5, derived by hand."""
    a, b = float(x[0]), float(x[1])
    r = b - a * a
    return (1 - a) ** 2 + 5 * r * r, np.array([-2 * (1 - a) - 20 * a * r, 10 * r])


def valley_problem() -> Problem:
    return Problem(2, lambda x: valley(x)[0], valley)


@pytest.mark.parametrize(("name", "settings", "entry"), TORCH)
def test_ten_steps_as_torch_makes_them(name: str, settings: dict[str, Any], entry: Any) -> None:
    x, entries = [-1.0, 1.0], [entry(), entry()]
    for i in range(1, 11):
        g = valley(x)[1]
        x = [each + step(float(slope), i) for each, step, slope in zip(x, entries, g, strict=True)]
        result = solve(valley_problem(), make(name, settings), np.array([-1.0, 1.0]), Stop(iters=i))
        assert result.point.x == pytest.approx(x, rel=1e-12, abs=1e-14), i


def test_heavy_ball_is_the_two_step_method() -> None:
    before = x = np.array([-1.0, 1.0])
    for _ in range(30):
        before, x = x, x - 0.02 * valley(x)[1] + 0.8 * (x - before)
    settings = {"lr": 0.02, "beta": 0.8}
    result = solve(valley_problem(), make("momentum", settings), np.array([-1.0, 1.0]), Stop(iters=30))
    assert result.point.x == pytest.approx(x, rel=1e-12)


def test_nesterov_is_sutskever_at_the_look_ahead_point() -> None:
    theta, v = np.array([-1.0, 1.0]), np.zeros(2)
    for _ in range(30):
        v = 0.8 * v - 0.02 * valley(theta + 0.8 * v)[1]
        theta = theta + v
    settings = {"lr": 0.02, "beta": 0.8}
    result = solve(valley_problem(), make("nesterov", settings), np.array([-1.0, 1.0]), Stop(iters=30))
    assert result.point.x == pytest.approx(theta + 0.8 * v, rel=1e-12)


# ---- what a later compiler relies on


class Node:
    """A value that records what is done to it, as a graph node does, and refuses to be looked at."""

    def __init__(self, run: Callable[[], float]) -> None:
        self.run = run

    @staticmethod
    def combine(op: Callable[..., float], *operands: Any) -> Node:
        return Node(lambda: op(*[each.run() if isinstance(each, Node) else each for each in operands]))

    def __array_ufunc__(self, ufunc: Any, kind: str, *operands: Any, **options: Any) -> Node:
        assert kind == "__call__"
        assert not options
        return Node.combine(lambda *values: float(ufunc(*values)), *operands)

    def __bool__(self) -> bool:
        raise AssertionError("a method branched on a value")

    def __add__(self, other: Any) -> Node:
        return Node.combine(operator.add, self, other)

    def __radd__(self, other: Any) -> Node:
        return Node.combine(operator.add, other, self)

    def __sub__(self, other: Any) -> Node:
        return Node.combine(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Node:
        return Node.combine(operator.sub, other, self)

    def __mul__(self, other: Any) -> Node:
        return Node.combine(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Node:
        return Node.combine(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Node:
        return Node.combine(operator.truediv, self, other)

    def __pow__(self, other: Any) -> Node:
        return Node.combine(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Node:
        return Node.combine(operator.pow, other, self)

    def __neg__(self) -> Node:
        return Node.combine(operator.neg, self)


FIRST = [name for name in METHODS if issubclass(find(name), FirstOrder)]
TRACED = [name for name in FIRST if first_order(name, {}).elementwise]


@pytest.mark.parametrize("name", TRACED)
def test_update_runs_on_nodes_to_the_same_digits(name: str) -> None:
    method = first_order(name, {})
    x, g = 0.7, -1.3
    state: Any = tuple(each * 0 + 0.25 for each in method.init_state(np.array([x])))
    want_state, want = method.update(state, np.array([x]), np.array([g]), 3)
    nodes: Any = tuple(Node(lambda: 0.25) for _ in state)
    number: Any = Node(lambda: 3)
    got_state, got = method.update(nodes, Node(lambda: x), Node(lambda: g), number)  # type: ignore[arg-type]
    assert got.run() == want[0]  # type: ignore[attr-defined]
    assert [each.run() for each in got_state] == [float(each[0]) for each in want_state]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FIRST)
def test_update_is_pure(name: str) -> None:
    method = first_order(name, {})
    x, g = np.array([1.0, -2.0]), np.array(G[0])
    state = method.init_state(x)
    assert all(each.shape == x.shape for each in state) or not method.elementwise
    for array in (x, g, *state):
        array.setflags(write=False)  # an update in place raises
    one, two = method.update(state, x, g, 1), method.update(state, x, g, 1)
    assert np.array_equal(one[1], two[1])
    assert all(np.array_equal(a, b) for a, b in zip(one[0], two[0], strict=True))


# ---- make and describe

WRONG = [
    ("adma", {}, "there is no method 'adma'", "Did you mean adam"),
    ("GD", {}, "there is no method 'GD'", "Did you mean gd?"),
    ("zzz", {}, "there is no method 'zzz'", f"The methods are {', '.join(METHODS)}."),
    ("a\x1b[2J", {}, "'a\\x1b[2J'", ""),
    ("adam", {"beta_1": 0.5}, "method adam has no field 'beta_1'", "beta1"),
    ("gd", {"zzz": 1}, "method gd has no field 'zzz'", "Its fields are lr, schedule, "),
    ("gd", {"beta": 0.9}, "method gd has no field 'beta'", ""),
    ("gd", {"name": "x"}, "method gd has no field 'name'", ""),
    ("gd", {"lr": "fast"}, "method gd: lr is a number, not 'fast'", ""),
    ("gd", {"lr": None}, "lr is a number, not None", ""),
    ("gd", {"lr": True}, "lr is a number, not True", ""),
    ("gd", {"lr": [0.1]}, "lr is a number", ""),
    ("gd", {"lr": 1j}, "lr is a number", ""),
    ("gd", {"lr": math.nan}, "lr is a finite number, not nan", ""),
    ("gd", {"lr": math.inf}, "lr is a finite number, not inf", ""),
    ("gd", {"lr": 10**400}, "lr is a finite number", ""),
    ("gd", {"lr": 0}, "lr > 0 is needed, not 0.0", ""),
    ("gd", {"lr": -0.1}, "lr > 0 is needed, not -0.1", ""),
    ("momentum", {"beta": 1}, "0 <= beta < 1 is needed, not 1.0", ""),
    ("momentum", {"beta": -1e-9}, "0 <= beta < 1 is needed", ""),
    ("nesterov", {"beta": 1.5}, "0 <= beta < 1 is needed", ""),
    ("adam", {"beta2": 1.0}, "0 <= beta2 < 1 is needed", ""),
    ("adam", {"eps": 0.0}, "eps > 0 is needed", ""),
]


@pytest.mark.parametrize(("name", "settings", "message", "remedy"), WRONG)
def test_make_refuses(name: str, settings: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(name, settings)
    assert message in caught.value.message
    assert remedy in caught.value.remedy


def test_make_takes_any_real_number() -> None:
    assert make("gd", {"lr": 1}) == make("gd", {"lr": np.float64(1.0)}) == make("gd", {"lr": np.int64(1)})
    assert type(make("gd", {"lr": 1}).lr) is float  # type: ignore[attr-defined]


ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
DEFAULTS: dict[str, dict[str, Any]] = {
    "gd": {"lr": 0.01},
    "momentum": {"lr": 0.01, "beta": 0.9},
    "nesterov": {"lr": 0.01, "beta": 0.9},
    "adagrad": {"lr": 0.01, "begin": 0.0, "eps": 1e-10},
    "rmsprop": {"lr": 0.01, "beta": 0.99, "eps": 1e-8, "momentum": 0.0},
    "adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
    "adam": {"lr": 0.001, **ADAM},
    "adamw": {"lr": 0.001, **ADAM, "weight_decay": 0.01},
    "amsgrad": {"lr": 0.001, **ADAM},
    "nadam": {"lr": 0.002, **ADAM, "momentum_decay": 0.004},
    "radam": {"lr": 0.001, **ADAM},
    "lion": {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99},
    "rprop": {"lr": 0.01, "up": 1.2, "down": 0.5, "least": 1e-12, "most": 50.0},
    "bb": {"lr": 0.01, "length": "short", "memory": 10},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_describe(name: str) -> None:
    about = describe(name)
    assert json.loads(json.dumps(about)) == about
    assert set(about) == {"name", "summary", "formula", "reference", "parameters"}
    assert about["name"] == name == find(name).name
    own = {each["name"]: each["default"] for each in about["parameters"] if not each["shared"]}
    assert own == DEFAULTS[name] == make(name, {}).settings()
    assert [each["name"] for each in about["parameters"]][: len(own)] == list(own)  # before what others have too
    assert all(each["help"] and each["name"] in each["range"] for each in about["parameters"])
    assert "∇f" in about["formula"]
    assert re.search(r"\b(1[89]|20)\d\d\b", about["reference"])
    assert dataclasses.asdict(make(name, {})) == {each["name"]: each["default"] for each in about["parameters"]}


def test_describe_refuses_an_unknown_method() -> None:
    with pytest.raises(UsageError, match="nestrov"):
        describe("nestrov")


@pytest.mark.parametrize(
    ("method", "settings"), [("nelder_mead", {}), ("bfgs", {}), ("newton", {"subproblem": "dense"})]
)
def test_what_keeps_a_matrix_refuses_many_variables(method: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"keeps n² numbers: 5000 variables at most, not 20000"):
        optcli.minimize("dixon3dq", params={"n": 20_000}, method=method, settings=settings)
