"""The prefill of a decoder of 70 billion parameters: read, compiled and simulated, in one process from start to exit.

`python benchmarks/decoder.py [--tokens 2048] [--for datacentre] [--dtype bfloat16]` prints a Markdown table of the time
and the peak memory. Before that a decoder of the same architecture with 2 layers of 64 runs on the simulated processor,
and its values are compared with NumPy's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import TypeVar

CONFIG = Path(__file__).parents[1] / "examples" / "decoder-70b"
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}

Made = TypeVar("Made")


def timed(name: str, rows: dict[str, float], function: Callable[[], Made]) -> Made:
    start = process_time()
    made = function()
    rows[name] = process_time() - start
    return made


def child(config: str, tokens: int, machine: str, dtype: str) -> None:
    """The whole work, and what it took, as JSON."""
    start, rows = process_time(), dict[str, float]()
    from tilework.executable import compile_network
    from tilework.frontend.resolve import resolve

    graph = timed("read the network", rows, lambda: resolve(f"hf:{config}", inputs=(f"seq={tokens}",)))
    executable = timed("compile", rows, lambda: compile_network(graph, machine, dtype=dtype, cores=1))
    result = timed("simulate", rows, lambda: executable.cost)
    rows["all, with imports"] = process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    facts = {
        "cycles": result.cycles,
        "bound": result.bound_cycles,
        "instructions": len(executable.program.instructions),
    }
    print(json.dumps({"seconds": rows, "gigabytes": peak, **facts}))


def differences(machine: str) -> dict[str, float]:
    """For each dtype how far the small decoder's values are from NumPy's in float32, of the largest value."""
    import numpy as np

    from tilework.compiler.host import evaluate
    from tilework.compiler.simplify import Simplified, drop_unused
    from tilework.executable import compile_network, random_inputs
    from tilework.frontend.resolve import resolve
    from tilework.frontend.weight_files import seeded

    with TemporaryDirectory() as folder:
        config = json.loads((CONFIG / "config.json").read_text()) | SMALL
        (Path(folder) / "config.json").write_text(json.dumps(config))
        graph = resolve(f"hf:{folder}", inputs=("seq=16",))
    found = {}
    for dtype in ("float32", "float16", "bfloat16"):
        executable = compile_network(graph, machine, dtype=dtype, cores=1)
        inputs = random_inputs(executable)
        (expected,) = evaluate(drop_unused(Simplified(graph, seeded(graph))).graph, seeded(graph), inputs).values()
        (values,) = executable.run(**inputs).values()
        found[dtype] = float(np.abs(values - expected).max() / np.abs(expected).max())
    return found


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", default=str(CONFIG), help="the folder of the decoder's config.json")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--for", dest="machine", default="datacentre")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--child", action="store_true", help="do the work in this process and print JSON")
    asked = parser.parse_args()
    if asked.child:
        child(asked.config, asked.tokens, asked.machine, asked.dtype)
        return
    for dtype, difference in differences(asked.machine).items():
        print(f"small decoder in {dtype}: values differ from NumPy's by at most {difference:.1g} of the largest")
    again = [sys.executable, __file__, "--child", f"--config={asked.config}", f"--tokens={asked.tokens}"]
    answer = subprocess.run(
        [*again, f"--for={asked.machine}", f"--dtype={asked.dtype}"], check=True, capture_output=True, text=True
    ).stdout
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = json.loads(answer) | {"process": usage.ru_utime + usage.ru_stime}
    asked_for = f"{asked.tokens} tokens on one core of {asked.machine} in {asked.dtype}"
    print(f"\n{asked_for}: {record['instructions']:,} instructions, {record['cycles']:,} cycles, ", end="")
    print(f"{record['cycles'] / record['bound']:.3f} of the bound\n\n| what | |\n| --- | ---: |")
    for name, seconds in record["seconds"].items():
        print(f"| {name} | {seconds:.2f} s |")
    print(f"| the process, from start to exit | {record['process']:.2f} s |")
    print(f"| peak memory of the process | {record['gigabytes']:.2f} GB |")


if __name__ == "__main__":
    main()
