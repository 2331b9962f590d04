"""Each row of the table of ATen operators, lowered from one call: values against torch, MACs against its counter of
operations, work for the host against numbers worked out by hand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.frontend.from_torch import aten_factory, aten_pointwise, registry  # noqa: E402
from tilework.frontend.from_torch.assemble import assemble  # noqa: E402
from tilework.frontend.from_torch.calls import Call, Frame, Value  # noqa: E402
from tilework.network.execute import execute  # noqa: E402
from tilework.network.graph import INPUT, Graph, Tensor  # noqa: E402

RANDOM = aten_factory.RANDOM.split()


def f(*shape: int) -> Any:
    """Numbers between -2 and 2."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) * 4 - 2


def p(*shape: int) -> Any:
    """Numbers between 0.1 and 0.9."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) * 0.8 + 0.1


def i(high: int, *shape: int) -> Any:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(high))


def b(*shape: int) -> Any:
    return i(2, *shape).bool()


def z(*shape: int) -> Any:
    return torch.complex(f(*shape), f(*shape))


def lstm(gates: int, states: int, layers: int = 2, way: int = 2) -> tuple[Any, ...]:
    """x [3,2,5] and states, weights and settings of a recurrent network with 4 hidden units in both directions."""
    state = [f(layers * way, 2, 4) for _ in range(states)]
    sizes = [5, *[4 * way] * (layers - 1)]
    weights = [w for c in sizes for _ in range(way) for w in (f(gates * 4, c), f(gates * 4, 4), *[f(gates * 4)] * 2)]
    hidden = state if states > 1 else state[0]
    return f(3, 2, 5), hidden, weights, True, layers, 0.0, False, way == 2, False


ABOVE_ONE = {"acosh"}
SIGNED = {"abs", "sign", "sgn", "neg", "frac", "trunc", "ceil", "floor", "round", "signbit", "fmod", "remainder"}


def pointwise_examples() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Examples of the bodies: as many operands as they have."""
    for name, body in aten_pointwise.BODIES.items():
        tensors = "Tensor" in getattr(torch.ops.aten, name).overloads() and "x1" in body
        operands = 1 + max(place for place in range(3) if f"x{place}" in body)
        make = f if name in SIGNED else p
        first = make(3, 4) + (name in ABOVE_ONE)
        yield f"{name}.Tensor" if tensors else name, (first, p(4), p(3, 1))[:operands]


def words(names: str, *arguments: Any, **options: Any) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """The same example for several operators."""
    return dict.fromkeys(names.split(), (arguments, options))


F, T = False, True
FP8 = torch.float8_e4m3fn
IMAGE = f(2, 4, 6, 6)
KERNEL = f(6, 2, 3, 3)
QKV = (f(2, 4, 5, 8), f(2, 4, 7, 8), f(2, 4, 7, 8))
NORM = (f(4), f(4), f(4), p(4))
CELL = (f(2, 5), f(2, 4))

