"""Every model that torchvision and transformers have (without downloads), counted, beside torch's own counts.

    python benchmarks/sweep.py [torchvision] [transformers] [onnx] [--quick] [--all]

For each model: whether the parameters equal `sum(p.numel() for p in model.parameters())`, the MACs beside
`torch.utils.flop_counter.FlopCounterMode` / 2, how many operations nobody states, and whether reading every repeated
block gives the same totals as reading one. Prints a Markdown table of the models that differ in anything (with --all
of every model) and a summary. --quick takes every eighth model. Nothing here passes or fails.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tilework as tw
from torchvision_models import torchvision_models

TOKENS = 64
Inputs = tuple[tuple[Any, ...], dict[str, Any]]
SMALL_VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18")
TRANSFORMERS = """
afmoe aimv2 albert apertus arcee audio-spectrogram-transformer bamba bart beit bert big_bird bit bitnet blip bloom
blenderbot camembert canine chinese_clip clap clip codegen cohere cohere2 convbert convnext convnextv2 ctrl cvt
data2vec-audio data2vec-text data2vec-vision deberta deberta-v2 deepseek_v2 deepseek_v3 deit depth_anything dinov2
dinov2_with_registers distilbert dpt efficientnet electra ernie ernie4_5 ernie4_5_moe exaone4 falcon falcon_h1
falcon_mamba flaubert flava fnet focalnet funnel gemma gemma2 gemma3_text glm glm4 glm4_moe glpn gpt2 gpt_bigcode
gpt_neo gpt_neox gpt_oss gptj granite granitemoe groupvit helium hiera hubert ibert ijepa imagegpt jamba jetmoe
layoutlm led levit lfm2 lilt llama llama4_text longformer longt5 luke m2m_100 mamba mamba2 marian mbart megatron-bert
mimi minimax mistral mixtral mobilebert mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 modernbert mpnet mpt mt5 mvp
nemotron nllb-moe nystromformer olmo olmo2 olmoe openai-gpt opt owlvit pegasus persimmon phi phi3 phimoe plbart
poolformer prophetnet pvt pvt_v2 qwen2 qwen2_moe qwen3 qwen3_moe recurrent_gemma regnet rembert resnet roberta roc_bert
roformer rwkv sam seed_oss segformer sew siglip siglip2 smollm3 speech_to_text splinter squeezebert stablelm starcoder2
superpoint swiftformer swin swin2sr swinv2 switch_transformers t5 timesformer umt5 unispeech videomae vilt vit vit_mae
vit_msn vitdet vivit wav2vec2 wav2vec2-conformer wavlm whisper xglm xlm xlm-roberta xlnet xmod yolos yoso zamba zamba2
""".split()  # noqa: SIM905


@dataclass
class Result:
    """What came of one model; numbers that could not be had are None."""

    name: str
    failed: str = ""
    parameters: int = 0
    expected_parameters: int | None = None
    macs: int = 0
    expected_macs: int | None = None
    unknown: int = 0
    same_without_reuse: bool = True
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        return (
            not self.failed
            and self.expected_parameters in (None, self.parameters)
            and self.macs == self.expected_macs
            and not self.unknown
            and self.same_without_reuse
        )

    def __str__(self) -> str:
        if self.failed:
            return f"| {self.name} | **fails**: {self.failed} | | | | |"
        wanted = "--" if self.expected_macs is None else f"{self.expected_macs:,}"
        parameters = f"{self.parameters:,}"
        if self.expected_parameters is not None:
            equal = self.parameters == self.expected_parameters
            parameters += " equal" if equal else f", not {self.expected_parameters:,}"
        reuse = "same" if self.same_without_reuse else "**differs**"
        return f"| {self.name} | {parameters} | {self.macs:,} | {wanted} | {self.unknown} | {reuse} |"


def torchvision_networks() -> Iterator[tuple[str, Callable[[], tuple[torch.nn.Module, Inputs]]]]:
    """Every model of torchvision's registry, without weights."""
    models = torchvision_models()
    for name in models.list_models():
        yield name, lambda name=name: _torchvision(models, name)


def _torchvision(models: Any, name: str) -> tuple[torch.nn.Module, Inputs]:
    builder = models.get_model_builder(name)
    accepted, place = signature(builder).parameters, builder.__module__
    wanted = {"weights": None, "weights_backbone": None, "quantize": False, "init_weights": False}
    fixed = {key: value for key, value in wanted.items() if key in accepted}
    module = builder(**fixed)
    size = 299 if "inception" in name else 112 if name in SMALL_VIDEO else 224
    if ".detection." in place:
        return module, (([torch.zeros(3, 320, 320)],), {})
    if ".video." in place:
        return module, ((torch.zeros(1, 3, 16, size, size),), {})
    if ".optical_flow." in place:
        return module, ((torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 128, 128)), {})
    return module, ((torch.zeros(1, 3, size, size),), {})


