"""Programs of products are honest: replayed multiply-accumulate by multiply-accumulate, each finds its operands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilework.compiler.map import Mapping, best_mapping, serial_mapping
from tilework.compiler.map_phases import Schedule, block
from tilework.compiler.map_plan import Layout, Plan
from tilework.compiler.map_problem import Figures, Problem
from tilework.compiler.map_text import sections
from tilework.errors import CompileError
from tilework.isa.tile_language import Barrier, Cast, Compute, Loop, Move, Section, Statement, Step, Sync
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine

Element = tuple[str, int, int]  # of the inputs or the weights: line of the side, summed place


def small(name: str, nram: int, wram: int, sram: int = 0) -> Machine:
    """A machine whose memories hold little, so that small products need many tiles."""
    machine = load_machine(name)
    memories = {"nram": replace(machine.nram, capacity_bytes=nram), "wram": replace(machine.wram, capacity_bytes=wram)}
    if machine.sram:
        memories["sram"] = replace(machine.sram, capacity_bytes=sram)  # type: ignore[assignment]
    return replace(machine, **memories)  # type: ignore[arg-type]


def unrolled(statements: Sequence[Statement]) -> Iterator[Step]:
    for statement in statements:
        if isinstance(statement, Loop):
            for _ in range(statement.count):
                yield from unrolled(statement.body)
        else:
            yield statement


def phases(section: Section) -> list[list[Step]]:
    """The steps between two syncs or barriers."""
    found: list[list[Step]] = [[]]
    for step in unrolled(section.body):
        if isinstance(step, Sync | Barrier):
            found.append([])
        else:
            found[-1].append(step)
    return found


def balanced(size: int, parts: int) -> list[range]:
    ends = list(accumulate(size // parts + (part < size % parts) for part in range(parts)))
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


@dataclass
class Replay:
    """What a core has on chip, phase by phase, if elements come and outputs leave in the order that the plan states."""

    problem: Problem
    plan: Plan
    cores: int
    core: int
    serial: bool
    came: dict[Element, int] = field(default_factory=dict)  # when it was last loaded
    used: dict[Element, int] = field(default_factory=dict)
    live: Counter[tuple[str, int]] = field(default_factory=Counter)  # memory and phase: bytes
    sums: Counter[tuple[int, int]] = field(default_factory=Counter)
    began: dict[tuple[int, int], int] = field(default_factory=dict)
    ended: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        by_rows = self.plan.split == "rows"
        self.own, self.shared = ("nram", "wram") if by_rows else ("wram", "nram")
        sides = (self.problem.rows, self.problem.columns) if by_rows else (self.problem.columns, self.problem.rows)
        self.each = sides[0] // self.cores
        self.left = range(self.each * self.cores, sides[0])
        self.own_parts = balanced(self.each, self.plan.own_parts)
        self.shared_parts = balanced(sides[1], self.plan.shared_parts)
        pairs = list(product(range(self.plan.own_parts), range(self.plan.shared_parts)))
        self.tiles = pairs if self.plan.own_outer else sorted(pairs, key=lambda pair: pair[::-1])

    def lines(self, i: int) -> list[int]:
        return [self.core * self.each + line for line in self.own_parts[i]]

    def leftover(self, i: int) -> list[int]:
        return list(self.left) if i == self.plan.own_parts - 1 else []

    def outputs(self, i: int, j: int) -> list[tuple[int, int]]:
        """Of the core, in a tile: of its own lines, and its part of those left over."""
        rest = list(product(self.leftover(i), self.shared_parts[j]))
        part = balanced(len(rest), self.cores)[self.core]
        return [*product(self.lines(i), self.shared_parts[j]), *rest[part.start : part.stop]]

    def coming(self) -> dict[str, Iterator[Element]]:
        """The order in which elements come: the core's own, those left over, the shared ones."""
        places = range(self.problem.summed)
        brings_own = [(i, j) for i, j in self.tiles if j == 0 or not self.plan.keep_own]
        brings_shared = [(i, j) for i, j in self.tiles if i == 0 or self.plan.keep_shared != "core"]
        return {
            "own": iter([(self.own, line, k) for i, _ in brings_own for k in places for line in self.lines(i)]),
            "left": iter([(self.own, line, k) for i, _ in brings_own for k in places for line in self.leftover(i)]),
            "shared": iter(
                [(self.shared, line, k) for _, j in brings_shared for k in places for line in self.shared_parts[j]]
            ),
        }

    def work(self) -> Iterator[tuple[tuple[int, int], int]]:
        """Multiply-accumulates in order: output and summed place."""
        summed, slices = self.problem.summed, balanced(self.problem.summed, self.plan.slices)
        for tile in self.tiles:
            split = summed
            if tile == self.tiles[-1] and not self.serial:
                split = slices[self.plan.slices - self.plan.ending].start
            outputs = self.outputs(*tile)
            yield from ((output, k) for k in range(split) for output in outputs)
            yield from ((output, k) for output in outputs for k in range(split, summed))

    def load(self, element: Element, now: int) -> None:
        self.leave(element)
        self.came[element] = self.used[element] = now

    def leave(self, element: Element) -> None:
        """It takes room from its load to its last use."""
        if element in self.came:
            for phase in range(self.came[element], self.used[element] + 1):
                self.live[element[0], phase] += 4

    def compute(self, output: tuple[int, int], k: int, now: int) -> None:
        for element in ((self.own, output[0], k), (self.shared, output[1], k)):
            assert self.came[element] < now, f"{element} is used in phase {now}"
            self.used[element] = now
        self.sums[output] += 1
        self.began.setdefault(output, now)
        self.ended[output] = now

    def store(self, output: tuple[int, int], now: int) -> None:
        assert self.sums[output] == self.problem.summed, f"{output} is stored before it is complete"
        assert self.ended[output] < now
        for phase in range(self.began[output], now + 1):
            self.live["nram", phase] += 4


