"""A student's own program for an exercise: is it right, how fast is it, and what would help it most."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tilework.checking.hint import Loads, hint
from tilework.checking.work import Done, work_done, wrong_amounts, wrong_dtypes
from tilework.errors import SimulationError
from tilework.isa.tile_language import Section, parse_tiles
from tilework.machine.load import load_machine
from tilework.mapping import Assignment, MappedProduct
from tilework.plain import quantity
from tilework.simulator.tile_progress import Reuse, impossible
from tilework.simulator.tile_steps import Chip
from tilework.simulator.tile_time import TileTime, simulate_tiles
from tilework.simulator.tile_waits import Peak, Waits, peaks, waits

MAX_ROUNDS = 30_000  # of loops, where order and waits are looked at


@dataclass(frozen=True)
class Checked:
    """What `check_program` found; without mistakes the program is right. A time is there if the program runs."""

    number: str
    assignment: Assignment
    skip: str
    best: MappedProduct
    mistakes: tuple[str, ...]
    work: dict[str, Done]
    peaks: dict[str, Peak]
    time: TileTime | None
    hint: str | None

    @property
    def right(self) -> bool:
        return not self.mistakes

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework exercise NUMBER --mine FILE --json`; times in seconds and cycles, sizes in bytes."""
        best, time = self.best, self.time
        return {
            "number": self.number,
            "machine": self.assignment.machine,
            "skip": self.skip,
            "right": self.right,
            "mistakes": list(self.mistakes),
            "work": {
                name: {"done": part.done, "wanted": part.wanted, "times": part.times}
                for name, part in self.work.items()
            },
            "peaks": {
                memory: {"bytes": peak.size, "capacity_bytes": best.capacities[memory], "line": peak.line or None}
                for memory, peak in self.peaks.items()
            },
            "seconds": float(time.seconds) if time else None,
            "cycles": float(time.cycles) if time else None,
            "bound_seconds": float(self.bound / Fraction(best.machine.clock_hz)),
            "bound_cycles": float(self.bound),
            "found_seconds": float(best.time.seconds),
            "found_cycles": float(best.time.cycles),
            "achieved_over_bound": float(time.cycles / self.bound) if time else None,
            "achieved_over_found": float(time.cycles / best.time.cycles) if time else None,
            "units": time.units if time else None,
            "hint": self.hint,
        }

    @property
    def bound(self) -> Fraction:
        """Cycles that no program for the exercise can beat."""
        return self.best.found.bound_cycles

    def __str__(self) -> str:
        verdict = "right" if self.right else "wrong"
        skipping = f", zeros skipped: {self.skip}" if len(self.assignment.skips) > 1 else ""
        lines = [f"exercise {self.number} on {self.assignment.machine}{skipping}: {verdict}"]
        lines += [f"  {mistake}" for mistake in self.mistakes]
        lines += [
            "",
            *(f"{part.what:<17} {part}" for part in self.work.values()),
        ]
        room = (f"{memory} {peak.size:,} of {self.best.capacities[memory]:,}" for memory, peak in self.peaks.items())
        lines.append(f"{'moved at once':<17} {' · '.join(room)} bytes")
        return "\n".join([*lines, *self._times()])

    def _times(self) -> list[str]:
        if self.time is None:
            return []
        found, bound, cycles = self.best.time.cycles, self.bound, self.time.cycles
        text = str(self.time).splitlines()
        busy = text[next(n for n, line in enumerate(text) if line.startswith("busy")) : -2]
        rows = [
            f"{'time':<17} {quantity(float(self.time.seconds), 's')}, {float(cycles):,.6g} cycles",
            f"{'bound':<17} {float(bound):,.6g} cycles, time / bound {float(cycles / bound):.4f}",
            f"{'best found':<17} {float(found):,.6g} cycles, time / best {float(cycles / found):.4f}",
            *busy,
        ]
        return [*rows, "", f"hint: {self.hint}"] if self.hint else rows


def check_program(number: str, assignment: Assignment, text: str) -> Checked:
    """A program in the tile language, as an answer to an exercise whose work is `assignment`.

    Raises AssemblyError, which names the line, for a text that is no program, and SimulationError for one that names
    what the machine lacks.
    """
    program, chip = parse_tiles(text), Chip(load_machine(assignment.machine))
    works = [chip.works(processor.body) for processor in chip.processors(program)]
    skip = _skip(assignment, sum(work.macs for work in works))
    best = assignment.mapped(skip)
    done = work_done(program, best)
    mistakes = [*wrong_amounts(done, sum(work.bytes_in for work in works)), *wrong_dtypes(program)]
    try:
        time, found = simulate_tiles(program, best.machine), peaks(program, best.machine)
    except SimulationError as error:
        return Checked(number, assignment, skip, best, (*mistakes, str(error)), done, {}, None, None)
    order, waiting = _order(program, best)
    mistakes, advice = mistakes or order, None
    if not mistakes:
        macs = [
            work.macs for processor, work in zip(chip.processors(program), works, strict=True) if processor.index >= 0
        ]
        loads = [Loads("input", done["inputs"].times, "nram"), Loads("weight", done["weights"].times, "wram")]
        advice = hint(time, best.found.bound_cycles, waiting, loads, macs, chip.machine.cores * chip.machine.clusters)
    return Checked(number, assignment, skip, best, tuple(mistakes), done, found, time, advice)


def _skip(assignment: Assignment, macs: int) -> str:
    """Whose zeros the program seems to skip: those that leave about as many multiply-accumulates as it does."""
    return min(assignment.skips, key=lambda skip: abs(assignment.problem(skip).macs - macs))


def _order(program: tuple[Section, ...], best: MappedProduct) -> tuple[list[str], Waits | None]:
    """What comes too early or is gone too soon, and what the units wait for; neither if loops repeat too often."""
    problem = best.found.problem
    each = problem.done * problem.columns / problem.input_bytes, problem.done * problem.rows / problem.weight_bytes
    reuse = Reuse(*each, problem.done * problem.summed / problem.output_bytes)
    try:
        wrong = impossible(program, best.machine, reuse, MAX_ROUNDS)
        return wrong, waits(program, best.machine, MAX_ROUNDS)
    except SimulationError:
        return [], None
