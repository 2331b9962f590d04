"""The tools themselves against the totals that are derived for them, on small networks of torch."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tilework.cost.convention_tools import TOOLS
from tilework.cost.conventions import CONVENTIONS, explain
from tilework.cost.count import count

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
ROOT = Path(__file__).resolve().parents[2]
FOUND = {  # the import that tells whether a tool runs here
    "flop_counter": "torch.utils.flop_counter",
    "fvcore": "fvcore.nn",
}


@pytest.fixture(scope="module")
def benchmark(script: Callable[[str], ModuleType]) -> ModuleType:
    """benchmarks/disagreements.py, which runs the tools."""
    return script("benchmarks/disagreements.py")


def require(tool: str, benchmark: ModuleType) -> None:
    """Skip where a tool isn't installed, doesn't load, or is another version than the rules restate."""
    try:
        version = benchmark.installed(tool)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(FOUND.get(tool, tool))
    except (PackageNotFoundError, ImportError) as error:
        pytest.skip(f"{tool} doesn't run here: {error}")
    stated = TOOLS[tool].version.removeprefix("of torch ").split(".post")[0]
    if not version.startswith(stated):
        pytest.skip(f"the rules are those of {tool} {stated}, not {version}")


def convolutions() -> Any:
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False), nn.GroupNorm(2, 8), nn.GELU(), nn.AvgPool2d(2)),
        *(nn.ConvTranspose2d(8, 6, 3, stride=2, groups=2), nn.LeakyReLU(), nn.Upsample(scale_factor=2), nn.ReLU6()),
        *(nn.InstanceNorm2d(6, affine=True), nn.PReLU(), nn.SiLU(), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten()),
        *(nn.Linear(24, 10), nn.Softmax(1)),
    )


def attention() -> Any:
    """A post-norm encoder layer; the products of activations are in scaled_dot_product_attention."""
    return torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


def recurrent() -> Any:
    class Last(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True)
            self.gru = torch.nn.GRU(8, 3, batch_first=True)
            self.head = torch.nn.Linear(3, 5)

        def forward(self, x: Any) -> Any:
            return self.head(self.gru(self.lstm(x)[0])[0][:, -1])

    return Last()


IMAGE, SEQUENCE = (2, 3, 32, 32), (2, 5, 8)
MODULES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "convolutions": (convolutions, IMAGE),
    "attention": (attention, SEQUENCE),
    "recurrent": (recurrent, SEQUENCE),
}
VISION: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("resnet18", {}),
    "mobilenet_v2": ("mobilenet_v2", {}),
    "vision transformer": (
        "VisionTransformer",
        {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32},
    ),
    "swin": (
        "SwinTransformer",
        {"patch_size": [4, 4], "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": [2, 2]},
    ),
}
UNUSUAL = {"convolutions"}  # has classes that names don't tell: instance normalisation, upsampling
IN_RANGE = {  # where a graph can't tell how the network is written
    "fvcore": {"mobilenet_v2", "swin"},
    "ptflops": {"swin", "mobilenet_v2"},
    "calflops": {"swin", "mobilenet_v2"},
}


def check(tool: str, name: str, benchmark: ModuleType, make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    """The derived total is the tool's own, or, for the networks IN_RANGE, from the one to the other end."""
    from tilework.frontend.from_torch.trace import from_torch

    with torch.device("meta"):
        module, example = make(), torch.empty(shape)
    graph = from_torch(module, example)
    run = (module, [example]) if tool == "flop_counter" else (make(), [torch.zeros(shape)])
    real = benchmark.measure(tool, *run)
    counted = count(graph)
    known = explain(graph, counted, tool, benchmark.classes(module)).total
    assert known.theirs <= real <= known.theirs + known.perhaps
    assert known.theirs == real or name in IN_RANGE.get(tool, ())
    if name not in UNUSUAL:
        guessed = explain(graph, counted, tool).total
        assert guessed.theirs <= real <= guessed.theirs + guessed.perhaps


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("tool", CONVENTIONS)
def test_modules(tool: str, name: str, benchmark: ModuleType, models: Any) -> None:
    require(tool, benchmark)
    check(tool, name, benchmark, *MODULES[name])


@pytest.mark.parametrize("name", VISION)
@pytest.mark.parametrize("tool", CONVENTIONS)
def test_networks(tool: str, name: str, benchmark: ModuleType, models: Any) -> None:
    require(tool, benchmark)
    maker, sizes = VISION[name]
    place = getattr(models, maker, None) or getattr(models.vision_transformer, maker)
    check(tool, name, benchmark, lambda: place(**sizes), IMAGE)


def test_every_tool_is_measured(benchmark: ModuleType) -> None:
    assert tuple(benchmark.TOOLS) == CONVENTIONS
