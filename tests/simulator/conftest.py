"""Builders that the simulator's tests share: a small machine, and programs from assembly text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilework.isa.assembly import parse_program
from tilework.isa.program import Program
from tilework.machine.machine import Control, Dram, Machine, MatrixUnit, Scratchpad, VectorUnit

TOY = Machine(
    name="toy",
    description="the machine of the manual's examples",
    sources=(),
    clock_hz=1e9,
    dram=Dram(capacity_bytes=1 << 20, bandwidth_bytes_per_second=16e9, latency_cycles=10, energy_per_byte_joules=100.0),
    nram=Scratchpad(capacity_bytes=1024, energy_per_byte_joules=2.0),
    wram=Scratchpad(capacity_bytes=2048, energy_per_byte_joules=3.0),
    matrix=MatrixUnit("inner-product", neurons=4, synapses=4, pipeline_cycles=2, energy_per_mac_joules=5.0),
    vector=VectorUnit(lanes=8, pipeline_cycles=3, energy_per_operation_joules=7.0, cycles={"exp": 4}),
    control=Control(queue_depth=4),
)


@pytest.fixture(scope="session")
def toy() -> Machine:
    return TOY


@pytest.fixture(scope="session")
def program() -> Callable[..., Program]:
    """A program from assembly text, with weights (float32) in front of 4096 bytes of activations."""

    def build(text: str, machine: Machine = TOY, weights: Any = (), **fields: Any) -> Program:
        packed = np.asarray(weights, np.float32).view(np.uint8)
        built = Program("test", machine, parse_program(text), weight_bytes=packed.nbytes, weights=lambda: packed)
        return replace(built, dram_bytes=packed.nbytes + 4096, **fields)

    return build
