"""ATen's operators that work element by element: activations, arithmetic, comparisons, casts.

Tensors and Python's numbers may stand in each other's place: a number becomes a constant of the body. A power with a
small whole or half exponent is products and a root, as torch computes it.
"""

from __future__ import annotations

from typing import Any

from tilework.frontend.from_torch.aten_support import (
    Operand,
    cast,
    complex_work,
    host,
    is_complex,
    pointwise,
    scalar,
)
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten

TRUNC = "select(less({0}, 0), 0 - floor(0 - {0}), floor({0}))"

BODIES: dict[str, str] = {
    "abs": "abs(x0)",
    "acosh": "log(x0 + sqrt(x0 * x0 - 1))",
    "asinh": "log(x0 + sqrt(x0 * x0 + 1))",
    "atanh": "0.5 * log((1 + x0) / (1 - x0))",
    "ceil": "0 - floor(0 - x0)",
    "cos": "cos(x0)",
    "cosh": "(exp(x0) + exp(0 - x0)) * 0.5",
    "deg2rad": "x0 * 0.017453292519943295",
    "eq": "equal(x0, x1)",
    "erf": "erf(x0)",
    "erfc": "1 - erf(x0)",
    "exp": "exp(x0)",
    "exp2": "pow(2, x0)",
    "expm1": "exp(x0) - 1",
    "floor": "floor(x0)",
    "floor_divide": "floor(x0 / x1)",
    "fmax": "max(x0, x1)",
    "fmin": "min(x0, x1)",
    "fmod": f"x0 - {TRUNC.format('(x0 / x1)')} * x1",
    "frac": f"x0 - {TRUNC.format('x0')}",
    "ge": "not(less(x0, x1))",
    "gt": "less(x1, x0)",
    "hardsigmoid": "min(max(x0 + 3, 0), 6) / 6",
    "hardswish": "x0 * min(max(x0 + 3, 0), 6) / 6",
    "heaviside": "select(equal(x0, 0), x1, less(0, x0))",
    "hypot": "sqrt(x0 * x0 + x1 * x1)",
    "isfinite": "less(abs(x0), inf)",
    "isinf": "equal(abs(x0), inf)",
    "isnan": "not(equal(x0, x0))",
    "isneginf": "equal(x0, -inf)",
    "isposinf": "equal(x0, inf)",
    "le": "not(less(x1, x0))",
    "lerp": "x0 + x2 * (x1 - x0)",
    "log": "log(x0)",
    "log10": "log(x0) * 0.4342944819032518",
    "log1p": "log(1 + x0)",
    "log2": "log(x0) * 1.4426950408889634",
    "logaddexp": "max(x0, x1) + log(1 + exp(min(x1 - x0, x0 - x1)))",
    "log_sigmoid": "min(x0, 0) - log(1 + exp(min(x0, 0 - x0)))",
    "logical_and": "and(x0, x1)",
    "logical_not": "not(x0)",
    "logical_or": "or(x0, x1)",
    "logical_xor": "not(equal(not(x0), not(x1)))",
    "lt": "less(x0, x1)",
    "masked_fill": "select(x1, x2, x0)",
    "maximum": "max(x0, x1)",
    "minimum": "min(x0, x1)",
    "mish": "x0 * tanh(log(1 + exp(x0)))",
    "ne": "not(equal(x0, x1))",
    "neg": "0 - x0",
    "rad2deg": "x0 * 57.29577951308232",
    "reciprocal": "1 / x0",
    "remainder": "x0 - floor(x0 / x1) * x1",
    "rsqrt": "1 / sqrt(x0)",
    "sign": "select(less(0, x0), 1, select(less(x0, 0), -1, 0))",
    "sgn": "select(less(0, x0), 1, select(less(x0, 0), -1, 0))",
    "signbit": "less(x0, 0)",
    "silu": "x0 / (1 + exp(0 - x0))",
    "sin": "sin(x0)",
    "sinc": "select(equal(x0, 0), 1, sin(x0 * 3.141592653589793) / (x0 * 3.141592653589793))",
    "sinh": "(exp(x0) - exp(0 - x0)) * 0.5",
    "sqrt": "sqrt(x0)",
    "square": "x0 * x0",
    "tan": "sin(x0) / cos(x0)",
    "trunc": TRUNC.format("x0"),
    "where": "select(x0, x1, x2)",
    "_prelu_kernel": "select(less(0, x0), x0, x0 * x1)",
    "xlogy": "select(equal(x0, 0), 0, x0 * log(x1))",
}

POWERS: dict[float, str] = {
    1: "x0",
    2: "x0 * x0",
    3: "x0 * x0 * x0",
    0.5: "sqrt(x0)",
    -0.5: "1 / sqrt(x0)",
    -1: "1 / x0",
    -2: "1 / (x0 * x0)",
}

ON_HOST = ("acos", "asin", "atan", "atan2")  # one trigonometric function for each element
BITWISE = {"bitwise_and": "and(x0, x1)", "bitwise_or": "or(x0, x1)", "bitwise_xor": "not(equal(x0, x1))"}
SHIFTS = ("bitwise_left_shift", "bitwise_right_shift", "__lshift__", "__rshift__")


def _register(name: str, body: str) -> None:
    @aten(name)
    def row(c: Lowering, *operands: Operand) -> None:
        c.set(pointwise(c, name.strip("_"), body, *operands))


for _name, _body in BODIES.items():
    _register(_name, _body)


