"""Whether what one module holds is what another holds, as far as a forward that reads it can tell."""

from __future__ import annotations

import functools
import types
from collections import OrderedDict
from typing import Any

import torch

from tilework.frontend.from_torch.attributes import Module
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.recorder import Recorder
from tilework.frontend.from_torch.tensors import outline

SCALARS = frozenset((bool, int, float, complex, str, bytes, torch.Size, torch.device, slice, range))
PLAIN_SIZE = type("Plain", (), {}).__basicsize__  # of an object that has only a dict
EQUAL_LIMIT = 1 << 12  # elements of tensors that are compared
CPU = torch.device("cpu")
HEAP_TYPE = 1 << 9  # the flag of a class that is written in Python


class Names:
    """The modules of a network by path and back: the first of a module's names is its path."""

    def __init__(self, root: Module) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        self.paths: dict[int, str] = {}
        left = [("", root)]
        while left:
            path, module = left.pop()
            if id(module) not in self.paths:
                self.modules[path], self.paths[id(module)] = module, path
                start = f"{path}." if path else ""
                inside = [(start + name, part) for name, part in module._modules.items() if part is not None]
                left += reversed(inside)

    def rest(self, module: Module, path: str) -> str | None:
        """What a module's path has behind `path`; None where it lies elsewhere."""
        own = self.paths.get(id(module))
        if own is None or not own.startswith(path):
            return None
        rest = own[len(path) :]
        return rest if not rest or rest[0] == "." else None

    def twin(self, module: Module, old: str, new: str) -> Module | None:
        """The module that lies within `new` where this one lies within `old`; one that lies elsewhere itself."""
        rest = self.rest(module, old)
        return module if rest is None else self.modules.get(new + rest)


class Sameness:
    """Compares what the modules within the path `old` hold with those within `new`.

    `values` collects which Value of the one is which of the other.
    """

    def __init__(self, names: Names, recorder: Recorder, old: str, new: str) -> None:
        self.names, self.recorder, self.old, self.new = names, recorder, old, new
        self.values: dict[int, Value] = {}
        self.open: set[tuple[int, int]] = set()

    def bind(self, number: int, value: Value) -> bool:
        """Let a Value of the one be that of the other; False where it is another already."""
        return self.values.setdefault(number, value).id == value.id

    def same(self, a: Any, b: Any) -> bool:
        """Whether a forward that reads `a` would do the same with `b`."""
        kind = type(a)
        if kind is not type(b):
            return False
        if kind in SCALARS:
            return bool(a == b)
        if isinstance(a, torch.Tensor):
            return self._tensors(a, b)
        if isinstance(a, Module):
            rest = self.names.rest(a, self.old)
            return a is b if rest is None else rest == self.names.rest(b, self.new)
        if kind is tuple or kind is list:
            return len(a) == len(b) and all(map(self.same, a, b))
        if kind is dict or kind is OrderedDict:
            return len(a) == len(b) and all(map(self.same, a.items(), b.items()))
        return a is b or self._objects(a, b)

    def _tensors(self, a: torch.Tensor, b: torch.Tensor) -> bool:
        """Weights that look alike and nobody wrote to; of other tensors, the elements may be read and must be equal."""
        one, other = self.recorder.untouched(a), self.recorder.untouched(b)
        if one is None or other is None:
            return a is b or self._constants(a, b)
        alike = one.shape == other.shape and one.dtype == other.dtype and a.stride() == b.stride()
        return alike and a.requires_grad == b.requires_grad and self.bind(one.id, other)

    def _constants(self, a: torch.Tensor, b: torch.Tensor) -> bool:
        """Small real tensors with equal elements, both constants of the calls under way or both not seen by them."""
        if outline(a) != outline(b) or a.device != CPU or b.device != CPU or a.numel() > EQUAL_LIMIT:
            return False
        with torch._C._DisableTorchDispatch():
            if not torch.equal(a, b):
                return False
        one, other = self.recorder.known.get(id(a)), self.recorder.known.get(id(b))
        if one is None or other is None:
            return one is other
        constant = one.root.constant and other.root.constant
        return constant and self.bind(self.recorder.find(a).value.id, self.recorder.find(b).value)

    def _objects(self, a: Any, b: Any) -> bool:
        """Methods of one function, and plain objects of one class that hold the same."""
        if (id(a), id(b)) in self.open:
            return True
        self.open.add((id(a), id(b)))
        if isinstance(a, types.MethodType):
            return a.__func__ is b.__func__ and self.same(a.__self__, b.__self__)
        if isinstance(a, functools.partial):
            return a.func is b.func and self.same(a.args, b.args) and self.same(a.keywords, b.keywords)
        return is_plain(type(a)) and self.same(a.__dict__, b.__dict__)


def is_plain(kind: type) -> bool:
    """Whether an object of the class is no more than what its `__dict__` holds."""
    whole = kind.__basicsize__ == PLAIN_SIZE and not issubclass(kind, type)
    return whole and all(base is object or base.__flags__ & HEAP_TYPE for base in kind.__mro__)
