"""ATen's and torchvision's operators on images: pooling, resizing, sampling, boxes.

Interpolation counts what it takes to put pixels together; coordinates and weights, which all channels share, are not
counted.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any

from tilework.frontend.from_torch.aten_contraction import each_axis, product
from tilework.frontend.from_torch.aten_support import Sizes, host, reshape
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten, torch_operator


def _pool(c: Lowering, name: str, x: Value, rank: int, **attributes: Any) -> None:
    """Pooling along the last axes; an input without a batch is a batch of one."""
    batch = x if len(x.shape) == rank + 2 else reshape(c, x, (1, *x.shape))
    c.set(reshape(c, c.emit(name, batch, **attributes), c.result.shape))


def _places(c: Lowering, *inputs: Value) -> None:
    """Where a pooling found its values, if something reads that: the comparisons are counted with the values."""
    place = c.results[1] if len(c.results) > 1 else None
    if place is not None and c.is_used(1):
        c.set(c.emit("host", *inputs, what="gather", shape=place.shape, dtype=place.dtype), 1)


@aten("max_pool1d", "max_pool2d", "max_pool3d")
@aten("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool(
    c: Lowering,
    x: Value,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    dilation: Sizes = (1,),
    ceil_mode: bool = False,
) -> None:
    """The largest of each window; the places of the largest come from the same comparisons."""
    rank = int(c.call.operator[len("aten.max_pool")])
    options = {"stride": stride or kernel_size, "padding": padding, "dilation": dilation, "kernel": kernel_size}
    windows = {key: each_axis(value, rank) for key, value in options.items()}
    _pool(c, f"max_pool{rank}d", x, rank, ceil=ceil_mode, **windows)
    _places(c, x)


@aten("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    c: Lowering,
    x: Value,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> None:
    """The mean of each window."""
    rank = int(c.call.operator[len("aten.avg_pool")])
    options = {"stride": stride or kernel_size, "padding": padding, "kernel": kernel_size}
    windows = {key: each_axis(value, rank) for key, value in options.items()}
    kind = {"ceil": ceil_mode, "count_padding": count_include_pad, "divisor": divisor_override or 0}
    _pool(c, f"avg_pool{rank}d", x, rank, **kind, **windows)


@aten("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
@aten("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
@aten("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pool(c: Lowering, x: Value, output_size: Sizes) -> None:
    """The mean or the largest of windows that cover the input evenly."""
    name = c.call.operator.split(".")[1].removeprefix("_")
    rank = int(name[-2])
    _pool(c, name, x, rank, output=each_axis(output_size, rank))
    _places(c, x)


@aten("max_unpool2d", "max_unpool3d")
def max_unpool(c: Lowering, x: Value, indices: Value, *_: object) -> None:
    """The largest put back where they came from, zeros elsewhere."""
    host(c, "scatter", x, indices)


NEAREST = ("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
EXACT = tuple(f"_{name.replace('nearest', 'nearest_exact')}" for name in NEAREST)


@aten(*NEAREST, *EXACT)
def nearest(c: Lowering, x: Value, *_: object) -> None:
    """The nearest pixel: each several times where the sizes are multiples, else picked by the host."""
    size, result = x.shape[2:], c.result.shape
    if any(new % old for old, new in zip(size, result[2:], strict=True)):
        host(c, "gather", x, how=f"nearest {int('exact' in c.call.operator)}" if _by_sizes(c, x) else "")
        return
    spaced = (*x.shape[:2], *(s for old in size for s in (old, 1)))
    apart = (*x.shape[:2], *(s for old, new in zip(size, result[2:], strict=True) for s in (old, new // old)))
    c.set(reshape(c, c.emit("expand", reshape(c, x, spaced), shape=apart), result))


def _by_sizes(c: Lowering, x: Value) -> bool:
    """Whether places are those of the sizes: no scale is given that isn't the quotient of them."""
    given = [*c.call.arguments[2:], *(value for _, value in c.call.keywords)]
    flat = [part for value in given for part in (value if isinstance(value, tuple) else (value,))]
    scales = [value for value in flat if isinstance(value, float)]
    quotients = [new / old for old, new in zip(x.shape[2:], c.result.shape[2:], strict=True)]
    return all(scale in quotients for scale in scales)


def _register_upsample(name: str, what: str) -> None:
    @aten(name)
    def row(c: Lowering, x: Value, size: object = None, corners: object = False, *_: object) -> None:
        """Pixels between pixels."""
        rule = {"interpolate": f"linear {int(bool(corners))}", "bicubic": f"cubic {int(bool(corners))} -0.75 0"}
        host(c, what, x, how=rule.get(what, "") if _by_sizes(c, x) else "")


