"""Networks as blocks: a copy is its block with other inputs and weights, in the graph and in the count."""

from __future__ import annotations

import pickle

from tilework.cost.count import Count, count
from tilework.cost.record import total
from tilework.network.blocks import Block, Blocks, Copy, Kind, Part
from tilework.network.graph import BUFFER, FROZEN, INPUT, PARAMETER, Tensor

X, W1, W2, UNREAD = -1, -2, -3, -4
SOURCES = {
    X: Tensor("x", (2, 4), role=INPUT),
    W1: Tensor("a.fc.weight", (4, 4), role=PARAMETER),
    W2: Tensor("b.fc.weight", (4, 4), role=FROZEN),
    UNREAD: Tensor("b.left", (3,), role=BUFFER),
}


def part(operation: str, inputs: tuple[int, ...], result: int, module: str, dtype: str = "float32") -> Part:
    shapes = tuple(SOURCES[number].shape if number < 0 else (2, 4) for number in inputs)
    return Part(operation, inputs, shapes, (), result, (2, 4), dtype, module)


def network() -> Blocks:
    """Two layers, of which the second is the first with another weight, and the second again."""
    linear = Block("a.fc", True, [part("linear", (X, W1), 1, "a.fc")])
    layer = Block("a", False, [linear, part("add", (1, X), 2, "a"), part("relu", (2,), 3, "a", "float16")])
    second = Copy(layer, "b", {X: 9, W1: W2}, {4: 3})
    third = Copy(layer, "b", {X: 4, W1: W2}, {5: 3})
    root = Block("", False, [layer, second, third, part("relu", (5,), 6, "")])
    return Blocks("net", SOURCES, root, {9: 3, 7: 6}, (7, X))


def test_a_copy_is_written_out_with_its_own_inputs_weights_and_names() -> None:
    assert str(network().graph()) == (
        "graph net\n"
        "input x float32[2,4]\n"
        "parameter a.fc.weight float32[4,4]\n"
        "frozen b.fc.weight float32[4,4]\n"
        "buffer b.left float32[3]\n"
        "a.fc = linear(x, a.fc.weight) in a\n"
        "a.add = add(a.fc, x) in a\n"
        "a.relu = relu(a.add) as float16 in a\n"
        "b.fc = linear(a.relu, b.fc.weight) as float32 in b\n"
        "b.add = add(b.fc, a.relu) in b\n"
        "b.relu = relu(b.add) as float16 in b\n"
        "b.fc_1 = linear(b.relu, b.fc.weight) as float32 in b\n"
        "b.add_1 = add(b.fc_1, b.relu) in b\n"
        "b.relu_1 = relu(b.add_1) as float16 in b\n"
        "relu = relu(b.relu_1) as float32\n"
        "output relu\n"
        "output x\n"
    )
    assert network().graph() == network().graph()


def test_a_block_counts_as_often_as_it_is_there() -> None:
    kinds = network().kinds
    assert sum(kinds.values()) == len(network().graph().nodes) == 10
    assert kinds[Kind("linear", ((2, 4), (4, 4)), (), (2, 4), "float32")] == 3


def test_the_count_of_blocks_is_that_of_their_graph() -> None:
    blocks = network()
    counted = count(blocks)
    assert "rows" not in vars(counted)
    assert counted.total.macs == 3 * 2 * 4 * 4
    assert (counted.total.parameters, counted.total.trainable_parameters, counted.total.buffers) == (32, 16, 3)
    assert "rows" not in vars(counted)
    plain = count(blocks.graph())
    assert counted.rows == plain.rows
    assert counted.total == total(counted.rows) == plain.total
    assert counted == plain
    assert str(counted) == str(plain)
    assert counted.by("operation") == plain.by("operation")


def test_options_reach_the_rows() -> None:
    for options in ({"dtype": "float16"}, {"padding_zeros": False}, {"backward": True}):
        assert count(network(), **options) == count(network().graph(), **options)


def test_a_count_of_blocks_can_be_stored() -> None:
    counted: Count = pickle.loads(pickle.dumps(count(network())))
    assert counted == count(network())


def test_a_nodes_name_is_new() -> None:
    sources = {X: Tensor("relu", (2, 4), role=INPUT), W1: Tensor("relu_1", (4,), role=PARAMETER)}
    root = Block("", False, [part("relu", (X,), 1, ""), part("relu", (1,), 2, "")])
    graph = Blocks("net", sources, root, {}, (2,)).graph()
    assert [node.name for node in graph.nodes] == ["relu_2", "relu_3"]
