"""Eager Tensors: the document's loop, torch's manners (expectations noted from torch 2.13), all rows of the table."""

import copy
import gc
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from optcli.autograd import ops
from optcli.autograd.gradient import gradient
from optcli.autograd.graph import Builder, Graph
from optcli.autograd.ops import OPS, Op
from optcli.autograd.products import Contract, Norm
from optcli.autograd.structural import Broadcast, Gather, Reshape, Scatter, Strided, Sum, Take
from optcli.autograd.tensor import Tensor, no_grad, tensor
from optcli.engine.numpy_engine import evaluate

# ------------------------------------------------------------------ the document's loop (issue 2, section 4)

GOLDEN = {
    100: (0.35029246978084444, [-0.6676852329110925, -0.5771310972800918]),
    500: (0.0039907161524854904, [-0.02651927777881584, -0.05206312665164581]),
    1000: (6.962694008850682e-05, [-0.0032222025458647236, -0.006654080512732419]),
}


def test_the_documents_loop():
    x = tensor([-1.0, 1.0], requires_grad=True)
    for i in range(1, 1001):
        value = (1 - x[0]) ** 2 + 5 * (x[1] - x[0] ** 2) ** 2
        value.backward()
        if i in GOLDEN:
            assert value.item() == pytest.approx(GOLDEN[i][0], rel=1e-12)
            assert x.grad.tolist() == pytest.approx(GOLDEN[i][1], rel=1e-12)
        with no_grad():
            x.sub_(0.01 * x.grad)
            x.grad.zero_()
    assert x.tolist() == pytest.approx([0.9918216738881531, 0.9830474495799582], rel=1e-12)


# ------------------------------------------------------------------ the gradient is the graph's

DIFFERENTIABLE = [op for op in OPS.values() if op.many or any(p is not None for p in op.partials)]


def both_gradients(op, points, fixed=()):
    """d sum(weights * op(points)) by a Tensor and by the graph; arguments numbered in `fixed` are constants."""
    shape = np.shape(op.kernel(*points)) if isinstance(op, Op) else op.out_shape([np.shape(p) for p in points])
    weights = np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape)
    leaves = [p if k in fixed else tensor(p, requires_grad=True) for k, p in enumerate(points)]
    (op(*leaves) * weights).backward(np.ones(shape))
    builder = Builder()
    nodes = [builder.constant(p) if k in fixed else builder.input(k, np.shape(p)) for k, p in enumerate(points)]
    inputs = [node for k, node in enumerate(nodes) if k not in fixed]
    product = op(*nodes) * weights
    graph = gradient(Graph.of(inputs, [Sum(tuple(range(len(shape))), shape)(product)]))
    values = evaluate(graph, [p for k, p in enumerate(points) if k not in fixed])
    eager = [leaf.grad.numpy() for k, leaf in enumerate(leaves) if k not in fixed]
    return eager, values[1:]


@pytest.mark.parametrize("shapes", [[()], [(5,)], [(2, 3), (3,), (2, 1)], [(), (4,), (4,)]], ids=str)
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_gradient_of_every_row_is_that_of_the_graph(op, shapes):
    random = np.random.default_rng(7)
    points = [
        np.float64(low) if low == high else random.uniform(low, high, shapes[k % len(shapes)])[()]
        for k, (low, high) in enumerate(op.domain)
    ]
    fixed = [k for k, (low, high) in enumerate(op.domain) if low == high]
    for eager, graph in zip(*both_gradients(op, points, fixed), strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-14, atol=0)
        assert np.isfinite(eager).all()


