"""ATen's sums of products: matrices, linear layers, convolutions.

A weight that is read transposed, as `nn.Linear` reads its own, makes a `linear`; every other product is a `matmul`, to
which a pending transposition of the last two axes is an attribute.
"""

from __future__ import annotations

from typing import Any

from tilework.frontend.from_torch.aten_support import Sizes, host, is_complex, pointwise, reshape, scalar
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten


def product(c: Lowering, x: Value, y: Value) -> Value:
    """x @ y, both with at least 2 axes.

    torch joins the leading axes of what has more than 3; the products of what it joined say the same.
    """
    if len(x.shape) == 3 == len(y.shape) and (lead := _lead(c, x) or _lead(c, y)):
        left, right = (c.reshaped(value, (*lead, *value.shape[1:])) for value in (x, y))
        return c.reshaped(product(c, left, right), (*x.shape[:2], y.shape[2]))
    if is_complex(x) or is_complex(y):
        shape = (*max(x.shape[:-2], y.shape[:-2], key=len), x.shape[-2], y.shape[-1])
        return c.emit("unknown", x, y, what=c.call.operator, shape=shape)
    (left, transpose_x), (right, transpose_y) = _straight(c, x), _straight(c, y)
    if transpose_y and len(right.shape) == 2 and not transpose_x and c.is_weight(right):
        return linear_layer(c, left, right)
    flags: dict[str, Any] = {
        name: True for name, flag in (("transpose_x", transpose_x), ("transpose_y", transpose_y)) if flag
    }
    return c.emit("matmul", left, right, **flags)


def _lead(c: Lowering, x: Value) -> Sizes:
    """The axes that torch joined before the last two; none where it didn't."""
    base = c.under(x)
    return base.shape[:-2] if base.shape[-2:] == x.shape[-2:] and len(base.shape) > 3 else ()


def linear_layer(c: Lowering, x: Value, w: Value, *bias: Value) -> Value:
    """x @ w.T + bias, over the axes that x had before torch joined all but the last."""
    base = c.under(x)
    if base.shape[-1:] != x.shape[-1:]:
        return c.emit("linear", x, w, *bias)
    return c.reshaped(c.emit("linear", base, w, *bias), (*x.shape[:-1], w.shape[0]))


def _straight(c: Lowering, x: Value) -> tuple[Value, bool]:
    """What a pending transposition of the last two axes is of; else the value itself."""
    view = c.base(x)
    if view is None:
        return x, False
    base, order = view
    last = len(order) - 1
    return (base, True) if order == (*range(last - 1), last, last - 1) else (x, False)


def scaled(c: Lowering, x: Value, factor: float) -> Value:
    """x times a number, x itself where that is 1."""
    return x if factor == 1 else pointwise(c, "mul", "x0 * x1", x, factor, dtype=x.dtype)


def plus(c: Lowering, x: Value, factor: float, total: Value) -> Value:
    """factor * x + total."""
    if factor == 0:
        return total
    if factor == 1:
        return c.emit("add", x, total)
    return pointwise(c, "add", f"{scalar(factor)} * x0 + x1", x, total)


@aten("mm", "bmm")
def mm(c: Lowering, x: Value, y: Value, out_dtype: str | None = None) -> None:
    """x @ y, of matrices or of as many of them."""
    c.set(product(c, x, y))


@aten("_int_mm")
def integer_mm(c: Lowering, x: Value, y: Value) -> None:
    """Of 8-bit integers, summed in 32 bits."""
    c.set(product(c, x, y))


@aten("_scaled_mm")
def scaled_mm(
    c: Lowering,
    x: Value,
    y: Value,
    scale_a: Value,
    scale_b: Value,
    bias: Value | None = None,
    scale_result: Value | None = None,
    out_dtype: str | None = None,
    use_fast_accum: bool = False,
) -> None:
    """x @ y of 8-bit floats times a scale of each, for the whole or for rows and columns, and a bias."""
    total = c.result.dtype
    value = pointwise(c, "scale", "x0 * x1 * x2", product(c, x, y), scale_a, scale_b, dtype=total)
    value = value if bias is None else c.emit("add", value, bias, dtype=total)
    c.set(value if scale_result is None else c.emit("mul", value, scale_result, dtype=total))


@aten("addmm")
def addmm(
    c: Lowering, bias: Value, x: Value, w: Value, out_dtype: str | None = None, *, beta: float = 1, alpha: float = 1
) -> None:
    """beta * bias + alpha * x @ w; a linear layer where w is a weight transposed."""
    stored, transposed = _straight(c, w)
    if transposed and c.is_weight(stored) and (beta, alpha) == (1, 1) and bias.shape == stored.shape[:1]:
        c.set(linear_layer(c, x, stored, bias))
    else:
        c.set(plus(c, bias, beta, scaled(c, product(c, x, w), alpha)))


@aten("baddbmm")
def baddbmm(
    c: Lowering, total: Value, x: Value, y: Value, out_dtype: str | None = None, *, beta: float = 1, alpha: float = 1
) -> None:
    """beta * total + alpha * x @ y, of as many matrices."""
    c.set(plus(c, total, beta, scaled(c, product(c, x, y), alpha)))


@aten("addbmm")
def addbmm(c: Lowering, total: Value, x: Value, y: Value, beta: float = 1, alpha: float = 1) -> None:
    """beta * total + alpha times the sum of all x @ y."""
    summed = c.emit("reduce", product(c, x, y), what="sum", axes=(0,))
    c.set(plus(c, total, beta, scaled(c, summed, alpha)))


@aten("mv")
def mv(c: Lowering, x: Value, vector: Value) -> None:
    """A matrix times a vector."""
    c.set(reshape(c, product(c, x, reshape(c, vector, (*vector.shape, 1))), x.shape[:1]))


