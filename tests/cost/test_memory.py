"""Memory: networks by hand, a plain simulation of random ones, and what torch keeps for its backward pass."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.cost.checkpoint import segments
from tilework.cost.count import count
from tilework.cost.memory import OPTIMISERS, Live, Memory, memory
from tilework.errors import NetworkError
from tilework.frontend.resolve import resolve
from tilework.network.gradient import gradient_plan
from tilework.network.graph import Graph, GraphBuilder


def live(timeline: tuple[Live, ...]) -> list[int]:
    return [moment.bytes for moment in timeline]


def chain(*operations: str, size: int = 10) -> Graph:
    """A linear layer without bias, then elementwise operations, on `size` float32 numbers each: 40 bytes."""
    g = GraphBuilder("chain")
    x = g.node("fc", "linear", g.input("x", (1, size)), g.weight("w", (size, size)))
    for place, operation in enumerate(operations):
        x = g.node(f"{operation}{place}", operation, x)
    return g.graph(x)


def test_a_chain_at_inference_holds_two_values_at_a_time() -> None:
    found = memory(chain("relu", "tanh"))
    assert live(found.inference) == [40, 80, 80, 80]
    assert (str(found.inference_peak), found.inference_peak.bytes) == ("forward of fc", 80)
    assert found.inference_bytes == 400 + 80
    assert found.activation_bytes == 120


def test_a_chain_in_training() -> None:
    found = memory(chain("relu", "tanh"), optimizer="momentum")
    # x for the weight's gradient, then the values of relu and tanh, which their gradients need; fc's goes.
    assert found.saved_bytes == 120
    # inputs, fc, relu (x, fc, relu), tanh (x, relu, tanh), the loss adds d:tanh, then d:relu beside it, ….
    assert live(found.training) == [40, 80, 120, 120, 160, 200, 200, 120]
    assert str(found.training_peak) == "backward of tanh1"
    assert (found.gradient_bytes, found.optimizer_bytes, found.master_bytes) == (400, 400, 0)
    assert found.training_bytes == 3 * 400 + 200


def test_a_residual_connection_keeps_its_input() -> None:
    g = GraphBuilder("residual")
    x = g.node("a", "relu", g.input("x", (10,)))
    y = g.node("c", "tanh", g.node("b", "relu", x))
    assert live(memory(g.graph(g.node("sum", "add", x, y))).inference) == [40, 80, 80, 120, 120]


def test_branches_and_an_output_that_stays() -> None:
    g = GraphBuilder("branches")
    x = g.input("x", (10,))
    a, b = g.node("a", "relu", x), g.node("b", "relu", x)
    c = g.node("c", "add", a, b)
    assert live(memory(g.graph(a, g.node("d", "tanh", c))).inference) == [40, 80, 120, 120, 120]


def test_aliases_and_views_take_no_memory_but_keep_their_bases() -> None:
    g = GraphBuilder("views")
    a = g.node("a", "relu", g.input("x", (2, 5)))
    turned = g.node("turned", "transpose", g.node("flat", "reshape", a, shape=(5, 2)), order=(1, 0))
    g.node("cut", "slice", turned, axis=0, start=0, size=1)
    found = memory(g.graph(g.node("y", "relu", "cut")))
    assert live(found.inference) == [40, 80, 40, 40, 40, 60]
    assert found.activation_bytes == 40 + 20


def test_a_change_of_dtype_takes_memory_of_its_own() -> None:
    g = GraphBuilder("cast")
    x = g.node("fc", "linear", g.input("x", (1, 10)), g.weight("w", (10, 10)))
    found = memory(g.graph(g.node("half", "dropout", x, dtype="float16")))
    assert live(found.inference) == [40, 80, 60]
    assert live(found.training)[-2:] == [40 + 20 + 20 + 40, 40 + 20 + 40]


def test_temporaries_live_while_their_node_runs_unless_the_output_replaces_them() -> None:
    g = GraphBuilder("temporaries")
    x = g.node("softmax", "softmax", g.input("x", (2, 5)))
    y = g.node("fc", "linear", x, g.weight("w", (3, 5)), g.weight("b", (3,)))
    # softmax has two temporaries of 2 numbers, and one of the input's shape that its output replaces in place;
    # so has the layer with a bias.
    assert live(memory(g.graph(y)).inference) == [40, 80 + 16, 40 + 24]


def test_a_temporary_that_the_gradient_reads_is_kept_apart() -> None:
    g = GraphBuilder("norm")
    x = g.node("fc", "linear", g.input("x", (2, 5)), g.weight("w", (5, 5)))
    found = memory(g.graph(g.node("norm", "layer_norm", x)))
    assert found.inference_peak.bytes == 80 + 4 * 8  # s, m, v and r of each row
    assert found.saved_bytes == 40 + 40 + 2 * 8  # x, the centred values, v and r


def test_one_more_reader_of_a_gradient() -> None:
    """d:fc is a copy of d:sum at first, of which act's share is added: three gradients of 40 bytes at once."""
    g = GraphBuilder("residual")
    x = g.node("fc", "linear", g.input("x", (1, 10)), g.weight("w", (10, 10)))
    found = memory(g.graph(g.node("sum", "add", g.node("act", "tanh", x), x)))
    # the output stays, x and act are kept; add: d:sum and d:fc; act: d:sum is d:act too.
    assert live(found.training)[-4:] == [120 + 40, 120 + 80, 120 + 80, 80 + 40]


