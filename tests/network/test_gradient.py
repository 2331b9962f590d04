"""Gradients of nests, of every operation of the table and of graphs: central differences in float64, and torch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tilework.errors import NetworkError
from tilework.frontend.resolve import resolve
from tilework.network.execute import run_nest
from tilework.network.gradient import GradientPlan, gradient_plan
from tilework.network.gradient_nests import gradient_nests, gradient_of, primal
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.host import WORK
from tilework.network.nest import CONTRACTION, Nest
from tilework.network.operation_gradient import HOST_GRADIENTS, operation_gradient
from tilework.network.operations import OPERATIONS, expand
from tilework.network.text import parse_nest, print_nest

Shape = tuple[int, ...]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    shapes: tuple[Shape, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.shapes} {self.attributes}"


def case(*shapes: Shape, **attributes: Any) -> Case:
    return Case(shapes, attributes)


def body(text: str, *shapes: Shape) -> Case:
    return case(*(shapes or ((2, 3),)), what="function", body=text)


CASES: dict[str, list[Case]] = {
    "linear": [case((1, 3), (4, 3)), case((2, 1, 3), (4, 3), (4,))],
    "matmul": [
        case((2, 3), (3, 4)),
        case((2, 1, 3, 4), (5, 4, 2)),
        case((3, 2), (4, 3), transpose_x=True, transpose_y=True),
    ],
    "conv1d": [case((2, 4, 7), (2, 2, 3), (2,), groups=2, stride=(2,), padding=(1,), dilation=(2,))],
    "conv2d": [
        case((1, 2, 5, 4), (3, 2, 3, 2), (3,), stride=(2, 1), padding=(1, 2)),
        case((2, 4, 4, 4), (6, 2, 2, 2), groups=2, dilation=(2, 1), extra=(1, 0)),
        case((1, 1, 4, 4), (1, 1, 1, 1), stride=(3, 3)),
    ],
    "conv3d": [case((1, 2, 3, 2, 4), (2, 2, 2, 1, 3), (2,), padding=(1, 0, 1))],
    "conv_transpose1d": [case((2, 3, 4), (3, 2, 3), (2,), stride=(2,), padding=(1,), output_padding=(1,))],
    "conv_transpose2d": [
        case((1, 4, 2, 3), (4, 1, 2, 3), (2,), groups=2, stride=(2, 1), padding=(1, 1), dilation=(1, 2))
    ],
    "conv_transpose3d": [case((1, 1, 2, 2, 2), (1, 2, 2, 1, 2), stride=(2, 1, 2), padding=(0, 0, 1))],
    "max_pool1d": [case((1, 2, 7), kernel=(3,), padding=(1,))],
    "max_pool2d": [
        case((1, 2, 5, 5), kernel=(3, 3), padding=(1, 1)),
        case((1, 2, 4, 4)),
        case((1, 1, 6, 5), ceil=True),
    ],
    "max_pool3d": [case((1, 1, 4, 3, 4), kernel=(2, 1, 2), stride=(1, 2, 2))],
    "avg_pool1d": [case((1, 2, 7), kernel=(3,), padding=(1,), count_padding=False)],
    "avg_pool2d": [case((1, 2, 5, 5), kernel=(3, 3), padding=(1, 1)), case((1, 2, 4, 5), count_padding=False)],
    "avg_pool3d": [case((1, 1, 4, 3, 4), kernel=(3, 1, 2), stride=(2, 2, 1))],
    "adaptive_avg_pool1d": [case((1, 2, 7), output=(3,))],
    "adaptive_avg_pool2d": [case((1, 2, 4, 6)), case((1, 2, 5, 7), output=(2, 3))],
    "adaptive_avg_pool3d": [case((1, 1, 3, 4, 5), output=(2, 2, 5))],
    "adaptive_max_pool1d": [case((1, 2, 3), output=(5,))],
    "adaptive_max_pool2d": [case((1, 2, 5, 7), output=(2, 3))],
    "adaptive_max_pool3d": [case((1, 1, 3, 4, 5), output=(2, 3, 1))],
    "relu": [case((2, 3)), case(())],
    "sigmoid": [case((2, 3))],
    "tanh": [case((2, 3))],
    "clip": [case((4, 5), low=-0.5, high=0.25)],
    "pointwise": [
        body("0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))"),
        body("0.5 * x0 * (1 + tanh(0.7978845608028654 * (x0 + 0.044715 * x0 * x0 * x0)))"),
        body("x0 / (1 + exp(0 - x0))"),
        body("x0 * tanh(log(1 + exp(x0)))"),
        body("x0 * min(max(x0 + 3, 0), 6) / 6"),
        body("select(less(0, x0), x0, exp(x0) - 1)"),
        body("sqrt(x0 * x0 + 1) + pow(abs(x0), 1.5) + log(abs(x0)) * cos(x0) - sin(x0)"),
        body("pow(abs(x0) + 0.1, x1)", (2, 3), (3,)),
        body("max(x0, x1) - min(x0, 2 * x1) + x0 / x1", (2, 1, 3), (2, 1)),
        body("exp(x0)"),
        body("floor(x0) * x1", (3,), (3,)),
    ],
    "add": [case((2, 3), (2, 3)), case((1, 3), (2, 1, 1))],
    "sub": [case((2, 3), (3,))],
    "mul": [case((2, 3, 2), (3, 1)), case((2, 3), (2, 3))],
    "div": [case((2, 3), (3,)), case((), (2, 3))],
    "nests": [
        case((2, 3), (4, 3), body="a<2 b<4 c<3: o[a,b] += x0[a,c] * x1[b,c]", shape=(2, 4)),
        case((3,), (2,), body="a<3: o[a+2] = tanh(x0[a]); a<2: o[a] = x1[a] * x1[a]", shape=(5,)),
        case((2, 3), (3,), body="a<2 b<3: o[b] += x0[a,b] * x0[a,b] * x1[b]", shape=(4,)),
    ],
    "reduce": [
        case((2, 3)),
        case((2, 3, 4), axes=(0, 2), update="max="),
        case((2, 3, 4), axes=(1,), keep=True, update="min="),
        case((2, 3, 4), axes=(2, 1), mean=True),
    ],
    "batch_norm": [case((2, 3, 2, 2), *[(3,)] * 4)],
    "local_response_norm": [case((1, 7, 2, 2), alpha=2.0), case((2, 3, 1, 2), size=4, alpha=2.0, beta=0.6, k=1.5)],
    "softmax": [case((3, 5)), case((2, 3, 2), axis=1)],
    "log_softmax": [case((3, 5)), case((2, 3, 2), axis=1)],
    "layer_norm": [case((2, 3)), case((2, 3, 4), (3, 4), (3, 4), axes=2)],
    "rms_norm": [case((2, 3)), case((2, 3, 4), (4,))],
    "group_norm": [case((2, 6, 3), (6,), (6,), groups=3)],
    "flatten": [case((2, 3, 4))],
    "dropout": [case((2, 3))],
    "reshape": [case((2, 6), shape=(3, 4))],
    "transpose": [case((2, 3, 4), order=(2, 0, 1))],
    "concat": [case((1, 2, 3), (1, 4, 3), (1, 1, 3))],
    "slice": [case((2, 7, 2), axis=1, start=1, step=2, size=3), case((5,), start=3, step=-2, size=2)],
    "expand": [case((2, 1), shape=(3, 2, 4))],
    "flip": [case((2, 3, 4), axes=(2, 0))],
    "pad": [
        case((2, 3), before=(1, 0), after=(0, 2), value=1.5),
        case((4, 5), before=(-1, 2), after=(1, -3)),
        case((3, 2), before=(2, 1), after=(0, 1), mode="reflect"),
        case((3, 2), before=(4, 0), after=(1, 3), mode="edge"),
    ],
}
HOSTS = {"host", "unknown"}
EVERY = [pytest.param(name, one, id=f"{name}-{one}") for name, cases in CASES.items() for one in cases]


def run_nests(nests: Iterable[Nest], arrays: Arrays, shapes: Mapping[str, Shape]) -> None:
    every = {name: shapes[primal(name)] for nest in nests for name in (nest.output.tensor,)}
    for nest in nests:
        run_nest(nest, arrays, every, np.float64)


def forward(name: str, inputs: list[np.ndarray], attributes: Mapping[str, Any]) -> Arrays:
    """The inputs, temporaries and output of an operation, by placeholder."""
    expansion = expand(name, tuple(array.shape for array in inputs), tuple(sorted(attributes.items())))
    arrays = dict(zip(OPERATIONS[name].placeholders(len(inputs)), inputs, strict=True))
    if expansion.is_alias:
        return arrays | {"o": inputs[0].reshape(expansion.shape)}
    run_nests(expansion.nests, arrays, dict(expansion.temporaries) | {"o": expansion.shape})
    return arrays


def backward(name: str, inputs: list[np.ndarray], attributes: Mapping[str, Any], arriving: np.ndarray) -> Arrays:
    """The gradients of all inputs, by placeholder."""
    arrays = forward(name, inputs, attributes)
    shapes = {key: array.shape for key, array in arrays.items()}
    placeholders = OPERATIONS[name].placeholders(len(inputs))
    does = operation_gradient(
        name, tuple(array.shape for array in inputs), tuple(sorted(attributes.items())), placeholders
    )
    arrays["d:o"] = arriving
    if expand(name, tuple(a.shape for a in inputs), tuple(sorted(attributes.items()))).is_alias:
        return {"x": arriving.reshape(shapes["x"])}
    assert set(does.reads) <= shapes.keys()
    run_nests(does.nests, arrays, shapes)
    zero = {key: np.zeros(shapes[key]) for key in placeholders if key not in does.gives}
    return zero | {key: arrays[gradient_of(key)] for key in does.gives}


def values(one: Case) -> list[np.ndarray]:
    generator = np.random.default_rng(len(str(one)))
    arrays = [generator.standard_normal(shape) for shape in one.shapes]
    return [abs(array) + 0.1 if array.ndim == 1 else array for array in arrays]


def differences(of: Callable[[], float], array: np.ndarray, step: float = 1e-6) -> np.ndarray:
    slopes = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        old = array[place]
        array[place] = old + step
        up = of()
        array[place] = old - step
        slopes[place] = (up - of()) / (2 * step)
        array[place] = old
    return slopes


def test_every_operation_has_a_case_and_the_host_no_gradient_without_work() -> None:
    assert CASES.keys() == OPERATIONS.keys() - HOSTS
    assert HOST_GRADIENTS.keys() <= WORK.keys()


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_gradients_are_the_slopes(name: str, one: Case) -> None:
    inputs = values(one)
    arriving = np.asarray(np.random.default_rng(1).standard_normal(forward(name, inputs, one.attributes)["o"].shape))
    found = backward(name, inputs, one.attributes, arriving)
    for placeholder, array in zip(OPERATIONS[name].placeholders(len(inputs)), inputs, strict=True):
        slopes = differences(lambda: float(np.sum(forward(name, inputs, one.attributes)["o"] * arriving)), array)
        np.testing.assert_allclose(found[placeholder], slopes, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_gradients_are_text_that_names_only_tensors_of_the_operation(name: str, one: Case) -> None:
    attributes = tuple(sorted(one.attributes.items()))
    placeholders = OPERATIONS[name].placeholders(len(one.shapes))
    known = {*placeholders, "o", *dict(expand(name, one.shapes, attributes).temporaries), "d:o"}
    does = operation_gradient(name, one.shapes, attributes, placeholders)
    for nest in does.nests:
        assert parse_nest(print_nest(nest)) == nest
        assert {access.tensor for access in nest.reads} <= known
        known.add(nest.output.tensor)
    made = {nest.output.tensor for nest in does.nests}
    assert made == {*map(gradient_of, does.gives), *dict(does.temporaries)} or does.passes == {"x"}


def gradient_text(name: str, *shapes: Shape, wanted: str, **attributes: Any) -> list[str]:
    does = operation_gradient(name, shapes, tuple(sorted(attributes.items())), tuple(wanted.split()))
    return [str(nest) for nest in does.nests]


def test_a_convolutions_gradients_are_its_own_loops_and_maps_with_the_roles_changed() -> None:
    shapes = (1, 2, 5, 5), (3, 2, 3, 3)
    does = operation_gradient("conv2d", shapes, (("padding", (1, 1)), ("stride", (2, 2))), ("x", "w"))
    assert [str(nest) for nest in does.nests] == [
        "n<1 g<1 k<3 p<3 q<3 c<2 r<3 s<3: d:x[n,2*g+c,2*p+r-1,2*q+s-1] += d:o[n,3*g+k,p,q] * w[3*g+k,c,r,s]",
        "n<1 g<1 k<3 p<3 q<3 c<2 r<3 s<3: d:w[3*g+k,c,r,s] += d:o[n,3*g+k,p,q] * x[n,2*g+c,2*p+r-1,2*q+s-1 | 0]",
    ]
    assert {nest.kind for nest in does.nests} == {CONTRACTION}
    assert does.contractions == {0, 1}


def test_the_bias_and_the_copy_behind_it() -> None:
    assert gradient_text("linear", (2, 3), (4, 3), (4,), wanted="w b") == [
        "n<2 k<4: d:b[k] += d:o[n,k]",
        "n<2 k<4 c<3: d:w[k,c] += d:o[n,k] * x[n,c]",
    ]


def test_what_is_kept_is_the_output_where_that_is_enough() -> None:
    assert gradient_text("relu", (3,), wanted="x") == ["a<3: d:x[a] = select(less(0, o[a]), d:o[a], 0)"]
    assert gradient_text("clip", (3,), wanted="x") == [
        "a<3: d:x[a] = select(less(0, o[a]), select(less(o[a], 6), d:o[a], 0), 0)"
    ]
    assert operation_gradient("pointwise", ((3,),), (("body", "x0 / (1 + exp(0 - x0))"),), ("x0",)).reads == ("x0",)


def test_a_maximums_gradient_is_divided_among_its_places() -> None:
    assert gradient_text("reduce", (2, 3), wanted="x", axes=(1,), update="max=") == [
        "a<2 b<3: ties:o[a] += equal(x[a,b], o[a])",
        "a<2: share:o[a] = d:o[a] / ties:o[a]",
        "a<2 b<3: d:x[a,b] = select(equal(x[a,b], o[a]), share:o[a], 0)",
    ]
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    found = backward("reduce", [x], {"axes": (1,), "update": "max="}, np.array([6.0, 9.0]))
    np.testing.assert_array_equal(found["x"], [[0, 3, 3], [3, 3, 3]])


def test_a_write_outside_gets_nothing() -> None:
    nest = parse_nest("a<3 b<2: o[2*a+b-1] += x[a] * w[b]")
    made = gradient_nests(nest, {"x", "w"}, {"x": (3,), "w": (2,), "o": (4,)})
    assert [str(one) for one in made] == [
        "a<3 b<2: d:x[a] += d:o[2*a+b-1 | 0] * w[b]",
        "a<3 b<2: d:w[b] += d:o[2*a+b-1 | 0] * x[a]",
    ]


def test_a_tensor_read_at_two_places_gets_both_contributions() -> None:
    nest = parse_nest("a<3: o[a] = x[a] * x[a+1]")
    made = gradient_nests(nest, {"x"}, {"x": (4,), "o": (3,)})
    assert [str(one) for one in made] == ["a<3: d:x[a] = d:o[a] * x[a+1]", "a<3: d:x[a+1] += d:o[a] * x[a]"]


def test_what_is_not_wanted_or_flat_has_no_nests() -> None:
    nest = parse_nest("a<3: o[a] = floor(x[a]) * y[a]")
    shapes = {"x": (3,), "y": (3,), "o": (3,)}
    assert gradient_nests(nest, {"x"}, shapes) == ()
    assert gradient_nests(nest, set(), shapes) == ()
    assert [one.output.tensor for one in gradient_nests(nest, {"x", "y"}, shapes)] == ["d:y"]


def test_a_nest_that_reads_its_output_has_no_gradient() -> None:
    with pytest.raises(NetworkError) as caught:
        gradient_nests(parse_nest("a<3: o[a] = o[a] * x[a]"), {"x"}, {"x": (3,), "o": (3,)})
    assert str(caught.value) == ("a nest must not read its own output to have a gradient: a<3: o[a] = o[a] * x[a]")


# Graphs


def run_graph(graph: Graph, sources: Arrays) -> Arrays:
    """Every value and temporary of a graph in float64."""
    arrays = dict(sources)
    shapes = {t.name: t.shape for node in graph.nodes for t in (graph.tensors[node.name], *graph.temporaries(node))}
    for node in graph.nodes:
        if graph.expansion(node).is_alias:
            arrays[node.name] = arrays[node.inputs[0]].reshape(shapes[node.name])
        run_nests(graph.nests(node), arrays, shapes)
    return arrays


def run_plan(plan: GradientPlan, arrays: Arrays, arriving: Arrays) -> Arrays:
    """The gradients of everything, by the tensor's name."""
    shapes = {name: array.shape for name, array in arrays.items()}
    arrays = arrays | {gradient_of(name): array.copy() for name, array in arriving.items()}
    for step in plan.steps:
        assert set(step.reads) <= shapes.keys()
        if step.does.nests:
            run_nests(step.nests, arrays, shapes)
            continue
        name = step.node.inputs[0]
        passed = arrays[gradient_of(step.node.name)].reshape(shapes[name])
        arrays[gradient_of(name)] = arrays[gradient_of(name)] + passed if name in step.held else passed.copy()
    return {name.removeprefix("d:"): array for name, array in arrays.items() if name.startswith("d:")}