MATRIX = np.arange(12.0).reshape(3, 4) - 5.5
STRUCTURAL = {
    "entry": (Take(Strided(5, (), ()), (3, 4)), [MATRIX]),
    "columns": (Take(Strided(1, (4, 2), (3, 2)), (3, 4)), [MATRIX]),
    "windows": (Take(Strided(0, (1, 1), (3, 2)), (4,)), [MATRIX[0]]),
    "gather": (Take(Gather(np.array([[0, 0], [11, 3]])), (3, 4)), [MATRIX]),
    "scatter": (Scatter((Strided(0, (1,), (3,)), Strided(2, (1,), (3,))), (6,)), [MATRIX[0, :3], MATRIX[1, :3]]),
    "reshape": (Reshape((2, 6), (3, 4)), [MATRIX]),
    "broadcast": (Broadcast((2, 3, 4)), [MATRIX[:, :1]]),
    "sum": (Sum((0,), (3, 4)), [MATRIX]),
    "matrix times matrix": (Contract((0, 1), (1, 2), (0, 2)), [MATRIX, MATRIX.T[:, :2]]),
    "dot": (Contract((0,), (0,), ()), [MATRIX[0], MATRIX[1]]),
    "norm": (Norm((3, 4)), [MATRIX]),
}


@pytest.mark.parametrize("case", STRUCTURAL)
def test_gradient_of_structural_operations_is_that_of_the_graph(case):
    for eager, graph in zip(*both_gradients(*STRUCTURAL[case]), strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("f", "x", "value", "slope"),
    [
        (lambda x: ops.where(x < 1, x, x.sqrt()), 0.0, 0.0, 1.0),
        (lambda x: ops.where(x > 0, x.sqrt(), 0.0), 0.0, 0.0, 0.0),
        (lambda x: (x**2) ** 0.5, 0.0, 0.0, 0.0),
        (lambda x: (800 + x).softplus(), 0.0, 800.0, 1.0),
        (abs, 0.0, 0.0, 0.0),
        (lambda x: x.maximum(0), 0.0, 0.0, 0.5),
        (lambda x: x.sign(), 0.0, 0.0, 0.0),
        (lambda x: x**2, 0.0, 0.0, 0.0),
        (lambda x: x**3, 0.0, 0.0, 0.0),
        (lambda x: 1 / x, 0.0, np.inf, -np.inf),
        (lambda x: x.log(), -1.0, np.nan, -1.0),
        (lambda x: (x * 1e308).exp(), 1.0, np.inf, np.inf),
    ],
)
def test_conventions_and_values_that_are_not_finite(f, x, value, slope):
    leaf = tensor(x, requires_grad=True)
    result = f(leaf)
    result.backward()
    np.testing.assert_equal([result.item(), leaf.grad.item()], [value, slope])


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: (x + np.array([[1.0], [2.0]])).sum(), [2.0, 2.0, 2.0]),
        (lambda x: (x * np.array([[1.0], [2.0]])).sum(), [3.0, 3.0, 3.0]),
        (lambda x: (x[0] * np.ones((4, 2))).sum(), [8.0, 0.0, 0.0]),
        (lambda x: x.sum(), [1.0, 1.0, 1.0]),
        (lambda x: x.mean(), [1 / 3, 1 / 3, 1 / 3]),
        (lambda x: (x.reshape(3, 1) * x).sum(axis=0)[1], [2.0, 6.0, 2.0]),
        (lambda x: (x.reshape(3, 1) * x).sum(axis=-1, keepdims=True)[1, 0], [2.0, 6.0, 2.0]),
        (lambda x: (x.reshape(3, 1) * x).mean(axis=(0, 1)), [8 / 9, 8 / 9, 8 / 9]),
        (lambda x: x @ x, [2.0, 4.0, 2.0]),
        (lambda x: x.dot(np.array([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0]),
        (lambda x: np.array([1.0, 2.0, 3.0]) @ x, [1.0, 2.0, 3.0]),
        (lambda x: (np.arange(6.0).reshape(2, 3) @ x)[1], [3.0, 4.0, 5.0]),
        (lambda x: (x @ np.arange(6.0).reshape(3, 2))[1], [1.0, 3.0, 5.0]),
        (lambda x: x.reshape(1, 3) @ x.reshape(-1, 1), [2.0, 4.0, 2.0]),
        (lambda x: (x[None, :].T * x).sum(), [8.0, 8.0, 8.0]),
        (lambda x: x.norm() ** 2, [2.0, 4.0, 2.0]),
        (lambda x: x[np.array([0, 0, 2])].sum(), [2.0, 0.0, 1.0]),
        (lambda x: x[[True, False, True]].sum(), [1.0, 0.0, 1.0]),
        (lambda x: x[::-2][0], [0.0, 0.0, 1.0]),
        (lambda x: x[-1], [0.0, 0.0, 1.0]),
        (lambda x: x[..., None][1:, 0].sum(), [0.0, 1.0, 1.0]),
        (lambda x: sum(x), [1.0, 1.0, 1.0]),
        (lambda x: x.where(x > 1, 0.0).sum(), [0.0, 1.0, 0.0]),
        (lambda x: np.maximum(x, 1.0).sum(), [0.5, 1.0, 0.5]),
        (lambda x: np.minimum(np.zeros(3), x).sum(), [0.0, 0.0, 0.0]),
        (lambda x: (np.exp(x) * np.float64(2.0)).sum(), [2 * np.e, 2 * np.exp(2.0), 2 * np.e]),
        (lambda x: (np.array([2.0, 3.0, 4.0]) ** x).sum(), [2 * np.log(2), 9 * np.log(3), 4 * np.log(4)]),
        (lambda x: (np.array([2.0, 3.0, 4.0]) % x).sum(), [-2.0, -1.0, -4.0]),
        (lambda x: (np.array([2, 3, 4]) / x - np.array([1.0]) + True).sum(), [-2.0, -0.75, -4.0]),
        (lambda x: (-x + +x - x * 3).sum(), [-3.0, -3.0, -3.0]),
        (lambda x: x.clone().sum() + x.detach().sum(), [1.0, 1.0, 1.0]),
    ],
)
def test_gradients_by_hand_at_1_2_1(f, expected):
    x = tensor([1.0, 2.0, 1.0], requires_grad=True)
    result = f(x)
    assert isinstance(result, Tensor)
    result.backward()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-15)


