"""The compiler: its stages in order, each of which prints as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from math import prod

from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.lower import lower
from tilework.compiler.memory import DramMap, axis_order, map_dram
from tilework.compiler.pack import pack_weights
from tilework.compiler.simplify import simplify
from tilework.compiler.tile import Tiling, tile
from tilework.errors import CompileError
from tilework.isa.instruction import Instruction
from tilework.isa.program import Layer, Port, Program
from tilework.isa.table import VECTOR_OF
from tilework.machine.machine import Machine
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import Nest, applications
from tilework.network.views import distinct
from tilework.network.weights import Weights

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Compilation:
    """What each stage made, and the program at the end."""

    graph: Graph
    log: tuple[str, ...]
    groups: tuple[Group, ...]
    tilings: tuple[Tiling, ...]
    dram: DramMap
    program: Program = field(repr=False)

    def text(self, stage: str) -> str:
        """A stage as text: simplify, fuse, tile, allocate or lower."""
        from tilework.isa.assembly import print_program

        if stage == "simplify":
            return "".join(f"# {line}\n" for line in self.log) + str(self.graph)
        if stage == "fuse":
            return "".join(map(str, self.groups))
        if stage == "tile":
            return "".join(f"{g.name}: {t}\n" for g, t in zip(self.groups, self.tilings, strict=True))
        if stage == "allocate":
            return "".join(f"{address:#012x} {name}\n" for name, address in sorted(self.dram.plain.items()))
        names = {layer.first: f"{layer.name}: {layer.operation}" for layer in self.program.layers}
        return print_program(self.program.instructions, names)


STAGES = ("simplify", "fuse", "tile", "allocate", "lower")


def compile_graph(graph: Graph, weights: Weights, machine: Machine, progress: Progress | None = None) -> Compilation:
    """Compile a network for a processor. The weights' values are read only when the program's image is needed.

    Raises CompileError where the machine cannot hold the smallest tile of a layer or the network in its DRAM.
    """
    _check(graph)
    simple = simplify(graph, weights)
    groups = fuse(simple.graph)
    tilings = _tile_all(groups, machine, progress)
    dram = map_dram(simple.graph, groups, tilings)
    if dram.total_bytes > machine.dram.capacity_bytes:
        raise CompileError(
            f"{machine.name} must have at least {dram.total_bytes} bytes of DRAM for {graph.name}, "
            f"not {machine.dram.capacity_bytes}; use a machine with more"
        )
    instructions, layers = _lower_all(groups, tilings, dram)
    program = Program(
        name=graph.name,
        machine=machine,
        instructions=instructions,
        inputs=tuple(_port(simple.graph, dram, t.name) for t in simple.graph.inputs),
        outputs=tuple(_port(simple.graph, dram, name) for name in graph.outputs),
        layers=layers,
        host_operations=_reorders(simple.graph),
        weight_bytes=dram.weight_bytes,
        dram_bytes=dram.total_bytes,
        facts={"network_sha256": sha256(str(graph).encode()).hexdigest(), "weights": weights.origin},
        weights=cache(lambda: pack_weights(dram, groups, tilings, simple.weights)),
    )
    return Compilation(simple.graph, simple.log, groups, tilings, dram, program)


def _check(graph: Graph) -> None:
    for tensor in graph.tensors.values():
        if tensor.dtype != "float32":
            raise CompileError(f"tensor {tensor.name} must be float32 to be compiled, not {tensor.dtype}")
    for node in graph.nodes:
        _check_node(graph, node)
    for name in graph.outputs:
        if graph.tensors[name].is_weight:
            raise CompileError(
                f"output {name} must be a node's value or an input to be compiled, not a weight; leave it out"
            )


def _check_node(graph: Graph, node: Node) -> None:
    if graph.expansion(node).on_host:
        raise CompileError(f"node {node.name} must be affine to be compiled, which {node.label} is not")
    for nest in graph.nests(node):
        if lacking := [name for name in applications(nest.body) if name not in VECTOR_OF]:
            raise CompileError(f"node {node.name} must use what instructions compute, which {lacking[0]} is not")
    for tensor in (graph.tensors[node.name], *graph.temporaries(node)):
        nests = [nest for nest in graph.nests(node) if nest.output.tensor == tensor.name]
        if nests and not _write_once(nests, tensor):
            raise CompileError(
                f"node {node.name} must write each place of {tensor.name} once to be compiled, "
                f"which {node.label} of these windows does not"
            )


def _write_once(nests: list[Nest], tensor: Tensor) -> bool:
    """Whether nests write all places of a tensor, none of them outside it or in two iterations."""
    for nest in nests:
        bounds = [axis.bounds(nest.extents) for axis in nest.output.index]
        inside = all(low >= 0 and high < size for (low, high), size in zip(bounds, tensor.shape, strict=True))
        if not (inside and distinct(nest.output, nest.parallel_loops)):
            return False
    return sum(prod(extent for _, extent in nest.parallel_loops) for nest in nests) == tensor.elements


def _shape_key(group: Group) -> tuple[object, ...]:
    """What tells two groups apart for the tiler: everything but the tensors' names."""
    names: dict[str, str] = {}
    for nest in group.nests:
        for access in (nest.output, *nest.reads):
            names.setdefault(access.tensor, f"t{len(names)}")
    shapes = tuple((group.tensors[n].shape, group.tensors[n].is_weight) for n in names)
    return (group.loops, tuple(nest.rename(names) for nest in group.nests), shapes)


