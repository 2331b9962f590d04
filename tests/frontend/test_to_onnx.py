"""ONNX export: every row of the operation table, run by ONNX Runtime, against the nests read point by point."""

from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilework.errors import NetworkError
from tilework.frontend.onnx_runtime import run_onnx
from tilework.frontend.to_onnx import EXPORTERS, to_onnx
from tilework.frontend.weight_files import seeded, shipped
from tilework.frontend.zoo import network
from tilework.network.execute import execute
from tilework.network.functions import FUNCTIONS, UPDATES
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.graph_text import parse_graph
from tilework.network.nest import Access, Apply, Constant, Expression, Nest
from tilework.network.operations import OPERATIONS, Shape

Array = npt.NDArray[Any]
Case = tuple[str, tuple[Shape, ...], dict[str, Any]]

IMAGE = (2, 4, 7, 9)
CASES: list[Case] = [
    ("conv2d", (IMAGE, (6, 4, 3, 2)), {}),
    ("conv2d", (IMAGE, (6, 4, 3, 3), (6,)), {"stride": (2, 3), "padding": (1, 2)}),
    ("conv2d", (IMAGE, (6, 2, 3, 1), (6,)), {"groups": 2, "dilation": (2, 3), "padding": (2, 0)}),
    ("conv2d", (IMAGE, (4, 1, 3, 3)), {"groups": 4, "padding": (1, 1)}),
    ("conv2d", (IMAGE, (5, 4, 7, 9), (5,)), {}),
    ("linear", ((3, 8), (5, 8)), {}),
    ("linear", ((1, 8), (5, 8), (5,)), {}),
    ("max_pool2d", (IMAGE,), {}),
    ("max_pool2d", (IMAGE,), {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 1), "dilation": (1, 2)}),
    ("max_pool2d", (IMAGE,), {"kernel": (2, 2), "stride": (2, 2), "ceil": True}),
    ("max_pool2d", (IMAGE,), {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "ceil": True}),
    ("max_pool2d", ((1, 2, 11, 9),), {"kernel": (2, 2), "stride": (5, 4), "dilation": (3, 3), "ceil": True}),
    ("avg_pool2d", (IMAGE,), {}),
    ("avg_pool2d", (IMAGE,), {"kernel": (3, 2), "stride": (1, 3), "padding": (1, 1)}),
    ("adaptive_avg_pool2d", (IMAGE,), {}),
    ("adaptive_avg_pool2d", (IMAGE,), {"output": (7, 3)}),
    ("adaptive_avg_pool2d", (IMAGE,), {"output": (3, 4)}),
    ("adaptive_avg_pool2d", (IMAGE,), {"output": (1, 2)}),
    ("adaptive_avg_pool2d", (IMAGE,), {"output": (10, 9)}),
    ("relu", ((3,),), {}),
    ("relu", (IMAGE,), {}),
    ("add", (IMAGE, IMAGE), {}),
    ("batch_norm", ((3, 4), *((4,),) * 4), {}),
    ("batch_norm", ((2, 4, 5), *((4,),) * 4), {"epsilon": 0.1}),
    ("batch_norm", (IMAGE, *((4,),) * 4), {"epsilon": 1e-3}),
    ("local_response_norm", (IMAGE,), {}),
    ("local_response_norm", (IMAGE,), {"size": 3, "alpha": 0.5, "beta": 0.6, "k": 2.0}),
    ("local_response_norm", (IMAGE,), {"size": 4, "alpha": 0.5, "beta": 0.6, "k": 2.0}),
    ("local_response_norm", (IMAGE,), {"size": 1, "alpha": 0.5}),
    ("softmax", ((3, 7),), {}),
    ("softmax", ((2, 3, 4),), {"axis": 1}),
    ("conv2d", (IMAGE, (6, 4, 3, 3)), {"padding": (1, 0), "extra": (1, 2)}),
    ("conv2d", (IMAGE, (6, 4, 2, 3)), {"padding": (1, 2), "extra": (-1, -1)}),
    ("max_pool2d", (IMAGE,), {"kernel": (3, 3), "extra": (1, 1)}),
    ("avg_pool2d", (IMAGE,), {"kernel": (3, 3), "padding": (1, 1), "count_padding": False}),
    ("avg_pool2d", (IMAGE,), {"kernel": (3, 3), "extra": (1, 1), "count_padding": False}),
    ("avg_pool2d", (IMAGE,), {"kernel": (3, 3), "padding": (1, 0), "extra": (1, 1)}),
    ("sigmoid", (IMAGE,), {}),
    ("tanh", (IMAGE,), {}),
    ("clip", (IMAGE,), {"low": -0.5, "high": 0.5}),
    ("add", (IMAGE, (4, 1, 1)), {}),
    ("sub", (IMAGE, (9,)), {}),
    ("mul", (IMAGE, ()), {}),
    ("div", ((3, 4), (4,)), {}),
    ("reshape", (IMAGE,), {"shape": (8, 63)}),
    ("transpose", (IMAGE,), {"order": (0, 3, 1, 2)}),
    ("concat", (IMAGE, IMAGE), {}),
    ("concat", ((2, 3), (4, 3), (1, 3)), {"axis": 0}),
    ("conv1d", ((2, 4, 9), (6, 2, 3), (6,)), {"groups": 2, "stride": (2,), "padding": (1,), "extra": (1,)}),
    ("conv3d", ((1, 2, 4, 5, 3), (3, 2, 2, 3, 1), (3,)), {"padding": (1, 1, 0), "dilation": (1, 2, 1)}),
    ("conv_transpose1d", ((2, 3, 4), (3, 2, 3), (2,)), {"stride": (2,), "padding": (1,), "output_padding": (1,)}),
    ("conv_transpose2d", ((2, 4, 3, 2), (4, 3, 2, 3), (6,)), {"groups": 2, "stride": (2, 3), "padding": (1, 0)}),
    ("conv_transpose2d", ((2, 4, 3, 2), (4, 3, 2, 3)), {"dilation": (1, 2), "padding": (0, 1)}),
    ("conv_transpose3d", ((1, 2, 2, 3, 2), (2, 2, 2, 1, 3)), {"stride": (2, 1, 2), "output_padding": (1, 0, 1)}),
    ("linear", ((8,), (5, 8), (5,)), {}),
    ("linear", ((2, 3, 8), (5, 8)), {}),
    ("matmul", ((3, 4), (4, 5)), {}),
    ("matmul", ((2, 1, 4, 3), (5, 2, 4)), {"transpose_x": True, "transpose_y": True}),
    ("max_pool1d", ((2, 3, 9),), {"kernel": (3,), "padding": (1,), "ceil": True}),
    ("max_pool3d", ((1, 2, 5, 4, 6),), {"kernel": (2, 3, 2), "dilation": (2, 1, 1)}),
    ("avg_pool1d", ((2, 3, 9),), {"kernel": (3,), "padding": (1,), "ceil": True}),
    ("avg_pool2d", (IMAGE,), {"kernel": (3, 3), "padding": (1, 1), "ceil": True, "count_padding": False}),
    ("avg_pool2d", (IMAGE,), {"kernel": (3, 3), "divisor": 5}),
    ("avg_pool3d", ((1, 2, 5, 4, 6),), {"kernel": (2, 3, 2), "padding": (1, 0, 1)}),
    ("adaptive_avg_pool1d", ((2, 3, 9),), {"output": (4,)}),
    ("adaptive_avg_pool3d", ((1, 2, 5, 4, 6),), {"output": (2, 4, 3)}),
    ("adaptive_avg_pool3d", ((1, 2, 5, 4, 6),), {}),
    ("adaptive_max_pool1d", ((2, 3, 9),), {"output": (3,)}),
    ("adaptive_max_pool2d", (IMAGE,), {"output": (3, 4)}),
    ("adaptive_max_pool3d", ((1, 2, 5, 4, 6),), {}),
    ("pointwise", (IMAGE,), {"what": "gelu", "body": "0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))"}),
    ("pointwise", ((2, 1, 3), (4, 1), ()), {"body": "select(less(x0, x1), floor(x0 * 3), round(x2))"}),
    ("pointwise", ((2, 3), (2, 3)), {"body": "and(less(x0, 0.5), or(less(0, x1), not(equal(x0, x0)))) + less(x1, x0)"}),
    ("pointwise", ((3,), (2, 1)), {"body": "not(x0)"}),
    ("pointwise", ((3,), (2, 1)), {"body": "max(sin(x0), 0.25) - pow(abs(x0) / (1 + exp(x0)), cos(x0))"}),
    ("pointwise", ((3,),), {"body": "x0"}),
    ("pointwise", ((3,),), {"body": "min(sqrt(abs(x0)), tanh(log(2)))"}),
    ("pointwise", (), {"body": "3 / 2", "shape": (2, 3)}),
    ("reduce", (IMAGE,), {"axes": (1, 3)}),
    ("reduce", (IMAGE,), {"what": "amax", "update": "max=", "keep": True}),
    ("reduce", (IMAGE,), {"what": "amin", "update": "min=", "axes": (2,)}),
    ("reduce", (IMAGE,), {"what": "mean", "mean": True, "axes": (3,), "keep": True}),
    ("log_softmax", ((2, 3, 4),), {"axis": 1}),
    ("layer_norm", ((2, 3, 4), (3, 4), (3, 4)), {"axes": 2}),
    ("layer_norm", ((2, 3, 4), (4,)), {"epsilon": 0.1}),
    ("layer_norm", ((2, 3, 4),), {"axes": 3}),
    ("rms_norm", ((2, 3, 4), (4,)), {}),
    ("rms_norm", ((2, 3, 4),), {"axes": 2, "epsilon": 0.1}),
    ("group_norm", (IMAGE, (4,), (4,)), {"groups": 2}),
    ("group_norm", (IMAGE, (4,)), {"groups": 4}),
    ("group_norm", ((2, 6),), {"groups": 2}),
    ("slice", (IMAGE,), {"axis": 3, "start": 1, "step": 3, "size": 3}),
    ("slice", (IMAGE,), {"axis": 2, "start": 4, "step": -2, "size": 3}),
    ("expand", ((4, 1),), {"shape": (2, 4, 3)}),
    ("flip", (IMAGE,), {"axes": (3, 1)}),
    ("flip", (IMAGE,), {}),
    ("pad", ((3, 4),), {"before": (1, -1), "after": (0, 2), "value": 0.5}),
    ("pad", ((3, 4),), {"before": (2, 0), "after": (1, 3), "mode": "reflect"}),
    ("pad", ((3, 4),), {"before": (2, 0), "after": (1, 3), "mode": "edge"}),
    ("pad", ((3, 4),), {"before": (2, 0), "after": (1, 3), "mode": "wrap"}),
    ("flatten", (IMAGE,), {}),
    ("flatten", (IMAGE,), {"start": 0}),
    ("flatten", (IMAGE,), {"start": 2}),
    ("dropout", (IMAGE,), {"p": 0.3}),
    ("dropout", (IMAGE,), {"p": 1.0}),
]