def test_methods_come_from_the_table():
    x = tensor([0.3, 0.6])
    for op in OPS.values():
        if op.arity == 1 and op.name != "not":
            with np.errstate(all="ignore"):
                expected = op.kernel(x.numpy())
            np.testing.assert_array_equal(getattr(x, op.name)().numpy(), expected, err_msg=op.name)


# ------------------------------------------------------------------ derivatives of derivatives


def test_third_derivative():
    x = tensor(3.0, requires_grad=True)
    (x**4).backward(create_graph=True)
    for expected in (108.0, 108.0, 72.0):
        slope, x.grad = x.grad, None
        assert slope.item() == expected
        slope.backward(create_graph=True)
    assert x.grad.item() == 24.0


def test_hessian_by_rows():
    x = tensor([0.5, -0.25], requires_grad=True)
    (x[0].exp() * x[1] ** 2 + (x[0] * x[1]).sin()).backward(create_graph=True)
    slopes, rows = x.grad, []
    for k in range(2):
        x.grad = None
        slopes[k].backward(retain_graph=True)
        rows.append(x.grad.tolist())
    a, b = 0.5, -0.25
    s, c, e = np.sin(a * b), np.cos(a * b), np.exp(a)
    mixed = 2 * e * b + c - a * b * s
    np.testing.assert_allclose(rows, [[e * b * b - b * b * s, mixed], [mixed, 2 * e - a * a * s]], rtol=1e-14)


def test_create_graph_also_reaches_the_gradient_that_was_given():
    x, v = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    (x * x).backward(v, create_graph=True)
    assert x.grad.tolist() == [6.0, 16.0]
    x.grad.sum().backward()
    assert v.grad.tolist() == [2.0, 4.0]
    assert x.grad.tolist() == [12.0, 24.0]  # 2*x*v, then 2*v more


def test_gradients_accumulate_in_the_same_memory_or_in_a_new_tensor():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x**2).sum().backward()
    first = x.grad
    (x**2).sum().backward()
    assert x.grad is first
    assert first.tolist() == [4.0, 8.0]
    (x**2).sum().backward(create_graph=True)
    assert x.grad is not first
    assert x.grad.tolist() == [6.0, 12.0]
    assert x.grad.requires_grad


# ------------------------------------------------------------------ requires_grad, grad, backward


