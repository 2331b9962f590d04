"""Machines from TOML: the catalogue, round trips, and a sentence for every mistake."""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import MachineError
from tilework.isa.table import VECTOR_OF
from tilework.machine.convert import from_dict, to_dict
from tilework.machine.load import from_toml, load_machine, machine_hash, machine_names, to_toml
from tilework.machine.machine import Control, Dram, Machine, MatrixUnit, Scratchpad, VectorUnit
from tilework.machine.schema import RatesSection

DLP_S = to_toml(load_machine("dlp-s"))


@pytest.mark.parametrize("name", machine_names())
def test_every_machine_of_the_catalogue_loads(name: str) -> None:
    machine = load_machine(name)
    assert machine.name == name
    assert machine.description
    assert machine.sources
    assert from_toml(to_toml(machine)) == machine


def test_dlp_s_is_the_core_of_the_exercises() -> None:
    machine = load_machine("dlp-s")
    assert machine.clock_hz == 1e9
    assert machine.macs_per_cycle == 256
    assert machine.dram_bytes_per_cycle == 64.0
    assert (machine.nram.capacity_bytes, machine.wram.capacity_bytes) == (128 * 1024, 256 * 1024)
    assert machine.vector.cycles == {"div": 4, "exp": 4, "log": 4, "sqrt": 4, "tanh": 4, "pow": 8}


def test_dlp_s_has_the_energies_of_horowitz() -> None:
    machine = load_machine("dlp-s")
    assert machine.matrix.energy_per_mac_joules == pytest.approx(3.7e-12 + 0.9e-12, rel=1e-12)
    assert machine.vector.energy_per_operation_joules == 0.9e-12
    assert machine.dram.energy_per_byte_joules == pytest.approx(1.3e-9 / 8, rel=1e-12)
    per_doubling = (100e-12 / 8 - 20e-12 / 8) / 5  # from 32 KB to 1 MB
    assert machine.nram.energy_per_byte_joules == pytest.approx(20e-12 / 8 + 2 * per_doubling, rel=1e-12)
    assert machine.wram.energy_per_byte_joules == pytest.approx(20e-12 / 8 + 3 * per_doubling, rel=1e-12)


def test_rates_name_the_functions_of_networks() -> None:
    assert RatesSection.__struct_fields__ == tuple(VECTOR_OF)


TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
ENERGIES = st.floats(0, 1)
SIZES = st.integers(1, 1 << 30).map(lambda n: 4 * n)
CYCLES = st.integers(0, 1_000_000)
COUNTS = st.integers(1, 65536)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    return Machine(
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}", fullmatch=True)),
        description=draw(TEXT),
        sources=tuple(draw(st.lists(TEXT, max_size=3))),
        clock_hz=draw(st.floats(1, 1e12)),
        dram=Dram(4 << 30, draw(st.floats(1, 1e18)), draw(CYCLES), draw(ENERGIES)),
        nram=Scratchpad(draw(SIZES), draw(ENERGIES)),
        wram=Scratchpad(draw(SIZES), draw(ENERGIES)),
        matrix=MatrixUnit("inner-product", draw(COUNTS), draw(COUNTS), draw(CYCLES), draw(ENERGIES)),
        vector=VectorUnit(
            draw(COUNTS),
            draw(CYCLES),
            draw(ENERGIES),
            draw(st.dictionaries(st.sampled_from(tuple(VECTOR_OF)), st.integers(1, 1_000_000))),
        ),
        control=Control(draw(COUNTS)),
    )


@given(machines())
def test_a_machine_comes_back_from_toml_and_from_json(machine: Machine) -> None:
    assert from_toml(to_toml(machine)) == machine
    assert from_dict(json.loads(json.dumps(to_dict(machine)))) == machine
    assert machine_hash(from_toml(to_toml(machine))) == machine_hash(machine)


def test_machines_that_differ_have_other_hashes() -> None:
    machine = load_machine("dlp-s")
    faster = replace(machine, clock_hz=1e9 + 1e-6)
    assert faster != machine
    assert machine_hash(faster) != machine_hash(machine)
    assert len({machine, faster, load_machine("dlp-s")}) == 2


