"""Layers as mapped products: programs are replayed with inputs and weights enumerated by the convolution itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.map import Mapping, best_mapping, serial_mapping
from tilework.compiler.map_nest import layer_problems
from tilework.errors import CompileError
from tilework.isa.tile_language import Barrier, Cast, Compute, Loop, Move, Section, Statement, Step, Sync
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import GraphBuilder
from tilework.simulator.tile_time import simulate_tiles

Place = tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """A square convolution: batch, groups, channels and filters of each, pixels, window, stride, padding."""

    n: int
    g: int
    c: int
    k: int
    h: int
    r: int
    s: int
    p: int
    pointwise: bool = False

    @property
    def out(self) -> int:
        return (self.h + 2 * self.p - self.r) // self.s + 1

    def group(self) -> Group:
        builder = GraphBuilder("conv")
        x = builder.input("x", (self.n, self.g * self.c, self.h, self.h))
        w = builder.weight("w", (self.g * self.k, self.c, self.r, self.r))
        bias = (builder.weight("b", (self.g * self.k,)),) if self.pointwise else ()
        strides, pads = (self.s, self.s), (self.p, self.p)
        y = builder.node("conv", "conv2d", x, w, *bias, groups=self.g, stride=strides, padding=pads)
        if self.pointwise:
            y = builder.node("sum", "add", y, builder.input("z", (self.n, self.g * self.k, self.out, self.out)))
        return fuse(builder.graph(y))[0]

    @property
    def width(self) -> int:
        """Outputs of a line: a row of pixels where windows overlap, else a pixel."""
        return self.out if self.r + self.p > 1 and self.out > 1 else 1

    @property
    def lines(self) -> int:
        return self.n * self.out**2 // self.width

    def inputs(self, g: int, lines: Sequence[int], channels: range) -> set[Place]:
        """What output lines, counted through the batch, need of some channels of a group."""
        pixels = [line * self.width + q for line in lines for q in range(self.width)]
        found = set()
        for n, y, x in {(pixel // self.out**2, pixel // self.out % self.out, pixel % self.out) for pixel in pixels}:
            places = [[self.s * at + r - self.p for r in range(self.r)] for at in (y, x)]
            inside = [[place for place in axis if 0 <= place < self.h] for axis in places]
            found |= {(n, g, c, *place) for c in channels for place in product(*inside)}
        return found

    def weights(self, g: int, filters: Sequence[int], channels: range) -> set[Place]:
        return set(product([g], filters, channels, range(self.r), range(self.r)))


def small(name: str, nram: int, wram: int, sram: int) -> Machine:
    machine = load_machine(name)
    memories = {"nram": replace(machine.nram, capacity_bytes=nram), "wram": replace(machine.wram, capacity_bytes=wram)}
    if machine.sram:
        memories["sram"] = replace(machine.sram, capacity_bytes=sram)  # type: ignore[assignment]
    return replace(machine, **memories)  # type: ignore[arg-type]


def unrolled(statements: Sequence[Statement]) -> Iterator[Step]:
    for statement in statements:
        if isinstance(statement, Loop):
            for _ in range(statement.count):
                yield from unrolled(statement.body)
        else:
            yield statement


def phases(section: Section) -> list[list[Step]]:
    found: list[list[Step]] = [[]]
    for step in unrolled(section.body):
        if isinstance(step, Sync | Barrier):
            found.append([])
        else:
            found[-1].append(step)
    return found


def balanced(items: Sequence[int], parts: int) -> list[Sequence[int]]:
    ends = list(accumulate(len(items) // parts + (part < len(items) % parts) for part in range(parts)))
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def in_frames(items: Sequence[int], parts: int, frame: int) -> list[Sequence[int]]:
    """Parts of lines: of whole frames, or of each frame as many as of the others."""
    frames = [items[at : at + frame] for at in range(0, len(items), frame)]
    if parts <= len(frames):
        return [[line for n in some for line in frames[n]] for some in balanced(range(len(frames)), parts)]
    return [part for lines in frames for part in balanced(lines, parts // len(frames))]


class Replay:
    """The order in which a core's plan needs elements, tile by tile and slice by slice."""

    def __init__(self, conv: Conv, mapping: Mapping, cores: int, core: int, *, serial: bool) -> None:
        self.conv, self.plan, plan = conv, mapping.plan, mapping.plan
        self.by_columns, self.serial = plan.split == "columns", serial
        lines, filters = list(range(conv.lines)), list(range(conv.k))
        own, shared = (filters, lines) if self.by_columns else (lines, filters)
        dealt = 1 if plan.split == "groups" else cores
        frame = conv.out if conv.width > 1 and conv.n > 1 else 0
        by_frame = frame and not self.by_columns
        each = conv.n // dealt * frame if by_frame and dealt > 1 else len(own) // dealt
        mine = own[core * each : core * each + each] if dealt > 1 else own
        self.left = own[dealt * each :]
        self.share = (dealt, core)
        rows = (lambda items, parts: in_frames(items, parts, frame)) if frame else balanced
        own_cut, shared_cut = (balanced, rows) if self.by_columns else (rows, balanced)
        self.own_parts, self.shared_parts = own_cut(mine, plan.own_parts), shared_cut(shared, plan.shared_parts)
        self.slices = [
            range(part[0], part[-1] + 1) if part else range(0) for part in balanced(range(conv.c), plan.slices)
        ]
        rounds = range(core, conv.g, cores) if plan.split == "groups" else range(conv.g)
        pairs = list(product(range(plan.own_parts), range(plan.shared_parts)))
        pairs = pairs if plan.own_outer else sorted(pairs, key=lambda pair: pair[::-1])
        self.tiles = [(g, i, j) for g in rounds for i, j in pairs]

    def elements(self, own: bool, g: int, items: Sequence[int], channels: range) -> set[Place]:
        return (self.conv.weights if own == self.by_columns else self.conv.inputs)(g, items, channels)

    def needs(self, own: bool, tile: Place, channels: range) -> set[Place]:
        g, i, j = tile
        if not own:
            return self.elements(False, g, self.shared_parts[j], channels)
        left = self.left if i == self.plan.own_parts - 1 else []
        return self.elements(True, g, self.own_parts[i], channels) | self.elements(True, g, left, channels)

    def coming(self, own: bool) -> list[tuple[Place, int, set[Place]]]:
        """What comes for each slice of each tile: what isn't kept from before."""
        keeps = self.plan.keep_own if own else self.plan.keep_shared == "core"
        outer = self.plan.own_outer if own else not self.plan.own_outer
        found: list[tuple[Place, int, set[Place]]] = []
        held: dict[int, set[Place]] = {}
        for number, tile in enumerate(self.tiles):
            before = self.tiles[number - 1] if number else None
            fresh_group = before is None or before[0] != tile[0]
            side = 1 if own else 2
            same = before is not None and not fresh_group and before[side] == tile[side]
            for place, channels in enumerate(self.slices):
                needs, there = self.needs(own, tile, channels), held.get(place, set())
                if fresh_group or not keeps:
                    there = set()
                found.append((tile, place, needs - there))
                held[place] = needs if outer and keeps and not same else needs | there
        return found

    def outputs(self, tile: Place) -> int:
        _, i, j = tile
        across = len(self.shared_parts[j])
        dealt, core = self.share
        left = len(self.left) * across * self.conv.width if i == self.plan.own_parts - 1 else 0
        return len(self.own_parts[i]) * across * self.conv.width + left // dealt + (core < left % dealt)

    def work(self, whole: bool) -> list[tuple[Place, list[int], int]]:
        """Multiply-accumulates in order, and the slices of the tile that they are of."""
        depth = self.conv.r**2
        found: list[tuple[Place, list[int], int]] = []
        places = [len(part) for part in balanced(range(depth), self.plan.slices)] if whole else []
        for tile in self.tiles:
            sizes = places or [len(channels) * depth for channels in self.slices]
            last = len(sizes) - self.plan.ending if tile == self.tiles[-1] and not self.serial else len(sizes)
            for place, size in enumerate(sizes[:last]):
                found.append((tile, [0] if whole else [place], self.outputs(tile) * size))
            rest = [0] if whole else list(range(last, len(sizes)))
            found.append((tile, rest, self.outputs(tile) * sum(sizes[last:])))
        return found


