"""ATen's operators that make tensors from nothing: numbers, random numbers, masks that no input decides."""

from __future__ import annotations

from typing import Any

from tilework.frontend.from_torch.aten_support import Operand, host, pointwise, scalar
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten, torch_operator

CONSTANTS = "empty empty_strided empty_like new_empty eye linspace tril_indices triu_indices _efficientzerotensor"
RANDOM = (
    "rand rand_like randn randn_like randint randint_like randperm uniform normal bernoulli random exponential "
    "geometric poisson multinomial"
)
FILLED = {"zeros": 0, "zeros_like": 0, "new_zeros": 0, "zero": 0, "ones": 1, "ones_like": 1, "new_ones": 1}


@aten(*CONSTANTS.split())
@torch_operator("tilework::constant")
def constant(c: Lowering, *_: Any, **__: Any) -> None:
    """A tensor that no input decides; nothing of it is counted."""
    host(c, "constant")


@aten("arange")
def arange(c: Lowering, *bounds: Any, **__: Any) -> None:
    """As `constant`; which numbers they are is kept where they are whole."""
    first, step = (0, 1) if len(bounds) == 1 else (bounds[0], bounds[2] if len(bounds) > 2 else 1)
    if type(first) is int and type(step) is int:
        c.set(c.emit("host", what="constant", shape=c.result.shape, sequence=(first, step), dtype=c.result.dtype))
    else:
        host(c, "constant")


@aten(*RANDOM.split())
def random(c: Lowering, *_: Any, **__: Any) -> None:
    """A random number for each element."""
    host(c, "random")


def filled(c: Lowering, number: float) -> None:
    """A number in every place."""
    if number != number or c.result.dtype.startswith("complex"):
        host(c, "constant")
    else:
        shape = c.result.shape
        c.set(c.emit("pointwise", what="full", body=scalar(number), shape=shape, dtype=c.result.dtype))


def _register_filled(name: str, number: float) -> None:
    @aten(name)
    def row(c: Lowering, *_: Any, **__: Any) -> None:
        filled(c, number)


for _name, _number in FILLED.items():
    _register_filled(_name, _number)


@aten("full", "full_like", "fill")
def full(c: Lowering, _: Any, fill_value: Operand, **__: Any) -> None:
    """A number, or a scalar tensor, in every place."""
    if isinstance(fill_value, Value):
        c.set(c.emit("expand", fill_value, shape=c.result.shape, dtype=c.result.dtype))
    else:
        filled(c, fill_value)


@aten("new_full")
def new_full(c: Lowering, x: Value, size: Any, fill_value: Operand, **__: Any) -> None:
    """The same, of a dtype that an existing tensor has."""
    full(c, size, fill_value)


@aten("scalar_tensor")
def scalar_tensor(c: Lowering, s: float, **_: Any) -> None:
    """A number as a tensor."""
    filled(c, s)


def _register_triangle(name: str) -> None:
    @aten(name)
    def row(c: Lowering, x: Value, diagonal: int = 0) -> None:
        """A triangle of each matrix, the rest 0: a mask that no input decides selects it."""
        mask = c.emit("host", what="constant", shape=x.shape[-2:], dtype="bool")
        c.set(pointwise(c, name, "select(x1, x0, 0)", x, mask, dtype=x.dtype))


_register_triangle("tril")
_register_triangle("triu")
