"""ATen's normalisations: over batches, layers and groups."""

from __future__ import annotations

from tilework.frontend.from_torch.aten_support import Sizes, pointwise, reshape, rest
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten

FLOAT32_EPSILON = 2.0**-23  # what RMS normalisation adds where it isn't told


@aten("native_batch_norm", "batch_norm", "_native_batch_norm_legit")
def batch_norm(
    c: Lowering,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> None:
    """Batch normalisation, by the running statistics or, while training, by those of the batch.

    What training does to the running statistics, a few operations per channel, is not counted.
    """
    if training or running_mean is None or running_var is None:
        _by_batch(c, x, weight, bias, eps)
    elif weight is None or bias is None:
        _without_parameters(c, x, weight, bias, running_mean, running_var, eps)
    else:
        c.set(c.emit("batch_norm", x, weight, bias, running_mean, running_var, epsilon=float(eps)))
    rest(c)


@aten("_native_batch_norm_legit.no_stats")
def batch_norm_without_statistics(
    c: Lowering, x: Value, weight: Value | None, bias: Value | None, training: bool, momentum: float, eps: float
) -> None:
    """Batch normalisation by the statistics of the batch."""
    batch_norm(c, x, weight, bias, None, None, True, momentum, eps)


@aten("_native_batch_norm_legit_no_training", "_batch_norm_no_update")
def batch_norm_at_inference(
    c: Lowering,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    momentum: float,
    eps: float,
) -> None:
    """Batch normalisation by the running statistics."""
    batch_norm(c, x, weight, bias, running_mean, running_var, False, momentum, eps)


def _columns(c: Lowering, x: Value, channels: Value) -> Value:
    """A value for each channel, so that it broadcasts against x [N,C,…]."""
    return reshape(c, channels, (*channels.shape, *(1,) * (len(x.shape) - 2)))


def _affine(c: Lowering, x: Value, value: Value, weight: Value | None, bias: Value | None) -> Value:
    for operation, channels in (("mul", weight), ("add", bias)):
        value = value if channels is None else c.emit(operation, value, _columns(c, x, channels))
    return value


def _without_parameters(
    c: Lowering, x: Value, weight: Value | None, bias: Value | None, mean: Value, var: Value, eps: float
) -> None:
    scale = pointwise(c, "scale", "1 / sqrt(x0 + x1)", var, eps, dtype=var.dtype)
    value = pointwise(c, "batch_norm", "(x0 - x1) * x2", x, _columns(c, x, mean), _columns(c, x, scale), dtype=x.dtype)
    c.set(_affine(c, x, value, weight, bias))


def _by_batch(c: Lowering, x: Value, weight: Value | None, bias: Value | None, eps: float) -> None:
    """Mean and variance along all axes but that of the channels."""
    axes = (0, *range(2, len(x.shape)))
    mean = c.emit("reduce", x, what="mean", axes=axes, keep=True, mean=True, dtype=x.dtype)
    centred = c.emit("sub", x, mean, dtype=x.dtype)
    squares = pointwise(c, "square", "x0 * x0", centred, dtype=x.dtype)
    var = c.emit("reduce", squares, what="var", axes=axes, keep=True, mean=True, dtype=x.dtype)
    scale = pointwise(c, "scale", "1 / sqrt(x0 + x1)", var, eps, dtype=x.dtype)
    c.set(_affine(c, x, c.emit("mul", centred, scale, dtype=x.dtype), weight, bias))


@aten("instance_norm")
def instance_norm(
    c: Lowering,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> None:
    """Normalisation of each channel of each image (Ulyanov et al. 2016): as many groups as channels."""
    if use_input_stats:
        _by_group(c, x, weight, bias, x.shape[1], eps)
    else:
        batch_norm(c, x, weight, bias, running_mean, running_var, False, momentum, eps)


def _by_group(c: Lowering, x: Value, weight: Value | None, bias: Value | None, groups: int, eps: float) -> None:
    given = () if weight is None else (weight,) if bias is None else (weight, bias)
    value = c.emit("group_norm", x, *given, groups=groups, epsilon=float(eps))
    c.set(_affine(c, x, value, None, bias) if weight is None else value)


@aten("native_group_norm")
def native_group_norm(
    c: Lowering,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    n: int,
    channels: int,
    places: int,
    group: int,
    eps: float,
) -> None:
    """Normalisation of groups of channels; mean and scale are results of their own."""
    _by_group(c, x, weight, bias, group, eps)
    rest(c)


@aten("group_norm")
def group_norm(
    c: Lowering,
    x: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> None:
    """Normalisation of groups of channels."""
    _by_group(c, x, weight, bias, num_groups, eps)


@aten("native_layer_norm", "layer_norm")
def layer_norm(
    c: Lowering,
    x: Value,
    normalized_shape: Sizes,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> None:
    """Normalisation along the last axes; mean and scale are results of their own."""
    given = () if weight is None else (weight,) if bias is None else (weight, bias)
    value = c.emit("layer_norm", x, *given, axes=len(normalized_shape), epsilon=float(eps))
    c.set(c.emit("add", value, bias) if weight is None and bias is not None else value)
    rest(c)


@aten("rms_norm", "_fused_rms_norm")
def rms_norm(
    c: Lowering, x: Value, normalized_shape: Sizes, weight: Value | None = None, eps: float | None = None
) -> None:
    """Division by the root of the mean square along the last axes."""
    given = () if weight is None else (weight,)
    epsilon = FLOAT32_EPSILON if eps is None else float(eps)
    c.set(c.emit("rms_norm", x, *given, axes=len(normalized_shape), epsilon=epsilon))
    rest(c)


@aten("_weight_norm_interface", "_weight_norm")
def weight_norm(c: Lowering, v: Value, g: Value, dim: int = 0) -> None:
    """g * v / |v|, the norm along all axes but one (Salimans and Kingma 2016)."""
    axes = tuple(axis for axis in range(len(v.shape)) if axis != dim % len(v.shape))
    squares = pointwise(c, "square", "x0 * x0", v, dtype=v.dtype)
    total = c.emit("reduce", squares, what="sum", axes=axes, keep=True, dtype=v.dtype)
    norm = pointwise(c, "sqrt", "sqrt(x0)", total, dtype=v.dtype)
    c.set(c.emit("mul", v, c.emit("div", g, norm, dtype=v.dtype)))
    if len(c.results) > 1:
        c.set(norm, 1)


@aten("native_dropout", "dropout")
def dropout(c: Lowering, x: Value, p: float, train: bool | None) -> None:
    """At inference the identity; while training each element is drawn, compared, kept or not, and scaled."""
    if not train:
        c.set(x)
        rest(c)
        return
    drawn = c.emit("host", what="random", shape=x.shape, dtype=x.dtype)
    kept = pointwise(c, "less", "less(x0, x1)", drawn, 1 - p, dtype="bool")
    c.set(pointwise(c, "dropout", "x0 * x1 * x2", x, kept, 1 / (1 - p) if p < 1 else 0, dtype=x.dtype))
    if len(c.results) > 1:
        c.set(kept, 1)
