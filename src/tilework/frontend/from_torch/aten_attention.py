"""Attention as one ATen operator, as exported programs and fused kernels have it: products, scale, mask, softmax."""

from __future__ import annotations

from math import sqrt

from tilework.frontend.from_torch.aten_contraction import product
from tilework.frontend.from_torch.aten_support import axis_of, pointwise, reshape, rest
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten


def attend(c: Lowering, q: Value, k: Value, v: Value, mask: Value | None, causal: bool, scale: float | None) -> None:
    """softmax(scale * q k' + mask) v for q [...,H,L,E], k [...,G,S,E], v [...,G,S,F] (Vaswani et al. 2017).

    Where there are fewer heads of keys than of queries, each serves H/G neighbours (Ainslie et al. 2023). A causal mask
    hides scores, but they are computed and counted.
    """
    shape = (*q.shape[:-1], v.shape[-1])
    grouped = len(q.shape) > 3 and q.shape[-3] != k.shape[-3]
    if grouped:
        *batch, heads, rows, features = q.shape
        groups = k.shape[-3]
        q = reshape(c, q, (*batch, groups, heads // groups, rows, features))
        k, v = (reshape(c, x, (*batch, groups, 1, *x.shape[-2:])) for x in (k, v))
    turned = (*range(len(k.shape) - 2), len(k.shape) - 1, len(k.shape) - 2)
    scores = product(c, q, c.view(k, turned))
    scores = pointwise(c, "mul", "x0 * x1", scores, 1 / sqrt(q.shape[-1]) if scale is None else scale)
    if causal:
        hidden = c.emit("host", what="constant", shape=scores.shape[-2:], dtype="bool")
        scores = pointwise(c, "mask", "select(x1, -inf, x0)", scores, hidden)
    if mask is not None:
        scores = _masked(c, scores, mask, grouped)
    c.set(reshape(c, product(c, c.emit("softmax", scores, axis=-1), v), shape))


def _masked(c: Lowering, scores: Value, mask: Value, grouped: bool) -> Value:
    """Truth values say which scores stay, numbers are added."""
    if grouped and len(mask.shape) > 2:
        *batch, heads, rows, columns = mask.shape
        split = (1, 1) if heads == 1 else scores.shape[-4:-2]
        mask = reshape(c, mask, (*batch, *split, rows, columns))
    if mask.dtype == "bool":
        return pointwise(c, "mask", "select(x1, x0, -inf)", scores, mask)
    return c.emit("add", scores, mask)


@aten("scaled_dot_product_attention")
def attention(
    c: Lowering,
    q: Value,
    k: Value,
    v: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> None:
    """Attention as torch.nn.functional has it; dropout is nothing at inference."""
    attend(c, q, k, v, attn_mask, is_causal, scale)


@aten("_scaled_dot_product_attention_math")
def attention_math(
    c: Lowering,
    q: Value,
    k: Value,
    v: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    dropout_mask: Value | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> None:
    """The same; its second result are the probabilities."""
    attend(c, q, k, v, attn_mask, is_causal, scale)
    rest(c)


@aten("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu")
def flash_attention(
    c: Lowering,
    q: Value,
    k: Value,
    v: Value,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    attn_mask: Value | None = None,
    scale: float | None = None,
) -> None:
    """The same in pieces (Dao et al. 2022), which is as much arithmetic."""
    attend(c, q, k, v, attn_mask, is_causal, scale)
    rest(c)


@aten("_scaled_dot_product_fused_attention_overrideable")
def overrideable_attention(
    c: Lowering,
    q: Value,
    k: Value,
    v: Value,
    attn_bias: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    scale: float | None = None,
) -> None:
    """The same for other devices."""
    attend(c, q, k, v, attn_bias, is_causal, scale)
    rest(c)


@aten("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention")
def efficient_attention(
    c: Lowering,
    q: Value,
    k: Value,
    v: Value,
    attn_bias: Value | None = None,
    compute_log_sumexp: bool = False,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    scale: float | None = None,
) -> None:
    """The same, with numbers to add to the scores."""
    attend(c, q, k, v, attn_bias, is_causal, scale)
    rest(c)


@aten("_softmax", "softmax", "_safe_softmax")
def softmax(c: Lowering, x: Value, dim: int, dtype: object = None) -> None:
    """exp(x - max) / sum along an axis; of a scalar 1."""
    _along(c, "softmax", x, dim)


@aten("_log_softmax", "log_softmax")
def log_softmax(c: Lowering, x: Value, dim: int, dtype: object = None) -> None:
    """The logarithm of the softmax."""
    _along(c, "log_softmax", x, dim)


def _along(c: Lowering, name: str, x: Value, dim: int) -> None:
    row = x if x.shape else reshape(c, x, (1,))
    c.set(reshape(c, c.emit(name, row, axis=axis_of(dim, len(row.shape))), x.shape))