def test_results_inherit_and_intermediate_gradients_are_dropped():
    a = tensor([2.0, 3.0], requires_grad=True)
    b, d = a * a, a * 2
    (b.sum() + d.sum() + tensor(1.0)).backward()
    assert b.requires_grad
    assert (a.is_leaf, b.is_leaf) == (True, False)
    assert (b.grad, d.grad) == (None, None)
    assert a.grad.tolist() == [6.0, 8.0]
    assert a.grad.requires_grad is False
    assert (tensor(1.0) * 2).requires_grad is False


def test_retain_grad():
    a = tensor([2.0, 3.0], requires_grad=True)
    b = a * a
    b.retain_grad()
    c = (b * 2).sum()
    c.backward(retain_graph=True)
    assert b.grad.tolist() == [2.0, 2.0]
    c.backward()
    assert b.grad.tolist() == [4.0, 4.0]
    b = a * a
    b.retain_grad()
    b.mul_(3)
    b.sum().backward()
    assert b.grad.tolist() == [1.0, 1.0]  # of what it is now
    a.retain_grad()
    with pytest.raises(RuntimeError, match="does not require grad"):
        tensor(1.0).retain_grad()


def test_backward_with_a_gradient():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.backward(tensor([1.0, 10.0]), retain_graph=True)
    y.backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [4.0, 80.0]
    one = tensor([3.0], requires_grad=True)
    (one * one).backward()  # one entry is scalar enough
    assert one.grad.tolist() == [6.0]
    one.grad = None
    one.backward()
    assert one.grad.tolist() == [1.0]


def changed_saved():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    z.sum().backward()


def changed_saved_under_no_grad(change):
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    total = y.sum()
    with no_grad():
        change(y)
    total.backward()


def second_time(f, times=2):
    x = tensor([1.0, 2.0], requires_grad=True)
    total = f(x)
    for _ in range(times):
        total.backward()
    return x.grad.tolist()


REFUSED = {
    "more than one entry": (lambda: (tensor([1.0, 2.0], requires_grad=True) * 2).backward(), "only a scalar"),
    "nothing requires grad": (lambda: tensor([1.0]).sum().backward(), "requires grad"),
    "other shape": (lambda: (tensor([1.0, 2.0], requires_grad=True) * 2).backward(tensor([1.0])), "shape"),
    "second time, product": (lambda: second_time(lambda x: (x * x).sum()), "second time.*mul.*retain_graph"),
    "second time, a constant saved": (lambda: second_time(lambda x: (x * 2).sum()), "second time"),
    "changed before backward": (changed_saved, "changed in place"),
    "changed under no_grad": (lambda: changed_saved_under_no_grad(lambda y: y.mul_(2)), "changed in place"),
    "changed by index": (lambda: changed_saved_under_no_grad(lambda y: y.__setitem__(0, 5)), "changed in place"),
    "changed through a view": (lambda: changed_saved_under_no_grad(lambda y: y[1:].zero_()), "changed in place"),
    "changed through detach": (lambda: changed_saved_under_no_grad(lambda y: y.detach().fill_(1)), "changed in place"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_backward_refuses(case):
    run, words = REFUSED[case]
    with pytest.raises(RuntimeError, match=words):
        run()


def test_a_scalar_that_was_saved_is_guarded_too():
    x = tensor(1.0, requires_grad=True)
    y = x.exp()
    z = y * 2
    with no_grad():
        y.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("f", "twice"),
    [
        (lambda x: (x + 2).sum(), [2.0, 2.0]),
        (lambda x: x[0], [2.0, 0.0]),
        (lambda x: (-x).sum(), [-2.0, -2.0]),
        (lambda x: x.reshape(2, 1).T.sum(), [2.0, 2.0]),
    ],
)
def test_operations_that_save_nothing_go_backward_twice(f, twice):
    assert second_time(f) == twice


def test_what_an_operation_does_not_need_may_change():
    x = tensor([1.0, 2.0], requires_grad=True)
    y, z = x * 3, x + x
    with no_grad():
        x.add_(1)  # d(3*x) needs the 3 alone
    (y + z).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_requires_grad_of_leaves_can_be_changed_and_of_results_not():
    x = tensor([1.0, 2.0])
    assert x.requires_grad_() is x
    y = x * x
    x.requires_grad = False
    y.sum().backward()  # nobody wants it any more
    assert x.grad is None
    assert y.requires_grad_(True) is y
    with pytest.raises(RuntimeError, match="leaves"):
        y.requires_grad_(False)


def test_grad_can_be_set_to_a_tensor_of_that_shape_or_none():
    x = tensor([1.0, 2.0], requires_grad=True)
    x.grad = tensor([5.0, 5.0])
    x.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(RuntimeError, match="shape"):
        x.grad = tensor([1.0])
    with pytest.raises(TypeError, match="Tensor or None"):
        x.grad = 1.0


# ------------------------------------------------------------------ no_grad


def test_no_grad_as_context_and_decorator():
    x = tensor([1.0], requires_grad=True)

    @no_grad()
    def called(x):
        """Doubles."""
        return x * 2

    @no_grad
    def plain(x):
        return x * 2

    @no_grad
    def generated(x):
        sent = yield x * 2
        try:
            yield x * sent
        except KeyError:
            yield x * 3

    assert called.__doc__ == "Doubles."
    assert [f(x).requires_grad for f in (called, plain)] == [False, False]
    steps = generated(x)
    assert next(steps).requires_grad is False
    assert (x * 2).requires_grad  # while the generator waits
    assert steps.send(5.0).tolist() == [5.0]
    assert steps.throw(KeyError()).requires_grad is False
    assert list(steps) == []
    switch = no_grad()
    with switch:
        with switch, pytest.raises(ZeroDivisionError):
            1 / 0  # noqa: B018
        assert not (x * 2).requires_grad
        assert not x[0].requires_grad
        assert tensor(1.0, requires_grad=True).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_holds_for_its_thread_only():
    x = tensor([1.0], requires_grad=True)
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_backward_inside_no_grad():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x**2).sum()
    with no_grad():
        y.backward(create_graph=True)
    assert x.grad.tolist() == [2.0, 4.0]
    assert x.grad.requires_grad


