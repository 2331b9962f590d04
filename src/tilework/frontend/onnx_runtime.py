"""The independent second opinion on values: a graph run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tilework.errors import NetworkError
from tilework.frontend.to_onnx import save_onnx
from tilework.frontend.weight_files import package
from tilework.network.graph import Graph
from tilework.network.weights import Array

SILENT = 4  # ONNX Runtime's log level "fatal"; it raises its errors besides logging them


def run_onnx(
    graph: Graph, weights: Mapping[str, Array] | None, inputs: Mapping[str, Array], threads: int = 1
) -> dict[str, Array]:
    """The graph's outputs by name, as ONNX Runtime computes them on the CPU.

    `inputs` holds an array of the declared shape for each input; weights=None means seeded, seed 0.
    Raises NetworkError for unfit inputs, MissingPackageError, and what `to_onnx` raises.
    """
    runtime = package("onnxruntime", "onnx", "running a network in ONNX Runtime")
    feed = _feed(graph, inputs)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(graph, path, weights)
        session = runtime.InferenceSession(str(path), _options(runtime, threads), providers=["CPUExecutionProvider"])
    names = list(dict.fromkeys(graph.outputs))
    return dict(zip(names, session.run(names, feed), strict=True))


def _options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    return options


def _feed(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    names = [tensor.name for tensor in graph.inputs]
    if set(names) != set(inputs):
        raise NetworkError(
            f"network {graph.name} must get the inputs {', '.join(names)}, not {', '.join(inputs) or 'none'}"
        )
    for tensor in graph.inputs:
        shape = np.shape(inputs[tensor.name])
        if shape != tensor.shape:
            raise NetworkError(f"input {tensor.name} must have the shape {list(tensor.shape)}, not {list(shape)}")
    return {t.name: np.array(inputs[t.name], t.dtype, order="C") for t in graph.inputs}
