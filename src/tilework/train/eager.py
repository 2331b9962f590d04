"""Define by run: the operations of the table run at once, and what ran is remembered for the gradient.

The nests are those of graphs, forward and backward, so the numbers are too; what a network is may depend on values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import NetworkError
from tilework.network.activation import ACTIVATIONS
from tilework.network.execute import run_expansion, run_nest
from tilework.network.gradient_nests import gradient_of, primal
from tilework.network.graph import DTYPE_BYTES, FLOATING_BYTES, Node, Tensor
from tilework.network.host_values import has_value, host_value
from tilework.network.matrices import Array
from tilework.network.operation_gradient import operation_gradient
from tilework.network.operations import OPERATIONS, expand

_order = count()


@dataclass(frozen=True)
class _Origin:
    """What made a variable: the node, its inputs, and the arrays that its nests read and wrote."""

    node: Node
    inputs: tuple[Variable, ...]
    arrays: Mapping[str, Array]


def _operator(operation: str, turned: bool = False) -> Callable[[Variable, Operand], Variable]:
    return lambda own, other: run(operation, *((other, own) if turned else (own, other)))


class Variable:
    """An array that remembers how it was made. `trainable` ones get a `gradient`, an array of the value's shape.

    Values may be changed in place between one use and the next, but not between a use and its `backward()`. Operators
    and the functions of `tw.eager` take variables, arrays and numbers. Raises NetworkError for a dtype that no tensor
    has, and for a trainable one that isn't of floating-point numbers.
    """

    __array_ufunc__ = None  # so that array + variable comes here

    def __init__(self, value: npt.ArrayLike, trainable: bool = False) -> None:
        self.value: Array = np.asarray(value)
        dtype = str(self.value.dtype)
        if dtype not in DTYPE_BYTES or (trainable and dtype not in FLOATING_BYTES):
            wanted = "floating-point numbers" if trainable else "numbers or truth values"
            raise NetworkError(f"a variable must hold {wanted}, not {dtype}")
        self.trainable, self.differentiable = trainable, trainable
        self.gradient: Array | None = None
        self._origin: _Origin | None = None
        self._number = next(_order)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    def backward(self) -> None:
        """Set the `gradient` of every trainable variable that this value, or the sum of its elements, depends on.

        Raises NetworkError where there is none, and for host work that isn't differentiable but by an embedding's rows.
        """
        if not self.differentiable:
            raise NetworkError("a value must depend on a trainable variable to have a gradient")
        arrived: dict[Variable, Array] = {self: np.ones_like(self.value)}
        for variable in self._history():
            arriving = arrived.pop(variable, None)
            if arriving is None:
                continue
            if variable.trainable:
                variable.gradient = arriving
            for source, part in _passed(variable, arriving):
                arrived[source] = arrived[source] + part if source in arrived else part

    def _history(self) -> Iterable[Variable]:
        """Every differentiable variable that this one depends on and itself, the last made first."""
        found, left = {self}, [self]
        while left:
            origin = left.pop()._origin
            new = {source for source in (origin.inputs if origin else ()) if source.differentiable} - found
            found |= new
            left += new
        return sorted(found, key=lambda variable: -variable._number)

    __add__, __radd__ = _operator("add"), _operator("add", turned=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", turned=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", turned=True)
    __truediv__, __rtruediv__ = _operator("div"), _operator("div", turned=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", turned=True)

    def __neg__(self) -> Variable:
        return self * -1.0

    def __repr__(self) -> str:
        return f"Variable({self.value!r})"


Operand = Variable | npt.ArrayLike


def run(operation: str, *inputs: Operand, dtype: str = "", **attributes: Any) -> Variable:
    """The value of an operation of the table, or of a registered activation, with its attributes.

    `dtype` is the value's, where it isn't the first input's; a number among the inputs takes the dtype of the first
    variable. Raises what a node of a graph raises, and NetworkError for work of the host without a rule.
    """
    guide = next((one for one in inputs if isinstance(one, Variable)), None)
    variables = tuple(one if isinstance(one, Variable) else Variable(_array(one, guide)) for one in inputs)
    names = tuple(f"input {place}" for place in range(len(inputs)))
    node = Node("value", operation, names, tuple(sorted(attributes.items())), dtype=dtype)
    expansion = expand(node.operation, tuple(one.shape for one in variables), node.attributes)
    dtype = dtype or (str(variables[0].value.dtype) if variables else "float32")
    values = [one.value for one in variables]
    arrays = dict(zip(OPERATIONS[node.operation].placeholders(len(values)), values, strict=True))
    if expansion.is_alias:
        made = Variable(values[0].reshape(expansion.shape).astype(dtype, copy=False))
    elif expansion.on_host:
        if not has_value(node):
            raise NetworkError(f"an operation must be affine to have a value, which {node.label} is not")
        made = Variable(host_value(node, values, Tensor(node.name, expansion.shape, dtype)))
    else:
        made = Variable(run_expansion(expansion, arrays, dtype))
    made.differentiable = dtype in FLOATING_BYTES and any(one.differentiable for one in variables)
    made._origin = _Origin(node, variables, arrays) if made.differentiable else None
    return made


def _array(number: npt.ArrayLike, guide: Variable | None) -> Array:
    return np.asarray(number, guide.value.dtype if guide and np.ndim(number) == 0 else None)


def _passed(variable: Variable, arriving: Array) -> Iterable[tuple[Variable, Array]]:
    """What each differentiable input of the operation that made a variable gets of the gradient that arrives."""
    if (origin := variable._origin) is None:
        return
    node, placeholders = origin.node, OPERATIONS[origin.node.operation].placeholders(len(origin.inputs))
    inputs = dict(zip(placeholders, origin.inputs, strict=True))
    wanted = tuple(name for name, one in inputs.items() if one.differentiable)
    does = operation_gradient(node.operation, tuple(one.shape for one in origin.inputs), node.attributes, wanted)
    if does.gives and not does.nests:
        yield _passed_on(node, origin.inputs, wanted, arriving, bool(does.work))
        return
    arrays = {**origin.arrays, gradient_of("o"): arriving}
    shapes = {name: one.shape for name, one in inputs.items()} | dict(does.temporaries)
    for nest in does.nests:
        name = nest.output.tensor
        like = arrays.get(primal(name), arriving)
        run_nest(nest, arrays, {name: shapes.get(name) or shapes.get(primal(name), ())}, like.dtype)
    for name in does.gives:
        yield inputs[name], arrays[gradient_of(name)]


def _passed_on(
    node: Node, inputs: tuple[Variable, ...], wanted: tuple[str, ...], arriving: Array, on_host: bool
) -> tuple[Variable, Array]:
    """Behind an alias, what arrives in another shape; behind an embedding, it is added to the rows looked up."""
    if not on_host:
        return inputs[0], arriving.reshape(inputs[0].shape).astype(inputs[0].value.dtype, copy=False)
    if node.label != "embedding":
        raise NetworkError(f"an operation must have a gradient of nests, which {node.label} has not")
    ids, table = inputs
    rows = np.zeros_like(table.value)
    np.add.at(rows, ids.value, arriving)
    return table, rows


class Functions:
    """Every operation of the table and every registered activation as a function: `tw.eager.conv2d(x, w, stride=…)`."""

    def __getattr__(self, name: str) -> Callable[..., Variable]:
        if name not in OPERATIONS and name not in ACTIVATIONS:
            raise AttributeError(f"an operation must be one of {', '.join((*OPERATIONS, *ACTIVATIONS))}, not {name!r}")
        return lambda *inputs, **attributes: run(name, *inputs, **attributes)

    def __dir__(self) -> list[str]:
        return sorted({*OPERATIONS, *ACTIVATIONS})


eager = Functions()