def arithmetic(c: Lowering, name: str, body: str, x: Operand, y: Operand) -> Value:
    """A named operation of two tensors, or the body where one of them is a number."""
    tensors = [value for value in (x, y) if isinstance(value, Value)]
    if complexes := sum(map(is_complex, tensors)):
        return complex_work(c, name if complexes == 2 else f"{name}_real", tensors)
    return c.emit(name, *tensors) if len(tensors) == 2 else pointwise(c, name, body, x, y)


@aten("add")
def add(c: Lowering, x: Operand, y: Operand, alpha: float = 1) -> None:
    """x + alpha * y."""
    if isinstance(y, Value) and alpha != 1:
        c.set(pointwise(c, "add", f"x0 + {scalar(alpha)} * x1", x, y))
    else:
        c.set(arithmetic(c, "add", "x0 + x1", x, y if isinstance(y, Value) else y * alpha))


@aten("sub")
def sub(c: Lowering, x: Operand, y: Operand, alpha: float = 1) -> None:
    """x - alpha * y."""
    if isinstance(y, Value) and alpha != 1:
        c.set(pointwise(c, "sub", f"x0 - {scalar(alpha)} * x1", x, y))
    else:
        c.set(arithmetic(c, "sub", "x0 - x1", x, y if isinstance(y, Value) else y * alpha))


@aten("rsub")
def rsub(c: Lowering, x: Value, y: Operand, alpha: float = 1) -> None:
    """y - alpha * x."""
    if alpha != 1:
        c.set(pointwise(c, "sub", f"x1 - {scalar(alpha)} * x0", x, y))
    else:
        c.set(arithmetic(c, "sub", "x0 - x1", y, x))


@aten("mul")
def mul(c: Lowering, x: Operand, y: Operand) -> None:
    """x * y; of truth values their conjunction."""
    c.set(arithmetic(c, "mul", "x0 * x1", x, y))


@aten("div")
def div(c: Lowering, x: Operand, y: Operand, rounding_mode: str | None = None) -> None:
    """x / y, rounded towards zero or down where a mode says so."""
    if rounding_mode is None:
        c.set(arithmetic(c, "div", "x0 / x1", x, y))
    else:
        body = {"floor": "floor(x0 / x1)", "trunc": TRUNC.format("(x0 / x1)")}[rounding_mode]
        c.set(pointwise(c, "div", body, x, y))


@aten("addcmul")
def addcmul(c: Lowering, x: Value, y: Value, z: Value, value: float = 1) -> None:
    """x + value * y * z."""
    c.set(pointwise(c, "addcmul", f"x0 + {factor(value)}x1 * x2", x, y, z))


@aten("addcdiv")
def addcdiv(c: Lowering, x: Value, y: Value, z: Value, value: float = 1) -> None:
    """x + value * y / z."""
    c.set(pointwise(c, "addcdiv", f"x0 + {factor(value)}x1 / x2", x, y, z))


def factor(value: float) -> str:
    """A number as the first factor of a product, nothing where it is 1."""
    return "" if value == 1 else f"{scalar(value)} * "


@aten("pow")
def power(c: Lowering, x: Operand, y: Operand) -> None:
    """x to the y-th; the exponents of POWERS need no power function."""
    body = "pow(x0, x1)" if isinstance(y, Value) else POWERS.get(y, "pow(x0, x1)")
    c.set(pointwise(c, "pow", body, x, y))


@aten("round")
def rounded(c: Lowering, x: Value, decimals: int = 0) -> None:
    """The nearest whole number, or that of x * 10^decimals, divided again; halves go to the even one."""
    ten = 10.0**decimals
    c.set(pointwise(c, "round", "round(x0)" if decimals == 0 else "round(x0 * x1) / x1", x, ten))


@aten("nan_to_num")
def nan_to_num(
    c: Lowering, x: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> None:
    """x with numbers for what is none and for the infinities."""
    body = "select(equal(x0, x0), select(equal(x0, inf), x2, select(equal(x0, -inf), x3, x0)), x1)"
    c.set(pointwise(c, "nan_to_num", body, x, nan or 0, 3.4e38 if posinf is None else posinf, neginf or -3.4e38))


@aten("bitwise_not")
def bitwise_not(c: Lowering, x: Value) -> None:
    """Of truth values the other one, of integers -1 - x."""
    c.set(pointwise(c, "not", "not(x0)" if x.dtype == "bool" else "-1 - x0", x))


def _register_bitwise(name: str, body: str) -> None:
    @aten(name)
    def row(c: Lowering, x: Operand, y: Operand) -> None:
        tensors = [value for value in (x, y) if isinstance(value, Value)]
        if all(value.dtype == "bool" for value in tensors):
            c.set(pointwise(c, name.removeprefix("bitwise_"), body, x, y))
        else:
            host(c, "bitwise", *tensors)


for _name, _body in BITWISE.items():
    _register_bitwise(_name, _body)


@aten(*SHIFTS)
def shift(c: Lowering, *operands: Operand) -> None:
    """Bits moved to the left or right."""
    host(c, "bitwise", *(value for value in operands if isinstance(value, Value)))


@aten(*ON_HOST)
def inverse_function(c: Lowering, *operands: Value) -> None:
    """An inverse trigonometric function."""
    host(c, "arc", *operands)


@aten("_to_copy", "to", "type_as")
def converted(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """The same values with another dtype; on another device they are the same tensor."""
    c.set(cast(c, x, c.result.dtype))


@aten("copy")
def copied(c: Lowering, x: Value, source: Value, non_blocking: bool = False) -> None:
    """The source's values, repeated and cast to x's shape and dtype."""
    shape = c.result.shape
    whole = source if source.shape == shape else c.emit("expand", source, shape=shape, dtype=source.dtype)
    c.set(cast(c, whole, c.result.dtype))
