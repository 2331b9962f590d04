"""The phases of a plan: what is moved and computed between two syncs, and the time that takes, exactly.

While a slice is computed, the next one is loaded, and what the tile before gave is stored, evenly over the tile's
phases. What goes through SRAM is loaded one phase earlier, and goes to the cores while the slice before is computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tilework.compiler.map_plan import Layout, Tile
from tilework.compiler.map_runs import Runs, alike, divided, joined, mapped, spread, total, zipped


class Phase(NamedTuple):
    """Bytes and multiply-accumulates between two syncs.

    Each core loads `own` bytes, and `direct` ones that all cores load. The movers load `shared` and `left` ones, cast
    `cast_shared` and `cast_left` ones. Of a core of each group `macs`, the bytes of `stores`, and of `adds`: what
    pointwise work reads.
    """

    own: int = 0
    direct: int = 0
    shared: int = 0
    left: int = 0
    cast_shared: int = 0
    cast_left: int = 0
    macs: tuple[int, ...] = ()
    stores: tuple[int, ...] = ()
    adds: tuple[int, ...] = ()

    def ticks(self, layout: Layout) -> int:
        """From one sync to the next: the longest of what the channel, the ports and a core's computation take."""
        figures = layout.figures
        by_group = (zip(layout.groups, sizes, strict=False) for sizes in (self.stores, self.adds))
        each = sum(cores * size for sizes in by_group for cores, size in sizes)
        channel = figures.channel * (figures.cores * (self.own + self.direct) + each)
        channel += figures.mover * figures.clusters * (self.shared + self.left)
        cast = figures.cast * (self.cast_shared + self.cast_left)
        return max(channel, cast, figures.mac * max(self.macs, default=0))


Sizes = tuple[int, ...]
Block = tuple[tuple[int, Any], ...]  # runs of phases and of blocks


def block(members: Runs[Any]) -> Block:
    return tuple(joined(members))


def block_ticks(runs: Block, layout: Layout) -> int:
    """The time of all phases together."""
    return sum(
        count * (item.ticks(layout) if isinstance(item, Phase) else block_ticks(item, layout)) for count, item in runs
    )


def block_length(runs: Block) -> int:
    """The number of phases as the program writes them, those in a loop once."""
    return sum(1 if isinstance(item, Phase) else block_length(item) for _, item in runs)


