"""Programs over all features whose cycles were worked out by hand from docs/processor.md alone.

The machines are those of the manual's examples with one thing changed. A load of 64 bytes of DRAM takes 10 + 4 cycles
and has the channel for 4; 16 elements take the vector unit 2 + 3. `a-b` is a unit at work from cycle a to cycle b.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.machine.matrix import ConvolutionCore, ScalarMacArray, SystolicArray
from tilework.simulator.cycle import simulate

Build = Callable[..., Program]
Change = Callable[[Machine], Machine]

CONTRACT = "contract <6, 10, 9> nram 0x0 {40, 4, 0} = nram 0x100 {36, 0, 4} * wram 0x0 {0, 36, 4}\nend"
INT8 = "contract <6, 10, 9> nram.int32 0x0 {40, 4, 0} = nram.int8 0x100 {9, 0, 1} * wram.int8 0x0 {0, 9, 1}\nend"
HALF = "contract <6, 10, 9> nram 0x0 {40, 4, 0} = nram.float16 0x100 {18, 0, 2} * wram.float16 0x0 {0, 18, 2}\nend"
ENERGY = {"energy_per_mac_joules": {"float32": 1.0, "int8": 1.0}, "rates": {"float32": 1, "int8": 4}}
VADD = "vadd <16> nram 0x0 {4} = nram 0x0 {4}, #1"
LOAD = "load <16> nram 0x0 {4} = dram 0x0 {4}"


def same(machine: Machine) -> Machine:
    return machine


def unit(kind: Any, **sizes: Any) -> Change:
    return lambda machine: replace(machine, matrix=kind(pipeline_cycles=2, **ENERGY, **sizes))


def systolic(dataflow: str) -> Change:
    return unit(SystolicArray, array_rows=4, array_columns=8, dataflow=dataflow)


def int8(machine: Machine) -> Machine:
    return replace(machine, matrix=replace(machine.matrix, **ENERGY))


def burst(machine: Machine) -> Machine:
    return replace(machine, dram=replace(machine.dram, burst_bytes=64))


def narrow(machine: Machine) -> Machine:
    nram, wram = (replace(m, port_bytes_per_cycle=n) for m, n in ((machine.nram, 16), (machine.wram, 8)))
    return replace(machine, nram=nram, wram=wram)


def banked(machine: Machine) -> Machine:
    return replace(machine, nram=replace(machine.nram, banks=4))


def odd_width(machine: Machine) -> Machine:
    return replace(machine, clock_hz=1.5e9, dram=replace(machine.dram, bandwidth_bytes_per_second=10e9))


def one_port(machine: Machine) -> Machine:
    assert machine.sram is not None
    return replace(machine, sram=replace(machine.sram, ports=1))


def two_clusters(machine: Machine) -> Machine:
    return replace(machine, clusters=2)


WORKED: dict[str, tuple[Change, str, int]] = {
    # 3 runs of 5 x 4 bytes, a burst of 64 each: 192 / 16 = 12, 1-23. Backwards is one run too: 4, 23-37.
    "bursts by contiguous runs": (
        burst,
        "load <3, 5> nram 0x0 {20, 4} = dram 0x8 {256, 4}\nload <5> nram 0x0 {4} = dram 0x40 {-4}\nend",
        37,
    ),
    # Loop 0 continues the element, then loop 1 the 16 bytes: one run of 48, so one burst, 1-15.
    "an outer loop makes the run": (burst, "load <4, 3> nram 0x0 {4, 16} = dram 0x0 {4, 16}\nend", 15),
    # A source that stays is read 4 times: 4 bursts, 10 + 16, 1-27.
    "each run of a source that stays is a burst": (burst, "load <4> nram 0x0 {4} = dram 0x0 {0}\nend", 27),
    # 64 bytes at 10/1.5 bytes a cycle are 9.6 cycles: 10 + 10, 1-21.
    "a width that is no whole number": (odd_width, f"{LOAD}\nend", 21),
    # The load has the channel 1-5, the store, issued in 1, waits for it: 5-19.
    "load and store on one channel": (same, f"{LOAD}\nstore <16> dram 0x40 {{4}} = nram 0x40 {{4}}\nend", 19),
    # Steps 6 * 3 * 3 = 54. NRAM: 4 * 6 * 9 read for each of 3 column groups = 648 / 16 = 41, 240 / 16 = 15 written;
    # WRAM: 4 * 9 * 10 for each of 6 rows = 2160 / 8 = 270. So 270 + 2, 1-273.
    "a contraction held up by WRAM's port": (narrow, CONTRACT, 273),
    # 2 * 80 bytes read / 16 = 10, longer than 3 groups of lanes: 10 + 3, 1-14.
    # Then 32 * 4 + 2 * 4 (the old sums) = 136 / 16 = 8.5, longer than 4 groups: 9 + 3, 14-26.
    "vector instructions held up by NRAM's port": (
        narrow,
        "vadd <20> nram 0x0 {4} = nram 0x80 {4}, nram 0x100 {4}\n"
        "rsum <2, 16> nram 0x0 {4, 0} += nram 0x80 {64, 4}\nend",
        26,
    ),
    # Strides of 1 and 2 words: 8 * 1 / 4 = 2 and 8 * 2 / 4 = 4; 2 groups * 4 + 3, 1-12.
    # 3 lanes with strides of 4 words, all in one bank: 3 * 4 / 4 = 3; 1 group * rate 4 * 3 + 3, 12-27.
    # Bytes are less than a word: 8 * 1 / 4 = 2; the source stays: 1. 2 * 2 + 3, 27-34.
    "bank conflicts": (
        banked,
        "vcopy <16> nram 0x0 {4} = nram 0x100 {8}\nvexp <3> nram 0x0 {16} = nram 0x0 {16}\n"
        "vcopy <16> nram.int8 0x0 {1} = nram.int8 0x100 {0}\nend",
        34,
    ),
    # (2 * 4 + 8 + 6 - 2) * ceil(9 / 4) * ceil(10 / 8) = 20 * 3 * 2, + 2, 1-123
    "weight-stationary": (systolic("weight-stationary"), CONTRACT, 123),
    # (9 + 4 + 8 - 2) * ceil(6 / 4) * ceil(10 / 8) = 19 * 2 * 2, + 2, 1-79
    "output-stationary": (systolic("output-stationary"), CONTRACT, 79),
    # (2 * 4 + 8 + 10 - 2) * ceil(9 / 4) * ceil(6 / 8) = 24 * 3 * 1, + 2, 1-75
    "input-stationary": (systolic("input-stationary"), CONTRACT, 75),
    # ceil(60 / 16) * 9 = 36, + 2, 1-39
    "scalar-MAC": (unit(ScalarMacArray, macs=16), CONTRACT, 39),
    # ceil(6 * 12 * 12 / 32) = 27, + 2, 1-30
    "convolution core": (unit(ConvolutionCore, macs=32, atom=4, winograd=True), CONTRACT, 30),
    # ceil(9 / 4) = 3 products' places, one group: 6 * 3 * 1 + 2, 1-21
    "four int8 products at a time": (int8, INT8, 21),
    # ceil(9 / 4) = 3 in 4 rows of the array: (2 * 4 + 8 + 6 - 2) * 1 * 2 + 2, 1-43
    "four int8 products at a time, weight-stationary": (systolic("weight-stationary"), INT8, 43),
    # ceil(9 / 2) = 5, two groups: 6 * 3 * 2 + 2 = 38, 1-39; the other stream ends in 0
    "two float16 products at a time": (same, f".core 0 0\n{HALF}\n.core 0 1\nend", 39),
    # The vadds are issued in 2 and 5: 3-8 and 8-13; r1 is 4, then 0.
    "a loop of jumps, a register in the address": (
        same,
        "scopy r1 = #8\nagain:\nssub r1 = r1, #4\nvadd <16> nram 0x0+r1 {4} = nram 0x0+r1 {4}, #1\n"
        "jumpif r1, again\nend",
        13,
    ),
    # vadd k wants to be issued in 2 + 3k and starts in 3 + 5k. In 32, vadds 6 to 9 fill the queue: number 10 is issued
    # in 33, when 6 starts, and 11 in 38, when 7 does; the jump is in 39, the load issued in 40: 10 + 1024 / 16, 41-115.
    "control held up by a full queue": (
        same,
        "scopy r1 = #48\nagain:\nssub r1 = r1, #4\nvadd <16> nram 0x0+r1 {4} = nram 0x0+r1 {4}, #1\n"
        "jumpif r1, again\nload <256> wram 0x0 {4} = dram 0x0 {4}\nend",
        115,
    ),
    # vadd 1-6; sload passes in 6, sadd in 7, sstore in 8; the load is issued in 9: 10-24.
    "sload and sstore wait for the units": (
        same,
        f"{VADD}\nsload r1 = nram 0x0\nsadd r1 = r1, #1\nsstore nram 0x40 = r1\n{LOAD}\nend",
        24,
    ),
    # The first load is issued in 2, and 10,000 follow each other: 3 + 14 * 10,000.
    "nested loops": (same, f"loop 1000\nloop 10\n{LOAD}\nendloop\nendloop\nend", 140_003),
    # The ports are the cores' 1-3, so the mover's fill of 128 bytes is 3 + 4 cycles from 3: 3-10.
    "three transfers on two SRAM ports": (
        same,
        ".core 0 0\nload <16> nram 0x0 {4} = sram 0x0 {4}\nend\n.core 0 1\nload <16> nram 0x0 {4} = sram 0x0 {4}\nend\n"
        ".mover 0\nfill <32> sram 0x100 {4} = #1\nend",
        10,
    ),
    # Core 0 0 has the port 1-11 (320 / 32). The mover's load needs port and channel at the same time: 11-28, for
    # 10 + 3 + 4, with the channel until 15. Core 0 1 had the channel 1-5, is done in 15 and loads again: 15-29.
    "a transfer that takes channel and port": (
        one_port,
        f".core 0 0\nload <80> nram 0x0 {{4}} = sram 0x0 {{4}}\nend\n.core 0 1\n{LOAD}\n{LOAD}\nend\n"
        ".mover 0\nload <16> sram 0x0 {4} = dram 0x0 {4}\nend",
        29,
    ),
    # Loads of 256 bytes: 10 + 16. Core 0 0 1-27, core 0 1 17-43; the channel is free in 33: 33-59, then in 49: 49-75.
    "two cores take turns at the channel": (
        same,
        "\n".join(f".core 0 {core}\n" + 2 * "load <64> nram 0x0 {4} = dram 0x0 {4}\n" + "end" for core in (0, 1)),
        75,
    ),
    # Loads 17 cycles each, from 2: 2-19-36-53. A post in 19 lets the wait pass; load takes the next before cast, on the
    # other port. Casts of 3 + 2: 19-24, 36-41, 53-58.
    "a mover's loop with a token between load and cast": (
        same,
        ".core 0 0\nend\n.mover 0\nloop 3\nload <16> sram 0x0+64*i0 {4} = dram 0x0+64*i0 {4}\npost load 0\n"
        "wait cast 0\ncast <16> wram 0x0+64*i0 {4} = sram 0x0+64*i0 {4}\nendloop\nend",
        58,
    ),
    # fill of 64 bytes in SRAM 1-6, sync in 6, cast of 16 bytes, 3 + 1, issued in 7: 8-12
    "a cast of float16": (
        same,
        ".core 0 0\nend\n.mover 0\nfill <16> sram 0x0 {4} = #0\nsync\n"
        "cast <8> nram.float16 0x0 {2} = sram.float16 0x0 {2}\nend",
        12,
    ),
    # fill 100 / 20 = 5: 1-6. Both pass in 6, issue in 7; core 0 0 is first after core 1 0: 8-22, the other 12-26.
    "a barrier of two clusters": (
        two_clusters,
        f".core 0 0\nfill <25> nram 0x0 {{4}} = #0\nbarrier chip\n{LOAD}\nend\n.core 1 0\nbarrier chip\n{LOAD}\nend",
        26,
    ),
    # Cluster 0 waits for the fill, 1-6, and passes in 6; core 1 0, alone in its own, in 0: its vadd is 2-7.
    "a barrier of one cluster": (
        two_clusters,
        ".core 0 0\nbarrier cluster\nend\n.core 0 1\nfill <25> nram 0x0 {4} = #0\nbarrier cluster\nend\n"
        f".core 1 0\nbarrier cluster\n{VADD}\nend",
        7,
    ),
}


@pytest.mark.parametrize("name", WORKED)
@pytest.mark.parametrize("fold", [False, True], ids=["plain", "fold"])
def test_cycles_worked_by_hand(program: Build, name: str, fold: bool) -> None:
    change, text, cycles = WORKED[name]
    built = program(text)
    assert simulate(replace(built, machine=change(built.machine)), fold=fold).cycles == cycles
