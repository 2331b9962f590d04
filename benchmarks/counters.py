"""How long Tilework and six other counters take to count the same torch modules, in one run, in turns.

    python benchmarks/counters.py [--quick]

Every module is on the meta device, so that nobody computes anything. Times are of the call that counts, in one
process that has imported everything and called each tool once; memory is the peak of a process that does nothing but
import, build the module and count it with one tool. Nothing here passes or fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
GOALS = {"resnet152": 3.0, "vit_b_16": 3.0, "llama-70b": 10.0}
TOKENS = 128


def vision(name: str) -> tuple[Any, dict[str, Any]]:
    """A network of torchvision and its input."""
    import torch

    from torchvision_models import torchvision_models

    models = torchvision_models()
    with torch.device("meta"):
        network = getattr(models, name)()
    keyword = "input" if name.startswith("vgg") else "x"
    return network.eval(), {keyword: torch.empty(1, 3, 224, 224, device="meta")}


def llama_70b() -> tuple[Any, dict[str, Any]]:
    """A decoder of 80 layers; the mask is given, as some tools cannot run the code that makes one on meta."""
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "vocab_size": 128256}
    config = LlamaConfig(**sizes, num_attention_heads=64, num_key_value_heads=8, use_cache=False)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        network = LlamaForCausalLM(config)
    ids = torch.empty(1, TOKENS, dtype=torch.int64, device="meta")
    return network.eval(), {"input_ids": ids, "attention_mask": torch.empty(1, 1, TOKENS, TOKENS, device="meta")}


NETWORKS: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "resnet152": lambda: vision("resnet152"),
    "vit_b_16": lambda: vision("vit_b_16"),
    "llama-70b": llama_70b,
}


def tilework(module: Any, inputs: dict[str, Any]) -> float:
    """MACs; the total and every row."""
    import tilework as tw

    counted = tw.count(module, **inputs)
    return float(counted.total.macs)


def tilework_rows(module: Any, inputs: dict[str, Any]) -> float:
    """The same with a row for every layer."""
    import tilework as tw

    counted = tw.count(module, **inputs)
    return float(sum(row.macs for row in counted.rows))


def flop_counter(module: Any, inputs: dict[str, Any]) -> float:
    """torch.utils.flop_counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(**inputs)
    return counter.get_total_flops() / 2


def fvcore(module: Any, inputs: dict[str, Any]) -> float:
    """fvcore, which traces and takes positional inputs."""
    from fvcore.nn import FlopCountAnalysis

    if len(inputs) > 1:
        raise NotImplementedError("positional inputs only")
    return float(FlopCountAnalysis(module, tuple(inputs.values())).unsupported_ops_warnings(False).total())


def ptflops(module: Any, inputs: dict[str, Any]) -> float:
    """ptflops with its default backend."""
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(
        module,
        (1,),
        as_strings=False,
        print_per_layer_stat=False,
        input_constructor=lambda _: inputs,
        backend="pytorch",
    )
    return float(macs)


def calflops(module: Any, inputs: dict[str, Any]) -> float:
    """calflops."""
    from calflops import calculate_flops

    return float(
        calculate_flops(
            module, kwargs=inputs, print_results=False, output_as_string=False, include_backPropagation=False
        )[1]
    )


def thop(module: Any, inputs: dict[str, Any]) -> float:
    """thop, which takes positional inputs."""
    from thop import profile

    return float(profile(module, inputs=tuple(inputs.values()), verbose=False)[0])


def torchinfo(module: Any, inputs: dict[str, Any]) -> float:
    """torchinfo."""
    from torchinfo import summary

    return float(summary(module, input_data=inputs, device="meta", verbose=0).total_mult_adds)


TOOLS: dict[str, Callable[[Any, dict[str, Any]], float]] = {
    tool.__name__: tool for tool in (tilework, tilework_rows, flop_counter, fvcore, ptflops, calflops, thop, torchinfo)
}


