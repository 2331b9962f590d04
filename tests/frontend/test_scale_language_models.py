"""Language models on many devices: passes, what is kept of tokens, and rates, by hand from the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tilework as tw

pytest.importorskip("transformers")

WIDTH, LAYERS, HEADS, SHARED, INNER, WORDS = 64, 3, 8, 2, 96, 128
LAYER = WIDTH * WIDTH * 2 + WIDTH * (WIDTH // HEADS * SHARED) * 2 + 3 * WIDTH * INNER
MACS = LAYERS * LAYER + WIDTH * WORDS  # of a token, without attention


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    fields = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": SHARED,
        "vocab_size": WORDS,
        "max_position_embeddings": 512,
    }
    folder = tmp_path_factory.mktemp("llama")
    (folder / "config.json").write_text(json.dumps(fields))
    return f"hf:{folder}"


def test_both_passes_by_hand(spec: str) -> None:
    found = tw.scale(spec, "h100-sxm", "seq=16", batch=2, generate=9, dtype="float16")
    assert list(found.passes) == ["prefill", "decode"]
    size = WIDTH // HEADS
    prefill, decode = (found.passes[name].time.operations for name in ("prefill", "decode"))
    assert prefill == 2 * 2 * (16 * MACS + LAYERS * 2 * 16 * 16 * WIDTH)
    assert decode == 2 * 2 * (MACS + LAYERS * 2 * (16 + 4 + 1) * WIDTH)
    assert found.cache_bytes_per_token == 2 * LAYERS * SHARED * size * 2
    assert (found.prompt, found.generated, found.cached) == (16, 9, 20)
    first, each = found.passes["prefill"].seconds, found.passes["decode"].seconds
    assert found.request_seconds == pytest.approx(first + 8 * each)
    assert found.per_second == pytest.approx(2 * 9 / (first + 8 * each))


def test_decoding_moves_weights_and_the_cache_once(spec: str) -> None:
    found = tw.scale(spec, "h100-sxm", "seq=64", batch=4, generate=1, dtype="float16", fused=True)
    norms = WIDTH * (2 * LAYERS + 1)
    cache = 4 * 64 * LAYERS * 2 * SHARED * (WIDTH // HEADS)
    rows, logits = 4 * WIDTH, 4 * WORDS
    new = 4 * LAYERS * 2 * SHARED * (WIDTH // HEADS)
    least = 2 * (LAYERS * LAYER + WIDTH * WORDS + norms + cache + rows + logits + new)
    assert found.last.time.ends * 3.35e12 == pytest.approx(least, rel=0.01)  # positions and ids besides


def test_devices_share_heads_and_their_cache(spec: str) -> None:
    one, two = tw.serving_curve(spec, "h100-sxm", "seq=64", over=(1, 2), batch=4, check=False)
    assert two.last.time.operations == one.last.time.operations / 2
    cache = [stage.cache_bytes for stage in (*one.last.stages, *two.last.stages)]
    assert cache[1] == cache[0] / 2
    assert one.cache_bytes_per_token == two.cache_bytes_per_token
    exchanged = two.last.time.links
    # an all-reduce after the lookup, attention and the gated product of each layer
    assert exchanged == pytest.approx((1 + 2 * LAYERS) * 2 * (2 * 4 * WIDTH / 2) / 450e9)


def test_training_counts_three_passes(spec: str) -> None:
    step = tw.scale_training(spec, "a100-80gb", "seq=16", batch=4, micro_batch=2, tensor=2, dtype="float16")
    attention = LAYERS * 2 * 16 * 16 * WIDTH
    assert step.operations == pytest.approx(3 * 2 * 4 * (16 * MACS + attention), rel=1e-3)  # the sums of norms besides


def test_a_model_without_a_cache_has_one_pass(tmp_path: Path) -> None:
    fields = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": 50,
    }
    (tmp_path / "config.json").write_text(json.dumps(fields))
    found = tw.scale(f"hf:{tmp_path}", "h100-sxm", "seq=8")
    assert list(found.passes) == ["forward"]
    assert found.generated == 0