EXAMPLES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    **{
        name: (arguments, {})
        for name, arguments in pointwise_examples()
        if name not in ("where", "masked_fill", "lerp")
    },
    **words("where.self", b(3, 4), f(4), f(3, 1)),
    **words("masked_fill.Scalar", f(3, 4), b(4), float("-inf")),
    **words("masked_fill.Tensor", f(3, 4), b(4), torch.tensor(2.0)),
    **words("lerp.Scalar", f(3), f(3), 0.25),
    **words("logical_and logical_or logical_xor maximum minimum", b(3, 4), b(4)),
    **words("logical_not", b(3, 4)),
    **words("add.Tensor sub.Tensor", f(3, 4), f(4), alpha=2),
    **words("add.Scalar sub.Scalar mul.Scalar div.Scalar eq.Scalar", f(3, 4), 3),
    **words("mul.Tensor", f(3, 4), f(3, 1)),
    **words("div.Tensor", i(9, 3, 4), i(9, 4) + 1),
    **words("div.Tensor_mode", f(3, 4), 0.3, rounding_mode="trunc"),
    **words("div.Scalar_mode", f(3, 4), 0.3, rounding_mode="floor"),
    **words("floor_divide fmod.Tensor remainder.Tensor", i(9, 3, 4), i(4, 4) + 1),
    **words("rsub.Scalar", f(3), 2.5, 3),
    **words("rsub.Tensor", f(3), f(3)),
    **words("addcmul addcdiv", f(3), p(3), p(3), value=2),
    **words("pow.Tensor_Scalar", p(3), 3),
    **words("pow.Tensor_Tensor", p(3), f(3)),
    **words("pow.Scalar", 2, f(3)),
    **words(
        "relu sigmoid tanh gelu silu elu selu celu leaky_relu softplus hardshrink softshrink hardtanh relu6", f(3, 4)
    ),
    **words("log_sigmoid_forward", f(3, 4)),
    **words("round", f(3, 4)),
    **words("round.decimals", f(3, 4), decimals=2),
    **words("clamp", f(3, 4), -0.5, 0.5),
    **words("clamp.Tensor", f(3, 4), None, f(4)),
    **words("clamp_min clamp_max", f(3, 4), 0.5),
    **words("prelu", f(2, 3, 4), f(3)),
    **words("threshold", f(3, 4), 0.5, 7.0),
    **words("glu", f(3, 4)),
    **words("nan_to_num", torch.tensor([1.0, float("nan"), float("inf")]), 5.0, 6.0, 7.0),
    **words("bitwise_not", i(9, 3)),
    **words("bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor", b(3, 4), b(4)),
    **words(
        "bitwise_left_shift.Tensor bitwise_right_shift.Tensor __lshift__.Tensor __rshift__.Tensor", i(9, 3), i(3, 3)
    ),
    **words("acos asin atan", p(3, 4)),
    **words("atan2", p(3, 4), p(4)),
    **words("_to_copy to.dtype", f(3, 4), dtype=torch.int64),
    **words("to.dtype", f(3, 4), torch.int64),
    **words("type_as copy", f(3, 4), i(9, 3, 4)),
    # reductions
    **words("sum.dim_IntList mean.dim amax amin logsumexp", f(2, 3, 4), [0, -1]),
    **words("var.correction var_mean.correction std.correction std_mean.correction", f(2, 3, 4), [1], correction=0),
    **words("any all", b(3, 4)),
    **words("max min aminmax argmax argmin prod", f(3, 4)),
    **words("max.dim", f(3, 4), 1),
    **words("linalg_vector_norm norm.ScalarOpt_dim", f(3, 4), 2, [1]),
    **words("dist", f(3, 4), f(3, 4)),
    **words("cumsum cumprod cummax cummin logcumsumexp", f(3, 4), 0),
    # contractions
    **words("mm", f(3, 4), f(4, 5)),
    **words("bmm", f(2, 3, 4), f(2, 4, 5)),
    **words("_int_mm", i(9, 32, 16).to(torch.int8), i(9, 16, 8).to(torch.int8)),
    **words("addmm", f(5), f(3, 4), f(4, 5), beta=2, alpha=3),
    **words("baddbmm addbmm", f(3, 5), f(2, 3, 4), f(2, 4, 5), alpha=0.5),
    **words("_scaled_mm", f(16, 16).to(FP8), f(16, 16).to(FP8).t(), f(1), f(1), out_dtype=torch.float32),
    **words("mv", f(3, 4), f(4)),
    **words("addmv", f(3), f(3, 4), f(4)),
    **words("dot vdot", f(4), f(4)),
    **words("outer", f(3), f(4)),
    **words("addr", f(3, 4), f(3), f(4)),
    **words("matmul", f(2, 3, 4), f(4)),
    **words("linear", f(2, 3, 4), f(5, 4), f(5)),
    **words("_grouped_mm", f(6, 8).bfloat16(), f(2, 8, 16).bfloat16(), torch.tensor([2, 6], dtype=torch.int32)),
    **words("convolution", IMAGE, KERNEL, f(6), [2, 1], [1, 0], [1, 2], F, [0, 0], 2),
    **words("_convolution", IMAGE, f(4, 3, 3, 3), f(6), [2], [1], [1], T, [1], 2, F, F, F, F),
    **words("conv1d", f(4, 9), f(5, 4, 2)),
    **words("conv2d.padding", IMAGE, f(6, 4, 2, 3), f(6), [1], "same"),
    **words("conv3d", f(1, 2, 4, 4, 4), f(3, 2, 2, 2, 2), None, [2]),
    **words("conv_transpose1d", f(2, 4, 5), f(4, 3, 2)),
    **words("conv_transpose2d.input", IMAGE, f(4, 3, 2, 2), f(6), [2], [0], [1], 2),
    **words("conv_transpose3d.input", f(1, 2, 3, 3, 3), f(2, 3, 2, 2, 2), None, [2]),
    **words("_cdist_forward", f(3, 4), f(5, 4), 2.0, None),
    **words("_pdist_forward", f(4, 3)),
    # attention
    **words("scaled_dot_product_attention _scaled_dot_product_attention_math", *QKV),
    **words("_scaled_dot_product_flash_attention_for_cpu", *QKV, attn_mask=f(2, 1, 5, 7), scale=0.5),
    **words("_scaled_dot_product_flash_attention", *QKV),
    **words("_scaled_dot_product_efficient_attention", *QKV, None, F),
    **words("_scaled_dot_product_cudnn_attention", *QKV, None, F),
    **words("_scaled_dot_product_fused_attention_overrideable", *QKV),
    **words("_softmax _log_softmax", f(2, 3, 4), 1, F),
    **words("softmax.int log_softmax.int _safe_softmax", f(2, 3, 4), -1),
    # normalisation
    **words("native_batch_norm", IMAGE, None, f(4), f(4), p(4), F, 0.1, 1e-3),
    **words("batch_norm", IMAGE, *NORM, F, 0.1, 1e-3, F),
    **words("_native_batch_norm_legit", IMAGE, *NORM, F, 0.1, 1e-3),
    **words("_native_batch_norm_legit.no_stats", IMAGE, f(4), f(4), T, 0.1, 1e-3),
    **words("_native_batch_norm_legit_no_training _batch_norm_no_update", IMAGE, *NORM, 0.1, 1e-3),
    **words("instance_norm", IMAGE, f(4), f(4), None, None, T, 0.1, 1e-3, F),
    **words("native_group_norm", IMAGE, f(4), f(4), 2, 4, 36, 2, 1e-3),
    **words("group_norm", IMAGE, 2),
    **words("native_layer_norm", f(2, 3, 4), [3, 4], None, f(3, 4), 1e-3),
    **words("layer_norm", f(2, 3, 4), [4], f(4), f(4)),
    **words("rms_norm _fused_rms_norm", f(2, 3, 4), [4], f(4), 1e-3),
    **words("_weight_norm_interface _weight_norm", f(3, 4, 2), f(3, 1, 1)),
    **words("native_dropout dropout", f(3, 4), 0.5, F),
    # recurrent networks
    **words("lstm.input", *lstm(4, 2)),
    **words("gru.input", *lstm(3, 1)),
    **words("rnn_tanh.input rnn_relu.input", *lstm(1, 1)),
    **words("lstm_cell", CELL[0], [CELL[1], CELL[1]], f(16, 5), f(16, 4), f(16), f(16)),
    **words("gru_cell", *CELL, f(12, 5), f(12, 4), f(12), f(12)),
    **words("rnn_tanh_cell rnn_relu_cell", *CELL, f(4, 5), f(4, 4)),
    **words("_thnn_fused_lstm_cell", f(2, 16), f(2, 16), f(2, 4), f(16), f(16)),
    # movement
    **words("view reshape _unsafe_view", f(3, 4), [2, 6]),
    **words("_reshape_alias", f(3, 4), [2, 6], [6, 1]),
    **words("flatten.using_ints", f(2, 3, 4), 1),
    **words("unflatten.int", f(3, 4), 1, [2, 2]),
    **words("squeeze.dim unsqueeze", f(3, 1), 1),
    **words("alias detach lift_fresh clone contiguous", f(3, 4)),
    **words("view_as reshape_as", f(3, 4), f(2, 6)),
    **words("permute", f(2, 3, 4), [2, 0, 1]),
    **words("transpose.int", f(2, 3, 4), 0, -1),
    **words("t mT", f(3, 4)),
    **words("movedim.intlist", f(2, 3, 4, 5), [0, 1], [2, 0]),
    **words("expand", f(3, 1), [2, -1, 4]),
    **words("expand_as", f(3, 1), f(2, 3, 4)),
    **words("slice.Tensor", f(5, 9), 1, -7, -1, 2),
    **words("narrow", f(5, 9), 1, 2, 3),
    **words("select.int", f(5, 9), -1, -2),
    **words("unbind.int", f(3, 4), 1),
    **words("split.Tensor chunk unsafe_split.Tensor", f(5, 9), 2, -1),
    **words("split_with_sizes unsafe_split_with_sizes", f(5, 9), [2, 3, 4], 1),
    **words("cat", [f(2, 3), torch.empty(0), f(1, 3)]),
    **words("stack", [f(2, 3), f(2, 3)], -1),
    **words("slice_scatter", f(5, 9), f(5, 3), 1, 2, 5),
    **words("select_scatter", f(5, 9), f(9), 0, -2),
    **words("diagonal_scatter", f(3, 3), f(3)),
    **words("as_strided_scatter", f(3, 3), f(2), [2], [3]),
    **words("constant_pad_nd", f(3, 4), [1, -1, 0, 2], 7.0),
    **words("pad", f(2, 3, 4), [1, 2], "circular"),
    **words("reflection_pad1d replication_pad1d", f(2, 3, 4), [1, 2]),
    **words("reflection_pad2d replication_pad2d", IMAGE, [1, 2, 0, 3]),
    **words("reflection_pad3d replication_pad3d", f(1, 1, 3, 3, 3), [1, 2, 0, 1, 1, 1]),
    **words("roll", f(3, 4), [1, -1], [0, 1]),
    **words("flip", f(3, 4), [-1]),
    **words("repeat", f(3, 4), [2, 1, 3]),
    **words("tile", f(3, 4), [2]),
    **words("repeat_interleave.self_int", f(3, 4), 2, 1),
    **words("repeat_interleave.Tensor", torch.tensor([2, 1])),
    **words("pixel_shuffle", f(2, 8, 3, 3), 2),
    **words("pixel_unshuffle", f(2, 2, 6, 6), 2),
    **words("channel_shuffle", IMAGE, 2),
    **words("view.dtype", f(3, 4), torch.int32),
    **words("as_strided", f(3, 4), [2, 2], [1, 4]),
    **words("resize", f(3, 4), [2, 6]),
    **words("diagonal diag_embed", f(3, 3)),
    **words("unfold", f(3, 8), 1, 3, 2),
    **words("im2col", IMAGE, [2, 2], [1, 1], [0, 0], [1, 1]),
    **words("trace", f(3, 3)),
    **words("view_as_real", z(3)),
    **words("view_as_complex", f(3, 2)),
    # tensors from nothing
    **words("arange", 5),
    **words("zeros ones empty.memory_format rand randn", [2, 3]),
    **words("zeros_like ones_like empty_like rand_like randn_like zero uniform normal_ bernoulli", f(2, 3)),
    **words("random exponential poisson", p(2, 3)),
    **words("geometric_", p(2, 3), 0.5),
    **words("new_zeros new_ones new_empty", f(4), [2, 3]),
    **words("full", [2, 3], 4.0),
    **words("new_full", f(4), [2, 3], 4.0),
    **words("full_like fill.Scalar", f(2, 3), 4.0),
    **words("fill.Tensor", f(2, 3), torch.tensor(4.0)),
    **words("scalar_tensor", 4.0),
    **words("empty_strided", [2, 3], [3, 1]),
    **words("eye", 3),
    **words("linspace", 0, 1, 5),
    **words("tril_indices triu_indices", 3, 3),
    **words("_efficientzerotensor", [2, 3]),
    **words("randint", 5, [2, 3]),
    **words("randint_like", f(2, 3), 5),
    **words("randperm", 6),
    **words("multinomial", p(2, 3), 2),
    **words("tril triu", f(3, 4), 1),
    # places that depend on values
    **words("embedding", f(9, 4), i(9, 2, 3)),
    **words("embedding_bag _embedding_bag _embedding_bag_forward_only", f(9, 4), i(9, 6), torch.tensor([0, 2])),
    **words("index.Tensor _unsafe_index.Tensor", f(5, 4), [i(5, 3), None]),
    **words("index_select", f(5, 4), 0, i(5, 3)),
    **words("take", f(5, 4), i(9, 3)),
    **words("gather", f(5, 4), 0, i(5, 2, 4)),
    **words("take_along_dim", f(5, 4), i(5, 2, 4), 0),
    **words("index_copy", f(5, 4), 0, torch.tensor([1, 3]), f(2, 4)),
    **words("index_fill.int_Scalar", f(5, 4), 0, torch.tensor([1, 3]), 2.0),
    **words("index_put _unsafe_index_put _index_put_impl", f(5, 4), [torch.tensor([1, 3])], f(2, 4)),
    **words("masked_scatter", f(3, 4), b(3, 4), f(12)),
    **words("scatter.src scatter_add", f(5, 4), 0, i(5, 2, 4), f(2, 4)),
    **words("scatter.value", f(5, 4), 0, i(5, 2, 4), 1.0),
    **words("scatter.reduce", f(5, 4), 0, i(5, 2, 4), f(2, 4), reduce="multiply"),
    **words("scatter.value_reduce", f(5, 4), 0, i(5, 2, 4), 2.0, reduce="add"),
    **words("scatter_reduce.two", f(5, 4), 0, i(5, 2, 4), f(2, 4), "amax"),
    **words("index_add", f(5, 4), 0, torch.tensor([1, 3]), f(2, 4)),
    **words("index_reduce", f(5, 4), 0, torch.tensor([1, 3]), f(2, 4), "amax"),
    **words("masked_select", f(3, 4), b(3, 4)),
    **words("nonzero", b(3, 4)),
    **words("nonzero_static", b(3, 4), size=5),
    **words("sort argsort", f(3, 8), 0),
    **words("topk", f(3, 8), 4),
    **words("kthvalue", f(3, 8), 2),
    **words("median mode", f(8)),
    **words("_unique2", i(9, 8), T, T, T),
    **words("unique_consecutive _unique", i(9, 8), T, T),
    **words("unique_dim", i(9, 2, 8), 1, T, T, T),
    **words("searchsorted.Tensor", p(7), f(3)),
    **words("bucketize.Tensor", f(3), p(7)),
    **words("bincount", i(9, 8)),
    **words("histc", f(8), 4),
    **words("isin.Tensor_Tensor", i(9, 4), i(9, 3)),
    # complex numbers and equations
    **words("complex polar", f(3), f(3)),
    **words("linalg_solve_triangular", f(4, 4), f(4, 3), upper=T),
    **words("linalg_inv_ex", f(2, 3, 3)),
    **words("linalg_cholesky_ex", torch.eye(4)),
    **words("_fft_c2c", z(3, 8), [0, 1], 0, T),
    **words("_fft_r2c", f(3, 8), [1], 0, T),
    **words("_fft_c2r", z(3, 5), [1], 0, 8),
    **words("_conj _conj_physical angle", z(3)),
    # images
    **words("max_pool1d", f(2, 3, 8), [2]),
    **words("avg_pool1d", f(3, 8), [3], [2], [1]),
    **words("max_pool2d", IMAGE, [3], [2], [1], [1], T),
    **words("max_pool2d_with_indices", IMAGE, [2, 3]),
    **words("avg_pool2d", IMAGE, [2], [3], [1], T, F, 5),
    **words("max_pool3d max_pool3d_with_indices", f(1, 2, 4, 4, 4), [2]),
    **words("avg_pool3d", f(1, 2, 4, 4, 4), [2]),
    **words("adaptive_avg_pool1d adaptive_max_pool1d", f(2, 3, 8), [3]),
    **words("adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d", IMAGE, [2, 5]),
    **words("adaptive_avg_pool3d _adaptive_avg_pool3d adaptive_max_pool3d", f(1, 2, 4, 4, 4), [2, 2, 3]),
    **words("max_unpool2d", f(1, 1, 2, 2), torch.tensor([[[[0, 2], [8, 10]]]]), [4, 4]),
    **words("max_unpool3d", f(1, 1, 1, 2, 2), torch.tensor([[[[[0, 2], [8, 10]]]]]), [1, 4, 4], [1, 2, 2], [0, 0, 0]),
    **words("upsample_nearest1d _upsample_nearest_exact1d", f(1, 2, 3), [6]),
    **words("upsample_nearest2d _upsample_nearest_exact2d", IMAGE, [12, 18]),
    **words("upsample_nearest3d _upsample_nearest_exact3d", f(1, 2, 3, 3, 3), [6, 3, 9]),
    **words("upsample_linear1d", f(1, 2, 3), [6], F),
    **words("upsample_bilinear2d upsample_bicubic2d", f(1, 2, 3, 3), [6, 5], F),
    **words("_upsample_bilinear2d_aa _upsample_bicubic2d_aa", f(1, 1, 6, 6), [3, 2], F),
    **words("upsample_trilinear3d", f(1, 1, 2, 2, 2), [4, 4, 4], F),
    **words("grid_sampler_2d", f(1, 2, 3, 3), f(1, 4, 5, 2), 0, 0, F),
    **words("grid_sampler", f(1, 2, 3, 3), f(1, 4, 5, 2), 2, 0, F),
    **words("grid_sampler_3d", f(1, 2, 3, 3, 3), f(1, 2, 2, 2, 3), 0, 0, F),
    **words("affine_grid_generator", f(1, 2, 3), [1, 1, 4, 5], F),
    **words("col2im", f(1, 8, 25), [6, 6], [2, 2], [1, 1], [0, 0], [1, 1]),
}

