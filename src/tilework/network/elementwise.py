"""Operations that work element by element, with NumPy's broadcasting where they take two tensors."""

from __future__ import annotations

from tilework.network.operation import Expansion, Shape, Shapes, axes, operation, require
from tilework.network.text import parse_nest


def _elementwise(shape: Shape, body: str, constants: dict[str, float] | None = None) -> Expansion:
    loops, index = axes(shape)
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


def _broadcast(name: str, s: Shapes, sign: str) -> Expansion:
    """x sign y, with axes of size 1 repeated and missing leading axes added, as NumPy does."""
    x, y = s["x"], s["y"]
    rank = max(len(x), len(y))
    padded = [(1,) * (rank - len(shape)) + shape for shape in (x, y)]
    fits = all(a == b or 1 in (a, b) for a, b in zip(*padded, strict=True))
    require(fits, f"{name} must get two shapes that broadcast, not {list(x)} and {list(y)}")
    shape = tuple(map(max, *padded)) if rank else ()
    loops, index = axes(shape)
    names = index.split(",")
    left, right = (_index(operand, shape, names) for operand in (x, y))
    return Expansion(shape, (parse_nest(f"{loops}: o[{index}] = x[{left}] {sign} y[{right}]"),))


def _index(operand: Shape, shape: Shape, names: list[str]) -> str:
    skipped = len(shape) - len(operand)
    own = zip(operand, shape[skipped:], names[skipped:], strict=False)
    return ",".join(name if size == whole else "0" for size, whole, name in own)


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
