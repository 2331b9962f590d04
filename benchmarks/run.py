"""Tilework's speed, memory and schedules beside those of others, as one Markdown table of ratios.

    python benchmarks/run.py [--quick]

Every measurement runs in a process of its own, and what is compared runs in turns (A B A B …), so that whatever else
the machine does hits both. Shown are medians, and the median of the turns' ratios. Nothing here passes or fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
TILEWORK = str(Path(sys.executable).with_name("tilework"))
SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
RSS_UNIT = 1 if sys.platform == "darwin" else 1024

COMPILE_SECONDS = {"alexnet": 2.0, "vgg19": 5.0, "resnet152": 10.0}
RUN = ("alexnet", "vgg19")


@dataclass(frozen=True)
class Process:
    """A process that has ended; the peak is that of its resident memory."""

    seconds: float
    processor_seconds: float
    peak_bytes: int
    output: str


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    ours: str
    theirs: str
    ratio: str
    goal: str
    met: bool


def start(*command: str, **environment: str) -> Process:
    """Run a command to its end. This process must stay small: Linux counts its peak at the fork as the child's."""
    print("·", *(Path(part).name for part in command), file=sys.stderr)
    begun = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as child:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {child.returncode}")
    return Process(perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT, output)


def child(task: str, network: str, runs: int) -> tuple[dict[str, Any], int]:
    """What child.py prints, and its peak memory."""
    process = start(sys.executable, str(HERE / "child.py"), task, network, str(runs), **SINGLE_THREAD)
    return json.loads(process.output), process.peak_bytes


def count(repetitions: int) -> Iterator[Row]:
    """Whole processes; torchinfo's may use all cores."""
    script = str(HERE / "torchinfo_resnet152.py")
    pairs = [(start(TILEWORK, "count", "resnet152"), start(sys.executable, script)) for _ in range(repetitions)]
    ours, theirs = (median(p.seconds for p in side) for side in zip(*pairs, strict=True))
    faster = median(theirs.seconds / ours.seconds for ours, theirs in pairs)
    what = "`tilework count resnet152` and torchinfo, whole process"
    yield Row(f"{what}: time", f"{ours:.2f} s", f"{theirs:.2f} s", f"{faster:.1f}× faster", "≥ 25×", faster >= 25)
    ours, theirs = (median(p.peak_bytes for p in side) for side in zip(*pairs, strict=True))
    yield Row(
        f"{what}: peak memory", megabytes(ours), megabytes(theirs), f"{ours / theirs:.3f}", "< 0.1", ours < theirs / 10
    )


def compilation(name: str, limit: float, results: list[dict[str, Any]]) -> Row:
    ours, theirs = (median(result[side] for result in results) for side in ("ours", "theirs"))
    ratio = median(result["ours"] / result["theirs"] for result in results)
    what = f"{name}: compile and simulate cycles, and one inference by ONNX Runtime"
    return Row(what, f"{ours:.2f} s", f"{theirs:.3f} s", f"{ratio:.1f}", f"< {limit:.0f} s", ours < limit)


def schedule(name: str, result: dict[str, Any]) -> Row:
    cycles, bound = result["cycles"], result["bound_cycles"]
    what = f"{name}: simulated cycles, and the sum of the layers' bounds"
    return Row(what, f"{cycles:,}", f"{bound:,.0f}", f"{cycles / bound:.3f}", "≤ 1.25", cycles <= 1.25 * bound)


def inference(name: str, repetitions: int) -> Row:
    result, _ = child("infer", name, repetitions)
    ours, theirs = (median(side) for side in zip(*result["pairs"], strict=True))
    ratio = median(a / b for a, b in result["pairs"])
    what = f"{name}: functional run, and ONNX Runtime (values differ by at most {result['max_abs_error']:.1g})"
    return Row(what, f"{ours:.2f} s", f"{theirs:.3f} s", f"{ratio:.2f}", "≤ 5", ratio <= 5)


def peak_memory(name: str, repetitions: int) -> Row:
    results = [child("memory", name, 1) for _ in range(repetitions)]
    peak, least = median(peak for _, peak in results), results[0][0]["bytes"]
    what = f"{name}: peak memory of compiling and running, and weights + activations"
    return Row(what, megabytes(peak), megabytes(least), f"{peak / least:.2f}", "< 2", peak < 2 * least)


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def rows(repetitions: int) -> Iterator[Row]:
    yield from count(repetitions)
    results = {name: [child("compile", name, 5)[0] for _ in range(repetitions)] for name in COMPILE_SECONDS}
    yield from (compilation(name, COMPILE_SECONDS[name], results[name]) for name in results)
    yield from (schedule(name, results[name][0]) for name in results)
    yield from (inference(name, repetitions) for name in RUN)
    yield from (peak_memory(name, min(repetitions, 3)) for name in RUN)


def main() -> None:
    parser = ArgumentParser(description="Tilework's speed, memory and schedules beside those of others.")
    parser.add_argument("--quick", action="store_true", help="one turn of each instead of seven")
    repetitions = 1 if parser.parse_args().quick else 7
    print("| What, and what it is compared with | Tilework | The other | Ratio | Goal | Met |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for row in rows(repetitions):
        met = "yes" if row.met else "**no**"
        print(f"| {row.what} | {row.ours} | {row.theirs} | {row.ratio} | {row.goal} | {met} |", flush=True)


if __name__ == "__main__":
    main()
