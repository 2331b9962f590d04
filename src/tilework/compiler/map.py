"""The best program that is found for a product of matrices, or a layer, on a machine: docs/mapping.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from tilework.compiler.map_phases import Block, Schedule, block, block_length, block_ticks
from tilework.compiler.map_plan import Layout, Plan
from tilework.compiler.map_problem import Figures, Problem, whole
from tilework.compiler.map_runs import divided, total
from tilework.compiler.map_serial import serial_phases
from tilework.compiler.map_space import TOLERANCE, space
from tilework.compiler.map_text import sections
from tilework.errors import CompileError
from tilework.isa.tile_language import Section
from tilework.machine.machine import Machine

_TIMED = 40  # plans, those whose estimates are best
_GRAINS = (64, 16, 4)
_LITTLE = 10_000  # a store takes little time if it is no more than such a part of the bound


@dataclass(frozen=True)
class Mapping:
    """A product's program, its time in cycles beside the bound, and the bytes that it takes of each memory.

    The last tile's last `last_places` of each sum are computed some outputs at a time. `considered` plans were
    estimated, and of the best the time of `timed` programs computed. The groups of a layer are done in `lots`, each by
    clusters of its own.
    """

    problem: Problem
    plan: Plan
    program: tuple[Section, ...]
    cycles: Fraction
    bound_cycles: Fraction
    peak_bytes: dict[str, int]
    last_places: int
    considered: int = 1
    timed: int = 1
    lots: int = 1


def best_mapping(problem: Problem, machine: Machine, *others: Problem) -> Mapping:
    """Of the programs that are timed the fastest, or one that is hardly slower but moves less, or is shorter.

    `others` are other views of the same layer, in which it may be cut instead. Raises CompileError if the machine lacks
    the dtype, or if not even the smallest tiles fit.
    """
    divisions = list(_divisions(machine, problem.groups))
    timed: list[_Timed] = []
    considered = 0
    for division, view in product(divisions, (problem, *others)):
        figures = Figures(machine, problem.dtype, *division)
        found = space(view, figures, serial=False, limit=_TIMED // len(divisions))
        considered += found.considered
        timed += [candidate for plan in found.plans for candidate in _endings(view, figures, plan)]
    _check(timed, machine)
    least = min(candidate.ticks for candidate in timed)
    near = [candidate for candidate in timed if candidate.ticks <= least * (1 + TOLERANCE)]
    best = min(near, key=lambda candidate: (candidate.moved, candidate.length, candidate.ticks))
    schedule = Schedule(best.layout)
    phases = block([*schedule.body(), *schedule.ending()])
    return _mapping(best.layout, phases, considered, len(timed))


def _divisions(machine: Machine, groups: int) -> Iterator[tuple[int, int]]:
    """How many clusters there may work, and in how many lots, each of which does as many groups by itself."""
    counts = sorted({machine.clusters // (1 << power) for power in range(machine.clusters.bit_length())})
    for clusters in counts:
        lots = range(1, clusters + 1 if machine.cores > 1 else 2)
        yield from ((clusters, each) for each in lots if clusters % each == groups % each == 0)


def serial_mapping(problem: Problem, machine: Machine, *others: Problem) -> Mapping:
    """The program that does one thing after the other, with the least transfers, of the first view that fits.

    Raises as `best_mapping` does.
    """
    figures = Figures(machine, problem.dtype, machine.clusters)
    views = ((view, space(view, figures, serial=True, limit=1)) for view in (problem, *others))
    fitting = next(((view, found) for view, found in views if found.plans), None)
    _check(fitting or (), machine)
    assert fitting
    view, found = fitting
    layout = Layout(view, figures, found.plans[0], serial=True)
    return _mapping(layout, serial_phases(layout), found.considered, 1)


def _mapping(layout: Layout, phases: Block, considered: int, timed: int) -> Mapping:
    figures, problem = layout.figures, layout.problem
    cycles = Fraction(block_ticks(phases, layout), figures.cycle)
    bound = figures.bound(problem) / figures.cycle
    last = total(divided(layout.places, layout.phases_of_last)[1])
    program, peak = sections(layout, phases), layout.occupied()
    return Mapping(problem, layout.plan, program, cycles, bound, peak, last, considered, timed, figures.lots)


def _check(found: Sequence[object], machine: Machine) -> None:
    if not found:
        raise CompileError(f"{machine.name} must hold a tile of the product on chip, and is too small; take another")


class _Timed(NamedTuple):
    """A layout with its time, what it loads, in tenths of the bound, and the length of its program."""

    ticks: int
    moved: int
    length: int
    layout: Layout


def _endings(problem: Problem, figures: Figures, plan: Plan) -> Iterator[_Timed]:
    """A plan with each of the endings that fit."""
    first = Layout(problem, figures, plan)
    body = Schedule(first).body()
    ticks, length = block_ticks(body, first), block_length(body)
    moved = round(10 * first.loads() / figures.bound(problem))
    for ending in _ending_lengths(first):
        layout = Layout(problem, figures, replace(plan, ending=ending, grain=_grain(first)))
        if layout.fits():
            last = Schedule(layout).ending()
            yield _Timed(ticks + block_ticks(last, layout), moved, length + block_length(last), layout)


def _ending_lengths(layout: Layout) -> list[int]:
    """Slices that are left for the ending: powers of two, and about as many as hide the last tile's stores."""
    problem, figures, plan = layout.problem, layout.figures, layout.plan
    most = plan.slices - (2 if layout.shares and plan.slices > 2 else 1)
    store = figures.channel * figures.cores * problem.output_bytes
    level = whole(store * plan.slices / (figures.mac * problem.work * problem.summed))
    near = {level - 1, level, level + 1, level + level // 8, 3 * level // 4, 3 * level // 2}
    return sorted({min(most, max(1, length)) for length in near | {1 << power for power in range(11)}})


def _grain(layout: Layout) -> int:
    """Outputs of each core in a step of the ending: as many as take little time to store, a whole line at most."""
    figures, problem = layout.figures, layout.problem
    each = figures.channel * figures.cores * problem.output_bytes * _LITTLE
    lines = layout.shared_side.part(layout.plan.shared_parts, layout.plan.shared_parts - 1).lines
    line, bound = lines * layout.width, figures.bound(problem)
    return next((grain for grain in (line, *_GRAINS) if grain <= line and grain * each <= bound), 1)
