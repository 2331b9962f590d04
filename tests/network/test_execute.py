"""Nests and graphs in NumPy against their definition, iteration by iteration."""

import weakref
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import NetworkError, WeightsError
from tilework.network import bind, evaluate
from tilework.network import execute as module
from tilework.network.execute import execute, run_nest
from tilework.network.functions import FUNCTIONS, UPDATES
from tilework.network.graph import Graph, GraphBuilder, Node
from tilework.network.nest import Access, Affine, Apply, Constant, Expression, Nest
from tilework.network.text import parse_nest
from tilework.network.weights import Weights

Array = np.ndarray
Interpreter = Callable[..., Array]
BOUNDED = [f for f in FUNCTIONS.values() if f.name not in ("pow", "exp", "log", "div", "sqrt")]


@pytest.fixture(params=[None, 3], scope="module", autouse=True)
def limit(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(bind, "EVALUATED_LIMIT", request.param)
            patch.setattr(evaluate, "PIECE", request.param)
            patch.setattr(bind, "APART_LIMIT", request.param)
        yield


def array(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


@st.composite
def indices(draw: st.DrawFn, loops: Mapping[str, int]) -> Affine:
    names = draw(st.lists(st.sampled_from(list(loops)), max_size=2, unique=True)) if loops else []
    coefficients = st.sampled_from((1, 1, 2, 3, -1, -2))
    return Affine(tuple((name, draw(coefficients)) for name in names), draw(st.integers(-2, 2)))


@st.composite
def bodies(draw: st.DrawFn, loops: Mapping[str, int], ranks: Mapping[str, int]) -> Expression:
    def access(name: str) -> st.SearchStrategy[Access]:
        index = st.lists(indices(loops), min_size=ranks[name], max_size=ranks[name]).map(tuple)
        return st.builds(Access, st.just(name), index, st.sampled_from((0.0, 1.0, -2.0)))

    reads = st.sampled_from(list(ranks)).flatmap(access)
    product = st.tuples(access("x"), access("y")).map(lambda pair: Apply("mul", pair))
    leaves = reads | st.builds(Constant, st.integers(-2, 2).map(float))
    applied = st.sampled_from(BOUNDED).flatmap(lambda f: st.tuples(*[leaves] * f.arity).map(lambda a: Apply(f.name, a)))
    nested = st.tuples(applied, leaves).map(lambda pair: Apply("sub", pair))
    return draw(product | reads | leaves | applied | nested)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Nest, dict[str, Array], tuple[int, ...]]:
    """A nest that may overlap itself in any way, values for what it reads and perhaps for what it updates."""
    loops = draw(st.dictionaries(st.sampled_from("ijklm"), st.integers(1, 4), max_size=4))
    ranks = {"x": draw(st.integers(0, 3)), "y": draw(st.integers(1, 3))}
    sizes = st.integers(1, 5)
    arrays = {name: array(*(draw(sizes) for _ in range(rank)), seed=rank) for name, rank in ranks.items()}
    output = Access("o", tuple(draw(st.lists(indices(loops), max_size=3))))
    update = draw(st.sampled_from(list(UPDATES)))
    if update == "=":
        loops = {name: extent if name in output.loops() else 1 for name, extent in loops.items()}
    shape = tuple(draw(sizes) for _ in output.index)
    if draw(st.booleans()):
        arrays["o"] = array(*shape, seed=9)
    return Nest(tuple(loops.items()), output, update, draw(bodies(loops, ranks))), arrays, shape


def expected_of(interpret: Interpreter, nest: Nest, arrays: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    return interpret(nest, {name: values.astype(np.float64) for name, values in arrays.items()}, {"o": shape})


@settings(deadline=None)
@given(case=cases())
def test_any_nest(interpret: Interpreter, case: tuple[Nest, dict[str, Array], tuple[int, ...]]) -> None:
    nest, arrays, shape = case
    expected = expected_of(interpret, nest, arrays, shape)
    given_array = arrays.get("o")
    out = run_nest(nest, arrays, {"o": shape})
    assert out is arrays["o"]
    assert given_array is None or out is given_array
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


CASES = [  # a nest, and the shapes of o, x and y
    ("n<2 g<2 k<3 p<3 c<2 r<3: o[n,3*g+k,p] += x[n,2*g+c,2*p+r-1 | 0] * y[3*g+k,c,r]", (2, 6, 3), (2, 4, 5), (6, 2, 3)),
    (
        "k<2 p<4 q<3 c<2 r<2 s<3: o[k,p,q] += x[c,p+3*r-2,2*q+2*s-1 | 0] * y[k,c,r,s]",
        (2, 4, 3),
        (2, 5, 7),
        (2, 2, 2, 3),
    ),
    ("c<2 k<3 y<3 r<4: o[k,2*y+r-1] += x[c,y] * y[c,k,r]", (3, 6), (2, 3), (2, 3, 4)),
    ("n<2 p<4 k<3 c<2 r<3: o[n,c,p+r-1] += x[n,k,p] * y[k,c,r]", (2, 2, 4), (2, 3, 4), (3, 2, 3)),
    ("y<3 z<2 r<2 s<3: o[2*y+r,3*z+s] = x[y,z]", (6, 6), (3, 2), (1,)),
    ("y<3: o[2*y] = x[y]", (6,), (3,), (1,)),
    ("y<3: o[2*y-2] += x[y]", (3,), (3,), (1,)),
    ("y<4 r<3: o[y+r] max= x[y] - y[r]", (6,), (4,), (3,)),
    ("y<4 r<3: o[y+r] min= x[y] * y[r]", (6,), (4,), (3,)),
    ("y<4 r<3: o[y+r] = 10*x[y] + y[r]", (6,), (4,), (3,)),
    ("y<4 r<3: o[y-r+2] = 10*x[y] + y[r]", (6,), (4,), (3,)),
    ("i<5: o[-i+4] = x[i]", (5,), (5,), (1,)),
    ("i<3 j<4: o[j,-i+2] = x[-2*i+5,-j+3]", (4, 3), (6, 4), (1,)),
    ("p<3 r<4: o[p] max= x[-p+r-1 | -inf]", (3,), (3,), (1,)),
    ("i<3: o[i] += x[i,i] * y[i]", (3,), (3, 3), (3,)),
    ("i<3 j<3: o[i+j,i] += x[i,j] * y[j]", (5, 3), (3, 3), (3,)),
    ("n<2 c<3 r<5: o[n,c] += x[n,c+r-2 | 0] * x[n,c+r-2 | 0]", (2, 3), (2, 3), (1,)),
    ("i<3 j<3 k<4: o[i,j] += x[i,k] * x[j,k]", (3, 3), (3, 4), (1,)),
    ("i<3 j<2: o[i] += y[i]", (3,), (1,), (3,)),
    ("i<3: o[i+7] = x[i]", (4,), (3,), (1,)),
    ("i<3: o[i-9] += x[i]", (4,), (3,), (1,)),
    ("i<3: o[i] = x[i+9 | 2] + x[i-9 | 1]", (3,), (3,), (1,)),
    ("i<4: o[i] = exp(x[i]) / sqrt(y[0] * y[0] + 1e-05) - pow(2, 3)", (4,), (4,), (1,)),
    (": o[] += x[0] * y[0]", (), (1,), (1,)),
    ("i<3: o[] += x[i] * 2 + 1", (), (3,), (1,)),
    ("i<2 j<2: o[i,j] = 3 / 2", (2, 2), (1,), (1,)),
]


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(("text", "o", "x", "y"), CASES, ids=[text for text, *_ in CASES])
def test_nests(interpret: Interpreter, text: str, o: tuple, x: tuple, y: tuple, fresh: bool) -> None:
    nest = parse_nest(text)
    arrays = {"x": array(*x, seed=1), "y": array(*y, seed=2)} | ({} if fresh else {"o": array(*o, seed=3)})
    expected = expected_of(interpret, nest, arrays, o)
    np.testing.assert_allclose(run_nest(nest, arrays, {"o": o}), expected, rtol=1e-5, atol=1e-5)


def test_several_nests_fill_one_output() -> None:
    arrays = {"x": array(2, 3, seed=1), "y": array(2, 2, seed=2)}
    for text in ("i<2 j<3: o[i,j] = x[i,j]", "i<2 j<2: o[i,j+3] = y[i,j]", "i<2 j<2: o[i,j+3] += 1"):
        run_nest(parse_nest(text), arrays, {"o": (2, 5)})
    np.testing.assert_array_equal(arrays["o"], np.concatenate([arrays["x"], arrays["y"] + 1], axis=1))


def test_views_of_any_memory_order_are_read_and_written() -> None:
    base = array(8, 6, 4)
    arrays = {
        "x": base[::2, ::-1, 1:3],
        "y": np.broadcast_to(np.float32(2), (3, 6)),
        "o": np.zeros((3, 4), np.float32).T,
    }
    out = run_nest(parse_nest("i<4 k<3 c<6: o[i,k] += x[i,c,1] * y[k,c]"), arrays, {})
    np.testing.assert_array_equal(out, np.repeat(2 * arrays["x"][:, :, 1].sum(axis=1)[:, None], 3, axis=1))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int32"])
@pytest.mark.parametrize(
    "text",
    [
        "i<4 j<3: o[i] += x[i] * y[j]",
        "i<4 j<3: o[i] max= x[i+j-1 | -inf]",
        "i<4: o[i] = max(x[i], 0) - 1",
        "i<4 j<3: o[i] += x[i] - y[j]",
    ],
)
def test_dtypes(interpret: Interpreter, text: str, dtype: str) -> None:
    arrays = {"x": array(4, seed=1).astype(dtype), "y": array(3, seed=2).astype(dtype)}
    expected = expected_of(interpret, parse_nest(text), arrays, (4,))
    out = run_nest(parse_nest(text), arrays, {"o": (4,)}, dtype)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, expected)


def test_floating_point_exceptions_are_values() -> None:
    arrays = {"x": np.array([0, -1, 1000], np.float32)}
    assert run_nest(parse_nest("i<3: a[i] = 1 / x[i]"), arrays, {"a": (3,)})[0] == np.inf
    assert np.isnan(run_nest(parse_nest("i<3: b[i] = log(x[i])"), arrays, {"b": (3,)})[1])
    assert run_nest(parse_nest("i<3: c[i] = exp(x[i])"), arrays, {"c": (3,)})[2] == np.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("i<4: o[i] = x[i+1]", "a read of x must lie inside [4] or declare a pad value"),
        ("i<4: o[i] += x[i] * y[-i]", "a read of y must lie inside [4] or declare a pad value"),
        ("i<4: o[i] = x[i,0]", "an access to x must have 1 indices, not 2"),
        ("i<4: o[i,0] = x[i]", "an access to o must have 1 indices, not 2"),
    ],
)
def test_accesses_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        run_nest(parse_nest(text), {"x": array(4), "y": array(4)}, {"o": (4,)})
    assert str(caught.value) == message


