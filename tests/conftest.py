"""What tests of several folders need."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import Any

import pytest

DETECTION = ("roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d")
TORCHVISION_OPERATORS = ("nms", "qnms", "qroi_align", *DETECTION, *(f"_{name}_backward" for name in DETECTION))


@pytest.fixture(scope="session")
def models() -> Any:
    """torchvision.models, also where torchvision's compiled operators don't match this torch: models need none."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    for name in TORCHVISION_OPERATORS:
        torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")
    return importlib.import_module("torchvision.models")
