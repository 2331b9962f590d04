"""The ONNX operators on quantised numbers, as what they compute: differences, products, rounding, bounds."""

from __future__ import annotations

from tilework.frontend.from_onnx.constants import AXES_LIMIT, DTYPES
from tilework.frontend.from_onnx.matrices import product
from tilework.frontend.from_onnx.site import Site, operator
from tilework.frontend.from_onnx.windows import convolution, weight_sizes
from tilework.network.operations import Shape

RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "float8_e4m3fn": (-448, 448),
    "float8_e5m2": (-57344, 57344),
}
NARROW = {21: (0, 15), 22: (-8, 7), 25: (0, 3), 26: (-2, 1)}  # by ONNX's number of the dtype


def _along(s: Site, place: int, shape: Shape, axis: int) -> str:
    """A scale or a zero point in a shape that broadcasts: one for all, one per place of an axis, one per block."""
    own, name = s.shape(place), s.reference(place, trainable=False)
    if not own or own == (1,):
        return s.reshaped(name, (), f"one{place}")
    if len(own) == 1:
        wide = tuple(own[0] if a == axis else 1 for a in range(len(shape)))
        return s.reshaped(name, wide, f"wide{place}")
    if len(own) != len(shape) or not own[axis] or len(shape) >= AXES_LIMIT:
        s.unsupported()
    block = s.integer("block_size", 0) or -(-shape[axis] // own[axis])
    if own == shape:
        return name
    if block * own[axis] != shape[axis]:
        s.unsupported()
    name = s.reshaped(name, (*own[: axis + 1], 1, *own[axis + 1 :]), f"apart{place}")
    name = s.emit("expand", name, to=f"blocks{place}", shape=(*own[: axis + 1], block, *own[axis + 1 :]))
    return s.reshaped(name, shape, f"wide{place}")


def _axis(s: Site) -> int:
    rank = len(s.shape())
    axis = s.integer("axis", 1)
    return axis % rank if rank and -rank <= axis < rank else 0


@operator("DequantizeLinear", "com.microsoft::DequantizeLinear")
def _dequantize(s: Site) -> None:
    """(x - zero point) * scale."""
    shape, axis = s.shape(), _axis(s)
    operands = [_along(s, place, shape, axis) for place in range(1, len(s.inputs))]
    value = "(x0 - x2)" if len(operands) == 2 else "x0"
    x = s.pointwise("cast", "x0", s.reference(0), to="wide", dtype=s.dtype(1))
    if len(operands) == 2:
        operands[1] = s.pointwise("cast", "x0", operands[1], to="zero", dtype=s.dtype(1))
    s.pointwise("dequantize", f"{value} * x1", x, *operands)


@operator("QuantizeLinear", "com.microsoft::QuantizeLinear")
def _quantize(s: Site) -> None:
    """round(x / scale) + zero point, within the bounds of the integers that it becomes."""
    shape, axis = s.shape(), _axis(s)
    to = s.integer("output_dtype", 0)
    dtype = s.dtype(2) if s.given(2) else DTYPES[to][0] if to in DTYPES else "uint8"
    if dtype not in RANGES:
        s.unsupported()
    low, high = NARROW.get(to, RANGES[dtype])
    operands = [_along(s, place, shape, axis) for place in range(1, len(s.inputs))]
    zero = " + x2" if len(operands) == 2 else ""
    quotient = "x0 / x1" if dtype.startswith("float8") else "round(x0 / x1)"
    body = f"min(max({quotient}{zero}, {'0' if low == 0 else f'({low})'}), {high})"
    s.pointwise("quantize", body, s.reference(0), *operands, dtype=dtype)


def _less_zero(s: Site, place: int, zero: int, to: str, axis: int | None = None) -> str:
    """An integer operand as int32, less its zero point; one for each place of an axis counted from the end."""
    x = s.pointwise("cast", "x0", s.reference(place), to=f"{to}_wide", dtype="int32")
    if not s.given(zero):
        return x
    shape = s.shape(place)
    point = _along(s, zero, shape, axis if axis is not None else len(shape) - 1)
    point = s.pointwise("cast", "x0", point, to=f"{to}_zero", dtype="int32")
    return s.emit("sub", x, point, to=f"{to}_shifted")


@operator("MatMulInteger")
def _matmul_integer(s: Site) -> None:
    a = _less_zero(s, 0, 2, "a", max(0, len(s.shape()) - 2))
    product(s, a, _less_zero(s, 1, 3, "b"))


@operator("ConvInteger")
def _conv_integer(s: Site) -> None:
    x, w = _less_zero(s, 0, 2, "x", 1), _less_zero(s, 1, 3, "w", 0)
    convolution(s, x, w, kernel=weight_sizes(s, s.shape()[2:]))


def _requantized(s: Site, value: str, scales: tuple[int, int, int], zero: int, axis: int) -> None:
    """value * (scale of a * scale of b / scale of y), rounded, shifted and bounded."""
    shape, dtype = s.importer.shape(value), s.dtype(zero)
    if dtype not in RANGES:
        s.unsupported()
    low, high = RANGES[dtype]
    wide = s.pointwise("cast", "x0", value, to="wide", dtype=s.dtype(scales[0]))
    operands = [_along(s, place, shape, axis) for place in (*scales, zero)]
    body = f"min(max(round(x0 * (x1 * x2 / x3)) + x4, {'0' if low == 0 else f'({low})'}), {high})"
    s.pointwise("quantize", body, wide, *operands, dtype=dtype)


@operator("QLinearMatMul")
def _qlinear_matmul(s: Site) -> None:
    a = _less_zero(s, 0, 2, "a", max(0, len(s.shape()) - 2))
    value = product(s, a, _less_zero(s, 3, 5, "b"), to="sum")
    _requantized(s, value, (1, 4, 6), 7, len(s.importer.shape(value)) - 1)


@operator("QLinearConv")
def _qlinear_conv(s: Site) -> None:
    x, w = _less_zero(s, 0, 2, "x", 1), _less_zero(s, 3, 5, "w", 0)
    bias = [s.reference(8)] if s.given(8) else []
    value = convolution(s, x, w, *bias, kernel=weight_sizes(s, s.shape()[2:], 3), to="sum")
    _requantized(s, value, (1, 4, 6), 7, 1)
