"""Mapping ResNet-50 on dlp-s: Tilework's compiler and simulator beside ZigZag's search and cost model.

    python -m venv zigzag-env && zigzag-env/bin/pip install zigzag-dse==3.9.1 six
    python benchmarks/zigzag.py --zigzag zigzag-env/bin/python [--layers] [--network resnet50] [--latches]

ZigZag has an environment of its own, as it asks for other versions. Both sides map every distinct convolution and
linear layer of the network by itself, without bias, batch 1, float32, from DRAM to DRAM, on a machine with the same
array, memories, bandwidth and energies; a layer's energy and cycles are multiplied by how often it occurs.
benchmarks/README.md says what each side counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple

WORD = 32  # bits
PICO = 1e-12

Port = tuple[str, int, tuple[str, ...]]  # kind, bits a cycle, and what it serves: operand, and from or to which side


class Layer(NamedTuple):
    """A convolution of one image, or, with everything else 1, a linear layer: sizes, and stride and padding."""

    filters: int
    channels: int
    rows: int
    columns: int
    kernel: int
    stride: int
    padding: int

    def __str__(self) -> str:
        return f"{self.channels}→{self.filters} {self.kernel}x{self.kernel}/{self.stride} on {self.rows}x{self.columns}"


class Cost(NamedTuple):
    """Of one layer: joules, cycles, and seconds of the processor that it took to find them."""

    joules: float
    cycles: float
    seconds: float


def layers_of(name: str) -> Counter[Layer]:
    """The convolutions and linear layers of a network, and how often each occurs; groups are refused."""
    from tilework.frontend.zoo import network

    graph, found = network(name), Counter[Layer]()
    for node in graph.nodes:
        attributes, shape = dict(node.attributes), (*graph.tensors[node.name].shape, 1, 1)[:4]
        if node.operation in ("conv2d", "linear"):
            filters, channels, kernel, _ = (*graph.tensors[node.inputs[1]].shape, 1, 1)[:4]
            if attributes.get("groups", 1) > 1:
                sys.exit(f"{node.name} has groups, of which this benchmark knows nothing")
            (stride, _), (padding, _) = attributes.get("stride", (1, 1)), attributes.get("padding", (0, 0))
            found[Layer(filters, channels, *shape[2:], kernel, stride, padding)] += 1
    return found


def ours(layer: Layer) -> Cost:
    """The compiled layer's exact energy and cycles."""
    from tilework.executable import compile_network
    from tilework.network.graph import GraphBuilder

    g = GraphBuilder("layer")
    size = [(n - 1) * layer.stride + layer.kernel - 2 * layer.padding for n in (layer.rows, layer.columns)]
    x = g.input("x", (1, layer.channels, *size))
    weight = g.weight("weight", (layer.filters, layer.channels, layer.kernel, layer.kernel))
    attributes = {"stride": (layer.stride,) * 2, "padding": (layer.padding,) * 2}
    graph = g.graph(g.node("o", "conv2d", x, weight, **attributes))
    start = process_time()
    cost = compile_network(graph, "dlp-s", objective="edp").cost
    return Cost(cost.energy_joules, cost.cycles, process_time() - start)


def whole(name: str) -> Cost:
    """The whole network as it is compiled, with biases, pooling, additions and softmax, and fused."""
    from tilework.executable import compile_network
    from tilework.frontend.zoo import network

    start = process_time()
    cost = compile_network(network(name), "dlp-s", objective="edp").cost
    return Cost(cost.energy_joules, cost.cycles, process_time() - start)