def replayed(conv: Conv, mapping: Mapping, machine: Machine, core: int, *, serial: bool) -> dict[str, int]:
    """The peaks of operands in a core's memories; asserts that each is there when it is used and that all is done."""
    cores = machine.cores
    replay = Replay(conv, mapping, cores, core, serial=serial)
    mover = next((phases(s) for s in mapping.program if s.role == "mover"), [])
    mine = phases(next(s for s in mapping.program if s.role == "core" and s.index in (core, None)))
    whole = conv.c == 1 and not serial and not (machine.sram and mapping.plan.split != "groups")
    came: dict[tuple[bool, Place, int], int] = {}
    streams = {own: replay.coming(own) for own in (True, False)}
    memory = {own: "wram" if own == replay.by_columns else "nram" for own in (True, False)}
    there, done = Counter[bool](), Counter[bool]()
    used: dict[tuple[bool, Place, int], int] = {}
    work = replay.work(whole)
    at = left = 0
    for now, steps in enumerate(mine):
        casts = [step for step in (mover[now] if now < len(mover) else []) if isinstance(step, Cast)]
        for step in steps:
            if isinstance(step, Compute):
                macs = step.macs
                while macs:
                    tile, slices, size = work[at]
                    taken = min(macs, size - left)
                    macs, left = macs - taken, left + taken
                    for own, place in product((True, False), slices):
                        if taken:
                            assert came[own, tile, place] < now, f"{tile} slice {place} is used in phase {now}"
                            used[own, tile, place] = now
                    if left == size:
                        at, left = at + 1, 0
        for step in (*casts, *steps):
            if isinstance(step, Move | Cast) and step.destination in ("nram", "wram"):
                there[step.destination == memory[True]] += step.size
        for own, stream in streams.items():
            while done[own] < len(stream) and there[own] >= 4 * len(stream[done[own]][2]):
                tile, place, new = stream[done[own]]
                there[own] -= 4 * len(new)
                came[own, tile, place] = now
                done[own] += 1
    assert all(size == 0 for *_, size in work[at:]), "all is computed"
    assert all(done[own] == len(stream) for own, stream in streams.items()), "all comes"
    if any(there.values()):  # cores at a border are taken to need as much as the others
        assert cores > 1, "no more comes than is needed"
        return {"nram": 0, "wram": 0}
    return live(replay, came, used, memory, len(mine))


