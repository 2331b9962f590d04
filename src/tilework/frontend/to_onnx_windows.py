"""Convolutions and pooling in ONNX, whose operators take any number of spatial axes as the families here do."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tilework.frontend.to_onnx_exporter import Exporter
from tilework.network.weights import Array

Sizes = tuple[int, ...]


def _pads(padding: Sizes, extra: Sizes) -> list[int]:
    return [*padding, *(before + more for before, more in zip(padding, extra, strict=True))]


def _convolution(e: Exporter, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, extra: Sizes) -> None:
    kept: dict[str, Any] = {"kernel_shape": e.shapes[1][2:], "strides": stride, "dilations": dilation, "group": groups}
    e.emit("Conv", *e.inputs, pads=_pads(padding, extra), **kept)


def _transposed(
    e: Exporter, stride: Sizes, padding: Sizes, output_padding: Sizes, dilation: Sizes, groups: int
) -> None:
    kept: dict[str, Any] = {"kernel_shape": e.shapes[1][2:], "strides": stride, "dilations": dilation, "group": groups}
    e.emit("ConvTranspose", *e.inputs, pads=[*padding, *padding], output_padding=output_padding, **kept)


def _far(e: Exporter, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """The padding behind each axis that the last window needs."""
    sides = zip(e.output[2:], stride, dilation, kernel, e.shapes[0][2:], padding, strict=True)
    return tuple(max(0, (p - 1) * s + d * (k - 1) + 1 - size - y) for p, s, d, k, size, y in sides)


def _padded(e: Exporter, before: Sizes, behind: Sizes, value: float) -> str:
    amounts = e.constant("pads", [0, 0, *before, 0, 0, *behind])
    return e.emit("Pad", e.inputs[0], amounts, e.number("outside", value), to="padded")


def _max_pool(
    e: Exporter, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool, extra: Sizes
) -> None:
    # Rather than ceil_mode, whose last window runtimes place differently, enough padding at the far ends.
    far = _far(e, kernel, stride, padding, dilation)
    value, pads = e.inputs[0], [*padding, *far]
    if any(f >= k for f, k in zip(far, kernel, strict=True)):  # more than MaxPool itself may pad by
        value, pads = _padded(e, padding, far, -np.inf), [0] * len(pads)
    e.emit("MaxPool", value, kernel_shape=kernel, strides=stride, pads=pads, dilations=dilation)


def _avg_pool(
    e: Exporter,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_padding: bool,
    extra: Sizes,
    ceil: bool,
    divisor: int,
) -> None:
    if not (ceil or divisor):
        kept: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "count_include_pad": int(count_padding)}
        e.emit("AveragePool", e.inputs[0], pads=_pads(padding, extra), **kept)
        return
    whole = _padded(e, padding, _far(e, kernel, stride, padding, (1,) * len(kernel)), 0)
    mean = e.emit("AveragePool", whole, to="mean", kernel_shape=kernel, strides=stride)
    places: Array = np.ones((), np.int64)
    for size, k, step, y, more, windows in zip(
        e.shapes[0][2:], kernel, stride, padding, extra, e.output[2:], strict=True
    ):
        first, end = (-y, size + y + more) if count_padding else (0, size)
        starts = np.arange(windows) * step - y
        places = np.multiply.outer(places, np.minimum(starts + k, end) - np.maximum(starts, first))
    factors = prod(kernel) / (np.full_like(places, divisor) if divisor else places)
    e.emit("Mul", mean, e.array("factors", factors[None, None].astype(e.working)))


def _adaptive(pool: str, reduce: str) -> Callable[..., None]:
    """One pooling where the windows are even, else the value of each window, axis by axis."""

    def export(e: Exporter, output: Sizes) -> None:
        sizes = e.shapes[0][2:]
        if prod(output) == 1:
            e.emit(f"Global{pool}", e.inputs[0])
        elif all(size % windows == 0 for size, windows in zip(sizes, output, strict=True)):
            kernel = [size // windows for size, windows in zip(sizes, output, strict=True)]
            e.emit(pool, e.inputs[0], kernel_shape=kernel, strides=kernel)
        else:
            value = e.inputs[0]
            for axis, (size, windows) in enumerate(zip(sizes, output, strict=True), 2):
                value = _by_window(e, value, axis, size, windows, reduce)

    return export


def _by_window(e: Exporter, x: str, axis: int, size: int, windows: int, reduce: str) -> str:
    """The windows along one axis; the mean of a rectangle is that of its rows' means."""
    values = []
    for i in range(windows):
        place = f"axis{axis}.{i}"
        start, end = i * size // windows, -(-(i + 1) * size // windows)
        names = [e.constant(f"{place}.{n}", [v]) for n, v in (("start", start), ("end", end), ("axis", axis))]
        part = e.emit("Slice", x, *names, to=f"{place}.slice")
        values.append(e.emit(reduce, part, to=f"{place}.value", axes=[axis], keepdims=1))
    return e.emit("Concat", *values, to="" if axis == len(e.output) - 1 else f"axis{axis}", axis=axis)


WINDOWS: dict[str, Callable[..., None]] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "conv_transpose1d": _transposed,
    "conv_transpose2d": _transposed,
    "conv_transpose3d": _transposed,
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "max_pool3d": _max_pool,
    "avg_pool1d": _avg_pool,
    "avg_pool2d": _avg_pool,
    "avg_pool3d": _avg_pool,
    "adaptive_avg_pool1d": _adaptive("AveragePool", "ReduceMean"),
    "adaptive_avg_pool2d": _adaptive("AveragePool", "ReduceMean"),
    "adaptive_avg_pool3d": _adaptive("AveragePool", "ReduceMean"),
    "adaptive_max_pool1d": _adaptive("MaxPool", "ReduceMax"),
    "adaptive_max_pool2d": _adaptive("MaxPool", "ReduceMax"),
    "adaptive_max_pool3d": _adaptive("MaxPool", "ReduceMax"),
}
