"""Counts against published figures, plain enumeration, torch and torchinfo, and against themselves."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.cost.count import UNREAD, Count, count
from tilework.cost.record import COUNTED, GROUPINGS, OTHER_KINDS, Record, total
from tilework.errors import NetworkError
from tilework.frontend.resolve import resolve
from tilework.frontend.zoo import NETWORKS
from tilework.network.graph import DTYPE_BYTES, Graph, GraphBuilder
from tilework.network.operations import OPERATIONS, Shape


def convolution(x: Shape, w: Shape, bias: bool = False, **attributes: Any) -> Graph:
    g = GraphBuilder("convolution")
    weights = [g.weight("w", w)] + ([g.weight("b", w[:1])] if bias else [])
    return g.graph(g.node("y", "conv2d", g.input("x", x), *weights, **attributes))


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("lenet5", 61_706, 416_520),
        ("alexnet", 60_965_224, 724_406_816),
        ("alexnet_torchvision", 61_100_840, 714_188_480),
        ("vgg19", 143_667_240, 19_632_062_464),
        ("resnet152", 60_192_808, 11_513_626_624),
        ("resnet152_v1", 60_192_808, 11_282_415_616),
    ],
)
def test_known_networks(name: str, parameters: int, macs: int) -> None:
    counted = count(resolve(name)).total
    assert (counted.parameters, counted.macs) == (parameters, macs)
    assert counted.trainable_parameters == parameters
    assert counted.parameter_bytes == 4 * parameters


def test_neurons_of_the_published_alexnet_and_vgg19() -> None:
    alexnet = count(resolve("alexnet"))
    assert (alexnet.total.neurons, alexnet.neurons_with_input) == (659_272, 813_859)
    assert count(resolve("vgg19")).total.neurons == 14_861_288


def test_a_multilayer_perceptron_by_hand() -> None:
    g = GraphBuilder("mlp")
    hidden = g.node("fc1", "linear", g.input("x", (1, 33)), g.weight("w1", (512, 33)), g.weight("b1", (512,)))
    g.node("relu", "relu", hidden)
    y = g.node("fc2", "linear", "relu", g.weight("w2", (10, 512)), g.weight("b2", (10,)))
    counted = count(g.graph(y)).total
    assert counted.parameters == 22_538
    assert counted.macs == counted.multiplications == counted.additions == 512 * 33 + 10 * 512
    assert (counted.neurons, counted.other_operations) == (522, {"comparison": 512})


def test_the_convolution_of_the_counting_page() -> None:
    graph = convolution((1, 2, 5, 5), (3, 2, 3, 3), bias=True, stride=(2, 2), padding=(1, 1))
    with_padding, without = count(graph).total, count(graph, padding_zeros=False).total
    assert (with_padding.multiplications, with_padding.additions) == (486, 459 + 27)
    assert (without.multiplications, without.additions) == (294, 267 + 27)
    assert (with_padding.macs, without.macs) == (486, 294)
    assert (with_padding.neurons, with_padding.parameters, with_padding.activation_bytes) == (27, 57, 108)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    groups, kernel = draw(st.integers(1, 2)), draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    channels, filters = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return {
        "x": (draw(st.integers(1, 2)), groups * channels, *draw(st.tuples(st.integers(5, 6), st.integers(3, 5)))),
        "w": (groups * filters, channels, *kernel),
        "groups": groups,
        "stride": draw(pair),
        "padding": draw(st.tuples(st.integers(0, 3), st.integers(0, 1))),
        "dilation": draw(pair),
    }


def enumerated(c: dict[str, Any], shape: Shape, padding_zeros: bool) -> tuple[int, int]:
    """Multiplications and additions of a convolution, one by one."""
    products: dict[tuple[int, ...], int] = {}
    (_, channels, *kernel), size = c["w"], c["x"][2:]
    for (n, k, *place), tap in product(product(*map(range, shape)), product(*map(range, (channels, *kernel)))):
        at = [c["stride"][i] * place[i] + c["dilation"][i] * tap[i + 1] - c["padding"][i] for i in (0, 1)]
        if padding_zeros or all(0 <= at[i] < size[i] for i in (0, 1)):
            products[n, k, *place] = products.get((n, k, *place), 0) + 1
    return sum(products.values()), sum(n - 1 for n in products.values())


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.booleans())
def test_a_convolution_is_counted_as_enumeration_counts_it(c: dict[str, Any], padding_zeros: bool) -> None:
    graph = convolution(**c)
    counted = count(graph, padding_zeros=padding_zeros).total
    expected = enumerated(c, graph.tensors["y"].shape, padding_zeros)
    assert (counted.multiplications, counted.additions) == expected
    assert counted.macs == expected[0]


@pytest.mark.parametrize(
    ("padding_zeros", "comparisons"), [(True, 4 * (9 - 1)), (False, (4 - 1) + 2 * (6 - 1) + (9 - 1))]
)
def test_a_maximum_over_padding_is_counted_as_asked(padding_zeros: bool, comparisons: int) -> None:
    g = GraphBuilder("pool")
    y = g.node("y", "max_pool2d", g.input("x", (1, 1, 4, 4)), kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    counted = count(g.graph(y), padding_zeros=padding_zeros).total
    assert counted.other_operations == {"comparison": comparisons}


EXAMPLES: dict[str, tuple[tuple[Shape, ...], dict[str, Any]]] = {
    "conv2d": (((2, 3, 6, 6), (4, 3, 3, 3), (4,)), {"padding": (1, 1)}),
    "conv1d": (((2, 3, 6), (4, 3, 3), (4,)), {"padding": (1,)}),
    "conv3d": (((2, 3, 6, 6, 2), (4, 3, 3, 3, 1)), {"padding": (1, 0, 0)}),
    "conv_transpose1d": (((2, 3, 6), (3, 4, 3), (4,)), {"padding": (1,)}),
    "conv_transpose2d": (((2, 3, 6, 6), (3, 4, 3, 3)), {"stride": (2, 2), "padding": (1, 1)}),
    "conv_transpose3d": (((2, 3, 6, 6, 2), (3, 4, 3, 3, 1)), {}),
    "linear": (((2, 3), (4, 3), (4,)), {}),
    "matmul": (((2, 3), (3, 4)), {}),
    "max_pool1d": (((2, 3, 6),), {}),
    "max_pool2d": (((2, 3, 6, 6),), {}),
    "max_pool3d": (((2, 3, 6, 6, 4),), {}),
    "avg_pool1d": (((2, 3, 6),), {}),
    "avg_pool2d": (((2, 3, 6, 6),), {}),
    "avg_pool3d": (((2, 3, 6, 6, 4),), {}),
    "adaptive_avg_pool1d": (((2, 3, 7),), {"output": (2,)}),
    "adaptive_avg_pool2d": (((2, 3, 7, 6),), {"output": (2, 2)}),
    "adaptive_avg_pool3d": (((2, 3, 7, 6, 2),), {"output": (2, 2, 2)}),
    "adaptive_max_pool1d": (((2, 3, 7),), {"output": (2,)}),
    "adaptive_max_pool2d": (((2, 3, 7, 6),), {"output": (2, 2)}),
    "adaptive_max_pool3d": (((2, 3, 7, 6, 2),), {"output": (2, 2, 2)}),
    "log_softmax": (((2, 3),), {}),
    "layer_norm": (((2, 3), (3,), (3,)), {}),
    "rms_norm": (((2, 3), (3,)), {}),
    "group_norm": (((2, 6, 2), (6,), (6,)), {"groups": 3}),
    "pointwise": (((2, 3), (3,)), {"body": "select(less(x0, 0), x1, erf(x0))"}),
    "reduce": (((2, 3),), {"mean": True}),
    "slice": (((2, 3),), {"axis": 1, "size": 2}),
    "expand": (((2, 1),), {"shape": (2, 3)}),
    "flip": (((2, 3),), {"axes": (0,)}),
    "pad": (((2, 3),), {"before": (1, 0), "after": (0, 1)}),
    "host": (((2, 3),), {"what": "sort", "shape": (2, 3)}),
    "nests": (((2, 3),), {"body": "a<2 b<3: o[b] += x0[a,b] * x0[a,b]", "shape": (3,)}),
    "unknown": (((2, 3),), {"what": "aten.foo", "shape": (2, 3)}),
    "relu": (((2, 3),), {}),
    "add": (((2, 3), (2, 3)), {}),
    "batch_norm": (((2, 3, 6, 6), (3,), (3,), (3,), (3,)), {}),
    "local_response_norm": (((2, 7, 3, 3),), {}),
    "softmax": (((2, 3),), {}),
    "flatten": (((2, 3, 6, 6),), {}),
    "dropout": (((2, 3),), {}),
    "reshape": (((2, 3),), {"shape": (6,)}),
    "transpose": (((2, 3),), {"order": (1, 0)}),
    "concat": (((2, 3), (2, 4)), {}),
    "sigmoid": (((2, 3),), {}),
    "tanh": (((2, 3),), {}),
    "clip": (((2, 3),), {}),
    "sub": (((2, 3), (3,)), {}),
    "mul": (((2, 3), (3,)), {}),
    "div": (((2, 3), (3,)), {}),
}
MOVES = {
    "transpose",
    "concat",
    "slice",
    "expand",
    "flip",
    "pad",
}  # operations that compute nothing and yet are no aliases


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_counts(operation: str) -> None:
    assert operation in EXAMPLES, f"give EXAMPLES the shapes of one {operation}"
    shapes, attributes = EXAMPLES[operation]
    g = GraphBuilder(operation)
    inputs = [g.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
    graph = g.graph(g.node("y", operation, *inputs, **attributes))
    for padding_zeros in (True, False):
        (row,) = count(graph, padding_zeros=padding_zeros).rows
        assert row.other_operations.keys() <= set(OTHER_KINDS)
        assert min(row.numbers()[name] for name in COUNTED if name != "other_operations") >= 0
        assert (row.neurons > 0) == OPERATIONS[operation].weighted
        done = row.multiplications + row.additions + sum(row.other_operations.values())
        assert (done == 0) == (graph.expansion(graph.nodes[0]).is_alias or operation in MOVES)
        stateless = graph.expansion(graph.nodes[0]).is_alias or OPERATIONS[operation].view
        assert (row.activation_bytes == 0) == stateless


def test_softmax_by_hand() -> None:
    g = GraphBuilder("softmax")
    counted = count(g.graph(g.node("y", "softmax", g.input("x", (2, 5))))).total
    assert counted.other_operations == {"division": 10, "comparison": 8, "exp": 10}
    assert (counted.additions, counted.multiplications, counted.macs) == (10 + 8, 0, 0)


def counted(operation: str, *shapes: Shape, **attributes: Any) -> Record:
    """The counts of one node, of which the first input is the graph's and the others are weights."""
    g = GraphBuilder("one")
    names = [g.input("x", shapes[0]), *(g.weight(f"w{i}", shape) for i, shape in enumerate(shapes[1:]))]
    return count(g.graph(g.node("y", operation, *names, **attributes))).total


