"""Real networks are the same with and without reuse, language models with their caches too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.cost.record import total  # noqa: E402
from tilework.errors import NetworkError  # noqa: E402
from tilework.frontend.from_torch import trace_blocks  # noqa: E402
from tilework.network.blocks import Block, Blocks, Copy  # noqa: E402

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 50,
    "pad_token_id": 0,
}
GROUPED = SMALL | {"num_key_value_heads": 2}
LOCAL = GROUPED | {"head_dim": 8, "sliding_window": 4}
TOKENS = torch.zeros(1, 8, dtype=torch.int64)


def copies(block: Block) -> list[str]:
    """The paths of the module calls that were not run, outermost first."""
    found = []
    for part in block.parts:
        if isinstance(part, Copy):
            found.append(part.path)
        elif isinstance(part, Block):
            found += copies(part)
    return found


def check(module: nn.Module, *inputs: Any, **keywords: Any) -> Blocks:
    blocks = trace_blocks(module, *inputs, **keywords)
    plain = trace_blocks(module, *inputs, reuse=False, **keywords)
    assert str(blocks.graph()) == str(plain.graph())
    counted = count(blocks)
    assert counted.total == total(counted.rows) == count(plain.graph()).total
    assert counted.total.parameters == sum(p.numel() for p in module.parameters())
    return blocks


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("resnet50", {"layer1.2", "layer2.3", "layer3.5", "layer4.2"}),
        ("vit_b_16", {f"encoder.layers.encoder_layer_{number}" for number in range(1, 12)}),
        ("swin_t", {"features.5.2.attn", "features.5.3.attn"}),
        ("convnext_tiny", {"features.5.1.block.5"}),
    ],
)
def test_torchvisions_models(models: Any, name: str, calls: set[str]) -> None:
    with torch.device("meta"):
        module = models.get_model(name, weights=None)
    found = set(copies(check(module, (1, 3, 224, 224)).root))
    assert calls <= found


def test_a_detector(models: Any) -> None:
    """Boxes and their images travel in objects, and what was written in place is read in other modules."""
    with torch.device("meta"):
        module = models.get_model("fasterrcnn_mobilenet_v3_large_320_fpn", weights=None, weights_backbone=None)
    assert copies(check(module, [(3, 64, 96)]).root)


LANGUAGE: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("AutoModel", SMALL | {"embedding_size": 16}),
    "bert": ("AutoModel", SMALL),
    "gemma2": ("AutoModelForCausalLM", LOCAL),
    "gemma3_text": ("AutoModelForCausalLM", LOCAL | {"num_hidden_layers": 7}),
    "gpt2": ("AutoModelForCausalLM", {"n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 50, "n_positions": 16}),
    "llama": ("AutoModelForCausalLM", GROUPED),
    "mixtral": ("AutoModelForCausalLM", GROUPED | {"num_local_experts": 4}),
    "t5": ("AutoModel", {"d_model": 32, "d_ff": 64, "num_layers": 3, "num_heads": 4, "d_kv": 8, "vocab_size": 50}),
}


@pytest.fixture(scope="module")
def library(models: Any) -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture(scope="module")
def language(library: Any) -> Callable[[str], nn.Module]:
    def make(name: str) -> nn.Module:
        kind, options = LANGUAGE[name]
        config = library.AutoConfig.for_model(name, **options)
        with torch.device("meta"):
            model: nn.Module = getattr(library, kind).from_config(config)
        return model

    return make


@pytest.mark.parametrize("name", LANGUAGE)
def test_language_models(language: Callable[[str], nn.Module], name: str) -> None:
    others = {"decoder_input_ids": TOKENS[:, :5]} if name == "t5" else {}
    assert copies(check(language(name), input_ids=TOKENS, **others).root)


def layers(blocks: Blocks) -> list[str]:
    """The decoder layers that were not run."""
    return [path for path in copies(blocks.root) if path.startswith("model.layers.") and path.count(".") == 2]


def test_layers_that_fill_a_cache_are_alike(language: Callable[[str], nn.Module]) -> None:
    blocks = check(language("llama"), TOKENS)
    assert layers(blocks) == ["model.layers.1", "model.layers.2", "model.layers.3"]
    outputs = [blocks.graph().tensors[name].shape for name in blocks.graph().outputs]
    assert outputs == [(1, 8, 50), *[(1, 2, 8, 8)] * 8]


def test_layers_with_windows_are_unlike_those_without(language: Callable[[str], nn.Module]) -> None:
    assert layers(check(language("gemma2"), TOKENS)) == ["model.layers.2", "model.layers.3"]


def filled(library: Any, past: int, places: int = 4) -> Any:
    cache = library.DynamicCache()
    for number in range(places):
        cache.update(torch.zeros(1, 2, past, 8), torch.zeros(1, 2, past, 8), number)
    return cache


def test_a_cache_that_is_given_is_among_the_inputs(library: Any, language: Callable[[str], nn.Module]) -> None:
    cache = filled(library, past=5)
    blocks = check(language("llama"), TOKENS[:, :1], past_key_values=cache)
    assert layers(blocks) == ["model.layers.1", "model.layers.2", "model.layers.3"]
    inputs = [(t.name, t.shape) for t in blocks.graph().inputs]
    assert inputs[:3] == [
        ("input_ids", (1, 1)),
        ("past_key_values.0.keys", (1, 2, 5, 8)),
        ("past_key_values.0.values", (1, 2, 5, 8)),
    ]
    assert [place.keys.shape for place in cache.layers] == [(1, 2, 5, 8)] * 4
    assert cache.layers[0].keys.device.type == "cpu"


def test_places_of_a_cache_that_differ_tell_layers_apart(library: Any, language: Callable[[str], nn.Module]) -> None:
    cache = filled(library, past=5)
    cache.layers[2].values = torch.zeros(1, 2, 8, 5).transpose(2, 3)
    assert layers(check(language("llama"), TOKENS[:, :1], past_key_values=cache)) == [
        "model.layers.1",
        "model.layers.3",
    ]
    cache.layers[2].values = torch.zeros(1, 2, 5, 8, dtype=torch.float64)
    with pytest.raises(
        NetworkError, match=r"^the forward of module model\.layers\.2\.self_attn \(LlamaAttention\) must run"
    ):
        trace_blocks(language("llama"), TOKENS[:, :1], past_key_values=cache)


class Keeper(nn.Module):
    def __init__(self, layer_idx: int, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer_idx, self.function = layer_idx, function

    def forward(self, x: Any, cache: Any) -> Any:
        return self.function(self, x, cache)


class Keepers(nn.Module):
    """Three layers that share a cache."""

    def __init__(self, library: Any, function: Callable[..., Any]) -> None:
        super().__init__()
        self.library = library
        self.layers = nn.ModuleList(Keeper(number, function) for number in range(3))

    def forward(self, x: Any) -> Any:
        cache = self.library.DynamicCache()
        for layer in self.layers:
            x = layer(x, cache)
        return x


def only_updates(m: Any, x: Any, cache: Any) -> Any:
    return sum(cache.update(x, x * 2, m.layer_idx))


def scales(m: Any, x: Any, cache: Any) -> Any:
    return sum(cache.update(x, x, m.layer_idx)) / (m.layer_idx + 1)


def asks(m: Any, x: Any, cache: Any) -> Any:
    return sum(cache.update(x, x, m.layer_idx)) * cache.get_seq_length()


def picks(m: Any, x: Any, cache: Any) -> Any:
    return sum(cache.update(x, x, m.layer_idx)) * [1, 2, 2][m.layer_idx]


def twice(m: Any, x: Any, cache: Any) -> Any:
    keys, _ = cache.update(x, x, m.layer_idx)
    return sum(cache.update(x, x, m.layer_idx)) + torch.cat([keys, keys], 2)


def by_number(m: Any, x: Any, cache: Any) -> Any:
    return sum(cache.update(x, x, int(m.layer_idx)))


def prints(m: Any, x: Any, cache: Any) -> Any:
    return sum(cache.update(x, x, m.layer_idx)) * len(f"{m.layer_idx}")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (only_updates, ["layers.1", "layers.2"]),
        (scales, []),
        (asks, []),
        (picks, []),
        (by_number, []),
        (prints, []),
    ],
)
def test_a_layer_may_use_its_number_for_its_place_alone(
    library: Any, function: Callable[..., Any], expected: list[str]
) -> None:
    assert copies(check(Keepers(library, function), (1, 2, 3, 4)).root) == expected


def test_a_place_that_is_filled_twice(library: Any) -> None:
    check(Keepers(library, twice), (1, 2, 3, 4))
