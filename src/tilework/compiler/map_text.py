"""A schedule as a program in the tile language: what each processor does in each phase, with loops for what repeats."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tilework.compiler.map_phases import Block, Phase
from tilework.compiler.map_plan import Layout
from tilework.compiler.map_runs import Runs, joined
from tilework.isa.tile_language import Barrier, Cast, Compute, Loop, Move, Section, Statement, Step, Sync

Steps = Callable[[Phase], tuple[Step, ...]]


def sections(layout: Layout, phases: Block) -> tuple[Section, ...]:
    """The program of all processors. Cores that do the same have one section, if they are all of the chip's."""
    figures, names = layout.figures, _Names(layout)
    bodies = [_statements(phases, partial(names.core, group)) for group in range(len(layout.groups))]
    mover = _statements(phases, names.mover) if layout.shares else ()
    if figures.cores == 1:
        return (Section("core", 0, 0, bodies[0]),)
    if len(bodies) == 1 and figures.whole:
        cores = [Section("core", None, None, bodies[0])]
    else:
        each = [body for body, count in zip(bodies, layout.groups, strict=True) for _ in range(count)]
        there = figures.cores // figures.clusters
        cores = [Section("core", *divmod(core, there), body) for core, body in enumerate(each * figures.lots) if body]
    clusters = [None] if figures.whole else range(figures.clusters * figures.lots)
    return (*(Section("mover", cluster, None, mover) for cluster in clusters if mover), *cores)


class _Names:
    """What of a phase is whose step."""

    def __init__(self, layout: Layout) -> None:
        by_rows = layout.plan.split != "columns"
        self.own, self.shared = ("nram", "wram") if by_rows else ("wram", "nram")
        self.dtype = layout.problem.dtype
        self.stop = Sync() if layout.figures.cores == 1 else Barrier()

    def core(self, group: int, phase: Phase) -> tuple[Step, ...]:
        """Loads, stores and the computation of a core of a group, and the end of the phase."""
        store = phase.stores[group] if phase.stores else 0
        macs = phase.macs[group] if phase.macs else 0
        return (
            *_move("dram", self.own, phase.own),
            *_move("dram", self.shared, phase.direct),
            *_move("dram", "nram", phase.adds[group] if phase.adds else 0),
            *((Compute(self.dtype, macs),) if macs else ()),
            *_move("nram", "dram", store),
            self.stop,
        )

    def mover(self, phase: Phase) -> tuple[Step, ...]:
        """Loads into SRAM, and what is cast from it."""
        casts = ((self.shared, phase.cast_shared), (self.own, phase.cast_left))
        return (
            *_move("dram", "sram", phase.shared),
            *_move("dram", "sram", phase.left),
            *(Cast(memory, size) for memory, size in casts if size),
            self.stop,
        )


def _move(source: str, destination: str, size: int) -> tuple[Step, ...]:
    return (Move(source, destination, size),) if size else ()


def _statements(phases: Block, steps: Steps) -> tuple[Statement, ...]:
    """The steps of a processor in all phases; nobody waits after the last one, unless it is in a loop."""
    *most, (count, last) = phases
    if count == 1 and isinstance(last, Phase):
        return (*_flat(_runs(tuple(most), steps)), *steps(last)[:-1])
    return _flat(_runs(phases, steps))


def _runs(runs: Block, steps: Steps) -> Runs[tuple[Statement, ...]]:
    """Each run's statements, those of equal neighbours joined."""
    members: Runs[tuple[Statement, ...]] = []
    for count, item in runs:
        inner: Runs[tuple[Statement, ...]] = [(1, steps(item))] if isinstance(item, Phase) else _runs(item, steps)
        if len(inner) == 1:
            members.append((count * inner[0][0], inner[0][1]))
        elif count == 1:
            members += inner
        else:
            members.append((count, _flat(inner)))
    return joined(members)


def _flat(runs: Runs[tuple[Statement, ...]]) -> tuple[Statement, ...]:
    return tuple(part for count, body in runs for part in (body if count == 1 else (Loop(count, body),)))
