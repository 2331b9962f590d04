"""The ONNX operators whose outputs look at windows of their inputs: convolutions and pooling along 1 to 3 axes."""

from __future__ import annotations

from math import prod
from typing import Any

from tilework.frontend.from_onnx.site import Site, operator
from tilework.network.operations import Shape

SIDE_LIMIT = 1 << 20  # of an image: far more than any has, and little enough to look at each row
DIMENSIONS = (1, 2, 3)


def _space(s: Site) -> Shape:
    """The sizes of the axes behind batch and channels; images of more than three make the node unknown."""
    size = s.shape()[2:]
    if not size or max(size) > SIDE_LIMIT:
        s.fail(f"the input must be [N,C,…] with 1 to 3 sizes of at most {SIDE_LIMIT} behind, not {list(s.shape())}")
    if len(size) not in DIMENSIONS:
        s.unsupported()
    return size


def _sizes(s: Site, name: str, count: int, default: Shape | None = None) -> Shape:
    values = s.ints(name) or default
    if values is None or len(values) != count:
        s.fail(f"{name} must be {count} integers, not {list(values or ())}")
    return values


def _padding(s: Site, size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> tuple[Shape, Shape]:
    """The padding before and behind along each axis."""
    mode, count = s.text("auto_pad", "NOTSET") or "NOTSET", len(size)
    if mode == "VALID":
        return (0,) * count, (0,) * count
    if mode == "NOTSET":
        pads = _sizes(s, "pads", 2 * count, (0,) * 2 * count)
        if min(pads) < 0 or max(pads) > SIDE_LIMIT:
            s.fail(f"pads must be {2 * count} integers in 0..{SIDE_LIMIT}, not {list(pads)}")
        return pads[:count], pads[count:]
    if mode not in ("SAME_UPPER", "SAME_LOWER") or min(*kernel, *stride, *dilation) < 1:
        s.fail(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {mode}, with sizes of at least 1")
    totals = [
        max(0, (-(-length // step) - 1) * step + d * (k - 1) + 1 - length)
        for length, k, step, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    halves = tuple(total // 2 for total in totals)
    rest = tuple(total - half for total, half in zip(totals, halves, strict=True))
    return (halves, rest) if mode == "SAME_UPPER" else (rest, halves)


def _extra(before: Shape, behind: Shape) -> Shape:
    return tuple(b - a for a, b in zip(before, behind, strict=True))


def weight_sizes(s: Site, size: Shape, place: int = 1) -> Shape:
    """The kernel's sizes along the axes, those of the weight."""
    weight = s.shape(place)
    if len(weight) != len(size) + 2:
        s.fail(f"the weight must have {len(size) + 2} axes, not the shape {list(weight)}")
    kernel = weight[2:]
    if max(kernel, default=1) > SIDE_LIMIT:
        s.fail(f"the weight must have windows of at most {SIDE_LIMIT} along each axis, not the shape {list(weight)}")
    if _sizes(s, "kernel_shape", len(size), kernel) != kernel:
        s.fail(f"kernel_shape must be that of the weight, {list(kernel)}, not {list(s.ints('kernel_shape') or ())}")
    return kernel


@operator("Conv")
def _conv(s: Site) -> None:
    operands = [s.reference(place) for place in range(len(s.inputs))]
    convolution(s, *operands, kernel=weight_sizes(s, _space(s)))


def convolution(s: Site, *operands: str, kernel: Shape, to: str = "", dtype: str = "") -> str:
    """The convolution that the attributes state, of these values."""
    size = _space(s)
    count = len(size)
    stride, dilation = _sizes(s, "strides", count, (1,) * count), _sizes(s, "dilations", count, (1,) * count)
    before, behind = _padding(s, size, kernel, stride, dilation)
    window: dict[str, Any] = {"stride": stride, "padding": before, "extra": _extra(before, behind)}
    groups = s.integer("group", 1)
    return s.emit(f"conv{count}d", *operands, to=to, dtype=dtype, dilation=dilation, groups=groups, **window)


@operator("DeformConv")
def _deform_conv(s: Site) -> None:
    """Each place of each window sampled (by the host), then a product with the weights."""
    size = _space(s)
    kernel, count = weight_sizes(s, size), len(size)
    if len(s.shape(2)) != count + 2:
        s.fail(f"its offsets must have {count + 2} axes, not the shape {list(s.shape(2))}")
    filters, channels = s.shape(1)[:2]
    batch, depth = s.shape()[:2]
    places = (batch, depth * prod(kernel), *s.shape(2)[2:])
    values = [s.reference(place) for place in (0, 2, 4) if s.given(place)]
    sampled = s.host("grid_sample", *values, shape=places, to="sampled")
    flat = (filters, channels * prod(kernel), *(1,) * count)
    weight = s.known(1)
    w = s.importer.weight(weight.reshaped(flat)) if weight else s.reshaped(s.reference(1), flat)
    bias = [s.reference(3)] if s.given(3) else []
    s.emit(f"conv{count}d", sampled, w, *bias, groups=s.integer("group", 1))


@operator("ConvTranspose")
def _conv_transpose(s: Site) -> None:
    """Padding that differs before and behind is cut off afterwards."""
    size = _space(s)
    count, kernel = len(size), weight_sizes(s, size)
    stride, dilation = _sizes(s, "strides", count, (1,) * count), _sizes(s, "dilations", count, (1,) * count)
    more = _sizes(s, "output_padding", count, (0,) * count)
    whole = [
        (n - 1) * step + d * (k - 1) + 1 + o
        for n, step, d, k, o in zip(size, stride, dilation, kernel, more, strict=True)
    ]
    before, behind = _transposed_padding(s, size, stride, whole)
    if any(low < 0 for low in behind):  # a larger output than there are products: places of zeros behind
        more = tuple(o - min(0, low) for o, low in zip(more, behind, strict=True))
        behind = tuple(max(0, low) for low in behind)
    common = tuple(map(min, before, behind))
    operands = [s.reference(place) for place in range(len(s.inputs))]
    window: dict[str, Any] = {"stride": stride, "padding": common, "output_padding": more, "dilation": dilation}
    cuts = [axis for axis in range(count) if before[axis] != behind[axis]]
    groups, to = s.integer("group", 1), "whole" if cuts else ""
    value = s.emit(f"conv_transpose{count}d", *operands, to=to, groups=groups, **window)
    for axis in cuts:
        left = whole[axis] - before[axis] - behind[axis]
        step = "" if axis == cuts[-1] else f"cut{axis}"
        value = s.emit("slice", value, to=step, axis=axis + 2, start=before[axis] - common[axis], size=left)


def _transposed_padding(s: Site, size: Shape, stride: Shape, whole: list[int]) -> tuple[Shape, Shape]:
    """What is cut off an output before and behind: as `pads` says, or so that it has `output_shape`."""
    count, mode = len(size), s.text("auto_pad", "NOTSET") or "NOTSET"
    asked = s.ints("output_shape")
    if asked is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        asked = tuple(n * step for n, step in zip(size, stride, strict=True))
    if asked is None:
        pads = (0,) * 2 * count if mode == "VALID" else _sizes(s, "pads", 2 * count, (0,) * 2 * count)
        return pads[:count], pads[count:]
    if len(asked) != count or min(asked) < 1:
        s.fail(f"output_shape must be {count} sizes, not {list(asked)}")
    halves = tuple(max(0, (have - want) // 2) for have, want in zip(whole, asked, strict=True))
    rest = tuple(have - want - half for have, want, half in zip(whole, asked, halves, strict=True))
    if mode == "SAME_UPPER" or min(rest) < 0:
        return halves, rest
    return rest, halves


def _pool(s: Site) -> tuple[Shape, dict[str, Any]]:
    """The space and the window of a pooling operator."""
    size = _space(s)
    count = len(size)
    kernel = _sizes(s, "kernel_shape", count)
    stride, dilation = _sizes(s, "strides", count, (1,) * count), _sizes(s, "dilations", count, (1,) * count)
    before, behind = _padding(s, size, kernel, stride, dilation)
    window: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
    window |= {"padding": before, "extra": _extra(before, behind), "ceil": bool(s.integer("ceil_mode", 0))}
    return size, window


def _wide(window: dict[str, Any]) -> bool:
    """Whether the padding exceeds half the window, which a pooling operation refuses."""
    return any(2 * before > k for before, k in zip(window["padding"], window["kernel"], strict=True))


def _padded(s: Site, window: dict[str, Any], value: float) -> str:
    """The input with its padding as places of its own; the window then has none."""
    before = (0, 0, *window["padding"])
    behind = tuple(b + e for b, e in zip(before, (0, 0, *window["extra"]), strict=True))
    window["padding"] = window["extra"] = (0,) * len(window["kernel"])
    return s.emit("pad", s.reference(0), to="padded", before=before, after=behind, value=value)


@operator("MaxPool")
def _max_pool(s: Site) -> None:
    size, window = _pool(s)
    x = _padded(s, window, float("-inf")) if _wide(window) else s.reference(0)
    s.emit(f"max_pool{len(size)}d", x, **window)
    if s.wanted(1):
        shape = s.importer.shape(s.outputs[0])
        s.host("gather", s.reference(0), s.outputs[0], shape=shape, out=1, dtype="int64")


@operator("AveragePool")
def _average_pool(s: Site) -> None:
    size, window = _pool(s)
    if window.pop("dilation") != (1,) * len(size):
        s.unsupported()
    counted = bool(s.integer("count_include_pad", 0))
    if _wide(window):
        if not counted:
            s.unsupported()
        x = _padded(s, window, 0.0)
    else:
        x = s.reference(0)
    counted |= not any((*window["padding"], *window["extra"])) and not window["ceil"]
    s.emit(f"avg_pool{len(size)}d", x, **window, count_padding=counted)


@operator("LpPool")
def _lp_pool(s: Site) -> None:
    """(sum of |x|^p over windows)^(1/p): a mean over windows, whose padding counts, times their size."""
    size, window = _pool(s)
    if window.pop("dilation") != (1,) * len(size) or _wide(window) or window["ceil"]:
        s.unsupported()
    p = s.integer("p", 2)
    powers = s.pointwise("pow", f"pow(abs(x0), {p})", s.reference(0), to="powers")
    mean = s.emit(f"avg_pool{len(size)}d", powers, to="sums", **window, divisor=1)
    s.pointwise("pow", f"pow(x0, {1 / p!r})" if p > 0 else "x0", mean)


@operator("GlobalAveragePool")
def _global_average_pool(s: Site) -> None:
    size = _space(s)
    s.emit(f"adaptive_avg_pool{len(size)}d", s.reference(0), output=(1,) * len(size))


@operator("GlobalMaxPool")
def _global_max_pool(s: Site) -> None:
    size = _space(s)
    s.emit(f"adaptive_max_pool{len(size)}d", s.reference(0), output=(1,) * len(size))


@operator("GlobalLpPool")
def _global_lp_pool(s: Site) -> None:
    axes, p = tuple(range(2, 2 + len(_space(s)))), s.integer("p", 2)
    if p < 1:
        s.fail(f"p must be at least 1, not {p}")
    powers = s.pointwise("pow", f"pow(abs(x0), {p})", s.reference(0), to="powers")
    s.pointwise("pow", f"pow(x0, {1 / p!r})", s.emit("reduce", powers, to="sums", axes=axes, keep=True))


@operator("MaxUnpool")
def _max_unpool(s: Site) -> None:
    size = _space(s)
    count = len(size)
    if s.given(2):
        shape = s.integers(2, "the output's shape")
    else:
        kernel, stride = _sizes(s, "kernel_shape", count), _sizes(s, "strides", count, (1,) * count)
        pads = _sizes(s, "pads", 2 * count, (0,) * 2 * count)
        space = (
            (n - 1) * step + k - a - b
            for n, step, k, a, b in zip(size, stride, kernel, pads[:count], pads[count:], strict=True)
        )
        shape = (*s.shape()[:2], *space)
    s.host("scatter", s.reference(0), s.reference(1), shape=shape)
