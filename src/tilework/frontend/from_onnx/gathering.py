"""The ONNX operators whose places depend on values: gathering, scattering, sorting, searching, sampling. They run on
the host; where the size of a result depends on values, it is the largest possible."""

from __future__ import annotations

from math import prod
from typing import Any

from tilework.frontend.from_onnx.site import Site, operator
from tilework.network.operations import Shape

REDUCTIONS = ("none", "add", "mul", "max", "min")
TRANSFORMATIONS = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
INTERPOLATIONS = {"bilinear": 0, "linear": 0, "nearest": 1, "bicubic": 2, "cubic": 2}
OUTSIDE = ("zeros", "border", "reflection")
SCATTERED = {"add": "scatter_add", "mul": "scatter_mul", "max": "scatter_max", "min": "scatter_max"}


@operator("Gather")
def _gather(s: Site) -> None:
    """One known place is a slice; rows of a weight are an embedding."""
    own, index = s.shape(), s.shape(1)
    axis = s.axis(s.integer("axis", 0), len(own))
    if not s.dtype(1).startswith(("int", "uint")):
        s.fail(f"the indices must be integers, not {s.dtype(1)}")
    values = s.numbers(1, "the indices")
    shape = (*own[:axis], *index, *own[axis + 1 :])
    if values is not None and len(values) == 1:
        place = int(values[0])
        if not -own[axis] <= place < own[axis]:
            s.fail(f"the index must be one of {own[axis]} places, not {place}")
        value = s.emit("slice", s.reference(0), to="slice", axis=axis, start=place % own[axis], size=1)
        s.emit("reshape", value, shape=shape)
    elif axis == 0 and len(own) == 2 and (table := s.known(0)) is not None and table.trained:
        s.host("embedding", s.reference(1), s.reference(0), shape=shape, dtype=s.dtype())
    else:
        s.host("gather", s.reference(0), s.operand(1), shape=shape, how=f"take {axis}")


def _inputs(s: Site) -> list[str]:
    return [s.operand(place) for place in range(len(s.inputs)) if s.given(place)]


@operator("GatherElements")
def _gather_elements(s: Site) -> None:
    axis = s.axis(s.integer("axis", 0), len(s.shape()))
    s.host("gather", *_inputs(s), shape=s.shape(1), how=f"take_along {axis}")


@operator("GatherND")
def _gather_nd(s: Site) -> None:
    own, index, batch = s.shape(), s.shape(1), s.integer("batch_dims", 0)
    if not index or not 0 <= batch < len(index) or batch + index[-1] > len(own):
        s.fail(f"its indices must fit the shape {list(own)}, not have {list(index)} with {batch} axes of batch")
    s.host("gather", *_inputs(s), shape=(*index[:-1], *own[batch + index[-1] :]), how=f"take_nd {batch}")


@operator("Scatter", "ScatterElements", "ScatterND", "TensorScatter")
def _scatter(s: Site) -> None:
    """A reduction takes an operation for each update, the third input."""
    reduction = s.text("reduction", "none")
    work, update = SCATTERED.get(reduction, "scatter"), REDUCTIONS.index(reduction)
    how = {"ScatterND": f"put_nd {update}", "TensorScatter": ""}.get(s.operator)
    if how is None:
        how = f"put_along {s.axis(s.integer('axis', 0), len(s.shape()))} {update}"
    s.host(work, *map(s.operand, range(3)), shape=s.shape(), how=how)


@operator("NonZero")
def _non_zero(s: Site) -> None:
    own = s.shape()
    s.host("nonzero", s.reference(0), shape=(max(1, len(own)), prod(own)), dtype="int64", how="nonzero 0")


@operator("Compress")
def _compress(s: Site) -> None:
    own = s.shape()
    axis = s.axis(s.integer("axis", 0), len(own)) if "axis" in s.attributes else None
    kept = s.numbers(1, "the condition")
    most = prod(own) if axis is None else own[axis]
    count = sum(map(bool, kept[:most])) if kept is not None else min(most, prod(s.shape(1)))
    shape = (count,) if axis is None else (*own[:axis], count, *own[axis + 1 :])
    s.host("gather", *_inputs(s), shape=shape)


@operator("Unique")
def _unique(s: Site) -> None:
    """As many values as there are places, and for each where it stands first, where it goes, how often it occurs."""
    own = s.shape()
    axis = s.axis(s.integer("axis", 0), len(own)) if "axis" in s.attributes else None
    count = prod(own) if axis is None else own[axis]
    s.host("sort", s.reference(0), shape=(count,) if axis is None else own)
    for out in (1, 2, 3):
        if s.wanted(out):
            s.host("sort", s.reference(0), shape=(count,), out=out, dtype="int64")