def small_network() -> tuple[Graph, dict[str, Array], dict[str, Array]]:
    builder = GraphBuilder("small")
    x = builder.input("x", (2, 2, 6, 6))
    shapes = {"w": (4, 2, 3, 3), "b": (4,), "g": (4,), "s": (4,), "m": (4,), "v": (4,), "f": (3, 16)}
    w, b, g, s, m, v, f = (builder.weight(name, shape) for name, shape in shapes.items())
    c = builder.node("c", "conv2d", x, w, b, padding=(1, 1))
    n = builder.node("n", "batch_norm", c, g, s, m, v)
    r = builder.node("r", "relu", n)
    a = builder.node("a", "add", r, c)
    p = builder.node("p", "max_pool2d", a, kernel=(3, 3), stride=(3, 3))
    d = builder.node("d", "dropout", p)
    graph = builder.graph(builder.node("y", "softmax", builder.node("l", "linear", builder.node("e", "flatten", d), f)))
    weights = {name: abs(array(*shape, seed=len(name))) + np.float32(0.5) for name, shape in shapes.items()}
    return graph, weights, {"x": array(2, 2, 6, 6, seed=5)}


def interpreted(graph: Graph, values: dict[str, Array], interpret: Interpreter) -> dict[str, Array]:
    values = {name: value.astype(np.float64) for name, value in values.items()}
    for node in graph.nodes:
        shapes = {t.name: t.shape for t in (*graph.temporaries(node), graph.tensors[node.name])}
        for nest in graph.nests(node):
            interpret(nest, values, shapes)
        if not graph.nests(node):
            values[node.name] = values[node.inputs[0]].reshape(graph.tensors[node.name].shape)
    return values


