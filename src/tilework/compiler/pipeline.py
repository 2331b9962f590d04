"""The compiler: its stages in order, each of which prints as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from math import prod

from tilework.collection import no_collection
from tilework.compiler.axes import axis_order
from tilework.compiler.change import Change
from tilework.compiler.dtype import retyped, stored_dtype
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.host import Cut, cut
from tilework.compiler.memory import DramMap, map_dram
from tilework.compiler.options import Measure, Options
from tilework.compiler.pack import pack_weights
from tilework.compiler.simplify import drop_identities, simplify
from tilework.compiler.split import Split, Work, best_split
from tilework.compiler.streams import lower_all
from tilework.compiler.tile import Tiling
from tilework.errors import CompileError
from tilework.isa.program import Port, Program
from tilework.machine.machine import Machine
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import Nest
from tilework.network.operation import Expansion
from tilework.network.views import distinct
from tilework.network.weights import Weights

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Compilation:
    """What each stage made, and the program at the end."""

    graph: Graph
    host: Cut
    weights: Weights = field(repr=False)
    changes: tuple[Change, ...]
    works: tuple[Work, ...]
    dram: DramMap
    program: Program = field(repr=False)

    @property
    def log(self) -> tuple[str, ...]:
        """A line for each thing that `simplify` did."""
        return tuple(map(str, self.changes))

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(work.group for work in self.works)

    @property
    def tilings(self) -> tuple[Tiling, ...]:
        """How each group is tiled, or its first part."""
        return tuple(work.parts[0].tiling for work in self.works)

    def text(self, stage: str) -> str:
        """A stage as text: simplify, fuse, tile, allocate or lower."""
        if stage == "simplify":
            return "".join(f"# {line}\n" for line in self.log) + str(self.graph)
        if stage == "fuse":
            return "".join(map(str, self.groups))
        if stage == "tile":
            return "".join(map(str, self.works))
        if stage == "allocate":
            return "".join(f"{address:#012x} {name}\n" for name, address in sorted(self.dram.plain.items()))
        return "\n".join(map(self._code, range(len(self.program.streams))))

    def _code(self, number: int) -> str:
        from tilework.isa.assembly import print_program

        stream = self.program.streams[number]
        names = {layer.ranges[number][0]: f"{layer.name}: {layer.operation}" for layer in self.program.layers}
        return (f".{stream.name}\n" if number else "") + print_program(stream.instructions, names)


STAGES = ("simplify", "fuse", "tile", "allocate", "lower")


@no_collection()
def compile_graph(
    graph: Graph,
    weights: Weights,
    machine: Machine,
    options: Options | None = None,
    progress: Progress | None = None,
    measure: Measure | None = None,
) -> Compilation:
    """Compile a network for a processor. The weights' values are read only when the program's image is needed.

    With `measure` the best few of what the estimates find are simulated, and the best of those is taken. Raises
    CompileError where the machine cannot hold the smallest tile of a layer or the network in its DRAM.
    """
    options = options or Options()
    options.check(machine)
    stored = stored_dtype(machine, options.dtype)
    _check_outputs(graph)
    whole = simplify(graph, weights)
    host = cut(whole.graph)
    simple = drop_identities(replace(whole, graph=retyped(host.device, stored)))
    _check(simple.graph)
    groups = fuse(simple.graph, options.fused)
    works = _split_all(groups, machine, options, progress)
    dram = _map_all(simple.graph, works, machine)
    (first, *others), layers = lower_all(works, dram, machine)
    program = Program(
        name=graph.name,
        machine=machine,
        instructions=first.instructions,
        inputs=tuple(_port(simple.graph, dram, t.name) for t in simple.graph.inputs),
        outputs=tuple(_port(simple.graph, dram, name) for name in simple.graph.outputs),
        layers=layers,
        host_operations=(*host.operations, *_reorders(simple.graph)),
        weight_bytes=dram.weight_bytes,
        dram_bytes=dram.total_bytes,
        facts={"network_sha256": sha256(str(graph).encode()).hexdigest(), "weights": weights.origin},
        others=tuple(others),
        weights=cache(lambda: pack_weights(dram, simple.weights)),
    )
    return Compilation(simple.graph, host, simple.weights, simple.changes, works, dram, program)


def _check_outputs(graph: Graph) -> None:
    for name in graph.outputs:
        if graph.tensors[name].is_weight:
            raise CompileError(
                f"output {name} must be a node's value or an input to be compiled, not a weight; leave it out"
            )


def _check(graph: Graph) -> None:
    checked: dict[int, Expansion] = {}  # equal ones are mostly one object
    for node in graph.nodes:
        expansion = graph.expansion(node)
        if id(expansion) not in checked:
            checked[id(expansion)] = expansion
            _check_node(graph, node)


def _check_node(graph: Graph, node: Node) -> None:
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


def _split_all(
    groups: tuple[Group, ...], machine: Machine, options: Options, progress: Progress | None
) -> tuple[Work, ...]:
    """Split and tile every group; groups that differ only in names are searched once."""
    known: dict[tuple[object, ...], Split] = {}
    works, cores = [], options.cores_of(machine)
    for done, group in enumerate(groups):
        if group.shape not in known:
            known[group.shape] = best_split(group, machine, cores, options.split)
        works.append(known[group.shape].apply(group, cores))
        if progress:
            progress(done + 1, len(groups))
    return tuple(works)


def _map_all(graph: Graph, works: tuple[Work, ...], machine: Machine) -> DramMap:
    """Addresses; where several cores work and there is room, no two tensors share any, so that none has to wait."""
    several = any(len(work.parts) > 1 for work in works)
    dram = map_dram(graph, works, reuse=not several)
    if several and dram.total_bytes > machine.dram.capacity_bytes:
        dram = map_dram(graph, works)
    if dram.total_bytes > machine.dram.capacity_bytes:
        raise CompileError(
            f"{machine.name} must have at least {dram.total_bytes} bytes of DRAM for {graph.name}, "
            f"not {machine.dram.capacity_bytes}; use a machine with more"
        )
    return dram


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
    return Port(name, shape, dram.plain[name], axis_order(len(shape)), graph.tensors[name].dtype)