class Schedule:
    """The phases of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.figures = layout, layout.figures
        self.none = (0,) * len(layout.groups)
        self._known: dict[tuple[Tile | None, ...], Block] = {}

    def body(self) -> Block:
        """What comes before the last tile: the first slices' loads, and all other tiles."""
        return block([*self._leads(), *self._tiles()])

    def _leads(self) -> Runs[Phase]:
        layout, first = self.layout, self.layout.tile(0, 0)
        one, two = (self.loads(first, runs[0][1]) for runs in (layout.slices, divided(layout.slices, 1)[1]))
        if not self.layout.shares:
            return [(1, self.phase(one, one, one))]
        nothing = Phase()
        return [
            (1, self.phase(nothing, one, nothing)),
            (1, self.phase(one, two, one)),
        ]

    def _tiles(self) -> Runs[Block]:
        """A block for each group, with one for each part of the outer loop, with one for each tile in it."""
        blocks: Runs[Block] = []
        for count, round_ in alike(self.layout.rounds, self.layout.rounds):
            parts = self._round(round_)
            blocks += [(count, block(parts))] if parts else []
        return blocks

    def _round(self, round_: int) -> Runs[Block]:
        layout, plan = self.layout, self.layout.plan
        sides = ((layout.own_side, plan.own_parts), (layout.shared_side, plan.shared_parts))
        (outer, parts), (inner, places) = sides if plan.own_outer else sides[::-1]
        blocks = []
        for times, runs in outer.runs(parts):
            found: Runs[Block] = []
            for count, i in runs:
                ends = round_ == layout.rounds - 1 and i == parts - 1
                tiles = self._row(round_, i, inner.runs(places), places, ends=ends)
                found += [(count, block(tiles))] if tiles else []
            blocks += [(times, block(found))] if found else []
        return blocks

    def _row(self, round_: int, i: int, runs: Runs[Runs[int]], places: int, *, ends: bool) -> Runs[Block]:
        """The tiles of a part of the outer loop, without the very last one."""
        blocks = []
        for times, inner in runs:
            tiles = [(count, self._steady(round_, i, j)) for count, j in inner if not (ends and j == places - 1)]
            blocks += [(times, block(tiles))] if tiles else []
        return blocks

    def _at(self, outer: int, inner: int) -> Tile:
        return self.layout.tile(outer, inner) if self.layout.plan.own_outer else self.layout.tile(inner, outer)

    def _beside(self, round_: int, i: int, j: int, step: int) -> Tile | None:
        """The tile that comes after or before one; None before the first and after the last."""
        plan = self.layout.plan
        outer, inner = (plan.own_parts, plan.shared_parts)[:: 1 if plan.own_outer else -1]
        number = (round_ * outer + i) * inner + j + step
        if not 0 <= number < self.layout.rounds * outer * inner:
            return None
        return self._at(number // inner % outer, number % inner)

    def _steady(self, round_: int, i: int, j: int) -> Block:
        """The phases of a tile that is not the last."""
        tiles = self._beside(round_, i, j, -1), self._at(i, j), self._beside(round_, i, j, 1)
        if tiles not in self._known:
            self._known[tiles] = self._phases(*tiles)
        return self._known[tiles]

    def _phases(self, before: Tile | None, tile: Tile, after: Tile | None) -> Block:
        layout = self.layout
        assert after is not None
        early = 2 if layout.shares else 1
        loads = self._following(tile, after, early)
        casts = self._following(tile, after, 1)
        macs = mapped(layout.places, lambda places: layout.macs(tile.outputs, places))
        stores = self._stores(before, layout.plan.slices)
        adds = self._adds(tile, layout.plan.slices, first=before is None)
        return block(mapped(zipped(casts, loads, casts, macs, *stores, *adds), self._of))

    def _following(self, tile: Tile, after: Tile, places: int) -> Runs[Phase]:
        """What comes in each phase of a tile: the slices so many places further, at last those of the next tile."""
        if self.layout.whole:
            pieces = (after.own, after.shared, after.cast, after.left)
            return mapped(zipped(*(spread(size, self.layout.plan.slices) for size in pieces)), self._coming)
        first, rest = divided(self.layout.slices, places)
        own = mapped(rest, lambda summed: self.loads(tile, summed))
        return [*own, *mapped(first, lambda summed: self.loads(after, summed))]

    def loads(self, tile: Tile, summed: int) -> Phase:
        """What a slice of a tile needs, with all that passes on its way."""
        return self._coming((tile.own * summed, tile.shared * summed, tile.cast * summed, tile.left * summed))

    def _coming(self, elements: tuple[int, ...]) -> Phase:
        own, shared, cast, left = elements
        layout = self.layout
        return Phase(
            own=layout.own(own),
            shared=layout.shared(shared),
            left=layout.own(left),
            cast_shared=layout.shared(cast),
            cast_left=layout.own(left),
        )

    def phase(
        self, own: Phase, loads: Phase, casts: Phase, macs: Sizes = (), stores: Sizes = (), adds: Sizes = ()
    ) -> Phase:
        """A phase in which come: the cores' own of the first, what movers load of the second, what they cast."""
        if not self.layout.shares:
            return Phase(own.own + own.left, own.shared, macs=macs, stores=stores, adds=adds)
        return Phase(own.own, 0, loads.shared, loads.left, casts.cast_shared, casts.cast_left, macs, stores, adds)

    def _of(self, members: tuple[Any, ...]) -> Phase:
        own, loads, casts, macs, *rest = members
        groups = len(self.none)
        return self.phase(own, loads, casts, macs, tuple(rest[:groups]), tuple(rest[groups:]))

    def _stores(self, tile: Tile | None, phases: int) -> list[Runs[int]]:
        """For each group the bytes that a core stores in each phase, of a tile's outputs."""
        each = self.layout.problem.output_bytes
        outputs = tile.outputs if tile else self.none
        return [mapped(spread(some, phases), lambda elements: elements * each) for some in outputs]

    def _adds(self, tile: Tile, phases: int, *, first: bool) -> list[Runs[int]]:
        """The same of what pointwise work reads for a tile; with the first one comes what is read once."""
        each, once = self.layout.problem.added_bytes, self.layout.fixed if first else 0
        return [spread(some * each + once, phases) for some in tile.outputs]

    def ending(self) -> Block:
        """The last tile: loads that run ahead, then the outputs some at a time, each stored beside the next."""
        layout, plan, tile = self.layout, self.layout.plan, self.layout.last
        phases = layout.phases_of_last
        done, left = divided(layout.places, phases)
        pieces = (tile.own, tile.shared, tile.cast, tile.left)
        casts = mapped(zipped(*(layout.coming(size) for size in pieces)), self._coming)
        loads = [*divided(casts, 1)[1], (1, Phase())] if self.layout.shares else casts
        macs = mapped(done, lambda places: layout.macs(tile.outputs, places))
        before = self._beside(layout.rounds - 1, *self._last, -1)
        stores, adds = self._stores(before, phases), self._adds(tile, phases, first=before is None)
        slices = mapped(zipped(casts, loads, casts, macs, *stores, *adds), self._of)
        steps = -(-max(tile.outputs) // plan.grain)
        return block([*slices, *self._outputs_one_by_one(tile, steps, total(left))])

    @property
    def _last(self) -> tuple[int, int]:
        plan = self.layout.plan
        own, across = plan.own_parts - 1, plan.shared_parts - 1
        return (own, across) if plan.own_outer else (across, own)

    def _outputs_one_by_one(self, tile: Tile, steps: int, places: int) -> Runs[Phase]:
        layout, each = self.layout, self.layout.problem.output_bytes
        pieces = [spread(some, steps) for some in tile.outputs]
        computed = [[*runs, (1, 0)] for runs in pieces]
        stored = [[(1, 0), *runs] for runs in pieces]
        groups = len(pieces)
        return [
            (count, Phase(macs=layout.macs(both[:groups], places), stores=tuple(each * some for some in both[groups:])))
            for count, both in zipped(*computed, *stored)
        ]
