"""The compiler: its stages in order, each of which prints as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

from tilework.collection import no_collection
from tilework.compiler.axes import axis_order
from tilework.compiler.calibrate import Samples, calibrate
from tilework.compiler.chain_search import ChainSearch
from tilework.compiler.change import Change
from tilework.compiler.dtype import INT8, retyped, stored_dtype
from tilework.compiler.fuse import grouped
from tilework.compiler.group import Group
from tilework.compiler.host import Segment, cut, widened
from tilework.compiler.inverse import with_inverses
from tilework.compiler.memory import DramMap, map_dram
from tilework.compiler.options import Measure, Options
from tilework.compiler.pack import pack_weights
from tilework.compiler.padding import padded
from tilework.compiler.prune import check_names, prune, shares_text
from tilework.compiler.quantise import quantise
from tilework.compiler.resident import gaps, rest, settle, settled
from tilework.compiler.search import Search
from tilework.compiler.separate import separated
from tilework.compiler.simplify import Simplified, drop_identities, simplify
from tilework.compiler.split import Work, layers
from tilework.compiler.statement import Statements, statements
from tilework.compiler.streams import lower_all
from tilework.compiler.tile import Tiling
from tilework.compiler.whole import check_whole
from tilework.errors import CompileError
from tilework.isa.bundle import Bundle, HostPart
from tilework.isa.program import Port, Program
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.network.weights import Weights

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Part:
    """What the stages made of a segment of the network that the processor runs, and its program."""

    graph: Graph
    weights: Weights = field(repr=False)
    works: tuple[Work, ...]
    dram: DramMap
    program: Program = field(repr=False)

    def text(self, stage: str) -> str:
        """A stage as text: simplify, fuse, tile, allocate or lower."""
        if stage == "simplify":
            return str(self.graph)
        if stage == "fuse":
            return "".join(str(work.group) for work in self.works)
        if stage == "tile":
            return "".join(map(str, self.works))
        if stage == "allocate":
            plain, resident = sorted(self.dram.plain.items()), sorted(self.dram.resident.items())
            lines = [f"{address:#012x} {name}\n" for name, address in plain]
            return "".join([*lines, *(f"{address:#012x} of the SRAM {name}\n" for name, address in resident)])
        return "\n".join(map(self._code, range(len(self.program.streams))))

    def _code(self, number: int) -> str:
        from tilework.isa.assembly import print_program

        stream = self.program.streams[number]
        names = {layer.ranges[number][0]: f"{layer.name}: {layer.operation}" for layer in self.program.layers}
        return (f".{stream.name}\n" if number else "") + print_program(stream.instructions, names)


@dataclass(frozen=True)
class Compilation:
    """What each stage made of a network: of each part for the processor, and the whole in the end."""

    parts: tuple[Part, ...]
    changes: tuple[Change, ...]
    bundle: Bundle = field(repr=False)

    @property
    def log(self) -> tuple[str, ...]:
        """A line for each thing that `simplify` did."""
        return tuple(map(str, self.changes))

    @property
    def works(self) -> tuple[Work, ...]:
        return tuple(work for part in self.parts for work in part.works)

    @property
    def layers(self) -> tuple[tuple[Work, ...], ...]:
        """The works of each of the programs' layers."""
        return tuple(layers(self.works))

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(work.group for work in self.works)

    @property
    def tilings(self) -> tuple[Tiling, ...]:
        """How each group is tiled, or its first part."""
        return tuple(work.parts[0].tiling for work in self.works)

    @property
    def program(self) -> Program:
        """The only program. Raises ProgramError where there are several."""
        return self.bundle.program

    @property
    def weights(self) -> Weights:
        """The weights of the graph that the only program computes. Raises ProgramError where there are several."""
        return self._only.weights

    @property
    def graph(self) -> Graph:
        """The graph that the only program computes. Raises ProgramError where there are several."""
        return self._only.graph

    @property
    def dram(self) -> DramMap:
        """The only program's DRAM. Raises ProgramError where there are several."""
        return self._only.dram

    @property
    def _only(self) -> Part:
        assert self.program
        return self.parts[0]

    def text(self, stage: str) -> str:
        """A stage as text, part by part: simplify, which names the host's work too, fuse, tile, allocate or lower."""
        if stage != "simplify":
            return "\n".join(part.text(stage) for part in self.parts)
        parts = iter(self.parts)
        texts = [
            "".join(f"# on the host: {line}\n" for line in step.operations) + str(step.graph)
            if isinstance(step, HostPart)
            else next(parts).text(stage)
            for step in self.bundle.steps
        ]
        return "".join(f"# {line}\n" for line in self.log) + "\n".join(texts)


STAGES = ("simplify", "fuse", "tile", "allocate", "lower")


