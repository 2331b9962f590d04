"""The least time of layers by every level of memory that is known: a hierarchical roofline.

T. Koskela et al., A novel multi-level integrated roofline model approach for performance characterization, ISC 2018.
A layer takes at least max(operations / peak, bytes of a level / bandwidth of that level) over all levels.

  off chip  what a memory on chip can't keep, when the network runs again and again: the network's inputs and outputs;
            of each other value what is more than the memory holds; of the weights the part by which all of them are.
  on chip   the layer's compulsory bytes, as `cost.roofline` has them.

Of a processor that is described in full the levels on chip are its scratchpads, with the bytes that its matrix unit
reads and writes there for products of matrices, and the compulsory ones elsewhere; bandwidths are those of the ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilework.cost.count import count
from tilework.cost.limits import COMPUTE, NOTHING, known_bandwidth, rate_dtype
from tilework.cost.traffic import Traffic, bytes_of, element_bytes
from tilework.machine.accelerator import Accelerator, accelerator_of
from tilework.machine.machine import Machine
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, accesses
from tilework.network.product import product_of

OFF_CHIP, ON_CHIP, NRAM, WRAM = "off chip", "on chip", "NRAM", "WRAM"


@dataclass(frozen=True)
class Level:
    """A memory; None stands for what isn't known."""

    name: str
    capacity_bytes: int | None
    bandwidth_bytes_per_second: float | None

    def seconds(self, size: float) -> float:
        """Of so many bytes: none where the bandwidth isn't known."""
        return size / self.bandwidth_bytes_per_second if self.bandwidth_bytes_per_second else 0.0


@dataclass(frozen=True)
class LevelBound:
    """What layers computed as one must compute, and what each level must move; `memory_seconds` of known levels."""

    layers: tuple[str, ...]
    operations: int
    compute_seconds: float
    bytes: dict[str, float]
    memory_seconds: dict[str, float]

    @property
    def seconds(self) -> float:
        return max(self.compute_seconds, *self.memory_seconds.values(), 0.0)

    @property
    def bound_by(self) -> str:
        """Compute, the name of a level, or nothing."""
        if not self.seconds:
            return NOTHING
        slowest = max(self.memory_seconds.items(), key=lambda item: item[1], default=("", 0.0))
        return COMPUTE if self.compute_seconds >= slowest[1] else slowest[0]

    def intensity(self, level: str) -> float | None:
        """Operations for each byte of a level; None where it moves none."""
        return self.operations / self.bytes[level] if self.bytes.get(level) else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "layers": list(self.layers),
            "operations": self.operations,
            "compute_seconds": self.compute_seconds,
            "levels": {
                name: {
                    "bytes": size,
                    "operations_per_byte": self.intensity(name),
                    "seconds": self.memory_seconds.get(name),
                }
                for name, size in self.bytes.items()
            },
            "seconds": self.seconds,
            "bound_by": self.bound_by,
        }


@dataclass(frozen=True)
class Hierarchy:
    """The levels of a machine and the bounds of a network's layers by them."""

    levels: tuple[Level, ...]
    bounds: tuple[LevelBound, ...]

    @property
    def seconds(self) -> float:
        return sum(bound.seconds for bound in self.bounds)

    def to_dict(self) -> dict[str, Any]:
        levels = [
            {
                "name": level.name,
                "capacity_bytes": level.capacity_bytes,
                "bandwidth_bytes_per_second": level.bandwidth_bytes_per_second,
            }
            for level in self.levels
        ]
        return {"levels": levels, "seconds": self.seconds, "layers": [bound.to_dict() for bound in self.bounds]}


def hierarchy(
    graph: Graph, machine: Machine | Accelerator, dtype: str | None = None, groups: Sequence[Sequence[str]] = ()
) -> Hierarchy:
    """The bounds of each layer, or of each of these groups of layers computed as one, on a machine's levels.

    Where nothing is known of memory on chip there is one level, off chip, that moves everything. Raises what
    `roofline` raises.
    """
    one = accelerator_of(machine) if isinstance(machine, Machine) else machine
    chosen = rate_dtype(one, dtype)
    outer = Level(OFF_CHIP, one.memory.capacity_bytes, known_bandwidth(one))
    on_chip = _scratchpads(machine) if isinstance(machine, Machine) else _on_chip(one)
    found = _Bounds(graph, machine, one.peak[chosen], chosen, (outer, *on_chip), one.on_chip.capacity_bytes or 0)
    names = groups or [(node.name,) for node in graph.nodes]
    return Hierarchy(found.levels, tuple(found.bound(group) for group in names))


def _on_chip(one: Accelerator) -> tuple[Level, ...]:
    memory = one.on_chip
    known = memory.capacity_bytes is not None
    return (Level(ON_CHIP, memory.capacity_bytes, memory.bandwidth_bytes_per_second),) if known else ()