def test_graph(interpret: Interpreter) -> None:
    graph, weights, inputs = small_network()
    expected = interpreted(graph, weights | inputs, interpret)
    names = [node.name for node in graph.nodes]
    found = execute(graph, weights, inputs, keep=[*names, "x", "w"])
    assert found.keys() == {*names, "x", "w"}
    for name, value in found.items():
        assert value.shape == graph.tensors[name].shape
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5)
    assert execute(graph, weights, inputs).keys() == {"y"}


def test_values_are_dropped_after_their_last_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, weights, inputs = small_network()
    made: dict[str, weakref.ref] = {}
    alive: dict[str, set[str]] = {}
    run_node = module._run_node

    def watch(graph: Graph, node: Node, arrays: list[Array]) -> Array:
        alive[node.name] = {name for name, reference in made.items() if reference() is not None}
        result = run_node(graph, node, arrays)
        made[node.name] = weakref.ref(result)
        return result

    monkeypatch.setattr(module, "_run_node", watch)
    execute(graph, weights, inputs, keep=["n"])
    assert (alive["n"], alive["r"], alive["a"]) == ({"c"}, {"c", "n"}, {"c", "n", "r"})
    assert (alive["p"], alive["y"]) == ({"n", "a"}, {"n", "l"})


def test_weights_are_made_when_a_node_needs_them() -> None:
    graph, arrays, inputs = small_network()
    made: list[str] = []

    def maker(name: str) -> Callable[[], Array]:
        return lambda: made.append(name) or arrays[name]

    weights = Weights({name: maker(name) for name in arrays}, "a test")
    assert made == []
    execute(graph, weights, inputs)
    assert made == ["w", "b", "g", "s", "m", "v", "f"]


