"""Other tools' totals, derived from graphs, against the numbers that the tools themselves gave.

The numbers under LAYERS and NETWORKS were measured on the CPU with the versions that `convention_tools` names;
test_conventions_measured.py runs the tools that are installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tilework.cost.conventions import CONVENTIONS, Explanation, explain
from tilework.cost.count import count
from tilework.errors import NetworkError
from tilework.frontend.resolve import resolve
from tilework.network.graph import Graph, GraphBuilder

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A network of one module called `layer`, and its totals in the order of CONVENTIONS."""

    module: str
    operation: str
    inputs: tuple[Shape, ...]
    totals: tuple[int, ...]
    weights: dict[str, Shape] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def graph(self) -> Graph:
        g = GraphBuilder("one layer")
        names = [g.input(f"x{i}", shape) for i, shape in enumerate(self.inputs)]
        names += [
            g.weight(f"layer.{name}", shape, trainable="running" not in name) for name, shape in self.weights.items()
        ]
        return g.graph(g.node("layer", self.operation, *names, **self.attributes))


FEATURES = {"weight": (2,), "bias": (2,), "running_mean": (2,), "running_var": (2,)}
POOLED = {"kernel": (2, 2), "stride": (2, 2)}
#                                              torchinfo, fvcore, flop_counter, ptflops, calflops, thop
LAYERS = {
    "convolution": Layer(
        "Conv2d",
        "conv2d",
        ((1, 3, 4, 4),),
        (1792, 1728, 3456, 1792, 3520, 1728),
        {"weight": (4, 3, 3, 3), "bias": (4,)},
        {"padding": (1, 1)},
    ),
    "two images in groups": Layer(
        "Conv2d",
        "conv2d",
        ((2, 4, 9, 8),),
        (4320, 4320, 8640, 2160, 8640, 4320),
        {"weight": (6, 2, 3, 3)},
        {"stride": (2, 2), "padding": (1, 1), "groups": 2},
    ),
    "transposed": Layer(
        "ConvTranspose2d",
        "conv_transpose2d",
        ((2, 4, 5, 5),),
        (22800, 5400, 10800, 3300, 3654, 21600),
        {"weight": (4, 3, 3, 3), "bias": (6,)},
        {"stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1), "groups": 2},
    ),
    "linear": Layer("Linear", "linear", ((2, 8),), (54, 48, 96, 27, 96, 48), {"weight": (3, 8), "bias": (3,)}),
    "linear over a sequence": Layer(
        "Linear", "linear", ((2, 5, 8),), (54, 240, 480, 135, 480, 240), {"weight": (3, 8), "bias": (3,)}
    ),
    "linear without a bias": Layer("Linear", "linear", ((2, 5, 8),), (48, 240, 480, 120, 480, 240), {"weight": (3, 8)}),
    "batch norm": Layer("BatchNorm2d", "batch_norm", ((1, 2, 3, 3),), (4, 36, 0, 36, 36, 72), FEATURES),
    "batch norm of two": Layer("BatchNorm2d", "batch_norm", ((2, 2, 3, 3),), (8, 72, 0, 36, 72, 144), FEATURES),
    "layer norm": Layer(
        "LayerNorm", "layer_norm", ((2, 3, 4),), (16, 120, 0, 12, 120, 96), {"weight": (4,), "bias": (4,)}
    ),
    "layer norm without scale": Layer("LayerNorm", "layer_norm", ((2, 3, 4),), (0, 96, 0, 12, 96, 48)),
    "group norm": Layer(
        "GroupNorm",
        "group_norm",
        ((2, 4, 3, 3),),
        (16, 360, 0, 72, 360, 0),
        {"weight": (4,), "bias": (4,)},
        {"groups": 2},
    ),
    "instance norm": Layer(
        "InstanceNorm2d",
        "group_norm",
        ((2, 4, 3, 3),),
        (16, 360, 0, 72, 360, 288),
        {"weight": (4,), "bias": (4,)},
        {"groups": 4},
    ),
    "rms norm": Layer("RMSNorm", "rms_norm", ((2, 3, 4),), (8, 0, 0, 0, 0, 0), {"weight": (4,)}),
    "relu": Layer("ReLU", "relu", ((2, 4),), (0, 0, 0, 12, 8, 0)),
    "relu6": Layer("ReLU6", "clip", ((2, 4),), (0, 0, 0, 4, 0, 0)),
    "softmax": Layer("Softmax", "softmax", ((2, 4),), (0, 0, 0, 8, 8, 22)),
    "maxima": Layer("MaxPool2d", "max_pool2d", ((1, 2, 4, 4),), (0, 0, 0, 64, 32, 0), {}, POOLED),
    "means": Layer("AvgPool2d", "avg_pool2d", ((1, 2, 4, 4),), (0, 0, 0, 64, 32, 8), {}, POOLED),
    "adaptive means": Layer(
        "AdaptiveAvgPool2d", "adaptive_avg_pool2d", ((1, 2, 4, 4),), (0, 32, 0, 64, 32, 40), {}, {"output": (2, 2)}
    ),
    "local response": Layer(
        "LocalResponseNorm", "local_response_norm", ((1, 2, 3, 3),), (0, 0, 0, 81, 81, 0), {}, {"size": 2}
    ),
}

NETWORKS = {  # torchvision's, in the order of CONVENTIONS
    "alexnet_torchvision": (714682664, 714197696, 1428376960, 716441128, 1429741184, 714206912),
    "vgg11": (7616525288, 7609115136, 15218180096, 7643686888, 15239186944, 7609140224),
    "vgg19": (19646923752, 19632087552, 39264124928, 19688937448, 39299983872, 19632112640),
    "resnet18": (1814083944, 1819065856, 3628146688, 1825313768, 3636250112, 1824033792),
    "resnet152": (11513779048, 11558835200, 23027253248, 11602639848, 23094313472, 11603945472),
}


def explained(graph: Graph, tool: str, modules: dict[str, str] | None = None) -> Explanation:
    return explain(graph, count(graph), tool, modules)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_layer_counts_as_the_tool_counts_it(layer: Layer) -> None:
    modules = {"": "Network", "layer": layer.module}
    found = {tool: explained(layer.graph(), tool, modules).total for tool in CONVENTIONS}
    assert {tool: line.theirs for tool, line in found.items()} == dict(zip(CONVENTIONS, layer.totals, strict=True))
    assert not any(line.perhaps for line in found.values())


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_classes_are_guessed_from_names(layer: Layer) -> None:
    for tool, total in zip(CONVENTIONS, layer.totals, strict=True):
        if layer.module in ("InstanceNorm2d", "LocalResponseNorm"):
            continue  # another class has the same operation, or none the usual one
        assert explained(layer.graph(), tool).total.theirs == total


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_zoo(name: str) -> None:
    """The zoo's networks end in a softmax that torchvision's don't have, and call their first ReLU plainly `relu`."""
    graph = resolve(name)
    for tool, total in zip(CONVENTIONS, NETWORKS[name], strict=True):
        found = explained(graph, tool)
        assert found.total.theirs <= total <= found.total.theirs + found.total.perhaps
        if tool not in ("ptflops", "calflops"):
            assert found.total.theirs == total


def test_known_classes_leave_no_doubt_about_modules() -> None:
    """torchvision's own sum, without the softmax: `out += identity` isn't torch.add."""
    graph = resolve("resnet18")
    kinds = {"relu": "ReLU", "batch_norm": "BatchNorm2d", "conv2d": "Conv2d", "linear": "Linear"}
    kinds |= {"max_pool2d": "MaxPool2d", "adaptive_avg_pool2d": "AdaptiveAvgPool2d"}
    modules = {node.name: kinds[node.operation] for node in graph.nodes if node.operation in kinds}
    for tool, total in zip(CONVENTIONS, NETWORKS["resnet18"], strict=True):
        found = explained(graph, tool, modules)
        assert found.total.theirs == total
        assert {line.operation for line in found.lines if line.perhaps} <= {"add", "softmax"}


def test_a_weight_of_another_module_makes_a_function() -> None:
    """As in torchvision's Swin: the attention's own forward reads the weight of its child qkv."""
    g = GraphBuilder("attention")
    x = g.input("x", (2, 5, 8))
    weights = [g.weight("attn.qkv.weight", (24, 8)), g.weight("attn.qkv.bias", (24,))]
    graph = g.graph(g.node("attn.linear", "linear", x, *weights, module="attn"))
    totals = [explained(graph, tool).total.theirs for tool in CONVENTIONS]
    assert totals == [0, 1920, 3840, 0, 3840, 0]


def test_a_weight_of_another_module_in_a_module_of_its_own() -> None:
    """As in language models: the last layer reads the table of the first."""
    g = GraphBuilder("tied")
    table = g.weight("embed.weight", (7, 4))
    x = g.node("embed", "host", g.input("ids", (2, 3), "int64"), table, what="embedding", shape=(2, 3, 4))
    graph = g.graph(g.node("head", "linear", x, table))
    by_name = {line.name: line for line in explained(graph, "torchinfo").lines}
    assert (by_name["embed"].exact, by_name["embed"].theirs) == (0, 2 * 28)
    assert by_name["embed"].why == "a look-up counts as a product with the whole table"
    assert (by_name["head"].exact, by_name["head"].theirs) == (2 * 3 * 28, 2 * 28)


def attention(batch: int, length: int, width: int, heads: int) -> Graph:
    """nn.MultiheadAttention of one tensor with itself."""
    g = GraphBuilder("attention")
    weights = {"in_proj_weight": (3 * width, width), "in_proj_bias": (3 * width,)}
    weights |= {"out_proj.weight": (width, width), "out_proj.bias": (width,)}
    for name, shape in weights.items():
        g.weight(f"attn.{name}", shape)
    x = g.input("x", (batch, length, width))
    split = (batch, heads, length, width // heads)
    whole = g.node("attn.linear", "linear", x, "attn.in_proj_weight", "attn.in_proj_bias")
    q, k, v = (
        g.node(
            f"attn.reshape_{i}",
            "reshape",
            g.node(f"attn.slice_{i}", "slice", whole, axis=2, start=i * width, size=width),
            shape=split,
        )
        for i in range(3)
    )
    scores = g.node("attn.softmax", "softmax", g.node("attn.matmul", "matmul", q, k, transpose_y=True))
    mixed = g.node("attn.matmul_1", "matmul", scores, v)
    flat = g.node("attn.reshape_3", "reshape", mixed, shape=(batch, length, width))
    return g.graph(g.node("attn.linear_1", "linear", flat, "attn.out_proj.weight", "attn.out_proj.bias"))


@pytest.mark.parametrize("modules", [None, {"": "Block", "attn": "MultiheadAttention", "attn.out_proj": "Linear"}])
def test_attention_as_a_module(modules: dict[str, str] | None) -> None:
    """Width 4, 2 heads, 3 tokens: projections of 3 * 3*4*4 + 3*4*4, products of activations of 2 * 2*3*3*2."""
    graph = attention(1, 3, 4, 2)
    assert count(graph).total.macs == 192 + 72
    found = {tool: explained(graph, tool, modules).total for tool in CONVENTIONS}
    assert found["torchinfo"].theirs == found["thop"].theirs == 0
    assert found["flop_counter"].theirs == 2 * 264
    # without weights asked for torch calls scaled_dot_product_attention, else bmm
    assert (found["fvcore"].theirs, found["fvcore"].perhaps) == (192, 72)
    assert found["ptflops"].theirs == 342
    assert found["calflops"].theirs == 384


def recurrent(module: str, gates: int) -> Graph:
    """The parameters of 1 layer from 3 features to 4, and one step of the work in place of all."""
    g = GraphBuilder(module)
    x = g.input("x", (2, 5, 3))
    for name, shape in {"weight_ih_l0": (gates * 4, 3), "weight_hh_l0": (gates * 4, 4)}.items():
        g.weight(f"layer.{name}", shape)
    biases = [g.weight(f"layer.bias_{name}_l0", (gates * 4,)) for name in ("ih", "hh")]
    value = g.node("layer.linear", "linear", x, "layer.weight_ih_l0", biases[0])
    state = g.node("layer.slice", "slice", value, axis=2, size=4)
    return g.graph(g.node("layer.linear_1", "linear", state, "layer.weight_hh_l0", biases[1]))


@pytest.mark.parametrize(
    ("module", "gates", "totals"),
    [("GRU", 3, (1080, 0, 1680, 680, 1960, 1360)), ("RNN", 1, (360, 0, 560, 200, 600, 400))],
)
def test_recurrent_layers(module: str, gates: int, totals: tuple[int, ...]) -> None:
    for tool, total in zip(CONVENTIONS, totals, strict=True):
        assert explained(recurrent(module, gates), tool).total.theirs == total


def products(x: Shape, y: Shape) -> Graph:
    g = GraphBuilder("product")
    return g.graph(g.node("matmul", "matmul", g.input("x", x), g.input("y", y)))


def test_products_of_activations_depend_on_how_they_are_written() -> None:
    found = {tool: explained(products((2, 4, 3), (2, 3, 5)), tool).lines[0] for tool in CONVENTIONS}
    assert {tool: (line.theirs, line.perhaps) for tool, line in found.items()} == {
        "torchinfo": (0, 0),
        "fvcore": (0, 120),
        "flop_counter": (240, 0),
        "ptflops": (0, 120),
        "calflops": (0, 240),
        "thop": (0, 0),
    }
    assert explained(products((4, 3), (2, 3, 5)), "fvcore").lines[0].perhaps == 60  # of 120: one of two matrices


def test_what_no_output_depends_on_is_in_no_trace() -> None:
    """As the last layer of a language model of which only the hidden state is asked for."""
    g = GraphBuilder("unread")
    x = g.node("used", "linear", g.input("x", (2, 8)), g.weight("used.weight", (8, 8)))
    g.node("pooler", "linear", x, g.weight("pooler.weight", (8, 8)))
    lines = {line.name: line for line in explained(g.graph(x), "fvcore").lines}
    assert (lines["used"].theirs, lines["pooler"].exact, lines["pooler"].theirs) == (128, 128, 0)
    assert lines["pooler"].why == "no output depends on it, and the trace leaves it out"


def pooled(name: str) -> Graph:
    g = GraphBuilder("pool")
    x = g.input("x", (1, 2, 4, 4))
    return g.graph(g.node(name, "reduce", x, what="mean", axes=(2, 3), keep=True, mean=True))


def test_pooling_to_one_place_is_a_mean_to_torch() -> None:
    modules = {"": "Network", "avgpool": "AdaptiveAvgPool2d"}
    assert [explained(pooled("avgpool"), tool, modules).total.theirs for tool in CONVENTIONS] == [0, 32, 0, 64, 32, 34]
    assert [explained(pooled("avgpool"), tool).total.theirs for tool in CONVENTIONS] == [0, 32, 0, 64, 32, 34]
    function = explained(pooled("mean"), "fvcore").total  # x.mean((2, 3), keepdim=True) has the same name
    assert (function.theirs, function.perhaps) == (0, 32)


def test_a_module_may_hold_a_function_that_no_tool_can_replace() -> None:
    """transformers' GELUActivation took torch's function when it was made."""
    g = GraphBuilder("activation")
    graph = g.graph(
        g.node("act", "pointwise", g.input("x", (2, 4)), what="gelu", body="0.5 * x0 * (1 + erf(x0 * 0.7))")
    )
    known = [explained(graph, "ptflops", {"": "N", "act": name}).total for name in ("GELU", "GELUActivation")]
    assert [line.theirs for line in known] == [12, 0]  # the module's part for one of two items
    guessed = explained(graph, "ptflops").total
    assert (guessed.theirs, guessed.perhaps) == (0, 12)


def test_a_module_that_is_called_twice_has_numbered_nodes() -> None:
    g = GraphBuilder("twice")
    weights = [g.weight("block.fc.weight", (8, 8)), g.weight("block.fc.bias", (8,))]
    first = g.node("block.fc", "linear", g.input("x", (2, 8)), *weights)
    graph = g.graph(g.node("block.fc_1", "linear", first, *weights))
    for modules in (None, {"": "N", "block": "Block", "block.fc": "Linear"}):
        assert [line.theirs for line in explained(graph, "torchinfo", modules).lines] == [144, 144]


def small() -> Graph:
    g = GraphBuilder("small")
    weights = [g.weight("conv.weight", (3, 1, 1, 1)), g.weight("conv.bias", (3,))]
    return g.graph(g.node("relu", "relu", g.node("conv", "conv2d", g.input("x", (1, 1, 2, 2)), *weights)))


TEXT = """\
Layer  Operation  Exact    Theirs  Difference  Why
-----  ---------  -----  --------  ----------  ---
conv   conv2d        12        24         +12    2
relu   relu           0   0 to 24    0 to +24    1
total                12  24 to 48  +12 to +36

Why  Operation  Reason                                                                                                                   Layers  Difference
---  ---------  -----------------------------------------------------------------------------------------------------------------------  ------  ----------
1    relu       1 for each element, twice: by the module and by the function it calls; less where another class or a function is called       1    0 to +24
2    conv2d     bias, 1 for each output                                                                                                       1         +12

ptflops 0.7.5 counts 24 to 48 MACs; exact are 12: +12 to +36 (+100.000% to +300.000%).
This is what it gives on the CPU. On the meta device torch's own rules for shapes call functions that it has replaced, and linear layers count twice."""  # noqa: E501

MARKDOWN = """\
| Layer | Operation | Exact | Theirs | Difference | Why |
| --- | --- | ---: | ---: | ---: | ---: |
| conv | conv2d | 24 | 24 | 0 |  |
| total |  | 24 | 24 | 0 |  |

- flop_counter of torch 2.13.0 counts 24 FLOPs (2 per MAC); exact are 24, the same.
- This is what it gives on the meta device and on GPUs. On the CPU the fused kernels for attention and LSTMs count as nothing.
"""  # noqa: E501


def test_text() -> None:
    assert str(explained(small(), "ptflops")) == TEXT
    assert explained(small(), "flop_counter").to_markdown() == MARKDOWN


def test_dict() -> None:
    why = "bias, 1 for each output"
    numbers = {"layers": 1, "exact": 12, "theirs": 24, "perhaps": 0, "difference": 12}
    assert explained(small(), "torchinfo").to_dict() == {
        "network": "small",
        "tool": "torchinfo",
        "version": "1.8.0",
        "unit": "mult-adds",
        "totals": numbers,
        "layers": [{"name": "conv", "operation": "conv2d", "why": why, **numbers}],
        "reasons": [{"name": "conv2d", "operation": "conv2d", "why": why, **numbers}],
    }


def test_lines_and_reasons_sum_to_the_total() -> None:
    graph = resolve("alexnet")
    for tool in CONVENTIONS:
        found = explained(graph, tool)
        assert found.total.theirs == sum(line.theirs for line in found.lines)
        assert found.total.difference == sum(line.difference for line in found.reasons)
        assert all(bool(line.why) == bool(line.difference or line.perhaps) for line in found.lines)


def test_mistakes() -> None:
    graph = small()
    with pytest.raises(NetworkError) as wrong:
        explain(graph, count(graph), "deepspeed")
    names = "torchinfo, fvcore, flop_counter, ptflops, calflops, thop"
    assert str(wrong.value) == f"the convention must be one of {names}, not 'deepspeed'"
    with pytest.raises(NetworkError) as wrong:
        explain(graph, count(graph).grouped("operation"), "thop")
    assert str(wrong.value) == "thop's convention needs a count by layer, not of groups of layers"
    with pytest.raises(NetworkError) as wrong:
        explain(graph, count(graph, padding_zeros=False), "thop")
    assert str(wrong.value) == "thop's convention must be compared with padding zeros counted, not left out"