for _name, _what in {
    "upsample_linear1d": "interpolate",
    "upsample_bilinear2d": "interpolate",
    "upsample_trilinear3d": "interpolate",
    "upsample_bicubic2d": "bicubic",
    "_upsample_bilinear2d_aa": "bilinear_antialiased",
    "_upsample_bicubic2d_aa": "bicubic_antialiased",
}.items():
    _register_upsample(_name, _what)


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sampler(
    c: Lowering, x: Value, grid: Value, interpolation_mode: int = 0, padding_mode: int = 0, align_corners: bool = True
) -> None:
    """Pixels at places that a tensor says: interpolated, the nearest, or by cubes (0, 1, 2)."""
    linear = "grid_sample" if len(x.shape) == 4 else "grid_sample_3d"
    how = f"grid {interpolation_mode} {padding_mode} {int(align_corners)}"
    host(c, (linear, "gather", "bicubic")[interpolation_mode], x, grid, how=how)


@aten("affine_grid_generator")
def affine_grid(c: Lowering, theta: Value, size: Sizes, align_corners: bool) -> None:
    """A row of the matrix times each place (x, y, 1)."""
    base = c.emit("host", what="constant", shape=(theta.shape[0], *size[2:], len(size) - 1), dtype=theta.dtype)
    flat = reshape(c, base, (theta.shape[0], prod(size[2:]), len(size) - 1))
    c.set(reshape(c, product(c, flat, c.view(theta, (0, 2, 1))), c.result.shape))


@aten("col2im")
def col2im(c: Lowering, x: Value, *_: object) -> None:
    """Windows added where they overlap."""
    host(c, "scatter_add", x)


@torch_operator("torchvision::nms")
def nms(c: Lowering, dets: Value, scores: Value, iou_threshold: float) -> None:
    """The boxes that none with a higher score overlaps too much; all may stay."""
    host(c, "nms", dets, scores, how=f"nms {float(iou_threshold)!r}")


@torch_operator("torchvision::roi_align", "torchvision::ps_roi_align")
def roi_align(
    c: Lowering,
    x: Value,
    rois: Value,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool = False,
) -> None:
    """The mean of interpolated pixels in each part of each box (He et al. 2017), with `ps` in its own channels.

    Without a number of samples the boxes' sizes decide: counted as if each box were the whole image.
    """
    rows, channels, height, width = c.result.shape
    down = sampling_ratio if sampling_ratio > 0 else ceil(x.shape[2] / height)
    across = sampling_ratio if sampling_ratio > 0 else ceil(x.shape[3] / width)
    shape = (rows, channels, height, down, width, across)
    known = sampling_ratio > 0 and "ps_" not in c.call.operator
    rule = {"how": f"region_samples {float(spatial_scale)!r} {int(aligned)}"} if known else {}
    samples = c.emit("host", x, rois, what="roi_align", shape=shape, dtype=x.dtype, **rule)
    c.set(c.emit("reduce", samples, what="mean", axes=(3, 5), mean=True))
    _places(c, x, rois)


@torch_operator("torchvision::roi_pool", "torchvision::ps_roi_pool")
def roi_pool(c: Lowering, x: Value, rois: Value, spatial_scale: float, pooled_height: int, pooled_width: int) -> None:
    """The largest, with `ps` the mean, of each part of each box, as if each box were the whole image."""
    host(c, "ps_roi_pool" if "ps_" in c.call.operator else "roi_pool", x, rois)


@torch_operator("torchvision::paste_masks_in_image")
def paste_masks(c: Lowering, masks: Value, boxes: Value, *_: object) -> None:
    """Each mask interpolated to its box's size in the image, as if each box were the whole image."""
    host(c, "interpolate", masks, boxes)


@torch_operator("torchvision::heatmaps_to_keypoints")
def keypoints(c: Lowering, maps: Value, rois: Value) -> None:
    """The largest place of each map interpolated by cubes to its box's size, as if that were the map's own."""
    sized = c.emit("host", maps, rois, what="bicubic", shape=maps.shape, dtype=maps.dtype)
    host(c, "argmax", sized, rois)


@torch_operator("torchvision::deform_conv2d")
def deform_conv2d(
    c: Lowering,
    x: Value,
    weight: Value,
    offset: Value,
    mask: Value,
    bias: Value,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> None:
    """A convolution of interpolated pixels (Zhu et al. 2019): samples, times a mask, times the weights, and a bias."""
    n, filters, height, width = c.result.shape
    channels, kernel = weight.shape[1] * groups, weight.shape[2] * weight.shape[3]
    shape = (n, offset_groups, channels // offset_groups, kernel, height * width)
    samples = c.emit("host", x, offset, what="grid_sample", shape=shape, dtype=x.dtype)
    if use_mask:
        factors = reshape(c, mask, (n, offset_groups, 1, kernel, height * width))
        samples = c.emit("mul", samples, factors, dtype=x.dtype)
    columns = reshape(c, samples, (n, groups, weight.shape[1] * kernel, height * width))
    rows = reshape(c, weight, (groups, filters // groups, weight.shape[1] * kernel))
    summed = reshape(c, c.emit("matmul", rows, columns, dtype=x.dtype), c.result.shape)
    c.set(c.emit("add", summed, reshape(c, bias, (filters, 1, 1))))
