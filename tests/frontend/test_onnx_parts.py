"""Which layers ONNX Runtime computed together, by hand-written operators and by the runtime itself."""

from __future__ import annotations

import pytest

from tilework.executable import random_values
from tilework.frontend.onnx_parts import Operator, parts
from tilework.frontend.onnx_runtime import profile_onnx
from tilework.frontend.zoo import network
from tilework.network.graph import Graph, GraphBuilder


def block() -> Graph:
    """Two convolutions around which a sum goes, as in a residual network, and a classifier."""
    g = GraphBuilder("block")
    first = g.node("conv1", "conv2d", g.input("x", (1, 8, 6, 6)), g.weight("w1", (8, 8, 1, 1)))
    first = g.node("relu1", "relu", first)
    second = g.node("conv2", "conv2d", first, g.weight("w2", (8, 8, 1, 1)))
    summed = g.node("relu2", "relu", g.node("add", "add", second, first))
    third = g.node("conv3", "conv2d", summed, g.weight("w3", (8, 8, 1, 1)))
    both = g.node("last", "add", third, summed)
    return g.graph(g.node("flatten", "flatten", both))


def layers(graph: Graph, operators: list[Operator]) -> list[tuple[str, ...]]:
    return [part.layers for part in parts(graph, operators)[0]]


def test_a_layer_without_an_operator_goes_where_its_operands_are_read() -> None:
    """A convolution's operator bears the name of what it begins with or ends with; its value may have no name."""
    operators = [
        Operator("ReorderInput", "ReorderInput", ("x",), ("token0",)),
        Operator("relu1_nchwc", "Conv", ("token0", "w1"), ("token1",)),
        Operator("conv2_nchwc", "Conv", ("token1", "w2", "token1"), ("token2",)),
        Operator("conv3_nchwc", "Conv", ("token2", "w3", "token2"), ("token3",)),
        Operator("ReorderOutput", "ReorderOutput", ("token3",), ("last",)),
        Operator("flatten", "Flatten", ("last",), ("flatten",)),
    ]
    found, untimed = parts(block(), operators)
    assert [part.layers for part in found] == [
        ("conv1", "relu1"),
        ("conv2", "add", "relu2"),
        ("conv3", "last"),
        ("flatten",),
    ]
    assert [part.operators for part in found] == [(0, 1), (2,), (3, 4), (5,)]
    assert untimed == ()


def test_a_named_value_ends_a_part() -> None:
    """relu2's operand is a value that has a layer's name, so that no operator before it went on."""
    operators = [
        Operator("fused conv1", "FusedConv", ("x", "w1"), ("relu1",)),
        Operator("conv2", "Conv", ("relu1", "w2"), ("conv2",)),
        Operator("special", "SkipRelu", ("conv2", "relu1"), ("relu2",)),
        Operator("conv3", "Conv", ("relu2", "w3"), ("conv3",)),
        Operator("last", "Add", ("conv3", "relu2"), ("last",)),
        Operator("flatten", "Flatten", ("last",), ("flatten",)),
    ]
    assert layers(block(), operators) == [
        ("conv1", "relu1"),
        ("conv2",),
        ("add", "relu2"),
        ("conv3",),
        ("last",),
        ("flatten",),
    ]


def test_what_depends_on_no_input_has_no_operator() -> None:
    g = GraphBuilder("constant")
    doubled = g.node("double", "add", g.weight("w", (4,)), "w")
    graph = g.graph(g.node("sum", "add", g.input("x", (4,)), doubled))
    assert parts(graph, [Operator("sum", "Add", ("x", "double"), ("sum",))])[1] == ("double",)


@pytest.mark.parametrize("name", ["lenet5", "encoder", "mobilenet_v2"])
def test_every_layer_and_every_operator_is_in_one_part(name: str) -> None:
    graph = network(name)
    profile = profile_onnx(graph, None, random_values(graph), runs=2, warm_up=0)
    found, untimed = parts(graph, profile.operators)
    named = [layer for part in found for layer in part.layers]
    assert sorted([*named, *untimed]) == sorted(node.name for node in graph.nodes)
    assert sorted(place for part in found for place in part.operators) == list(range(len(profile.operators)))
    assert all(len(one) == 2 for one in profile.seconds)
    assert len(profile.runs) == len(profile.worked) == 2


def test_a_residual_block_is_attributed_as_it_was_fused() -> None:
    """In resnet18 the sum and the rectifier behind it belong to the second convolution of each block."""
    graph = network("resnet18")
    profile = profile_onnx(graph, None, random_values(graph), runs=1, warm_up=0)
    of = {layer: part.layers for part in parts(graph, profile.operators)[0] for layer in part.layers}
    for place in ("layer1.0", "layer2.0", "layer4.1"):
        second = tuple(f"{place}.{end}" for end in ("conv2", "bn2", "add", "relu1"))
        assert of[f"{place}.add"] == second
        assert of[f"{place}.conv1"] == tuple(f"{place}.{end}" for end in ("conv1", "bn1", "relu"))
