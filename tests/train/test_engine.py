"""An engine's values against those of the same graph executed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import NetworkError, WeightsError
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network import evaluate
from tilework.network.execute import execute
from tilework.network.gradient import gradient_plan
from tilework.network.gradient_graph import gradients
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.training import gradient, training_step
from tilework.train import layout
from tilework.train.engine import Engine

Arrays = dict[str, np.ndarray]


@pytest.fixture(params=[None, 1], ids=["as it is", "batch innermost"])
def fewest(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs with the rule for layouts as it is, and with batches of any size innermost."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(layout, "FEWEST", request.param)
            patch.setattr(layout, "_copied", lambda given, last: 0)
            patch.setattr(evaluate, "PIECE", 100)
        yield


def values(graph: Graph, seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    return {t.name: _drawn(generator, t.shape, t.dtype) for t in graph.inputs}


def _drawn(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    found = generator.standard_normal(shape)
    return np.asarray(abs(found) + 0.1 if len(shape) == 1 else found, dtype)


def check(graph: Graph, weights: Arrays, runs: int = 2, tolerance: float = 1e-5, **engine: Any) -> None:
    """Several runs of one engine, each on other values, give what the graph gives."""
    made = Engine(graph, weights, **engine)
    for run in range(runs):
        given_values = values(graph, run)
        before = {name: array.copy() for name, array in given_values.items()}
        found = made.run(given_values)
        for name, expected in execute(graph, weights, before).items():
            assert (found[name].shape, found[name].dtype) == (expected.shape, expected.dtype)
            scale = abs(expected[np.isfinite(expected)]).max(initial=1) if expected.dtype.kind == "f" else 1
            np.testing.assert_allclose(found[name], expected, rtol=10 * tolerance, atol=tolerance * scale)
        for name, array in before.items():
            np.testing.assert_array_equal(given_values[name], array)


@pytest.mark.usefixtures("fewest")
def test_every_operation_and_its_gradient(operation: str, one: Any) -> None:
    g = GraphBuilder("one")
    names = [g.weight(f"x{place}", shape) for place, shape in enumerate(one.shapes)]
    x = g.node("copy", "mul", names[0], g.input("factor", one.shapes[0])) if names else ""
    y = g.node("y", operation, *([x, *names[1:]] if names else []), **one.attributes)
    whole = g.graph(g.node("z", "mul", y, g.input("seed", g.graph(y).tensors[y].shape)))
    generator = np.random.default_rng(1)
    weights = {t.name: _drawn(generator, t.shape, t.dtype) for t in whole.weights}
    check(whole, weights)
    if gradients(gradient_plan(whole)):
        check(gradient(whole), weights)


NETWORKS = {
    "mlp": network("mlp", 16, sizes=(784, 30, 20, 10)),
    "lenet5": network("lenet5", 9),
    "resnet18": network("resnet18", 1, (3, 32, 32)),
    "encoder": network("encoder", 8, (6, 16), heads=4, feedforward=32),
    "lstm": network("lstm", 8, (4, 6), hidden=5),
    "unet": network("unet", 1, (3, 16, 16)),
}


@pytest.mark.parametrize("name", ["mlp", "lenet5", "encoder", "lstm"])
@pytest.mark.usefixtures("fewest")
def test_networks_of_the_zoo_learn(name: str) -> None:
    graph = NETWORKS[name]
    rank = len(graph.tensors[graph.outputs[0]].shape)
    step = training_step(graph, axis=None if graph.nodes[-1].operation == "softmax" else rank - 1)
    weights = dict(seeded(graph))
    engine = Engine(step, weights)
    for run in range(3):
        given_values = values(step, run)
        expected = execute(step, weights, given_values)
        found = engine.run(given_values)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            np.testing.assert_allclose(found[key], array, rtol=1e-3, atol=1e-4 * abs(array).max())
        for key in weights:
            weights[key][...] = found.get(f"new:{key}", weights[key])


@pytest.mark.parametrize("name", ["resnet18", "unet"])
def test_networks_of_the_zoo_infer(name: str) -> None:
    check(NETWORKS[name], dict(seeded(NETWORKS[name])), runs=2, tolerance=1e-4)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, bool]:
    """Chains of operations whose values die at different times, are views of each other or may be written over."""
    g = GraphBuilder("any")
    shape = tuple(draw(st.sampled_from(((8, 2, 4, 4), (2, 3, 4, 4), (9, 1, 4, 4)))))
    pool = [g.input("x", shape), g.weight("w", shape)]
    for place in range(draw(st.integers(1, 9))):
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        kind = draw(st.sampled_from(list(STEPS)))
        pool.append(STEPS[kind](g, f"n{place}", [a, b], shape))
    outputs = [pool[-1], *draw(st.lists(st.sampled_from(pool), max_size=2))]
    return g.graph(*dict.fromkeys(outputs)), draw(st.booleans())


Step = Callable[[GraphBuilder, str, list[str], tuple[int, ...]], str]


def _there_and_back(*operations: tuple[str, dict[str, Any]]) -> Step:
    """Operations in a row, which together keep the shape."""

    def build(g: GraphBuilder, name: str, x: list[str], shape: tuple[int, ...]) -> str:
        value = x[0]
        for place, (operation, attributes) in enumerate(operations):
            last = place == len(operations) - 1
            own = {key: made(shape) if callable(made) else made for key, made in attributes.items()}
            value = g.node(name if last else f"{name}.{place}", operation, value, **own)
        return value

    return build


def _both(operation: str) -> Step:
    return lambda g, name, x, shape: g.node(name, operation, *x)


def _convolved(g: GraphBuilder, name: str, x: list[str], shape: tuple[int, ...]) -> str:
    c = shape[1]
    return g.node(
        name, "conv2d", x[0], g.weight(f"{name}.w", (c, c, 3, 3)), g.weight(f"{name}.b", (c,)), padding=(1, 1)
    )


def _pieces(g: GraphBuilder, name: str, x: list[str], shape: tuple[int, ...]) -> str:
    parts = [g.node(f"{name}.{i}", "slice", x[i], axis=2, start=2 * i, size=2) for i in (0, 1)]
    return g.node(name, "concat", *parts, axis=2)


STEPS: dict[str, Step] = {
    **{name: _there_and_back((name, {})) for name in ("relu", "tanh", "softmax", "dropout")},
    **{name: _both(name) for name in ("add", "mul", "sub")},
    "flip": _there_and_back(("flip", {"axes": (2, 3)})),
    "turn": _there_and_back(("transpose", {"order": (0, 1, 3, 2)})),
    "reshape": _there_and_back(("flatten", {}), ("relu", {}), ("reshape", {"shape": lambda shape: shape})),
    "pool": _there_and_back(("max_pool2d", {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)})),
    "mean": _there_and_back(
        ("reduce", {"axes": (0,), "keep": True, "mean": True}), ("expand", {"shape": lambda shape: shape})
    ),
    "select": lambda g, name, x, shape: g.node(name, "pointwise", *x, body="select(less(0, x0), x1, 0) - x0"),
    "clip": _there_and_back(("clip", {"low": -1.0, "high": 0.5})),
    "conv2d": _convolved,
    "pieces": _pieces,
}


@settings(deadline=None)
@given(graphs())
def test_any_graph(case: tuple[Graph, bool]) -> None:
    graph, into = case
    weights = dict(seeded(graph))
    outputs = {name: np.full(graph.tensors[name].shape, np.nan, np.float32) for name in graph.outputs} if into else {}
    check(graph, weights, tolerance=1e-4, outputs=outputs)


def test_outputs_are_written_where_they_are_wanted() -> None:
    step = training_step(network("mlp", 4, sizes=(784, 20, 10)))
    flat = np.zeros(20 * 784 + 20, np.float32)
    given_views = {"new:fc1.weight": flat[: 20 * 784].reshape(20, 784), "new:fc1.bias": flat[20 * 784 :]}
    weights = dict(seeded(step))
    engine = Engine(step, weights, outputs=given_views)
    found = engine.run(values(step))
    expected = execute(step, weights, values(step))
    for name, array in given_views.items():
        assert found[name] is array is engine.buffers(name)
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-6)


def test_an_inputs_buffer_may_be_filled() -> None:
    g = GraphBuilder("small")
    graph = g.graph(g.node("y", "relu", g.input("x", (2, 3))))
    engine = Engine(graph, {})
    buffer = engine.buffers("x")
    for number in (1.0, -1.0, 3.0):
        buffer.fill(number)
        assert (engine.run({"x": buffer})["y"] == max(number, 0)).all()


def test_memory_is_used_again() -> None:
    """Twenty layers of a megabyte each, of which two are alive at a time; what is kept is the input and the output."""
    g = GraphBuilder("deep")
    x, size = g.input("x", (512, 512)), 4 * 512 * 512
    for layer in range(20):
        x = g.node(f"t{layer}", "transpose", g.node(f"r{layer}", "tanh", x), order=(1, 0))
        x = g.node(f"m{layer}", "matmul", x, x)
    engine = Engine(g.graph(x), {})
    held = engine._buffers
    assert sum(memory.nbytes for memory in (*held.memory.values(), *held.free)) <= 3 * size


def test_what_no_input_decides_is_computed_once() -> None:
    g = GraphBuilder("fixed")
    one = g.node("one", "pointwise", body="3 / 2", shape=(2, 3))
    graph = g.graph(g.node("y", "add", g.node("exp", "pointwise", one, body="exp(x0)"), g.input("x", (2, 3))))
    assert len(Engine(graph, {})._calls) == 1
    check(graph, {})


def test_infinities_pass_where_they_are_selected_alone() -> None:
    g = GraphBuilder("select")
    body = "select(less(0, x0), x1, 0)"
    graph = g.graph(g.node("y", "pointwise", g.input("c", (3,)), g.input("x", (3,)), body=body))
    given_values = {"c": np.float32([1, 0, -1]), "x": np.float32([np.inf, np.nan, -np.inf])}
    assert Engine(graph, {}).run(given_values)["y"].tolist() == [np.inf, 0, 0]


def test_the_host_computes_in_its_place() -> None:
    g = GraphBuilder("tokens")
    ids, table = g.input("ids", (2, 3), "int64"), g.weight("table", (5, 4))
    x = g.node("embed", "host", ids, table, what="embedding", shape=(2, 3, 4), dtype="float32")
    graph = g.graph(g.node("head", "linear", x, table))
    step = training_step(graph, axis=2)
    weights = dict(seeded(graph))
    given_values = {
        "ids": np.array([[1, 4, 1], [0, 1, 4]]),
        "targets": np.eye(5, dtype=np.float32)[[[1, 2, 3], [4, 0, 1]]],
    }
    engine, expected = Engine(step, weights), execute(step, weights, given_values)
    for _ in range(2):
        found = engine.run(given_values)
        np.testing.assert_allclose(found["new:table"], expected["new:table"], rtol=1e-5, atol=1e-6)
    with pytest.raises(NetworkError) as caught:
        engine.run({**given_values, "ids": np.full((2, 3), 5)})
    assert str(caught.value) == "what embed looks up must lie in 0..4, not in 5..5"


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
def test_dtypes(dtype: str) -> None:
    g = GraphBuilder("typed")
    x = g.input("x", (9, 4), dtype)
    y = g.node("y", "matmul", g.node("r", "relu", x), g.node("s", "pointwise", x, body="x0 * 3"), transpose_y=True)
    graph = g.graph(g.node("cast", "reshape", y, shape=(3, 27), dtype="float32"), y, x)
    check(graph, {}, tolerance=1e-3 if dtype == "float16" else 1e-6)


def mistakes() -> list[tuple[Callable[[Graph, Arrays], object], type[Exception], str]]:
    wrong = np.zeros((4, 20), np.float32)
    return [
        (
            lambda graph, weights: Engine(graph, weights, outputs={"fc1": wrong}),
            NetworkError,
            "an array to write to must be for an output of mlp, not for 'fc1'",
        ),
        (
            lambda graph, weights: Engine(graph, weights, outputs={"softmax": wrong}),
            NetworkError,
            "the array for output softmax must be float32[4, 10], not float32[4, 20]",
        ),
        (
            lambda graph, weights: Engine(graph, weights).run({"x": wrong}),
            NetworkError,
            "input x must be float32[4, 784], not float32[4, 20]",
        ),
        (
            lambda graph, weights: Engine(graph, weights).run({"y": wrong}),
            NetworkError,
            "network mlp must be given the inputs ['x'], not ['y']",
        ),
        (
            lambda graph, weights: Engine(graph, {**weights, "fc1.bias": wrong}),
            WeightsError,
            "parameter fc1.bias must be float32[20], not float32[4, 20]",
        ),
        (lambda graph, weights: Engine(graph, {}), WeightsError, "the weights must hold fc1.weight, which they lack"),
    ]


@pytest.mark.parametrize(("use", "error", "message"), mistakes())
def test_mistakes(use: Callable[[Graph, Arrays], object], error: type[Exception], message: str) -> None:
    graph = network("mlp", 4, sizes=(784, 20, 10))
    with pytest.raises(error) as caught:
        use(graph, dict(seeded(graph)))
    assert str(caught.value) == message