@operator("TopK")
def _top_k(s: Site) -> None:
    """A number of places that the network computes is at most the axis."""
    own = s.shape()
    axis = s.axis(s.integer("axis", -1), len(own))
    k = s.integer("k", 0) if s.opset < 10 else own[axis]
    if s.opset >= 10 and s.known(1) is not None:
        k = int(s.scalar(1, "k", 0))
    k = min(k, own[axis])
    shape = (*own[:axis], k, *own[axis + 1 :])
    last = s.reference(0)
    for out in (0, 1):
        if s.wanted(out) or out == 0:
            how = f"sort {axis} {s.integer('largest', 1)} {k} {out}"
            s.host("topk", last, shape=shape, out=out, dtype="int64" if out else "", how=how)


def _running(s: Site, name: str) -> str:
    """The rule of a running sum or product, if its axis is known."""
    if s.known(1) is None:
        return ""
    axis = s.axis(int(s.scalar(1, "the axis", 0)), len(s.shape()))
    return f"{name} {axis} {s.integer('exclusive', 0)} {s.integer('reverse', 0)}"


@operator("CumSum")
def _cum_sum(s: Site) -> None:
    s.host("cumsum", s.reference(0), shape=s.shape(), how=_running(s, "cumsum"))


@operator("CumProd")
def _cum_prod(s: Site) -> None:
    s.host("cumprod", s.reference(0), shape=s.shape(), how=_running(s, "cumprod"))


@operator("ReverseSequence")
def _reverse_sequence(s: Site) -> None:
    s.host("gather", *_inputs(s), shape=s.shape())


@operator("NonMaxSuppression")
def _non_max_suppression(s: Site) -> None:
    """At most so many boxes as asked for of each class of each image, or all of them."""
    boxes, scores = s.shape(), s.shape(1)
    if len(boxes) != 3 or len(scores) != 3:
        s.fail(f"it must have boxes [N,B,4] and scores [N,C,B], not {list(boxes)} and {list(scores)}")
    most, how = scores[2], ""
    if not s.given(2) or s.known(2) is not None:
        most = min(most, int(s.scalar(2, "the number of boxes", 0)))
        if all(s.known(place) is not None for place in (3, 4) if s.given(place)):
            share, least = s.scalar(3, "the share", 0.0), s.scalar(4, "the least score", float("-inf"))
            how = f"nms_by_class {s.integer('center_point_box', 0)} {most} {float(share)!r} {float(least)!r}"
    rows = scores[0] * scores[1] * max(1, most)
    s.host("nms", s.reference(0), s.reference(1), shape=(rows, 3), dtype="int64", how=how)


@operator("RoiAlign", "MaxRoiPool")
def _regions(s: Site) -> None:
    """A small image for each box."""
    own, boxes = s.shape(), s.shape(1)
    if len(own) != 4 or len(boxes) != 2:
        s.fail(f"it must have an image [N,C,H,W] and boxes [K,…], not {list(own)} and {list(boxes)}")
    size = s.ints("pooled_shape") or (s.integer("output_height", 1), s.integer("output_width", 1))
    what, how = "roi_pool", ""
    if s.operator == "RoiAlign":
        aligned = s.opset >= 16 and s.text("coordinate_transformation_mode", "half_pixel") == "half_pixel"
        largest, scale = s.text("mode", "avg") == "max", s.number("spatial_scale", 1.0)
        what, how = "roi_align", f"regions {int(largest)} {s.integer('sampling_ratio', 0)} {scale!r} {int(aligned)}"
    s.host(what, *_inputs(s), shape=(boxes[0], own[1], *size), how=how)


@operator("GridSample")
def _grid_sample(s: Site) -> None:
    own, grid = s.shape(), s.shape(1)
    if len(own) < 3 or len(grid) != len(own):
        s.fail(f"it must have an image and a grid of its rank, not {list(own)} and {list(grid)}")
    mode, outside = INTERPOLATIONS[s.text("mode", "linear")], OUTSIDE.index(s.text("padding_mode", "zeros"))
    how = f"grid {mode} {outside} {s.integer('align_corners', 0)}"
    s.host("grid_sample", *_inputs(s), shape=(*own[:2], *grid[1:-1]), how=how)