def replayed(mapping: Mapping, machine: Machine, core: int, *, serial: bool) -> dict[str, int]:
    """The peaks of a core's memories; asserts that all is there when it is used, and that all is done once."""
    program = mapping.program
    mover = next((phases(section) for section in program if section.role == "mover"), None)
    own = next(s for s in program if s.role == "core" and s.index in (core, None))
    replay = Replay(mapping.problem, mapping.plan, machine.cores, core, serial)
    coming, work = replay.coming(), replay.work()
    leaving = (output for tile in replay.tiles for output in replay.outputs(*tile))
    done = 0
    for now, steps in enumerate(phases(own)):
        casts = [step for step in (mover[now] if mover else []) if isinstance(step, Cast)]
        for step in (*casts, *steps):
            if isinstance(step, Compute):
                done += step.macs
                for _ in range(step.macs):
                    replay.compute(*next(work), now)
                continue
            assert isinstance(step, Move | Cast)
            if step.destination == "dram":
                for _ in range(step.size // 4):
                    replay.store(next(leaving), now)
                continue
            which = "shared" if step.destination == replay.shared else "left" if isinstance(step, Cast) else "own"
            for _ in range(step.size // 4):
                replay.load(next(coming[which]), now)
    assert [list(rest) for rest in (work, leaving, *coming.values())] == [[]] * 5
    for element in list(replay.came):
        replay.leave(element)
    return {
        memory: max((size for (place, _), size in replay.live.items() if place == memory), default=0)
        for memory in ("nram", "wram")
    }


def check_sram(mapping: Mapping) -> None:
    """Nothing is cast that has not been loaded into SRAM in an earlier phase."""
    loaded = cast = before = 0
    if mapping.plan.keep_shared == "sram":
        return  # the same bytes are cast again
    for steps in next(phases(section) for section in mapping.program if section.role == "mover"):
        cast += sum(step.size for step in steps if isinstance(step, Cast))
        assert cast <= before
        loaded += sum(step.size for step in steps if isinstance(step, Move))
        before = loaded
    assert cast == loaded


@cache
def found(
    name: str, sizes: tuple[int, int, int], memories: tuple[int, int, int], serial: bool
) -> tuple[Mapping, Machine]:
    machine = small(name, *memories)
    return (serial_mapping if serial else best_mapping)(Problem(*sizes), machine), machine


SIDES = st.integers(1, 13)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["dlp-s", "dlp-m4"]), st.tuples(SIDES, SIDES, SIDES), st.booleans(), st.data())
def test_programs_are_honest(name: str, sizes: tuple[int, int, int], serial: bool, data: st.DataObject) -> None:
    memories = tuple(data.draw(st.integers(low, 700)) for low in (100, 60, 100))
    try:
        mapping, machine = found(name, sizes, memories, serial)  # type: ignore[arg-type]
    except CompileError:
        assume(False)
    check(mapping, machine, serial=serial)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["dlp-s", "dlp-m4"]), st.tuples(SIDES, SIDES, SIDES), st.data())
