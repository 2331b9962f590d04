"""How one operation is divided among devices that work on it together (tensor parallelism), read off its nests.

Splitting a loop splits every tensor on the axis that the loop indexes, and leaves whole what it doesn't index. Where
the output lacks the loop, each device has a part of the sum: these are added up by an all-reduce. So the two kinds of
linear layers of M. Shoeybi et al., Megatron-LM (arXiv:1909.08053) are one nest, o[n,k] += x[n,c] * w[k,c], with k split
or with c split, and heads stay split through a softmax because no nest of it sums over them.

Devices may store a weight in any order of its rows and columns: a part of a split axis (the queries of a projection
that makes queries, keys and values) counts as split itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from typing import Any

from tilework.network.nest import CONTRACTION, Access, Affine, Nest
from tilework.network.operations import OPERATIONS, Expansion, Shape, expand

WHOLE, SPLIT, FREE, FREE_WEIGHT = "whole", "split", "free", "free weight"
LOOKUP = ("what", "embedding")

Attributes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class State:
    """Where a tensor is: whole on each device, split on an axis, or free: of a source that no node has placed yet."""

    kind: str = WHOLE
    axis: int = -1


@dataclass(frozen=True)
class Division:
    """What each device does of an operation.

    `gathered` are the inputs, by place, that must be made whole first; `axes` those on which inputs are split then, or
    None. `shares` are the parts of the inputs that a device reads, `written` that of the output, which is split on
    `axis` or whole (None). `reduced` are the elements of each all-reduce; `partial` the inputs that are read
    whole under a split loop: their gradients are sums over devices. `macs` are a device's, `loops` those that
    are split.
    """

    axes: tuple[int | None, ...]
    shares: tuple[float, ...]
    axis: int | None = None
    written: float = 1.0
    macs: float = 0.0
    loops: tuple[str, ...] = ()
    reduced: tuple[int, ...] = ()
    gathered: tuple[int, ...] = ()
    partial: tuple[int, ...] = ()


@lru_cache(maxsize=8192)
def divide(
    operation: str, shapes: tuple[Shape, ...], attributes: Attributes, states: tuple[State, ...], ways: int
) -> Division:
    """The division of an operation among `ways` devices that keeps as much split as its nests allow.

    Where inputs are split on axes that don't go together, the smallest is made whole. Where none is split, a loop
    over a weight's own axis is, if `ways` divides one.
    """
    expansion = expand(operation, shapes, attributes)
    if expansion.work is not None:
        return _on_host(attributes, shapes, states, ways)
    gathered: tuple[int, ...] = ()
    while (found := _together(operation, expansion, shapes, states, ways)) is None:
        place = min((prod(shapes[i]), i) for i, state in enumerate(states) if state.kind == SPLIT)[1]
        gathered = (*gathered, place)
        states = (*states[:place], State(), *states[place + 1 :])
    return replace(found, gathered=gathered)


def _on_host(attributes: Attributes, shapes: Sequence[Shape], states: Sequence[State], ways: int) -> Division:
    """A lookup in a table whose rows are split adds up what the devices find; all else runs on whole tensors."""
    split = [i for i, state in enumerate(states) if state.kind == SPLIT and not _is_table(i, attributes, state)]
    axes: list[int | None] = [None] * len(shapes)
    shares = [1.0] * len(shapes)
    if LOOKUP in attributes and len(shapes) > 1 and shapes[1][0] % ways == 0 and states[1].kind != WHOLE:
        output = dict(attributes).get("shape", ())
        axes[1], shares[1] = 0, 1 / ways
        return Division(
            tuple(axes), tuple(shares), None, loops=("rows",), reduced=(prod(output),), gathered=tuple(split)
        )
    return Division(tuple(axes), tuple(shares), gathered=tuple(split))


def _is_table(place: int, attributes: Attributes, state: State) -> bool:
    return place == 1 and LOOKUP in attributes and state.axis == 0


def _together(
    operation: str, expansion: Expansion, shapes: Sequence[Shape], states: Sequence[State], ways: int
) -> Division | None:
    """The division with every split input left so; None where the nests don't allow it."""
    if expansion.is_alias:
        return _renamed(expansion, shapes, states, ways)
    names = OPERATIONS[operation].placeholders(len(shapes))
    work = _Work(expansion.nests, dict(zip(names, states, strict=True)), ways)
    if not any(state.kind == SPLIT for state in states) and not (work.begin() and work.spread()):
        return _all_whole(expansion, states)
    return (
        work.division(names, {**dict(zip(names, shapes, strict=True)), **_made(expansion)}) if work.spread() else None
    )


def _made(expansion: Expansion) -> dict[str, Shape]:
    return {"o": expansion.shape, **dict(expansion.temporaries)}


def _all_whole(expansion: Expansion, states: Sequence[State]) -> Division:
    macs = float(sum(nest.iterations for nest in expansion.nests if nest.kind == CONTRACTION))
    return Division((None,) * len(states), (1.0,) * len(states), macs=macs)


def _renamed(expansion: Expansion, shapes: Sequence[Shape], states: Sequence[State], ways: int) -> Division | None:
    if not states or states[0].kind != SPLIT:
        return Division((None,) * len(states), (1.0,) * len(states))
    axis = reshaped_axis(shapes[0], expansion.shape, states[0].axis, ways)
    if axis is None:
        return None
    return Division((states[0].axis,), (1 / ways,), axis, 1 / ways)


