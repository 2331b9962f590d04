"""Compiled networks beside their bounds: cycles, off-chip bytes, the time to compile and the memory it takes.

    python benchmarks/compiler.py [--quick]

prints Markdown tables. Every compilation runs in a process of its own; the weights are never made, as cycles depend on
no values. Nothing here passes or fails.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

HERE = Path(__file__).resolve().parent
NETWORKS = ("alexnet", "vgg19", "resnet152", "mobilenet_v2", "encoder")
MACHINES = ("dlp-s", "dlp-m4")
BATCHES = (1, 16)
TURNS = 3
SEVEN_BILLION = {  # Touvron et al. 2023, table 2, and its tokenizer
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
}


def child(network: str, machine: str, batch: int) -> None:
    """Compile and simulate once, and print what it took as JSON."""
    from tilework.executable import compile_network
    from tilework.frontend.resolve import resolve

    graph = resolve(network, batch=batch)
    start = process_time()
    executable = compile_network(graph, machine)
    seconds = process_time() - start
    cost = executable.cost
    record = {
        "cycles": cost.cycles,
        "bound": cost.bound_cycles,
        "bytes": cost.dram_bytes,
        "bytes_bound": cost.dram_bytes_bound,
        "seconds": seconds,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3),
    }
    print(json.dumps(record))


def started(*command: str) -> dict[str, Any]:
    """What a process of its own prints, and the seconds of the processor that it took from start to exit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(answer) | {"process": seconds}


def compiled(network: str, machine: str, batch: int, turns: int) -> dict[str, Any]:
    """One network's numbers; its times are medians."""
    records = [started(__file__, "--child", network, machine, str(batch)) for _ in range(turns)]
    return records[0] | {key: median(r[key] for r in records) for key in ("seconds", "process", "megabytes")}


def table(cases: Iterable[tuple[str, str, int]], turns: int) -> None:
    """Print a line for each network, machine and batch."""
    print("| network | machine | batch | cycles | of the bound | DRAM bytes | of the bound | compile | peak memory |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for network, machine, batch in cases:
        r = compiled(network, machine, batch, turns)
        print(f"| {network} | {machine} | {batch} | {r['cycles']:,} | {r['cycles'] / r['bound']:.3f} ", end="")
        print(f"| {r['bytes']:,} | {r['bytes'] / r['bytes_bound']:.3f} ", end="")
        print(f"| {r['seconds']:.2f} s | {r['megabytes']:.0f} MB |", flush=True)


def decoder(turns: int) -> dict[str, Any]:
    """A prefill of 2,048 tokens by a decoder of 7 billion parameters; the process's time is a median."""
    with TemporaryDirectory() as folder:
        config = json.loads((HERE.parent / "examples" / "decoder-70b" / "config.json").read_text()) | SEVEN_BILLION
        (Path(folder) / "config.json").write_text(json.dumps(config))
        records = [started(str(HERE / "decoder.py"), "--child", f"--config={folder}") for _ in range(turns)]
    return records[0] | {"process": median(r["process"] for r in records)}


def large(turns: int) -> None:
    """Print what two large networks take; the decoder is for one core of datacentre, in bfloat16."""
    resnet, llama = compiled("resnet152", "dlp-s", 1, turns), decoder(turns)
    seconds, of_bound = llama["seconds"], f"{llama['cycles'] / llama['bound']:.3f}"
    print("\n| what | measured | goal |\n| --- | ---: | ---: |")
    print(f"| resnet152 on dlp-s: compile | {resnet['seconds']:.2f} s | < 5 s |")
    print(f"| decoder of 7 billion parameters: read the network | {seconds['read the network']:.2f} s | |")
    print(f"| the same: compile to {llama['instructions']:,} instructions | {seconds['compile']:.2f} s | |")
    print(f"| the same: simulate {llama['cycles']:,} cycles, {of_bound} of the bound | {seconds['simulate']:.2f} s | |")
    print(f"| the same: the process, from start to exit | {llama['process']:.2f} s | < 20 s |")
    print(f"| the same: peak memory of the process | {llama['gigabytes']:.2f} GB | < 1 GB |")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two small networks on one machine, once")
    parser.add_argument("--child", nargs=3, metavar=("NETWORK", "MACHINE", "BATCH"), help="one compilation, as JSON")
    asked = parser.parse_args()
    if asked.child:
        network, machine, batch = asked.child
        child(network, machine, int(batch))
    elif asked.quick:
        table(product(("alexnet", "encoder"), MACHINES[:1], BATCHES[:1]), 1)
    else:
        table(product(NETWORKS, MACHINES, BATCHES), TURNS)
        large(TURNS)


if __name__ == "__main__":
    main()
