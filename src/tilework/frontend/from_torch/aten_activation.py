"""ATen's activation functions that need more than a line: named operations, bounds, slopes, thresholds."""

from __future__ import annotations

from tilework.frontend.from_torch.aten_pointwise import BODIES, factor
from tilework.frontend.from_torch.aten_support import Operand, axis_of, pointwise, reshape, rest, scalar
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten


@aten("relu")
def relu(c: Lowering, x: Value) -> None:
    """max(x, 0)."""
    c.set(c.emit("relu", x))


@aten("sigmoid")
def sigmoid(c: Lowering, x: Value) -> None:
    """1 / (1 + exp(-x))."""
    c.set(c.emit("sigmoid", x))


@aten("tanh")
def tanh(c: Lowering, x: Value) -> None:
    """The hyperbolic tangent."""
    c.set(c.emit("tanh", x))


@aten("clamp")
def clamp(c: Lowering, x: Value, min: Operand | None = None, max: Operand | None = None) -> None:
    """x within bounds, of which either may be a tensor or missing."""
    if isinstance(min, Value) or isinstance(max, Value) or min is None or max is None:
        body = "x0" if min is None else "max(x0, x1)"
        body = body if max is None else f"min({body}, x2)"
        c.set(pointwise(c, "clip", body, x, 0 if min is None else min, 0 if max is None else max))
    else:
        c.set(c.emit("clip", x, low=float(min), high=float(max)))


@aten("clamp_min")
def clamp_min(c: Lowering, x: Value, min: Operand) -> None:
    """max(x, min)."""
    clamp(c, x, min)


@aten("clamp_max")
def clamp_max(c: Lowering, x: Value, max: Operand) -> None:
    """min(x, max)."""
    clamp(c, x, None, max)


@aten("hardtanh", "relu6")
def hardtanh(c: Lowering, x: Value, min_val: float | None = None, max_val: float | None = None) -> None:
    """x within bounds: ReLU6 has 0 and 6, a hard tanh -1 and 1 unless it says otherwise."""
    low, high = (0, 6) if "relu6" in c.call.operator else (-1, 1)
    clamp(c, x, low if min_val is None else min_val, high if max_val is None else max_val)


@aten("gelu")
def gelu(c: Lowering, x: Value, approximate: str = "none") -> None:
    """x times the normal distribution's function at x (Hendrycks and Gimpel 2016), exact or by tanh."""
    inner = "erf(x0 * 0.7071067811865476)"
    if approximate == "tanh":
        inner = "tanh(0.7978845608028654 * (x0 + 0.044715 * x0 * x0 * x0))"
    c.set(pointwise(c, "gelu", f"0.5 * x0 * (1 + {inner})", x))


@aten("leaky_relu")
def leaky_relu(c: Lowering, x: Value, negative_slope: float = 0.01) -> None:
    """x, or below zero x times the slope."""
    c.set(pointwise(c, "leaky_relu", "select(less(0, x0), x0, x0 * x1)", x, negative_slope))


@aten("prelu")
def prelu(c: Lowering, x: Value, weight: Value) -> None:
    """A leaky ReLU with a slope for each channel."""
    if weight.shape != (1,) and len(x.shape) > 2:
        weight = reshape(c, weight, (*weight.shape, *(1,) * (len(x.shape) - 2)))
    c.set(pointwise(c, "prelu", BODIES["_prelu_kernel"], x, weight))


@aten("elu")
def elu(c: Lowering, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> None:
    """scale * x, or below zero scale * alpha * (exp(input_scale * x) - 1); SELU and CELU too."""
    inner = "x0" if input_scale == 1 else f"x0 * {scalar(input_scale)}"
    body = f"select(less(0, x0), {factor(scale)}x0, {factor(alpha * scale)}(exp({inner}) - 1))"
    c.set(pointwise(c, "elu", body, x))


@aten("selu")
def selu(c: Lowering, x: Value) -> None:
    """An ELU with the constants of Klambauer et al. 2017."""
    elu(c, x, 1.6732632423543772, 1.0507009873554805)


@aten("celu")
def celu(c: Lowering, x: Value, alpha: float = 1) -> None:
    """An ELU with alpha for its slope and 1/alpha within (Barron 2017)."""
    elu(c, x, alpha, 1, 1 / alpha)


@aten("softplus")
def softplus(c: Lowering, x: Value, beta: float = 1, threshold: float = 20) -> None:
    """log(1 + exp(beta * x)) / beta, and x where beta * x is above the threshold."""
    inner, outer = ("x0", "") if beta == 1 else (f"x0 * {scalar(beta)}", f" / {scalar(beta)}")
    c.set(pointwise(c, "softplus", f"select(less(x1, {inner}), x0, log(1 + exp({inner})){outer})", x, threshold))


@aten("log_sigmoid_forward")
def log_sigmoid(c: Lowering, x: Value) -> None:
    """log(sigmoid(x)); its second result is room for the backward pass."""
    c.set(pointwise(c, "log_sigmoid", BODIES["log_sigmoid"], x))
    rest(c)


@aten("hardshrink")
def hardshrink(c: Lowering, x: Value, lambd: float = 0.5) -> None:
    """x, and 0 where it is at most lambd away from 0."""
    c.set(pointwise(c, "hardshrink", "select(less(x1, abs(x0)), x0, 0)", x, lambd))


@aten("softshrink")
def softshrink(c: Lowering, x: Value, lambd: float = 0.5) -> None:
    """x moved towards 0 by lambd, and 0 where it would pass."""
    c.set(pointwise(c, "softshrink", "max(x0 - x1, 0) + min(x0 + x1, 0)", x, lambd))


@aten("threshold")
def threshold(c: Lowering, x: Value, threshold: float, value: float) -> None:
    """x where it is above the threshold, else the value."""
    c.set(pointwise(c, "threshold", "select(less(x1, x0), x0, x2)", x, threshold, value))


@aten("glu")
def glu(c: Lowering, x: Value, dim: int = -1) -> None:
    """The first half along an axis times the sigmoid of the second (Dauphin et al. 2017)."""
    axis = axis_of(dim, len(x.shape))
    half = x.shape[axis] // 2
    first, second = (c.emit("slice", x, axis=axis, start=start, size=half) for start in (0, half))
    c.set(c.emit("mul", first, c.emit("sigmoid", second)))