def check_graph(graph: Graph) -> GradientPlan:
    """The gradients of all parameters are the slopes of a weighted sum of the outputs."""
    generator = np.random.default_rng(0)
    sources = {t.name: generator.standard_normal(t.shape) for t in graph.sources}
    arriving = {name: generator.standard_normal(graph.tensors[name].shape) for name in dict.fromkeys(graph.outputs)}
    plan = gradient_plan(graph)
    found = run_plan(plan, run_graph(graph, sources), {name: arriving[name] for name in plan.seeds})

    def loss() -> float:
        arrays = run_graph(graph, sources)
        return float(sum(np.sum(arrays[name] * weight) for name, weight in arriving.items()))

    for tensor in graph.sources:
        if tensor.role == "parameter":
            slopes = differences(loss, sources[tensor.name])
            np.testing.assert_allclose(found.get(tensor.name, np.zeros(tensor.shape)), slopes, rtol=1e-6, atol=1e-6)
    return plan


def test_a_residual_network_with_a_shared_weight() -> None:
    g = GraphBuilder("residual")
    w = g.weight("w", (3, 3))
    x = g.node("a", "linear", g.input("x", (2, 3)), w)
    y = g.node("b", "linear", g.node("r", "tanh", x), w)
    plan = check_graph(g.graph(g.node("sum", "add", y, x)))
    # d:a comes from the sum (first, so it is a copy) and from r; d:w from both layers.
    assert plan.sums == {"r": 6, "a": 9}
    assert plan.shared == {"b": "sum"}


