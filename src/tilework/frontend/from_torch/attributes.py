"""What a forward reads of modules and whether it writes to them: the ground on which one call may stand for another."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple

import torch

from tilework.frontend.from_torch.caches import INDEX, Index, Update

Module = torch.nn.Module

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()
QUIET = frozenset(
    (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_backward_hooks",
        "_backward_pre_hooks",
        "_call_impl",
        "_compiled_call_impl",
        "__class__",
    )
)
KEPT_BY_MODULES = ("_parameters", "_buffers", "_modules")
CONTAINERS = (dict, OrderedDict, list, set, deque)
FIXED = frozenset(
    (
        *(bool, int, float, complex, str, bytes, tuple, type(None), type, Index),
        *(torch.Tensor, torch.nn.Parameter, torch.dtype, torch.device, torch.Size),
        *(types.FunctionType, types.BuiltinFunctionType, types.MethodType),
    )
)

INERT = FIXED - {torch.Tensor, torch.nn.Parameter, types.MethodType, tuple}

look = object.__getattribute__  # past the watch


class Read(NamedTuple):
    """A module's attribute that was read, what the module held by that name (not what a class has), and the contents
    of that where they may change."""

    module: Module
    name: str
    held: Any
    contents: Any


def held(module: Module, name: str) -> Any:
    """What a module itself holds by a name: an attribute, a weight or a module; ABSENT if nothing."""
    state = look(module, "__dict__")
    if name in state:
        return state[name]
    if name == "__dict__":
        return state
    for place in KEPT_BY_MODULES:
        if name in state.get(place, ()):
            return state[place][name]
    return ABSENT


def contents(value: Any) -> Any:
    """A shallow copy of what may change in place; None for what can't."""
    kind = type(value)
    if kind in FIXED or isinstance(value, Module):
        return None
    if kind in CONTAINERS:
        return kind(value)
    state = getattr(value, "__dict__", None)
    return dict(state) if type(state) is dict else None


def unchanged(value: Any, before: Any) -> bool:
    """Whether the contents are still those."""
    if before is None:
        return True
    now = value if type(value) in CONTAINERS else value.__dict__
    alike = len(now) == len(before) and all(map(is_, now, before))
    return alike and (not isinstance(before, dict) or all(map(is_, now.values(), before.values())))


def put_back(value: Any, before: Any) -> None:
    """Give a container or a plain object its contents of before."""
    now = value if type(value) in CONTAINERS else value.__dict__
    now.clear()
    (now.extend if isinstance(now, list | deque) else now.update)(before)


class Copied(NamedTuple):
    """In the log, a call noted as the copy of a template for the module `path`: it would have read the same."""

    template: Any
    path: str


class Watch:
    """A log of the attributes that are read of modules of some classes, the number of those written, and the updates
    of caches. With `indexed`, a module's number among its like is read as an Index."""

    def __init__(self, indexed: bool) -> None:
        self.indexed = indexed
        self.log: list[Read | Copied] = []
        self.writes = 0
        self.updates: list[Update] = []
        self.indices: dict[int, Index] = {}
        self.saved: dict[int, list[tuple[dict[str, Any], dict[str, Any]]]] = {}

    def save(self, module: Module) -> None:
        """Keep what a module holds, before the first write to it."""
        if id(module) not in self.saved:
            state = look(module, "__dict__")
            inside = [state[place] for place in KEPT_BY_MODULES if place in state]
            self.saved[id(module)] = [(held, dict(held)) for held in (state, *inside)]

    def restore(self) -> None:
        """Undo what the forward changed of modules, and of containers and plain objects that they hold."""
        for read in reversed(self.log):
            if type(read) is Read and not unchanged(read.held, read.contents):
                put_back(read.held, read.contents)
        for pairs in self.saved.values():
            for held, before in pairs:
                put_back(held, before)

    def index(self, module: Module, number: int) -> Index:
        """The Index that stands for a module's number."""
        return self.indices.setdefault(id(module), Index(module, number))

    @contextmanager
    def over(self, classes: set[type[Module]]) -> Iterator[None]:
        """While this is open, attributes of modules of these classes are watched; afterwards the classes are as they
        were, and the modules too."""
        watched = [(cls, cls.__dict__, self._methods(cls)) for cls in classes]
        before = [(cls, {name: own[name] for name in methods if name in own}) for cls, own, methods in watched]
        try:
            for cls, _, methods in watched:
                for name, method in methods.items():
                    setattr(cls, name, method)
            yield
        finally:
            for (cls, own), (_, _, methods) in zip(before, watched, strict=True):
                for name in methods:
                    if name in own:
                        setattr(cls, name, own[name])
                    elif name in cls.__dict__:
                        delattr(cls, name)
            self.restore()

    def _methods(self, cls: type[Module]) -> dict[str, Callable[..., Any]]:
        """The class's methods for attributes, watched. A name that a module lacks isn't looked for twice."""
        get, put, remove = cls.__getattribute__, cls.__setattr__, cls.__delattr__
        log = self.log.append
        own_search = getattr(cls, "__getattr__", None) is not Module.__getattr__

        def read(module: Module, name: str) -> Any:
            if name in QUIET:
                return get(module, name)
            held_now = held(module, name)
            if name == INDEX and type(held_now) is int and self.indexed:
                index = self.index(module, held_now)
                log(Read(module, name, index, None))
                return index
            log(Read(module, name, held_now, contents(held_now)))
            try:
                return get(module, name)
            except AttributeError:
                if held_now is ABSENT or own_search:
                    raise
                return held_now

        def write(module: Module, name: str, value: Any) -> None:
            self.writes += 1
            self.save(module)
            put(module, name, value)

        def delete(module: Module, name: str) -> None:
            self.writes += 1
            self.save(module)
            remove(module, name)

        def missing(module: Module, name: str) -> Any:
            raise AttributeError(f"'{type(module).__name__}' object has no attribute '{name}'")

        methods: dict[str, Callable[..., Any]] = {"__getattribute__": read, "__setattr__": write, "__delattr__": delete}
        return methods if own_search else {**methods, "__getattr__": missing}
