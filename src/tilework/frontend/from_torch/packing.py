"""What a module takes and gives, in a form that can be compared, kept, and made anew for a copy of its call."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import torch

from tilework.frontend.from_torch.caches import is_cache
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.recorder import Recorder
from tilework.frontend.from_torch.sameness import SCALARS
from tilework.frontend.from_torch.tensors import Outline

PLAIN = SCALARS | {type(None), torch.dtype, torch.memory_format, torch.layout}


class UnpackableError(Exception):
    """Something that is neither a tensor, a plain value, nor a container of these."""


class Arguments(NamedTuple):
    """What a module is called with: a key that is equal for calls alike, and the tensors, each once."""

    key: Any
    tensors: dict[int, torch.Tensor]
    values: tuple[Value, ...]
    caches: tuple[Any, ...]
    changeable: bool


class Packed(NamedTuple):
    """Results without tensors: in their place what `unpack` needs to find or make them."""

    kind: str
    content: Any
    parts: tuple[Packed, ...] = ()


def read_arguments(recorder: Recorder, args: Any, keywords: Any) -> Arguments | None:
    """What a module is called with; None where something can't be compared."""
    tensors: dict[int, torch.Tensor] = {}
    values: list[Value] = []
    caches: list[Any] = []
    changeable = False

    def key(item: Any) -> Any:
        nonlocal changeable
        kind = type(item)
        if isinstance(item, torch.Tensor):
            if id(item) in tensors:
                return list(tensors).index(id(item))
            tensors[id(item)] = item
            known = recorder.find(item)
            number = known.value.id
            values.append(known.value)
            return kind, known.outline, number if known.root.constant else number in recorder.weights
        if kind is tuple:
            return kind, tuple([key(part) for part in item])
        if kind in PLAIN:
            return kind, repr(item) if kind is slice else item
        if is_cache(item):
            caches.append(item)
            return kind, id(item)
        changeable = True
        if kind is list:
            return kind, tuple([key(part) for part in item])
        if kind is dict or kind is OrderedDict:
            return kind, tuple([(name, key(part)) for name, part in item.items()])
        raise UnpackableError

    try:
        whole = key(args), tuple([(name, key(part)) for name, part in keywords.items()])
    except UnpackableError:
        return None
    return Arguments(whole, tensors, tuple(values), tuple(caches), changeable)


def pack(recorder: Recorder, results: Any, arguments: Arguments, start: int) -> Packed | None:
    """A module's results, kept for copies; None where they can't be. What was born up to `start` came from outside.

    Two results must not be views of one tensor that arose within: a copy's would no longer be.
    """
    places = {number: place for place, number in enumerate(arguments.tensors)}
    roots: dict[int, int] = {}

    def of(item: Any) -> Packed:
        kind = type(item)
        if isinstance(item, torch.Tensor):
            return tensor(item)
        if kind in PLAIN:
            return Packed("plain", item)
        if kind is tuple or kind is list:
            return Packed("items", kind, tuple([of(part) for part in item]))
        if kind is dict or kind is OrderedDict:
            return Packed("entries", (kind, tuple(item)), tuple([of(part) for part in item.values()]))
        raise UnpackableError

    def tensor(item: torch.Tensor) -> Packed:
        if id(item) in places:
            return Packed("argument", places[id(item)])
        known = recorder.find(item)
        if known.value.id in recorder.sources:
            return Packed("source", known.value.id)
        if known.root.born <= start or known.root.constant or roots.setdefault(id(known.root), id(known)) != id(known):
            raise UnpackableError
        return Packed("new", (known.value.id, known.outline))

    try:
        return of(results)
    except UnpackableError:
        return None


class Unpacking:
    """Makes results anew. `outside` says which Values those of the template are here; `made` the numbers of its
    results by those here."""

    def __init__(self, recorder: Recorder, arguments: Arguments, outside: dict[int, Value]) -> None:
        self.recorder, self.outside = recorder, outside
        self.arguments = list(arguments.tensors.values())
        self.made: dict[int, int] = {}
        self.tensors: dict[int, torch.Tensor] = {}

    def unpack(self, packed: Packed) -> Any:
        """The results."""
        if packed.kind == "new":
            return self._new(*packed.content)
        if packed.kind == "argument":
            return self.arguments[packed.content]
        if packed.kind == "source":
            return self.recorder.sources[self.outside[packed.content].id]
        if packed.kind == "plain":
            return packed.content
        parts = [self.unpack(part) for part in packed.parts]
        if packed.kind == "items":
            return packed.content(parts)
        kind, names = packed.content
        return kind(zip(names, parts, strict=True))

    def _new(self, number: int, looks: Outline) -> torch.Tensor:
        if number not in self.tensors:
            with torch._C._DisableTorchDispatch():  # else the recorder would take it for a call of the network
                self.tensors[number] = looks.tensor()
            self.made[self.recorder.fresh(self.tensors[number], looks).value.id] = number
        return self.tensors[number]
