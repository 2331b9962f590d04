"""What `tilework count resnet152` is compared with: torchinfo on torchvision's network.

torchvision from PyPI may be built for another torch than the one that is installed (CUDA's against the CPU's); its
compiled operators then don't load and its import fails, although the network needs none of them. Declaring the two
that the import looks up is enough.
"""

from __future__ import annotations

import torch

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

library = torch.library.Library("torchvision", "FRAGMENT")
try:
    import torchvision
except RuntimeError:
    for operator in OPERATORS:
        library.define(operator)
    import torchvision

from torchinfo import summary  # noqa: E402

summary(torchvision.models.resnet152(), (1, 3, 224, 224))
