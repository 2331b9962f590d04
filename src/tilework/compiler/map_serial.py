"""The phases of a program that does one thing after the other: load, cast, compute, store."""

from __future__ import annotations

from typing import Any

from tilework.compiler.map_phases import Block, Phase, Schedule, block
from tilework.compiler.map_plan import Layout, Tile
from tilework.compiler.map_runs import Runs, zipped


def serial_phases(layout: Layout) -> Block:
    """A phase for each thing, of each slice and each tile."""
    plan = layout.plan
    own, across = layout.own_side.runs(plan.own_parts), layout.shared_side.runs(plan.shared_parts)

    def tile(i: int, j: int) -> Block:
        return _tile(layout, layout.tile(i, j) if plan.own_outer else layout.tile(j, i))

    def part(i: int) -> Block:
        inner = across if plan.own_outer else own
        return block([(n, block([(m, tile(i, j)) for m, j in runs])) for n, runs in inner])

    outer = own if plan.own_outer else across
    product = block([(n, block([(m, part(i)) for m, i in runs])) for n, runs in outer])
    once = [(1, Phase(adds=(layout.fixed,) * len(layout.groups)))] if layout.fixed else []
    return block([*once, (layout.rounds, product)])


def _tile(layout: Layout, tile: Tile) -> Block:
    each, added = layout.problem.output_bytes, layout.problem.added_bytes
    adds = [(1, Phase(adds=tuple(some * added for some in tile.outputs)))] if added else []
    both = zipped(layout.slices, layout.places)
    slices: Runs[Any] = [(count, _slice(layout, tile, summed, places)) for count, (summed, places) in both]
    return block([*slices, *adds, (1, Phase(stores=tuple(some * each for some in tile.outputs)))])


def _slice(layout: Layout, tile: Tile, summed: int, places: int) -> Block:
    schedule, nothing = Schedule(layout), Phase()
    everything = schedule.loads(tile, summed)
    loads = schedule.phase(everything, everything, nothing)
    casts = schedule.phase(nothing, nothing, everything)
    computation = Phase(macs=layout.macs(tile.outputs, places))
    return block([(1, phase) for phase in (loads, casts, computation) if any(phase[:6]) or phase.macs])