def test_layer_normalisation_by_hand() -> None:
    done = counted("layer_norm", (2, 5), (5,), (5,))
    # For each row a mean and a variance (4 + 4 additions, 2 multiplications) and epsilon; for each place x - mean,
    # its square, the scale by 1/sqrt and by g, and b.
    assert (done.additions, done.multiplications) == (2 * (4 + 4 + 1) + 10 * 2, 2 * 2 + 10 * 3)
    assert done.other_operations == {"sqrt": 2, "division": 2}
    assert (done.macs, done.neurons, done.parameters) == (0, 0, 10)


def test_root_mean_square_normalisation_by_hand() -> None:
    done = counted("rms_norm", (2, 5), (5,))
    assert (done.additions, done.multiplications) == (2 * (4 + 1), 2 + 10 * 3)
    assert done.other_operations == {"sqrt": 2, "division": 2}


def test_a_product_of_matrices_by_hand() -> None:
    done = counted("matmul", (2, 1, 3, 4), (5, 4, 6))
    assert done.macs == done.multiplications == 2 * 5 * 3 * 6 * 4
    assert done.additions == done.macs - 2 * 5 * 3 * 6
    assert done.neurons == 0


def test_a_transposed_convolution_by_hand() -> None:
    g = GraphBuilder("transposed")
    node = g.node("y", "conv_transpose1d", g.input("x", (1, 2, 3)), g.weight("w", (2, 4, 3)), stride=(2,), padding=(1,))
    graph = g.graph(node)
    whole, inside = count(graph).total, count(graph, padding_zeros=False).total
    # 3 places, each a window of 3 on 7 places of which the first and the last are cut off.
    assert (whole.macs, whole.additions) == (4 * 2 * 9, 4 * (2 * 9 - 7))
    assert (inside.macs, inside.additions) == (4 * 2 * 7, 4 * (2 * 7 - 5))
    assert whole.neurons == 4 * 5