# ------------------------------------------------------------------ changes in place

IN_PLACE = {
    "sub_": (lambda t: t.sub_(1), [1.0, 3.0]),
    "add_": (lambda t: t.add_(tensor([1.0, 2.0])), [3.0, 6.0]),
    "mul_": (lambda t: t.mul_(np.array([2.0, 3.0])), [4.0, 12.0]),
    "div_": (lambda t: t.div_(0), [np.inf, np.inf]),
    "pow_": (lambda t: t.pow_(2), [4.0, 16.0]),
    "zero_": (lambda t: t.zero_(), [0.0, 0.0]),
    "fill_": (lambda t: t.fill_(7), [7.0, 7.0]),
    "copy_": (lambda t: t.copy_(t.detach()[::-1]), [4.0, 2.0]),
    "t[0] =": (lambda t: t.__setitem__(0, 9.0), [9.0, 4.0]),
    "t[:] =": (lambda t: t.__setitem__(slice(None), tensor(1.0)), [1.0, 1.0]),
    "t[mask] =": (lambda t: t.__setitem__(np.array([False, True]), -1), [2.0, -1.0]),
    "-=": (lambda t: t.__isub__(1), [1.0, 3.0]),
    "+=": (lambda t: t.__iadd__(1), [3.0, 5.0]),
    "*=": (lambda t: t.__imul__(t), [4.0, 16.0]),
    "/=": (lambda t: t.__itruediv__(2), [1.0, 2.0]),
    "**=": (lambda t: t.__ipow__(2), [4.0, 16.0]),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_changes_in_place(case):
    change, expected = IN_PLACE[case]
    leaf = tensor([2.0, 4.0], requires_grad=True)
    for t in (leaf, leaf[:]):
        with pytest.raises(RuntimeError, match=r"in place.*no_grad"):
            change(t)
    assert leaf.tolist() == [2.0, 4.0]
    memory = leaf.numpy()
    with no_grad():
        assert change(leaf) in (leaf, None) if case.startswith("t[") else change(leaf) is leaf
    assert leaf.tolist() == expected
    assert memory.tolist() == expected
    assert leaf.is_leaf
    assert leaf.requires_grad


def in_place(f):
    """Gradients of two leaves through a program that changes things in place."""
    x, b = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    f(x * 1, b).backward()
    return [None if leaf.grad is None else leaf.grad.tolist() for leaf in (x, b)]


def write_entries(a, b):
    a[0] = 7
    return (a * a).sum()


def write_through_a_view(a, b):
    first, second = a[0], a[1]
    first.mul_(b[1])
    return a.sum() + second + first


def write_into_plain(a, b):
    out = tensor([0.0, 0.0, 0.0])
    view = out[1:]
    out[0] = b[0]
    view.copy_(a * b)
    assert view.requires_grad
    assert not out.is_leaf
    return (out * out).sum()


def write_into_a_transpose(a, b):
    square = b + np.array([[1.0], [2.0]])
    square.T[1] = a[1]
    return (square * square).sum()


def write_picked(a, b):
    a[np.array([1, 0])] = b
    return a[0]


def write_into_a_view_of_a_view(a, b):
    a.reshape(2, 1)[1:].T.add_(b[0])
    return (a * a).sum()


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda a, b: a.mul_(b).sum(), [[3.0, 4.0], [1.0, 2.0]]),
        (lambda a, b: a.div_(b).sum(), [[1 / 3, 1 / 4], [-1 / 9, -2 / 16]]),
        (lambda a, b: a.sub_(b).pow_(2).sum(), [[-4.0, -4.0], [4.0, 4.0]]),
        (lambda a, b: a.zero_().sum(), [[0.0, 0.0], None]),
        (lambda a, b: a.copy_(b[1]).sum(), [[0.0, 0.0], [0.0, 2.0]]),
        (lambda a, b: tensor([0.0, 1.0]).add_(a).mul_(b).sum(), [[3.0, 4.0], [1.0, 3.0]]),
        (write_entries, [[0.0, 4.0], None]),
        (write_through_a_view, [[8.0, 2.0], [0.0, 2.0]]),
        (write_into_plain, [[18.0, 64.0], [12.0, 32.0]]),
        (write_into_a_transpose, [[0.0, 8.0], [18.0, 0.0]]),
        (write_picked, [[0.0, 0.0], [0.0, 1.0]]),
        (write_into_a_view_of_a_view, [[2.0, 10.0], [10.0, 0.0]]),
    ],
)
def test_history_follows_changes_in_place(f, expected):
    assert in_place(f) == expected


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda a, b: a.mul_(a).sum(), "changed in place"),
        (lambda a, b: a.sub_(tensor([[1.0], [2.0]])), "no room"),
        (lambda a, b: a.__setitem__(0, b), "do not fit"),
        (lambda a, b: a.fill_(np.ones(3)), "do not fit"),
    ],
)
def test_changes_in_place_are_refused(run, words):
    with pytest.raises(RuntimeError, match=words):
        in_place(run)


