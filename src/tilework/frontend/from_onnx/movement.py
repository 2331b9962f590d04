"""The ONNX operators that move, rename or state data; those on constants give constants."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from tilework.frontend.from_onnx.constants import (
    AXES_LIMIT,
    nothing,
)
from tilework.frontend.from_onnx.site import Site, operator
from tilework.network.operations import Shape

Cut = tuple[int, int, int, int]  # axis, start, step, size


@operator("Concat")
def _concat(s: Site) -> None:
    """Tensors without elements are left out."""
    if "axis" not in s.attributes:
        s.fail("the attribute axis must be given")
    axis = s.axis(s.integer("axis", 1), len(s.shape()))
    places = [place for place in range(len(s.inputs)) if 0 not in s.shape(place)]
    if not places:
        total = sum(s.shape(place)[axis] for place in range(len(s.inputs)) if len(s.shape(place)) > axis)
        s.define(nothing(s.name, s.dtype(), (*s.shape()[:axis], total, *s.shape()[axis + 1 :])))
    elif len(places) == 1:
        s.same(s.inputs[places[0]])
    else:
        s.emit("concat", *map(s.operand, places), axis=axis)


@operator("Transpose")
def _transpose(s: Site) -> None:
    axes = range(len(s.shape()))
    order = s.ints("perm") or tuple(reversed(axes))
    if sorted(order) != list(axes):
        s.fail(f"perm must name each of the axes {list(axes)} once, not {list(order)}")
    found = s.known(0)
    if found is not None:
        s.define(found.transposed(order))
    else:
        s.emit("transpose", s.reference(0), order=order)


def reshape(s: Site, shape: Shape) -> None:
    """The input under another shape; the batch stays free to change where the axes after it become one."""
    own, found = s.shape(), s.known(0)
    if prod(own) != prod(shape):
        s.fail(f"a tensor of shape {list(own)} must keep its {prod(own)} elements, not become {list(shape)}")
    if found is not None:
        s.define(found.reshaped(shape))
    elif shape == own:
        s.same(s.inputs[0])
    elif len(own) >= 2 and shape == (own[0], prod(own[1:])):
        s.emit("flatten", s.reference(0))
    else:
        s.emit("reshape", s.reference(0), shape=shape)


@operator("Reshape")
def _reshape_to(s: Site) -> None:
    own, asked = s.shape(), s.integers(1, "the shape")
    if own and asked and s.importer.batches.get(asked[0]) == own[0] and s.known(0) is None:
        asked = (own[0], *asked[1:])
    if not s.integer("allowzero", 0):
        if any(size == 0 and place >= len(own) for place, size in enumerate(asked)):
            s.fail(f"the shape {list(asked)} must not keep an axis that the input, {list(own)}, lacks")
        asked = tuple(own[place] if size == 0 else size for place, size in enumerate(asked))
    if min(asked, default=0) < -1 or asked.count(-1) > 1 or len(asked) > AXES_LIMIT:
        s.fail(f"the shape must have at most {AXES_LIMIT} sizes and at most one -1, not {list(asked)}")
    rest = prod(size for size in asked if size != -1)
    reshape(s, tuple(prod(own) // max(rest, 1) if size == -1 else size for size in asked))


@operator("Flatten")
def _flatten(s: Site) -> None:
    own, axis = s.shape(), s.integer("axis", 1)
    axis = axis if axis == len(own) else s.axis(axis, len(own))
    reshape(s, (prod(own[:axis]), prod(own[axis:])))


@operator("Squeeze")
def _squeeze(s: Site) -> None:
    own = s.shape()
    found = s.axes(1, len(own))
    axes = [axis for axis, size in enumerate(own) if size == 1] if found is None else list(found)
    if any(own[axis] != 1 for axis in axes):
        s.fail(f"the axes {axes} of {list(own)} must have the size 1")
    reshape(s, tuple(size for axis, size in enumerate(own) if axis not in axes))


@operator("Unsqueeze")
def _unsqueeze(s: Site) -> None:
    count = len(s.integers(1, "the axes") if s.given(1) else s.ints("axes") or ())
    rank = len(s.shape()) + count
    axes, own = s.axes(1, rank) or (), iter(s.shape())
    if not axes or len(set(axes)) < count:
        s.fail(f"the axes must be given, each once, not {list(axes)}")
    reshape(s, tuple(1 if axis in axes else next(own) for axis in range(rank)))


@operator("Expand")
def _expand(s: Site) -> None:
    asked, own = s.integers(1, "the shape"), s.shape()
    if min(asked, default=1) < 0 or max(len(asked), len(own)) > AXES_LIMIT:
        s.fail(f"the shape must have at most {AXES_LIMIT} sizes of at least 0, not {list(asked)}")
    expand(s, s.broadcast([own, asked]))


def expand(s: Site, shape: Shape) -> None:
    """The input broadcast to a shape; a constant stays one."""
    found = s.known(0)
    if found is not None and (found.derived or found.elements == 1):
        s.define(replace(found, derived=True).expanded(shape))
    elif shape == s.shape():
        s.same(s.inputs[0])
    else:
        s.emit("expand", s.reference(0), shape=shape)


@operator("Tile")
def _tile(s: Site) -> None:
    """The tensor beside itself: broadcast along an axis put in front of each that is repeated."""
    own, times = s.shape(), s.integers(1, "the repeats")
    if len(times) != len(own) or min(times, default=1) < 1:
        s.fail(f"it must have a positive number of repeats for each axis of {list(own)}, not {list(times)}")
    repeated = [axis for axis, n in enumerate(times) if n > 1]
    if not repeated:
        s.same(s.inputs[0])
        return
    if len(own) + len(repeated) > AXES_LIMIT:
        s.unsupported()
    apart = tuple(n for axis, size in enumerate(own) for n in ((1, size) if axis in repeated else (size,)))
    whole = tuple(n for a, size in enumerate(own) for n in ((times[a], size) if a in repeated else (size,)))
    value = s.reshaped(s.reference(0), apart, "apart")
    value = s.emit("expand", value, to="repeated", shape=whole)
    s.emit("reshape", value, shape=tuple(size * n for size, n in zip(own, times, strict=True)))


def slices(s: Site, shape: Shape) -> list[Cut]:
    """What a Slice takes: axis, start, step and size of each axis that it names."""
    rank = len(shape)
    if s.opset < 10:
        starts, ends, axes, steps = s.ints("starts") or (), s.ints("ends") or (), s.ints("axes"), None
    else:
        starts, ends = s.integers(1, "the starts"), s.integers(2, "the ends")
        axes = s.integers(3, "the axes") if s.given(3) else None
        steps = s.integers(4, "the steps") if s.given(4) else None
    axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        s.fail("it must have as many starts as ends, axes and steps, and no step 0")
    cuts = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place = s.axis(axis, rank)
        begin, stop, step = slice(start, end, step).indices(shape[place])
        if step < 0 and end < -shape[place]:
            stop = -1
        cuts.append((place, begin, step, len(range(begin, stop, step))))
    return cuts


@operator("Slice")
def _slice(s: Site) -> None:
    """Bounds that the network computes give the largest result that they can, as unknown bounds do."""
    bounds = (1, 2, 3, 4) if s.opset >= 10 else ()
    if any(s.given(place) and s.known(place) is None for place in bounds):
        s.host("gather", *(s.operand(place) for place in range(len(s.inputs))), shape=s.shape())
        return
    cut(s, slices(s, s.shape()))


def cut(s: Site, cuts: list[Cut], out: int = 0) -> None:
    """An output is a part of the first input."""
    own = s.shape()
    needed = [c for c in cuts if c[1:] != (0, 1, own[c[0]])]
    if any(size == 0 for _, _, _, size in needed):
        sizes = {axis: size for axis, _, _, size in needed}
        shape = tuple(sizes.get(axis, size) for axis, size in enumerate(own))
        s.define(nothing(s.name, s.dtype(), shape), out)
        return
    value = s.reference(0) if needed else s.inputs[0]
    if not needed:
        s.same(value, out)
    for axis, start, step, size in needed:
        to = "" if axis == needed[-1][0] else f"cut{axis}"
        value = s.emit("slice", value, to=to, out=out, axis=axis, start=start, step=step, size=size)


@operator("Split")
def _split(s: Site) -> None:
    """Into parts as an attribute or an input says, else into equal ones, of which the last may be smaller."""
    axis = s.axis(s.integer("axis", 0), len(s.shape()))
    parts = parts_of(s, axis, max(1, s.integer("num_outputs", len(s.proto.output))))
    if len(parts) < len(s.outputs) or sum(parts) != s.shape()[axis] or min(parts) < 0:
        s.fail(f"its {len(s.outputs)} parts must make up the {s.shape()[axis]} places of axis {axis}, not {parts}")
    start = 0
    for out, size in enumerate(parts[: len(s.outputs)]):
        if s.wanted(out):
            cut(s, [(axis, start, 1, size)], out)
        start += size


def parts_of(s: Site, axis: int, count: int) -> list[int]:
    """The sizes of the parts, at most as many as there are outputs."""
    given = s.integers(1, "the parts") if s.given(1) else s.ints("split")
    if given is not None:
        return list(given)
    if count > len(s.proto.output):
        s.fail(f"it must have as many outputs as parts, {count}, not {len(s.proto.output)}")
    size = -(-s.shape()[axis] // count)
    return [max(0, min(size, s.shape()[axis] - place * size)) for place in range(count)]


@operator("Pad")
def _pad(s: Site) -> None:
    rank = len(s.shape())
    pads = s.integers(1, "the pads") if s.given(1) else s.ints("pads") or s.ints("paddings") or ()
    axes = [s.axis(a, rank) for a in s.integers(3, "the axes")] if s.given(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        s.fail(f"it must have pads before and behind {len(axes)} axes, not {len(pads)}")
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    value = s.scalar(2, "the value", s.number("value", 0.0))
    mode = s.text("mode", "constant")
    if value != value or (mode != "constant" and min(*before, *after) < 0):
        s.unsupported()
    if not any(before) and not any(after):
        s.same(s.inputs[0])
        return
    said: dict[str, Any] = {"before": tuple(before), "after": tuple(after), "value": value, "mode": mode}
    s.emit("pad", s.operand(0), **said)


def _blocks(s: Site) -> tuple[int, Shape]:
    block, shape = s.integer("blocksize", 0), s.shape()
    if block < 1 or len(shape) < 3:
        s.fail(f"it must have a block of at least 1 and an image, not {block} and the shape {list(shape)}")
    if len(shape) != 4:
        s.unsupported()
    return block, shape


@operator("DepthToSpace")
def _depth_to_space(s: Site) -> None:
    b, (n, c, h, w) = _blocks(s)
    if c % (b * b):
        s.fail(f"it must have a multiple of {b * b} channels, not {c}")
    first = s.text("mode", "DCR") == "DCR"
    apart = (n, b, b, c // (b * b), h, w) if first else (n, c // (b * b), b, b, h, w)
    value = s.emit("reshape", s.reference(0), to="apart", shape=apart)
    value = s.emit("transpose", value, to="turned", order=(0, 3, 4, 1, 5, 2) if first else (0, 1, 4, 2, 5, 3))
    s.emit("reshape", value, shape=(n, c // (b * b), h * b, w * b))


@operator("SpaceToDepth")
def _space_to_depth(s: Site) -> None:
    b, (n, c, h, w) = _blocks(s)
    if h % b or w % b:
        s.fail(f"it must have multiples of {b} rows and columns, not {h} and {w}")
    first = s.text("mode", "DCR") == "DCR"
    value = s.emit("reshape", s.reference(0), to="apart", shape=(n, c, h // b, b, w // b, b))
    value = s.emit("transpose", value, to="turned", order=(0, 3, 5, 1, 2, 4) if first else (0, 1, 3, 5, 2, 4))
    s.emit("reshape", value, shape=(n, c * b * b, h // b, w // b))
