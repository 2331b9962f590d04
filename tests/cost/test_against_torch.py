"""Counts against torch's own counters and torchinfo, on torch's own networks; nothing is computed, so it is quick."""

from typing import Any

import pytest

from tilework.cost.count import count
from tilework.frontend.resolve import resolve
from tilework.network.graph import GraphBuilder

torch = pytest.importorskip("torch", reason="torch is not installed")


def macs_of(module: Any, shape: tuple[int, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def original_alexnet() -> Any:
    """Krizhevsky et al. 2012, written down once more in torch's terms."""
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000), nn.Softmax(1)),
    )


def test_the_original_alexnet() -> None:
    with torch.device("meta"):
        module = original_alexnet()
    counted = count(resolve("alexnet")).total
    assert counted.parameters == sum(p.numel() for p in module.parameters())
    assert counted.macs == macs_of(module, (1, 3, 227, 227))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("alexnet_torchvision", "alexnet"),
        ("vgg11", "vgg11"),
        ("vgg19", "vgg19"),
        ("resnet18", "resnet18"),
        ("resnet50", "resnet50"),
        ("resnet152", "resnet152"),
    ],
)
def test_torchvision_networks(ours: str, theirs: str, models: Any) -> None:
    with torch.device("meta"):
        module = getattr(models, theirs)(weights=None).eval()
    counted = count(resolve(ours)).total
    assert counted.parameters == sum(p.numel() for p in module.parameters())
    # torch counts the batches that a normalisation has seen as a buffer of one element: a counter, no weight.
    buffers = {name: b.numel() for name, b in module.named_buffers() if not name.endswith("num_batches_tracked")}
    assert counted.buffers == sum(buffers.values())
    assert counted.macs == macs_of(module, (1, 3, 224, 224))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_a_convolution_layer_by_torchinfo(groups: int, bias: bool) -> None:
    torchinfo = pytest.importorskip("torchinfo", reason="torchinfo is not installed")
    module = torch.nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=1, groups=groups, bias=bias)
    theirs = torchinfo.summary(module, (3, 4, 9, 8), verbose=0)
    g = GraphBuilder("layer")
    weights = [g.weight(name, tuple(p.shape)) for name, p in module.named_parameters()]
    attributes = {"stride": (2, 2), "padding": (1, 1), "groups": groups}
    (ours,) = count(g.graph(g.node("y", "conv2d", g.input("x", (3, 4, 9, 8)), *weights, **attributes))).rows
    assert ours.parameters == theirs.total_params
    assert ours.output_shape == tuple(module(torch.zeros(3, 4, 9, 8)).shape)
    # torchinfo calls the addition of a bias a mult-add too, once per output.
    assert theirs.total_mult_adds == ours.macs + (ours.neurons if bias else 0)
    # Its output bytes are those of a forward and a backward pass.
    assert theirs.total_output_bytes == 2 * ours.activation_bytes
