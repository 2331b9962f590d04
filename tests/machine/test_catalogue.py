"""The machines that come with Tilework against figures worked out or looked up by hand."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from math import ceil, floor, log2

import pytest

from tilework.isa.instruction import DTYPES as OPERAND_DTYPES
from tilework.isa.table import VECTOR_OF
from tilework.machine.leaves import DTYPES, FUNCTIONS
from tilework.machine.load import load_machine, machine_names

KIB, MIB, GIB = 1024, 1 << 20, 1 << 30
every_machine = pytest.mark.parametrize("name", machine_names())

PEAKS = {  # operations per second of the whole chip in a dtype, a MAC being two
    ("dlp-s", "float32"): 512e9,
    ("dlp-s", "float16"): 1024e9,
    ("dlp-s", "bfloat16"): 1024e9,
    ("dlp-s", "int8"): 2048e9,
    ("dlp-s-ddr4", "float32"): 512e9,
    ("dlp-m4", "float32"): 4 * 512e9,
    ("dlp-m16", "float32"): 16 * 512e9,
    ("diannao", "float16"): 501.76e9,  # 256 * 2 * 0.98 GHz
    ("cambricon-acc", "float16"): 2048e9,  # 32 * 32 * 2 * 1 GHz
    ("tpu-v1", "int8"): 91.7504e12,  # 65,536 * 2 * 0.7 GHz: "92 TOPS"
    ("eyeriss-class", "float16"): 67.2e9,  # 33.6 GMAC/s
    ("edge", "int8"): 4.096e12,
    ("datacentre", "bfloat16"): 786.432e12,  # 32 cores * 64 * 32 * 4 * 2 * 1.5 GHz
    ("datacentre", "float32"): 196.608e12,
    ("mlu-class", "int8"): 262.144e12,
    ("nvdla-full", "int8"): 4.096e12,
    ("scale-32x32-ws", "int8"): 2.048e12,
    ("scale-32x32-os", "int8"): 2.048e12,
    ("scale-32x32-is", "int8"): 2.048e12,
}

MEMORIES = {  # NRAM, WRAM, SRAM and DRAM in bytes, DRAM's bandwidth in bytes per second
    "dlp-s": (128 * KIB, 256 * KIB, 0, 16 * GIB, 64e9),
    "dlp-s-ddr4": (128 * KIB, 256 * KIB, 0, 16 * GIB, 64e9),
    "dlp-m4": (128 * KIB, 256 * KIB, 2 * MIB, 16 * GIB, 128e9),
    "dlp-m16": (128 * KIB, 256 * KIB, 2 * MIB, 64 * GIB, 512e9),
    "diannao": (64 * 16 * 2 + 64 * 16 * 2, 64 * 256 * 2, 0, 4 * GIB, 32e9),
    "cambricon-acc": (64 * KIB, 32 * 24 * KIB, 0, 4 * GIB, 25.6e9),
    "tpu-v1": (24 * MIB, 4 * 256 * 256, 0, 8 * GIB, 34e9),
    "eyeriss-class": (100 * KIB, 8 * KIB + 168 * 224 * 2, 0, GIB, 8 * 60e6),
    "edge": (512 * KIB, 512 * KIB, 0, 4 * GIB, 32 * 6400e6 / 8),
    "datacentre": (MIB, 2 * MIB, 16 * MIB, 256 * GIB, 6e12),
    "mlu-class": (768 * KIB, MIB, 4 * MIB, 24 * GIB, 307.2e9),
    "nvdla-full": (256 * KIB, 256 * KIB, 0, 4 * GIB, 10.24e9),
    **{f"scale-32x32-{flow}": (128 * KIB, 64 * KIB, 0, 16 * GIB, 52e9) for flow in ("ws", "os", "is")},
}

MACS = {"float32": 3.7e-12 + 0.9e-12, "float16": 1.1e-12 + 0.9e-12, "bfloat16": 2e-12, "int8": 0.2e-12 + 0.1e-12}


def on_chip(capacity_bytes: int) -> float:
    """Joules per byte: 10, 20 and 100 pJ for 8 bytes of 8 KB, 32 KB and 1 MB, by the logarithm of the size."""
    doublings = log2(capacity_bytes / (32 * KIB))
    if doublings > 0:
        return (20e-12 + (100e-12 - 20e-12) * doublings / 5) / 8
    return (20e-12 + (20e-12 - 10e-12) * max(doublings, -2) / 2) / 8


@every_machine
def test_every_machine_says_what_it_is_and_where_from(name: str) -> None:
    machine = load_machine(name)
    assert machine.name == name
    assert 0 < len(machine.description) <= 45
    assert machine.sources
    assert all(":" in source and len(source) > 40 for source in machine.sources)
    text = files("tilework.machine").joinpath("catalogue", f"{name}.toml").read_text("utf-8")
    assert text.startswith("# ")
    assert "chosen" in text


@pytest.mark.parametrize(("name", "dtype"), PEAKS)
def test_peaks(name: str, dtype: str) -> None:
    machine = load_machine(name)
    cores = machine.clusters * machine.cores
    assert 2 * cores * machine.macs_per_cycle(dtype) * machine.clock_hz == pytest.approx(PEAKS[name, dtype], rel=1e-12)


def test_every_machine_has_its_peak_and_its_memories_checked() -> None:
    assert {name for name, _ in PEAKS} == set(MEMORIES) == set(machine_names())


@pytest.mark.parametrize("name", MEMORIES)
def test_memories(name: str) -> None:
    machine = load_machine(name)
    sram = machine.sram.capacity_bytes if machine.sram else 0
    sizes = (machine.nram.capacity_bytes, machine.wram.capacity_bytes, sram, machine.dram.capacity_bytes)
    assert (*sizes, machine.dram.bandwidth_bytes_per_second) == MEMORIES[name]


@every_machine
def test_energies_follow_the_manual(name: str) -> None:
    machine = load_machine(name)
    assert machine.vector.energy_per_operation_joules == 0.9e-12
    assert machine.matrix.energy_per_mac_joules == pytest.approx({dtype: MACS[dtype] for dtype in machine.matrix.rates})
    dram = 8 * 3.92e-12 if name == "datacentre" else 1.3e-9 / 8
    assert machine.dram.energy_per_byte_joules == pytest.approx(dram)
    for memory in (machine.nram, machine.wram, machine.sram):
        if memory:
            assert memory.energy_per_byte_joules == pytest.approx(on_chip(memory.capacity_bytes), abs=0.005e-12)


@every_machine
def test_units_are_sane(name: str) -> None:
    machine = load_machine(name)
    knee = 2 * machine.clusters * machine.cores * machine.macs_per_cycle() * machine.clock_hz
    assert 100e6 <= machine.clock_hz <= 3e9
    assert 1 <= knee / machine.dram.bandwidth_bytes_per_second <= 4000
    assert machine.dram.latency_cycles <= 1000
    assert (machine.clusters * machine.cores > 1) == (machine.sram is not None)


def test_ddr4_differs_from_the_core_of_the_exercises_by_its_dram_alone() -> None:
    machine, core = load_machine("dlp-s-ddr4"), load_machine("dlp-s")
    rows, refresh = machine.dram.rows, machine.dram.refresh
    assert rows is not None
    assert refresh is not None
    tick = 1 / 1600e6  # DDR4-3200: two transfers a tick
    assert (rows.size_bytes, rows.banks) == (8 * 1024, 4 * 4)  # eight devices of 1 KiB; four groups of four
    assert rows.miss_cycles == ceil((22 + 22) * tick * machine.clock_hz)
    assert refresh.interval_cycles == floor(64e-3 / 8192 * machine.clock_hz)
    assert refresh.duration_cycles == round(350e-9 * machine.clock_hz)
    assert machine.dram.burst_bytes == 8 * 64 // 8
    ideal = replace(machine.with_ideal_dram(), name=core.name, description=core.description, sources=core.sources)
    assert replace(ideal, dram=replace(ideal.dram, burst_bytes=1)) == core
    assert core.with_ideal_dram() is core


def test_the_clusters_of_the_exercises() -> None:
    for name, clusters in (("dlp-m4", 1), ("dlp-m16", 4)):
        machine, core = load_machine(name), load_machine("dlp-s")
        assert (machine.clusters, machine.cores) == (clusters, 4)
        assert machine.sram is not None
        assert (machine.sram.bandwidth_bytes_per_second, machine.sram.ports) == (1e12, 5)
        assert (machine.matrix, machine.vector, machine.control) == (core.matrix, core.vector, core.control)
        assert (machine.nram, machine.wram, machine.clock_hz) == (core.nram, core.wram, core.clock_hz)


def test_a_network_of_70_billion_parameters_fits_the_datacentre() -> None:
    machine = load_machine("datacentre")
    assert machine.dtype == "bfloat16"
    assert machine.dram.capacity_bytes > 70e9 * 2


def test_functions_and_dtypes_are_those_of_the_instructions() -> None:
    assert set(FUNCTIONS) == set(VECTOR_OF)
    assert len(set(FUNCTIONS)) == len(FUNCTIONS)
    assert set(OPERAND_DTYPES) == {*DTYPES, "int32"}
