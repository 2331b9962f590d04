"""Networks from Hugging Face configurations, against closed forms and against torch's own numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import tilework as tw
from tilework.errors import NetworkError
from tilework.frontend.from_huggingface import ConfigSource, open_config
from tilework.frontend.request import request

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 256,
    "dtype": "bfloat16",
}
MIXTRAL = LLAMA | {
    "model_type": "mixtral",
    "architectures": ["MixtralForCausalLM"],
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}
GEMMA = LLAMA | {
    "model_type": "gemma2",
    "architectures": ["Gemma2ForCausalLM"],
    "sliding_window": 8,
    "head_dim": 8,
    "num_hidden_layers": 4,
}


def write(folder: Path, fields: dict[str, Any]) -> str:
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    return str(folder / "config.json")


def source(folder: Path, fields: dict[str, Any]) -> ConfigSource:
    return open_config(write(folder, fields))


def dense_macs(new: int, cached: int, experts: int = 1) -> int:
    """By hand: projections and feed-forward layers of each new token, scores and sums over all tokens, the head."""
    hidden, inner, layers, vocabulary, keys = 64, 96, 3, 100, 2 * 8
    projections = hidden * (hidden + 2 * keys + hidden)
    router = hidden * 4 if experts > 1 else 0
    layer = new * (projections + router + experts * 3 * hidden * inner) + 2 * new * (new + cached) * hidden
    return layers * layer + new * hidden * vocabulary


@pytest.mark.parametrize("tokens", [1, 16, 33])
def test_a_decoder_reads_its_tokens(tmp_path: Path, tokens: int) -> None:
    opened = source(tmp_path, LLAMA)
    counted = tw.count(f"hf:{tmp_path}", seq=(tokens,))
    assert counted.total.macs == dense_macs(tokens, 0)
    assert counted.total.parameters == sum(p.numel() for p in opened.model.parameters())
    assert counted.total.parameter_bytes == 2 * counted.total.parameters
    assert counted.total.other_operations.get("unknown", 0) == 0


def test_a_decoder_writes_one_token_after_those_it_keeps(tmp_path: Path) -> None:
    opened = source(tmp_path, LLAMA)
    asked = request(2, ["seq=20"], "decode")
    graph = opened.at(asked).graph()
    assert tw.count(graph).total.macs == 2 * dense_macs(1, 20)
    kept = [tensor for tensor in graph.inputs if "past_key_values" in tensor.name]
    assert [tensor.shape for tensor in kept] == [(2, 2, 20, 8)] * 6
    facts = opened.facts(asked)
    assert facts["cached_tokens"] == 40
    assert facts["cache_bytes"] == sum(tensor.size_bytes for tensor in kept) == 2 * 3 * 2 * 20 * 16 * 2


def test_a_sliding_window_keeps_no_more_than_it_sees(tmp_path: Path) -> None:
    graph = source(tmp_path, GEMMA).at(request(None, ["seq=20"], "decode")).graph()
    kept = sorted(tensor.shape[2] for tensor in graph.inputs if "past_key_values" in tensor.name)
    assert kept == [7] * 4 + [20] * 4  # the new token is the eighth


def test_of_a_mixture_each_token_takes_its_experts_only(tmp_path: Path) -> None:
    opened = source(tmp_path, MIXTRAL)
    counted = tw.count(f"hf:{tmp_path}", seq=(10,))
    assert counted.total.macs == dense_macs(10, 0, experts=2)
    facts = opened.facts(request(None, ["seq=10"]))
    experts = 3 * 4 * 3 * 64 * 96
    assert facts["parameters"] == counted.total.parameters
    assert facts["active_parameters"] == counted.total.parameters - experts // 2


def test_formulas_of_the_tokens(tmp_path: Path) -> None:
    write(tmp_path, LLAMA)
    found = tw.formulas(f"hf:{tmp_path}", batch="N", seq=("S",))
    for batch, tokens in ((1, 5), (3, 40)):
        assert found.at(N=batch, S=tokens)["macs"] == batch * dense_macs(tokens, 0)


def test_other_kinds_of_models(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    vit = source(tmp_path, {"model_type": "vit", "image_size": 32, "patch_size": 8, **small})
    graph = vit.at(request()).graph()
    assert [(t.name, t.shape) for t in graph.inputs] == [("pixel_values", (1, 3, 32, 32))]
    encoder = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "vocab_size": 99}
    bart = source(tmp_path, {"model_type": "bart", **encoder, **heads})
    whole, step = (bart.at(request(None, ["seq=12"], phase)).graph() for phase in ("prefill", "decode"))
    assert [t.shape for t in whole.inputs] == [(1, 12), (1, 12)]
    assert ("decoder_input_ids", (1, 1)) in [(t.name, t.shape) for t in step.inputs]
    assert tw.count(step).total.macs < tw.count(whole).total.macs / 10


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "no-such"}, "must have a model_type that transformers .* knows, not 'no-such'$"),
        ({}, "must have a model_type that transformers .* knows, not 'None'$"),
        (LLAMA | {"num_hidden_layers": 10**9}, "must have at most 10000 layers, not 1000000000$"),
        (LLAMA | {"hidden_size": -64}, "must be a (valid llama )?configuration"),
        (LLAMA | {"hidden_size": "wide"}, "must be a (valid llama )?configuration"),
        (LLAMA | {"num_attention_heads": 0}, "must be a (valid llama )?configuration"),
        ([1, 2], "must be a JSON object, not a list$"),
    ],
)
def test_a_configuration_that_is_none(tmp_path: Path, fields: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        source(tmp_path, fields)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(NetworkError, match=f"^the configuration {re.escape(repr(str(path)))} must be a JSON object$"):
        open_config(str(path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NetworkError, match=r"must be readable: No such file or directory$"):
        open_config(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request(None, ["7"]), "inputs of NAME must have names, such as seq=128"),
        (request(None, ["pictures=7"]), "NAME has the inputs seq, input_ids, not 'pictures'"),
        (request(None, (), "training"), "the phase must be one of prefill, decode, not 'training'"),
    ],
)
def test_inputs_that_it_has_not(tmp_path: Path, asked: Any, message: str) -> None:
    opened = source(tmp_path, LLAMA)
    with pytest.raises(NetworkError, match=f"^{message.replace('NAME', re.escape(opened.name))}$"):
        opened.at(asked)


def test_a_model_that_keeps_nothing_cannot_decode(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    vit = source(tmp_path, {"model_type": "vit", "image_size": 32, "patch_size": 8, **small})
    with pytest.raises(NetworkError, match=r"^to decode, a model must keep what it has read, which .* doesn't$"):
        vit.at(request(phase="decode"))
