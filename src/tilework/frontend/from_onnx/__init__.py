"""ONNX models as graphs. Operator sets from 7 on; what nobody states is an unknown node, never a reason to give up."""

from tilework.frontend.from_onnx.model import from_onnx, input_shapes, symbols
from tilework.frontend.from_onnx.site import Site, onnx_operator

__all__ = ["Site", "from_onnx", "input_shapes", "onnx_operator", "symbols"]
