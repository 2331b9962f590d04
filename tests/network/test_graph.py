"""What a graph checks when it is made, and what it knows of its nodes and tensors."""

from collections.abc import Callable

import pytest

from tilework.errors import NetworkError
from tilework.network.graph import BUFFER, DTYPE_BYTES, PARAMETER, Graph, GraphBuilder, Node, Tensor
from tilework.network.nest import CONTRACTION, ELEMENTWISE

X = Tensor("x", (1, 3, 8, 8), role="input")
W = Tensor("w", (4, 3, 3, 3), role="parameter")
B = Tensor("b", (4,), role="parameter")


def small() -> Graph:
    builder = GraphBuilder("small")
    x = builder.input("x", (1, 3, 8, 8))
    w, b = builder.weight("stem.conv.weight", (4, 3, 3, 3)), builder.weight("stem.conv.bias", (4,))
    mean = builder.weight("mean", (4,), trainable=False)
    c = builder.node("stem.conv", "conv2d", x, w, b, padding=(1, 1))
    n = builder.node("norm", "batch_norm", c, b, b, mean, mean, module="stem")
    return builder.graph(builder.node("flat", "flatten", n), c)


def test_shapes_and_roles() -> None:
    graph = small()
    assert {name: tensor.shape for name, tensor in graph.tensors.items()} == {
        "x": (1, 3, 8, 8),
        "stem.conv.weight": (4, 3, 3, 3),
        "stem.conv.bias": (4,),
        "mean": (4,),
        "stem.conv": (1, 4, 8, 8),
        "norm": (1, 4, 8, 8),
        "flat": (1, 256),
    }
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert [(tensor.name, tensor.role) for tensor in graph.weights] == [
        ("stem.conv.weight", PARAMETER),
        ("stem.conv.bias", PARAMETER),
        ("mean", BUFFER),
    ]
    assert [tensor.name for tensor in graph.weights_of(graph.nodes[0])] == ["stem.conv.weight", "stem.conv.bias"]
    assert [node.module for node in graph.nodes] == ["stem", "stem", ""]
    assert graph.outputs == ("flat", "stem.conv")


def test_nests_name_the_graphs_tensors() -> None:
    graph = small()
    conv, norm, flat = graph.nodes
    multiply, shift = graph.nests(conv)
    assert (multiply.kind, shift.kind) == (CONTRACTION, ELEMENTWISE)
    assert [access.tensor for access in multiply.reads] == ["x", "stem.conv.weight"]
    assert multiply.output.tensor == "stem.conv:t"
    assert [access.tensor for access in shift.reads] == ["stem.conv:t", "stem.conv.bias"]
    assert shift.output.tensor == "stem.conv"
    assert graph.temporaries(conv) == (Tensor("stem.conv:t", (1, 4, 8, 8)),)
    assert graph.temporaries(norm) == (Tensor("norm:a", (4,)),)
    assert graph.nests(flat) == ()
    assert graph.expansion(flat).is_alias


def test_tensor_sizes() -> None:
    tensor = Tensor("x", (2, 3, 5), "float16")
    assert (tensor.elements, tensor.size_bytes, tensor.is_weight) == (30, 60, False)
    assert (Tensor("x", ()).elements, Tensor("x", (), "int8", BUFFER).is_weight) == (1, True)


def test_a_nodes_value_has_its_first_inputs_dtype() -> None:
    builder = GraphBuilder("half")
    graph = builder.graph(builder.node("y", "relu", builder.input("x", (2,), "float16")))
    assert graph.tensors["y"].dtype == "float16"


def test_lists_become_tuples_so_that_graphs_are_keys() -> None:
    builder = GraphBuilder("pool")
    graph = builder.graph(builder.node("y", "max_pool2d", builder.input("x", (1, 1, 4, 4)), kernel=[2, 2]))
    assert graph.nodes[0].attributes == (("kernel", (2, 2)),)
    assert len({graph, graph.replace(graph.sources, graph.nodes, graph.outputs)}) == 1


def test_replace_checks_again() -> None:
    graph = small()
    with pytest.raises(NetworkError, match=r"^node stem\.conv reads x, which nothing before it defines$"):
        graph.replace(graph.weights, graph.nodes, graph.outputs)


def graph_of(*nodes: Node, sources: tuple[Tensor, ...] = (X, W, B), outputs: tuple[str, ...] = ("y",)) -> Graph:
    return Graph("net", sources, nodes, outputs)


RELU = Node("y", "relu", ("x",))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: graph_of(RELU, outputs=()), "network net must have at least one output"),
        (lambda: graph_of(RELU, outputs=("z",)), "output z of network net is not defined by any node or input"),
        (lambda: graph_of(RELU, RELU), "node y: each tensor must have a name of its own, not 'y' again"),
        (
            lambda: graph_of(RELU, sources=(X, X)),
            "tensor x: each tensor must have a name of its own, not 'x' again",
        ),
        (lambda: graph_of(Node("", "relu", ("x",))), "node : each tensor must have a name of its own, not '' again"),
        (lambda: graph_of(Node("y", "relu", ("z",))), "node y reads z, which nothing before it defines"),
        (lambda: graph_of(Node("y", "relu", ("y",))), "node y reads y, which nothing before it defines"),
        (
            lambda: graph_of(Node("y", "conv2d", ("x", "b"))),
            "node y: the weight of conv2d must have 4 axes, not the shape [4]",
        ),
        (lambda: graph_of(Node("y", "relu", ())), "node y: relu takes the inputs x, not 0 of them"),
        (
            lambda: graph_of(Node("y", "relu", ("x",), (("slope", 0.1),))),
            "node y: relu has no attribute 'slope'; it has none",
        ),
        (
            lambda: graph_of(Node("y", "max_pool2d", ("x",), (("kernel", 3),))),
            "node y: max_pool2d's kernel must be 2 integers, not 3",
        ),
        (
            lambda: graph_of(RELU, sources=(Tensor("x", (1,)),)),
            "tensor x must be one of input, parameter, frozen, buffer, not 'value'",
        ),
        (
            lambda: graph_of(Node("y", "conv2d", ("x", "w", "b")), Node("y:t", "relu", ("y",))),
            "no tensor may be called y:t, as node y has one inside",
        ),
        (lambda: Tensor("x", (2, 0)), "tensor x: every size must be at least 1, not [2, 0]"),
        (
            lambda: Tensor("x", (2,), "float8"),
            f"tensor x: the dtype must be one of {', '.join(DTYPE_BYTES)}, not 'float8'",
        ),
    ],
)
def test_mistakes(make: Callable[[], object], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        make()
    assert str(caught.value) == message