def live(
    replay: Replay,
    came: dict[tuple[bool, Place, int], int],
    used: dict[tuple[bool, Place, int], int],
    memory: dict[bool, str],
    count: int,
) -> dict[str, int]:
    """The most bytes of each memory that hold elements which are still to be used, over all phases."""
    totals: dict[str, Counter[int]] = {"nram": Counter(), "wram": Counter()}
    for own in (True, False):
        spans: dict[Place, list[int]] = {}
        for tile, place, new in replay.coming(own):
            for element in new:
                if element in spans:
                    totals[memory[own]].update(dict.fromkeys(range(spans[element][0], spans[element][1] + 1), 4))
                spans[element] = [came[own, tile, place]] * 2
            for element in replay.needs(own, tile, replay.slices[place]):
                spans[element][1] = max(spans[element][1], used.get((own, tile, place), 0))
        for first, last in spans.values():
            totals[memory[own]].update(dict.fromkeys(range(first, last + 1), 4))
    return {name: max(sizes.values(), default=0) for name, sizes in totals.items()}


CONVS = st.builds(
    Conv,
    st.integers(1, 5),
    st.sampled_from([1, 1, 2, 4, 8]),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(3, 7),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
).filter(lambda conv: conv.out > 1)


@settings(max_examples=40, deadline=None)
@given(CONVS, st.sampled_from(["dlp-s", "dlp-m4"]), st.booleans(), st.data())
def test_programs_are_honest(conv: Conv, name: str, serial: bool, data: st.DataObject) -> None:
    sizes = [data.draw(st.integers(low, high)) for low, high in ((200, 3000), (60, 1500), (100, 3000))]
    machine = small(name, *sizes)
    problem = layer_problems(conv.group(), "fp32")[0]
    try:
        mapping = (serial_mapping if serial else best_mapping)(problem, machine)
    except CompileError:
        assume(False)
    for core in range(machine.cores):
        peaks = replayed(conv, mapping, machine, core, serial=serial)
        assert peaks["nram"] <= mapping.peak_bytes["nram"] <= machine.nram.capacity_bytes
        assert peaks["wram"] <= mapping.peak_bytes["wram"] <= machine.wram.capacity_bytes
    check(conv, mapping, machine)