def test_any_ending_is_honest(name: str, sizes: tuple[int, int, int], data: st.DataObject) -> None:
    mapping, machine = found(name, sizes, (200, 100, 200), False)
    figures = Figures(machine, "fp32", 1)
    longest = mapping.plan.slices - (2 if figures.shares and mapping.plan.slices > 2 else 1)
    plan = replace(mapping.plan, ending=data.draw(st.integers(1, longest)), grain=data.draw(st.integers(1, 9)))
    layout = Layout(mapping.problem, figures, plan)
    steps = block([*Schedule(layout).body(), *Schedule(layout).ending()])
    machine = small(name, 1 << 20, 1 << 20, 1 << 20)
    check(replace(mapping, plan=plan, program=sections(layout, steps), peak_bytes=layout.occupied()), machine)


def check(mapping: Mapping, machine: Machine, *, serial: bool = False) -> None:
    """Every core's part of a program, and the mover's."""
    working = [section for section in mapping.program if section.role == "core"]
    cores = [0] if working[0].index is None else [section.index for section in working]
    for core in cores:
        assert core is not None
        peaks = replayed(mapping, machine, core, serial=serial)
        assert peaks["nram"] <= mapping.peak_bytes["nram"] <= machine.nram.capacity_bytes
        assert peaks["wram"] <= mapping.peak_bytes["wram"] <= machine.wram.capacity_bytes
    if machine.sram:
        check_sram(mapping)
        assert mapping.peak_bytes["sram"] <= machine.sram.capacity_bytes


@pytest.mark.parametrize("name", ["dlp-s", "dlp-m4"])
def test_small_memories_need_many_tiles(name: str) -> None:
    mapping, _ = found(name, (12, 9, 13), (150, 100, 150), False)
    assert mapping.plan.own_parts * mapping.plan.shared_parts > 2


def test_a_machine_that_is_too_small() -> None:
    with pytest.raises(CompileError) as caught:
        best_mapping(Problem(9, 9, 9), small("dlp-s", 4, 4))
    assert str(caught.value) == "dlp-s must hold a tile of the product on chip, and is too small; take another"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": 0}, "a size must be between 1 and 1,000,000, not 0; take another product"),
        ({"dtype": "fp8"}, "a dtype must be one of fp32, fp16, bf16, int8, not 'fp8'; take one of these"),
        ({"skip": "all"}, "zeros are skipped of none, weights, inputs, both, not of 'all'; take one of these"),
        ({"input_share": 2}, "a share must be above 0 and at most 1, not 2; write it as 0.25 or 1/4"),
    ],
)
def test_mistakes(values: dict[str, object], message: str) -> None:
    with pytest.raises(CompileError) as caught:
        Problem(**{"rows": 1, "summed": 1, "columns": 1, **values})  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_dtype_that_the_machine_lacks() -> None:
    with pytest.raises(CompileError) as caught:
        best_mapping(Problem(9, 9, 9), load_machine("tpu-v1"))
    assert str(caught.value) == "the dtype on tpu-v1 must be int8, not fp32; write --dtype"