def test_a_mean_of_one_place_is_a_copy() -> None:
    assert counted("adaptive_avg_pool2d", (1, 3, 7, 7), output=(7, 7)) == counted("flip", (1, 3, 7, 7))
    assert counted("avg_pool2d", (1, 3, 7, 7), kernel=(1, 1)).multiplications == 0
    assert counted("reduce", (4, 1), axes=(1,), mean=True).multiplications == 0
    half = counted("adaptive_avg_pool2d", (1, 1, 3, 2), output=(2, 2))
    assert (half.additions, half.multiplications) == (4 * (2 - 1), 4)


def test_the_hosts_work_and_what_is_unknown_have_kinds_of_their_own() -> None:
    assert counted("host", (2, 8), what="sort", shape=(2, 8)).other_operations == {"comparison": 2 * 8 * 3}
    assert counted("host", (2, 8), what="sort", shape=(2, 8), part=1).other_operations == {}
    assert counted("unknown", (2, 8), what="aten.foo", shape=(3,)).other_operations == {"unknown": 1}


def test_local_response_norm_counts_its_padding_channels_only_when_asked() -> None:
    g = GraphBuilder("norm")
    graph = g.graph(g.node("y", "local_response_norm", g.input("x", (1, 4, 1, 1)), size=3))
    padded, unpadded = count(graph).total, count(graph, padding_zeros=False).total
    assert (padded.multiplications, padded.additions) == (4 * 3 + 4, 4 * 2 + 4)
    assert (unpadded.multiplications, unpadded.additions) == (10 + 4, 6 + 4)
    assert padded.macs == 0
    assert padded.other_operations == {"division": 4, "power": 4}


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_sum_to_the_total_however_grouped(name: str) -> None:
    counted = count(resolve(name))
    for grouping, depth in [*((grouping, None) for grouping in GROUPINGS), ("layer", 1), ("layer", 2), ("module", 1)]:
        grouped = counted.by(grouping, depth)
        assert total(grouped) == counted.total
        assert sum(row.layers for row in grouped) == len(counted.rows)
        assert len({row.name for row in grouped}) == len(grouped)