@aten("addmv")
def addmv(c: Lowering, total: Value, x: Value, vector: Value, beta: float = 1, alpha: float = 1) -> None:
    """beta * total + alpha times a matrix times a vector."""
    summed = reshape(c, product(c, x, reshape(c, vector, (*vector.shape, 1))), x.shape[:1])
    c.set(plus(c, total, beta, scaled(c, summed, alpha)))


@aten("dot", "vdot")
def dot(c: Lowering, x: Value, y: Value) -> None:
    """The sum of the products of two vectors."""
    c.set(reshape(c, product(c, reshape(c, x, (1, *x.shape)), reshape(c, y, (*y.shape, 1))), ()))


@aten("outer")
def outer(c: Lowering, x: Value, y: Value) -> None:
    """All products of two vectors' elements: no sums."""
    c.set(c.emit("mul", reshape(c, x, (*x.shape, 1)), y))


@aten("addr")
def addr(c: Lowering, total: Value, x: Value, y: Value, beta: float = 1, alpha: float = 1) -> None:
    """beta * total + alpha times all products of two vectors' elements."""
    products = c.emit("mul", reshape(c, x, (*x.shape, 1)), y)
    c.set(plus(c, total, beta, scaled(c, products, alpha)))


@aten("matmul")
def matmul(c: Lowering, x: Value, y: Value) -> None:
    """x @ y; a vector is a row on the left and a column on the right."""
    left = x if len(x.shape) > 1 else reshape(c, x, (1, *x.shape))
    right = y if len(y.shape) > 1 else reshape(c, y, (*y.shape, 1))
    c.set(reshape(c, product(c, left, right), c.result.shape))


@aten("linear")
def linear(c: Lowering, x: Value, w: Value, bias: Value | None = None) -> None:
    """x @ w.T + bias; a weight with one axis gives one number."""
    stored = w if len(w.shape) == 2 else reshape(c, w, (1, *w.shape))
    biases = () if bias is None else (reshape(c, bias, (stored.shape[0],)),)
    c.set(reshape(c, c.emit("linear", x, stored, *biases), c.result.shape))


@aten("_grouped_mm")
def grouped_mm(
    c: Lowering, x: Value, w: Value, offs: Value | None = None, bias: Value | None = None, out_dtype: str | None = None
) -> None:
    """Each row of x [T,K] times the matrix of its expert, of w [E,K,N]; `offs` says where an expert's rows end.

    Which expert depends on values: the host picks it, and each row meets the weights of one.
    """
    if offs is None:
        c.set(product(c, x, w))
        return
    if (len(x.shape), len(w.shape)) != (2, 3) or bias is not None:
        c.unknown()
        return
    stored, transposed = _straight(c, w)
    expert = c.emit("host", stored, offs, what="expert", shape=stored.shape[1:], dtype=w.dtype)
    c.set(c.emit("matmul", x, expert, transpose_y=transposed))


def each_axis(sizes: Sizes, rank: int) -> Sizes:
    """A size for each axis; one alone is that of all."""
    return sizes * rank if len(sizes) == 1 else sizes


@aten("convolution", "_convolution")
def convolution(
    c: Lowering,
    x: Value,
    w: Value,
    bias: Value | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    *_: bool,
) -> None:
    """A convolution along all axes of w but the first two, or the transposed one."""
    rank = len(w.shape) - 2
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    if transposed:
        options["output_padding"] = output_padding
    _convolve(c, x, w, bias, transposed, groups, {key: each_axis(value, rank) for key, value in options.items()})


def _convolve(
    c: Lowering, x: Value, w: Value, bias: Value | None, transposed: bool, groups: int, options: dict[str, Any]
) -> None:
    """An input without a batch is a batch of one."""
    rank = len(w.shape) - 2
    batch = x if len(x.shape) == rank + 2 else reshape(c, x, (1, *x.shape))
    name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
    biases = () if bias is None else (bias,)
    c.set(reshape(c, c.emit(name, batch, w, *biases, groups=groups, **options), c.result.shape))


@aten("conv1d", "conv2d", "conv3d")
def conv(
    c: Lowering,
    x: Value,
    w: Value,
    bias: Value | None = None,
    stride: Sizes = (1,),
    padding: Sizes | str = (0,),
    dilation: Sizes = (1,),
    groups: int = 1,
) -> None:
    """A convolution; padding "same" keeps the sizes, an odd place more standing behind."""
    rank = len(w.shape) - 2
    options = {"stride": each_axis(stride, rank), "dilation": each_axis(dilation, rank)}
    if padding == "same":
        room = [d * (k - 1) for d, k in zip(options["dilation"], w.shape[2:], strict=True)]
        options |= {"padding": tuple(r // 2 for r in room), "extra": tuple(r % 2 for r in room)}
    else:
        options["padding"] = each_axis((0,) if isinstance(padding, str) else padding, rank)
    _convolve(c, x, w, bias, False, groups, options)


@aten("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    c: Lowering,
    x: Value,
    w: Value,
    bias: Value | None = None,
    stride: Sizes = (1,),
    padding: Sizes = (0,),
    output_padding: Sizes = (0,),
    groups: int = 1,
    dilation: Sizes = (1,),
) -> None:
    """A transposed convolution."""
    convolution(c, x, w, bias, stride, padding, dilation, True, output_padding, groups)


@aten("_cdist_forward", "_pdist_forward")
def distances(c: Lowering, x: Value, *rest: Value | float | None) -> None:
    """Distances between all pairs of rows; unknown where they aren't roots of squares."""
    if 2 in (rest[:2] or (2,)):
        host(c, "distances", x)
    else:
        c.unknown()
