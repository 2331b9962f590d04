"""Compute cycles of a topology on a systolic array, and the time they take to find, beside SCALE-Sim's.

    python benchmarks/systolic.py [TOPOLOGY] [--on MACHINE] [--python PATH]

Each of the two is a whole process, from start to exit; ours is the median of five around the other's one. SCALE-Sim 3
needs NumPy 1 and so an environment of its own, whose Python is PATH: python -m venv V, then
V/bin/pip install scalesim "numpy<2". For ResNet-50, the topology where none is given, it takes ten minutes and 12 GB;
for AlexNet three minutes and 3 GB.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from operator import attrgetter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

from run import HERE, SINGLE_THREAD, TILEWORK, Process, megabytes, start
from tilework.frontend.topology import PRODUCT, read_topology
from tilework.machine.load import load_machine
from tilework.machine.matrix import DATAFLOWS, SystolicArray
from tilework.network.topology import LayerShape
from tilework.simulator.layers import simulate_topology

GOAL = 1000
CONFIGURATION = """
[general]
run_name = benchmark
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: 64
FilterSramSzkB: 64
OfmapSramSzkB: 64
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: 10
Dataflow: {dataflow}
MemoryBanks: 1
ReadRequestBuffer: 32
WriteRequestBuffer: 32
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


def scale_sim(python: str, topology: str, unit: SystolicArray) -> Process:
    """The process; it prints, for each layer, SCALE-Sim's total cycles (one less than they are) and DRAM words."""
    flow = dict(zip(DATAFLOWS, ("ws", "os", "is"), strict=True))[unit.dataflow]
    header = Path(topology).read_text("utf-8-sig").splitlines()[0].lower().replace(" ", "")
    form = "gemm" if header.split(",")[1:4] == list(PRODUCT) else "conv"
    with TemporaryDirectory() as folder:
        file = Path(folder, "scale.cfg")
        file.write_text(CONFIGURATION.format(rows=unit.array_rows, columns=unit.array_columns, dataflow=flow), "utf-8")
        return start(python, str(HERE / "scale_sim.py"), str(file), topology, form, folder, **SINGLE_THREAD)


def tilework(topology: str, machine: str) -> Process:
    return start(TILEWORK, "simulate", topology, "--on", machine, "--json", **SINGLE_THREAD)


def show(topology: str, machine: str, ours: Process, theirs: Process) -> None:
    """Print what both found, and what it took them."""
    cycles = [layer["compute_cycles"] for layer in json.loads(ours.output)["layers"]]
    reported = json.loads(theirs.output)
    equal = sum(found == total + 1 for found, (total, _) in zip(cycles, reported, strict=True))
    words, least = sum(words for _, words in reported), sum(map(compulsory, read_topology(topology)))
    mine, other = ours.processor_seconds, theirs.processor_seconds
    print(f"{Path(topology).stem} on {machine}: {sum(cycles):,} compute cycles, {equal} of {len(cycles)} layers equal")
    print(f"processor time: Tilework {mine:.3f} s, SCALE-Sim {other:.0f} s: {other / mine:,.0f}x (goal {GOAL:,}x)")
    print(f"of which reading and simulating {1e3 * alone(topology, machine):.2f} ms, the rest is Python's start")
    print(f"peak memory: {megabytes(ours.peak_bytes)} and {megabytes(theirs.peak_bytes)}")
    print(f"DRAM words: SCALE-Sim {words:,}, compulsory {least:,}, {words / least:.1f} times as many")


def alone(topology: str, machine: str) -> float:
    """Seconds from the file to the layers' cycles, the median of several times."""
    described, times = load_machine(machine), []
    for _ in range(9):
        begun = process_time()
        simulate_topology(read_topology(topology), described)
        times.append(process_time() - begun)
    return median(times)


def compulsory(layer: LayerShape) -> int:
    """Words of the image, the weights and the output."""
    image = layer.image[0] * layer.image[1] * layer.channels
    return image + layer.filters * (layer.summed + layer.rows)


def main() -> None:
    parser = ArgumentParser(description="Tilework's compute cycles and times beside SCALE-Sim's.")
    parser.add_argument("topology", nargs="?", default=str(HERE.parent / "examples" / "resnet50.csv"))
    parser.add_argument("--on", default="scale-32x32-ws", metavar="MACHINE", help="a machine with a systolic array")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="the Python that has scalesim")
    given = parser.parse_args()
    unit = load_machine(given.on).matrix
    if not isinstance(unit, SystolicArray):
        sys.exit(f"--on must name a machine with a systolic array, unlike {given.on}")
    before = [tilework(given.topology, given.on) for _ in range(3)]
    theirs = scale_sim(given.python, given.topology, unit)
    ours = sorted(
        (*before, tilework(given.topology, given.on), tilework(given.topology, given.on)),
        key=attrgetter("processor_seconds"),
    )
    show(given.topology, given.on, ours[2], theirs)


if __name__ == "__main__":
    main()