def test_two_nodes_may_have_equal_inner_names_and_an_input_may_be_an_output() -> None:
    builder = GraphBuilder("twice")
    x = builder.input("o", (1, 2))
    w = builder.weight("t", (2, 2))
    first = builder.node("b", "linear", x, w, w_bias := builder.weight("w", (2,)))
    graph = builder.graph(builder.node("x", "linear", first, w, w_bias), x, w)
    eye, one = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    found = execute(graph, {"t": eye, "w": one}, {"o": np.zeros((1, 2), np.float32)})
    assert {name: value.tolist() for name, value in found.items()} == {
        "x": [[2, 2]],
        "o": [[0, 0]],
        "t": [[1, 0], [0, 1]],
    }


def input_mistakes() -> list[tuple[dict[str, Array], str]]:
    good = array(2, 2, 6, 6)
    return [
        ({}, "network small must be given the inputs ['x'], not []"),
        ({"x": good, "z": good}, "network small must be given the inputs ['x'], not ['x', 'z']"),
        ({"x": good[0]}, "input x must be float32[2, 2, 6, 6], not float32[2, 6, 6]"),
        ({"x": good.astype(np.float64)}, "input x must be float32[2, 2, 6, 6], not float64[2, 2, 6, 6]"),
    ]


@pytest.mark.parametrize(("inputs", "message"), input_mistakes())
def test_inputs_that_do_not_fit(inputs: dict[str, Array], message: str) -> None:
    graph, weights, _ = small_network()
    with pytest.raises(NetworkError) as caught:
        execute(graph, weights, inputs)
    assert str(caught.value) == message


