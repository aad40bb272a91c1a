"""What torch.optim and optax do in ten steps: makes tests/data/torch_steps.json, and is compared with it live.

    python tests/torch_steps.py

computes anew the cases of the libraries that this interpreter can import and keeps the others. A call is evaluated as
it is written down, so that the table says what it holds.
"""

from __future__ import annotations

import datetime
import importlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parent / "data" / "torch_steps.json"
FUNCTION = "(1 - x)**2 + 5*(y - x**2)**2 + cosh(z) + x*z/2"
START = [-1.2, 1.0, 0.5]
STEPS, RATES = 10, 40
VALUES = [5.0, 4.0, 4.0, 3.9999, 3.9, 3.9, 3.95, 3.8999, 3.9, 3.9, 3.8, 3.7, 3.7, 3.7, 3.7, 3.7, 3.7, 3.7, 3.6, 3.0]


class Case(NamedTuple):
    """A method of ours with its settings, and what makes the same steps: on the parameter x, the optimizer o."""

    method: str
    settings: dict[str, Any]
    call: str
    scheduler: str = ""


ADAM = "betas=(0.8, 0.95), eps=1e-3"
OURS = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3}
WARM = "torch.optim.lr_scheduler.SequentialLR(o, [torch.optim.lr_scheduler.LinearLR(o, 1/{w1}, 1.0, {w}), {s}], [{w}])"
COSINE = "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts"

CASES = [
    Case("gd", {"lr": 0.02}, "torch.optim.SGD([x], lr=0.02)"),
    Case("gd", {"lr": 0.02, "weight_decay": 0.3}, "torch.optim.SGD([x], lr=0.02, weight_decay=0.3)"),
    Case("momentum", {"lr": 0.02}, "torch.optim.SGD([x], lr=0.02, momentum=0.9)"),
    Case(
        "momentum",
        {"lr": 0.02, "beta": 0.5, "weight_decay": 0.1},
        "torch.optim.SGD([x], lr=0.02, momentum=0.5, weight_decay=0.1)",
    ),
    Case("nesterov", {"lr": 0.02}, "torch.optim.SGD([x], lr=0.02, momentum=0.9, nesterov=True)"),
    Case("adagrad", {}, "torch.optim.Adagrad([x])"),
    Case(
        "adagrad",
        {"lr": 0.3, "begin": 0.1, "eps": 1e-3, "weight_decay": 0.1},
        "torch.optim.Adagrad([x], lr=0.3, initial_accumulator_value=0.1, eps=1e-3, weight_decay=0.1)",
    ),
    Case("adagrad", {"lr": 0.3, "schedule": "inverse", "period": 4}, "torch.optim.Adagrad([x], lr=0.3, lr_decay=0.25)"),
    Case("rmsprop", {}, "torch.optim.RMSprop([x])"),
    Case(
        "rmsprop",
        {"lr": 0.02, "beta": 0.8, "eps": 1e-3, "momentum": 0.5, "weight_decay": 0.1},
        "torch.optim.RMSprop([x], lr=0.02, alpha=0.8, eps=1e-3, momentum=0.5, weight_decay=0.1)",
    ),
    Case("adadelta", {}, "torch.optim.Adadelta([x])"),
    Case(
        "adadelta",
        {"lr": 0.5, "rho": 0.95, "eps": 1e-2, "weight_decay": 0.1},
        "torch.optim.Adadelta([x], lr=0.5, rho=0.95, eps=1e-2, weight_decay=0.1)",
    ),
    Case("adam", {}, "torch.optim.Adam([x])"),
    Case("adam", {"lr": 0.1, **OURS, "weight_decay": 0.1}, f"torch.optim.Adam([x], lr=0.1, {ADAM}, weight_decay=0.1)"),
    Case("adamw", {}, "torch.optim.AdamW([x])"),
    Case(
        "adamw", {"lr": 0.1, **OURS, "weight_decay": 0.5}, f"torch.optim.AdamW([x], lr=0.1, {ADAM}, weight_decay=0.5)"
    ),
    Case("amsgrad", {}, "torch.optim.Adam([x], amsgrad=True)"),
    Case("amsgrad", {"lr": 0.3, **OURS}, f"torch.optim.Adam([x], lr=0.3, {ADAM}, amsgrad=True)"),
    Case("nadam", {}, "torch.optim.NAdam([x])"),
    Case(
        "nadam",
        {"lr": 0.1, **OURS, "momentum_decay": 0.5, "weight_decay": 0.1},
        f"torch.optim.NAdam([x], lr=0.1, {ADAM}, momentum_decay=0.5, weight_decay=0.1)",
    ),
    Case("radam", {}, "torch.optim.RAdam([x])"),
    Case(
        "radam", {"lr": 0.1, **OURS, "weight_decay": 0.1}, f"torch.optim.RAdam([x], lr=0.1, {ADAM}, weight_decay=0.1)"
    ),
    Case("radam", {"lr": 0.02, "beta2": 0.5}, "torch.optim.RAdam([x], lr=0.02, betas=(0.9, 0.5))"),
    Case("lion", {}, "optax.lion(1e-4, b1=0.9, b2=0.99, weight_decay=0.0)"),
    Case(
        "lion",
        {"lr": 0.1, "beta1": 0.8, "beta2": 0.6, "weight_decay": 0.5},
        "optax.lion(0.1, b1=0.8, b2=0.6, weight_decay=0.5)",
    ),
    Case("rprop", {"least": 1e-6}, "torch.optim.Rprop([x])"),
    Case(
        "rprop",
        {"lr": 0.2, "up": 1.5, "down": 0.3, "least": 0.05, "most": 0.4},
        "torch.optim.Rprop([x], lr=0.2, etas=(0.3, 1.5), step_sizes=(0.05, 0.4))",
    ),
    Case(
        "gd",
        {"lr": 0.02, "schedule": "step", "period": 3, "decay": 0.5},
        "torch.optim.SGD([x], lr=0.02)",
        "torch.optim.lr_scheduler.StepLR(o, 3, 0.5)",
    ),
    Case(
        "adam",
        {"lr": 0.1, "schedule": "cosine", "period": 4, "growth": 2, "final": 0.01, "warmup": 3},
        "torch.optim.Adam([x], lr=0.1)",
        WARM.format(w=3, w1=4, s=f"{COSINE}(o, 4, 2, 0.01)"),
    ),
    Case(
        "nadam",
        {"lr": 0.1, "schedule": "polynomial", "period": 8, "power": 0.5},
        "torch.optim.NAdam([x], lr=0.1)",
        "torch.optim.lr_scheduler.PolynomialLR(o, 8, 0.5)",
    ),
]