def build(case: Case) -> Graph:
    """One node; its inputs x and y are the graph's, all others weights."""
    operation, shapes, attributes = case
    g = GraphBuilder("case")
    names = OPERATIONS[operation].placeholders(len(shapes))
    for name, shape in zip(names, shapes, strict=True):
        g.input(name, shape) if name[0] in "xy" else g.weight(name, shape)
    return g.graph(g.node("node", operation, *names, **attributes))


def random_inputs(graph: Graph) -> dict[str, Array]:
    generator = np.random.default_rng(5)
    return {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}


def interpret(graph: Graph, weights: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every tensor of the graph in float64, each nest over its whole loop domain at once."""
    values = {n: np.asarray(a, np.float64) for n, a in {**dict(weights), **inputs}.items()}
    for node in graph.nodes:
        shapes = {t.name: t.shape for t in graph.temporaries(node)} | {node.name: graph.tensors[node.name].shape}
        if graph.expansion(node).is_alias:
            values[node.name] = values[node.inputs[0]].reshape(shapes[node.name])
        for nest in graph.nests(node):
            name = nest.output.tensor
            values.setdefault(name, np.full(shapes[name], UPDATES[nest.update].identity))
            interpret_nest(nest, values)
    return values


def interpret_nest(nest: Nest, values: dict[str, Array]) -> None:
    extents = tuple(nest.extents.values())
    grids = dict(zip(nest.extents, np.indices(extents), strict=True))

    def places(access: Access) -> tuple[Array, ...]:
        return tuple(i.offset + sum(c * grids[n] for n, c in i.terms) + np.zeros(extents, int) for i in access.index)

    def inside(access: Access) -> Array:
        sizes = values[access.tensor].shape
        return np.logical_and.reduce(
            [(p >= 0) & (p < size) for p, size in zip(places(access), sizes, strict=True)], axis=0
        )

    def evaluate(body: Expression) -> Array:
        if isinstance(body, Constant):
            return np.full(extents, body.value)
        if isinstance(body, Apply):
            name = FUNCTIONS[body.function].numpy
            function: Callable[..., Array] = np.vectorize(erf) if name == "erf" else getattr(np, name)
            return function(*map(evaluate, body.arguments)).astype(np.float64)
        clipped = tuple(p.clip(0, size - 1) for p, size in zip(places(body), values[body.tensor].shape, strict=True))
        assert body.pad is not None or inside(body).all()
        return np.where(inside(body), values[body.tensor][clipped], 0 if body.pad is None else body.pad)

    kept = inside(nest.output)
    where = tuple(p[kept] for p in places(nest.output))
    result, output = evaluate(nest.body)[kept], values[nest.output.tensor]
    if not where:  # a scalar: as a vector of one
        where, output = (np.zeros(result.shape, int),), output.reshape(1)
    function = UPDATES[nest.update].function
    if function is None:
        output[where] = result
    else:
        getattr(np, FUNCTIONS[function].numpy).at(output, where, result)


def agree(graph: Graph, rtol: float = 1e-5) -> None:
    onnx.checker.check_model(to_onnx(graph), full_check=True)
    weights, inputs = seeded(graph), random_inputs(graph)
    expected, got = interpret(graph, weights, inputs), run_onnx(graph, None, inputs)
    assert list(got) == list(dict.fromkeys(graph.outputs))
    for name, array in got.items():
        assert array.dtype == np.float32
        assert array.shape == graph.tensors[name].shape
        np.testing.assert_allclose(array, expected[name], rtol=rtol, atol=rtol)


def test_table_is_whole() -> None:
    refused = {"host", "nests", "unknown"}
    assert EXPORTERS.keys() == OPERATIONS.keys() == {operation for operation, _, _ in CASES} | refused


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1][:1]}-{case[2]}")
def test_operation(case: Case) -> None:
    agree(build(case))


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """Along one axis: size, kernel, stride, padding, dilation, such that at least one window fits."""
    kernel, stride, dilation = (draw(st.integers(1, 3)) for _ in range(3))
    padding = draw(st.integers(0, kernel // 2))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    return draw(st.integers(least, least + 6)), kernel, stride, padding, dilation


@settings(max_examples=80, deadline=None)
@given(windows(), windows(), st.booleans())
def test_any_max_pool(rows: tuple[int, ...], columns: tuple[int, ...], ceil: bool) -> None:
    size, kernel, stride, padding, dilation = zip(rows, columns, strict=True)
    attributes = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil": ceil}
    graph = build(("max_pool2d", ((1, 2, *size),), attributes))
    # Where a window holds nothing but padding, the nest gives -inf and ONNX Runtime the lowest float32.
    assume(np.isfinite(interpret(graph, {}, random_inputs(graph))["node"]).all())
    agree(graph)


@settings(max_examples=80, deadline=None)
@given(windows(), windows(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_any_convolution(
    rows: tuple[int, ...], columns: tuple[int, ...], groups: int, channels: int, filters: int, bias: bool
) -> None:
    size, kernel, stride, padding, dilation = zip(rows, columns, strict=True)
    count = groups * filters
    shapes = ((2, groups * channels, *size), (count, channels, *kernel), (count,))[: 3 if bias else 2]
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    agree(build(("conv2d", shapes, attributes)))


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_any_adaptive_pool(size: Any, output: Any) -> None:
    agree(build(("adaptive_avg_pool2d", ((2, 2, *size),), {"output": output})))


def residual() -> Graph:
    """A residual network in small, with both kinds of shortcut."""
    g = GraphBuilder("residual")
    value = g.input("image", (2, 3, 12, 12))
    for i, (before, after, stride) in enumerate(((3, 8, 2), (8, 8, 1), (8, 12, 2)), 1):
        branches = [("branch", 3, 1)] if before == after else [("branch", 3, 1), ("shortcut", 1, 0)]
        ends = [normalised(g, f"{n}{i}", value, (after, before, k, k), stride, p) for n, k, p in branches]
        added = g.node(f"add{i}", "add", ends[0], ends[1] if ends[1:] else value)
        value = g.node(f"relu{i}", "relu", added)
    value = g.node("flatten", "flatten", g.node("avgpool", "adaptive_avg_pool2d", value))
    value = g.node("fc", "linear", value, g.weight("fc.weight", (10, 12)), g.weight("fc.bias", (10,)))
    return g.graph(g.node("softmax", "softmax", value), "relu2", "softmax")


def normalised(g: GraphBuilder, name: str, x: str, shape: Shape, stride: int, padding: int) -> str:
    attributes = {"stride": (stride, stride), "padding": (padding, padding)}
    value = g.node(f"{name}.conv", "conv2d", x, g.weight(f"{name}.weight", shape), module="", **attributes)
    parameters = [g.weight(f"{name}.{key}", shape[:1]) for key in "gbmv"]
    return g.node(name, "batch_norm", value, *parameters)


def test_residual_network() -> None:
    agree(residual())


def test_lenet5_reads_a_digit() -> None:
    graph, weights = network("lenet5", batch=2), shipped("lenet5")
    assert weights is not None
    image = np.zeros((2, 1, 28, 28), np.float32)
    image[0, 0, 4:24, 13:16] = 1  # a one
    image[1, 0, 5:8, 7:20] = 1  # a seven
    for row in range(8, 24):
        image[1, 0, row, 19 - row // 2 + 3 : 19 - row // 2 + 6] = 1
    got = run_onnx(graph, weights, {"image": image})["softmax"]
    np.testing.assert_allclose(got, interpret(graph, weights, {"image": image})["softmax"], rtol=1e-4, atol=1e-6)
    assert got.argmax(1).tolist() == [1, 7]


def test_outputs_may_repeat_or_be_inputs() -> None:
    graph = build(("batch_norm", ((3, 4), *((4,),) * 4), {}))
    agree(graph.replace(graph.sources, graph.nodes, ("node", "x", "node", "g")))


def test_runs_silently(capfd: pytest.CaptureFixture[str]) -> None:
    agree(build(CASES[0]))
    assert capfd.readouterr() == ("", "")


def held(dtypes: dict[str, str], operation: str, dtype: str = "", **attributes: Any) -> None:
    """A node of inputs of these dtypes, three numbers each, has the value that the nests give it."""
    g = GraphBuilder("held")
    graph = g.graph(
        g.node("y", operation, *(g.input(n, (3,), d) for n, d in dtypes.items()), dtype=dtype, **attributes)
    )
    onnx.checker.check_model(to_onnx(graph), full_check=True)
    values = {"x": [2, -3, 0], "y0": [1, 1, 3], "z": [1, 0, 1]}
    inputs = {name: np.array(values[name]).astype(d) for name, d in dtypes.items()}
    expected, got = execute(graph, {}, inputs)["y"], run_onnx(graph, None, inputs)["y"]
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(got, expected, rtol=2e-3 if "float16" in dtypes.values() else 1e-6)


@pytest.mark.parametrize(
    ("dtypes", "operation", "dtype", "attributes"),
    [
        ({"x": "int64", "y0": "int64"}, "pointwise", "bool", {"body": "less(x0, x1)"}),
        ({"x": "int64", "y0": "int64"}, "pointwise", "", {"body": "x0 * x1 + 2"}),
        ({"x": "int64"}, "pointwise", "", {"body": "floor(x0 / 2)"}),
        ({"x": "int64"}, "pointwise", "float32", {"body": "x0"}),
        ({"x": "float32"}, "pointwise", "int64", {"body": "x0"}),
        ({"x": "float32"}, "pointwise", "bool", {"body": "x0"}),
        ({"z": "bool", "x": "float32"}, "pointwise", "float32", {"body": "select(x0, x1, 0.5)"}),
        ({"z": "bool", "x": "int64"}, "pointwise", "", {"body": "and(not(x0), x1)"}),
        ({"z": "bool"}, "pointwise", "int64", {"body": "x0 + x0"}),
        ({"x": "float16"}, "pointwise", "", {"body": "x0 / (1 + exp(0 - x0))"}),
        ({"x": "float16", "y0": "float32"}, "mul", "", {}),
        ({"x": "int64", "y0": "float32"}, "add", "float32", {}),
        ({"z": "bool"}, "reduce", "int64", {"what": "sum"}),
        ({"z": "bool"}, "reduce", "", {"what": "any", "update": "max="}),
        ({"x": "int64"}, "reduce", "float32", {"what": "mean", "mean": True}),
        ({"z": "bool"}, "reshape", "", {"shape": (3, 1)}),
        ({"x": "int64"}, "expand", "", {"shape": (2, 3)}),
        ({"x": "float16"}, "softmax", "", {}),
        ({"x": "float64"}, "relu", "", {}),
    ],
)
def test_dtypes(dtypes: dict[str, str], operation: str, dtype: str, attributes: dict[str, Any]) -> None:
    held(dtypes, operation, dtype, **attributes)


def test_nests_have_no_operator() -> None:
    g = GraphBuilder("own")
    body = "a<3: o[a] = x0[a]"
    with pytest.raises(NetworkError) as caught:
        to_onnx(g.graph(g.node("y", "nests", g.input("x", (3,)), body=body, shape=(3,))))
    assert str(caught.value) == "node y must be an operation with a name to become ONNX, not nests of its own"


LOOK_UPS = """graph g
input ids int64[2,3]
input few uint8[4,1]
parameter table float32[5,4]
e = host(ids, table, what="embedding", shape=[2,3,4]) as float32
s = host(what="constant", shape=[3], sequence=[2,-1]) as int64
t = host(e, s, what="gather", shape=[2,3,3], how="take 2") as float32
a = host(table, few, what="gather", shape=[4,1], how="take_along 1") as float32
output t
output a
"""


def test_look_ups_of_the_host() -> None:
    graph = parse_graph(LOOK_UPS)
    table = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    inputs = {"ids": np.array([[0, 4, 1], [2, 2, 3]]), "few": np.array([[0], [3], [1], [1]], np.uint8)}
    wanted, found = execute(graph, {"table": table}, inputs), run_onnx(graph, {"table": table}, inputs)
    assert found.keys() == wanted.keys() == {"t", "a"}
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(("operation", "what"), [("host", "sort"), ("unknown", "aten.foo")])
def test_work_of_the_host_is_refused(operation: str, what: str) -> None:
    with pytest.raises(NetworkError) as caught:
        to_onnx(build((operation, ((2, 3),), {"what": what, "shape": (2, 3)})))
    assert str(caught.value) == f"node node must be affine or a look-up to become ONNX, which {what} is not"
