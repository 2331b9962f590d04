"""A matrix product on one core of an MLU, written in three ways: element by element, on chip, with vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from tilework.isa.assembly import parse_text
from tilework.isa.program import Port, Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate
from tilework.validation.case import Case

NAME = "mlu"
TITLE = "MLU: a matrix product in three steps"
ABOUT = """A course's exercise on a card of Cambricon's line: 128 × 256 by 256 × 128 on one core at 1 GHz, first
element by element from DRAM, then with operands on chip, then with vector instructions. Its code isn't public, so ours
are the shortest programs of that kind in our instruction set, on one core of `mlu-class`, whose DRAM latency and vector
lanes are chosen, not the card's. What can be compared is how much each step brings."""
SOURCE = "public articles on kernels in BANG C for the MLU370: a course's matrix-product ladder"
SIZES = (128, 256, 128)  # rows, products in a sum, columns


@dataclass(frozen=True)
class Step:
    """How its program is written, the milliseconds that the card takes, and why ours differ."""

    name: str
    text: Callable[[int, int, int], str]
    milliseconds: float
    reason: str


def elements(rows: int, summed: int, columns: int) -> str:
    """Both operands of each product come from DRAM, the sum stays on chip."""
    b, c = _places(rows, summed, columns)
    return f"""
loop {rows}
  loop {columns}
    fill <1> nram 8 {{4}} = #0
    loop {summed}
      load <1> nram 0 {{4}} = dram 0+{4 * summed}*i0+4*i2 {{4}}
      load <1> nram 4 {{4}} = dram {b}+4*i1+{4 * columns}*i2 {{4}}
      sync
      rdot <1> nram 8 {{0}} += nram 0 {{4}}, nram 4 {{4}}
      sync
    endloop
    store <1> dram {c}+{4 * columns}*i0+4*i1 {{4}} = nram 8 {{4}}
    sync
  endloop
endloop
end
"""


def on_chip(rows: int, summed: int, columns: int) -> str:
    """Everything is loaded first; then an instruction for each product."""
    b, c = _places(rows, summed, columns)
    place = f"nram {c}+{4 * columns}*i0+4*i1 {{0}}"
    body = f"""
loop {rows}
  loop {columns}
    rdot <1> {place} = nram 0+{4 * summed}*i0 {{4}}, nram {b}+4*i1 {{4}}
    loop {summed - 1}
      rdot <1> {place} += nram 4+{4 * summed}*i0+4*i2 {{4}}, nram {b + 4 * columns}+4*i1+{4 * columns}*i2 {{4}}
    endloop
  endloop
endloop
"""
    return _between_transfers(rows, summed, columns, body)


def vectors(rows: int, summed: int, columns: int) -> str:
    """Everything is loaded first; then an instruction for each row of the result."""
    b, c = _places(rows, summed, columns)
    sums = f"nram {c}+{4 * columns}*i0 {{4, 0}} = nram 0+{4 * summed}*i0 {{0, 4}}, nram {b} {{4, {4 * columns}}}"
    body = f"loop {rows}\n  rdot <{columns}, {summed}> {sums}\nendloop\n"
    return _between_transfers(rows, summed, columns, body)


def _places(rows: int, summed: int, columns: int) -> tuple[int, int]:
    """Where the second operand and the result lie, in DRAM as on chip; the first lies at 0."""
    return 4 * rows * summed, 4 * (rows + columns) * summed


def _between_transfers(rows: int, summed: int, columns: int, body: str) -> str:
    b, c = _places(rows, summed, columns)
    first = f"load <{rows * summed}> nram 0 {{4}} = dram 0 {{4}}"
    second = f"load <{summed * columns}> nram {b} {{4}} = dram {b} {{4}}"
    last = f"store <{rows * columns}> dram {c} {{4}} = nram {c} {{4}}"
    return f"{first}\n{second}\nsync\n{body}sync\n{last}\nend\n"


STEPS = (
    Step(
        "element by element",
        elements,
        2716,
        "theirs are {theirs:.0f} cycles a MAC, ours {ours:.0f}: two loads, one after the other, each the chosen "
        "latency of {latency} cycles. With a latency of {wanted:.0f} ours would take as long",
    ),
    Step(
        "operands on chip",
        on_chip,
        126,
        "theirs are {theirs:.0f} cycles a MAC of compiled scalar code; ours are {ours:.2f}, an instruction of the "
        "vector unit on one element, of which {pipeline} are its pipeline, while hardware loops step the addresses",
    ),
    Step(
        "vectors",
        vectors,
        0.050,
        "theirs are {rate:.0f} MACs a cycle, ours {own:.0f} on the {lanes} lanes that were chosen: the card's vector "
        "unit must have more than {rate:.0f} in float32, or take another dtype",
    ),
)


def cases() -> Iterator[Case]:
    """The time of each step."""
    machine = load_machine("mlu-class")
    for step in STEPS:
        cycles = simulate(program(step, machine)).cycles
        reason = step.reason.format(**_figures(step, cycles, machine))
        yield Case(NAME, step.name, "ms", step.milliseconds, 1e3 * cycles / machine.clock_hz, SOURCE, reason)


def _figures(step: Step, cycles: int, machine: Machine) -> dict[str, float]:
    macs, latency = prod(SIZES), machine.dram.latency_cycles
    theirs, ours = step.milliseconds * 1e-3 * machine.clock_hz / macs, cycles / macs
    return {
        "theirs": theirs,
        "ours": ours,
        "rate": 1 / theirs,
        "own": 1 / ours,
        "latency": latency,
        "wanted": latency + (theirs - ours) / 2,
        "pipeline": machine.vector.pipeline_cycles,
        "lanes": machine.vector.lanes,
    }


def program(step: Step, machine: Machine, sizes: tuple[int, int, int] = SIZES) -> Program:
    """The step's program for one core, of a [rows, summed] by a [summed, columns] matrix of float32."""
    rows, summed, columns = sizes
    b, c = _places(*sizes)
    inputs = (Port("a", (rows, summed), 0, (0, 1)), Port("b", (summed, columns), b, (0, 1)))
    output = Port("c", (rows, columns), c, (0, 1))
    streams = parse_text(step.text(*sizes))
    return Program.of(step.name, machine, streams, dram_bytes=1 << 20, inputs=inputs, outputs=(output,))