@no_collection()
def compile_graph(
    graph: Graph,
    weights: Weights,
    machine: Machine,
    options: Options | None = None,
    progress: Progress | None = None,
    measure: Measure | None = None,
    samples: Samples | None = None,
) -> Compilation:
    """Compile a network for a processor. The weights' values are read only when the program's image is needed; for int8
    they are read now, to compute the network on the samples.

    With `measure` the best few of what the estimates find are simulated, and the best of those is taken. Raises
    CompileError where the machine cannot hold the smallest tile of a layer or the network in its DRAM.
    """
    options = options or Options()
    options.check(machine)
    stored = stored_dtype(machine, options.dtype)
    check_whole(graph)
    whole = simplify(graph, weights)
    whole = replace(whole, graph=padded(separated(whole.graph), machine))
    segments = cut(whole.graph)
    ours, nests = _nests(whole, segments, stored, samples, options.fused)
    search = Search(machine, options, measure)
    fused = [grouped(given, options.fused, search.worth) for given in nests]
    check_names(fused, options.prune)
    skips = machine.matrix.zero_skipping
    pruned = [prune(*each, options.prune, skips) for each in zip(ours, fused, strict=True)]
    ours, fused = [simple for simple, _ in pruned], [groups for _, groups in pruned]
    cores = options.cores_of(machine)
    homes = [settle(simple.graph, groups, machine, cores) for simple, groups in zip(ours, fused, strict=True)]
    graphs = [simple.graph for simple in ours]
    works = _tile_all(graphs, fused, homes, search, progress)
    if measure and options.fused:
        chains = ChainSearch(machine, options.objective, measure)
        works = [chains.chained(each, simple.graph.outputs) for each, simple in zip(works, ours, strict=True)]
    facts = {"network_sha256": sha256(str(graph).encode()).hexdigest(), "weights": weights.origin}
    facts |= {"calibration": samples.origin} if samples else {}
    facts |= {"pruned": shares_text(options.prune)} if any(options.prune.values()) else {}
    hurry = options.objective != "energy"
    parts = tuple(_part(*each, machine, facts, hurry) for each in zip(ours, works, homes, strict=True))
    programs = (part.program for part in parts)
    steps = tuple(_host_part(segment, whole.weights) if segment.on_host else next(programs) for segment in segments)
    changes = dict.fromkeys(change for simple in ours for change in simple.changes)
    return Compilation(parts, tuple(changes), Bundle(graph.inputs, graph.outputs, steps))


def _nests(
    whole: Simplified, segments: Sequence[Segment], stored: str, samples: Samples | None, across: bool
) -> tuple[list[Simplified], list[Statements]]:
    """Of each segment for the processor what it computes in the program's dtype, as a graph and as its nests."""
    ours = [drop_identities(replace(whole, graph=retyped(s.graph, stored))) for s in segments if not s.on_host]
    nests = [statements(simple.graph, across) for simple in ours]
    if stored != INT8:
        return ours, list(map(with_inverses, nests))
    ready = iter(nests)
    steps = [segment.graph if segment.on_host else next(ready) for segment in segments]
    largest = calibrate(steps, whole.weights, samples)
    narrow = [quantise(given, simple.weights, largest, across) for given, simple in zip(nests, ours, strict=True)]
    weighed = [replace(simple, weights=weights) for simple, (_, weights) in zip(ours, narrow, strict=True)]
    return weighed, [given for given, _ in narrow]


def _host_part(segment: Segment, weights: Weights) -> HostPart:
    wide, values = widened(segment.graph, weights)
    return HostPart(wide, segment.operations, values)


def _part(
    simple: Simplified,
    works: tuple[Work, ...],
    resident: dict[str, int],
    machine: Machine,
    facts: dict[str, str],
    hurry: bool,
) -> Part:
    graph = simple.graph
    dram = _map_all(graph, works, machine, resident)
    (first, *others), layers = lower_all(works, dram, machine, hurry)
    program = Program(
        name=graph.name,
        machine=machine,
        instructions=first.instructions,
        inputs=tuple(_port(graph, dram, t.name) for t in graph.inputs),
        outputs=tuple(_port(graph, dram, name) for name in graph.outputs),
        layers=layers,
        host_operations=_reorders(graph),
        weight_bytes=dram.weight_bytes,
        dram_bytes=dram.total_bytes,
        facts=dict(facts),
        others=tuple(others),
        weights=cache(lambda: pack_weights(dram, simple.weights)),
    )
    return Part(graph, simple.weights, works, dram, program)


def _tile_all(
    graphs: Sequence[Graph],
    fused: Sequence[tuple[Group, ...]],
    homes: Sequence[dict[str, int]],
    search: Search,
    progress: Progress | None,
) -> list[tuple[Work, ...]]:
    """Split and tile every group of each graph; the homes in SRAM of parts of sums are added to the others."""
    total, done = sum(map(len, fused)), 0
    works = []
    for graph, groups, resident in zip(graphs, fused, homes, strict=True):
        found: list[Work] = []
        rooms, left = gaps(graph, groups, search.machine, resident), rest(search.machine, resident)
        for group, room in zip(groups, rooms, strict=True):
            made = search.works(search.better(settled(group, resident), left), left, room.size_bytes)
            resident |= {name: room.address for work in made for name in work.group.resident - resident.keys()}
            found += made
            done += 1
            if progress:
                progress(done, total)
        works.append(tuple(found))
    return works


def _map_all(graph: Graph, works: tuple[Work, ...], machine: Machine, resident: dict[str, int]) -> DramMap:
    """Addresses; where several cores work and there is room, no two tensors share any, so that none has to wait."""
    several = any(len(work.parts) > 1 for work in works)
    dram = map_dram(graph, works, not several, resident)
    if several and dram.total_bytes > machine.dram.capacity_bytes:
        dram = map_dram(graph, works, True, resident)
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
