"""Energies and areas against Horowitz's and Stillmaker's figures, worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import tilework as tw
from tilework.cli import cli
from tilework.errors import MachineError
from tilework.machine.energy import ENERGIES, PROCESSES
from tilework.machine.load import from_toml, load_machine, machine_names

PICO = 1e-12


@pytest.mark.parametrize(
    ("dtype", "mac"), [("float32", 4.6), ("float16", 2.0), ("bfloat16", 2.0), ("int8", 0.3), ("int16", 0.8874)]
)
def test_macs_at_45_nm(dtype: str, mac: float) -> None:
    """int16's multiplier is (0.2 * 3.1)^0.5 pJ, between int8's and int32's; a quarter of int32's is nearly the same."""
    table = tw.energy_table(45, dtype)
    assert table.mac_joules == pytest.approx(mac * PICO, rel=1e-4)
    assert (table.factor, table.area_factor) == (1, 1)


@pytest.mark.parametrize(
    ("kibibytes", "picojoules"), [(1, 1.25), (8, 1.25), (16, 1.875), (32, 2.5), (128, 6.5), (1024, 12.5), (2048, 14.5)]
)
def test_bytes_on_chip_at_45_nm(kibibytes: int, picojoules: float) -> None:
    assert tw.energy_table().byte_joules(kibibytes << 10) == pytest.approx(picojoules * PICO)


def test_other_nodes_by_hand() -> None:
    """65 nm at 1.1 V: 3.755 * 1.21 - 4.398 * 1.1 + 1.975 = 1.68075; 45 nm at 0.9 V: 0.84433."""
    at_45 = 1.103 * 0.81 - 0.362 * 0.9 + 0.2767
    assert tw.energy_table(65).factor == pytest.approx((3.755 * 1.21 - 4.398 * 1.1 + 1.975) / at_45)
    assert tw.energy_table(65, voltage=1.3).factor == pytest.approx(2.604 / at_45, rel=1e-3)  # the authors' example
    assert tw.energy_table(65).area_factor == 1.5
    middle = (tw.energy_table(32).factor + 2 * tw.energy_table(20).factor) / 3
    assert tw.energy_table(24).factor == pytest.approx(middle)
    assert tw.energy_table(24).area_factor == pytest.approx((0.46 + 2 * 0.21) / 3)


@given(st.integers(7, 129), st.sampled_from(list(ENERGIES)), st.integers(0, 1 << 27))
def test_a_smaller_process_takes_less(node: int, dtype: str, size: int) -> None:
    smaller, larger = tw.energy_table(node, dtype), tw.energy_table(node + 1, dtype)
    assert 0 < smaller.mac_joules < larger.mac_joules
    assert 0 < smaller.byte_joules(size) < larger.byte_joules(size)
    assert 0 < smaller.mac_area_mm2 < larger.mac_area_mm2
    assert smaller.dram_byte_joules == larger.dram_byte_joules
    assert smaller.byte_joules(size) <= smaller.byte_joules(size + 1)


@pytest.mark.parametrize("name", machine_names())
def test_the_catalogue_has_the_tables_energies(name: str) -> None:
    """To the digits that the files write."""
    machine = load_machine(name)
    table = tw.energy_table()
    for dtype, joules in machine.matrix.energy_per_mac_joules.items():
        assert joules == pytest.approx(tw.energy_table(45, dtype).mac_joules)
    assert machine.vector.energy_per_operation_joules == pytest.approx(table.lane_joules)
    for memory in filter(None, (machine.nram, machine.wram, machine.sram)):
        found = table.byte_joules(memory.capacity_bytes)
        assert memory.energy_per_byte_joules == pytest.approx(found, abs=0.005 * PICO)
    dram = table.hbm_byte_joules if name == "datacentre" else table.dram_byte_joules
    assert machine.dram.energy_per_byte_joules == pytest.approx(dram)


def test_a_machine_at_another_node_takes_the_same_time() -> None:
    machine, graph = load_machine("dlp-m4"), tw.load("lenet5")
    scaled = tw.at_node(machine, 7)
    ours, theirs = tw.compile(graph, machine).cost, tw.compile(graph, scaled).cost
    assert ours.cycles == theirs.cycles
    factor = tw.energy_table(7).factor
    expected = {part: joules * (1 if part == "dram" else factor) for part, joules in ours.energy.items()}
    assert theirs.energy == pytest.approx(expected)
    assert scaled.sources[-1].endswith("energies on chip scaled from 45 to 7 nm")


def test_area_by_hand() -> None:
    """diannao: 256 MACs of float16 (1640 + 4184 um2), 16 lanes of float32 (11884), 36 KiB of 5.536 um2 a byte."""
    area = tw.area_estimate(load_machine("diannao"))
    assert area.matrix == pytest.approx(256 * 5824e-6)
    assert area.vector == pytest.approx(16 * 11884e-6)
    assert area.memory == pytest.approx(36 * 1024 * 5.536e-6)
    assert area.total == pytest.approx(area.matrix + area.vector + area.memory)
    chip = tw.area_estimate(load_machine("dlp-m16"), 65)
    core = tw.area_estimate(load_machine("dlp-s"), 65)
    assert chip.matrix == pytest.approx(16 * core.matrix)
    assert chip.memory == pytest.approx(16 * core.memory + 4 * (2 << 20) * 1.5 * 5.536e-6)


def test_a_multiplier_is_as_large_as_its_largest_dtype() -> None:
    machine = load_machine("dlp-s")
    few = replace(machine, matrix=replace(machine.matrix, rates={"int8": 4}, energy_per_mac_joules={"int8": 1e-12}))
    assert tw.area_estimate(few).matrix == pytest.approx(256 * 4 * 419e-6)
    assert tw.area_estimate(machine).matrix == pytest.approx(256 * 11884e-6)


def test_the_command_scales_and_marks_the_estimate() -> None:
    text = CliRunner().invoke(cli, ["machines", "dlp-s", "--node", "16"]).stdout
    assert "# Area: an estimate of " in text
    assert "at 16 nm" in text
    assert from_toml(text).matrix.energy_per_mac_joules["int8"] == pytest.approx(tw.energy_table(16, "int8").mac_joules)
    (entry,) = json.loads(CliRunner().invoke(cli, ["machines", "dlp-s", "--json"]).stdout)["machines"]
    assert entry["area_estimate_mm2"]["total"] == pytest.approx(tw.area_estimate(load_machine("dlp-s")).total)
    assert entry["area_node_nm"] == 45


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((45, "int4"), "the dtype must be one of float32, float16, bfloat16, int16, int8, not 'int4'; choose one"),
        ((5,), "the process must be from 7 to 130 nm, not 5; choose one"),
        ((180,), "the process must be from 7 to 130 nm, not 180; choose one"),
    ],
)
def test_mistakes(arguments: tuple[int, str], sentence: str) -> None:
    with pytest.raises(MachineError) as caught:
        tw.energy_table(*arguments)
    assert str(caught.value) == sentence


def test_an_accelerator_has_no_energies() -> None:
    result = CliRunner().invoke(cli, ["machines", "t4", "--node", "7"])
    assert result.stderr == "tilework: --node must go with processors described in full, unlike t4; leave it out\n"


def test_it_prints_and_becomes_a_dictionary() -> None:
    table = tw.energy_table(7, "int8")
    assert str(table).splitlines()[0].split() == ["at", "7", "nm", "energy"]
    assert table.to_dict()["mac_joules"] == table.mac_joules
    assert set(table.to_dict()["byte_joules"]) == {"8", "32", "1024"}
    assert list(PROCESSES) == sorted(PROCESSES, reverse=True)