def call(tool: str, module: Any, inputs: dict[str, Any]) -> float:
    """The tool's MACs, without what it prints."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return TOOLS[tool](module, inputs)


def times(network: str, turns: int) -> dict[str, Any]:
    """Seconds of each call and MACs, by tool; a tool that fails has the reason instead."""
    built = {tool: NETWORKS[network]() for tool in TOOLS}  # some leave attributes behind in a module
    found: dict[str, Any] = {}
    for tool, (module, inputs) in built.items():
        try:
            found[tool] = {"macs": call(tool, module, inputs), "seconds": []}
        except Exception as error:
            found[tool] = {"failed": f"{type(error).__name__}: {error}"[:200]}
    for _ in range(turns):
        for tool, result in found.items():
            if "seconds" in result:
                begun = perf_counter()
                call(tool, *built[tool])
                result["seconds"].append(perf_counter() - begun)
    return found


def once(network: str, tool: str) -> dict[str, Any]:
    """Build the network and count it once."""
    module, inputs = NETWORKS[network]()
    return {"macs": call(tool, module, inputs)}


def environment() -> dict[str, str]:
    """One thread each, and compiled Python kept, as that of installed packages is."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | SINGLE_THREAD


def start(*arguments: str) -> tuple[dict[str, Any] | None, int]:
    """What this script prints for these arguments in a process of its own, and that process's peak memory.

    Linux counts this process's own peak at the fork as the child's.
    """
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    ) as child:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return (json.loads(output) if child.returncode == 0 else None), usage.ru_maxrss * RSS_UNIT


def table(network: str, turns: int) -> None:
    """Print the network's table."""
    found, _ = start("--times", network, str(turns))
    assert found is not None, f"{network} could not be timed"
    ours = found["tilework"]["seconds"]
    print(f"\n**{network}**\n\n| tool | MACs | seconds | Tilework is faster by | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for tool, result in found.items():
        if "failed" in result:
            print(f"| {tool} | {result['failed'].splitlines()[0]} | | | |")
            continue
        faster = median(theirs / own for theirs, own in zip(result["seconds"], ours, strict=True))
        _, peak = start("--once", network, tool)
        macs, seconds = result["macs"], median(result["seconds"])
        print(f"| {tool} | {macs:,.0f} | {seconds:.4f} | {faster:.1f}× | {peak / 1e6:,.0f} MB |", flush=True)
    print(f"\nGoal: {GOALS[network]:.0f}× faster than the fastest other tool.", flush=True)


def onnx_table(turns: int) -> None:
    """Print the whole process from an ONNX file beside onnx-tool's, in turns."""
    spec = find_spec("onnx")  # not imported: this process must stay small, see start()
    assert spec is not None
    path = Path(str(spec.origin)).parent / "backend" / "test" / "data" / "light" / "light_vgg19.onnx"
    profile = f"import onnx_tool; onnx_tool.model_profile({str(path)!r})"
    commands = {
        "tilework": [str(Path(sys.executable).with_name("tilework")), "count", str(path)],
        "onnx-tool": [sys.executable, "-c", profile],
    }
    runs = [{name: process(command) for name, command in commands.items()} for _ in range(turns)]
    print("\n**light_vgg19.onnx, whole process**\n\n| tool | seconds | peak memory |\n| --- | ---: | ---: |")
    for name in commands:
        seconds, peak = (median(run[name][place] for run in runs) for place in (0, 1))
        print(f"| {name} | {seconds:.2f} | {peak / 1e6:,.0f} MB |")
    ratio = median(run["onnx-tool"][0] / run["tilework"][0] for run in runs)
    print(f"\nTilework is faster by {ratio:.2f}×. Goal: no slower.", flush=True)


def process(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory of a command."""
    begun = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return perf_counter() - begun, usage.ru_maxrss * RSS_UNIT


def main() -> None:
    parser = ArgumentParser(description="How long counters take to count the same torch modules.")
    parser.add_argument("--quick", action="store_true", help="three turns instead of eleven")
    parser.add_argument("--times", nargs=2, metavar=("NETWORK", "TURNS"), help="print one network's times as JSON")
    parser.add_argument("--once", nargs=2, metavar=("NETWORK", "TOOL"), help="count one network with one tool")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.times:
        print(json.dumps(times(arguments.times[0], int(arguments.times[1]))))
    elif arguments.once:
        print(json.dumps(once(*arguments.once)))
    else:
        for network in NETWORKS:
            table(network, 3 if arguments.quick else 11)
        onnx_table(3 if arguments.quick else 11)


if __name__ == "__main__":
    main()
