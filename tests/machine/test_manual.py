"""docs/machines.md is the manual of the file: its tables are those of the code, its examples are read."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from tilework.machine.convert import to_dict
from tilework.machine.load import from_toml, load_machine, machine_names, to_toml

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs" / "machines.md").read_text("utf-8")


def test_the_tables_are_those_of_the_code(make_docs: ModuleType) -> None:
    assert make_docs.machine_keys() in MANUAL
    assert make_docs.machines() in MANUAL
    assert make_docs.regenerate(MANUAL) == MANUAL


@pytest.mark.parametrize("name", machine_names())
def test_every_key_of_a_machine_is_in_the_table(name: str) -> None:
    tables = to_dict(load_machine(name))
    tables |= {f"dram.{key}": tables["dram"].pop(key) for key in ("rows", "refresh") if key in tables["dram"]}
    for key, value in tables.items():
        rows = [f"| `[{key}] {inner}` |" for inner in value] if isinstance(value, dict) else [f"| `{key}` |"]
        assert all(row in MANUAL for row in rows)


def test_the_example_of_dtypes_is_read() -> None:
    (example,) = re.findall(r"(    \[matrix\.rates\]\n.*?)\n\nA single", MANUAL, re.DOTALL)
    text = to_toml(load_machine("dlp-s"))
    first, last = text.index("[matrix.rates]"), text.index("[vector]")
    machine = from_toml(f"{text[:first]}{example}\n\n{text[last:]}")
    assert machine.matrix.rates == {"float32": 1, "int8": 4}
    assert machine.matrix.energy_per_mac_joules == {"float32": 4.6e-12, "int8": 0.3e-12}
