"""Sessions on the manual's toy machine and on the examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tilework.debug.session import Session
from tilework.isa.assembly import parse_text
from tilework.isa.program import Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Control, Dram, Machine, Scratchpad, VectorUnit
from tilework.machine.matrix import InnerProductArray

EXAMPLES = Path(__file__).parents[2] / "examples"

TOY = Machine(
    name="toy",
    description="the machine of the manual's examples",
    sources=(),
    clock_hz=1e9,
    dram=Dram(capacity_bytes=1 << 20, bandwidth_bytes_per_second=16e9, latency_cycles=10, energy_per_byte_joules=1.0),
    nram=Scratchpad(capacity_bytes=1024, energy_per_byte_joules=1.0),
    wram=Scratchpad(capacity_bytes=2048, energy_per_byte_joules=1.0),
    matrix=InnerProductArray(
        neurons=4, synapses=4, pipeline_cycles=2, energy_per_mac_joules={"float32": 1.0}, rates={"float32": 1}
    ),
    vector=VectorUnit(lanes=8, pipeline_cycles=3, energy_per_operation_joules=1.0, cycles={"exp": 4}),
    control=Control(queue_depth=4),
)


@pytest.fixture(scope="session")
def toy() -> Machine:
    return TOY


@pytest.fixture(scope="session")
def debugged() -> Callable[..., Session]:
    """A session on assembly text, on the toy."""

    def build(text: str, machine: Machine = TOY) -> Session:
        return Session.of_program(Program.of("test", machine, parse_text(text), dram_bytes=4096), {})

    return build


@pytest.fixture(scope="session")
def example() -> Callable[[str, str], Program]:
    """A program of the examples."""

    def build(name: str, machine: str) -> Program:
        return Program.of(name, load_machine(machine), parse_text((EXAMPLES / name).read_text()), dram_bytes=1 << 20)

    return build