HEADS = (f(2, 4, 5, 8), f(2, 2, 7, 8), f(2, 2, 7, 8))  # 2 heads of keys for 4 of queries
NETWORK = lstm(4, 2, 1, 1)
UNBIASED = (f(2, 3, 5), *NETWORK[1:2], NETWORK[2][:2], F, 1, 0.0, F, F, T)  # and with the batch first
PROJECTED = (f(3, 2, 5), [f(1, 2, 3), f(1, 2, 4)], [f(16, 5), f(16, 3), f(16), f(16), f(3, 4)], *NETWORK[3:])

OTHERS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [  # other cases of the same operators
    ("scaled_dot_product_attention", HEADS, {"enable_gqa": True}),
    ("scaled_dot_product_attention", (*HEADS, b(2, 4, 5, 7)), {"enable_gqa": True}),
    ("scaled_dot_product_attention", (*HEADS, f(2, 1, 5, 7)), {"enable_gqa": True, "scale": 0.3}),
    ("scaled_dot_product_attention", (*QKV, f(5, 7)), {}),
    ("addmm", (f(3, 5), f(3, 4), f(4, 5)), {}),
    ("addmm", (f(5), f(3, 4), f(4, 5)), {"beta": 0}),
    ("add.Scalar", (f(3), 2, 3), {}),
    ("sub.Tensor", (i(9, 3), f(3)), {}),
    ("mul.Scalar", (f(3), float("-inf")), {}),
    ("any.dim", (i(2, 3, 4), 1), {}),
    ("all.dims", (i(2, 3, 4), [0, 1]), {"keepdim": True}),
    ("sum", (b(3, 4),), {}),
    ("sum", (f(),), {}),
    ("mean", (i(9, 3, 4),), {"dtype": torch.float32}),
    ("var", (f(3, 4), False), {}),
    ("var.dim", (f(3, 4), [0], False, True), {}),
    ("std.dim", (f(3, 4), None), {}),
    ("std", (f(3, 4),), {}),
    ("var_mean.correction", (f(2, 3, 4), [0, 2]), {"keepdim": True}),
    ("max.other", (f(3, 4), f(4)), {}),
    ("min", (f(3, 4),), {}),
    *[("pow.Tensor_Scalar", (p(3), power), {}) for power in (0.5, -0.5, -1, -2, 1, 2, 1.7)],
    *[("linalg_vector_norm", (f(3, 4), order, [0], True), {}) for order in (0, 1, 3, float("inf"), -float("inf"))],
    ("norm.Scalar", (f(3, 4),), {}),
    ("gelu", (f(3, 4),), {"approximate": "tanh"}),
    ("elu", (f(3, 4), 1.5, 2.0, 0.5), {}),
    ("softplus", (f(3, 4), 2, 1), {}),
    ("clamp", (f(3, 4), None, 0.3), {}),
    ("clamp", (i(9, 3, 4), 2, 5), {}),
    ("prelu", (f(2, 3), f(1)), {}),
    ("div.Tensor_mode", (i(9, 3), i(4, 3) + 1), {"rounding_mode": "trunc"}),
    ("softmax.int", (f(),  0), {}),
    ("conv2d", (f(4, 6, 6), f(6, 4, 3, 3)), {"padding": [1]}),
    ("conv1d.padding", (f(2, 4, 9), f(5, 4, 3), None, [1], "valid"), {}),
    ("linear", (f(4), f(5, 4)), {}),
    ("linear", (f(2, 4), f(4)), {}),
    ("matmul", (f(4), f(2, 4, 3)), {}),
    ("matmul", (f(4), f(4)), {}),
    ("max_pool2d", (f(4, 6, 6), [2]), {}),
    ("native_batch_norm", (IMAGE, f(4), None, f(4), p(4), T, 0.1, 1e-3), {}),
    ("instance_norm", (IMAGE, None, None, f(4), p(4), F, 0.1, 1e-3, F), {}),
    ("native_group_norm", (IMAGE, None, None, 2, 4, 36, 2, 1e-3), {}),
    ("layer_norm", (f(2, 3, 4), [4]), {}),
    ("rms_norm", (f(2, 4), [4]), {}),
    ("_weight_norm", (f(3, 4), f(1, 4), 1), {}),
    ("lstm.input", UNBIASED, {}),
    ("lstm.input", PROJECTED, {}),
    ("permute", (f(3, 1, 4), [1, 0, 2]), {}),
    ("transpose.int", (f(), 0, 0), {}),
    ("movedim.int", (f(2, 3, 4), 2, 0), {}),
    ("slice_scatter", (f(5, 9), f(5, 9), 1), {}),
    ("roll", (f(3, 4), [5]), {}),
    ("repeat_interleave.self_int", (f(3, 4), 2), {}),
    ("cat", ([f(2, 3)],), {}),
    ("chunk", (f(5, 9), 4, 1), {}),
    ("split.Tensor", (f(5, 9), 4, 1), {}),
    ("constant_pad_nd", (f(3, 4), [0, 0]), {}),
    ("pad", (f(2, 3, 4), [1, 2], "replicate"), {}),
    ("_to_copy", (f(3), ), {"dtype": torch.float32}),
    ("where.self", (b(3), torch.tensor(1.0), torch.tensor(0)), {}),
    ("masked_fill.Scalar", (i(9, 3), b(3), -9223372036854775808), {}),
]  # fmt: skip