def by_batch(graph: str, batch: int) -> Count:
    return count(resolve(graph, batch))


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg11"])
def test_twice_the_batch_is_twice_everything_but_parameters(name: str) -> None:
    one, two = by_batch(name, 1).total, by_batch(name, 2).total
    assert two == total((one, one, held(one, -1)))
    assert by_batch(name, 2).neurons_with_input == 2 * by_batch(name, 1).neurons_with_input


def held(record: Record, sign: int) -> Record:
    names = ("parameters", "trainable_parameters", "buffers", "parameter_bytes", "buffer_bytes")
    return Record(**{name: sign * getattr(record, name) for name in names})


def test_batch_normalisation_prepares_its_scale_once_whatever_the_batch() -> None:
    one, two = by_batch("resnet18", 1).total, by_batch("resnet18", 2).total
    assert two.macs == 2 * one.macs
    assert two.other_operations["sqrt"] == one.other_operations["sqrt"] == 4_800


def test_layers_deeper_than_the_depth_become_their_module() -> None:
    counted = count(resolve("resnet18"))
    rows = counted.by("layer", 1)
    assert [row.name for row in rows[:6]] == ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2"]
    assert (rows[4].operation, rows[4].layers, rows[4].output_shape) == ("module", 14, (1, 64, 56, 56))
    assert counted.by("layer", 2)[4].name == "layer1.0"
    assert counted.by("layer", 2)[4].module == "layer1"
    assert counted.by("layer", 9) == counted.by("layer") == list(counted.rows)


