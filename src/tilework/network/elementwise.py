"""Operations that work element by element, with NumPy's broadcasting where they take two tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tilework.network.operation import Expansion, Shape, Shapes, loops_over, operation, require
from tilework.network.text import parse_nest


def _elementwise(shape: Shape, body: str, constants: dict[str, float] | None = None) -> Expansion:
    loops, index = loops_over(shape)
    return Expansion(shape, (parse_nest(f"{loops}: o[{index}] = {body.replace('@', index)}", constants),))


@operation("x")
def relu(s: Shapes) -> Expansion:
    """max(x, 0); x of any shape."""
    return _elementwise(s["x"], "max(x[@], 0)")


@operation("x")
def sigmoid(s: Shapes) -> Expansion:
    """1 / (1 + exp(-x)); x of any shape."""
    return _elementwise(s["x"], "1 / (1 + exp(0 - x[@]))")


@operation("x")
def tanh(s: Shapes) -> Expansion:
    """The hyperbolic tangent; x of any shape."""
    return _elementwise(s["x"], "tanh(x[@])")


@operation("x")
def clip(s: Shapes, low: float = 0.0, high: float = 6.0) -> Expansion:
    """min(max(x, low), high); x of any shape. The defaults make it ReLU6."""
    require(low <= high, f"clip must have a low bound of at most its high one, not {low} and {high}")
    return _elementwise(s["x"], "min(max(x[@], LOW), HIGH)", {"LOW": float(low), "HIGH": float(high)})


def broadcast_shape(name: str, shapes: Sequence[Shape]) -> Shape:
    """The shape of an elementwise result: axes of size 1 are repeated, missing leading axes added, as NumPy does."""
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    whole = tuple(map(max, *padded)) if len(padded) > 1 else tuple(*padded)
    fits = all(size in (1, most) for shape in padded for size, most in zip(shape, whole, strict=True))
    came = " and ".join(str(list(shape)) for shape in shapes)
    require(fits, f"{name} must get shapes that broadcast, not {came}")
    return whole


def broadcast_index(operand: Shape, shape: Shape, names: Sequence[str]) -> str:
    """The index of an operand of a broadcast result whose own index is `names`."""
    skipped = len(shape) - len(operand)
    own = zip(operand, shape[skipped:], names[skipped:], strict=False)
    return ",".join(name if size == whole else "0" for size, whole, name in own)


def _broadcast(name: str, s: Shapes, sign: str) -> Expansion:
    return pointwise(s, name, f"{' '.join(s).replace(' ', f' {sign} ')}")


_SCALAR = re.compile(r"\b(x\d+|[xy])\b")


@operation("x*?")
def pointwise(s: Shapes, what: str = "", body: str = "x0", shape: Shape = ()) -> Expansion:
    """Any scalar expression of the inputs x0, x1, …, broadcast: `body` is in the notation of nests, without indices.

    `what` is the name that tables show. `shape` is the result's where there is no input.
    """
    whole = broadcast_shape(what or "pointwise", list(s.values())) if s else shape
    loops, index = loops_over(whole)
    places = {name: f"{name}[{broadcast_index(own, whole, index.split(','))}]" for name, own in s.items()}
    unknown = set(_SCALAR.findall(body)) - places.keys()
    require(
        not unknown, f"the body of pointwise must use its inputs {', '.join(places)}, not {min(unknown, default='')}"
    )
    text = _SCALAR.sub(lambda match: places[match[0]], body)
    return Expansion(whole, (parse_nest(f"{loops}: o[{index}] = {text}"),))


@operation("x", "y")
def add(s: Shapes) -> Expansion:
    """x + y, broadcast."""
    return _broadcast("add", s, "+")


@operation("x", "y")
def sub(s: Shapes) -> Expansion:
    """x - y, broadcast."""
    return _broadcast("sub", s, "-")


@operation("x", "y")
def mul(s: Shapes) -> Expansion:
    """x * y, broadcast."""
    return _broadcast("mul", s, "*")


@operation("x", "y")
def div(s: Shapes) -> Expansion:
    """x / y, broadcast."""
    return _broadcast("div", s, "/")
