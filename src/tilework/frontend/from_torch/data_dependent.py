"""Operators whose results' shapes, or whose very results, depend on elements: without these, the largest shape.

Each function takes what makes a tensor hollow, the operator and its arguments, and returns hollow results.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from tilework.frontend.from_torch.tensors import META

Swap = Callable[[Any], Any]

NEEDS_VALUES = {
    "aten._local_scalar_dense": "`item`, `bool`, `int` or `float` of a tensor",
    "aten.equal": "`torch.equal`",
    "aten.is_nonzero": "`bool` of a tensor",
}


def _integers(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.int64, device=META)


def _nonzero(swap: Swap, func: Any, x: torch.Tensor) -> torch.Tensor:
    """Every element may be one."""
    return _integers(x.numel(), x.dim())


def _masked_select(swap: Swap, func: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    shape: torch.Size = torch.broadcast_shapes(x.shape, mask.shape)  # type: ignore[no-untyped-call]
    return torch.empty((prod(shape),), dtype=x.dtype, device=META)


def _is_mask(index: torch.Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _places(index: Any) -> list[Any]:
    """Masks as places: a known mask's own, else one for each of its elements."""
    places: list[Any] = []
    for part in index:
        if not _is_mask(part):
            places.append(part)
        elif part.device != META:
            places += part.nonzero().unbind(1)
        else:
            places += [_integers(part.numel())] * part.dim()
    return places


def _index(swap: Swap, func: Any, x: torch.Tensor, index: Any) -> Any:
    return func(swap(x), swap(_places(index)))


def _index_put(
    swap: Swap, func: Any, x: torch.Tensor, index: Any, values: torch.Tensor, accumulate: bool = False
) -> torch.Tensor:
    """The tensor itself, or one like it; whether the values fit a mask isn't known."""
    if func._schema.is_mutable:
        return x
    result: torch.Tensor = torch.empty_like(swap(x))
    return result


def _unique(swap: Swap, func: Any, x: torch.Tensor, *rest: Any, **options: Any) -> tuple[torch.Tensor, ...]:
    """All elements may differ: values, the place of each element among them, how often each occurs."""
    return torch.empty((x.numel(),), dtype=x.dtype, device=META), _integers(*x.shape), _integers(x.numel())


def _unique_rows(
    swap: Swap, func: Any, x: torch.Tensor, dim: int, *rest: Any, **options: Any
) -> tuple[torch.Tensor, ...]:
    size = x.shape[dim]
    return torch.empty(x.shape, dtype=x.dtype, device=META), _integers(size), _integers(size)


def _unique_runs(
    swap: Swap, func: Any, x: torch.Tensor, inverse: bool = False, counts: bool = False, dim: int | None = None
) -> tuple[torch.Tensor, ...]:
    return _unique(swap, func, x) if dim is None else _unique_rows(swap, func, x, dim)


def _nms(swap: Swap, func: Any, boxes: torch.Tensor, *rest: Any) -> torch.Tensor:
    """All boxes may stay."""
    return _integers(boxes.shape[0])


def _grouped_mm(swap: Swap, func: Any, x: torch.Tensor, weights: torch.Tensor, *rest: Any, **options: Any) -> Any:
    """Rows of x times the matrix of their group; its own kernel takes bfloat16 alone."""
    return torch.empty((*x.shape[:-1], weights.shape[-1]), dtype=x.dtype, device=META)


def _roi_align(
    swap: Swap, func: Any, x: torch.Tensor, boxes: torch.Tensor, scale: float, height: int, width: int, *rest: Any
) -> torch.Tensor:
    return torch.empty((boxes.shape[0], x.shape[1], height, width), dtype=x.dtype, device=META)


OVERRIDES: dict[str, Callable[..., Any]] = {
    "aten._grouped_mm": _grouped_mm,
    "aten._unique2": _unique,
    "aten.index": _index,
    "aten.index_put": _index_put,
    "aten.index_put_": _index_put,
    "aten.masked_select": _masked_select,
    "aten.nonzero": _nonzero,
    "aten.unique_consecutive": _unique_runs,
    "aten.unique_dim": _unique_rows,
    "torchvision.nms": _nms,
    "torchvision.roi_align": _roi_align,
}


def _keypoints(maps: torch.Tensor, boxes: torch.Tensor) -> list[tuple[int, ...]]:
    """A place and its score, and a score alone, for each keypoint of each box."""
    return [(*maps.shape[:2], 3), tuple(maps.shape[:2])]


def _pasted(masks: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], padding: int = 1) -> list[tuple[int, ...]]:
    """Each mask in an image of its own."""
    return [(masks.shape[0], 1, *size)]


FUNCTIONS: dict[tuple[str, str], Callable[..., list[tuple[int, ...]]]] = {
    ("torchvision.models.detection.roi_heads", "heatmaps_to_keypoints"): _keypoints,
    ("torchvision.models.detection.transform", "paste_masks_in_image"): _pasted,
}
"""Functions of libraries that loop over elements: by module and name, the shapes of their results."""
