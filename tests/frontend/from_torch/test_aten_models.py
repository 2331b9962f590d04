"""Whole models: no operator is unknown, and parameters and products are those that torch counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.frontend.from_torch import from_torch  # noqa: E402
from tilework.network.execute import execute  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE, VIDEO = (1, 3, 64, 64), (1, 3, 8, 32, 32)
TORCHVISION = {
    "convnext_tiny": IMAGE,
    "deeplabv3_mobilenet_v3_large": IMAGE,
    "densenet121": IMAGE,
    "efficientnet_b0": IMAGE,
    "mobilenet_v3_small": IMAGE,
    "r3d_18": VIDEO,
    "resnet18": IMAGE,
    "shufflenet_v2_x0_5": IMAGE,
    "swin_v2_t": IMAGE,
    "vit_b_32": (1, 3, 224, 224),
}

SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "hidden_size": 32}
TEXT = SIZES | {"vocab_size": 99, "max_position_embeddings": 64}
GROUPED = TEXT | {"num_key_value_heads": 2}
GPT = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
STATES = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 99, "state_size": 4}
PATCHES = SIZES | {"image_size": 32, "patch_size": 8}
WAVES = SIZES | {"conv_dim": (32, 32), "conv_stride": (4, 4), "conv_kernel": (8, 8), "num_feat_extract_layers": 2}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "bert": TEXT,
    "bloom": {"vocab_size": 99, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "dinov2": PATCHES,
    "electra": TEXT | {"embedding_size": 16},
    "falcon": {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "gemma2": GROUPED | {"head_dim": 8, "sliding_window": 4},
    "gpt2": GPT,
    "llama": GROUPED,
    "mamba": STATES,
    "mistral": GROUPED | {"sliding_window": 4},
    "opt": TEXT | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "phi": GROUPED,
    "qwen3": GROUPED | {"head_dim": 8},
    "t5": {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4},
    "vit": PATCHES,
    "wav2vec2": WAVES | {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "vocab_size": 32},
}


def products(module: Any, *inputs: Any, **keywords: Any) -> int:
    """What torch's counter says on the meta device, attention in its parts."""
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module.eval()(*inputs, **keywords)
    return counter.get_total_flops() // 2


def check(module: Any, *inputs: Any, **keywords: Any) -> None:
    graph = from_torch(module, *inputs, **keywords)
    assert [node.label for node in graph.nodes if node.operation == "unknown"] == []
    total = count(graph).total
    assert total.macs == products(module, *inputs, **keywords)
    assert total.parameters == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_models(models: Any, name: str) -> None:
    with torch.device("meta"):
        module = models.get_model(name, weights=None, **({"weights_backbone": None} if "deeplab" in name else {}))
        check(module, torch.empty(TORCHVISION[name]))


@pytest.fixture(scope="module")
def tiny(models: Any) -> Callable[[str], Any]:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")

    def make(name: str) -> Any:
        config = transformers.AutoConfig.for_model(name, **TRANSFORMERS[name])
        with torch.device("meta"):
            return transformers.AutoModel.from_config(config)

    return make


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_models(tiny: Callable[[str], Any], name: str) -> None:
    module = tiny(name)
    with torch.device("meta"):
        tokens = torch.zeros(2, 8, dtype=torch.int64)
        inputs = {
            "dinov2": {"pixel_values": torch.empty(2, 3, 32, 32)},
            "t5": {"input_ids": tokens, "decoder_input_ids": tokens[:, :5]},
            "vit": {"pixel_values": torch.empty(2, 3, 32, 32)},
            "wav2vec2": {"input_values": torch.empty(2, 1600)},
        }
    check(module, **inputs.get(name, {"input_ids": tokens}))


def executed(module: Any, x: Any) -> tuple[Any, Any]:
    """The first output of the graph in NumPy, and torch's own."""
    graph = from_torch(module.eval(), x)
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    with torch.no_grad():
        expected = module(x)
    value = execute(graph, weights, {graph.inputs[0].name: x.numpy()})[graph.outputs[0]]
    return value, (expected[0] if isinstance(expected, tuple) else expected).numpy()


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5"])
def test_values_of_torchvisions_models(models: Any, name: str) -> None:
    torch.manual_seed(0)
    value, expected = executed(models.get_model(name, weights=None), torch.randn(2, 3, 32, 32))
    np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        lambda: torch.nn.LSTM(16, 8, num_layers=2, bidirectional=True),
        lambda: torch.nn.GRU(16, 8, batch_first=True),
    ],
)
def test_values_of_sequence_models(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    value, expected = executed(make(), torch.randn(3, 5, 16))
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
