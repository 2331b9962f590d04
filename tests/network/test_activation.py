"""Activations and operations that a user registers: values, gradients, counts, export, programs; mistakes whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tilework as tw
from tilework.errors import NetworkError
from tilework.frontend.onnx_runtime import run_onnx
from tilework.network.activation import ACTIVATIONS
from tilework.network.operation import OPERATIONS, expand

Function = Callable[[Any, Any], Any]  # (torch, x) -> y
STATED: dict[str, tuple[str, dict[str, float], Function]] = {
    "odd": ("v / sqrt(1 + v * v)", {}, lambda torch, x: x / torch.sqrt(1 + x * x)),
    "softsign": ("x/(1+abs(x))", {}, lambda torch, x: torch.nn.functional.softsign(x)),
    "logistic": ("1 / (1 + exp(-x))", {}, lambda torch, x: torch.sigmoid(x)),
    "growth": ("exp(x)", {}, lambda torch, x: torch.exp(x)),
    "swish": ("x / (1 + exp(-b * x))", {"b": 1.5}, lambda torch, x: x * torch.sigmoid(1.5 * x)),
    "elu1": ("select(less(0, z), z, a*(exp(z)-1))", {"a": 0.7}, lambda torch, x: torch.nn.functional.elu(x, 0.7)),
    "sine": ("-sin(-x)", {}, lambda torch, x: torch.sin(x)),
    "cut": ("max(min(x, 1e-1), -inf)", {}, lambda torch, x: torch.clamp(x, max=0.1)),
}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """The activations above, and no trace of any afterwards."""
    activations, operations = dict(ACTIVATIONS), dict(OPERATIONS)
    for name, (expression, parameters, _) in STATED.items():
        tw.activation(name, expression, **parameters)
    yield
    for table, before in ((ACTIVATIONS, activations), (OPERATIONS, operations)):
        for name in table.keys() - before.keys():
            del table[name]
    expand.cache_clear()


def alone(name: str, dtype: str = "float32", **parameters: float) -> tw.Graph:
    g = tw.GraphBuilder("alone")
    return g.graph(g.node("y", name, g.input("x", (2, 5), dtype), **parameters))


def values(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(4).standard_normal((2, 5)).astype(dtype) * 2


@pytest.mark.parametrize("name", STATED)
def test_values_and_slopes_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(values("float64")).requires_grad_()
    y = STATED[name][2](torch, x)
    y.sum().backward()
    found = tw.execute(tw.gradient(alone(name, "float64"), wanted=["x"]), {}, {"x": x.detach().numpy()})
    np.testing.assert_allclose(found["y"], y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(found["d:x"], x.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", STATED)
def test_slopes_are_central_differences(name: str) -> None:
    graph, x, step = alone(name, "float64"), values("float64"), 1e-6
    up, down = (tw.execute(graph, {}, {"x": x + moved})["y"] for moved in (step, -step))
    found = tw.execute(tw.gradient(graph, wanted=["x"]), {}, {"x": x})["d:x"]
    np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", STATED)
def test_the_processor_and_onnx_runtime_compute_the_same(name: str) -> None:
    pytest.importorskip("onnxruntime")
    graph, x = alone(name), values()
    wanted = tw.execute(graph, {}, {"x": x})["y"]
    np.testing.assert_allclose(tw.compile(graph, "dlp-s").run(x=x)["y"], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run_onnx(graph, {}, {"x": x})["y"], wanted, rtol=1e-5, atol=1e-6)


def test_a_step_of_training_compiles_and_is_counted() -> None:
    g = tw.GraphBuilder("net")
    hidden = g.node("act", "swish", g.node("fc", "linear", g.input("x", (4, 3)), g.weight("w", (6, 3))), b=2.0)
    step = tw.training_step(g.graph(g.node("out", "linear", hidden, g.weight("v", (2, 6)))))
    generator = np.random.default_rng(2)
    weights = {t.name: generator.standard_normal(t.shape).astype(np.float32) for t in step.weights}
    given = {
        "x": generator.standard_normal((4, 3)).astype(np.float32),
        "targets": np.eye(2, dtype=np.float32)[[0, 1] * 2],
    }
    executable = tw.compile(step, "dlp-s", weights)
    found, wanted = executable.run(**given), tw.execute(step, weights, given)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6)
    row = next(row for row in tw.count(step).rows if row.operation == "swish")
    assert (row.multiplications, row.additions) == (24, 24)  # (-b) x, and 1 + e
    assert dict(row.other_operations) == {"exp": 24, "division": 24}


def test_a_graph_says_itself_what_it_computes() -> None:
    graph = alone("elu1", a=0.5)
    assert 'y = pointwise(x, body="select(less(0, x0), x0, 0.5 * (exp(x0) - 1))", what="elu1")' in str(graph)
    typed = tw.parse_graph("graph alone\ninput x float32[2,5]\ny = elu1(x, a=0.5)\noutput y\n")
    assert typed == graph == tw.parse_graph(str(graph))


def test_the_same_again_is_no_clash() -> None:
    tw.activation("odd", "v / sqrt(1 + v * v)")


MISTAKES: list[tuple[tuple[str, str], dict[str, Any], str]] = [
    (("relu", "max(x, 0)"), {}, "an activation must have a name of its own, and relu is taken; choose another one"),
    (("odd", "x"), {}, "an activation must have a name of its own, and odd is taken; choose another one"),
    (("soft sign", "x"), {}, "an activation's name must be a plain identifier, not 'soft sign'"),
    (("f", "x * y"), {}, "the expression of f must have one variable, not x and y: 'x * y'"),
    (("f", "1 + 2"), {}, "the expression of f must have one variable, not none: '1 + 2'"),
    (("f", "x"), {"a": 1.0}, "parameter a of f must stand in its expression 'x'"),
    (("f", "a * x"), {"a": "1"}, "parameter a of f must be a number, not '1'"),
    (("f", "a * x"), {"a": float("inf")}, "parameter a of f must be a number, not inf"),
    (("f", "x +"), {}, "expected a name, not the end of the line, in the expression 'x +'"),
    (("f", "x[0]"), {}, "expected the end of the line, not '[', in the expression 'x[0]'"),
    (("f", "v / sqrt(1 + v²)"), {}, "the expression of f must have one variable, not v and v²: 'v / sqrt(1 + v²)'"),
    (
        ("f", "sinh(x)"),
        {},
        "a body may apply add, sub, mul, div, max, min, pow, exp, log, sqrt, tanh, erf, sin, cos, abs, floor, round, "
        "less, equal, and, or, not, select, not 'sinh'",
    ),
    (("f", "x ! 2"), {}, "no expression can contain '!': 'x ! 2'"),
    (("f", "exp(x, 2)"), {}, "exp takes 1 arguments, not 2"),
]


@pytest.mark.parametrize(("given", "parameters", "message"), MISTAKES)
def test_mistakes(given: tuple[str, str], parameters: dict[str, Any], message: str) -> None:
    before = dict(ACTIVATIONS)
    with pytest.raises(NetworkError) as caught:
        tw.activation(*given, **parameters)
    assert str(caught.value) == message
    assert before == ACTIVATIONS


def test_mistakes_in_a_graph() -> None:
    g = tw.GraphBuilder("g")
    x = g.input("x", (2,))
    for wrong, message in (
        (lambda: g.node("y", "odd", x, x), "odd takes one input, not 2 of them"),
        (lambda: g.node("y", "odd", x, b=1.0), "odd has no attribute 'b'; it has none"),
        (lambda: g.node("y", "swish", x, b="1"), "swish's b must be a number, not '1'"),
    ):
        with pytest.raises(NetworkError) as caught:
            wrong()
        assert str(caught.value) == message


# Whole operations


def register_doubled() -> None:
    @tw.operation("x")
    def doubled(s: dict[str, tuple[int, ...]], by: int = 2) -> tw.Expansion:
        (size,) = s["x"]
        return tw.Expansion((size * by,), (tw.parse_nest(f"a<{size} b<{by}: o[{by}*a+b] = x[a]"),))


def test_an_operation_is_a_row_like_the_others() -> None:
    register_doubled()
    register_doubled()
    g = tw.GraphBuilder("net")
    graph = g.graph(g.node("y", "doubled", g.input("x", (3,)), by=3))
    x = np.array([1, 2, 3], np.float32)
    found = tw.execute(tw.gradient(graph, wanted=["x"]), {}, {"x": x})
    np.testing.assert_array_equal(found["y"], [1, 1, 1, 2, 2, 2, 3, 3, 3])
    np.testing.assert_array_equal(found["d:x"], [3, 3, 3])
    assert tw.parse_graph(str(graph)) == graph
    with pytest.raises(NetworkError) as caught:
        run_onnx(graph, {}, {"x": x})
    assert str(caught.value) == "node y must be a built-in operation to become ONNX, not doubled"


def test_an_operation_needs_a_name_of_its_own() -> None:
    with pytest.raises(NetworkError) as caught:

        @tw.operation("x")
        def relu(s: dict[str, tuple[int, ...]]) -> tw.Expansion:
            return tw.Expansion(s["x"])

    assert str(caught.value) == "an operation must have a name of its own, and relu is taken; choose another one"
    assert OPERATIONS["relu"].expand({"x": (2,)}).nests