@operator("Resize", "Upsample")
def _resize(s: Site) -> None:
    """The nearest place of a whole multiple is each place repeated; everything else runs on the host."""
    own, shape = s.shape(), _resized(s)
    times = [b // a for a, b in zip(own, shape, strict=True)]
    whole = [a * n for a, n in zip(own, times, strict=True)] == list(shape)
    if shape == own:
        s.same(s.inputs[0])
    elif whole and _repeats(s, max(times)) and len(own) + sum(n > 1 for n in times) <= 8:
        apart = tuple(n for size, t in zip(own, times, strict=True) for n in ((size, 1) if t > 1 else (size,)))
        wide = tuple(n for size, t in zip(own, times, strict=True) for n in ((size, t) if t > 1 else (size,)))
        value = s.emit("reshape", s.reference(0), to="apart", shape=apart)
        s.emit("reshape", s.emit("expand", value, to="repeated", shape=wide), shape=shape)
    else:
        what = {"nearest": "gather", "cubic": "bicubic"}.get(s.text("mode", "nearest"), "interpolate")
        s.host(what, s.reference(0), shape=shape, how=_interpolation(s, own, shape))


def _interpolation(s: Site, own: Shape, shape: Shape) -> str:
    """The rule of an interpolation where the scales are the quotients of the sizes and nothing is smoothed."""
    mode, where = s.text("mode", "nearest"), s.text("coordinate_transformation_mode", "half_pixel")
    rounding = ROUNDINGS.index(s.text("nearest_mode", "round_prefer_floor"))
    if s.operator == "Upsample" or s.opset == 10:
        where, rounding = "asymmetric", ROUNDINGS.index("floor")
    where = "half_pixel" if where == "half_pixel_symmetric" else where  # the same where scales are exact
    exact = s.given(3) or _exact(s, own, shape)
    if not exact or where not in TRANSFORMATIONS or s.integer("antialias", 0):
        return ""
    place = TRANSFORMATIONS.index(where)
    if mode == "nearest":
        return f"pick {place} {rounding}"
    if mode == "cubic":
        return f"cubic {place} {s.number('cubic_coeff_a', -0.75)!r} {s.integer('exclude_outside', 0)}"
    return f"linear {place}"


def _exact(s: Site, own: Shape, shape: Shape) -> bool:
    place = 1 if s.operator == "Upsample" or s.opset == 10 else 2
    scales = s.small(place, "the scales", "f") if s.given(place) else list(s.floats("scales"))
    return len(scales) == len(own) and all(a * k == b for a, b, k in zip(own, shape, scales, strict=True))


def _repeats(s: Site, times: int) -> bool:
    """Whether the nearest place of output i is i // times, whichever the rule for rounding."""
    if s.text("mode", "nearest") != "nearest":
        return False
    where, rounding = (
        s.text("coordinate_transformation_mode", "half_pixel"),
        s.text("nearest_mode", "round_prefer_floor"),
    )
    if s.operator == "Upsample" or s.opset == 10:
        return True
    if where in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        return rounding in ("round_prefer_floor", "round_prefer_ceil")
    return where == "asymmetric" and rounding == "floor"


def _resized(s: Site) -> Shape:
    """The shape that scales ask for, or, by ONNX's own inference, sizes."""
    own, old = s.shape(), s.operator == "Upsample" or s.opset == 10
    if s.given(3) or s.ints("axes") or s.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return _inferred(s)[0]
    place = 1 if old else 2
    if not s.given(place) and "scales" not in s.attributes:
        return _inferred(s)[0]
    scales: list[Any] = s.small(place, "the scales", "f") if s.given(place) else list(s.floats("scales"))
    if len(scales) != len(own) or not all(0 < scale < 2**31 for scale in scales):
        s.fail(f"it must have a positive scale for each axis of {list(own)}, not {scales}")
    return tuple(int(size * scale) for size, scale in zip(own, scales, strict=True))


def _inferred(s: Site) -> tuple[Shape, str]:
    """The shape and dtype that ONNX's own inference gives."""
    from tilework.frontend.from_onnx.inference import inferred

    dtype, sizes = inferred(s).get(0, ("", None))
    if sizes is None or None in sizes:
        s.unsupported()
    return tuple(size or 0 for size in sizes), dtype


@operator("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
def _random(s: Site) -> None:
    shape, dtype = _inferred(s)
    s.host("random", *_inputs(s), shape=shape, dtype=dtype)