def test_a_view_made_under_no_grad_is_not_changed_outside():
    base, x = tensor([1.0, 2.0]), tensor(3.0, requires_grad=True)
    with no_grad():
        view = base[:1]
    view.add_(1)
    with pytest.raises(RuntimeError, match="made under no_grad"):
        view.mul_(x)
    assert base.tolist() == [2.0, 2.0]
    base.mul_(x)
    assert (base.requires_grad, view.requires_grad, view.tolist()) == (True, False, [6.0])


# ------------------------------------------------------------------ memory, ways out, ways in


def test_views_share_memory_and_copies_do_not():
    x = tensor(np.arange(6.0).reshape(2, 3))
    views = [
        x[1],
        x[:, ::2],
        x.T,
        x.reshape(-1),
        x[0, 1],
        x.detach(),
        x.T.detach()[0],
        x[..., None].T[0, 1],
        x[1].reshape(3, 1),
    ]
    copies = [x[[1]], x.clone(), x.T.reshape(6), x + 0, tensor(x), tensor(x.numpy())]
    was = [t.tolist() for t in copies]
    x.mul_(10)
    assert [t.tolist() for t in views] == [
        [30.0, 40.0, 50.0],
        [[0.0, 20.0], [30.0, 50.0]],
        [[0.0, 30.0], [10.0, 40.0], [20.0, 50.0]],
        [0.0, 10.0, 20.0, 30.0, 40.0, 50.0],
        10.0,
        [[0.0, 10.0, 20.0], [30.0, 40.0, 50.0]],
        [0.0, 30.0],
        [10.0, 40.0],
        [[30.0], [40.0], [50.0]],
    ]
    assert [t.tolist() for t in copies] == was
    views[2][1, 0] = -1.0
    assert x.tolist()[0] == [0.0, -1.0, 20.0]
    assert (x.T + x.T)[1].tolist() == [-2.0, 80.0]
    scalar = tensor(1.0) * 2
    shared = scalar.detach()
    scalar.add_(1)
    assert shared.item() == 3.0


