"""What int8 gives beside float32: the tables of docs/quantisation.md.

    python benchmarks/int8.py [NETWORK …] [--on MACHINE] [--mnist FOLDER]

Cycles and bytes don't depend on values, so random numbers calibrate. FOLDER holds MNIST as four gzipped IDX files; with
it, how many of its test digits LeNet-5 reads right on the simulated processor, calibrated on some that it learnt from.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparsity import digits, show
from tilework.executable import compile_network
from tilework.frontend.resolve import resolve
from tilework.frontend.weight_files import shipped

NETWORKS = ("lenet5", "alexnet", "resnet18", "mobilenet_v2")
DTYPES = ("float32", "float16", "bfloat16", "int8")
SAMPLES, AT_A_TIME = 512, 1000


def costs(networks: list[str], machine: str) -> Iterator[tuple[object, ...]]:
    """A row for each network: cycles and bytes in float32 and in int8."""
    yield "network", "cycles in float32", "in int8", "faster", "DRAM bytes in float32", "in int8", "fewer"
    for network in networks:
        wide, narrow = (compile_network(network, machine, dtype=dtype).cost for dtype in ("float32", "int8"))
        times = f"{wide.cycles:,}", f"{narrow.cycles:,}", f"{wide.cycles / narrow.cycles:.2f}"
        moved = f"{wide.dram_bytes:,}", f"{narrow.dram_bytes:,}", f"{wide.dram_bytes / narrow.dram_bytes:.2f}"
        yield network, *times, *moved


def answers(folder: Path, machine: str) -> Iterator[tuple[object, ...]]:
    """A row for each dtype: right answers, and answers other than float32's."""
    yield "dtype", "right", "other answers than float32"
    inputs, labels = digits(folder, "t10k")
    samples = digits(folder, "train")[0][:SAMPLES]
    graph = resolve("lenet5", AT_A_TIME)
    first: list[int] = []
    for dtype in DTYPES:
        calibration = samples if dtype == "int8" else None
        executable = compile_network(graph, machine, shipped("lenet5"), dtype=dtype, calibration=calibration)
        parts = (inputs[at : at + AT_A_TIME] for at in range(0, len(inputs), AT_A_TIME))
        read = np.concatenate([next(iter(executable.run(part).values())).argmax(1) for part in parts])
        others = int(np.sum(read != first)) if first else ""
        first = first or read.tolist()
        yield dtype, f"{100 * np.mean(read == labels):.2f} %", others


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--on", default="dlp-s", metavar="MACHINE")
    parser.add_argument("--mnist", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    show([costs(asked.networks, asked.on), *([answers(asked.mnist, asked.on)] if asked.mnist else [])])


if __name__ == "__main__":
    main()