NO_WORK: dict[str, int] = {}
WORK = {  # what the host does in an example, where it does anything, worked out by hand
    "_cdist_forward": {"multiplication": 15 * 4, "addition": 15 * 7, "sqrt": 15},
    "_conj": {"addition": 3},
    "_conj_physical": {"addition": 3},
    "_embedding_bag": {"addition": 6 * 4 - 2 * 4},
    "_embedding_bag_forward_only": {"addition": 6 * 4 - 2 * 4},
    "_fft_c2c": {"multiplication": 2 * 3 * 24 + 2 * 8 * 5, "addition": 3 * 3 * 24 + 3 * 8 * 5},  # 8 log 8, ~3 log 3
    "_fft_c2r": {"multiplication": 2 * 12 * 3, "addition": 3 * 12 * 3},  # half of 8 log 8, for 3 rows
    "_fft_r2c": {"multiplication": 2 * 12 * 3, "addition": 3 * 12 * 3},
    "_pdist_forward": {"multiplication": 6 * 3, "addition": 6 * 5, "sqrt": 6},
    "_unique": {"comparison": 24},
    "_unique2": {"comparison": 24},  # 8 log 8
    "_upsample_bicubic2d_aa": {"multiplication": 12 * 13 + 6 * 9, "addition": 12 * 12 + 6 * 8},
    "_upsample_bilinear2d_aa": {"multiplication": 12 * 7 + 6 * 5, "addition": 12 * 6 + 6 * 4},  # 7 across, 5 down
    "angle": {"trigonometric": 3},
    "argmax": {"comparison": 12},
    "argmin": {"comparison": 12},
    "argsort": {"comparison": 24 * 2},  # 8 columns of 3
    "bincount": {"addition": 8},
    "bucketize.Tensor": {"comparison": 3 * 3},  # 7 bounds are halved 3 times
    "col2im": {"addition": 8 * 25},
    "cummax": {"comparison": 12},
    "cummin": {"comparison": 12},
    "cumprod": {"multiplication": 12},
    "cumsum": {"addition": 12},
    "embedding_bag": {"addition": 6 * 4 - 2 * 4},
    "grid_sampler": {"multiplication": 40 * 20, "addition": 40 * 15},
    "grid_sampler_2d": {"multiplication": 40 * 4, "addition": 40 * 3},
    "grid_sampler_3d": {"multiplication": 16 * 8, "addition": 16 * 7},
    "histc": {"addition": 8},
    "index_add": {"addition": 8},
    "index_reduce": {"comparison": 8},
    "isin.Tensor_Tensor": {"comparison": 12},
    "kthvalue": {"comparison": 24 * 3},
    "linalg_cholesky_ex": {"multiplication": 10, "addition": 10, "division": 6, "sqrt": 4},
    "linalg_inv_ex": {"multiplication": 2 * 24, "addition": 2 * 12, "division": 2 * 3},
    "linalg_solve_triangular": {"multiplication": 3 * 6, "addition": 3 * 6, "division": 12},
    "logcumsumexp": {"exp": 12, "log": 12, "addition": 36, "comparison": 12},
    "masked_scatter": NO_WORK,
    "masked_select": {"comparison": 12},
    "max.dim": {"comparison": 12},
    "median": {"comparison": 24},
    "mode": {"comparison": 24},
    "nonzero": {"comparison": 12},
    "nonzero_static": {"comparison": 12},
    "polar": {"trigonometric": 6, "multiplication": 6},
    "prod": {"multiplication": 12},
    "scatter.reduce": {"multiplication": 8},
    "scatter.value_reduce": {"addition": 8},
    "scatter_add": {"addition": 8},
    "scatter_reduce.two": {"comparison": 8},
    "searchsorted.Tensor": {"comparison": 9},
    "sort": {"comparison": 48},
    "topk": {"comparison": 24 * 3},  # each is compared with the least of the 4, and may sink 2 levels
    "unique_consecutive": {"comparison": 24},
    "unique_dim": {"comparison": 16 * 4},
    "upsample_bicubic2d": {"multiplication": 60 * 20, "addition": 60 * 15},
    "upsample_bilinear2d": {"multiplication": 60 * 4, "addition": 60 * 3},
    "upsample_linear1d": {"multiplication": 12 * 2, "addition": 12},
    "upsample_trilinear3d": {"multiplication": 64 * 8, "addition": 64 * 7},
    **{name: {"trigonometric": 12} for name in aten_pointwise.ON_HOST},
    **{f"{name}.Tensor": {"logic": 3} for name in aten_pointwise.SHIFTS},
}

