"""What pruning saves, on a machine that skips zeros and on one that does not: the tables of docs/sparsity.md.

    python benchmarks/sparsity.py [NETWORK …] [--on MACHINE] [--mnist FOLDER]

FOLDER holds MNIST's test digits as two gzipped IDX files; with it, how many of them LeNet-5 reads right.
"""

from __future__ import annotations

import gzip
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.executable import compile_network
from tilework.frontend.resolve import resolve
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute

Array = npt.NDArray[Any]

NETWORKS = ("lenet5", "alexnet", "vgg19", "resnet18")
SHARES = (0, 0.5, 0.75)
SHARES_READ = (0, 0.25, 0.5, 0.75, 0.875)
AT_A_TIME = 1000


def costs(networks: list[str], machine: Machine) -> Iterator[tuple[object, ...]]:
    """A row for each network, share and kind of machine."""
    yield "network", "share", "zeros are", "cycles", "bound", "DRAM bytes", "bound", "energy"
    for network in networks:
        for share in SHARES:
            for skips in (False, True) if share else (False,):
                own = replace(machine, matrix=replace(machine.matrix, zero_skipping=skips))
                cost = compile_network(network, own, prune={"*": share}).cost
                times = f"{cost.cycles:,}", f"{cost.bound_cycles:,.0f}"
                moved = f"{cost.dram_bytes:,}", f"{cost.dram_bytes_bound:,}"
                how = "skipped" if skips else "multiplied" if share else "–"
                yield network, share, how, *times, *moved, f"{1e3 * cost.energy_joules:.3g} mJ"


def digits(folder: Path, which: str) -> tuple[Array, Array]:
    """MNIST's images [n,1,28,28] from 0 to 1, and what they show: its "t10k" to test, or those to "train"."""
    images, labels = (
        np.frombuffer(gzip.decompress((folder / f"{which}-{name}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for name, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return images.reshape(-1, 1, 28, 28).astype(np.float32) / 255, labels


def answers(folder: Path) -> Iterator[tuple[object, ...]]:
    """A row for each share: right answers where all layers are pruned, and where the first is not."""
    yield "share", "all layers", "all but `conv1`"
    inputs, labels = digits(folder, "t10k")
    graph = resolve("lenet5", AT_A_TIME)
    for share in SHARES_READ:
        row: list[str] = []
        for others in ({}, {"conv1": 0.0}):
            compilation = compile_network("lenet5", prune={"*": share, **others}).compilation
            assert compilation is not None
            found = [
                execute(graph, compilation.parts[0].weights, {graph.inputs[0].name: inputs[first : first + AT_A_TIME]})
                for first in range(0, len(inputs), AT_A_TIME)
            ]
            read = np.concatenate([outputs[graph.outputs[0]].argmax(1) for outputs in found])
            row.append(f"{100 * np.mean(read == labels):.2f} %")
        yield share, *row


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--on", default="dlp-s", metavar="MACHINE")
    parser.add_argument("--mnist", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    tables = [costs(options.networks, load_machine(options.on))]
    show([*tables, *([answers(options.mnist)] if options.mnist else [])])


def show(tables: Iterable[Iterable[tuple[object, ...]]]) -> None:
    """Print tables in Markdown, row by row; the first row is the head."""
    for table in tables:
        for number, row in enumerate(table):
            print(f"| {' | '.join(map(str, row))} |", flush=True)
            if not number:
                print("|---" * len(row) + "|")
        print()


if __name__ == "__main__":
    main()
