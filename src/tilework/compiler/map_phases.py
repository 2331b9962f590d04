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
    `cast_shared` and `cast_left` ones. Of a core of each group `macs` and the bytes of `stores`.
    """

    own: int = 0
    direct: int = 0
    shared: int = 0
    left: int = 0
    cast_shared: int = 0
    cast_left: int = 0
    macs: tuple[int, ...] = ()
    stores: tuple[int, ...] = ()

    def ticks(self, layout: Layout) -> int:
        """From one sync to the next: the longest of what the channel, the ports and a core's computation take."""
        figures, stores = layout.figures, zip(layout.groups, self.stores, strict=False)
        stored = sum(cores * size for cores, size in stores)
        channel = figures.channel * (figures.cores * (self.own + self.direct) + stored)
        channel += figures.mover * figures.clusters * (self.shared + self.left)
        cast = figures.cast * (self.cast_shared + self.cast_left)
        return max(channel, cast, figures.mac * max(self.macs, default=0))


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

    def body(self) -> Block:
        """What comes before the last tile: the first slices' loads, and all other tiles."""
        return block([*self._leads(), *self._tiles()])

    def _leads(self) -> Runs[Phase]:
        layout, first = self.layout, self.layout.tile(0, 0)
        one, two = (self.loads(first, runs[0][1]) for runs in (layout.slices, divided(layout.slices, 1)[1]))
        if not self.figures.shares:
            return [(1, self.phase(one, one, one, self.none, self.none))]
        nothing = Phase()
        return [
            (1, self.phase(nothing, one, nothing, self.none, self.none)),
            (1, self.phase(one, two, one, self.none, self.none)),
        ]

    def _tiles(self) -> Runs[Block]:
        """A block for each part of the outer loop, with one for each tile in it."""
        layout, plan = self.layout, self.layout.plan
        sides = ((layout.own_side, plan.own_parts), (layout.across_side, plan.shared_parts))
        outer, inner = sides if plan.own_outer else sides[::-1]
        blocks = []
        for count, i in alike(*outer):
            places = alike(*inner)[: -1 if i == outer[1] - 1 else None]
            if places:
                blocks.append((count, block([(times, self._steady(i, j, inner[1])) for times, j in places])))
        return blocks

    def _at(self, outer: int, inner: int) -> Tile:
        return self.layout.tile(outer, inner) if self.layout.plan.own_outer else self.layout.tile(inner, outer)

    def _steady(self, i: int, j: int, inner: int) -> Block:
        """The phases of a tile that is not the last."""
        layout, tile = self.layout, self._at(i, j)
        after = self._at(i, j + 1) if j + 1 < inner else self._at(i + 1, 0)
        before = self._at(i, j - 1) if j else self._at(i - 1, inner - 1) if i else None
        early = 2 if self.figures.shares else 1
        loads = self._following(tile, after, early)
        casts = self._following(tile, after, 1)
        macs = mapped(layout.slices, lambda summed: layout.macs(tile.outputs, summed))
        stores = self._stores(before, layout.plan.slices)
        return block(mapped(zipped(casts, loads, casts, macs, *stores), self._of))

    def _following(self, tile: Tile, after: Tile, places: int) -> Runs[Phase]:
        """What comes in each phase of a tile: the slices so many places further, at last those of the next tile."""
        first, rest = divided(self.layout.slices, places)
        own = mapped(rest, lambda summed: self.loads(tile, summed))
        return [*own, *mapped(first, lambda summed: self.loads(after, summed))]

    def loads(self, tile: Tile, summed: int) -> Phase:
        """What a slice of a tile needs, with all that passes on its way."""
        return self._coming(tile, tile.own * summed, tile.across * summed, tile.left * summed)

    def _coming(self, tile: Tile, own: int, shared: int, left: int) -> Phase:
        layout = self.layout
        return Phase(
            own=layout.own(own) if tile.brings_own else 0,
            shared=layout.shared(shared) if tile.brings_shared else 0,
            left=layout.own(left) if tile.brings_own else 0,
            cast_shared=layout.shared(shared) if tile.casts_shared else 0,
            cast_left=layout.own(left) if tile.brings_own else 0,
        )

    def phase(self, own: Phase, loads: Phase, casts: Phase, macs: tuple[int, ...], stores: tuple[int, ...]) -> Phase:
        """A phase in which come: the cores' own of the first, what movers load of the second, what they cast."""
        if not self.figures.shares:
            return Phase(own.own + own.left, own.shared, macs=macs, stores=stores)
        return Phase(own.own, 0, loads.shared, loads.left, casts.cast_shared, casts.cast_left, macs, stores)

    def _of(self, members: tuple[Any, ...]) -> Phase:
        own, loads, casts, macs, *stores = members
        return self.phase(own, loads, casts, macs, tuple(stores))

    def _stores(self, tile: Tile | None, phases: int) -> list[Runs[int]]:
        """For each group the bytes that a core stores in each phase, of a tile's outputs."""
        each = self.layout.problem.output_bytes
        outputs = tile.outputs if tile else self.none
        return [mapped(spread(some, phases), lambda elements: elements * each) for some in outputs]

    def ending(self) -> Block:
        """The last tile: loads that run ahead, then the outputs some at a time, each stored beside the next."""
        layout, plan, tile = self.layout, self.layout.plan, self.layout.last
        phases = layout.phases_of_last
        done, left = divided(layout.slices, phases)
        casts = mapped(zipped(*(layout.coming(size) for size in (tile.own, tile.across, tile.left))), self._pieces)
        loads = [*divided(casts, 1)[1], (1, Phase())] if self.figures.shares else casts
        macs = mapped(done, lambda summed: layout.macs(tile.outputs, summed))
        stores = self._stores(self._before_last(), phases)
        slices = mapped(zipped(casts, loads, casts, macs, *stores), self._of)
        steps = -(-max(tile.outputs) // plan.grain)
        return block([*slices, *self._outputs_one_by_one(tile, steps, total(left))])

    def _pieces(self, sizes: tuple[int, ...]) -> Phase:
        return self._coming(self.layout.last, *sizes)

    def _before_last(self) -> Tile | None:
        plan = self.layout.plan
        own, across = plan.own_parts - 1, plan.shared_parts - 1
        if own == across == 0:
            return None
        if plan.own_outer:
            return self.layout.tile(own, across - 1) if across else self.layout.tile(own - 1, plan.shared_parts - 1)
        return self.layout.tile(own - 1, across) if own else self.layout.tile(plan.own_parts - 1, across - 1)

    def _outputs_one_by_one(self, tile: Tile, steps: int, summed: int) -> Runs[Phase]:
        layout, each = self.layout, self.layout.problem.output_bytes
        pieces = [spread(some, steps) for some in tile.outputs]
        computed = [[*runs, (1, 0)] for runs in pieces]
        stored = [[(1, 0), *runs] for runs in pieces]
        groups = len(pieces)
        return [
            (count, Phase(macs=layout.macs(both[:groups], summed), stores=tuple(each * some for some in both[groups:])))
            for count, both in zipped(*computed, *stored)
        ]