def transformers_networks() -> Iterator[tuple[str, Callable[[], tuple[torch.nn.Module, Inputs]]]]:
    """The default configuration of many architectures, on the meta device."""
    for name in TRANSFORMERS:
        yield name, lambda name=name: _transformers(name)


def _transformers(name: str) -> tuple[torch.nn.Module, Inputs]:
    from tempfile import TemporaryDirectory

    from tilework.frontend.from_huggingface import open_config
    from tilework.frontend.request import request

    with TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(f'{{"model_type": "{name}"}}', encoding="utf-8")
        source = open_config(folder)
    limit = min(TOKENS, source.tokens)
    return source.model, ((), source._arguments(request(None, [f"seq={limit}"])))


def onnx_networks() -> Iterator[tuple[str, Path]]:
    """The light models that the onnx package ships."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    yield from ((path.stem, path) for path in sorted(folder.glob("*.onnx")))


def expected_macs(module: torch.nn.Module, inputs: Inputs) -> int | None:
    """torch's own count of a forward pass on fake tensors; None where that fails."""
    positional, named = inputs
    for mode in (None, FakeTensorMode(allow_non_fake_inputs=True)):
        try:
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                if mode is None:
                    hollow = _hollow(module)
                    hollow(*_on_meta(positional), **_on_meta(named))
                else:
                    with mode:
                        module(*_fake(mode, positional), **_fake(mode, named))
            return int(counter.get_total_flops() // 2)
        except Exception:
            continue
    return None


def _hollow(module: torch.nn.Module) -> torch.nn.Module:
    return module.to("meta")


def _on_meta(item: Any) -> Any:
    return _each(item, lambda tensor: tensor.to("meta"))


def _fake(mode: FakeTensorMode, item: Any) -> Any:
    return _each(item, mode.from_tensor)


def _each(item: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(item, torch.Tensor):
        return change(item)
    if isinstance(item, dict):
        return {key: _each(part, change) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(_each(part, change) for part in item)
    return item


def look_at(name: str, make: Callable[[], tuple[torch.nn.Module, Inputs]]) -> Result:
    """Count a model and everything that is held against it."""
    try:
        module, inputs = make()
        module.eval()
        positional, named = inputs
        begun = perf_counter()
        counted = tw.count(module, *positional, **named)
        total = counted.total
        result = Result(name, seconds=perf_counter() - begun, parameters=total.parameters, macs=total.macs)
        result.unknown = total.other_operations.get("unknown", 0)
        result.expected_parameters = sum(p.numel() for p in module.parameters())
        result.same_without_reuse = tw.count(module, *positional, reuse=False, **named).total == total
        result.expected_macs = expected_macs(module, inputs)
        return result
    except Exception as error:
        text = str(error).strip().splitlines()
        return Result(name, failed=f"{type(error).__name__}: {text[0] if text else ''}"[:200].replace("|", "/"))


def look_at_file(name: str, path: Path) -> Result:
    """Count an ONNX file, for which torch has no second opinion."""
    try:
        total = tw.count(path).total
        unknown = total.other_operations.get("unknown", 0)
        return Result(name, parameters=total.parameters, macs=total.macs, unknown=unknown)
    except Exception as error:
        return Result(name, failed=f"{type(error).__name__}: {error}"[:200])


def report(title: str, results: Iterator[Result], everything: bool) -> None:
    """Print a table and how many models agree in everything."""
    print(f"\n**{title}**\n\n| model | parameters | MACs | FlopCounterMode / 2 | unknown | without reuse |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    seen: list[Result] = []
    for result in results:
        seen.append(result)
        if everything or not result.agrees:
            print(result, flush=True)
        gc.collect()
    read = [r for r in seen if not r.failed]
    compared = [r for r in read if r.expected_macs is not None]
    equal = sum(r.parameters == r.expected_parameters for r in read)
    same = sum(r.macs == r.expected_macs for r in compared)
    print(
        f"\n{len(read)} of {len(seen)} import; parameters equal in {equal}; MACs equal in {same} of the {len(compared)}"
    )
    print(f"that torch counts; {sum(r.unknown > 0 for r in read)} have unknown operations; ", end="")
    print(f"{sum(r.seconds for r in read):.0f} s of counting", flush=True)


def main() -> None:
    parser = ArgumentParser(description="Every model of torchvision and transformers, counted.")
    parser.add_argument("groups", nargs="*", default=["torchvision", "transformers", "onnx"])
    parser.add_argument("--quick", action="store_true", help="every eighth model")
    parser.add_argument("--all", action="store_true", help="show the models that agree too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"
    step = 8 if arguments.quick else 1
    for group in arguments.groups:
        if group == "onnx":
            report(group, (look_at_file(*found) for found in list(onnx_networks())[::step]), arguments.all)
        else:
            networks = torchvision_networks() if group == "torchvision" else transformers_networks()
            report(group, (look_at(*found) for found in list(networks)[::step]), arguments.all)


if __name__ == "__main__":
    sys.exit(main())
