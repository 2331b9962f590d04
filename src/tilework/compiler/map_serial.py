"""The phases of a program that does one thing after the other: load, cast, compute, store."""

from __future__ import annotations

from typing import Any

from tilework.compiler.map_phases import Block, Phase, Schedule, block
from tilework.compiler.map_plan import Layout, Tile
from tilework.compiler.map_runs import Runs, alike


def serial_phases(layout: Layout) -> Block:
    """A phase for each thing, of each slice and each tile."""
    plan = layout.plan
    own, across = alike(layout.own_side, plan.own_parts), alike(layout.across_side, plan.shared_parts)
    if plan.own_outer:
        return block([(m, block([(n, _tile(layout, layout.tile(i, j))) for n, j in across])) for m, i in own])
    return block([(n, block([(m, _tile(layout, layout.tile(i, j))) for m, i in own])) for n, j in across])


def _tile(layout: Layout, tile: Tile) -> Block:
    each = layout.problem.output_bytes
    slices: Runs[Any] = [(count, _slice(layout, tile, summed)) for count, summed in layout.slices]
    return block([*slices, (1, Phase(stores=tuple(some * each for some in tile.outputs)))])


def _slice(layout: Layout, tile: Tile, summed: int) -> Block:
    schedule, nothing = Schedule(layout), Phase()
    everything = schedule.loads(tile, summed)
    loads = schedule.phase(everything, everything, nothing, (), ())
    casts = schedule.phase(nothing, nothing, everything, (), ())
    computation = Phase(macs=layout.macs(tile.outputs, summed))
    return block([(1, phase) for phase in (loads, casts, computation) if any(phase[:6]) or phase.macs])