def check(conv: Conv, mapping: Mapping, machine: Machine) -> None:
    """Work and traffic are the layer's, and the search's time is the simulator's, or near it with several clusters."""
    time = simulate_tiles(mapping.program, machine)
    outputs = conv.n * conv.g * conv.k * conv.out**2
    assert time.cycles == (mapping.cycles if machine.clusters == 1 else pytest.approx(float(mapping.cycles), rel=0.02))
    assert time.macs == outputs * conv.c * conv.r**2
    assert time.bytes_out == 4 * outputs
    lines = range(conv.lines)
    inputs = sum(len(conv.inputs(g, lines, range(conv.c))) for g in range(conv.g))
    least = inputs + conv.g * conv.k * conv.c * conv.r**2
    least += outputs + conv.g * conv.k if conv.pointwise else 0
    assert time.bytes_in >= 4 * least
    assert mapping.problem.compulsory_bytes == 4 * (least + outputs)
    peak = machine.macs_per_cycle("float32") * machine.cores * machine.clusters
    assert mapping.bound_cycles == max(time.macs / peak, 4 * (least + outputs) / machine.dram_bytes_per_cycle)
    assert time.cycles >= mapping.bound_cycles


@settings(max_examples=30, deadline=None)
@given(CONVS, st.sampled_from(["dlp-s", "dlp-m4"]), st.booleans())
def test_views_and_pointwise_work(conv: Conv, name: str, serial: bool) -> None:
    conv, machine = replace(conv, pointwise=True), load_machine(name)
    for view in layer_problems(conv.group(), "fp32"):
        check(conv, (serial_mapping if serial else best_mapping)(view, machine), machine)


@pytest.mark.parametrize(
    "conv", [Conv(1, 12, 7, 9, 6, 3, 1, 1), Conv(1, 4, 5, 9, 7, 3, 1, 0), Conv(1, 20, 9, 5, 6, 3, 1, 1)], ids=str
)
def test_clusters_do_groups_by_themselves(conv: Conv) -> None:
    """Each of the clusters at work an equal part of the groups, as one cluster would do these alone."""
    machine = load_machine("dlp-m16")
    mapping = best_mapping(layer_problems(conv.group(), "fp32")[0], machine)
    assert mapping.lots > 1
    for core in range(machine.cores):
        peaks = replayed(replace(conv, g=conv.g // mapping.lots), mapping, machine, core, serial=False)
        assert peaks["nram"] <= mapping.peak_bytes["nram"] <= machine.nram.capacity_bytes
        assert peaks["wram"] <= mapping.peak_bytes["wram"] <= machine.wram.capacity_bytes
    check(conv, mapping, machine)
    time = simulate_tiles(mapping.program, machine)
    assert time.bytes_in + time.bytes_out < 1.1 * mapping.problem.compulsory_bytes


def test_shorter_lines_let_a_layer_fit() -> None:
    conv = Conv(1, 1, 2, 1, 64, 3, 1, 1)
    machine = small("dlp-s", 1200, 400, 0)
    plain, *others = layer_problems(conv.group(), "fp32")
    with pytest.raises(CompileError):
        best_mapping(plain, machine)
    check(conv, best_mapping(plain, machine, *others), machine)


@pytest.mark.parametrize("name", ["dlp-s", "dlp-m4", "dlp-m16"])
@pytest.mark.parametrize(
    ("operation", "shapes", "roles"),
    [
        ("matmul", ((3, 50, 40), (3, 40, 30)), (3, 50, 40, 30)),
        ("linear", ((1, 100, 60), (80, 60)), (1, 100, 60, 80)),
    ],
)
def test_products(name: str, operation: str, shapes: tuple[Place, Place], roles: Place) -> None:
    builder = GraphBuilder("product")
    x = builder.input("x", shapes[0])
    y = builder.input("y", shapes[1]) if operation == "matmul" else builder.weight("y", shapes[1])
    problem = layer_problems(fuse(builder.graph(builder.node("z", operation, x, y)))[0], "fp32")[0]
    assert (problem.groups, problem.rows, problem.summed, problem.columns) == roles
    machine = load_machine(name)
    mapping = best_mapping(problem, machine)
    assert simulate_tiles(mapping.program, machine).macs == roles[0] * roles[1] * roles[2] * roles[3]
