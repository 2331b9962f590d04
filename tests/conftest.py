"""What tests of several folders need."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="session")
def models() -> Any:
    """torchvision.models, also where torchvision's compiled operators don't match this torch: models need none."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    spec = spec_from_file_location("torchvision_models", BENCHMARKS / "torchvision_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.torchvision_models()
