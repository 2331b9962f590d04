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


class Arguments:
    """What a module is called with: a `key` that is equal for calls alike, the tensors, each once, with their Values,
    and whether there are containers that the call may change.

    Raises UnpackableError where something can't be compared.
    """

    def __init__(self, recorder: Recorder, head: Any, args: Any, keywords: Any) -> None:
        self.recorder = recorder
        self.tensors: dict[int, torch.Tensor] = {}
        self.values: list[Value] = []
        self.changeable = False
        named = tuple([(name, self._key(part)) for name, part in keywords.items()])
        self.key = (head, tuple([self._key(part) for part in args]), named)

    def _key(self, item: Any) -> Any:
        kind = type(item)
        if isinstance(item, torch.Tensor):
            return self._tensor(item)
        if kind is tuple:
            return kind, tuple([self._key(part) for part in item])
        if kind in PLAIN:
            return kind, repr(item) if kind is slice else item
        if is_cache(item):
            return kind, id(item)
        self.changeable = True
        if kind is list:
            return kind, tuple([self._key(part) for part in item])
        if kind is dict or kind is OrderedDict:
            return kind, tuple([(name, self._key(part)) for name, part in item.items()])
        raise UnpackableError

    def _tensor(self, tensor: torch.Tensor) -> Any:
        """Its outline, whether it is a weight, and of a constant which one; its place, if it came before."""
        if id(tensor) in self.tensors:
            return list(self.tensors).index(id(tensor))
        self.tensors[id(tensor)] = tensor
        known = self.recorder.find(tensor)
        self.values.append(known.value)
        number = known.value.id
        return type(tensor), known.outline, number if known.root.constant else number in self.recorder.weights


class Packed(NamedTuple):
    """Results without tensors: in their place what `Unpacking` needs to find or make them."""

    kind: str
    content: Any
    parts: tuple[Packed, ...] = ()


class Packing:
    """Keeps a call's results for its copies. What was born up to `start` came from outside of it.

    Two results must not be views of one tensor that arose within: a copy's would no longer be.
    """

    def __init__(self, recorder: Recorder, arguments: Arguments, start: int) -> None:
        self.recorder, self.start = recorder, start
        self.places = {number: place for place, number in enumerate(arguments.tensors)}
        self.roots: dict[int, int] = {}

    def pack(self, item: Any) -> Packed:
        """The results; raises UnpackableError where they can't be kept."""
        kind = type(item)
        if isinstance(item, torch.Tensor):
            return self._tensor(item)
        if kind in PLAIN:
            return Packed("plain", item)
        if kind is tuple or kind is list:
            return Packed("items", kind, tuple([self.pack(part) for part in item]))
        if kind is dict or kind is OrderedDict:
            return Packed("entries", (kind, tuple(item)), tuple([self.pack(part) for part in item.values()]))
        raise UnpackableError

    def _tensor(self, tensor: torch.Tensor) -> Packed:
        if id(tensor) in self.places:
            return Packed("argument", self.places[id(tensor)])
        known = self.recorder.find(tensor)
        if known.value.id in self.recorder.sources:
            return Packed("source", known.value.id)
        first = self.roots.setdefault(id(known.root), id(known))
        if known.root.born <= self.start or first != id(known):
            raise UnpackableError
        if known.root.constant:
            with torch._C._DisableTorchDispatch():
                return Packed("constant", (known.value.id, known.outline, tensor.clone()))
        return Packed("new", (known.value.id, known.outline, None))


class Unpacking:
    """Makes results anew. `outside` says which Values those of the template are here; `made` the numbers of its
    results by the Values here."""

    def __init__(self, recorder: Recorder, arguments: Arguments, outside: dict[int, Value]) -> None:
        self.recorder, self.outside = recorder, outside
        self.arguments = list(arguments.tensors.values())
        self.made: dict[Value, int] = {}
        self.tensors: dict[int, torch.Tensor] = {}

    def unpack(self, packed: Packed) -> Any:
        """The results."""
        if packed.kind in ("new", "constant"):
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

    def _new(self, number: int, looks: Outline, constant: torch.Tensor | None) -> torch.Tensor:
        if number not in self.tensors:
            with torch._C._DisableTorchDispatch():  # else the recorder would take it for a call of the network
                tensor = self.tensors[number] = looks.tensor() if constant is None else constant.clone()
            self.made[self.recorder.fresh(tensor, looks, constant is not None).value] = number
        return self.tensors[number]
