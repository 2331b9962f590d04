"""Compiled networks, tiled to tiny scratchpads and run on the processor, against NumPy and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.pipeline import Compilation
from tilework.frontend.onnx_runtime import run_onnx
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.machine.matrix import InnerProductArray
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.functional import run

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Compile = Callable[[Graph, Machine], Compilation]
Inputs = Callable[[Graph], dict[str, Array]]


def assert_close(got: Arrays, want: Arrays) -> None:
    """Equal but for the order of float32 sums: an error relative to the largest value."""
    assert got.keys() == want.keys()
    for name, values in want.items():
        assert got[name].shape == values.shape
        largest = float(np.abs(values[np.isfinite(values)]).max(initial=1))
        np.testing.assert_allclose(got[name], values, rtol=1e-4, atol=1e-5 * largest, err_msg=name)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_networks_on_random_machines(data: Any, draw: Callable[[Any], Any], random_inputs: Inputs) -> None:
    graph, compilation = draw(data)
    inputs = random_inputs(graph)
    assert_close(run(compilation.program, inputs), execute(graph, seeded(graph, 3), inputs))


IMAGE = "input x float32[2,4,9,11]\n"
WEIGHTS = "parameter w float32[6,4,3,3]\nparameter b float32[6]\n"
CASES = {
    "kernel larger than stride": IMAGE + WEIGHTS + "y = conv2d(x, w, b, stride=[2,1], padding=[1,1])\noutput y",
    "stride larger than kernel": IMAGE + "parameter w float32[5,4,1,2]\ny = conv2d(x, w, stride=[2,3])\noutput y",
    "1x1": IMAGE + "parameter w float32[5,4,1,1]\ny = conv2d(x, w)\noutput y",
    "dilated": IMAGE + WEIGHTS + "y = conv2d(x, w, b, dilation=[2,3], padding=[2,4])\noutput y",
    "groups": IMAGE + "parameter w float32[6,2,3,2]\ny = conv2d(x, w, groups=2, padding=[1,1])\noutput y",
    "depthwise": IMAGE + "parameter w float32[4,1,3,3]\ny = conv2d(x, w, groups=4, padding=[1,1])\noutput y",
    "kernel as large as the image": IMAGE + "parameter w float32[7,4,9,11]\ny = conv2d(x, w)\noutput y",
    "padding beyond the kernel": IMAGE + "parameter w float32[2,4,1,2]\ny = conv2d(x, w, padding=[3,4])\noutput y",
    "weight as an input": IMAGE + "input w float32[6,4,3,3]\ny = conv2d(x, w, padding=[1,1])\noutput y",
    "image as a weight": "parameter x float32[1,4,6,6]\ninput w float32[6,4,3,3]\n"
    "y = conv2d(x, w, padding=[1,1])\noutput y",
    "linear": "input x float32[3,50]\nparameter w float32[20,50]\nparameter b float32[20]\n"
    "y = linear(x, w, b)\nr = relu(y)\noutput r",
    "linear of two inputs": "input x float32[3,50]\ninput w float32[7,50]\ny = linear(x, w)\noutput y",
    "flatten then linear": IMAGE + "parameter w float32[5,396]\nf = flatten(x)\ny = linear(f, w)\noutput y",
    "flattened weight": IMAGE + "parameter w float32[5,4,9,11]\nf = flatten(x)\ng = flatten(w)\n"
    "y = linear(f, g)\noutput y",
    "flatten as output": IMAGE + "f = flatten(x)\noutput f",
    "flatten of all axes": IMAGE + "r = relu(x)\nf = flatten(r, start=0)\noutput f\noutput r",
    "flatten of a flattened tensor": IMAGE + "f = flatten(x, start=2)\ng = flatten(f)\nr = relu(g)\noutput r",
    "fused pooling": IMAGE + WEIGHTS + "y = conv2d(x, w, b)\nr = relu(y)\np = max_pool2d(r)\noutput p",
    "pooling twice": IMAGE + "r = relu(x)\np = max_pool2d(r)\nq = avg_pool2d(p)\noutput q",
    "pooling that drops a row": IMAGE + WEIGHTS + "y = conv2d(x, w, b, padding=[1,1])\np = avg_pool2d(y)\noutput p",
    "overlapping windows": IMAGE + "r = relu(x)\n"
    "p = max_pool2d(r, kernel=[3,3], stride=[2,2], padding=[1,1], ceil=true)\noutput p",
    "dilated windows": IMAGE + "p = max_pool2d(x, kernel=[2,3], stride=[1,2], dilation=[3,2])\noutput p",
    "padded mean": IMAGE + "p = avg_pool2d(x, kernel=[3,2], stride=[2,2], padding=[1,1])\noutput p",
    "even adaptive pooling": IMAGE + "p = adaptive_avg_pool2d(x, output=[3,1])\noutput p",
    "uneven adaptive pooling, then relu": IMAGE + "p = adaptive_avg_pool2d(x, output=[2,3])\nr = relu(p)\noutput r",
    "global pooling of a convolution": IMAGE + WEIGHTS + "y = conv2d(x, w)\n"
    "p = adaptive_avg_pool2d(y)\nf = flatten(p)\noutput f",
    "local response normalisation": IMAGE + "r = relu(x)\n"
    "y = local_response_norm(r, alpha=0.5, k=2.0)\nz = relu(y)\noutput z",
    "even local response normalisation": IMAGE + "y = local_response_norm(x, size=4, alpha=0.5)\noutput y",
    "softmax": "input x float32[5,70]\ny = softmax(x)\noutput y",
    "residual": IMAGE + "parameter w float32[4,4,3,3]\ny = conv2d(x, w, padding=[1,1])\nz = add(y, x)\n"
    "r = relu(z)\ns = add(r, z)\noutput s",
    "twice the same": IMAGE + "y = relu(x)\nz = add(y, y)\noutput z",
    "outputs that are read": IMAGE + WEIGHTS + "y = conv2d(x, w)\nr = relu(y)\np = max_pool2d(r)\n"
    "output p\noutput y\noutput r\noutput x\noutput p",
    "dropout as output": IMAGE + "d = dropout(x)\ne = dropout(d)\nr = relu(d)\noutput e\noutput r",
    "numbers": "input x float32[]\ny = relu(x)\nz = add(y, x)\noutput z",
    "8 axes": "input x float32[2,1,3,2,2,1,2,3]\ny = relu(x)\nf = flatten(y, start=3)\noutput f",
    "constants only": "parameter w float32[3,3]\ny = relu(w)\noutput y",
}


def normalised(before: str, channels: int, *steps: str) -> str:
    """Nodes, some of them `name = source` for a batch normalisation of the source."""
    parameters = "".join(f"parameter {name} float32[{channels}]\n" for name in ("gamma", "beta", "mean", "variance"))
    nodes = []
    for step in steps:
        name, _, source = step.partition(" = ")
        norm = f"batch_norm({source}, gamma, beta, mean, variance, epsilon=0.01)"
        nodes.append(step if "(" in step or not source else f"{name} = {norm}")
    return before + parameters + "\n".join(nodes)


CASES |= {
    "normalised": normalised(IMAGE, 4, "y = x", "r = relu(y)", "output r"),
    "normalised rows": normalised("input x float32[5,7]\n", 7, "y = x", "output y"),
    "normalised convolution": normalised(IMAGE + WEIGHTS, 6, "y = conv2d(x, w, b)", "z = y", "output z"),
    "normalised layers of one weight": normalised(
        "input x float32[3,6]\nparameter w float32[6,6]\n",
        6,
        *("y = linear(x, w)", "z = y", "u = linear(z, w)", "v = u", "output v"),
    ),
}
SIZES = ((128, 64), (1000, 600), (6000, 8000), (1 << 20, 1 << 20))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_each_kind_of_network(
    text: str, sizes: tuple[int, int], compile_grown: Compile, random_inputs: Inputs, small: Callable[..., Machine]
) -> None:
    graph = parse_graph(f"graph case\n{text}\n")
    inputs = random_inputs(graph)
    compilation = compile_grown(graph, small(*sizes))
    assert_close(run(compilation.program, inputs), execute(graph, seeded(graph, 3), inputs))


@pytest.mark.parametrize("text", [text for name, text in CASES.items() if name != "numbers"])
def test_onnx_runtime_agrees(
    text: str, compile_grown: Compile, random_inputs: Inputs, small: Callable[..., Machine]
) -> None:
    graph = parse_graph(f"graph case\n{text}\n")
    inputs = random_inputs(graph)
    machine = replace(
        small(700, 500),
        matrix=InnerProductArray(
            neurons=3, synapses=5, pipeline_cycles=1, energy_per_mac_joules={"float32": 1.0}, rates={"float32": 1}
        ),
    )
    got = run(compile_grown(graph, machine).program, inputs)
    assert_close(got, run_onnx(graph, seeded(graph, 3), inputs))
