"""Graphs print and parse back, whatever their names; text that is no graph names the line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import NetworkError
from tilework.network.graph import DTYPE_BYTES, Graph, GraphBuilder
from tilework.network.graph_text import parse_graph, print_graph

LENET = """graph lenet5
input image float32[1,1,28,28]
parameter conv1.weight float32[6,1,5,5]
buffer mean float32[6]
conv1 = conv2d(image, conv1.weight, padding=[2,2]) in features
norm = batch_norm(conv1, mean, mean, mean, mean, epsilon=0.001) in features
pool = max_pool2d(norm, ceil=true, kernel=[2,2], stride=[2,2])
output pool
output conv1
"""

ODD_NAMES = (
    "output",
    "graph",
    "input",
    "max",
    "inf",
    "a b",
    "conv.0",
    "x=1",
    "#",
    '"',
    "\\",
    "a) in b",
    "(x, y)",
    "[1,2]",
    "padding=[1,2]",
    "größe",
    "图",
    "line\nbreak",
    "\u2028",
    "\x85",
    "\x1c",
    "= relu(x)",
    " lead",
    "1st",
)
NAMES = st.sampled_from(ODD_NAMES) | st.text(min_size=1, max_size=6)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Small networks of several operations, tensors chosen among those before, names as odd as can be."""
    builder = GraphBuilder(draw(NAMES | st.just("")))
    names = draw(st.lists(NAMES, min_size=4, max_size=9, unique=True))
    images = [builder.input(names[0], (1, 2, 6, 6), draw(st.sampled_from(("float32", "float16"))))]
    weight = builder.weight(names[1], (2, 2, 3, 3), trainable=draw(st.booleans()))
    bias = builder.weight(names[2], (2,))
    for name in names[3:]:
        x, y = draw(st.sampled_from(images)), draw(st.sampled_from(images))
        operation, inputs, attributes = draw(
            st.sampled_from(
                (
                    ("relu", (x,), {}),
                    ("add", (x, y), {}),
                    ("conv2d", (x, weight, bias), {"padding": (1, 1)}),
                    ("conv2d", (x, weight), {"padding": (2, 2), "dilation": (2, 2), "groups": 1}),
                    ("max_pool2d", (x,), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "ceil": True}),
                    ("batch_norm", (x, bias, bias, bias, bias), {"epsilon": draw(st.floats(0, 1))}),
                    ("dropout", (x,), {"p": draw(st.floats(0, 1) | st.integers(0, 1))}),
                )
            )
        )
        module = draw(st.none() | st.just("") | NAMES)
        images.append(builder.node(name, operation, *inputs, module=module, **attributes))
    return builder.graph(*draw(st.lists(st.sampled_from(images), min_size=1, max_size=3)))


@settings(deadline=None)
@given(graphs())
def test_prints_and_parses_back(graph: Graph) -> None:
    text = print_graph(graph)
    assert parse_graph(text) == graph
    assert str(graph) == text
    assert len(text.splitlines()) == 1 + len(graph.sources) + len(graph.nodes) + len(graph.outputs)


def test_canonical_text_is_a_fixed_point() -> None:
    graph = parse_graph(LENET)
    assert print_graph(graph) == LENET
    assert graph.tensors["pool"].shape == (1, 6, 14, 14)
    assert [node.module for node in graph.nodes] == ["features", "features", ""]


def test_loose_text() -> None:
    text = """
    # a comment
    graph g
      input  x  float32[ 2, 3 ]
    output = relu( x )
    graph=add(x,output,)   in   "a b"

    output graph
    output output
    """
    assert print_graph(parse_graph(text)) == (
        "graph g\ninput x float32[2,3]\noutput = relu(x)\n"
        'graph = add(x, output) in "a b"\noutput graph\noutput output\n'
    )


def test_rank_zero_and_single_sizes() -> None:
    text = "graph g\ninput x float32[]\ny = relu(x)\noutput y\n"
    assert parse_graph(text).tensors["y"].shape == ()
    assert print_graph(parse_graph(text)) == text


HEAD = "graph g\ninput x float32[2,3]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "network  must have at least one output"),
        (
            "graph a b",
            "line 1 of a graph must be a graph, input, parameter, buffer, node or output: 'graph a b'",
        ),
        (
            f"{HEAD}y relu(x)",
            "line 3 of a graph must be a graph, input, parameter, buffer, node or output: 'y relu(x)'",
        ),
        (
            "input x float32[2,-3]",
            "line 1 of a graph must be a graph, input, parameter, buffer, node or output: 'input x float32[2,-3]'",
        ),
        (
            "input x float8[2]",
            f"tensor x: the dtype must be one of {', '.join(DTYPE_BYTES)}, not 'float8'",
        ),
        ("input x float32[0]", "tensor x: every size must be at least 1, not [0]"),
        (f"{HEAD}y = relu(x y)", "line 3 of a graph has an argument that is no name and no key=value: 'x y'"),
        (f"{HEAD}y = relu(x, 3)", "line 3 of a graph has an argument that is no name and no key=value: ' 3'"),
        (
            f"{HEAD}y = dropout(x, p=a)",
            "line 3 of a graph must give numbers, true, false or [lists], not 'a'",
        ),
        (f'{HEAD}y = dropout(x, p="a,b")', "node y: dropout's p must be a number, not 'a,b'"),
        (f"{HEAD}y = dropout(x, p=[1])", "node y: dropout's p must be a number, not (1,)"),
        (f"{HEAD}y = gelu(x)\noutput y", None),
        (f"{HEAD}y = relu(z)", "node y reads z, which nothing before it defines"),
        (f"{HEAD}output z", "output z of network g is not defined by any node or input"),
        (f'{HEAD}"\\q" = relu(x)', 'a quoted name must be a JSON string, not "\\q"'),
        ('graph "\\q"', 'a quoted name must be a JSON string, not "\\q"'),
    ],
)
def test_mistakes(text: str, message: str | None) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_graph(text)
    found = str(caught.value)
    if message is None:
        assert found.startswith("node y: the operation must be one of relu, ")
        assert found.endswith(", not 'gelu'")
    else:
        assert found == message


@settings(deadline=None)
@given(st.lists(st.sampled_from((*LENET.splitlines(), *LENET.split(), "=", "(", '"', "[", "\n")), max_size=12))
def test_any_text_is_a_graph_or_a_network_error(words: list[str]) -> None:
    for separator in (" ", "\n"):
        try:
            graph = parse_graph(separator.join(words))
        except NetworkError:
            continue
        assert parse_graph(print_graph(graph)) == graph
