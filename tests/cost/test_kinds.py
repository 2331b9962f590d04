"""Kinds of layers, named by hand."""

from __future__ import annotations

import pytest

from tilework.cost.kinds import kind_of
from tilework.network.graph import Graph, GraphBuilder, Node


def made(operation: str, *shapes: tuple[int, ...], **attributes: object) -> tuple[Graph, Node]:
    g = GraphBuilder("one")
    names = [g.input(f"x{place}", shape) for place, shape in enumerate(shapes)]
    graph = g.graph(g.node("y", operation, *names, **attributes))
    return graph, graph.nodes[0]


@pytest.mark.parametrize(
    ("kind", "operation", "shapes", "attributes"),
    [
        ("convolution", "conv2d", ((1, 8, 6, 6), (4, 8, 3, 3)), {}),
        ("convolution", "conv2d", ((1, 8, 6, 6), (4, 4, 3, 3)), {"groups": 2}),
        ("convolution", "conv_transpose2d", ((1, 8, 6, 6), (8, 4, 2, 2)), {"stride": (2, 2)}),
        ("depthwise", "conv2d", ((1, 8, 6, 6), (8, 1, 3, 3)), {"groups": 8}),
        ("product", "conv2d", ((1, 8, 6, 6), (4, 8, 1, 1)), {}),
        ("product", "linear", ((5, 8), (4, 8)), {}),
        ("product", "matmul", ((3, 5, 8), (3, 8, 4)), {}),
        ("vector-product", "linear", ((1, 8), (4, 8)), {}),
        ("vector-product", "matmul", ((3, 1, 8), (3, 8, 4)), {}),
        ("normalisation", "softmax", ((4, 8),), {}),
        ("normalisation", "layer_norm", ((4, 8),), {}),
        ("normalisation", "local_response_norm", ((1, 8, 4, 4),), {}),
        ("reduction", "max_pool2d", ((1, 8, 4, 4),), {"kernel": (2, 2)}),
        ("reduction", "avg_pool2d", ((1, 8, 4, 4),), {"kernel": (2, 2)}),
        ("elementwise", "relu", ((4, 8),), {}),
        ("elementwise", "add", ((4, 8), (4, 8)), {}),
        ("copy", "concat", ((4, 8), (4, 8)), {}),
        ("copy", "reshape", ((4, 8),), {"shape": (32,)}),
    ],
)
def test_a_kind(kind: str, operation: str, shapes: tuple[tuple[int, ...], ...], attributes: dict[str, object]) -> None:
    graph, node = made(operation, *shapes, **attributes)
    assert kind_of(graph, [node]) == kind


def test_layers_computed_as_one_are_of_their_largest_contractions_kind() -> None:
    g = GraphBuilder("group")
    x = g.node("conv", "conv2d", g.input("x", (1, 8, 6, 6)), g.weight("w", (4, 8, 3, 3)))
    graph = g.graph(g.node("pool", "max_pool2d", g.node("relu", "relu", x), kernel=(2, 2)))
    assert kind_of(graph, graph.nodes) == "convolution"
    assert kind_of(graph, graph.nodes[1:]) == "reduction"
