"""The operations of the table with shapes and attributes, as the tests of their values have them."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

NETWORK = Path(__file__).resolve().parents[1] / "network"


def cases(file: str) -> list[Any]:
    """Name and case, of which there may be several for an operation."""
    spec = spec_from_file_location(f"cases_of_{file}", NETWORK / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return [pytest.param(name, one, id=f"{name}-{one}") for name, found in module.CASES.items() for one in found]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the arguments `operation` and `one` walks the table."""
    if {"operation", "one"} <= {*metafunc.fixturenames}:
        metafunc.parametrize(("operation", "one"), [*cases("test_operations"), *cases("test_windows")])
