"""ATen's operators that rename, pick, put together or repeat elements and compute nothing."""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import Any

from tilework.frontend.from_torch.aten_support import Sizes, axis_of, host, reshape
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten

RENAMED = (
    "view reshape _unsafe_view _reshape_alias flatten unflatten squeeze unsqueeze alias detach lift_fresh view_as "
    "reshape_as"
)


@aten(*RENAMED.split())
def renamed(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """The same elements under the result's shape."""
    c.set(reshape(c, x, c.result.shape))


@aten("as_strided")
def strided(c: Lowering, x: Value, size: Sizes, stride: Sizes, storage_offset: int | None = None) -> None:
    """All elements in their order under another shape, or places that no nest states."""
    solid = [axis for axis, extent in enumerate(size) if extent > 1]
    in_order = all(stride[a] == prod(size[b] for b in solid[n + 1 :]) for n, a in enumerate(solid))
    if in_order and prod(size) == prod(x.shape) and not storage_offset and c.base(x) is None:
        c.set(reshape(c, x, c.result.shape))
    else:
        host(c, "gather", x)


@aten("view.dtype", "resize", "diagonal", "unfold", "im2col")
@aten("diag_embed", "view_as_real", "view_as_complex", "repeat_interleave.Tensor")
def picked(c: Lowering, x: Value, *others: Any, **_: Any) -> None:
    """Places of x that no nest states, or its bits read in another way."""
    host(c, "gather", x, *(value for value in others if isinstance(value, Value)))


@aten("clone", "contiguous")
def clone(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """A copy: a pending transposition moves data now, anything else is as it was."""
    view = c.base(x)
    c.set(x if view is None else c.emit("transpose", view[0], order=view[1]))


@aten("permute")
def permute(c: Lowering, x: Value, dims: Sizes) -> None:
    """The axes in another order; where only axes of size 1 change place the shape changes and nothing else."""
    order = tuple(axis_of(axis, len(x.shape)) for axis in dims)
    solid = [axis for axis in order if x.shape[axis] != 1]
    c.set(reshape(c, x, c.result.shape) if solid == sorted(solid) else c.view(x, order))


@aten("transpose")
def transpose(c: Lowering, x: Value, dim0: int, dim1: int) -> None:
    """Two axes exchanged."""
    order = list(range(len(x.shape)))
    if order:
        first, second = axis_of(dim0, len(order)), axis_of(dim1, len(order))
        order[first], order[second] = second, first
    permute(c, x, tuple(order))


@aten("t", "mT")
def turned(c: Lowering, x: Value) -> None:
    """The last two axes exchanged; a vector stays."""
    transpose(c, x, -1, -2 if len(x.shape) > 1 else -1)


@aten("movedim")
def movedim(c: Lowering, x: Value, source: int | Sizes, destination: int | Sizes) -> None:
    """Axes put in other places, the rest keeping their order."""
    rank = len(x.shape)
    begin, end = ((axes,) if isinstance(axes, int) else axes for axes in (source, destination))
    to = {axis_of(b, rank): axis_of(a, rank) for a, b in zip(begin, end, strict=True)}
    others = iter(axis for axis in range(rank) if axis not in to.values())
    permute(c, x, tuple(to[axis] if axis in to else next(others) for axis in range(rank)))


@aten("expand", "expand_as")
def expand(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """Axes of size 1 repeated."""
    c.set(repeated(c, x, c.result.shape))


def repeated(c: Lowering, x: Value, shape: Sizes) -> Value:
    """x broadcast to a shape; itself where it has the shape, renamed where only axes of size 1 are added."""
    if sum(size != 1 for size in shape) == sum(size != 1 for size in x.shape):
        return reshape(c, x, shape)
    return c.emit("expand", x, shape=shape)


def cut(c: Lowering, x: Value, axis: int, start: int, size: int, step: int = 1) -> Value:
    """`size` places of an axis; of a pending transposition, a pending transposition."""
    if size == x.shape[axis] and step == 1:
        return x
    view = c.base(x)
    if view is None:
        return c.emit("slice", x, axis=axis, start=start, size=size, step=step)
    base, order = view
    return c.view(c.emit("slice", base, axis=order[axis], start=start, size=size, step=step), order)


def _start(start: int | None, size: int) -> int:
    begin = start or 0
    return min(max(begin + size if begin < 0 else begin, 0), size)


@aten("slice")
def slice_(
    c: Lowering, x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> None:
    """Every step-th place of an axis from start to before end."""
    axis = axis_of(dim, len(x.shape))
    c.set(cut(c, x, axis, _start(start, x.shape[axis]), c.result.shape[axis], step))


@aten("narrow")
def narrow(c: Lowering, x: Value, dim: int, start: int, length: int) -> None:
    """Some places of an axis."""
    axis = axis_of(dim, len(x.shape))
    c.set(cut(c, x, axis, _start(start, x.shape[axis]), length))


@aten("select")
def select(c: Lowering, x: Value, dim: int, index: int) -> None:
    """One place of an axis, which goes."""
    axis = axis_of(dim, len(x.shape))
    c.set(reshape(c, cut(c, x, axis, index % x.shape[axis], 1), c.result.shape))


@aten("unbind")
def unbind(c: Lowering, x: Value, dim: int = 0) -> None:
    """Each place of an axis, which goes."""
    axis = axis_of(dim, len(x.shape))
    for place, result in enumerate(c.results):
        if result is not None and c.is_used(place):
            c.set(reshape(c, cut(c, x, axis, place, 1), result.shape), place)


@aten("split", "split_with_sizes", "chunk", "unsafe_split")
@aten("unsafe_split_with_sizes")
def split(c: Lowering, x: Value, _: Any, dim: int = 0) -> None:
    """Pieces of an axis, of the results' sizes."""
    axis = axis_of(dim, len(x.shape))
    sizes = [0 if result is None else result.shape[axis] for result in c.results]
    for place, (end, size) in enumerate(zip(accumulate(sizes), sizes, strict=True)):
        if c.is_used(place):
            c.set(cut(c, x, axis, end - size, size), place)


def joined(c: Lowering, values: list[Value], axis: int) -> Value:
    """Tensors one behind the other; empty ones don't matter."""
    solid = [value for value in values if not value.is_empty]
    return solid[0] if len(solid) == 1 else c.emit("concat", *solid, axis=axis)


@aten("cat")
def cat(c: Lowering, tensors: tuple[Value, ...], dim: int = 0) -> None:
    """Tensors one behind the other along an axis."""
    c.set(joined(c, list(tensors), axis_of(dim, len(c.result.shape))))


@aten("stack")
def stack(c: Lowering, tensors: tuple[Value, ...], dim: int = 0) -> None:
    """Tensors side by side along a new axis."""
    axis = axis_of(dim, len(c.result.shape))
    ones = [reshape(c, value, (*value.shape[:axis], 1, *value.shape[axis:])) for value in tensors]
    c.set(joined(c, ones, axis))


@aten("slice_scatter")
def slice_scatter(
    c: Lowering, x: Value, src: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> None:
    """x with other elements in some places of an axis: what stands before, the others, what stands behind."""
    axis = axis_of(dim, len(x.shape))
    size = x.shape[axis]
    if src.is_empty:
        c.set(x)
    elif step != 1:
        host(c, "scatter", x, src)
    else:
        c.set(_with(c, x, src, axis, _start(start, size)))


def _with(c: Lowering, x: Value, src: Value, axis: int, begin: int) -> Value:
    end, size = begin + src.shape[axis], x.shape[axis]
    before = [cut(c, x, axis, 0, begin)] if begin else []
    behind = [cut(c, x, axis, end, size - end)] if end < size else []
    return joined(c, [*before, src, *behind], axis)


@aten("select_scatter")
def select_scatter(c: Lowering, x: Value, src: Value, dim: int, index: int) -> None:
    """x with other elements in one place of an axis."""
    axis = axis_of(dim, len(x.shape))
    row = reshape(c, src, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    c.set(_with(c, x, row, axis, index % x.shape[axis]))


@aten("diagonal_scatter", "as_strided_scatter")
def scattered(c: Lowering, x: Value, src: Value, *_: Any, **__: Any) -> None:
    """x with other elements in places that no nest states."""
    host(c, "scatter", x, src)


def _padded(c: Lowering, x: Value, padding: Sizes, value: float = 0.0, mode: str = "constant") -> None:
    """Places before and behind the last axes; torch gives those of the last axis first."""
    rank, axes = len(x.shape), len(padding) // 2
    before = (*(0,) * (rank - axes), *padding[-2::-2])
    after = (*(0,) * (rank - axes), *padding[::-2])
    c.set(c.emit("pad", x, before=before, after=after, value=float(value), mode=mode) if any(padding) else x)


@aten("constant_pad_nd")
def constant_pad(c: Lowering, x: Value, pad: Sizes, value: float = 0) -> None:
    """A number around x."""
    _padded(c, x, pad, value)


@aten("pad")
def pad(c: Lowering, x: Value, pad: Sizes, mode: str = "constant", value: float | None = None) -> None:
    """A number, the edge, the mirrored tensor or its other end around x."""
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "constant": "constant"}
    _padded(c, x, pad, value or 0.0, modes[mode])


@aten("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(c: Lowering, x: Value, padding: Sizes) -> None:
    """The mirrored tensor around x."""
    _padded(c, x, padding, mode="reflect")


@aten("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(c: Lowering, x: Value, padding: Sizes) -> None:
    """The edge around x."""
    _padded(c, x, padding, mode="edge")


@aten("roll")
def roll(c: Lowering, x: Value, shifts: int | Sizes, dims: int | Sizes = ()) -> None:
    """Places moved along axes, those beyond the end coming first; without axes along all elements."""
    amounts, axes = ((value,) if isinstance(value, int) else value for value in (shifts, dims))
    value = x if axes else reshape(c, x, (prod(x.shape),))
    for shift, dim in zip(amounts, axes or (0,), strict=True):
        axis = axis_of(dim, len(value.shape))
        size = value.shape[axis]
        if last := shift % size:
            value = joined(c, [cut(c, value, axis, size - last, last), cut(c, value, axis, 0, size - last)], axis)
    c.set(reshape(c, value, x.shape))


@aten("flip")
def flip(c: Lowering, x: Value, dims: Sizes) -> None:
    """Axes in reverse order."""
    c.set(c.emit("flip", x, axes=tuple(sorted(axis_of(axis, len(x.shape)) for axis in dims))))


@aten("repeat", "tile")
def repeat(c: Lowering, x: Value, repeats: Sizes) -> None:
    """The whole tensor several times along each axis."""
    shape = (*(1,) * (len(repeats) - len(x.shape)), *x.shape)
    times = (*(1,) * (len(shape) - len(repeats)), *repeats)
    apart = tuple(size for pair in zip(times, shape, strict=True) for size in pair)
    spaced = tuple(size for own in shape for size in (1, own))
    c.set(reshape(c, _repeated_axes(c, reshape(c, x, shape), spaced, apart, shape, times), c.result.shape))


def _repeated_axes(c: Lowering, x: Value, spaced: Sizes, apart: Sizes, shape: Sizes, times: Sizes) -> Value:
    """With an axis before each that repeats; axes along which nothing repeats need none, so that few are needed."""
    needed = [place for place, size in enumerate(apart) if place % 2 or size > 1]
    inner = reshape(c, x, tuple(spaced[place] for place in needed))
    return repeated(c, inner, tuple(apart[place] for place in needed))


@aten("repeat_interleave")
def repeat_interleave(
    c: Lowering, x: Value, repeats: int, dim: int | None = None, output_size: int | None = None
) -> None:
    """Each place of an axis several times; without an axis each element."""
    value = x if dim is not None else reshape(c, x, (prod(x.shape),))
    axis = axis_of(dim or 0, len(value.shape)) + 1
    inner = reshape(c, value, (*value.shape[:axis], 1, *value.shape[axis:]))
    c.set(reshape(c, repeated(c, inner, (*value.shape[:axis], repeats, *value.shape[axis:])), c.result.shape))


@aten("pixel_shuffle")
def pixel_shuffle(c: Lowering, x: Value, upscale_factor: int) -> None:
    """Channels become pixels (Shi et al. 2016)."""
    *batch, channels, height, width = x.shape
    r, n = upscale_factor, len(batch)
    apart = reshape(c, x, (*batch, channels // r**2, r, r, height, width))
    c.set(reshape(c, c.view(apart, (*range(n), n, n + 3, n + 1, n + 4, n + 2)), c.result.shape))


@aten("pixel_unshuffle")
def pixel_unshuffle(c: Lowering, x: Value, downscale_factor: int) -> None:
    """Pixels become channels."""
    *batch, channels, height, width = x.shape
    r, n = downscale_factor, len(batch)
    apart = reshape(c, x, (*batch, channels, height // r, r, width // r, r))
    c.set(reshape(c, c.view(apart, (*range(n), n, n + 2, n + 4, n + 1, n + 3)), c.result.shape))


@aten("channel_shuffle")
def channel_shuffle(c: Lowering, x: Value, groups: int) -> None:
    """The channels of all groups in turn (Zhang et al. 2018)."""
    apart = reshape(c, x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    c.set(reshape(c, c.view(apart, (0, 2, 1, *range(3, len(apart.shape)))), x.shape))
