"""The ONNX operators that work element by element, as scalar expressions of the notation of nests."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import isnan

from tilework.frontend.from_onnx.constants import DTYPES, listed
from tilework.frontend.from_onnx.site import Read, Site, operator
from tilework.network.graph import FLOATING_BYTES

LOWEST, HIGHEST = -3.4028234663852886e38, 3.4028234663852886e38  # Clip's defaults, float32's range


def number(s: Site, value: float) -> str:
    """A number as a body writes it; a NaN, which no body may hold, makes the node unknown."""
    if isnan(value):
        s.unsupported()
    return f"({value!r})" if value < 0 else repr(value)


def _sign(x: str) -> str:
    return f"select(less(0, {x}), 1, select(less({x}, 0), 0 - 1, 0))"


# Bodies whose operator has no attributes.
UNARY = {
    "Abs": "abs(x0)",
    "Acosh": "log(x0 + sqrt(x0 * x0 - 1))",
    "Asinh": "log(x0 + sqrt(x0 * x0 + 1))",
    "Atanh": "0.5 * log((1 + x0) / (1 - x0))",
    "Ceil": "0 - floor(0 - x0)",
    "Cos": "cos(x0)",
    "Cosh": "0.5 * (exp(x0) + exp(0 - x0))",
    "Erf": "erf(x0)",
    "Exp": "exp(x0)",
    "Floor": "floor(x0)",
    "HardSwish": "x0 * max(0, min(1, x0 / 6 + 0.5))",
    "Log": "log(x0)",
    "Mish": "x0 * tanh(log(1 + exp(x0)))",
    "Neg": "0 - x0",
    "Reciprocal": "1 / x0",
    "Round": "round(x0)",
    "Sign": _sign("x0"),
    "Sin": "sin(x0)",
    "Sinh": "0.5 * (exp(x0) - exp(0 - x0))",
    "Softplus": "log(exp(x0) + 1)",
    "Softsign": "x0 / (1 + abs(x0))",
    "Sqrt": "sqrt(x0)",
    "Tan": "sin(x0) / cos(x0)",
    "com.microsoft::QuickGelu": "x0 / (1 + exp(0 - 1.702 * x0))",
    "com.microsoft::FastGelu": "0.5 * x0 * (1 + tanh(0.7978845608028654 * (x0 + 0.044715 * x0 * x0 * x0)))",
    "com.microsoft::Gelu": "0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))",
}
# Bodies that give truth values.
TESTS = {
    "And": "and(x0, x1)",
    "Equal": "equal(x0, x1)",
    "Greater": "less(x1, x0)",
    "GreaterOrEqual": "not(less(x0, x1))",
    "IsNaN": "not(equal(x0, x0))",
    "Less": "less(x0, x1)",
    "LessOrEqual": "not(less(x1, x0))",
    "Not": "not(x0)",
    "Or": "or(x0, x1)",
    "Xor": "not(equal(x0, x1))",
}


def snake(name: str) -> str:
    """`HardSigmoid` as `hard_sigmoid`: how tables call what has no name of its own."""
    return "".join(f"_{c.lower()}" if c.isupper() and place else c.lower() for place, c in enumerate(name))


def _all(s: Site, body: str, dtype: str = "") -> None:
    """A node of all inputs."""
    what = snake(s.proto.op_type)
    s.pointwise(what, body, *(s.operand(place) for place in range(len(s.inputs))), dtype=dtype)


def _plain(body: str, dtype: str = "") -> Read:
    return lambda s: _all(s, body, dtype)


for _name, _body in UNARY.items():
    operator(_name)(_plain(_body))
for _name, _body in TESTS.items():
    operator(_name)(_plain(_body, "bool"))


def _named(operation: str) -> Read:
    def read(s: Site) -> None:
        s.emit(operation, *(s.operand(place) for place in range(len(s.inputs))))

    return read


for _name in ("Relu", "Sigmoid", "Tanh"):
    operator(_name)(_named(_name.lower()))
for _name in ("Add", "Sub", "Mul"):
    operator(_name)(_named(_name.lower()))


@operator("Div")
def _div(s: Site) -> None:
    if s.dtype() in FLOATING_BYTES:
        s.emit("div", s.operand(0), s.operand(1))
    else:
        q = "x0 / x1"
        s.pointwise("div", f"select(less({q}, 0), 0 - floor(0 - {q}), floor({q}))", s.operand(0), s.operand(1))


def _made(body: Callable[[Site], str]) -> Read:
    return lambda s: _all(s, body(s))


def _alpha(default: float, body: str) -> Callable[[Site], str]:
    """A body with the attribute alpha in the place of @."""
    return lambda s: body.replace("@", number(s, s.number("alpha", default)))


def _gelu(s: Site) -> str:
    return UNARY["com.microsoft::FastGelu" if s.text("approximate", "none") == "tanh" else "com.microsoft::Gelu"]


def _hard_sigmoid(s: Site) -> str:
    alpha, beta = number(s, s.number("alpha", 0.2)), number(s, s.number("beta", 0.5))
    return f"max(0, min(1, {alpha} * x0 + {beta}))"


def _selu(s: Site) -> str:
    alpha, gamma = number(s, s.number("alpha", 1.6732632)), number(s, s.number("gamma", 1.050701))
    return f"{gamma} * select(less(0, x0), x0, {alpha} * (exp(x0) - 1))"


def _shrink(s: Site) -> str:
    bias, edge = number(s, s.number("bias", 0.0)), number(s, s.number("lambd", 0.5))
    return f"select(less({edge}, x0), x0 - {bias}, select(less(x0, 0 - {edge}), x0 + {bias}, 0))"


for _name, _make in {
    "Celu": _alpha(1.0, "max(0, x0) + min(0, @ * (exp(x0 / @) - 1))"),
    "Elu": _alpha(1.0, "select(less(x0, 0), @ * (exp(x0) - 1), x0)"),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _alpha(0.01, "select(less(x0, 0), @ * x0, x0)"),
    "Selu": _selu,
    "Shrink": _shrink,
    "Swish": _alpha(1.0, "x0 / (1 + exp(0 - @ * x0))"),
    "ThresholdedRelu": _alpha(1.0, "select(less(@, x0), x0, 0)"),
}.items():
    operator(_name)(_made(_make))


@operator("PRelu")
def _prelu(s: Site) -> None:
    s.pointwise("prelu", "select(less(x0, 0), x1 * x0, x0)", s.reference(0), s.reference(1))


@operator("com.microsoft::BiasGelu")
def _bias_gelu(s: Site) -> None:
    s.pointwise("gelu", UNARY["com.microsoft::Gelu"].replace("x0", "(x0 + x1)"), s.reference(0), s.reference(1))


@operator("IsInf")
def _is_inf(s: Site) -> None:
    tests = {"positive": "equal(x0, inf)", "negative": "equal(x0, -inf)"}
    wanted = [test for sign, test in tests.items() if s.integer(f"detect_{sign}", 1)]
    _all(s, f"or({', '.join(wanted)})" if len(wanted) == 2 else wanted[0] if wanted else "less(x0, x0)", "bool")


POWERS = {2.0: "x0 * x0", 3.0: "x0 * x0 * x0", 0.5: "sqrt(x0)", 1.0: "x0", -1.0: "1 / x0"}


@operator("Pow")
def _pow(s: Site) -> None:
    """A constant exponent that multiplications or a root can do becomes these."""
    values = s.numbers(1, "the exponent")
    body = POWERS.get(float(values[0]), "") if values is not None and len(values) == 1 else ""
    if body and s.dtype() in FLOATING_BYTES and len(s.shape(1)) <= len(s.shape(0)):
        s.pointwise("pow", body, s.operand(0))
    else:
        s.pointwise("pow", "pow(x0, x1)", s.operand(0), s.operand(1))


@operator("Mod")
def _mod(s: Site) -> None:
    q = "x0 / x1"
    whole = f"select(less({q}, 0), 0 - floor(0 - {q}), floor({q}))" if s.integer("fmod", 0) else f"floor({q})"
    _all(s, f"x0 - {whole} * x1")


BITS = {"BitwiseAnd": "bit_and", "BitwiseOr": "bit_or", "BitwiseXor": "bit_xor", "BitwiseNot": "bit_not"}


@operator("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")
def _bitwise(s: Site) -> None:
    places = range(len(s.inputs))
    rule = BITS.get(s.operator) or f"shift_{s.text('direction', '').lower()}"
    s.host("bitwise", *map(s.operand, places), shape=s.broadcast([s.shape(place) for place in places]), how=rule)


@operator("Asin", "Acos", "Atan")
def _inverse_trigonometric(s: Site) -> None:
    s.host("arc", s.reference(0), shape=s.shape(), how=f"arc{s.operator[1:].lower()}")


@operator("Sum")
def _sum(s: Site) -> None:
    """Of any number of tensors, one addition after the other."""
    if len(s.inputs) == 1:
        s.same(s.inputs[0])
        return
    total = s.operand(0)
    for place in range(1, len(s.inputs)):
        step = "" if place == len(s.inputs) - 1 else f"sum{place}"
        total = s.emit("add", total, s.operand(place), to=step)


@operator("Max", "Min")
def _extreme(s: Site) -> None:
    function = s.proto.op_type.lower()
    _all(s, reduce(lambda a, b: f"{function}({a}, {b})", [f"x{place}" for place in range(len(s.inputs))]))


@operator("Mean")
def _mean(s: Site) -> None:
    count = len(s.inputs)
    _all(s, f"({' + '.join(f'x{place}' for place in range(count))}) / {count}" if count > 1 else "x0")


@operator("Where")
def _where(s: Site) -> None:
    s.pointwise("where", "select(x0, x1, x2)", *(s.operand(place) for place in range(3)), dtype=s.dtype(1))


@operator("Cast", "CastLike", "BitCast")
def _cast(s: Site) -> None:
    """To the same dtype it is nothing."""
    if s.operator == "BitCast":
        s.unsupported()
    to = s.integer("to", 0)
    if s.operator == "Cast" and to not in DTYPES:
        s.unsupported()
    dtype = DTYPES[to][0] if s.operator == "Cast" else s.dtype(1)
    if dtype == s.dtype():
        s.same(s.inputs[0])
    else:
        s.pointwise("cast", "x0", s.reference(0), dtype=dtype)


@operator("Clip")
def _clip(s: Site) -> None:
    """Bounds are attributes up to operator set 10, then inputs; those that the network computes, pointwise."""
    bounds = [s.number("min", LOWEST), s.number("max", HIGHEST)]
    for place in (1, 2):
        if s.given(place) and s.known(place) is None:
            _clip_by_values(s)
            return
        bounds[place - 1] = s.scalar(place, "a bound", bounds[place - 1])
    s.emit("clip", s.reference(0), low=bounds[0], high=bounds[1])


def _clip_by_values(s: Site) -> None:
    body, inputs = "x0", [s.reference(0)]
    for place, function in ((1, "max"), (2, "min")):
        if s.given(place):
            body = f"{function}({body}, x{len(inputs)})"
            inputs.append(s.operand(place))
    s.pointwise("clip", body, *inputs)


@operator("Identity")
def _identity(s: Site) -> None:
    if s.inputs[0] in s.importer.sequences:
        s.importer.sequences[s.outputs[0]] = s.importer.sequences[s.inputs[0]]
    else:
        s.same(s.inputs[0])


@operator("Dropout")
def _dropout(s: Site) -> None:
    ratio = s.scalar(1, "the ratio", s.number("ratio", 0.5))
    if s.given(2) and any(s.small(2, "training_mode", "b")):
        s.unsupported()
    s.emit("dropout", s.reference(0), p=ratio)
    if s.wanted(1):
        s.define(listed(s.outputs[1], [True], "bool", ()).expanded(s.shape()), 1)
