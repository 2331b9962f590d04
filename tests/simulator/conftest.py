"""Builders that the simulator's tests share: a small machine, and programs from assembly text."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tilework.isa.assembly import parse_program, parse_text
from tilework.isa.program import Program, Stream
from tilework.machine.machine import Control, Dram, Machine, Scratchpad, Sram, VectorUnit
from tilework.machine.matrix import InnerProductArray

TOY = Machine(
    name="toy",
    description="the machine of the manual's examples",
    sources=(),
    clock_hz=1e9,
    dram=Dram(capacity_bytes=1 << 20, bandwidth_bytes_per_second=16e9, latency_cycles=10, energy_per_byte_joules=100.0),
    nram=Scratchpad(capacity_bytes=1024, energy_per_byte_joules=2.0),
    wram=Scratchpad(capacity_bytes=2048, energy_per_byte_joules=3.0),
    matrix=InnerProductArray(
        neurons=4,
        synapses=4,
        pipeline_cycles=2,
        energy_per_mac_joules={"float32": 5.0},
        rates={"float32": 1},
        zero_skipping=True,
    ),
    vector=VectorUnit(lanes=8, pipeline_cycles=3, energy_per_operation_joules=7.0, cycles={"exp": 4}),
    control=Control(queue_depth=4),
)

CLUSTER = replace(
    TOY,
    name="toy-cluster",
    description="three of these cores on one SRAM, which has a port for two of them",
    dram=replace(TOY.dram, burst_bytes=64),
    sram=Sram(
        capacity_bytes=4096, bandwidth_bytes_per_second=32e9, latency_cycles=3, energy_per_byte_joules=11.0, ports=2
    ),
    matrix=replace(
        TOY.matrix,
        energy_per_mac_joules={"float32": 5.0, "float16": 6.0},
        rates={"float32": 1, "float16": 2},
    ),
    cores=3,
    transfer_bytes_per_cycle=20,
)


@pytest.fixture(scope="session")
def toy() -> Machine:
    return TOY


@pytest.fixture(scope="session")
def cluster() -> Machine:
    return CLUSTER


@pytest.fixture(scope="session")
def program() -> Callable[..., Program]:
    """A program from assembly text, with weights (float32) in front of 4096 bytes of activations.

    A text of several streams is for the cluster, and its instructions keep the numbers of their lines.
    """

    def build(text: str, machine: Machine | None = None, weights: Any = (), **fields: Any) -> Program:
        packed = np.asarray(weights, np.float32).view(np.uint8)
        streams = parse_text(text) if ".core" in text else (Stream(parse_program(text)),)
        machine = machine or (CLUSTER if len(streams) > 1 else TOY)
        built = Program.of("test", machine, streams, weight_bytes=packed.nbytes, weights=lambda: packed)
        return replace(built, dram_bytes=packed.nbytes + 4096, **fields)

    return build


@pytest.fixture(scope="session")
def fuzz() -> ModuleType:
    """benchmarks/fuzz_simulator.py, whose programs contend for everything."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz_simulator.py"
    spec = importlib.util.spec_from_file_location("fuzz_simulator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
