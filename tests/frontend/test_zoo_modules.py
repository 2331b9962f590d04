"""The zoo's transformers, recurrent and other networks against modules of torch, torchvision and transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from tilework.errors import NetworkError
from tilework.frontend.resolve import resolve
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network.execute import execute
from tilework.network.graph import PARAMETER, Graph

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def lstm(hidden: int = 256) -> Any:
    class Classifier(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(128, hidden, batch_first=True)
            self.fc = torch.nn.Linear(hidden, 10)

        def forward(self, x: Any) -> Any:
            return self.fc(self.rnn(x)[0][:, -1])

    return Classifier()


def encoder(feedforward: int = 2048) -> Any:
    return torch.nn.TransformerEncoderLayer(512, 8, feedforward, batch_first=True)


def unet(**options: int) -> Any:
    spec = spec_from_file_location("networks", EXAMPLES / "networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.UNet(**{"width": 64, "levels": 4} | options)


def gpt2(layers: int = 12) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=layers, attn_implementation="eager"))


def torchvision(name: str) -> Callable[..., Any]:
    return lambda **options: pytest.importorskip("torchvision").models.__dict__[name](**options)


class Case(NamedTuple):
    """How to build the module, and for the comparison of values a small input, and options of both sides, or theirs."""

    module: Callable[..., Any]
    shape: tuple[int, ...]
    options: Mapping[str, int] = MappingProxyType({})
    theirs: Mapping[str, int] = MappingProxyType({})


CASES = {
    "mobilenet_v2": Case(torchvision("mobilenet_v2"), (3, 65, 97)),
    "unet": Case(unet, (3, 16, 24), {"width": 4, "levels": 3, "classes": 3}),
    "vit_b_16": Case(torchvision("vit_b_16"), (3, 32, 32), theirs={"image_size": 32}),
    "encoder": Case(encoder, (9, 512), {"feedforward": 64}),
    "lstm": Case(lstm, (5, 128), {"hidden": 24}),
    "gpt2": Case(gpt2, (7,), {"layers": 2}),
}
"""Every network of the zoo that test_zoo does not hold against torchvision."""


@pytest.fixture(autouse=True)
def modules(models: Any) -> None:
    """One thread, and torchvision's models under their usual name."""
    torch.set_num_threads(1)


def example(graph: Graph) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    (tensor,) = graph.inputs
    if tensor.dtype == "int64":
        return {tensor.name: generator.integers(0, 50257, tensor.shape)}
    return {tensor.name: generator.standard_normal(tensor.shape, dtype=np.float32)}


def trained(module: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}


@pytest.mark.parametrize("name", CASES)
def test_parameters_and_macs_are_torchs(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    graph = network(name)
    values = example(graph)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        module = CASES[name].module().eval()
        module(*(torch.from_numpy(array).to("meta") for array in values.values()))
    assert {t.name: t.shape for t in graph.weights if t.role == PARAMETER} == trained(module)
    nests = [nest for node in graph.nodes for nest in graph.nests(node)]
    assert 2 * sum(n.iterations for n in nests if n.kind == "contraction") == counter.get_total_flops()


@pytest.mark.parametrize("name", CASES)
def test_values_are_torchs(name: str) -> None:
    case = CASES[name]
    graph = network(name, 2, case.shape, **case.options)
    weights, values = seeded(graph, 3), example(graph)
    module = case.module(**case.options, **case.theirs).eval()
    loaded = module.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
    assert all(key.endswith("num_batches_tracked") or key == "lm_head.weight" for key in loaded.missing_keys)
    assert not loaded.unexpected_keys
    with torch.inference_mode():
        expected = module(*map(torch.from_numpy, values.values()))
        expected = getattr(expected, "logits", expected)
        expected = expected.softmax(-1) if graph.outputs == ("softmax",) else expected
    (got,) = execute(graph, weights, values).values()
    np.testing.assert_allclose(got, expected.numpy(), rtol=0, atol=2e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_another_batch_and_shape(name: str) -> None:
    shape = {"encoder": (40, 512), "lstm": (3, 128), "gpt2": (40,)}.get(name, (3, 96, 64))
    graph = resolve(name, batch=3, inputs=(shape,))
    assert graph == network(name, 3, shape)
    assert graph.inputs[0].shape == (3, *shape)
    assert graph.tensors[graph.outputs[0]].shape[0] == 3
    assert resolve(name) == network(name)


def test_later_tokens_change_nothing_before() -> None:
    graph = network("gpt2", 1, (6,), layers=1)
    weights = seeded(graph)
    ids = np.arange(6).reshape(1, 6)
    (one,) = execute(graph, weights, {"ids": ids}).values()
    (other,) = execute(graph, weights, {"ids": np.where(ids > 3, 100, ids)}).values()
    np.testing.assert_array_equal(one[:, :4], other[:, :4])
    assert (one[:, 4:] != other[:, 4:]).any()


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("encoder", (512,), "the input of encoder must have 2 sizes besides the batch, as [128, 512], not [512]"),
        (
            "unet",
            (3, 30, 32),
            "node join.0.concat: concat along axis 1 must get shapes alike elsewhere, "
            "not [[1, 512, 3, 4], [1, 512, 2, 4]]",
        ),
        (
            "gpt2",
            (1025,),
            "node transformer.wpe: slice must stay within the 1024 places of axis 0, not go from 0 to 1024",
        ),
    ],
)
def test_shapes_that_do_not_fit(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        network(name, input_shape=shape)
    assert str(caught.value) == message