def _scratchpads(machine: Machine) -> tuple[Level, ...]:
    """Those of all cores together; a port without a limit has no bandwidth that is known."""
    cores = machine.clusters * machine.cores
    pads = {NRAM: machine.nram, WRAM: machine.wram}
    return tuple(
        Level(name, cores * pad.capacity_bytes, cores * pad.port_bytes_per_cycle * machine.clock_hz or None)
        for name, pad in pads.items()
    )


class _Bounds:
    def __init__(
        self,
        graph: Graph,
        machine: Machine | Accelerator,
        peak: float,
        dtype: str,
        levels: tuple[Level, ...],
        kept: int,
    ) -> None:
        self.graph, self.machine, self.peak, self.dtype, self.levels = graph, machine, peak, dtype, levels
        self.nodes = {node.name: node for node in graph.nodes}
        self.macs = {row.name: row.macs for row in count(graph).rows}
        self.traffic, self.kept = Traffic(graph), kept
        self.readers = self._readers()
        weights = sum(self._size(tensor) for tensor in graph.weights)
        self.weights_left = max(0.0, weights - kept) / weights if weights else 0.0
        self.ends = {tensor.name for tensor in graph.inputs} | set(graph.outputs)

    def bound(self, names: Sequence[str]) -> LevelBound:
        nodes = [self.nodes[name] for name in names]
        operations = 2 * sum(self.macs[name] for name in names)
        moved = self.moved(nodes)
        sizes = {OFF_CHIP: sum(self._off_chip(name, size) for name, size in moved.items())}
        if isinstance(self.machine, Machine):
            sizes |= self._scratchpads(nodes, moved, self.machine)
        else:
            sizes |= {ON_CHIP: sum(moved.values())}
        there = {level.name: sizes[level.name] for level in self.levels}
        known = {level.name: level.seconds(sizes[level.name]) for level in self.levels if level.seconds(1)}
        return LevelBound(tuple(names), operations, operations / self.peak, there, known)

    def _readers(self) -> dict[str, set[str]]:
        """The nodes that read each tensor, also through views of it."""
        found: dict[str, set[str]] = {}
        for node in self.graph.nodes:
            for name in () if node.name in self.traffic.base else node.inputs:
                found.setdefault(self.traffic.base.get(name, name), set()).add(node.name)
        return found

    def moved(self, nodes: Sequence[Node]) -> dict[str, float]:
        """The bytes of each tensor that nodes computed as one must read or write: what only they need stays inside.

        Of a tensor read by several of them the most that one touches counts.
        """
        own = {node.name for node in nodes}
        outputs = {self.traffic.base.get(name, name) for name in self.graph.outputs}
        elements: dict[str, float] = {}
        for node in nodes:
            one = self.traffic.of(node)
            for name, number in one.read.items():
                if name not in own:
                    elements[name] = max(number, elements.get(name, 0.0))
            readers = self.readers.get(node.name, set())
            stays = bool(readers) and readers <= own and node.name not in outputs
            elements[node.name] = 0.0 if stays else one.written
        return bytes_of(self.graph, elements, self.dtype)

    def _off_chip(self, name: str, size: float) -> float:
        tensor = self.graph.tensors[name]
        if tensor.is_weight:
            return size * self.weights_left
        return size if name in self.ends else min(size, max(0.0, self._size(tensor) - self.kept))

    def _size(self, tensor: Tensor) -> float:
        return tensor.elements * element_bytes(tensor, self.dtype)

    def _scratchpads(self, nodes: Sequence[Node], moved: dict[str, float], machine: Machine) -> dict[str, float]:
        """The first operand and the sums in the NRAM, the second in the WRAM, each as often as the unit reads it."""
        nram = wram = 0.0
        operands: set[str] = set()
        for node in nodes:
            for nest in self.graph.nests(node):
                if nest.kind == CONTRACTION:
                    product = product_of(node.name, nest)
                    again_a, again_b = machine.matrix.readings(product.rows, product.columns)
                    first, second = (access.tensor for access in accesses(nest.body))
                    nram += product.groups * product.rows * product.summed * again_a * self._element(first)
                    wram += product.groups * product.columns * product.summed * again_b * self._element(second)
                    operands |= {first, second}
        rest = sum(size for name, size in moved.items() if name not in operands)
        return {NRAM: nram + rest, WRAM: wram}

    def _element(self, name: str) -> float:
        """Bytes of an element; what lies between a node's own nests is stored as its value is."""
        tensor = self.graph.tensors.get(name) or self.graph.tensors[name.rpartition(":")[0]]
        return element_bytes(tensor, self.dtype)
