"""What six other counters say of the same networks, beside the exact counts and what Tilework says they would say.

    python benchmarks/disagreements.py [NETWORK …]

prints the tables of docs/disagreements.md. Each tool runs on a module of its own, on the CPU, as its documentation
has it, flop_counter also on the meta device.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from typing import Any

Made = tuple[Any, list[Any]]  # a module and its inputs
DISTRIBUTIONS = {"flop_counter": "torch"}


def torchinfo(module: Any, inputs: list[Any]) -> int:
    """Mult-adds."""
    from torchinfo import summary

    return int(summary(module, input_data=inputs, verbose=0, device=inputs[0].device).total_mult_adds)


def fvcore(module: Any, inputs: list[Any]) -> int:
    """What it calls flops: MACs."""
    from fvcore.nn import FlopCountAnalysis

    return int(FlopCountAnalysis(module, tuple(inputs)).total())


def flop_counter(module: Any, inputs: list[Any]) -> int:
    """FLOPs, two per MAC."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    return int(counter.get_total_flops())


def ptflops(module: Any, inputs: list[Any]) -> int:
    """MACs, by its default backend; it takes one input."""
    from ptflops import get_model_complexity_info

    (only,) = inputs
    macs, _ = get_model_complexity_info(
        module, (1,), as_strings=False, print_per_layer_stat=False, input_constructor=lambda _: only
    )
    return int(macs)


def calflops(module: Any, inputs: list[Any]) -> int:
    """FLOPs, the first of its two numbers."""
    from calflops import calculate_flops

    options = {"print_results": False, "print_detailed": False, "output_as_string": False}
    return int(calculate_flops(module, args=list(inputs), **options)[0])


def thop(module: Any, inputs: list[Any]) -> int:
    """MACs."""
    from thop import profile

    return int(profile(module, tuple(inputs), verbose=False)[0])


TOOLS: dict[str, Callable[[Any, list[Any]], int]] = {
    tool.__name__: tool for tool in (torchinfo, fvcore, flop_counter, ptflops, calflops, thop)
}


