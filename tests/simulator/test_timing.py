"""Closed forms of every instruction's cycles, bytes and operations, worked by hand on the toy machine."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tilework.errors import SimulationError
from tilework.isa.assembly import parse_instruction
from tilework.isa.table import OPCODES
from tilework.machine.machine import Machine
from tilework.simulator.execute import MEANING, action
from tilework.simulator.timing import TIMING, Cost, energy, timing, total, transfer_cycles

# The toy: 16 bytes a cycle, latency 10; 4 neurons of 4 synapses, pipeline 2; 8 lanes, pipeline 3, exp 4 cycles.
COSTS = {
    "end": Cost(),
    "endloop": Cost(),
    "loop 9": Cost(cycles=1),
    "sync": Cost(cycles=1),
    "wait load 0": Cost(),
    "post matrix 1": Cost(),
    # 65 elements are 260 bytes: ceil(260/16) = 17
    "load <65> nram 0x0 {4} = dram 0x0 {4}": Cost(27, 17, dram_bytes=260, nram_written=260),
    "load <16> wram 0x0 {4} = dram 0x0 {4}": Cost(14, 4, dram_bytes=64, wram_written=64),
    # a repeated row is transferred as often as it is stored
    "load <4, 4> nram 0x0 {16, 4} = dram 0x0 {0, 4}": Cost(14, 4, dram_bytes=64, nram_written=64),
    "store <1> dram 0x0 {4} = nram 0x0 {4}": Cost(11, 1, dram_bytes=4, nram_read=4),
    "store <5, 5> dram 0x0 {20, 4} = wram 0x0 {20, 4}": Cost(17, 7, dram_bytes=100, wram_read=100),
    "fill <9> nram 0x0 {4} = #0": Cost(3, nram_written=36),
    "fill <8> wram 0x0 {4} = #1": Cost(2, wram_written=32),
    # 6 rows, 10 columns in 3 groups of neurons, 9 summed in 3 groups of synapses: 6*3*3 + 2
    "contract <6, 10, 9> nram 0x0 {40, 4, 0} = nram 0x200 {36, 0, 4} * wram 0x0 {0, 36, 4}": Cost(
        56, nram_read=4 * 6 * 9 * 3, nram_written=4 * 60, wram_read=4 * 6 * 10 * 9, macs=540
    ),
    # with += the destination is read too
    "contract <6, 10, 9> nram 0x0 {40, 4, 0} += nram 0x200 {36, 0, 4} * wram 0x0 {0, 36, 4}": Cost(
        56, nram_read=4 * 6 * 9 * 3 + 4 * 60, nram_written=4 * 60, wram_read=4 * 6 * 10 * 9, macs=540
    ),
    # depthwise: 5 places and 3 channels are 15 rows of one column; 9 summed: 15*1*3 + 2
    "contract <5, 3, 9> nram 0x0 {12, 4, 0} = nram 0x200 {12, 4, 12} * wram 0x0 {0, 36, 4}": Cost(
        47, nram_read=4 * 15 * 9, nram_written=4 * 15, wram_read=4 * 15 * 9, macs=135
    ),
    # a dot product: loops of extent 1 don't matter: 1*1*ceil(16/4) + 2
    "contract <1, 16> nram 0x0 {0, 0} = nram 0x80 {64, 4} * wram 0x0 {0, 4}": Cost(
        6, nram_read=64, nram_written=4, wram_read=64, macs=16
    ),
    "vcopy <20> nram 0x0 {4} = nram 0x80 {4}": Cost(
        6, nram_read=80, nram_written=80, vector_operations=20, lane_cycles=20
    ),
    "vadd <16> nram 0x0 {4} = nram 0x0 {4}, nram 0x80 {4}": Cost(
        5, nram_read=128, nram_written=64, vector_operations=16, lane_cycles=16
    ),
    "vmax <17> nram 0x0 {4} = nram 0x0 {4}, #0": Cost(
        6, nram_read=68, nram_written=68, vector_operations=17, lane_cycles=17
    ),
    "vexp <20> nram 0x0 {4} = nram 0x0 {4}": Cost(
        15, nram_read=80, nram_written=80, vector_operations=20, lane_cycles=80
    ),
    "rmax <4, 5> nram 0x0 {4, 0} = nram 0x20 {20, 4}": Cost(
        6, nram_read=80, nram_written=16, vector_operations=20, lane_cycles=20
    ),
    "rsum <4, 5> nram 0x0 {4, 0} += nram 0x20 {20, 4}": Cost(
        6, nram_read=96, nram_written=16, vector_operations=20, lane_cycles=20
    ),
}


@pytest.mark.parametrize(("text", "cost"), COSTS.items())
def test_an_instruction_costs(text: str, cost: Cost, toy: Machine) -> None:
    assert timing(parse_instruction(text), toy) == cost


def test_every_instruction_has_a_meaning_and_a_time(toy: Machine) -> None:
    shapes = {
        "none": "",
        "count": "3",
        "token": "load 0",
        "fill": "<8> nram 0x0 {4} = #1",
        "contract": "<8> nram 0x0 {0} = nram 0x0 {4} * wram 0x0 {4}",
        "reduce": "<8> nram 0x0 {0} = nram 0x20 {4}",
    }
    moves = {"load": "<8> nram 0x0 {4} = dram 0x0 {4}", "store": "<8> dram 0x0 {4} = nram 0x0 {4}"}
    assert {row.form for row in OPCODES.values()} == MEANING.keys() == TIMING.keys()
    for mnemonic, row in OPCODES.items():
        vector = "<8> nram 0x0 {4} = nram 0x0 {4}" + (", #1" if mnemonic in BINARY else "")
        text = moves.get(mnemonic) or shapes.get(row.form, vector)
        instruction = parse_instruction(f"{mnemonic} {text}")
        assert (action(instruction) is not None) == row.has_descriptor
        cost = timing(instruction, toy)
        assert cost.cycles >= (1 if row.has_descriptor else 0)


BINARY = ("vadd", "vsub", "vmul", "vdiv", "vmax", "vmin", "vpow")


def test_a_width_that_is_no_whole_number_is_exact(toy: Machine) -> None:
    # 34 GB/s at 0.7 GHz are 340/7 bytes a cycle: 340 bytes take exactly 7 cycles, 344 take 8
    machine = replace(toy, clock_hz=0.7e9, dram=replace(toy.dram, bandwidth_bytes_per_second=34e9))
    assert [transfer_cycles(size, machine) for size in (48, 52, 340, 344, 340 * 10**9)] == [1, 2, 7, 8, 7 * 10**9]


def test_another_matrix_unit_is_refused(toy: Machine) -> None:
    machine = replace(toy, matrix=replace(toy.matrix, kind="systolic"))
    with pytest.raises(SimulationError) as caught:
        timing(parse_instruction("contract <8> nram 0x0 {0} = nram 0x0 {4} * wram 0x0 {4}"), machine)
    assert str(caught.value) == (
        "the matrix unit must be one of inner-product to be simulated, not systolic; change it"
    )


def test_energy_is_what_each_byte_and_operation_takes(toy: Machine) -> None:
    # joules: 100 a DRAM byte, 2 NRAM, 3 WRAM, 5 a MAC, 7 a lane's cycle
    cost = Cost(dram_bytes=1, nram_read=2, nram_written=3, wram_read=4, wram_written=5, macs=6, lane_cycles=7)
    parts = {"dram": 100.0, "nram": 10.0, "wram": 27.0, "matrix": 30.0, "vector": 49.0}
    assert energy(cost, toy) == parts


def test_costs_add_up(toy: Machine) -> None:
    costs = list(COSTS.values())
    once, thrice = total((1, cost) for cost in costs), total((3, cost) for cost in costs)
    for field in fields(Cost):
        values = [getattr(cost, field.name) for cost in costs]
        assert getattr(once, field.name) == sum(values)
        assert getattr(thrice, field.name) == 3 * sum(values)
    parts = [energy(cost, toy) for cost in costs]
    assert energy(once, toy) == {name: sum(part[name] for part in parts) for name in parts[0]}
