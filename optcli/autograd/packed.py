"""Stored graphs as bytes and back: JSON with arrays in base64, checked piece by piece when read.

What comes back can do nothing but compute: operations are named, and every place that they read or write lies inside
of its array, as native code relies on it.
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optcli.autograd.ops import OPS, Op, Operation, Shape
from optcli.autograd.products import Contract, Norm
from optcli.autograd.stored import CONSTANT, INPUT, DamagedError, Stored
from optcli.autograd.structural import Broadcast, Gather, Places, Reshape, Scatter, Strided, Sum, Take

KINDS = {"f": np.dtype("<f8"), "i": np.dtype("<i8")}
MOST_ENTRIES = 2**40  # of any array that a graph makes: far beyond every memory, well within 64 bits
BYTES_OF_ROW = 8  # at least, in JSON
BREAKS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, MemoryError)


def at_least(graph: Stored) -> int:
    """A number of bytes that the graph will surely need, found quickly."""
    places: list[Places] = []
    for op in graph.operations:
        places += [op.places] if isinstance(op, Take) else op.places if isinstance(op, Scatter) else ()
    tables = [each.index for each in places if isinstance(each, Gather)]
    return BYTES_OF_ROW * len(graph.rows) + sum([int(array.nbytes) for array in (*graph.constants, *tables)])


def pack(graph: Stored) -> bytes:
    """The graph as bytes."""
    arrays: list[list[Any]] = []

    def array(values: Any, kind: str) -> int:
        data = np.ascontiguousarray(values, dtype=KINDS[kind])
        arrays.append([kind, list(np.shape(values)), binascii.b2a_base64(data.tobytes(), newline=False).decode()])
        return len(arrays) - 1

    def places(which: Places) -> Any:
        if isinstance(which, Gather):
            return array(which.index, "i")
        return [which.offset, which.strides, which.shape]

    scalars = [value for value in graph.constants if np.ndim(value) == 0]
    whole = {
        "operations": [_packed(op, places) for op in graph.operations],
        "scalars": array(np.array(scalars, dtype=np.float64), "f"),
        "constants": [None if np.ndim(value) == 0 else array(value, "f") for value in graph.constants],
        "rows": graph.rows,
        "arrays": arrays,
    }
    return json.dumps(whole, separators=(",", ":")).encode("ascii")


def unpack(data: bytes) -> Stored:
    """The graph of some bytes. Raises DamagedError for anything that `pack` does not write."""
    try:
        return _unpack(json.loads(data))
    except BREAKS as error:
        raise DamagedError(str(error)) from None


def _packed(op: Operation, places: Callable[[Places], Any]) -> Any:
    if isinstance(op, Op):
        return op.name
    fields: tuple[Any, ...]
    if isinstance(op, Take):
        fields = (places(op.places), op.source)
    elif isinstance(op, Scatter):
        fields = ([places(each) for each in op.places], op.target)
    elif isinstance(op, Reshape):
        fields = (op.shape, op.source)
    elif isinstance(op, Broadcast):
        fields = (op.shape,)
    elif isinstance(op, Sum):
        fields = (op.axes, op.source)
    elif isinstance(op, Contract):
        fields = (op.left, op.right, op.labels, int(op.masked))
    else:
        assert isinstance(op, Norm), op
        fields = (op.source,)
    return [type(op).__name__, *fields]


def _unpack(whole: Any) -> Stored:
    arrays = [_array(*each) for each in whole["arrays"]]
    operations = tuple([_operation(each, arrays) for each in whole["operations"]])
    scalars = list(arrays[_whole(whole["scalars"])])[::-1]
    constants = tuple([scalars.pop() if each is None else arrays[_whole(each)] for each in whole["constants"]])
    if any(value.dtype != KINDS["f"] for value in constants):
        raise DamagedError("a constant that is no number")
    arities = [op.arity if isinstance(op, Op) else _arity(op) for op in operations]
    rows = whole["rows"]
    for k, (number, *args) in enumerate(rows):
        if type(number) is not int or any(type(arg) is not int for arg in args):
            raise DamagedError("a row of other things than whole numbers")
        if number < 0:
            known = number in (INPUT, CONSTANT) and len(args) == 1 and args[0] >= 0
        else:
            arity = arities[number]
            known = (len(args) == arity if arity is not None else bool(args)) and min(args) >= 0 and max(args) < k
        if not known:
            raise DamagedError(f"row {k} has wrong arguments")
    return Stored(operations, constants, rows)


def _whole(value: Any, most: int = MOST_ENTRIES) -> int:
    if type(value) is not int or not -most <= value <= most:
        raise DamagedError("a whole number is needed")
    return value


def _shape(value: Any) -> Shape:
    shape = tuple([_whole(n) for n in value])
    if any(n < 0 for n in shape) or math.prod(max(1, n) for n in shape) > MOST_ENTRIES or len(shape) > 32:
        raise DamagedError("this is no shape")
    return shape


def _array(kind: str, shape: Any, text: str) -> Any:
    """Raises ValueError where the number of bytes is another one than the shape says."""
    data = binascii.a2b_base64(text, strict_mode=True)
    array = np.frombuffer(data, dtype=KINDS[kind]).reshape(_shape(shape))
    return array.astype(KINDS[kind].newbyteorder("="), copy=False)


def _places(value: Any, arrays: Sequence[Any], size: int) -> Places:
    """Places in an array of `size` entries. Raises DamagedError for any outside."""
    if type(value) is int:
        index = arrays[_whole(value)]
        if index.dtype != KINDS["i"] or (index.size and not 0 <= int(index.min()) <= int(index.max()) < size):
            raise DamagedError("a place outside of its array")
        return Gather(index)
    offset, strides, shape = _whole(value[0]), tuple([_whole(n) for n in value[1]]), _shape(value[2])
    if len(strides) != len(shape):
        raise DamagedError("strides of another number than axes")
    if 0 not in shape:
        reach = [stride * (count - 1) for stride, count in zip(strides, shape, strict=True)]
        low, high = offset + sum(min(0, r) for r in reach), offset + sum(max(0, r) for r in reach)
        if not 0 <= low <= high < size:
            raise DamagedError("a place outside of its array")
    return Strided(offset, strides, shape)


def _operation(value: Any, arrays: Sequence[Any]) -> Operation:
    if isinstance(value, str):
        return OPS[value]
    name, *fields = value
    return STRUCTURAL[name](fields, arrays)


def _take(fields: Sequence[Any], arrays: Sequence[Any]) -> Operation:
    places, source = fields[0], _shape(fields[1])
    return Take(_places(places, arrays, math.prod(source)), source)


def _scatter(fields: Sequence[Any], arrays: Sequence[Any]) -> Operation:
    target = _shape(fields[1])
    return Scatter(tuple([_places(each, arrays, math.prod(target)) for each in fields[0]]), target)


def _reshape(fields: Sequence[Any], arrays: Sequence[Any]) -> Operation:
    shape, source = _shape(fields[0]), _shape(fields[1])
    if math.prod(shape) != math.prod(source):
        raise DamagedError("another number of entries")
    return Reshape(shape, source)


def _sum(fields: Sequence[Any], arrays: Sequence[Any]) -> Operation:
    axes, source = tuple([_whole(axis) for axis in fields[0]]), _shape(fields[1])
    if len(set(axes)) != len(axes) or not set(axes) <= set(range(len(source))):
        raise DamagedError("an axis that is not there")
    return Sum(axes, source)


def _contract(fields: Sequence[Any], arrays: Sequence[Any]) -> Operation:
    left, right, labels = (tuple([_whole(label, 2**31) for label in each]) for each in fields[:3])
    each_once = all(len(set(each)) == len(each) for each in (left, right, labels))
    if not each_once or not set(labels) <= {*left, *right} or not {*left} ^ {*right} <= set(labels):
        raise DamagedError("labels that do not fit")
    return Contract(left, right, labels, bool(fields[3]))


STRUCTURAL: dict[str, Callable[[Sequence[Any], Sequence[Any]], Operation]] = {
    "Take": _take,
    "Scatter": _scatter,
    "Reshape": _reshape,
    "Broadcast": lambda fields, arrays: Broadcast(_shape(fields[0])),
    "Sum": _sum,
    "Contract": _contract,
    "Norm": lambda fields, arrays: Norm(_shape(fields[0])),
}


def _arity(op: Operation) -> int:
    return len(op.places) if isinstance(op, Scatter) else 2 if isinstance(op, Contract) else 1