def test_a_network_without_parameters_has_no_backward_pass() -> None:
    g = GraphBuilder("fixed")
    found = memory(g.graph(g.node("y", "relu", g.input("x", (10,)))))
    assert (found.saved_bytes, found.gradient_bytes, found.optimizer_bytes) == (0, 0, 0)
    assert live(found.training) == [40, 80, 40]


def test_stored_in_half_precision() -> None:
    full, half = memory(chain("relu")), memory(chain("relu"), "bfloat16", master=True)
    assert (half.parameter_bytes, half.gradient_bytes, half.inference_peak.bytes) == (200, 200, 40)
    assert (half.optimizer_bytes, half.master_bytes) == (full.optimizer_bytes, 400)


@pytest.mark.parametrize(("optimizer", "states"), OPTIMISERS.items())
def test_optimisers(optimizer: str, states: int) -> None:
    assert memory(resolve("lenet5"), optimizer=optimizer).optimizer_bytes == states * 4 * 61_706


def test_frozen_and_unread_parameters_have_no_gradient() -> None:
    g = GraphBuilder("frozen")
    g.weight("unread", (100,))
    x = g.node("a", "linear", g.input("x", (1, 10)), g.weight("frozen", (10, 10), trainable=False))
    found = memory(g.graph(g.node("b", "linear", x, g.weight("w", (10, 10)))))
    assert (found.parameter_bytes, found.buffer_bytes, found.gradient_bytes) == (800, 400, 400)
    assert found.saved_bytes == 40


# Checkpointing


def blocks(number: int) -> Graph:
    """Blocks of a linear layer and two functions, each value 40 bytes."""
    g = GraphBuilder("blocks")
    x = g.input("x", (1, 10))
    for i in range(number):
        x = g.node(f"layers.{i}.fc", "linear", x, g.weight(f"layers.{i}.w", (10, 10)))
        x = g.node(f"layers.{i}.out", "tanh", g.node(f"layers.{i}.act", "tanh", x))
    return g.graph(x)


def test_checkpointing_keeps_the_inputs_of_segments() -> None:
    plain, found = memory(blocks(4)), memory(blocks(4), checkpoint="blocks")
    assert (plain.segments, plain.recomputed.macs) == (0, 0)
    assert plain.saved_bytes == 40 + 8 * 40
    assert found.segments == 4
    assert found.saved_bytes == 40 + 4 * 40  # the input, and the output of each block, which the next one reads
    # In each block fc and act are computed again, for act's value; the block's output is still there.
    assert found.recomputed == sum(
        (row for row in count(blocks(4)).rows if row.label in ("fc", "act")), start=type(found.recomputed)()
    )
    names = [(moment.phase, moment.node) for moment in found.training]
    assert names[14:19] == [
        ("recompute", "layers.3.fc"),
        ("recompute", "layers.3.act"),
        *(("backward", f"layers.3.{name}") for name in ("out", "act", "fc")),
    ]
    # forward: the input and the outputs so far, and two values of the block
    assert live(found.training)[:7] == [40, 80, 120, 120, 120, 160, 160]
    # the input and 4 outputs; d:out; fc again, act again; then d:act instead, ….
    assert live(found.training)[13:19] == [240, 280, 320, 320, 320, 280]
    assert found.training_peak.bytes < plain.training_peak.bytes


