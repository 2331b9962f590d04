"""The cost of the gradient: against enumeration of its nests, figures by hand, and torch's own counter."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from tilework.cost.count import Count, count
from tilework.cost.record import COUNTED, Record, Row, total
from tilework.frontend.resolve import resolve
from tilework.network.functions import FUNCTIONS
from tilework.network.gradient import gradient_plan
from tilework.network.gradient_nests import primal
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.nest import Access, Apply, Expression, Nest

Shape = tuple[int, ...]


def passes(counted: Count) -> tuple[Record, Record]:
    (_, forward), (_, backward) = counted.parts
    return forward, backward


def single(operation: str, *shapes: Shape, **attributes: Any) -> Graph:
    """One operation of which every input is a parameter."""
    g = GraphBuilder(operation)
    return g.graph(g.node("y", operation, *(g.weight(f"w{i}", s) for i, s in enumerate(shapes)), **attributes))


@pytest.mark.parametrize(
    "name", ["mlp", "lenet5", "alexnet", "alexnet_torchvision", "vgg11", "vgg19", "resnet50", "resnet152"]
)
def test_backward_macs_are_twice_the_forward_ones_but_for_the_first_layers_data(name: str) -> None:
    counted = count(resolve(name), backward=True)
    forward, backward = passes(counted)
    first = next(row.macs for row in counted.rows if row.macs)
    assert backward.macs == 2 * forward.macs - first


def test_the_convolution_of_the_counting_page() -> None:
    g = GraphBuilder("convolution")
    weights = g.weight("w", (3, 2, 3, 3)), g.weight("b", (3,))
    graph = g.graph(g.node("y", "conv2d", g.input("x", (1, 2, 5, 5)), *weights, stride=(2, 2), padding=(1, 1)))
    with_padding, without = (count(graph, backward=True, padding_zeros=zeros).rows[1] for zeros in (True, False))
    assert (with_padding.macs, without.macs) == (486, 294)
    # 54 weights are sums of the products, 3 biases sums of 9 outputs each.
    assert (with_padding.additions, without.additions) == (486 - 54 + 24, 294 - 54 + 24)
    assert with_padding == Row(
        name="y (backward)",
        operation="conv2d backward",
        input_shapes=((1, 3, 3, 3),),
        output_shape=(3, 2, 3, 3),
        multiplications=486,
        additions=456,
        macs=486,
    )


def test_a_perceptron_by_hand() -> None:
    g = GraphBuilder("mlp")
    x = g.node("a.fc", "linear", g.input("x", (2, 3)), g.weight("w", (4, 3)), g.weight("b", (4,)))
    y = g.node("out", "linear", g.node("a.act", "relu", x), g.weight("v", (5, 4)))
    counted = count(g.graph(y), backward=True)
    assert [row.name for row in counted.rows] == [
        "a.fc",
        "a.act",
        "out",
        "out (backward)",
        "a.act (backward)",
        "a.fc (backward)",
    ]
    out, act, fc = counted.rows[3:]
    assert (out.macs, out.multiplications) == (80, 80)
    assert out.additions == (40 - 8) + (40 - 20)  # 8 elements of the gradient of act, 20 weights
    assert (act.other_operations, act.macs) == ({"comparison": 8, "selection": 8}, 0)
    assert (fc.macs, fc.additions) == (24, 4 + 24 - 12)  # 4 biases of 2 outputs each
    assert (out.activation_bytes, act.activation_bytes, fc.activation_bytes) == (32, 32, 0)
    assert [row.module for row in counted.rows[3:]] == ["", "a", "a"]
    assert out.input_shapes == ((2, 5),)
    assert out.output_shape == (2, 4)
    assert sum(row.parameters + row.neurons for row in counted.rows[3:]) == 0


def test_the_contributions_of_several_readers_are_added() -> None:
    g = GraphBuilder("residual")
    x = g.node("fc", "linear", g.input("x", (2, 3)), g.weight("w", (4, 3)))
    graph = g.graph(g.node("sum", "add", g.node("act", "tanh", x), x))
    row = next(row for row in count(graph, backward=True).rows if row.name == "act (backward)")
    # 1 - o * o, times what arrives, and added to what came over the residual connection.
    assert (row.multiplications, row.additions, row.activation_bytes) == (16, 8 + 8, 0)


def test_the_parts_are_the_rows_and_sum_to_the_total() -> None:
    counted = count(resolve("lenet5"), backward=True)
    forward, backward = passes(counted)
    assert [name for name, _ in counted.parts] == ["forward", "backward"]
    assert forward == count(resolve("lenet5")).total
    assert backward == total(row for row in counted.rows if row.name.endswith("(backward)"))
    assert forward + backward == counted.total
    record = counted.to_dict()
    assert record["forward"]["macs"] + record["backward"]["macs"] == record["totals"]["macs"]
    assert record["backward"].keys() == set(COUNTED)
    assert "backward" not in count(resolve("lenet5")).to_dict()
    assert counted.grouped("module").parts == counted.parts


def test_a_batch_of_2_takes_twice_the_products() -> None:
    one, two = (passes(count(resolve("lenet5", batch, ()), backward=True))[1] for batch in (1, 2))
    assert two.macs == 2 * one.macs
    assert two.activation_bytes == 2 * one.activation_bytes


def test_a_sum_of_products_that_is_no_contractions_gradient_is_no_mac() -> None:
    g = GraphBuilder("scale")
    x = g.node("fc", "linear", g.input("x", (2, 3)), g.weight("w", (4, 3)))
    (row,) = (
        row
        for row in count(g.graph(g.node("scale", "mul", x, g.weight("g", (4,)))), backward=True).rows
        if row.name == "scale (backward)"
    )
    assert (row.macs, row.multiplications, row.additions) == (0, 8 + 8, 8 - 4)


def test_what_stands_in_a_body_twice_is_computed_once() -> None:
    graph = single("pointwise", (5,), what="silu", body="x0 * (1 / (1 + exp(0 - x0)))")
    (row,) = count(graph, backward=True).rows[1:]
    assert row.operation == "silu backward"
    assert row.other_operations == {"division": 5, "exp": 5}


def test_an_unknown_operation_has_an_unknown_gradient() -> None:
    g = GraphBuilder("odd")
    graph = g.graph(g.node("y", "unknown", g.weight("w", (4,)), what="my.own", shape=(5,)))
    (row,) = count(graph, backward=True).rows[1:]
    assert (row.operation, row.other_operations) == ("my.own backward", {"unknown": 1})


# Enumeration


def inside(access: Access, point: Mapping[str, int], shapes: Mapping[str, Shape]) -> bool:
    shape = shapes[primal(access.tensor)]
    return all(0 <= axis.at(point) < size for axis, size in zip(access.index, shape, strict=True))


def subexpressions(body: Expression) -> Iterator[Apply]:
    if isinstance(body, Apply):
        yield body
        for argument in body.arguments:
            yield from subexpressions(argument)


def points(nest: Nest) -> Iterator[dict[str, int]]:
    for values in product(*(range(extent) for _, extent in nest.loops)):
        yield dict(zip(nest.extents, values, strict=True))


def enumerated(graph: Graph, padding_zeros: bool) -> Counter[str]:
    """Every iteration of every gradient nest; a value is added unless it is the first that its place gets."""
    shapes = {t.name: t.shape for n in graph.nodes for t in (graph.tensors[n.name], *graph.temporaries(n))}
    shapes |= {t.name: t.shape for t in graph.sources}
    done: Counter[str] = Counter()
    written: set[tuple[str, tuple[int, ...]]] = set()
    for step in gradient_plan(graph).steps:
        for nest in step.nests:
            functions = [FUNCTIONS[one.function].category for one in set(subexpressions(nest.body))]
            for point in points(nest):
                if padding_zeros or all(inside(access, point, shapes) for access in (nest.output, *nest.reads)):
                    done.update(functions)
                    place = nest.output.tensor, tuple(axis.at(point) for axis in nest.output.index)
                    done["addition"] += place in written
                    written.add(place)
    return done


OPERATIONS = {
    "conv2d": single("conv2d", (2, 2, 4, 3), (4, 1, 3, 2), (4,), groups=2, stride=(2, 1), padding=(1, 1)),
    "conv_transpose2d": single("conv_transpose2d", (1, 2, 3, 2), (2, 1, 3, 2), (1,), stride=(2, 1), padding=(1, 0)),
    "linear": single("linear", (1, 3), (2, 3), (2,)),
    "matmul": single("matmul", (2, 1, 3, 4), (5, 4, 2)),
    "max_pool2d": single("max_pool2d", (1, 2, 5, 4), kernel=(3, 3), padding=(1, 1)),
    "avg_pool2d": single("avg_pool2d", (1, 2, 5, 5), kernel=(3, 3), stride=(2, 2), padding=(1, 1), count_padding=False),
    "adaptive_avg_pool2d": single("adaptive_avg_pool2d", (1, 1, 5, 7), output=(2, 3)),
    "local_response_norm": single("local_response_norm", (1, 6, 1, 2)),
    "layer_norm": single("layer_norm", (2, 3, 4), (4,), (4,)),
    "group_norm": single("group_norm", (2, 4, 3), (4,), (4,), groups=2),
    "batch_norm": single("batch_norm", (2, 3, 2), *[(3,)] * 4),
    "softmax": single("softmax", (2, 5)),
    "gelu": single("pointwise", (2, 3), body="0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))"),
    "broadcast": single("div", (2, 1, 3), (4, 1)),
    "pad": single("pad", (3, 2), before=(2, 1), after=(0, 1), mode="reflect"),
    "concat": single("concat", (2, 3), (2, 1)),
    "expand": single("expand", (2, 1), shape=(3, 2, 4)),
}


@pytest.mark.parametrize("padding_zeros", [True, False])
@pytest.mark.parametrize("name", OPERATIONS)
def test_counts_are_those_of_enumeration(name: str, padding_zeros: bool) -> None:
    graph = OPERATIONS[name]
    row = passes(count(graph, backward=True, padding_zeros=padding_zeros))[1]
    done = enumerated(graph, padding_zeros)
    assert (row.multiplications, row.additions) == (done.pop("multiplication", 0), done.pop("addition", 0))
    assert row.other_operations == {kind: number for kind, number in done.items() if number}


def test_sums_over_readers_are_those_of_enumeration() -> None:
    g = GraphBuilder("block")
    x = g.node("a", "linear", g.weight("x", (4, 3)), g.weight("w", (6, 3)))
    one, two = (g.node(name, "slice", x, axis=1, start=start, size=4) for name, start in (("s", 0), ("t", 2)))
    y = g.node("sum", "add", g.node("act", "tanh", one), g.node("sub", "sub", two, one))
    graph = g.graph(g.node("out", "linear", y, g.weight("v", (2, 4))))
    row = passes(count(graph, backward=True))[1]
    assert row.additions == enumerated(graph, True)["addition"]


# torch


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("torch.utils.flop_counter", reason="torch is not installed")
    return pytest.importorskip("torch", reason="torch is not installed")


def macs_of(module: Any, shape: Shape, torch: Any) -> int:
    """Forward and backward, as torch counts them from each operator's shapes."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module(torch.empty(shape, device="meta")).sum().backward()
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("alexnet_torchvision", "alexnet"), ("vgg11", "vgg11"), ("resnet18", "resnet18"), ("resnet50", "resnet50")],
)
def test_torchvision_networks(ours: str, theirs: str, models: Any, torch: Any) -> None:
    with torch.device("meta"):
        module = getattr(models, theirs)(weights=None).eval()
    assert count(resolve(ours), backward=True).total.macs == macs_of(module, (1, 3, 224, 224), torch)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_torch_counts_the_weights_gradient_of_groups_too_often(groups: int, torch: Any) -> None:
    """Its formula takes the weight's gradient for an ungrouped convolution: `groups` times what is computed."""
    module = torch.nn.Conv2d(8, 16, 3, padding=1, groups=groups, bias=False, device="meta")
    graph = single("conv2d", (2, 8, 7, 7), (16, 8 // groups, 3, 3), padding=(1, 1), groups=groups)
    forward, backward = passes(count(graph, backward=True))
    assert backward.macs == 2 * forward.macs
    x = torch.empty(2, 8, 7, 7, device="meta", requires_grad=True)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        module(x).sum().backward()
    assert counter.get_total_flops() // 2 == (1 + 1 + groups) * forward.macs


def test_lenet5(torch: Any) -> None:
    nn = torch.nn
    with torch.device("meta"):
        module = nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        )
    assert count(resolve("lenet5"), backward=True).total.macs == macs_of(module, (1, 1, 28, 28), torch)


def test_a_transformer_layer(torch: Any) -> None:
    """Attention of 2 heads of 4 and a feed-forward network, on 3 sequences of 5 tokens of width 8."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
            self.qkv, self.out, self.up, self.down = (
                nn.Linear(*sizes) for sizes in ((8, 24), (8, 8), (8, 32), (32, 8))
            )

        def forward(self, x: Any) -> Any:
            x = self.embed(x)
            q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            weights = torch.softmax(q @ k.transpose(-1, -2) * 0.5, -1)
            x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
            return x + self.down(nn.functional.gelu(self.up(x)))

    with torch.device("meta"):
        module = Layer()
    counted = count(transformer_layer(), backward=True)
    assert counted.total.macs == macs_of(module, (3, 5, 8), torch)
    assert counted.total.parameters == sum(p.numel() for p in module.parameters())


def transformer_layer() -> Graph:
    g = GraphBuilder("layer")

    def linear(name: str, x: str, out: int, features: int) -> str:
        return g.node(name, "linear", x, g.weight(f"{name}.weight", (out, features)), g.weight(f"{name}.bias", (out,)))

    x = linear("embed", g.input("x", (3, 5, 8)), 8, 8)
    normed = g.node("norm", "layer_norm", x, g.weight("norm.weight", (8,)), g.weight("norm.bias", (8,)))
    apart = g.node("apart", "reshape", linear("qkv", normed, 24, 8), shape=(3, 5, 3, 2, 4))
    turned = g.node("turned", "transpose", apart, order=(2, 0, 3, 1, 4))
    parts = [g.node(f"cut{i}", "slice", turned, axis=0, start=i, size=1) for i in range(3)]
    q, k, v = (g.node(name, "reshape", part, shape=(3, 2, 5, 4)) for name, part in zip("qkv", parts, strict=True))
    scores = g.node("scaled", "pointwise", g.node("scores", "matmul", q, k, transpose_y=True), body="x0 * 0.5")
    mixed = g.node("mixed", "matmul", g.node("softmax", "softmax", scores), v)
    merged = g.node("merged", "reshape", g.node("back", "transpose", mixed, order=(0, 2, 1, 3)), shape=(3, 5, 8))
    x = g.node("residual", "add", x, linear("out", merged, 8, 8))
    gelu = "0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))"
    act = g.node("gelu", "pointwise", linear("up", x, 32, 8), what="gelu", body=gelu)
    return g.graph(g.node("y", "add", x, linear("down", act, 8, 32)))
