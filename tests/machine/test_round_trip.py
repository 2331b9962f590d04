"""Machines of every kind to dictionaries, JSON and TOML, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.machine.convert import from_dict, to_dict
from tilework.machine.leaves import DTYPES, FUNCTIONS
from tilework.machine.load import from_toml, load_machine, machine_hash, machine_names, to_toml
from tilework.machine.machine import Control, Dram, Machine, Refresh, Rows, Scratchpad, Sram, VectorUnit
from tilework.machine.matrix import (
    DATAFLOWS,
    ConvolutionCore,
    InnerProductArray,
    MatrixUnit,
    ScalarMacArray,
    SystolicArray,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
ENERGIES = st.floats(0, 1)
SIZES = st.integers(1, 1 << 30).map(lambda n: 4 * n)
BANDWIDTHS = st.floats(1, 1e18)
CYCLES = st.integers(0, 1_000_000)
COUNTS = st.integers(1, 65536)
WIDTHS = st.integers(0, 1 << 20)
SEVERAL = st.integers(1, 256)
KINDS: tuple[tuple[Any, dict[str, st.SearchStrategy[Any]]], ...] = (
    (InnerProductArray, {"neurons": COUNTS, "synapses": COUNTS}),
    (ScalarMacArray, {"macs": COUNTS}),
    (SystolicArray, {"array_rows": COUNTS, "array_columns": COUNTS, "dataflow": st.sampled_from(DATAFLOWS)}),
    (ConvolutionCore, {"macs": COUNTS, "atom": COUNTS, "winograd": st.booleans()}),
)


@st.composite
def matrix_units(draw: st.DrawFn) -> MatrixUnit:
    dtypes = draw(st.lists(st.sampled_from(DTYPES), min_size=1, unique=True))
    common = {
        "pipeline_cycles": draw(CYCLES),
        "rates": {dtype: draw(SEVERAL) for dtype in dtypes},
        "energy_per_mac_joules": {dtype: draw(ENERGIES) for dtype in dtypes},
    }
    kind, own = draw(st.sampled_from(KINDS))
    unit: MatrixUnit = kind(**common, **{name: draw(values) for name, values in own.items()})
    return unit


@st.composite
def drams(draw: st.DrawFn) -> Dram:
    burst, interval = draw(COUNTS), draw(st.integers(2, 1_000_000))
    rows = st.builds(Rows, st.integers(1, 1 << 8).map(burst.__mul__), st.integers(1, 1 << 7), CYCLES)
    refreshes = st.builds(Refresh, st.just(interval), st.integers(0, interval - 1))
    some = draw(st.none() | rows), draw(st.none() | refreshes)
    return Dram(4 << 30, draw(BANDWIDTHS), draw(CYCLES), draw(ENERGIES), burst, *some)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    cycles = draw(st.dictionaries(st.sampled_from(FUNCTIONS), st.integers(1, 1_000_000), max_size=4))
    srams = st.builds(Sram, SIZES, BANDWIDTHS, CYCLES, ENERGIES, COUNTS)
    return Machine(
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}", fullmatch=True)),
        description=draw(TEXT),
        sources=tuple(draw(st.lists(TEXT, max_size=3))),
        clock_hz=draw(st.floats(1, 1e12)),
        dram=draw(drams()),
        nram=Scratchpad(draw(SIZES), draw(ENERGIES), draw(WIDTHS), draw(st.integers(0, 65536))),
        wram=Scratchpad(draw(SIZES), draw(ENERGIES), draw(WIDTHS)),
        matrix=draw(matrix_units()),
        vector=VectorUnit(draw(COUNTS), draw(CYCLES), draw(ENERGIES), cycles),
        control=Control(draw(COUNTS)),
        clusters=draw(SEVERAL),
        cores=draw(SEVERAL),
        sram=draw(st.none() | srams),
        transfer_bytes_per_cycle=draw(WIDTHS),
    )


def check_round_trips(machine: Machine) -> None:
    text = to_toml(machine)
    assert from_toml(text) == machine
    assert to_toml(from_toml(text)) == text
    assert from_dict(json.loads(json.dumps(to_dict(machine)))) == machine
    assert machine_hash(from_toml(text)) == machine_hash(machine)


@given(machines())
def test_a_machine_comes_back_from_toml_and_from_json(machine: Machine) -> None:
    check_round_trips(machine)


@pytest.mark.parametrize("name", machine_names())
def test_every_machine_of_the_catalogue_comes_back(name: str) -> None:
    check_round_trips(load_machine(name))


def test_machines_that_differ_have_other_hashes() -> None:
    machine = load_machine("dlp-s")
    faster = replace(machine, clock_hz=1e9 + 1e-6)
    assert faster != machine
    assert machine_hash(faster) != machine_hash(machine)
    assert len({machine, faster, load_machine("dlp-s")}) == 2


def test_the_order_of_dtypes_makes_another_machine() -> None:
    unit = load_machine("dlp-s").matrix
    first, second = (replace(unit, rates=rates) for rates in ({"float32": 1, "int8": 4}, {"int8": 4, "float32": 1}))
    assert first.rates == second.rates
    assert first != second
    one, other = (
        replace(load_machine("dlp-s"), matrix=replace(matrix, energy_per_mac_joules={"float32": 0.0, "int8": 0.0}))
        for matrix in (first, second)
    )
    assert (one.dtype, other.dtype) == ("float32", "int8")
    assert machine_hash(one) != machine_hash(other)
    assert from_toml(to_toml(other)).dtype == "int8"


def test_the_order_of_function_rates_makes_no_other_machine() -> None:
    machine = load_machine("dlp-s")
    turned = replace(machine, vector=replace(machine.vector, cycles=dict(reversed(machine.vector.cycles.items()))))
    assert turned == machine
    assert machine_hash(turned) == machine_hash(machine)