def reshaped_axis(old: Shape, new: Shape, axis: int, ways: int) -> int | None:
    """The axis on which a split tensor is split in another shape; None where that isn't one axis.

    It is the axis with as many elements before it as the old one, or, where `ways` doesn't divide that, one after it
    that the old axis was made of.
    """
    before = prod(old[:axis])
    for place, size in enumerate(new):
        first = prod(new[:place])
        if size > 1 and size % ways == 0 and first >= before:
            within = first == before or (
                first * size <= before * old[axis] and old[axis] * before % (first * size) == 0
            )
            return place if within and _starts(new, before) else None
    return None


def _starts(shape: Shape, before: int) -> bool:
    return any(prod(shape[:place]) == before for place in range(len(shape)))


@dataclass
class _Work:
    """The nests of an operation while loops to split are found for them, one after another, until nothing changes."""

    nests: tuple[Nest, ...]
    states: dict[str, State]
    ways: int
    loops: dict[int, str] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    reduced: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {name: state.axis for name, state in self.states.items() if state.kind == SPLIT}

    def begin(self) -> bool:
        """Split the first contraction with a free weight over an axis of that; whether there is one."""
        for place, nest in enumerate(self.nests):
            if nest.kind == CONTRACTION and (loop := self._own_loop(nest)):
                return self._take(place, loop)
        return False

    def _own_loop(self, nest: Nest) -> str | None:
        """A loop of the output over an axis of a free weight; rather one that the other operand lacks."""
        free = [access for access in nest.reads if self._state(access).kind == FREE_WEIGHT]
        outer = nest.output.loops()
        found = [
            (sum(loop in access.loops() for access in nest.reads), place, loop)
            for access in free
            for place, index in enumerate(access.index)
            if (loop := split_loop(index, nest.extents, self.ways)) in outer and loop
        ]
        return min(found)[2] if found else None

    def _state(self, access: Access) -> State:
        return self.states.get(access.tensor, State())

    def _is_whole(self, access: Access) -> bool:
        return access.tensor in self.states and self._state(access).kind == WHOLE

    def spread(self) -> bool:
        """Split each nest that meets a split tensor; whether all go together."""
        changed = True
        while changed:
            changed = False
            for place, nest in enumerate(self.nests):
                if place in self.loops:
                    continue
                wanted = {self._wanted(access, nest) for access in (*nest.reads, nest.output)} - {""}
                if len(wanted) > 1 or None in wanted:
                    return False
                for loop in wanted:
                    changed = True
                    if loop is None or not self._take(place, loop):
                        return False
        return True

    def _wanted(self, access: Access, nest: Nest) -> str | None:
        """The loop that must be split for an access; "" for none, None for one that can't be."""
        axis = self.known.get(access.tensor)
        return "" if axis is None else split_loop(access.index[axis], nest.extents, self.ways)

    def _take(self, place: int, loop: str) -> bool:
        nest = self.nests[place]
        for access in (*nest.reads, nest.output):
            axes = [i for i, index in enumerate(access.index) if index.coefficient(loop)]
            if len(axes) > 1 or any(split_loop(access.index[i], nest.extents, self.ways) != loop for i in axes):
                return False
            if access.tensor in self.reduced or self._is_whole(access):
                continue  # it may be read in part
            if axes and self.known.setdefault(access.tensor, axes[0]) != axes[0]:
                return False
            if not axes and access.tensor in self.known:
                return False
        if loop not in nest.output.loops():
            if nest.kind != CONTRACTION:
                return False  # rather make whole what a normalisation sums over than wait for every sum
            self.reduced[nest.output.tensor] = place
        self.loops[place] = loop
        return True

    def division(self, names: Sequence[str], shapes: Mapping[str, Shape]) -> Division:
        """What was found, for each device."""
        axes = tuple(self.known[n] if self.states[n].kind != WHOLE and n in self.known else None for n in names)
        partial = [
            i for i, name in enumerate(names) if any(loop not in a.loops() for loop, a in self._split_reads(name))
        ]
        contractions = [(i, nest.iterations) for i, nest in enumerate(self.nests) if nest.kind == CONTRACTION]
        return Division(
            axes,
            tuple(self._share(name) for name in names),
            self.known.get("o"),
            1 / self.ways if "o" in self.known else 1.0,
            sum(n / self.ways if i in self.loops else n for i, n in contractions),
            tuple(dict.fromkeys(self.loops[i] for i in sorted(self.loops))),
            tuple(prod(shapes[name]) for name in self.reduced),
            partial=tuple(partial),
        )

    def _split_reads(self, name: str) -> Iterator[tuple[str, Access]]:
        for place, loop in self.loops.items():
            yield from ((loop, access) for access in self.nests[place].reads if access.tensor == name)

    def _share(self, name: str) -> float:
        """The part of a tensor that a device reads: all of it, where one of its reads isn't of the split loop."""
        reads = [(i, a) for i, nest in enumerate(self.nests) for a in nest.reads if a.tensor == name]
        return 1 / self.ways if reads and all(self.loops.get(i) in a.loops() for i, a in reads) else 1.0


def split_loop(index: Affine, extents: Mapping[str, int], ways: int) -> str | None:
    """The outermost loop of an axis that can run in `ways` equal parts; None where there is none.

    Of an index such as C*g+c it is g, or c where `ways` doesn't divide g; windows that overlap have none.
    """
    step = 1
    inner = sorted(((c, name) for name, c in index.terms if extents[name] > 1), key=lambda term: term[0])
    for c, name in inner:
        if c < step:
            return None
        step = c * extents[name]
    return next((name for _, name in reversed(inner) if extents[name] % ways == 0), None)
