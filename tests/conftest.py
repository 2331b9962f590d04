"""What tests of several folders need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tilework.network.activation import ACTIVATIONS
from tilework.network.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
Script = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def unregistered() -> Iterator[None]:
    """What a test registers is gone after it."""
    tables: tuple[dict[str, Any], ...] = (ACTIVATIONS, OPERATIONS)
    before = [set(table) for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        for name in table.keys() - names:
            del table[name]


@pytest.fixture(scope="session")
def script() -> Script:
    """A Python file of the repository that is in no package, by its path, as a module."""

    def loaded(path: str) -> ModuleType:
        name = path.removesuffix(".py").replace("/", "_")
        spec = spec_from_file_location(name, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded


@pytest.fixture(scope="session")
def make_docs(script: Script) -> ModuleType:
    return script("scripts/make_docs.py")


@pytest.fixture(scope="session")
def models(script: Script) -> Any:
    """torchvision.models, also where torchvision's compiled operators don't match this torch: models need none."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    return script("benchmarks/torchvision_models.py").torchvision_models()