UNITS = "KiB, MiB, GiB, TiB, B, TB, GB, MB, kB, KB"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            '"128 KiB"',
            '"64 GB/s"',
            f"nram.capacity must be a size in bytes such as '128 KiB', not '64 GB/s'; its units are {UNITS}",
        ),
        (
            '"128 KiB"',
            '"-1 KiB"',
            "nram.capacity must be a size in bytes such as '128 KiB', not '-1 KiB'; write a number above 0",
        ),
        (
            '"128 KiB"',
            '"65 GiB"',
            "nram.capacity must be a size in bytes of at most 64 GiB, not '65 GiB'; check its unit",
        ),
        ('"128 KiB"', '"6 B"', "nram.capacity must be a multiple of 4 B (a float32), not '6 B'; round it"),
        (
            '"16 GiB"',
            '"64 KiB"',
            "nram.capacity must be at most dram.capacity, '64 KiB', not '128 KiB'; change one of the two",
        ),
        (
            "neurons = 16",
            'neurons = "16"',
            "matrix.neurons must be a whole number from 1 to 65536, not '16'; write one such as 16",
        ),
        (
            "neurons = 16",
            "neurons = 1e99",
            "matrix.neurons must be a whole number from 1 to 65536, not 1e+99; write one such as 16",
        ),
        (
            "queue_depth = 16",
            "queue_depth = 0",
            "control.queue_depth must be a whole number from 1 to 65536, not 0; write one such as 16",
        ),
        (
            "latency_cycles = 0",
            "latency_cycles = true",
            "dram.latency_cycles must be a whole number from 0 to 1000000, not True; write one such as 4",
        ),
        (
            "neurons = 16",
            "neuron = 16",
            "the keys in [matrix] must be among kind, neurons, synapses, pipeline_cycles, energy_per_mac, "
            "not 'neuron'; did you mean 'neurons'?",
        ),
        (
            "[control]",
            "[xyz]\na = 1\n[control]",
            "the keys at the top must be among name, clock, dram, nram, wram, matrix, vector, control, description, "
            "sources, not 'xyz'; rename or remove it",
        ),
        (
            "exp = 4",
            "sin = 4",
            "the keys in [vector.cycles] must be among add, sub, mul, div, max, min, pow, exp, log, sqrt, tanh, "
            "not 'sin'; did you mean 'min'?",
        ),
        (
            "exp = 4",
            "exp = 0",
            "vector.cycles.exp must be a whole number from 1 to 1000000, not 0; write one such as 4",
        ),
        (
            "neurons = 16\n",
            "",
            "the key matrix.neurons must be there, but is missing; add it, as in neurons = 16",
        ),
        (
            'bandwidth = "64 GB/s"\n',
            "",
            "the key dram.bandwidth must be there, but is missing; add it, as in bandwidth = '64 GB/s'",
        ),
        (
            "[control]\nqueue_depth = 16",
            "",
            "the key control must be there, but is missing; add it, as in a table [control]",
        ),
        (
            "[control]\nqueue_depth = 16",
            "[[control]]\nqueue_depth = 16",
            "control must be a table of keys, not [{'queue_depth': 16}]; write it as [control]",
        ),
        (
            '"inner-product"',
            '"systolic"',
            "matrix.kind must be one of inner-product, not 'systolic'; write one such as 'inner-product'",
        ),
        (
            'name = "dlp-s"',
            'name = "my dlp"',
            "name must be a name of 1 to 64 letters, digits, '-', '_' or '.', that begins with a letter or a digit, "
            "not 'my dlp'; write one such as 'my-dlp'",
        ),
        (
            'description = "',
            'description = 3 # "',
            "description must be text of at most 2000 characters, not 3; write one such as 'what it is'",
        ),
    ],
)
def test_every_mistake_has_its_sentence(old: str, new: str, sentence: str) -> None:
    assert DLP_S.count(old) == 1
    with pytest.raises(MachineError) as caught:
        from_toml(DLP_S.replace(old, new), "mine.toml")
    assert str(caught.value) == f"mine.toml: {sentence}"


def test_sources_must_be_a_list() -> None:
    with pytest.raises(MachineError) as caught:
        from_dict({**to_dict(load_machine("dlp-s")), "sources": "a book"})
    assert str(caught.value) == "machine: sources must be a list of texts, not 'a book'; write [\"…\"]"


def test_a_machine_must_be_a_table() -> None:
    with pytest.raises(MachineError) as caught:
        from_dict([])  # type: ignore[arg-type]
    assert str(caught.value) == "machine: a machine must be a table of keys, not []; write it as [dram]"


def test_bad_toml_names_the_line() -> None:
    with pytest.raises(MachineError) as caught:
        from_toml("name = 'x'\nclock = \n", "mine.toml")
    assert (
        str(caught.value)
        == "mine.toml must be valid TOML, not with 'Invalid value (at line 2, column 9)'; correct that line"
    )


def test_deep_toml_is_refused() -> None:
    with pytest.raises(MachineError) as caught:
        from_toml("a = " + "[" * 100_000, "mine.toml")
    assert str(caught.value) == "mine.toml must be TOML with a few flat tables, but it is nested too deeply"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MachineError) as caught:
        load_machine("tpu")
    known = ", ".join(machine_names())
    assert str(caught.value) == (
        f"a machine must be one of {known} or a path that ends in .toml, not 'tpu'; 'tilework machines' lists the names"
    )


def test_a_machine_loads_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DLP_S.replace('name = "dlp-s"', 'name = "mine"'), encoding="utf-8")
    assert load_machine(path) == load_machine(str(path)) == replace(load_machine("dlp-s"), name="mine")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "must be a TOML file that can be read, not one with 'No such file or directory'; check the path"),
        (b"name = '\xff'", "must be text in UTF-8, but byte 8 is not; save it as UTF-8 or check the path"),
        (b"#" * (1 << 20) + b"#", "must be a machine's TOML file of at most 1 MiB, but is larger; check the path"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MachineError) as caught:
        load_machine(path)
    assert str(caught.value) == f"{path} {sentence}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_anything_in_place_of_any_value_is_a_machine_or_an_error(data: st.DataObject) -> None:
    table = place = tomllib.loads(DLP_S)
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(VALUES)
    with suppress(MachineError):
        machine = from_dict(table)
        assert from_dict(to_dict(machine)) == machine