def test_numpy_shares_memory_also_of_leaves_that_require_grad():
    x = tensor([1.0, 2.0], requires_grad=True)
    array = x.numpy()
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float64
    array[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
    assert tensor(2.0).numpy().shape == ()
    with pytest.raises(RuntimeError, match=r"say \.numpy\(\)"):
        np.asarray(x)
    np.testing.assert_array_equal(x.detach(), [5.0, 2.0])


def test_plain_forms():
    x = tensor([[1, 2], [3, 4]])
    assert (x.shape, x.size(), x.ndim, x.numel(), len(x)) == ((2, 2), (2, 2), 2, 4, 2)
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert (float(tensor([2.5])), int(tensor(2.5)), bool(tensor([0.0])), tensor([[3.5]]).item()) == (2.5, 2, False, 3.5)
    assert 3.0 in x[1]
    assert 5.0 not in x[1]
    assert f"{tensor(1.0):.3f} {tensor(2.0)} {tensor([1.0])}" == "1.000 2.0 tensor([1.0])"
    assert len({x, x, x.T}) == 2
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True


def test_comparisons_give_ones_and_zeros_without_gradient():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    for flags, expected in [
        (x < 2, [1, 0, 0]),
        (x <= tensor(2.0), [1, 1, 0]),
        (x > np.array([2.0]), [0, 0, 1]),
        (x >= 2, [0, 1, 1]),
        (x == 2, [0, 1, 0]),
        (x != 2, [1, 0, 1]),
        (np.array([3.0, 2.0, 1.0]) < x, [0, 0, 1]),
        (np.array([3.0, 2.0, 1.0]) >= x, [1, 1, 0]),
        (2 == x, [0, 1, 0]),  # noqa: SIM300
    ]:
        assert isinstance(flags, Tensor)
        assert flags.tolist() == expected
        assert not flags.requires_grad
    with pytest.raises(RuntimeError, match="not one number"):
        bool(x < 2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tensor([1, 2], requires_grad=True), "tensor([1.0, 2.0], requires_grad=True)"),
        (lambda: tensor(0.1) * 3, "tensor(0.30000000000000004)"),
        (lambda: tensor(2.0, requires_grad=True) * 3, "tensor(6.0, grad_fn=<mul>)"),
        (lambda: tensor([2.0], requires_grad=True)[0], "tensor(2.0, grad_fn=<take>)"),
        (lambda: tensor([[1.0, np.nan], [-np.inf, 1e-9]]), "tensor([[1.0, nan],\n        [-inf, 1e-09]])"),
        (lambda: tensor([]), "tensor([])"),
        (lambda: tensor(np.zeros((0, 3))), "tensor([], size=(0, 3))"),
        (lambda: tensor(np.arange(2000)), "tensor([0.0, 1.0, 2.0, ..., 1997.0, 1998.0, 1999.0])"),
    ],
)
def test_repr(make, text):
    assert repr(make()) == text


V, M, S = [1.0, 2.0], [[1.0, 2.0, 3.0]], 1.0


