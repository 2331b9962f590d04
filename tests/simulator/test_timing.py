"""Closed forms of every instruction's cycles, bytes and operations, worked by hand on the toy machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.assembly import parse_instruction
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.table import FORMS, OPCODES, Opcode
from tilework.machine.machine import Machine
from tilework.machine.matrix import SystolicArray
from tilework.simulator.timing import TIMING, Cost, burst_bytes, conflicts, energy, timing, total, transfer_cycles

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
        56, nram_read=4 * 6 * 9 * 3, nram_written=4 * 60, wram_read=4 * 6 * 10 * 9, products={"float32": 540}
    ),
    # with += the destination is read too
    "contract <6, 10, 9> nram 0x0 {40, 4, 0} += nram 0x200 {36, 0, 4} * wram 0x0 {0, 36, 4}": Cost(
        56, nram_read=4 * 6 * 9 * 3 + 4 * 60, nram_written=4 * 60, wram_read=4 * 6 * 10 * 9, products={"float32": 540}
    ),
    # depthwise: 5 places and 3 channels are 15 rows of one column; 9 summed: 15*1*3 + 2
    "contract <5, 3, 9> nram 0x0 {12, 4, 0} = nram 0x200 {12, 4, 12} * wram 0x0 {0, 36, 4}": Cost(
        47, nram_read=4 * 15 * 9, nram_written=4 * 15, wram_read=4 * 15 * 9, products={"float32": 135}
    ),
    # 5 rows of 20 weights, 4 of each 16 kept: 5 * 2 blocks of 4 values and 4 places, 20 bytes each: ceil(200/16) = 13
    "load <5, 20> wram 0x0 {80, 4} = dram:4 0x0 {128, 4}": Cost(23, 13, dram_bytes=200, wram_written=400),
    "load <5, 20> wram 0x0 {80, 4} = wram:3 0x200 {128, 4}": Cost(25, wram_read=160, wram_written=400),
    # 2 blocks of 4 are 8 products a sum: 3 rows, 5 columns in 2 groups, 2 groups of synapses: 3*2*2 + 2
    "contract <3, 5, 20> nram 0x0 {20, 4, 0} = nram 0x200 {80, 0, 4} * wram:4 0x0 {0, 128, 4}": Cost(
        14, nram_read=4 * 3 * 20 * 2, nram_written=4 * 15, wram_read=3 * 5 * 40, products={"float32": 3 * 5 * 8}
    ),
    # a dot product: loops of extent 1 don't matter: 1*1*ceil(16/4) + 2
    "contract <1, 16> nram 0x0 {0, 0} = nram 0x80 {64, 4} * wram 0x0 {0, 4}": Cost(
        6, nram_read=64, nram_written=4, wram_read=64, products={"float32": 16}
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
    # a product and a sum in each lane: no longer than a sum alone
    "rdot <4, 5> nram 0x0 {4, 0} += nram 0x20 {20, 4}, nram 0x80 {0, 4}": Cost(
        6, nram_read=176, nram_written=16, vector_operations=40, lane_cycles=40
    ),
}


@pytest.mark.parametrize(("text", "cost"), COSTS.items())
def test_an_instruction_costs(text: str, cost: Cost, toy: Machine) -> None:
    assert timing(parse_instruction(text), toy) == cost


@pytest.mark.parametrize("row", OPCODES.values(), ids=OPCODES)
def test_every_instruction_has_a_time(row: Opcode, cluster: Machine) -> None:
    role = "mover" if row.core is None else "core"
    jumps = "target" in row.fields
    cost = timing(Instruction(row.mnemonic) if jumps else parse_instruction(row.example, role), cluster)
    assert (cost.cycles == 0) == (row.mnemonic in ("end", "endloop", "wait", "post"))
    assert TIMING.keys() == FORMS.keys()


# The cluster: the toy with an SRAM of 32 bytes a cycle and latency 3, 3 cores, 20 bytes a cycle on chip, bursts of 64.
CLUSTER_COSTS = {
    # between a core's own memories: ceil(100/20), no latency; nothing shared
    "load <25> wram 0x0 {4} = nram 0x0 {4}": Cost(5, nram_read=100, wram_written=100),
    "fill <9> nram 0x0 {4} = #0": Cost(2, nram_written=36),
    # 3 + ceil(100/32)
    "load <25> nram 0x0 {4} = sram 0x0 {4}": Cost(7, sram_cycles=4, sram_read=100, nram_written=100),
    "store <25> sram 0x0 {4} = wram 0x0 {4}": Cost(7, sram_cycles=4, wram_read=100, sram_written=100),
    # a mover's: 25 elements are two bursts, 128 bytes, 8 cycles; the port for 4: latencies 10 + 3, and the longer
    "load <25> sram 0x0 {4} = dram 0x0 {4}": Cost(21, 8, 4, dram_bytes=128, sram_written=100),
    "store <25> dram 0x0 {4} = sram 0x0 {4}": Cost(21, 8, 4, dram_bytes=128, sram_read=100),
    "fill <25> sram 0x0 {4} = #0": Cost(7, sram_cycles=4, sram_written=100),
    # read once, written in each of the three cores
    "cast <25> wram 0x0 {4} = sram 0x0 {4}": Cost(7, sram_cycles=4, sram_read=100, wram_written=300),
    # half as many bytes: 50, a single burst
    "load <25> nram.float16 0x0 {2} = dram.float16 0x0 {2}": Cost(14, 4, dram_bytes=64, nram_written=50),
    # rows of 12 bytes, 64 apart: three bursts of 64
    "load <3, 3> nram 0x0 {12, 4} = dram 0x0 {64, 4}": Cost(22, 12, dram_bytes=192, nram_written=36),
    # float16 at twice the rate: ceil(ceil(16/2)/4) + 2
    "contract <1, 16> nram 0x0 {0, 0} = nram.float16 0x80 {32, 2} * wram.float16 0x0 {0, 2}": Cost(
        4, nram_read=32, nram_written=4, wram_read=32, products={"float16": 16}
    ),
    # every source and the destination in its own dtype
    "vadd <16> nram.float16 0x0 {2} = nram 0x0 {4}, nram.int8 0x80 {1}": Cost(
        5, nram_read=80, nram_written=32, vector_operations=16, lane_cycles=16
    ),
    "sload r1 = nram.int8 0x0": Cost(1, nram_read=1),
    "sstore nram 0x0 = r1": Cost(1, nram_written=4),
    "barrier chip": Cost(1),
    "sadd r1 = r2, #5": Cost(1),
}


@pytest.mark.parametrize(("text", "cost"), CLUSTER_COSTS.items())
def test_an_instruction_of_a_cluster_costs(text: str, cost: Cost, cluster: Machine) -> None:
    role = "mover" if "sram" in text and "nram" not in text and not text.startswith("store <25> sram") else "core"
    assert timing(parse_instruction(text, role), cluster) == cost


def test_a_width_that_is_no_whole_number_is_exact() -> None:
    # 34 GB/s at 0.7 GHz are 340/7 bytes a cycle: 340 bytes take exactly 7 cycles, 344 take 8
    sizes = (48, 52, 340, 344, 340 * 10**9)
    assert [transfer_cycles(size, 34e9, 0.7e9) for size in sizes] == [1, 2, 7, 8, 7 * 10**9]


def test_a_dtype_that_the_matrix_unit_lacks_is_refused(toy: Machine) -> None:
    with pytest.raises(SimulationError) as caught:
        timing(parse_instruction("contract <8> nram.int32 0x0 {0} = nram.int8 0x0 {1} * wram.int8 0x0 {1}"), toy)
    assert str(caught.value) == (
        "contract must multiply a dtype of the machine's matrix unit, float32, not int8; use one of these or take "
        "another machine"
    )


@pytest.mark.parametrize(("dataflow", "again"), [("weight-stationary", (3, 1)), ("input-stationary", (1, 2))])
def test_what_a_systolic_array_holds_it_reads_once(dataflow: str, again: tuple[int, int], toy: Machine) -> None:
    unit = {name: getattr(toy.matrix, name) for name in ("pipeline_cycles", "energy_per_mac_joules", "rates")}
    array = SystolicArray(array_rows=4, array_columns=4, dataflow=dataflow, **unit)
    text = "contract <6, 10, 9> nram 0x0 {40, 4, 0} = nram 0x200 {36, 0, 4} * wram 0x0 {0, 36, 4}"
    cost = timing(parse_instruction(text), replace(toy, matrix=array))
    assert (cost.nram_read, cost.wram_read) == (4 * 6 * 9 * again[0], 4 * 9 * 10 * again[1])
    assert cost.cycles == array.cycles(6, 10, 9, "float32")


PORTS = {
    # reads 648 bytes of NRAM and 2160 of WRAM, writes 240 of NRAM; 54 cycles of work, pipeline 2
    (0, 0): 56,
    (16, 0): 56,
    (8, 0): 81 + 2,
    (16, 10): 216 + 2,
    (4, 80): 162 + 2,
}


@pytest.mark.parametrize(("limits", "cycles"), PORTS.items())
def test_ports_hold_the_matrix_unit_up(limits: tuple[int, int], cycles: int, toy: Machine) -> None:
    nram, wram = (
        replace(memory, port_bytes_per_cycle=limit) for memory, limit in zip((toy.nram, toy.wram), limits, strict=True)
    )
    text = "contract <6, 10, 9> nram 0x0 {40, 4, 0} = nram 0x200 {36, 0, 4} * wram 0x0 {0, 36, 4}"
    assert timing(parse_instruction(text), replace(toy, nram=nram, wram=wram)).cycles == cycles


def test_a_port_reads_and_writes_at_the_same_time(toy: Machine) -> None:
    machine = replace(toy, nram=replace(toy.nram, port_bytes_per_cycle=16))
    # reads 128 bytes, writes 64: 8 cycles and 4; lanes need 2; pipeline 3
    assert timing(parse_instruction("vadd <16> nram 0x0 {4} = nram 0x0 {4}, nram 0x80 {4}"), machine).cycles == 11


BANKS = {  # of 8 banks, with 8 lanes: what a group of lanes takes
    "vcopy <16> nram 0x0 {4} = nram 0x80 {4}": 1,
    "vcopy <16> nram 0x0 {4} = nram 0x80 {8}": 2,
    "vcopy <16> nram 0x0 {4} = nram 0x80 {12}": 1,
    "vcopy <16> nram 0x0 {32} = nram 0x80 {8}": 8,
    "vcopy <16> nram 0x0 {4} = nram 0x80 {0}": 1,
    "vcopy <16, 1> nram 0x0 {16, 4} = nram 0x80 {4, 4}": 4,
    "vcopy <16> nram.float16 0x0 {2} = nram 0x80 {-16}": 4,
    "vcopy <3> nram 0x0 {4} = nram 0x80 {32}": 3,
}


@pytest.mark.parametrize(("text", "factor"), BANKS.items())
def test_lanes_that_meet_in_a_bank_wait(text: str, factor: int, toy: Machine) -> None:
    machine = replace(toy, nram=replace(toy.nram, banks=8))
    groups = 1 if "<3>" in text else 2
    assert timing(parse_instruction(text), machine).cycles == groups * factor + 3


@given(st.integers(1, 64), st.integers(1, 40), st.integers(1, 33))
def test_the_factor_is_the_fullest_bank(words: int, lanes: int, banks: int) -> None:
    fullest = max(Counter(lane * words % banks for lane in range(lanes)).values())
    assert conflicts(Operand("nram", 0, (4 * words,)), (lanes,), lanes, banks) == (fullest if lanes > 1 else 1)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([4, 8, 16, 24, 48, -4, 0])), min_size=1, max_size=4),
    st.sampled_from([1, 8, 64]),
)
def test_bursts_are_those_of_the_runs(loops: list[tuple[int, int]], burst: int) -> None:
    extents, strides = tuple(n for n, _ in loops), tuple(s for _, s in loops)
    found = burst_bytes(Operand("dram", 0, strides), extents, burst)
    size = 4 * prod(extents)
    assert found % burst == 0
    assert size <= found <= size // 4 * max(4, burst)  # no run is shorter than an element
    assert burst_bytes(Operand("dram", 0, strides), extents, 1) == size


RUNS = {  # extents, strides: the lengths of runs and how many there are, with bursts of 64
    ((16,), (4,)): 64,
    ((17,), (4,)): 128,
    ((4, 16), (64, 4)): 256,
    ((16, 4), (4, 64)): 256,  # whatever the order of the loops
    ((4, 16), (80, 4)): 4 * 64,
    ((4, 20), (128, 4)): 4 * 128,
    ((4, 16), (64, -4)): 256,  # backwards too
    ((3, 16), (0, 4)): 3 * 64,  # repeated, as often as it is said
    ((2, 2, 2), (4, 4, 8)): 2 * 64,  # of two loops that could go on, the inner one does; then the next
}


@pytest.mark.parametrize(("nest", "size"), RUNS.items(), ids=str)
def test_a_run_goes_on_while_loops_continue_it(nest: tuple[tuple[int, ...], tuple[int, ...]], size: int) -> None:
    assert burst_bytes(Operand("dram", 0, nest[1]), nest[0], 64) == size


def test_energy_is_what_each_byte_and_operation_takes(toy: Machine, cluster: Machine) -> None:
    # joules: 100 a DRAM byte, 2 NRAM, 3 WRAM, 5 a MAC, 7 a lane's cycle; in the cluster 11 SRAM, 6 a float16 MAC
    moved = {"dram_bytes": 1, "nram_read": 2, "nram_written": 3, "wram_read": 4, "wram_written": 5, "lane_cycles": 7}
    cost = Cost(**moved, products={"float32": 6})
    parts = {"dram": 100.0, "nram": 10.0, "wram": 27.0, "sram": 0.0, "matrix": 30.0, "vector": 49.0}
    assert energy(cost, toy) == parts
    more = Cost(**moved, sram_read=1, sram_written=2, products={"float32": 6, "float16": 10})
    assert energy(more, cluster) == parts | {"sram": 33.0, "matrix": 90.0}


def test_costs_add_up(toy: Machine) -> None:
    costs = list(COSTS.values())
    once, thrice = total((1, cost) for cost in costs), total((3, cost) for cost in costs)
    for name in [field.name for field in fields(Cost) if field.name != "products"]:
        values = [getattr(cost, name) for cost in costs]
        assert getattr(once, name) == sum(values)
        assert getattr(thrice, name) == 3 * sum(values)
    assert thrice.products == {"float32": 3 * once.macs}
    parts = [energy(cost, toy) for cost in costs]
    assert energy(once, toy) == {name: sum(part[name] for part in parts) for name in parts[0]}
    assert total([]) == Cost()


def test_compressed_weights_need_a_unit_that_skips_zeros(toy: Machine) -> None:
    multiplying = replace(toy, matrix=replace(toy.matrix, zero_skipping=False))
    line = "contract <5, 20> nram 0x0 {4, 0} = nram 0x200 {0, 4} * wram:4 0x0 {128, 4}"
    with pytest.raises(SimulationError) as caught:
        timing(parse_instruction(line), multiplying)
    assert str(caught.value) == (
        "contract must have weights that are not compressed, as the matrix unit of toy skips no zeros; "
        "expand them when they are loaded or take another machine"
    )
