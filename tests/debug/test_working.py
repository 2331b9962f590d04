"""The working of an instruction's cycles: the manual's examples, and on random programs that it comes to its cycles."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.debug.working import working
from tilework.isa.assembly import parse_instruction
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import Options
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.machine.matrix import ConvolutionCore, MatrixUnit, ScalarMacArray, SystolicArray
from tilework.simulator.timing import timing

COMMON = {"pipeline_cycles": 3, "energy_per_mac_joules": {"float32": 1.0}, "rates": {"float32": 1}}
UNITS: list[MatrixUnit] = [
    ScalarMacArray(macs=8, **COMMON),
    *[
        SystolicArray(array_rows=4, array_columns=8, dataflow=flow, **COMMON)
        for flow in ("weight-stationary", "output-stationary", "input-stationary")
    ],
    ConvolutionCore(macs=64, atom=8, winograd=False, **COMMON),
]


@pytest.mark.parametrize(
    ("line", "text"),
    [  # the manual's table of single instructions
        ("load <16> nram 0x0 {4} = dram 0x0 {4}", "10 DRAM latency + ceil(64 bytes / 16 a cycle of the channel) = 14"),
        ("fill <9> nram 0x0 {4} = #0", "ceil(36 bytes / 16 a cycle inside the core) = 3"),
        (
            "contract <6, 10, 9> nram 0x0 {40, 4, 0} = nram 0x200 {36, 0, 4} * wram 0x0 {0, 36, 4}",
            "6 rows * ceil(10 columns / 4) * ceil(9 summed / 4) + 2 pipeline = 56",
        ),
        ("vexp <20> nram 0x0 {4} = nram 0x0 {4}", "ceil(20 iterations / 8 lanes) * 4 for exp + 3 pipeline = 15"),
        ("rmax <4, 5> nram 0x0 {4, 0} = nram 0x20 {20, 4}", "ceil(20 iterations / 8 lanes) + 3 pipeline = 6"),
        ("post load 0", "a unit acts on it between two others, in no time = 0"),
        ("sync", "control passes one cycle with it = 1"),
    ],
)
def test_the_manuals_instructions(toy: Machine, line: str, text: str) -> None:
    assert working(parse_instruction(line), toy) == text


def test_rows_of_the_dram_add_and_this_is_said() -> None:
    machine = load_machine("dlp-s-ddr4")
    load, fill = "load <16> nram 0x0 {4} = dram 0x0 {4}", "fill <16> nram 0x0 {4} = #0"
    text = "ceil(64 bytes in bursts of 64 / 64 a cycle of the channel) = 1, and what rows and refreshes of the DRAM add"
    assert working(parse_instruction(load), machine) == text
    assert working(parse_instruction(fill), machine) == "ceil(64 bytes / 64 a cycle inside the core) = 1"


def computed(text: str) -> float:
    """What the working's left side comes to, read as arithmetic."""
    left = text.rpartition(" = ")[0]
    left = re.sub(r"\([^()]*(summed, of which|products, )[^()]*\)", "", left)
    left = re.sub(r"the longer of (ceil\(.*?\)) and (ceil\(.*?\))", r"max(\1, \2)", left)
    left = re.sub(r"(\d) for the bytes.*?\(the unit alone: .*\) \+", r"\1 +", left)
    left = re.sub(r",(?=\d{3})|, in whole atoms of \d+,", "", left)
    left = re.sub(r"\b(?!ceil|max)[A-Za-z][A-Za-z0-9' ]*|of bursts of \d+", " ", left)
    return float(eval(left, {"ceil": math.ceil, "max": max, "__builtins__": {}}))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), which=st.integers(0, len(UNITS) + 1))
def test_the_working_comes_to_the_cycles(toy: Machine, seed: int, which: int) -> None:
    machine = toy if which == 0 else load_machine("dlp-m4")
    if which > 1:
        machine = replace(toy, matrix=UNITS[which - 2])
    options = Options(instructions=24, elements=200, count=3, dtypes=("float32",))
    for stream in random_program(seed, machine, options).streams:
        for instruction in stream.instructions:
            text = working(instruction, machine)
            assert text.endswith(f" = {timing(instruction, machine).cycles}")
            if instruction.descriptor is not None and instruction.mnemonic not in ("sload", "sstore"):
                assert computed(text) == timing(instruction, machine).cycles, text


def test_ports_that_hold_a_unit_up(toy: Machine) -> None:
    narrow = replace(toy, nram=replace(toy.nram, port_bytes_per_cycle=4))
    # 80 bytes read at 4 a cycle, where the lanes alone would take 3 cycles.
    text = working(parse_instruction("vabs <20> nram 0x0 {4} = nram 0x0 {4}"), narrow)
    own = "(the unit alone: ceil(20 iterations / 8 lanes) = 3)"
    assert text == f"20 for the bytes at the memories' ports {own} + 3 pipeline = 23"