def test_modules_are_named_in_full_and_the_outermost_one_after_the_network() -> None:
    counted = count(resolve("resnet18"))
    assert [row.name for row in counted.by("module")[:3]] == ["resnet18", "layer1.0", "layer1.1"]
    assert [row.name for row in counted.by("module", 1)] == ["resnet18", "layer1", "layer2", "layer3", "layer4"]


def test_by_operation() -> None:
    rows = {row.name: row for row in count(resolve("alexnet")).by("operation")}
    assert (rows["conv2d"].layers, rows["conv2d"].macs) == (5, 665_784_864)
    assert (rows["linear"].layers, rows["linear"].macs) == (3, 58_621_952)
    assert rows["conv2d"].output_shape is None


def test_a_weight_that_two_nodes_read_is_counted_in_the_first() -> None:
    g = GraphBuilder("tied")
    w = g.weight("w", (4, 4))
    y = g.node("second", "linear", g.node("first", "linear", g.input("x", (1, 4)), w), w)
    counted = count(g.graph(y))
    assert [row.parameters for row in counted.rows] == [16, 0]
    assert [row.macs for row in counted.rows] == [16, 16]


def test_a_node_that_reads_a_weight_twice_holds_it_once() -> None:
    g = GraphBuilder("twice")
    w = g.weight("w", (3,))
    y = g.node("y", "batch_norm", g.input("x", (1, 3)), w, w, g.weight("m", (3,), trainable=False), w)
    counted = count(g.graph(y)).total
    assert (counted.parameters, counted.buffers) == (3, 3)


def test_a_weight_that_no_node_reads_has_a_row_of_its_own() -> None:
    g = GraphBuilder("unread")
    g.weight("lost", (5,))
    counted = count(g.graph(g.node("y", "relu", g.input("x", (2,)))))
    assert [(row.name, row.parameters, row.layers) for row in counted.rows] == [("y", 0, 1), (UNREAD, 5, 0)]
    assert counted.total.parameters == 5


def test_buffers_are_no_parameters() -> None:
    counted = count(resolve("resnet18")).total
    assert (counted.parameters, counted.buffers) == (11_689_512, 9_600)
    assert counted.buffer_bytes == 4 * 9_600


def test_bytes_follow_the_dtype_asked_for_and_integers_keep_theirs() -> None:
    g = GraphBuilder("dtypes")
    g.input("tokens", (7,), "int32")
    graph = g.graph(
        g.node("a", "relu", "tokens"), g.node("y", "linear", g.input("x", (1, 4)), g.weight("w", (2, 4), True, "int8"))
    )
    assert [(r.parameter_bytes, r.activation_bytes) for r in count(graph).rows] == [(0, 28), (8, 8)]
    assert [(r.parameter_bytes, r.activation_bytes) for r in count(graph, dtype="float16").rows] == [(0, 28), (8, 4)]


def test_an_alias_moves_no_bytes() -> None:
    rows = {row.name: row for row in count(resolve("alexnet")).rows}
    assert rows["flatten"].activation_bytes == rows["drop6"].activation_bytes == 0
    assert rows["relu6"].activation_bytes == 4 * 4096


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.by("colour"), "counts are grouped by one of layer, module, operation, not by 'colour'"),
        (lambda c: c.by("layer", 0), "the depth must be at least 1, not 0"),
        (lambda c: c.by("operation", 1), "a depth goes with counts by layer or by module, not by operation"),
    ],
)
def test_errors_of_grouping(call: Any, message: str) -> None:
    with pytest.raises(NetworkError) as error:
        call(count(resolve("lenet5")))
    assert str(error.value) == message


def test_the_error_of_an_unknown_dtype() -> None:
    with pytest.raises(NetworkError) as error:
        count(resolve("lenet5"), dtype="float80")
    assert str(error.value) == f"the dtype must be one of {', '.join(DTYPE_BYTES)}, not 'float80'"


def test_the_dict_has_the_keys_that_scripts_rely_on() -> None:
    document = count(resolve("lenet5")).to_dict()
    record = {"parameters", "trainable_parameters", "neurons", "multiplications", "additions", "macs"}
    record |= {"other_operations", "parameter_bytes", "activation_bytes"}
    assert {"network", "totals", "layers"} <= document.keys()
    assert record <= document["totals"].keys()
    for layer in document["layers"]:
        assert record | {"name", "operation", "output_shape"} <= layer.keys()
