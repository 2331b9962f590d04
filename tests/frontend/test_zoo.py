"""The zoo against torchvision and against the papers' numbers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tilework.errors import NetworkError
from tilework.frontend.onnx_runtime import run_onnx
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import NETWORKS, network
from tilework.network.graph import PARAMETER, Graph
from tilework.network.graph_text import parse_graph, print_graph

# Each number with a torchvision counterpart equals that model's; mlp and lenet5 are sums by hand, as are those from
# cambricon_mlp on (test_zoo_cambricon has their values); alexnet is the paper's network (its "60 million parameters"),
# layer by layer; those from unet to gpt2 are held in test_zoo_modules.
PARAMETERS = {
    "mlp": 266_610,
    "lenet5": 61_706,
    "alexnet": 60_965_224,
    "alexnet_torchvision": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet50_v1": 25_557_032,
    "resnet101_v1": 44_549_160,
    "resnet152_v1": 60_192_808,
    "mobilenet_v2": 3_504_872,
    "unet": 31_037_698,
    "vit_b_16": 86_567_656,
    "encoder": 3_152_384,
    "lstm": 397_834,
    "gpt2": 124_439_808,
    "cambricon_mlp": 34_514,
    "cambricon_rnn": 16_987,
    "cambricon_lstm": 50_746,
    "autoencoder": 89_860,
    "sparse_autoencoder": 89_860,
    "boltzmann": 500_500,
    "rbm": 251_000,
    "som": 2_304,
    "hopfield": 10_000,
}
MACS = {
    "mlp": 266_200,
    "lenet5": 416_520,
    "alexnet": 724_406_816,
    "alexnet_torchvision": 714_188_480,
    "vgg11": 7_609_090_048,
    "vgg13": 11_308_466_176,
    "vgg16": 15_470_264_320,
    "vgg19": 19_632_062_464,
    "resnet18": 1_814_073_344,
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "resnet101": 7_801_405_440,
    "resnet152": 11_513_626_624,
    "resnet50_v1": 3_857_973_248,
    "resnet101_v1": 7_570_194_432,
    "resnet152_v1": 11_282_415_616,
    "mobilenet_v2": 300_774_272,
    "unet": 12_042_895_360,
    "vit_b_16": 17_563_828_224,
    "encoder": 419_430_400,
    "lstm": 12_585_472,
    "gpt2": 16_114_089_984,
    "cambricon_mlp": 34_200,
    "cambricon_rnn": 167_400,
    "cambricon_lstm": 499_410,
    "autoencoder": 89_500,
    "sparse_autoencoder": 89_500,
    "boltzmann": 500_000,
    "rbm": 500_000,
    "som": 0,
    "hopfield": 100_000,
}
TORCHVISION = {
    "alexnet_torchvision": "alexnet",
    **{n: n.removesuffix("_v1") for n in NETWORKS if n.startswith(("vgg", "resnet", "mobilenet", "vit"))},
}
CAMBRICON = [name for name, entry in NETWORKS.items() if "Cambricon" in entry.source]
CLASSES = dict.fromkeys(NETWORKS, 1000) | dict.fromkeys(("mlp", "lenet5", "lstm"), 10)


def parameters(graph: Graph) -> int:
    return sum(tensor.elements for tensor in graph.weights if tensor.role == PARAMETER)


def macs(graph: Graph) -> int:
    nests = (nest for node in graph.nodes for nest in graph.nests(node))
    return sum(nest.iterations for nest in nests if nest.kind == "contraction")


@pytest.fixture(scope="module")
def torch() -> Any:
    module = pytest.importorskip("torch", reason="PyTorch is not installed")
    module.set_num_threads(1)
    return module


def test_tables_are_whole() -> None:
    assert list(PARAMETERS) == list(NETWORKS)
    assert list(MACS) == list(NETWORKS)
    assert all(name == entry.name for name, entry in NETWORKS.items())
    assert all(entry.description and entry.source for entry in NETWORKS.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_macs(name: str) -> None:
    graph = network(name)
    assert (parameters(graph), macs(graph)) == (PARAMETERS[name], MACS[name])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("unet", "encoder", "gpt2", *CAMBRICON)])
def test_ends_in_probabilities(name: str) -> None:
    graph = network(name, batch=2)
    assert graph.outputs == ("softmax",)
    assert graph.nodes[-1].operation == "softmax"
    assert graph.tensors["softmax"].shape == (2, CLASSES[name])
    assert graph.inputs[0].shape == (2, *NETWORKS[name].input_shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_text_round_trip(name: str) -> None:
    graph = network(name)
    assert parse_graph(print_graph(graph)) == graph


@pytest.mark.parametrize("name", TORCHVISION)
def test_names_and_shapes_are_torchvisions(name: str, torch: Any, models: Any) -> None:
    with torch.device("meta"):
        model = getattr(models, TORCHVISION[name])()
    theirs = {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    graph = network(name)
    assert {t.name: t.shape for t in graph.weights} == theirs
    assert [t.name for t in graph.weights] == list(theirs)
    assert {t.name for t in graph.weights if t.role == PARAMETER} == {k for k, _ in model.named_parameters()}
    assert {node.name for node in graph.nodes} >= {k.removesuffix(".weight") for k in theirs if k.endswith(".weight")}


@pytest.mark.parametrize("name", [name for name in TORCHVISION if not name.endswith(("_v1", "_16"))])
def test_macs_are_torchvisions(name: str, torch: Any, models: Any) -> None:
    counted: list[int] = []

    def count(layer: Any, inputs: Any, output: Any) -> None:
        counted.append(output.numel() * layer.weight[0].numel())

    with torch.device("meta"):
        model = getattr(models, TORCHVISION[name])().eval()
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                layer.register_forward_hook(count)
        model(torch.empty(1, 3, 224, 224))
    assert sum(counted) == MACS[name]


@pytest.mark.parametrize("name", ["alexnet_torchvision", "resnet18", "resnet50"])
def test_values_are_torchvisions(name: str, torch: Any, models: Any) -> None:
    graph = network(name, input_shape=(3, 96, 96))
    weights = seeded(graph, 3)
    model = getattr(models, TORCHVISION[name])(weights=None).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict="resnet" not in name)
    image = np.random.default_rng(0).standard_normal((1, 3, 96, 96), dtype=np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(image)).softmax(1).numpy()
    got = run_onnx(graph, weights, {"image": image})["softmax"]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


def test_alexnet_is_the_papers() -> None:
    graph = network("alexnet")
    nodes = {node.name: node for node in graph.nodes}
    assert [dict(nodes[f"conv{i}"].attributes).get("groups", 1) for i in range(1, 6)] == [1, 2, 1, 2, 2]
    # "253,440-186,624-64,896-64,896-43,264-4096-4096-1000" (section 3.5), but conv1 is 55x55x96 = 290,400
    shapes = [graph.tensors[n].elements for n in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")]
    assert shapes == [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert nodes["norm1"].attributes == (("alpha", 5e-4), ("beta", 0.75), ("k", 2.0), ("size", 5))
    assert nodes["pool1"].inputs == ("norm1",)


@pytest.mark.parametrize(("v1", "first", "second"), [(False, (1, 1), (2, 2)), (True, (2, 2), (1, 1))])
def test_where_a_bottleneck_strides(v1: bool, first: tuple[int, int], second: tuple[int, int]) -> None:
    graph = network("resnet50", stride_in_1x1=v1)
    nodes = {node.name: dict(node.attributes) for node in graph.nodes}
    assert nodes["layer2.0.conv1"].get("stride", (1, 1)) == first
    assert nodes["layer2.0.conv2"].get("stride", (1, 1)) == second
    assert nodes["layer2.0.downsample.0"]["stride"] == (2, 2)
    assert (graph.nodes == network("resnet50_v1").nodes) == v1


def test_names_and_modules_of_a_block() -> None:
    block = [(n.name, n.module) for n in network("resnet50").nodes if n.name.startswith("layer1.0.")]
    assert block == [
        ("layer1.0.conv1", "layer1.0"),
        ("layer1.0.bn1", "layer1.0"),
        ("layer1.0.relu", "layer1.0"),
        ("layer1.0.conv2", "layer1.0"),
        ("layer1.0.bn2", "layer1.0"),
        ("layer1.0.relu1", "layer1.0"),
        ("layer1.0.conv3", "layer1.0"),
        ("layer1.0.bn3", "layer1.0"),
        ("layer1.0.downsample.0", "layer1.0.downsample"),
        ("layer1.0.downsample.1", "layer1.0.downsample"),
        ("layer1.0.add", "layer1.0"),
        ("layer1.0.relu2", "layer1.0"),
    ]


def test_sizes_of_an_mlp() -> None:
    graph = network("mlp", batch=5, sizes=[8, 4, 3])
    assert graph.inputs[0].shape == (5, 8)
    assert [(t.name, t.shape) for t in graph.weights] == [
        ("fc1.weight", (4, 8)),
        ("fc1.bias", (4,)),
        ("fc2.weight", (3, 4)),
        ("fc2.bias", (3,)),
    ]
    assert [node.name for node in graph.nodes] == ["fc1", "relu1", "fc2", "softmax"]


def test_other_image_sizes() -> None:
    assert network("vgg11", input_shape=(3, 320, 256)).tensors["avgpool"].shape == (1, 512, 7, 7)
    assert network("resnet18", input_shape=(3, 33, 47)).tensors["softmax"].shape == (1, 1000)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            ("ResNet-50",),
            {},
            f"the network must be one of {', '.join(NETWORKS)}, not 'ResNet-50'; "
            "did you mean resnet50, resnet50_v1, resnet152?",
        ),
        (("transformer",), {}, f"the network must be one of {', '.join(NETWORKS)}, not 'transformer'"),
        (("lenet5",), {"sizes": (1, 2)}, "lenet5 has no option 'sizes'; it has none"),
        (("mlp",), {"width": 3}, "mlp has no option 'width'; it has sizes"),
        (
            ("mlp",),
            {"sizes": (784,)},
            "the sizes of an mlp must be at least two, its inputs and its outputs, not [784]",
        ),
        (
            ("lenet5", 1, (1, 32, 32)),
            {},
            "node fc1: linear with weight [120, 400] must get 400 features, not 576",
        ),
        (("lenet5", 0), {}, "tensor image: every size must be at least 1, not [0, 1, 28, 28]"),
    ],
)
def test_errors(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        network(*arguments, **options)
    assert str(caught.value) == message


def test_needs_neither_numpy_nor_torch() -> None:
    code = "import sys; from tilework.frontend.zoo import network; network('resnet152'); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "onnx"} & set(modules)