def test_weights_that_do_not_fit() -> None:
    graph, weights, inputs = small_network()
    with pytest.raises(WeightsError) as caught:
        execute(graph, weights | {"b": array(5)}, inputs)
    assert str(caught.value) == "parameter b must be float32[4], not float32[5]"
    del weights["b"]
    with pytest.raises(WeightsError) as caught:
        execute(graph, weights, inputs)
    assert str(caught.value) == "the weights must hold b, which they lack"
    with pytest.raises(WeightsError) as caught:
        execute(graph, Weights({}, "none"), inputs)
    assert str(caught.value) == "the weights (none) must hold w, which they lack"


def test_tensors_to_keep_must_exist() -> None:
    graph, weights, inputs = small_network()
    with pytest.raises(NetworkError) as caught:
        execute(graph, weights, inputs, keep=["c", "c:t"])
    assert str(caught.value) == "a tensor to keep must be one of network small, not 'c:t'"


def test_floats_of_8_bits_are_not_numpys() -> None:
    builder = GraphBuilder("small")
    graph = builder.graph(builder.node("y", "relu", builder.input("x", (2,), "float8_e5m2")))
    with pytest.raises(NetworkError) as caught:
        execute(graph, {}, {"x": array(2)})
    assert str(caught.value) == "NumPy must know a tensor's dtype, and x is float8_e5m2; use float32"


def computed(operation: str, *arrays: Array, dtype: str = "", **attributes: object) -> Array:
    """The value of a graph of one node."""
    builder = GraphBuilder("one")
    names = [builder.input(f"x{i}", a.shape, str(a.dtype)) for i, a in enumerate(arrays)]
    graph = builder.graph(builder.node("y", operation, *names, dtype=dtype, **attributes))
    value = execute(graph, {}, dict(zip(names, arrays, strict=True)))["y"]
    assert (value.dtype, value.shape) == (graph.tensors["y"].dtype, graph.tensors["y"].shape)
    return value


def test_comparisons_casts_and_sums_of_truth_values() -> None:
    numbers, truths = np.arange(-2, 3), np.array([True, False, True])
    less = computed("pointwise", numbers, body="less(x0, 0)", dtype="bool")
    assert less.tolist() == [True, True, False, False, False]
    assert computed("pointwise", numbers, body="x0", dtype="bool").tolist() == [True, True, False, True, True]
    assert computed("pointwise", np.float32([1.7, -1.7]), body="x0", dtype="int64").tolist() == [1, -1]
    assert computed("reduce", truths, dtype="int64") == 2
    assert computed("reduce", truths, update="max=") == np.True_
    assert computed("reduce", truths, update="min=") == np.False_
    assert computed("matmul", truths[None], truths[:, None], dtype="int64") == 2
    assert computed("pad", truths, before=(1,), after=(0,), value=1.0).tolist() == [True, True, False, True]
    assert computed("reshape", numbers, shape=(5, 1), dtype="float32").tolist() == [[-2], [-1], [0], [1], [2]]


def test_no_sum_within_a_node_of_float16_overflows() -> None:
    values = np.full(4000, 100, np.float16)
    assert computed("reduce", values, mean=True) == 100
    assert computed("layer_norm", np.float16([300, -300] * 100)).tolist() == [1, -1] * 100


@pytest.mark.parametrize(
    ("operation", "attributes", "label"),
    [("host", {"what": "sort", "shape": (2,)}, "sort"), ("unknown", {"what": "aten.foo", "shape": (2,)}, "aten.foo")],
)
def test_what_runs_on_the_host_has_no_value(operation: str, attributes: dict, label: str) -> None:
    with pytest.raises(NetworkError) as caught:
        computed(operation, array(2), **attributes)
    assert str(caught.value) == f"node y must be affine to have a value, which {label} is not"