def test_an_output_that_is_read_further_on() -> None:
    g = GraphBuilder("two")
    x = g.node("a", "linear", g.input("x", (2, 3)), g.weight("w", (4, 3)))
    plan = check_graph(g.graph(g.node("b", "reshape", x, shape=(8,)), x))
    assert plan.sums == {"b": 8}
    assert plan.shared == {}


def test_slices_of_one_tensor_take_no_additions() -> None:
    g = GraphBuilder("attention")
    qkv = g.node("qkv", "linear", g.input("x", (4, 3)), g.weight("w", (6, 3)), g.weight("b", (6,)))
    q, k, v = (g.node(name, "slice", qkv, axis=1, start=2 * i, size=2) for i, name in enumerate(("q", "k", "v")))
    scores = g.node("scores", "matmul", q, k, transpose_y=True)
    plan = check_graph(g.graph(g.node("out", "matmul", g.node("softmax", "softmax", scores), v)))
    assert plan.sums == {}
    assert plan.shared == {}


def test_overlapping_slices_and_one_tensor_twice() -> None:
    g = GraphBuilder("overlap")
    x = g.node("a", "linear", g.input("x", (4, 3)), g.weight("w", (6, 3)))
    one, two = (g.node(name, "slice", x, axis=1, start=start, size=4) for name, start in (("s", 0), ("t", 2)))
    plan = check_graph(g.graph(g.node("square", "mul", g.node("sum", "add", one, two), "sum")))
    assert plan.sums == {"square": 16, "s": 4 * 2}


