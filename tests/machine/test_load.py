"""Machines from TOML: files, names, and a sentence for every mistake."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import MachineError
from tilework.machine.convert import from_dict, to_dict
from tilework.machine.leaves import FUNCTIONS
from tilework.machine.load import from_toml, load_machine, machine_names, to_toml

DLP_S = to_toml(load_machine("dlp-s"))


def said(text: str) -> str:
    """The whole error that a TOML text gives."""
    with pytest.raises(MachineError) as caught:
        from_toml(text, "mine.toml")
    return str(caught.value)


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
            "the keys in [matrix] of the kind inner-product must be among kind, neurons, synapses, pipeline_cycles, "
            "rates, energy_per_mac, zero_skipping, not 'neuron'; did you mean 'neurons'?",
        ),
        (
            "[control]",
            "[xyz]\na = 1\n[control]",
            "the keys at the top must be among name, description, sources, clock, chip, dram, sram, nram, wram, "
            "transfer, matrix, vector, control, not 'xyz'; rename or remove it",
        ),
        (
            "exp = 4",
            "sine = 4",
            f"the keys in [vector.cycles] must be among {', '.join(FUNCTIONS)}, not 'sine'; did you mean 'sin'?",
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
            '"round"',
            "matrix.kind must be one of inner-product, scalar-mac, systolic, convolution-core, not 'round'; choose one",
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
    assert said(DLP_S.replace(old, new)) == f"mine.toml: {sentence}"


def test_sources_must_be_a_list() -> None:
    with pytest.raises(MachineError) as caught:
        from_dict({**to_dict(load_machine("dlp-s")), "sources": "a book"})
    assert str(caught.value) == "machine: sources must be a list of texts, not 'a book'; write [\"…\"]"


def test_a_machine_must_be_a_table() -> None:
    with pytest.raises(MachineError) as caught:
        from_dict([])  # type: ignore[arg-type]
    assert str(caught.value) == "machine: a machine must be a table of keys, not []; write it as [dram]"


def test_bad_toml_names_the_line() -> None:
    sentence = "mine.toml must be valid TOML, not with 'Invalid value (at line 2, column 9)'; correct that line"
    assert said("name = 'x'\nclock = \n") == sentence


def test_deep_toml_is_refused() -> None:
    sentence = "mine.toml must be TOML with a few flat tables, but it is nested too deeply"
    assert said("a = " + "[" * 100_000) == sentence


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
    table = place = to_dict(load_machine(data.draw(st.sampled_from(("dlp-m4", "tpu-v1", "nvdla-full")))))
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(VALUES)
    with suppress(MachineError):
        machine = from_dict(table)
        assert from_dict(to_dict(machine)) == machine