SGD = "torch.optim.SGD([x], lr=0.1)"
SCHEDULES = [
    Case("constant", {}, SGD, "torch.optim.lr_scheduler.ConstantLR(o, 1.0)"),
    Case("constant", {"warmup": 5}, SGD, "torch.optim.lr_scheduler.LinearLR(o, 1/6, 1.0, 5)"),
    Case("step", {"period": 7, "decay": 0.5}, SGD, "torch.optim.lr_scheduler.StepLR(o, 7, 0.5)"),
    Case("exponential", {"period": 1, "decay": 0.9}, SGD, "torch.optim.lr_scheduler.ExponentialLR(o, 0.9)"),
    Case("exponential", {"period": 8, "decay": 0.5}, SGD, "torch.optim.lr_scheduler.ExponentialLR(o, 0.5**0.125)"),
    Case("inverse", {"period": 8}, SGD, "torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1/(1 + t/8))"),
    Case("inverse", {"period": 1, "power": 0.5}, SGD, "torch.optim.lr_scheduler.LambdaLR(o, lambda t: (1 + t)**-0.5)"),
    Case("polynomial", {"period": 25}, SGD, "torch.optim.lr_scheduler.PolynomialLR(o, 25, 1.0)"),
    Case("polynomial", {"period": 25, "power": 2}, SGD, "torch.optim.lr_scheduler.PolynomialLR(o, 25, 2.0)"),
    Case("polynomial", {"period": 50, "power": 0.9}, SGD, "torch.optim.lr_scheduler.PolynomialLR(o, 50, 0.9)"),
    Case("polynomial", {"period": 5, "final": 0.02}, SGD, "torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, 5)"),
    Case("cosine", {"period": 10, "final": 0.01}, SGD, f"{COSINE}(o, 10, 1, 0.01)"),
    Case("cosine", {"period": 4, "growth": 2}, SGD, f"{COSINE}(o, 4, 2)"),
    Case("cosine", {"period": 1, "growth": 3}, SGD, f"{COSINE}(o, 1, 3)"),
    Case(
        "one-cycle",
        {"period": 40, "final": 4e-7},
        SGD,
        'torch.optim.lr_scheduler.OneCycleLR(o, 0.1, 40, anneal_strategy="linear", cycle_momentum=False, '
        "three_phase=True)",
    ),
    Case("cosine", {"period": 10, "warmup": 5}, SGD, WARM.format(w=5, w1=6, s=f"{COSINE}(o, 10)")),
    Case(
        "step",
        {"period": 6, "decay": 0.3, "warmup": 9},
        SGD,
        WARM.format(w=9, w1=10, s="torch.optim.lr_scheduler.StepLR(o, 6, 0.3)"),
    ),
    Case(
        "plateau",
        {"decay": 0.5, "patience": 2, "final": 0.03},
        SGD,
        "torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2, min_lr=0.03, eps=0.0)",
    ),
]


