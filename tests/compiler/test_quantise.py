"""Programs in int8 beside a reference in whole numbers, written here in NumPy and torch from the definition alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.calibrate import Samples
from tilework.compiler.options import Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.quantise import quantised_weight
from tilework.errors import CompileError
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races

Array = npt.NDArray[Any]
Small = Callable[..., Machine]

LAYERS = """graph net
input x float32[2,3,9,9]
parameter w float32[8,3,3,3]
parameter b float32[8]
parameter g float32[8,8,3,3]
parameter v float32[5,128]
c = conv2d(x, w, b, padding=[1,1])
r = relu(c)
p = max_pool2d(r)
d = conv2d(p, g, padding=[1,1])
s = sigmoid(d)
f = flatten(s)
y = linear(f, v)
z = softmax(y)
output z
"""


def narrow(machine: Machine) -> Machine:
    """The machine with a matrix unit that multiplies int8 only."""
    return replace(machine, matrix=replace(machine.matrix, rates={"int8": 2}, energy_per_mac_joules={"int8": 1.0}))


def compiled(
    graph: Graph, weights: Weights, machine: Machine, *samples: dict[str, Array], **choices: Any
) -> Compilation:
    options = Options(dtype="int8", **choices)
    return compile_graph(graph, weights, machine, options, samples=Samples(samples, "made here"))


def held(**arrays: Array) -> Weights:
    return Weights({name: (lambda values=values: values) for name, values in arrays.items()}, "made here")


def rounded(values: Array, scale: Any) -> Array:
    """The int8 of values in a unit: the nearest whole number, the even one of two, at most 127 and at least -128."""
    return np.clip(np.rint(values.astype(np.float32) / np.float32(scale)), -128, 127).astype(np.int64)


def scale(values: Array, *kept: int) -> Array:
    others = tuple(axis for axis in range(values.ndim) if axis not in kept)
    return np.asarray(np.abs(values).max(axis=others) / 127)


def convolve(x: Array, w: Array, **how: Any) -> Array:
    """A convolution of whole numbers; float64 holds every sum here exactly."""
    return torch.nn.functional.conv2d(
        torch.tensor(x, dtype=torch.float64), torch.tensor(w, dtype=torch.float64), **how
    ).numpy()


shapes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "groups": st.integers(1, 3),
        "channels": st.integers(1, 3),
        "filters": st.integers(1, 4),
        "kernel": st.integers(1, 3),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 2),
        "size": st.integers(3, 8),
        "nram": st.integers(40, 2000),
        "seed": st.integers(0, 99),
    }
)


def drawn(s: dict[str, int]) -> tuple[Graph, Array, Array, Array, dict[str, Any]]:
    """A convolution with a bias and a ReLU whose output is a pooling of single places, and its values."""
    make = np.random.default_rng(s["seed"])
    c, k, r = s["groups"] * s["channels"], s["groups"] * s["filters"], s["kernel"]
    x = make.standard_normal((s["batch"], c, s["size"], s["size"])).astype(np.float32)
    w = make.standard_normal((k, s["channels"], r, r)).astype(np.float32)
    b = make.standard_normal(k).astype(np.float32)
    padding = min(s["padding"], r - 1)
    how = {"stride": s["stride"], "padding": padding, "groups": s["groups"]}
    text = (
        f"graph g\ninput x float32{list(x.shape)}\nparameter w float32{list(w.shape)}\nparameter b float32[{k}]\n"
        f"c = conv2d(x, w, b, stride=[{how['stride']},{how['stride']}], padding=[{padding},{padding}], "
        f"groups={how['groups']})\nr = relu(c)\ny = max_pool2d(r, kernel=[1,1], stride=[1,1])\noutput y\n"
    )
    return parse_graph(text.replace(", ", ",")), x, w, b, how


@settings(max_examples=30, derandomize=True, deadline=None)
@given(shape=shapes)
def test_a_layer_is_within_one_step_of_the_reference(shape: dict[str, int], small: Small) -> None:
    """The pooling passes the int8 of the ReLU on as they are, so that the output shows them."""
    graph, x, w, b, how = drawn(shape)
    machine = narrow(small(4 * shape["nram"] + 2000, 4096))
    (program,) = [compiled(graph, held(w=w, b=b), machine, {"x": x}).program]
    sums = convolve(rounded(x, scale(x)), rounded(w, scale(w, 0).reshape(-1, 1, 1, 1)), **how)
    unit = float(scale(np.maximum(convolve(x, w, **how) + b.reshape(-1, 1, 1), 0))) or 1.0
    real = sums * (scale(x) * scale(w, 0)).reshape(-1, 1, 1) + b.reshape(-1, 1, 1)
    expected = rounded(np.maximum(real, 0), unit)
    found = run(program, {"x": x}, check_reads=True)["y"] / np.float32(unit)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-3)
    assert np.abs(np.rint(found) - expected).max() <= 1
    assert (np.rint(found) != expected).mean() <= 0.05  # ties that another order of roundings decides
    assert find_races(program) == []


@settings(max_examples=20, derandomize=True, deadline=None)
@given(shape=shapes)
def test_sums_are_exact(shape: dict[str, int], small: Small) -> None:
    """Whole numbers whose largest is 127 are their own int8 form, and a sum of their products comes out as it is."""
    _, x, w, _, how = drawn(shape)
    x, w = np.rint(20 * x), np.rint(20 * w)
    x.flat[0] = 127
    w[:, 0, 0, 0] = -127
    text = (
        f"graph g\ninput x float32{list(x.shape)}\nparameter w float32{list(w.shape)}\n"
        f"y = conv2d(x,w,stride=[{how['stride']},{how['stride']}],padding=[{how['padding']},{how['padding']}],"
        f"groups={how['groups']})\noutput y\n"
    )
    x, w = np.clip(x, -127, 127), np.clip(w, -127, 127)
    graph = parse_graph(text)
    program = compiled(graph, held(w=w), narrow(small(4096, 4096)), {"x": x}).program
    np.testing.assert_array_equal(run(program, {"x": x})["y"], convolve(x, w, **how))


@pytest.mark.parametrize("rows", [1, 7])
def test_a_product_of_two_values_is_exact(rows: int, small: Small) -> None:
    """As in attention: both operands have one scale."""
    make = np.random.default_rng(0)
    x, y = (make.integers(-127, 128, (2, rows, 12)).astype(np.float32) for _ in range(2))
    x.flat[0] = y.flat[0] = 127
    graph = parse_graph(
        f"graph g\ninput x float32[2,{rows},12]\ninput y float32[2,{rows},12]\n"
        "z = matmul(x, y, transpose_y=true)\noutput z\n"
    )
    program = compiled(graph, held(), narrow(small()), {"x": x, "y": y}).program
    np.testing.assert_array_equal(run(program, {"x": x, "y": y})["z"], x @ y.swapaxes(1, 2))


def test_a_whole_network(small: Small) -> None:
    """All layers, one by one, in whole numbers; the sum of the last differs by what single steps make of it."""
    graph = parse_graph(LAYERS)
    weights = seeded(graph)
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32)
    values = execute(graph, weights, {"x": x}, keep=["p", "s", "y"])
    q = {"x": rounded(x, scale(x))}
    w = {n: rounded(weights[n], scale(weights[n], 0).reshape(-1, *[1] * (weights[n].ndim - 1))) for n in "wgv"}
    unit = {n: scale(weights[n], 0) for n in "wgv"}
    conv = convolve(q["x"], w["w"], padding=1) * (scale(x) * unit["w"]).reshape(-1, 1, 1)
    conv += weights["b"].reshape(-1, 1, 1)
    largest = np.abs(execute(graph, weights, {"x": x}, keep=["r"])["r"]).max() / 127
    pooled = rounded(np.maximum(conv, 0), largest)[:, :, :8, :8].reshape(2, 8, 4, 2, 4, 2).max(axis=(3, 5))
    second = convolve(pooled, w["g"], padding=1) * (largest * unit["g"]).reshape(-1, 1, 1)
    gates = rounded(1 / (1 + np.exp(-second)), scale(values["s"]))
    sums = gates.reshape(2, -1) @ w["v"].T * scale(values["s"]) * unit["v"]
    expected = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
    for machine in (narrow(small(3000, 1 << 14)), narrow(small(1 << 16, 1 << 16))):
        found = run(compiled(graph, weights, machine, {"x": x}).program, {"x": x}, check_reads=True)["z"]
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_what_lies_in_dram(small: Small) -> None:
    """The ports are float32, what a product or a pooling reads is int8, and the softmax reads float32."""
    graph = parse_graph(LAYERS)
    x = {"x": np.ones((2, 3, 9, 9), np.float32)}
    compilation = compiled(graph, seeded(graph), narrow(small(1 << 14, 1 << 14)), x)
    groups = compilation.groups
    stored = {group.output.tensor: group.tensors[group.output.tensor].dtype for group in groups}
    assert {name: stored[name] for name in ("x:int8", "p", "s", "z")} == {
        "x:int8": "int8",
        "p": "int8",
        "s": "int8",
        "z": "float32",
    }
    assert [port.dtype for port in (*compilation.program.inputs, *compilation.program.outputs)] == ["float32"] * 2
    weights = 8 * 27 + 8 * 72 + 5 * 128
    assert weights <= compilation.program.weight_bytes <= weights + 4 * (8 + 8 + 8 + 5) + 7 * 64
    assert len(compilation.program.weights()) == compilation.program.weight_bytes


def test_programs_are_deterministic(small: Small) -> None:
    graph = parse_graph(LAYERS)
    x = {"x": np.ones((2, 3, 9, 9), np.float32)}
    first, second = (compiled(graph, seeded(graph), narrow(small(1 << 14, 1 << 14)), x).program for _ in range(2))
    assert first.instructions == second.instructions
    np.testing.assert_array_equal(first.weights(), second.weights())


def test_the_parts_of_a_concatenation_keep_their_channels_scales(small: Small) -> None:
    """Two products write one tensor; one's weights are a thousand times the other's, yet both are exact to a step."""
    text = (
        "graph g\ninput x float32[1,4,5,5]\nparameter u float32[3,4,1,1]\nparameter v float32[2,4,1,1]\n"
        "a = conv2d(x, u)\nb = conv2d(x, v)\nc = concat(a, b)\nw = mul(c, c)\noutput w\n"
    )
    make = np.random.default_rng(0)
    x = make.standard_normal((1, 4, 5, 5)).astype(np.float32)
    u = make.standard_normal((3, 4, 1, 1)).astype(np.float32) * np.array([1000, 1, 30], np.float32).reshape(3, 1, 1, 1)
    v = make.standard_normal((2, 4, 1, 1)).astype(np.float32)
    graph = parse_graph(text)
    values = execute(graph, held(u=u, v=v), {"x": x}, keep=["c"])["c"]
    found = run(compiled(graph, held(u=u, v=v), narrow(small()), {"x": x}).program, {"x": x})["w"]
    step = np.abs(values).max() / 127
    assert np.abs(np.sqrt(np.abs(found)) - np.abs(values)).max() <= 2 * step


def test_a_pad_value_is_in_the_range(small: Small) -> None:
    """What an access reads outside of a tensor must have an int8 too."""
    text = "graph g\ninput x float32[2,8]\nparameter w float32[3,8]\ny = linear(x, w)\nr = relu(y)\n"
    text += "z = pad(r, before=[0,1], after=[0,1], value=100.0)\no = linear(z, v)\noutput o\n"
    text = text.replace("y = lin", "parameter v float32[4,5]\ny = lin")
    graph = parse_graph(text)
    weights, x = seeded(graph), np.random.default_rng(3).random((2, 8), np.float32)
    expected = execute(graph, weights, {"x": x})["o"]
    found = run(compiled(graph, weights, narrow(small()), {"x": x}).program, {"x": x})["o"]
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_a_tensor_of_zeros_has_the_scale_1(small: Small) -> None:
    graph = parse_graph("graph g\ninput x float32[2,4]\nparameter w float32[3,4]\ny = linear(x, w)\noutput y\n")
    zeros = {"x": np.zeros((2, 4), np.float32)}
    weights = held(w=np.array([[0] * 4, [127, 1, 2, 3], [0, 0, 0, 254]], np.float32))
    program = compiled(graph, weights, narrow(small()), zeros).program
    x = np.array([[1, 2, 3, 4], [-300, 0, 0.4, 200]], np.float32)
    np.testing.assert_array_equal(run(program, {"x": x})["y"], [[0, 147, 1016], [0, -128 * 127 + 381, 127 * 254]])


def test_a_weight_in_whole_numbers() -> None:
    values, unit = quantised_weight(np.array([[-2.54, 1.0, 0.01], [0, 0, 0]], np.float32), (0,))
    np.testing.assert_array_equal(values, [[-127, 50, 0], [0, 0, 0]])
    np.testing.assert_allclose(unit, [[0.02], [1]], rtol=1e-6)


def test_what_has_no_range_cannot_be_multiplied(small: Small) -> None:
    graph = parse_graph(
        'graph g\ninput x float32[2,4]\nparameter w float32[3,4]\nv = pointwise(x, body="1 / x0")\n'
        "y = linear(v, w)\noutput y\n"
    )
    with pytest.raises(CompileError) as caught:
        compiled(graph, held(w=np.ones((3, 4), np.float32)), narrow(small()), {"x": np.zeros((2, 4), np.float32)})
    assert str(caught.value) == ("v must be finite for every calibration sample to become int8; leave out the others")


@pytest.mark.parametrize("machine", ["tpu-v1", "nvdla-full", "dlp-m4", "scale-32x32-os"])
def test_machines_of_the_catalogue(machine: str) -> None:
    graph = parse_graph(LAYERS)
    x = np.random.default_rng(1).random((2, 3, 9, 9), np.float32)
    program = compiled(graph, seeded(graph), load_machine(machine), {"x": x}).program
    np.testing.assert_allclose(run(program, {"x": x})["z"], execute(graph, seeded(graph), {"x": x})["z"], atol=0.02)


def test_unfused_values_are_the_same(small: Small) -> None:
    graph = parse_graph(LAYERS)
    x = np.random.default_rng(1).random((2, 3, 9, 9), np.float32)
    machine = narrow(small(1 << 14, 1 << 14))
    apart = compiled(graph, seeded(graph), machine, {"x": x}, fused=False).program
    np.testing.assert_allclose(run(apart, {"x": x})["z"], execute(graph, seeded(graph), {"x": x})["z"], atol=0.02)


def test_the_bound_is_that_of_int8(small: Small) -> None:
    """64 x 64 x 64 multiply-accumulates on 4 x 4 multipliers that do two of int8 a cycle; nothing else takes time."""
    graph = parse_graph("graph g\ninput x float32[64,64]\nparameter w float32[64,64]\ny = linear(x, w)\noutput y\n")
    machine = narrow(small(1 << 17, 1 << 17))
    machine = replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=1e15, latency_cycles=0))
    program = compiled(graph, seeded(graph), machine, {"x": np.ones((64, 64), np.float32)}).program
    layers = {layer.name: layer for layer in simulate(program).layers}
    assert layers["y"].bound_cycles == 64 * 64 * 64 / 32


@settings(max_examples=20, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_networks_have_no_races(
    data: Any, draw: Callable[[Any], tuple[Graph, Compilation]], random_inputs: Any
) -> None:
    """What float32 compiles for a machine, int8 does with as much room; nothing is read that nobody has written."""
    graph, compilation = draw(data)
    inputs = random_inputs(graph)
    if not all(
        np.isfinite(v).all() for v in execute(graph, seeded(graph, 3), inputs, [n.name for n in graph.nodes]).values()
    ):
        return
    machine = narrow(compilation.bundle.machine)
    machine = replace(machine, nram=replace(machine.nram, capacity_bytes=4 * machine.nram.capacity_bytes))
    for program in compiled(graph, seeded(graph, 3), machine, inputs).bundle.programs:
        assert find_races(program) == []
        run(program, {port.name: inputs[port.name] for port in program.inputs}, check_reads=True)