PAIRS = 2 * 4 * 5 * 7  # batches, heads, queries, keys
UNCOUNTED = {  # products that torch's counter doesn't know
    "_grouped_mm": 6 * 8 * 16,
    "_int_mm": 32 * 16 * 8,
    "_scaled_dot_product_flash_attention_for_cpu": PAIRS * 8 * 2,
    "_scaled_dot_product_fused_attention_overrideable": PAIRS * 8 * 2,
    "addbmm": 2 * 3 * 4 * 5,
    "addmv": 3 * 4,
    "affine_grid_generator": 4 * 5 * 3 * 2,
    "dot": 4,
    "matmul": 2 * 3 * 4,
    "mv": 3 * 4,
    "vdot": 4,
}

FIRST_ALONE = {  # of whose results only the first has a meaning at inference
    "_batch_norm_no_update",
    "_embedding_bag",
    "_embedding_bag_forward_only",
    "_fused_rms_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit.no_stats",
    "_native_batch_norm_legit_no_training",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
    "_thnn_fused_lstm_cell",
    "embedding_bag",
    "linalg_cholesky_ex",
    "linalg_inv_ex",
    "log_sigmoid_forward",
    "native_batch_norm",
    "native_dropout",
    "native_group_norm",
    "native_layer_norm",
}


