"""What a trace remembers of each tensor that torch shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch

from tilework.frontend.from_torch.calls import Call, Value

META = torch.device("meta")
_names: dict[torch.dtype, str] = {}


class Outline(NamedTuple):
    """A tensor without its elements: what decides the outlines of an operator's results."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    name: str

    def tensor(self) -> torch.Tensor:
        """A tensor on the meta device that looks so."""
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device=META)


def outline(tensor: torch.Tensor) -> Outline:
    """The outline of a tensor on any device."""
    return Outline(tuple(tensor.shape), tensor.stride(), tensor.dtype, dtype_name(tensor.dtype))


def dtype_name(dtype: torch.dtype) -> str:
    """Tilework's name of a dtype: float32, int64, bool, …"""
    if dtype not in _names:
        _names[dtype] = str(dtype).removeprefix("torch.")
    return _names[dtype]


class Known:
    """A tensor of the trace: the object that torch holds, and the Value that it is now.

    Views of one tensor are a family: `root` is the tensor itself, `parent` what this one is a view of, by the result
    `place` of `call`. Whoever writes to one, the root's `writer`, raises the root's `version`; the others are behind
    until they are read.
    The root's `constant` marks a real, small tensor whose elements nothing of the inputs or weights has touched.
    """

    __slots__ = (
        *("born", "call", "constant", "meta", "outline", "parent", "place", "root", "seen", "tensor", "value"),
        *("version", "writer"),
    )

    def __init__(self, tensor: torch.Tensor, outline: Outline, number: int, constant: bool = False) -> None:
        self.tensor, self.outline, self.constant = tensor, outline, constant
        self.value = Value(number, outline.shape, outline.name)
        self.meta: torch.Tensor | None = None
        self.root: Known = self
        self.writer: Known | None = None
        self.born = number
        self.parent: Known | None = None
        self.call: Call | None = None
        self.place = self.version = self.seen = 0

    def hollow(self) -> torch.Tensor:
        """The tensor itself where it has no elements, else one like it on the meta device, always the same."""
        if self.meta is None:
            on_meta = self.tensor.device == META
            self.meta = self.tensor if on_meta else self.outline.tensor().requires_grad_(self.tensor.requires_grad)
        return self.meta


def tensors_in(item: Any) -> Iterator[torch.Tensor]:
    """The tensors in what a module takes or gives: containers, data classes, and what a plain object holds."""
    if isinstance(item, torch.Tensor):
        yield item
    elif isinstance(item, dict):
        for part in item.values():
            yield from tensors_in(part)
    elif isinstance(item, list | tuple | set):
        for part in item:
            yield from tensors_in(part)
    elif is_dataclass(item):
        for field in fields(item):
            yield from tensors_in(getattr(item, field.name, None))