def _tile_all(groups: tuple[Group, ...], machine: Machine, progress: Progress | None) -> tuple[Tiling, ...]:
    """Tile every group; groups that differ only in names are searched once."""
    from tilework.compiler.buffers import plan_buffers

    known: dict[tuple[object, ...], Tiling] = {}
    tilings = []
    for done, group in enumerate(groups):
        key = _shape_key(group)
        if key not in known:
            known[key] = tile(group, machine)
        tilings.append(replace(known[key], plan=plan_buffers(group)))
        if progress:
            progress(done + 1, len(groups))
    return tuple(tilings)


def _lower_all(
    groups: tuple[Group, ...], tilings: tuple[Tiling, ...], dram: DramMap
) -> tuple[tuple[Instruction, ...], tuple[Layer, ...]]:
    code: list[Instruction] = []
    layers = []
    for place, (group, tiling) in enumerate(zip(groups, tilings, strict=True)):
        first = len(code)
        packed = {index: address for (owner, index), address in dram.packed.items() if owner == place}
        code += lower(group, tiling, dram.plain, packed)
        name = _layer_name(groups, place)
        layers.append(Layer(name, group.operation, first, len(code), group.macs, group.compulsory_bytes))
    return (*code, Instruction("end")), tuple(layers)


def _layer_name(groups: tuple[Group, ...], place: int) -> str:
    """The group's nodes; where a node alone makes several groups, also which of them this is."""
    nodes = groups[place].nodes
    same = [other for other, group in enumerate(groups) if group.nodes == nodes]
    return "+".join(nodes) + (f" {same.index(place) + 1}/{len(same)}" if len(same) > 1 else "")


def _reorders(graph: Graph) -> tuple[str, ...]:
    """What the host does before and after the program: bring inputs and outputs into their order in DRAM."""
    names = [t.name for t in graph.inputs] + list(graph.outputs)
    moved = []
    for name in names:
        shape = graph.tensors[name].shape
        order = axis_order(len(shape))
        kept = [axis for axis in order if shape[axis] > 1]
        if kept != sorted(kept):
            moved.append(f"reorder {name} to channels last")
    return tuple(moved)


def _port(graph: Graph, dram: DramMap, name: str) -> Port:
    shape = graph.tensors[name].shape
    return Port(name, shape, dram.plain[name], axis_order(len(shape)))