def test_a_view_that_the_gradient_reads_is_made_again_with_its_base() -> None:
    g = GraphBuilder("views")
    x = g.input("x", (2, 5))
    for i in range(2):
        a = g.node(f"b.{i}.a", "linear", x, g.weight(f"w{i}", (5, 5)))
        t = g.node(f"b.{i}.t", "transpose", g.node(f"b.{i}.tanh", "tanh", a), order=(1, 0))
        x = g.node(f"b.{i}.y", "matmul", g.node(f"b.{i}.r", "reshape", t, shape=(2, 5)), g.weight(f"v{i}", (5, 5)))
    found = memory(g.graph(x), checkpoint="blocks")
    assert [m.node for m in found.training if m.phase == "recompute"] == ["b.1.a", "b.1.tanh", "b.0.a", "b.0.tanh"]


@pytest.mark.parametrize(
    ("name", "checkpoint", "number"),
    [("resnet50", "blocks", 16), ("resnet50", 1, 4), ("vgg19", "blocks", 6), ("vgg19", 1, 2), ("lenet5", 3, 0)],
)
def test_segments_of_the_zoo(name: str, checkpoint: str | int, number: int) -> None:
    graph = resolve(name)
    found = segments(graph, checkpoint)
    assert len(found) == number
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    for segment in found:
        assert all(places[b.name] == places[a.name] + 1 for a, b in pairwise(segment))


def test_the_same_module_twice_is_two_segments() -> None:
    g = GraphBuilder("twice")
    x = g.input("x", (10,))
    for i, module in enumerate(("a.0", "", "a.0")):
        x = g.node(f"n{i}", "relu", x, module=module)
    assert [[node.name for node in part] for part in segments(g.graph(x), "blocks")] == [["n0"], ["n2"]]


@pytest.mark.parametrize(
    ("module", "segment"),
    [
        ("layer1.0.conv", "layer1.0"),
        ("encoder.layers.3.mlp.0", "encoder.layers.3"),
        ("encoder.encoder_layer_11.mlp.0", "encoder.encoder_layer_11"),
        ("conv2", ""),
        ("", ""),
    ],
)
def test_which_modules_are_numbered(module: str, segment: str) -> None:
    g = GraphBuilder("one")
    x = g.node("a", "relu", g.node("marked", "relu", g.input("x", (10,)), module="m.0"), module=module)
    found = segments(g.graph(g.node("b", "relu", x, module=f"{segment}.more" if segment else "")), "blocks")
    assert [[node.name for node in part] for part in found] == [["marked"], *([["a", "b"]] if segment else [])]


def test_checkpointing_trades_memory_for_work() -> None:
    plain, blocks_, stages = (memory(resolve("resnet50"), checkpoint=way) for way in (None, "blocks", 1))
    assert blocks_.saved_bytes < stages.saved_bytes + blocks_.saved_bytes < plain.saved_bytes
    assert blocks_.training_peak.bytes < plain.training_peak.bytes
    assert 0 < blocks_.recomputed.macs < count(resolve("resnet50")).total.macs


