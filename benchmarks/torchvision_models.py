"""torchvision's models, also where its compiled operators don't fit the installed torch: reading models needs none."""

from __future__ import annotations

import importlib
import sys
from typing import Any

ROIS = "Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width"
SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": f"({ROIS}, int sampling_ratio, bool aligned) -> Tensor",
    "roi_pool": f"({ROIS}) -> (Tensor, Tensor)",
    "ps_roi_align": f"({ROIS}, int sampling_ratio) -> (Tensor, Tensor)",
    "ps_roi_pool": f"({ROIS}) -> (Tensor, Tensor)",
    "deform_conv2d": (
        "(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, int stride_h, int stride_w, int pad_h, "
        "int pad_w, int dilation_h, int dilation_w, int groups, int offset_groups, bool use_mask) -> Tensor"
    ),
}
REGISTERED = ("nms", "qnms")  # by torchvision itself, also without its operators


def torchvision_models() -> Any:
    """The module torchvision.models, after its operators have been declared where the import fails without them."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    _declare()
    return importlib.import_module("torchvision.models")


def _declare() -> None:
    import torch

    for name, schema in SCHEMAS.items():
        torch.library.define(f"torchvision::{name}", schema)
    registrations = importlib.import_module("torchvision._meta_registrations")
    for name in SCHEMAS.keys() - set(REGISTERED):
        torch.library.register_fake(f"torchvision::{name}")(getattr(registrations, f"meta_{name}"))
    for place in ("boxes", "deform_conv", "ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool"):
        module: Any = importlib.import_module(f"torchvision.ops.{place}")
        module._assert_has_ops = lambda: None
        if hasattr(module, "_has_ops"):
            module._has_ops = lambda: True