def test_only_what_lies_between_a_parameter_and_an_output_has_a_gradient() -> None:
    g = GraphBuilder("partial")
    early = g.node("early", "relu", g.input("x", (2, 3)))
    fixed = g.node("fixed", "linear", early, g.weight("frozen", (3, 3), trainable=False))
    y = g.node("y", "linear", fixed, g.weight("w", (4, 3)))
    g.node("dead", "linear", fixed, g.weight("unread", (4, 3)))
    rounded = g.node("rounded", "pointwise", g.node("z", "linear", fixed, g.weight("v", (4, 3))), body="floor(x0)")
    graph = g.graph(g.node("out", "add", y, rounded))
    plan = check_graph(graph)
    assert [step.node.name for step in plan.steps] == ["out", "y"]
    assert [name for step in plan.steps for name, _ in step.gives] == ["y", "w"]
    assert gradient_plan(graph, ["x", "frozen"]).steps[-1].node.name == "early"


def test_integers_and_hosts() -> None:
    g = GraphBuilder("tokens")
    tokens = g.input("tokens", (5,), "int64")
    x = g.node("embed", "host", tokens, g.weight("table", (7, 4)), what="gather", shape=(5, 4), dtype="float32")
    y = g.node("odd", "unknown", x, g.weight("w", (4,)), what="my.own", shape=(5, 4))
    best = g.node("best", "host", y, what="argmax", shape=(5,), dtype="int64")
    steps = gradient_plan(g.graph(y, best)).steps
    assert [(step.node.name, step.does.work, step.reads) for step in steps] == [
        ("odd", (("unknown", 1),), ("embed", "w")),
        ("embed", (("addition", 20),), ("tokens",)),
    ]


