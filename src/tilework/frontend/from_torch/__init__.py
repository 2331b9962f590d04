"""Networks from torch: any eager module, and what torch.export made."""

from tilework.frontend.from_torch.registry import torch_operator
from tilework.frontend.from_torch.trace import from_torch, trace_blocks

__all__ = ["from_torch", "torch_operator", "trace_blocks"]