# Against a plain simulation


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Random graphs of elementwise nodes, reshapes, transposes and sums on 2 by 3 numbers."""
    g = GraphBuilder("random")
    names = [g.input("x", (2, 3))]
    if draw(st.booleans()):
        names.append(g.weight("w", (2, 3)))
    for i in range(draw(st.integers(1, 9))):
        pick = st.sampled_from(names)
        kind = draw(st.sampled_from(["relu", "tanh", "add", "mul", "softmax", "alias", "view"]))
        name = f"m.{i // 3}.n{i}" if draw(st.booleans()) else f"n{i}"
        if kind == "alias":
            names.append(g.node(name, "dropout", draw(pick)))
        elif kind == "view":
            names.append(g.node(name, "transpose", draw(pick), order=(0, 1)))
        elif kind in ("add", "mul"):
            names.append(g.node(name, kind, draw(pick), draw(pick)))
        else:
            names.append(g.node(name, kind, draw(pick)))
    outputs = draw(st.lists(st.sampled_from(names[-3:]), min_size=1, max_size=2, unique=True))
    return g.graph(*(name for name in outputs if name != "w"), names[-1])


def base(graph: Graph, name: str) -> str:
    nodes = {node.name: node for node in graph.nodes}
    while name in nodes and nodes[name].operation in ("dropout", "transpose"):
        name = nodes[name].inputs[0]
    return name


@given(networks())
def test_inference_is_what_a_plain_simulation_holds(graph: Graph) -> None:
    """Walk through the nodes; at each, every value that is needed now or later is held, each base once."""
    held, found = [24], memory(graph).inference
    for place, node in enumerate(graph.nodes):
        made = {"x", *(n.name for n in graph.nodes[: place + 1])}
        later = {name for n in graph.nodes[place + 1 :] for name in n.inputs} | set(graph.outputs)
        needed = {base(graph, name) for name in (made & later) | {node.name, *node.inputs}} - {"w"}
        inside = 2 * 2 * 4 if node.operation == "softmax" else 0  # its temporaries of a number for each row
        held.append(24 * len(needed) + inside)
    assert [moment.bytes for moment in found] == held


@given(networks())
def test_training_holds_what_is_saved_and_the_gradients_under_way(graph: Graph) -> None:
    plan = gradient_plan(graph)
    found = [moment for moment in memory(graph).training if moment.phase == "backward"][1:]
    steps = list(plan.steps)
    outputs = {base(graph, name) for name in graph.outputs} - {"w"}
    made: set[str] = {gradient_base(plan.shared, name) for name in plan.seeds} - {"w"}
    for place, (step, moment) in enumerate(zip(steps, found, strict=True)):
        made |= {gradient_base(plan.shared, name) for name, _ in step.gives} - {"w"}
        left = steps[place:]
        saved = {base(graph, name) for one in left for name in one.reads if ":" not in name} - {"w"}
        touched = {gradient_base(plan.shared, n) for one in left for n in (one.node.name, *(m for m, _ in one.gives))}
        inside = 2 * 4 if step.node.operation == "softmax" else 0
        assert moment.bytes == 24 * len(saved | outputs) + 24 * len(made & touched) + inside


def gradient_base(shared: Mapping[str, str], name: str) -> str:
    while name in shared:
        name = shared[name]
    return name


@given(networks(), st.sampled_from(["blocks", 1, 2]))
def test_checkpointing_computes_again_exactly_what_is_gone(graph: Graph, checkpoint: str | int) -> None:
    """In the order of the moments, a gradient's step finds everything that it reads."""
    parts = segments(graph, checkpoint)
    place = {node.name: i for i, part in enumerate(parts) for node in part}
    found = memory(graph, checkpoint=checkpoint)
    steps = {step.node.name: step for step in gradient_plan(graph).steps}
    nodes = {node.name: node for node in graph.nodes}
    outer = {
        base(graph, n) for node in graph.nodes for n in node.inputs if place.get(node.name) != place.get(base(graph, n))
    }
    outer |= {base(graph, name) for name in graph.outputs}
    there: set[str] = set()
    for moment in found.training:
        if moment.phase == "forward" or moment.node == "loss":
            continue
        needed = nodes[moment.node].inputs if moment.phase == "recompute" else steps[moment.node].reads
        for name in (base(graph, name) for name in needed):
            kept = name in ("x", "w") or place.get(name) is None or name in outer or name in there
            assert kept, (moment, name)
        if moment.phase == "recompute":
            assert moment.node not in there
            assert moment.node not in outer
            there.add(moment.node)
    assert found.training_peak.bytes <= memory(graph).training_peak.bytes + 24 * len(there)