def test_a_name_that_is_no_source() -> None:
    with pytest.raises(NetworkError) as caught:
        gradient_plan(resolve("lenet5"), ["conv1"])
    assert str(caught.value) == "a gradient is with respect to a source of lenet5 that holds real numbers, not 'conv1'"


def test_a_plan_is_text() -> None:
    g = GraphBuilder("small")
    x = g.node("fc", "linear", g.input("x", (2, 3)), g.weight("w", (4, 3)))
    assert str(gradient_plan(g.graph(g.node("act", "relu", x)))) == (
        "gradient of small from d:act\n"
        "act (relu):\n"
        "  a<2 b<4: d:fc[a,b] = select(less(0, act[a,b]), d:act[a,b], 0)\n"
        "fc (linear):\n"
        "  n<2 k<4 c<3: d:w[k,c] += d:fc[n,k] * x[n,c]\n"
    )


# torch


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def test_attentions_gradients_are_torchs(torch: Any) -> None:
    g = GraphBuilder("attention")
    names = [g.weight(name, (2, 3, 5, 4)) for name in "qkv"]
    q, k, v = names
    scores = g.node("scores", "pointwise", g.node("qk", "matmul", q, k, transpose_y=True), body="x0 * 0.5")
    graph = g.graph(g.node("out", "matmul", g.node("softmax", "softmax", scores), v))
    generator = np.random.default_rng(3)
    sources = {name: generator.standard_normal((2, 3, 5, 4)) for name in names}
    theirs = [torch.from_numpy(sources[name].copy()).requires_grad_() for name in names]
    arriving = generator.standard_normal((2, 3, 5, 4))
    torch.nn.functional.scaled_dot_product_attention(*theirs).backward(torch.from_numpy(arriving))
    ours = run_plan(gradient_plan(graph), run_graph(graph, sources), {"out": arriving})
    for name, tensor in zip(names, theirs, strict=True):
        np.testing.assert_allclose(ours[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_lenet5s_gradients_are_torchs(torch: Any) -> None:
    graph, functional = resolve("lenet5", 2, ()), torch.nn.functional
    generator = np.random.default_rng(4)
    sources = {t.name: generator.standard_normal(t.shape) * 0.2 for t in graph.sources}
    p = {t.name: torch.from_numpy(sources[t.name].copy()).requires_grad_() for t in graph.weights}
    x = torch.from_numpy(sources["image"])
    for layer, padding in (("conv1", 2), ("conv2", 0)):
        x = functional.conv2d(x, p[f"{layer}.weight"], p[f"{layer}.bias"], padding=padding)
        x = functional.max_pool2d(torch.relu(x), 2)
    x = x.flatten(1)
    for layer in ("fc1", "fc2", "fc3"):
        x = functional.linear(x if layer == "fc1" else torch.relu(x), p[f"{layer}.weight"], p[f"{layer}.bias"])
    arriving = generator.standard_normal((2, 10))
    torch.softmax(x, 1).backward(torch.from_numpy(arriving))
    ours = run_plan(gradient_plan(graph), run_graph(graph, sources), {"softmax": arriving})
    for name, tensor in p.items():
        np.testing.assert_allclose(ours[name], tensor.grad.numpy(), rtol=1e-8, atol=1e-12)