def accelerator() -> dict[str, Any]:
    """dlp-s for ZigZag.

    The sums that an inner-product array works on stand in registers that cost nothing, as with us. NRAM's and WRAM's
    ports are as wide as the array can use, as ours have no limit; DRAM has one port for both directions.
    """
    from tilework.machine.load import load_machine

    machine = load_machine("dlp-s")
    neurons, synapses = machine.matrix.sides[1:]
    channel, row, whole_array = int(8 * machine.dram_bytes_per_cycle), WORD * synapses, WORD * neurons * synapses
    written, read = ("O, fl", "O, fh"), ("O, tl", "O, th")
    shared = ("I1, fh", "I1, tl", "I2, fh", "I2, tl", *written, *read)
    sums = [("write", WORD, (use,)) for use in written] + [("read", WORD, (use,)) for use in read]
    nram = [("write", row, (use,)) for use in ("I1, fh", *written)] + [
        ("read", row, (use,)) for use in ("I1, tl", *read)
    ]
    wram = [("write", channel, ("I2, fh",)), ("read", whole_array, ("I2, tl",))]
    return {
        "name": "dlp_s",
        "memories": {  # the innermost first
            "sums": _memory(WORD // 8, 0.0, ["D2"], sums),
            "wram": _memory(machine.wram.capacity_bytes, machine.wram.energy_per_byte_joules, ["D1", "D2"], wram),
            "nram": _memory(machine.nram.capacity_bytes, machine.nram.energy_per_byte_joules, ["D1", "D2"], nram),
            "dram": _memory(
                machine.dram.capacity_bytes,
                machine.dram.energy_per_byte_joules,
                ["D1", "D2"],
                [("read_write", channel, shared)],
            ),
        },
        "operational_array": {
            "unit_energy": machine.matrix.energy_per_mac_joules["float32"] / PICO,
            "unit_area": 1.0,
            "dimensions": ["D1", "D2"],
            "sizes": [neurons, synapses],
        },
    }


def _memory(size: int, joules: float, shared_along: list[str], ports: list[Port]) -> dict[str, Any]:
    """A memory of so many bytes and joules per byte; ZigZag's energies are those of an access as wide as the port."""
    widest = {way: max(bits for kind, bits, _ in ports if way in kind) for way in ("read", "write")}
    return {
        "size": 8 * size,
        "r_cost": joules / PICO * widest["read"] / 8,
        "w_cost": joules / PICO * widest["write"] / 8,
        "area": 0.0,
        "latency": 1,
        "operands": sorted({use.partition(",")[0] for _, _, uses in ports for use in uses}),
        "ports": [
            {
                "name": f"{'rw' if '_' in kind else kind[0]}_port_{number}",
                "type": kind,
                "bandwidth_min": WORD,
                "bandwidth_max": bits,
                "allocation": list(uses),
            }
            for number, (kind, bits, uses) in enumerate(ports, 1)
        ],
        "served_dimensions": shared_along,
    }


def mapping(layers: Iterable[Layer], neurons: int, synapses: int) -> list[dict[str, Any]]:
    """What ZigZag may have side by side: filters along the array, and what is summed, which may be mixed, across it.

    Of layers with few channels its generator takes one row of the kernel; more rows fit, so these are told.
    """
    links = {"memory_operand_links": {"O": "O", "W": "I2", "I": "I1"}}
    entries = [{"name": "default", **links, "spatial_mapping_hint": {"D1": ["K"], "D2": ["C", "FX", "FY"]}}]
    for layer in layers:
        if layer.channels < synapses:
            rows = max(1, min(layer.kernel, synapses // layer.kernel))
            sides = {"D1": [f"K, {neurons}"], "D2": [f"FX, {layer.kernel}", f"FY, {rows}"]}
            entries.append({"name": str(layer), **links, "spatial_mapping": sides})
    return entries


def zigzag_layer(layer: Layer) -> dict[str, Any]:
    """A layer as ZigZag's workload has it."""
    inputs = [(n - 1) * layer.stride + layer.kernel - 2 * layer.padding for n in (layer.columns, layer.rows)]
    return {
        "id": 0,
        "name": str(layer),
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": [f"ix={layer.stride}*ox+1*fx", f"iy={layer.stride}*oy+1*fy"],
        "loop_dims": ["B", "K", "G", "OX", "OY", "C", "FX", "FY"],
        "loop_sizes": [1, layer.filters, 1, layer.columns, layer.rows, layer.channels, layer.kernel, layer.kernel],
        "operand_precision": {"W": WORD, "I": WORD, "O_final": WORD, "O": WORD},
        "pr_loop_dims": ["IX", "IY"],
        "pr_loop_sizes": inputs,
        "padding": [[layer.padding, layer.padding]] * 2,
    }


def search(task: dict[str, Any]) -> None:
    """In ZigZag's environment: the mapping of each layer with the least energy-delay product, as lines of JSON.

    The stages are those of `zigzag.api.get_hardware_performance_zigzag` with its defaults, without those that write
    files and pictures. By default ZigZag takes data that the innermost memory's port holds already for read; `latches`
    leaves it so, but dlp-s has none: it reads its weights in every cycle.
    """
    from zigzag.mapping.temporal_mapping import TemporalMappingType
    from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
    from zigzag.stages.main import MainStage
    from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
    from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
    from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
    from zigzag.stages.parser.workload_parser import WorkloadParserStage
    from zigzag.stages.results.reduce_stages import MinimalEDPStage, SumStage
    from zigzag.stages.workload_iterator import WorkloadStage

    parse = [WorkloadParserStage, AcceleratorParserStage, SumStage, WorkloadStage]
    best = [MinimalEDPStage, SpatialMappingGeneratorStage, MinimalEDPStage]
    with TemporaryDirectory() as folder:
        paths = {key: str(Path(folder) / f"{key}.yaml") for key in ("accelerator", "mapping")}
        for key, path in paths.items():
            Path(path).write_text(json.dumps(task[key]))  # which is YAML too
        for workload in task["layers"]:
            start = process_time()
            stages = [*parse, *best, TemporalMappingGeneratorStage, CostModelStage]
            found = MainStage(
                stages,
                workload=[workload],
                **paths,
                loma_lpf_limit=6,
                nb_mappings_generated=3,
                enable_mix_spatial_mapping_generation=True,
                access_same_data_considered_as_no_access=task["latches"],
                temporal_mapping_type=TemporalMappingType.UNEVEN,
            ).run()
            cost = found[0][0]
            print(json.dumps([cost.energy_total * PICO, cost.latency_total2, process_time() - start]), flush=True)


def theirs(python: str, layers: list[Layer], latches: bool) -> list[Cost]:
    """ZigZag's costs, found in its own environment."""
    machine = accelerator()
    task = {
        "accelerator": machine,
        "mapping": mapping(layers, *machine["operational_array"]["sizes"]),
        "layers": list(map(zigzag_layer, layers)),
        "latches": latches,
    }
    command = [python, "-I", __file__, "--search"]  # -I: or this file would be the module zigzag
    answer = subprocess.run(command, input=json.dumps(task), check=True, capture_output=True, text=True)
    return [Cost(*json.loads(line)) for line in answer.stdout.splitlines() if line.startswith("[")]


def total(costs: Iterable[Cost], numbers: Iterable[int]) -> Cost:
    """All layers, each as often as it occurs."""
    weighed = ([value * number for value in cost] for cost, number in zip(costs, numbers, strict=True))
    return Cost(*map(sum, zip(*weighed, strict=True)))


def delay(cost: Cost) -> float:
    """The energy-delay product in joule-seconds, at dlp-s' 1 GHz."""
    return cost.joules * cost.cycles * 1e-9


def report(counted: Counter[Layer], mine: list[Cost], others: list[Cost], network: Cost, each: bool) -> None:
    """The Markdown tables."""
    if each:
        print("| layer | times | mJ | ZigZag | cycles | ZigZag | EDP ratio |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for (layer, number), a, b in zip(counted.items(), mine, others, strict=True):
            print(f"| {layer} | {number} | {1e3 * a.joules:.3f} | {1e3 * b.joules:.3f} ", end="")
            print(f"| {a.cycles:,} | {b.cycles:,.0f} | {delay(a) / delay(b):.3f} |")
        print()
    once = [sum(cost.seconds for cost in costs) for costs in (mine, others)]
    a, b = (total(costs, counted.values()) for costs in (mine, others))
    print("| what | Tilework | ZigZag | ratio | goal |\n| --- | ---: | ---: | ---: | ---: |")
    print(f"| {len(counted)} distinct layers: time | {once[0]:.2f} s | {once[1]:.0f} s | {once[1] / once[0]:.0f}× | |")
    faster = b.seconds / network.seconds
    print(
        f"| all {counted.total()} layers: time | {network.seconds:.2f} s | {b.seconds:.0f} s | {faster:.0f}× | ≥ 100× |"
    )
    print(f"| energy | {1e3 * a.joules:.2f} mJ | {1e3 * b.joules:.2f} mJ | {a.joules / b.joules:.3f} | |")
    print(f"| cycles | {a.cycles:,} | {b.cycles:,.0f} | {a.cycles / b.cycles:.3f} | |")
    print(f"| energy-delay product | {delay(a):.3e} J·s | {delay(b):.3e} J·s | {delay(a) / delay(b):.3f} | ≤ 1 |")
    print(f"\nThe whole network as Tilework compiles it: {1e3 * network.joules:.2f} mJ, {network.cycles:,} cycles")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--zigzag", default="zigzag-env/bin/python", help="the Python of ZigZag's environment")
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--layers", action="store_true", help="a line for each layer too")
    parser.add_argument("--latches", action="store_true", help="ZigZag as it is by default, see search()")
    asked = parser.parse_args()
    counted = layers_of(asked.network)
    others = theirs(asked.zigzag, list(counted), asked.latches)
    ours(next(iter(counted)))  # what is imported and what is kept from call to call
    mine = list(map(ours, counted))
    network = min((whole(asked.network) for _ in range(3)), key=lambda cost: cost.seconds)
    report(counted, mine, others, network, asked.layers)


if __name__ == "__main__":
    if sys.argv[1:] == ["--search"]:
        search(json.load(sys.stdin))
    else:
        main()