def torch_steps(case: Case) -> list[list[float]]:
    """x after each of ten steps."""
    import torch

    torch.set_default_dtype(torch.float64)
    x = torch.tensor(START, requires_grad=True)
    o = eval(case.call, {"torch": torch, "x": x})  # a literal above
    s = eval(case.scheduler, {"torch": torch, "o": o}) if case.scheduler else None
    points = []
    for _ in range(STEPS):
        o.zero_grad()
        a, b, c = x
        ((1 - a) ** 2 + 5 * (b - a**2) ** 2 + torch.cosh(c) + a * c / 2).backward()
        o.step()
        if s is not None:
            s.step()
        points.append(x.detach().tolist())
    return points


def optax_steps(case: Case) -> list[list[float]]:
    """x after each of ten steps."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    o = eval(case.call, {"optax": optax})  # a literal above
    x = jax.numpy.array(START)
    state = o.init(x)
    slope = jax.grad(lambda x: (1 - x[0]) ** 2 + 5 * (x[1] - x[0] ** 2) ** 2 + jax.numpy.cosh(x[2]) + x[0] * x[2] / 2)
    points = []
    for _ in range(STEPS):
        s, state = o.update(slope(x), state, x)
        x = x + s
        points.append(x.tolist())
    return points


def torch_rates(case: Case) -> list[float]:
    """The learning rate of each of the first updates."""
    import torch

    torch.set_default_dtype(torch.float64)
    x = torch.zeros(1, requires_grad=True)
    o = eval(case.call, {"torch": torch, "x": x})
    s = eval(case.scheduler, {"torch": torch, "o": o})
    rates = []
    for i in range(len(VALUES) if case.method == "plateau" else RATES):
        if case.method == "plateau":
            s.step(VALUES[i])  # ours sees the value before the update, too
        rates.append(float(o.param_groups[0]["lr"]))
        o.step()
        if case.method != "plateau" and i + 1 < RATES:
            s.step()
    return rates


def library_of(case: Case) -> str:
    return case.call.partition(".")[0]


STEPPERS = {"torch": torch_steps, "optax": optax_steps}


def main() -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"steps": [], "rates": []}
    found: dict[str, Any] = {"function": FUNCTION, "start": START, "values": VALUES, "steps": [], "rates": []}
    for kind, cases in (("steps", CASES), ("rates", SCHEDULES)):
        old = {json.dumps(row["case"]): row for row in kept[kind]}
        for case in cases:
            name = library_of(case)
            try:
                version = importlib.import_module(name).__version__
            except ImportError:
                key = json.dumps(case._asdict())
                if key not in old:
                    print(f"there is no {name} here for {case}")
                found[kind] += [old[key]] if key in old else []
                continue
            numbers = STEPPERS[name](case) if kind == "steps" else torch_rates(case)
            assert all(math.isfinite(number) for row in numbers for number in (row if isinstance(row, list) else [row]))
            source = f"{name} {version}, {datetime.date.today()}"
            found[kind].append({"case": case._asdict(), "source": source, "numbers": numbers})
    rows = ",\n".join(f' "{key}": {_lines(value)}' for key, value in found.items())
    FILE.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join("  " + json.dumps(row) for row in value) + "\n ]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
