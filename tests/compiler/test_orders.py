"""Which tensors lie channels last and which as they are named. Every compiled network tests the values."""

from __future__ import annotations

import pytest

from tilework.compiler.statement import statements
from tilework.network.graph_text import parse_graph

IMAGE = "input x float32[1,4,6,7]\nparameter w float32[4,4,3,3]\n"
HEADS = "input x float32[1,2,6,7]\ninput k float32[1,2,5,7]\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"{IMAGE}r = relu(x)\ny = conv2d(r, w, padding=[1,1])\ns = relu(y)\nz = relu(s)\noutput z\n", set()),
        (f"{IMAGE}r = relu(x)\ny = max_pool2d(r)\nz = relu(y)\noutput z\n", set()),
        (f"{HEADS}r = relu(x)\ns = matmul(r, k, transpose_y=true)\np = softmax(s)\nz = relu(p)\noutput z\n", "rsp"),
        (f"{HEADS}s = matmul(x, k, transpose_y=true)\noutput s\n", set()),
    ],
)
def test_heads_count_products_and_channels_are_summed(text: str, named: set[str]) -> None:
    """A tensor lies as named if its axes are renamed: [a,b,c,d] becomes [a,d,b,c], which lies a, b, c, d in memory."""
    graph = parse_graph(f"graph g\n{text}")
    tensors = statements(graph).tensors
    for node in graph.nodes:
        a, b, c, d = graph.tensors[node.name].shape
        assert tensors[node.name].shape == ((a, d, b, c) if node.name in named else (a, b, c, d)), node.name


def test_a_depthwise_convolution_is_read_through_windows() -> None:
    text = "graph g\ninput x float32[1,4,6,7]\nparameter w float32[4,1,3,3]\nr = relu(x)\n"
    graph = parse_graph(f"{text}y = conv2d(r, w, groups=4)\nz = relu(y)\noutput z\n")
    assert statements(graph).tensors["r"].shape == (1, 4, 6, 7)


def test_heads_that_share_keys_count_products_too() -> None:
    """Of six heads each three take the same keys."""
    text = (
        "graph g\ninput q float32[1,6,5,7]\ninput k float32[1,2,4,7]\nr = relu(q)\nu = reshape(k, shape=[1,2,1,4,7])\n"
    )
    text += "e = expand(u, shape=[1,2,3,4,7])\nf = reshape(e, shape=[1,6,4,7])\n"
    graph = parse_graph(f"{text}s = matmul(r, f, transpose_y=true)\nz = softmax(s)\noutput z\n")
    given = statements(graph)
    (product,) = (each.nest for each in given.items if each.nest.kind == "contraction")
    assert product.reads[1].tensor == "k", "the keys are not copied"
    assert given.tensors["r"].shape == (1, 7, 6, 5)
    assert given.tensors["s"].shape == (1, 4, 6, 5)


def test_groups_of_channels_are_channels() -> None:
    text = "graph g\ninput x float32[1,4,6,7]\nparameter w float32[4,2,1,1]\nr = relu(x)\n"
    graph = parse_graph(f"{text}y = conv2d(r, w, groups=2)\nz = relu(y)\noutput z\n")
    assert {statements(graph).tensors[name].shape for name in "ry"} == {(1, 4, 6, 7)}