@pytest.mark.parametrize(
    ("error", "run"),
    [
        (TypeError, lambda: tensor("12")),
        (TypeError, lambda: tensor([None])),
        (TypeError, lambda: tensor([1j])),
        (ValueError, lambda: tensor([[1.0], [1.0, 2.0]])),
        (TypeError, lambda: tensor(V) - [1.0, 2.0]),
        (TypeError, lambda: tensor(V) + None),
        (TypeError, lambda: "1" * tensor(V)),
        (TypeError, lambda: tensor(V) * 1j),
        (TypeError, lambda: tensor(V).__setitem__(0, "a")),
        (RuntimeError, lambda: tensor(V) + tensor([1.0, 2.0, 3.0])),
        (RuntimeError, lambda: tensor(V) @ tensor(M)),
        (RuntimeError, lambda: tensor(V) @ 2.0),
        (RuntimeError, lambda: tensor(V).reshape(3)),
        (RuntimeError, lambda: tensor(V).reshape(-1, -1)),
        (RuntimeError, lambda: tensor(V).item()),
        (ValueError, lambda: float(tensor(V))),
        (RuntimeError, lambda: bool(tensor([]))),
        (TypeError, lambda: len(tensor(S))),
        (TypeError, lambda: iter(tensor(S))),
        (IndexError, lambda: tensor(V)[2]),
        (IndexError, lambda: tensor(V)[-3]),
        (IndexError, lambda: tensor(V)[0, 0]),
        (IndexError, lambda: tensor(V)[..., ...]),
        (IndexError, lambda: tensor(S)[0]),
        (IndexError, lambda: tensor(V)[[5]]),
        (IndexError, lambda: tensor(V)["a"]),
        (IndexError, lambda: tensor(V)[tensor(V) > 1]),
        (IndexError, lambda: tensor(V).sum(axis=1)),
        (RuntimeError, lambda: tensor(M).sum(axis=(0, -2))),
        (TypeError, lambda: np.arctan(tensor(V), out=np.zeros(2))),
        (TypeError, lambda: np.add.reduce(tensor(V))),
    ],
)
def test_errors(error, run):
    with pytest.raises(error):
        run()


def test_leaves_can_be_copied_and_pickled():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (twin.tolist(), twin.requires_grad, twin.grad.tolist()) == ([1.0, 2.0], True, [2.0, 4.0])
        twin.detach().zero_()
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 1)


def test_what_the_caller_changes_later_is_not_seen():
    data, weights, seed = np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1.0, 1.0])
    x = tensor(data, requires_grad=True)
    y = x * weights
    x.backward(seed)
    for array in (data, weights, seed):
        array[:] = -100.0
    y.backward(tensor([1.0, 1.0]))
    assert x.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [4.0, 5.0]


# ------------------------------------------------------------------ long chains


def test_a_hundred_thousand_nodes():
    y = tensor(0.5, requires_grad=True)
    z = y
    for _ in range(100_000):
        z = z * 1.00001
    z.backward()
    assert y.grad.item() == pytest.approx(1.00001**100_000, rel=1e-9)


LONG = """
import threading
from optcli.autograd.tensor import tensor
def chains():
    x = tensor([0.5, 1.0], requires_grad=True)
    z = x.sum()
    for _ in range(200_000):
        z = z + 1.0
    del z
    a = x * 1
    for _ in range(2_000):
        a.add_(1.0)
        a[0].mul_(1.0)
    a.sum().backward(create_graph=True)
    assert x.grad.tolist() == [1.0, 1.0]
    print("freed")
threading.stack_size(256 * 1024)
thread = threading.Thread(target=chains)
thread.start()
thread.join()
"""


def test_long_chains_are_freed_on_a_small_stack():
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "freed\n"), done.stderr[-500:]


def test_graphs_are_freed_without_the_collector():
    gc.disable()
    try:
        before = sum(type(thing) is Tensor for thing in gc.get_objects())
        x = tensor([1.0, 2.0], requires_grad=True)
        y = (x[0].exp() * x.sum()).sin()
        y.retain_grad()
        y.backward()
        del x, y
        assert sum(type(thing) is Tensor for thing in gc.get_objects()) == before
    finally:
        gc.enable()