def overload(name: str) -> Any:
    packet, _, which = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), which or "default")


def run(function: Any, arguments: Any, options: Any) -> tuple[list[Any], bool]:
    """Its results, and whether they have values: on the CPU, or without on the meta device."""
    try:
        results, real = function(*arguments, **options), True
    except (NotImplementedError, RuntimeError):
        results, real = function(*to_meta(arguments), **{k: to_meta(v) for k, v in options.items()}), False
    return list(results) if isinstance(results, tuple | list) else [results], real


def products(function: Any, arguments: Any, options: Any) -> int:
    """What torch's counter says: without values, since on the CPU it misses what is fused."""
    with FlopCounterMode(display=False) as counter:
        try:
            function(*to_meta(arguments), **{k: to_meta(v) for k, v in options.items()})
        except (NotImplementedError, RuntimeError):
            function(*arguments, **options)
    return counter.get_total_flops() // 2


def to_meta(item: Any) -> Any:
    if isinstance(item, tuple | list):
        return [to_meta(part) for part in item]
    return item.to("meta") if isinstance(item, torch.Tensor) else item


class Lowered:
    """One call as a graph; `names` are the tensors that hold its results."""

    def __init__(self, operator: str, arguments: Any, options: Any, results: list[Any]) -> None:
        self.values: dict[int, Value] = {}
        self.sources: dict[int, Tensor] = {}
        self.arrays: dict[str, Any] = {}
        taken = tuple(self.take(item) for item in arguments)
        keywords = tuple((key, self.take(item)) for key, item in options.items())
        outputs = tuple(self.value(place, result) for place, result in enumerate(results))
        frame = Frame("", True, [Call(operator, taken, keywords, outputs)], tuple(o for o in outputs if o is not None))
        blocks = assemble("row", frame, self.sources, len(results))
        self.graph: Graph = blocks.graph()
        self.names: list[str] = []
        found = dict[int, str]()
        for number in blocks.outputs:
            while number in blocks.aliases:
                number = blocks.aliases[number]
            if number not in found:
                found[number] = self.graph.outputs[len(found)]
            self.names.append(found[number])

    def value(self, number: int, tensor: Any) -> Value | None:
        if not isinstance(tensor, torch.Tensor):
            return None
        return Value(number, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    def take(self, item: Any) -> Any:
        if isinstance(item, tuple | list):
            return tuple(self.take(part) for part in item)
        if isinstance(item, torch.dtype):
            return str(item).removeprefix("torch.")
        if not isinstance(item, torch.Tensor):
            return item
        if id(item) not in self.values:
            number = -1 - len(self.values)
            value = self.values[id(item)] = self.value(number, item)
            assert value is not None
            if value.is_empty:
                return value
            self.sources[number] = Tensor(f"in{-number}", value.shape, value.dtype, INPUT)
            if item.dtype not in (torch.bfloat16, FP8):
                self.arrays[f"in{-number}"] = item.numpy(force=True)
        return self.values[id(item)]

    @property
    def can_run(self) -> bool:
        """Whether NumPy knows its inputs, and nothing of it is on the host."""
        host = any(self.graph.expansion(node).on_host for node in self.graph.nodes)
        return not host and all(tensor.name in self.arrays for tensor in self.graph.inputs)

    def host_work(self) -> dict[str, int]:
        """What the host does, in all."""
        work: dict[str, int] = {}
        for node in self.graph.nodes:
            for kind, number in self.graph.expansion(node).work or ():
                work[kind] = work.get(kind, 0) + number
        return work


@cache
def lowered(name: str) -> tuple[Lowered, list[Any], bool]:
    """An example's call, its results that have a meaning, and whether these have values."""
    return lower(name, *EXAMPLES[name])


def lower(name: str, arguments: Any, options: dict[str, Any]) -> tuple[Lowered, list[Any], bool]:
    results, real = run(overload(name), arguments, options)
    results = [results[0], *[None] * (len(results) - 1)] if name in FIRST_ALONE else results
    case = Lowered(str(overload(name)), arguments, options, results)
    return case, [result for result in results if result is not None], real


@pytest.mark.parametrize("name", EXAMPLES)
def test_shapes_dtypes_and_values_are_torchs(name: str) -> None:
    check(*lowered(name))


@pytest.mark.parametrize(("name", "arguments", "options"), OTHERS)
def test_values_of_other_cases_are_torchs(name: str, arguments: Any, options: dict[str, Any]) -> None:
    case, results, real = lower(name, arguments, options)
    check(case, results, real)
    assert real
    assert case.can_run


def check(case: Lowered, results: list[Any], real: bool) -> None:
    assert "unknown" not in {node.operation for node in case.graph.nodes}
    for tensor, result in zip(case.names, results, strict=True):
        known = case.graph.tensors[tensor]
        assert (known.shape, f"torch.{known.dtype}") == (tuple(result.shape), str(result.dtype))
    if real and case.can_run:
        given = {tensor.name: case.arrays[tensor.name] for tensor in case.graph.inputs}
        values = execute(case.graph, {}, given)
        for tensor, result in zip(case.names, results, strict=True):
            np.testing.assert_allclose(values[tensor], result.numpy(force=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EXAMPLES)
def test_products_are_those_that_torch_counts(name: str) -> None:
    case, _, _ = lowered(name)
    expected = UNCOUNTED[name] if name in UNCOUNTED else products(overload(name), *EXAMPLES[name])
    assert count(case.graph).total.macs == expected


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_hosts_work_is_as_worked_out_by_hand(name: str) -> None:
    case, results, _ = lowered(name)
    random = {"random": results[0].numel()} if name.removesuffix("_").split(".")[0] in RANDOM else NO_WORK
    assert case.host_work() == WORK.get(name, random)


def test_every_row_has_an_example() -> None:
    rows = {name for name in registry.TABLE if name.startswith("aten.")}
    assert rows - set().union(*({str(overload(name)), names_of(name)} for name in EXAMPLES)) == set()


def names_of(name: str) -> str:
    """The row's name where it is that of all overloads."""
    packet = str(overload(name)).rpartition(".")[0]
    return packet if packet in registry.TABLE else packet.removesuffix("_")


def overloads() -> Iterator[tuple[Any, Any]]:
    """Each overload that the table has a row for and that gives tensors, with its row."""
    for name in sorted(name for name in registry.TABLE if name.startswith("aten.")):
        packet = getattr(torch.ops.aten, name.split(".")[1])
        for which in packet.overloads():
            function = getattr(packet, which)
            schema = str(function._schema)
            tensors = "Tensor" in schema.rpartition("->")[2] and not re.search("Dimname|Dict|quantized|[a-z]!", schema)
            if tensors and registry.find_row(str(function)) is registry.TABLE[name]:
                yield function, registry.TABLE[name]


def test_every_overload_fits_its_row() -> None:
    """With all arguments in their places, and with none that has a default."""
    for function, row in overloads():
        known = [a for a in function._schema.arguments if a.name not in ("device", "layout", "pin_memory")]
        for given in (known, [a for a in known if not a.has_default_value()]):
            options = {a.name: None for a in given if a.kwarg_only}
            inspect.signature(row).bind(None, *(a for a in given if not a.kwarg_only), **options)