def measure(tool: str, module: Any, inputs: list[Any]) -> int:
    """The tool's own total, without what it prints, logs and warns of."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return TOOLS[tool](module.eval(), inputs)
    finally:
        logging.disable(level)


def installed(tool: str) -> str:
    """The version of a tool; raises PackageNotFoundError where there is none."""
    return version(DISTRIBUTIONS.get(tool, tool))


def vision(name: str) -> Made:
    """A network of torchvision and an image."""
    import torch

    from torchvision_models import torchvision_models

    return getattr(torchvision_models(), name)(), [torch.zeros(1, 3, 224, 224)]


def language(name: str, attention: str) -> Made:
    """A small model of transformers, two sentences of 12 tokens."""
    import torch
    import transformers

    class Logits(torch.nn.Module):
        """The first result alone, as a trace wants it."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> Any:
            return self.model(tokens)[0]

    if name == "gpt2":
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, n_positions=64)
    else:
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        config = {"bert": transformers.BertConfig, "llama": transformers.LlamaConfig}[name](vocab_size=100, **sizes)
    config.use_cache = False
    config._attn_implementation = attention
    classes = {"bert": "BertModel", "gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}
    model = getattr(transformers, classes[name])(config)
    return Logits(model), [torch.zeros(2, 12, dtype=torch.int64)]


VISION = (
    *("alexnet", "vgg11", "vgg19", "resnet18", "resnet152", "mobilenet_v2", "densenet121"),
    *("vit_b_16", "swin_t", "convnext_tiny"),
)
NETWORKS: dict[str, Callable[[], Made]] = {
    **{name: lambda name=name: vision(name) for name in VISION},
    **{
        f"{name} ({attention})": lambda name=name, attention=attention: language(name, attention)
        for name in ("bert", "gpt2", "llama")
        for attention in ("eager", "sdpa")
    },
}


def classes(module: Any) -> dict[str, str]:
    """The class of each module by its path."""
    return {path: type(part).__name__ for path, part in module.named_modules()}


def explained(module: Any, inputs: list[Any]) -> dict[str, Any]:
    """What Tilework says that each tool says."""
    from tilework.cost.conventions import CONVENTIONS, explain
    from tilework.cost.count import count
    from tilework.frontend.from_torch.trace import from_torch

    graph = from_torch(module, *inputs)
    counted = count(graph)
    return {tool: explain(graph, counted, tool, classes(module)) for tool in CONVENTIONS}


def totals(make: Callable[[], Made]) -> dict[str, int | str]:
    """Each tool's total, or why there is none; flop_counter's is that on the meta device where it runs there."""
    found: dict[str, int | str] = {}
    for tool in TOOLS:
        try:
            found[tool] = measure(tool, *make())
        except Exception as error:
            found[tool] = type(error).__name__
    try:
        module, inputs = make()
        meta = measure("flop_counter", module.to("meta"), [value.to("meta") for value in inputs])
        found["flop_counter, meta"] = meta
    except Exception:  # some models ask for values, which the meta device has not
        found["flop_counter, meta"] = "fails"
    return found


def verdict(total: int | str, line: Any) -> str:
    """Whether a tool's total is what was derived."""
    if isinstance(total, str):
        return total
    if total == line.theirs:
        return "equal to the least" if line.perhaps else "equal"
    return "in range" if line.theirs <= total <= line.theirs + line.perhaps else f"off by {total - line.theirs:+,}"


def tables(names: Iterable[str]) -> None:
    """Print totals, whether they were foreseen, and the reasons."""
    found = {name: (totals(NETWORKS[name]), explained(*NETWORKS[name]())) for name in names}
    columns = [*TOOLS, "flop_counter, meta"]
    print(f"| network | exact MACs | {' | '.join(columns)} |\n| --- |{' ---: |' * (len(columns) + 1)}")
    for name, (measured, derived) in found.items():
        cells = [_number(measured[tool]) for tool in columns]
        print(f"| {name} | {derived['torchinfo'].total.exact:,} | {' | '.join(cells)} |")
    print(f"\n| network | {' | '.join(TOOLS)} |\n| --- |{' --- |' * len(TOOLS)}")
    for name, (measured, derived) in found.items():
        print(f"| {name} | {' | '.join(_foreseen(tool, measured, derived) for tool in TOOLS)} |")
    print("\n| network | tool | exact | tool's total | difference by reason |\n| --- | --- | ---: | ---: | --- |")
    for name, (measured, derived) in found.items():
        for tool in TOOLS:
            line = derived[tool]
            why = "; ".join(f"{r.numbers()[2]} {r.operation}: {r.why}" for r in line.reasons)
            print(
                f"| {name} | {tool} | {line.total.exact:,} | {_number(_comparable(tool, measured))} | {why or 'none'} |"
            )


def _number(total: int | str) -> str:
    return f"{total:,}" if isinstance(total, int) else total


def _comparable(tool: str, measured: dict[str, int | str]) -> int | str:
    """The total that is derived: flop_counter's is that on the meta device, where it runs there."""
    meta = measured["flop_counter, meta"]
    return meta if tool == "flop_counter" and isinstance(meta, int) else measured[tool]


def _foreseen(tool: str, measured: dict[str, int | str], derived: dict[str, Any]) -> str:
    found = verdict(_comparable(tool, measured), derived[tool].total)
    on_cpu = tool == "flop_counter" and isinstance(measured["flop_counter, meta"], str)
    return f"{found} (on the CPU)" if on_cpu else found


def main() -> None:
    print("Versions:", ", ".join(f"{tool} {installed(tool)}" for tool in TOOLS), end="\n\n")
    tables(sys.argv[1:] or NETWORKS)


if __name__ == "__main__":
    main()
