"""The key and value caches of language models (`transformers.cache_utils.Cache`): state that a forward hands from layer
to layer, and in which each layer has a place of its own.

A layer says `cache.update(keys, values, self.layer_idx)`. Were `layer_idx` a number like any other, no layer would be
like another. So while a trace runs, a module's `layer_idx` is an `Index`, which notices whether anybody looks at its
value; giving it to `update` is not looking. What an update did to its place is kept, and done again for a copy.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

INDEX = "layer_idx"
SPECIAL = (
    *("abs", "add", "and", "bool", "ceil", "divmod", "eq", "float", "floor", "floordiv", "format", "ge", "gt", "hash"),
    *("index", "int", "invert", "le", "lshift", "lt", "mod", "mul", "ne", "neg", "or", "pos", "pow", "radd", "rand"),
    *("rdivmod", "repr", "rfloordiv", "rlshift", "rmod", "rmul", "ror", "round", "rpow", "rrshift", "rshift", "rsub"),
    *("rtruediv", "rxor", "str", "sub", "truediv", "trunc", "xor"),
)


class Index:
    """A module's number among its like; `looked_at` says whether anybody wanted to know it."""

    def __init__(self, module: torch.nn.Module, value: int) -> None:
        self.module, self.number, self.looked_at = module, value, False

    def look(self) -> int:
        """The number, for somebody whose doings may depend on it."""
        self.looked_at = True
        return self.number

    def __getattr__(self, name: str) -> Any:
        return getattr(self.look(), name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.look())


def _looking(name: str) -> Callable[..., Any]:
    def method(self: Index, *others: Any) -> Any:
        return getattr(self.look(), name)(*(other.look() if type(other) is Index else other for other in others))

    return method


for _name in SPECIAL:
    setattr(Index, f"__{_name}__", _looking(f"__{_name}__"))


class Update(NamedTuple):
    """An update of a cache for the module of an Index: what the place held before, and the place."""

    cache: Any
    module: torch.nn.Module
    before: dict[str, Any]
    place: Any


def is_cache(item: Any) -> bool:
    """Whether it is a cache with a place for each layer."""
    library = sys.modules.get("transformers.cache_utils")
    if library is None or not isinstance(item, library.Cache):
        return False
    return "layers" in _state(item) and type(item).update is library.Cache.update


def place_of(cache: Any, number: int) -> Any:
    """A cache's place for a layer, made if the cache makes places as they are asked for."""
    state = _state(cache)
    make, places = state["layer_class_to_replicate"], state["layers"]
    while make is not None and len(places) <= number:
        places.append(make())
    return places[number] if number < len(places) else None


def _state(cache: Any) -> dict[str, Any]:
    """What a cache holds, read past the watch."""
    state: dict[str, Any] = object.__getattribute__(cache, "__dict__")
    return state


def kept(place: Any) -> list[Any]:
    """The keys and values in a place."""
    return [getattr(place, name, None) for name in ("keys", "values")]


def like(cache: Any, each: Callable[[torch.Tensor, str], torch.Tensor]) -> Any:
    """A cache with the same places, and for each tensor in them what the function makes of it and its name."""
    other = copy.copy(cache)
    other.layers = [copy.copy(place) for place in cache.layers]
    for number, place in enumerate(other.layers):
        for name, held in vars(place).items():
            setattr(place, name, _like(held, f"{number}.{name}", each))
    return other


def _like(held: Any, name: str, each: Callable[[torch.Tensor, str], torch.Tensor]) -> Any:
    """What a place holds, with other tensors; one without axes is no state but a setting, and stays."""
    if isinstance(held, torch.Tensor) and held.dim():
        return each(held, name)
    if type(held) is list:
        return [_like(part, f"{name}.{number}", each) for number, part in enumerate(held)]
    if type(held) is dict:
        return {key: _like(part, f"{name}.{key}", each) for key, part in held.items()}
    return held


@contextmanager
def watched(updated: Callable[[Update | None, Any], None], touched: Callable[[], None]) -> Iterator[None]:
    """While this is open, `updated` is told of each update, or None for one that can't be done again, and the place,
    and `touched` of every other use of a cache."""
    library = sys.modules.get("transformers.cache_utils")
    if library is None:
        yield
        return
    kind, original = library.Cache, library.Cache.update
    inside = False

    def update(cache: Any, keys: Any, values: Any, index: Any, *rest: Any, **named: Any) -> Any:
        nonlocal inside
        if not is_cache(cache):
            return original(cache, keys, values, index, *rest, **named)
        inside = True
        try:
            number = index.number if type(index) is Index else index
            place = place_of(cache, number)
            before = dict(getattr(place, "__dict__", {}))
            results = original(cache, keys, values, number, *rest, **named)
        finally:
            inside = False
        again = type(index) is Index and not _state(cache)["offloading"]
        updated(Update(cache, index.module, before, place) if again else None, place)
        return results

    def read(cache: Any, name: str) -> Any:
        known = name == "__class__" or (name == "update" and type(cache).update is update)
        if not (inside or known):
            touched()
        return object.__getattribute__(cache, name)

    kind.update, kind.__getattribute__ = update, read
    try:
        yield
    finally:
        kind.update = original
        del kind.__getattribute__