# Against torch


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


def kept_by_torch(module: Any, shape: tuple[int, ...], torch: Any) -> int:
    """Bytes of the distinct storages that autograd keeps, without parameters and a maximum's indices (int64)."""
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    storages: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.is_floating_point():
            storages[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    alive: list[Any] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(torch.rand(shape))
    return sum(storages.values())


def test_lenet5_keeps_what_torch_keeps(torch: Any) -> None:
    nn = torch.nn
    module = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10), nn.Softmax(1)),
    )
    assert memory(resolve("lenet5")).saved_bytes == kept_by_torch(module, (1, 1, 28, 28), torch)


def test_vgg11_keeps_what_torch_keeps(models: Any, torch: Any) -> None:
    module = torch.nn.Sequential(models.vgg11(weights=None), torch.nn.Softmax(1)).eval()
    graph = resolve("vgg11", 1, ("3,32,32",))
    # torch's adaptive pooling turns 1x1 into 7x7, as ours does; neither keeps anything for it.
    assert memory(graph).saved_bytes == kept_by_torch(module, (1, 3, 32, 32), torch)


# How it is shown


def test_text() -> None:
    assert str(memory(blocks(2), "float16", "adamw", "blocks", master=True)) == (
        "blocks, stored as float16                                 inference                   training\n"
        "-------------------------------------------  ----------------------  -------------------------\n"
        "parameters                                                    400 B                      400 B\n"
        "buffers                                                          --                         --\n"
        "gradients of the parameters                                      --                      400 B\n"
        "optimiser state (adamw)                                          --                    1,600 B\n"
        "float32 master weights                                           --                      800 B\n"
        "activations and their gradients at the peak                    40 B                      120 B\n"
        "total                                                         440 B                    3,320 B\n"
        "the peak is at                               forward of layers.0.fc  recompute of layers.1.act\n"
        "\n"
        "All activations together take 120 B, of which 60 B are kept for the backward pass.\n"
        "Checkpointing in 2 segments computes 200 MACs again."
    )


def test_a_record_for_json() -> None:
    assert memory(chain("relu")).to_dict() == {
        "network": "chain",
        "dtype": None,
        "optimizer": "adam",
        "parameter_bytes": 400,
        "buffer_bytes": 0,
        "gradient_bytes": 400,
        "optimizer_bytes": 800,
        "master_bytes": 0,
        "activation_bytes": 80,
        "saved_bytes": 80,
        "inference_peak_bytes": 80,
        "inference_peak_at": "forward of fc",
        "training_peak_bytes": 160,
        "training_peak_at": "backward of relu0",
        "inference_bytes": 480,
        "training_bytes": 1760,
        "segments": 0,
        "recomputed_macs": 0,
    }


def test_the_timelines_as_a_dataframe() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    table = memory(chain("relu")).to_dataframe()
    assert list(table.columns) == ["pass", "phase", "node", "bytes"]
    assert list(table[table["pass"] == "training"]["node"]) == ["inputs", "fc", "relu0", "loss", "relu0", "fc"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "float12"}, "the dtype must be one of "),
        (
            {"optimizer": "lion"},
            "the optimiser must be one of sgd, momentum, adagrad, rmsprop, adam, adamw, not 'lion'",
        ),
        ({"checkpoint": 0}, "checkpoint must be 'blocks' or a depth of at least 1, not 0"),
        ({"checkpoint": "layers"}, "checkpoint must be 'blocks' or a depth of at least 1, not 'layers'"),
        ({"checkpoint": True}, "checkpoint must be 'blocks' or a depth of at least 1, not True"),
    ],
)
def test_mistakes(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NetworkError) as caught:
        memory(chain("relu"), **options)
    assert str(caught.value).startswith(sentence)


def test_a_long_network_is_quick() -> None:
    from time import process_time

    graph = blocks(1700)  # 5,100 nodes
    start = process_time()
    assert isinstance(memory(graph, checkpoint="blocks"), Memory)
    assert process_time() - start < 5
