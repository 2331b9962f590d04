"""Groups on several cores: parts make up the whole, values are one core's, cores wait where they must, time is near."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import permutations, product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.footprint import _touches, barriers
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.options import SPLITS, Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.split import Part, Split, Work, best_split, share, split
from tilework.compiler.tile import tile
from tilework.compiler.tile_front import SLACK
from tilework.errors import CompileError
from tilework.frontend.resolve import resolve
from tilework.frontend.weight_files import seeded
from tilework.isa.program import Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine, Sram
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.nest import Access
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races
from tilework.simulator.structure import analyse, walk

Array = npt.NDArray[Any]
Compile = Callable[..., Compilation]
Inputs = Callable[[Graph], dict[str, Array]]
Small = Callable[..., Machine]

IMAGE = "graph net\ninput x float32[{n},4,8,6]\n"
NETWORKS = {
    "convolutions with pooling": IMAGE
    + """parameter w float32[6,4,3,3]
parameter b float32[6]
parameter v float32[7,6,3,3]
parameter u float32[9,14]
y = conv2d(x, w, b, padding=[1,1])
r = relu(y)
p = max_pool2d(r)
z = conv2d(p, v, stride=[2,2], padding=[1,1])
q = avg_pool2d(z, kernel=[3,3], stride=[1,1], padding=[1,1])
s = adaptive_avg_pool2d(q, output=[2,1])
f = flatten(s)
o = linear(f, u)
output o
""",
    "layers of neurons": """graph net
input x float32[{n},30]
parameter w float32[20,30]
parameter b float32[20]
parameter v float32[7,20]
y = linear(x, w, b)
r = tanh(y)
z = linear(r, v)
s = softmax(z)
output s
""",
    "depthwise": IMAGE
    + """parameter w float32[4,1,3,3]
parameter v float32[5,4,1,1]
y = conv2d(x, w, groups=4, padding=[1,1])
r = clip(y, low=-0.5, high=0.5)
z = conv2d(r, v)
output z
""",
    "residual": IMAGE
    + """parameter w float32[4,4,3,3]
y = conv2d(x, w, padding=[1,1])
z = add(y, x)
r = relu(z)
c = concat(r, x, axis=1)
t = transpose(c, order=[0,2,3,1])
output t
output r
""",
}
CHIP = {2: (1, 4), 3: (1, 4), 4: (1, 4), 16: (4, 4)}  # clusters and cores of the machine that has so many


def chip(machine: Machine, cores: int) -> Machine:
    clusters, each = CHIP[cores]
    return replace(machine, clusters=clusters, cores=each)


def network(name: str, batch: int) -> Graph:
    return parse_graph(NETWORKS[name].format(n=batch))


def places(access: Access, group: Group) -> set[tuple[int, ...]]:
    """Every place that an access names, one by one, those outside the tensor left out."""
    names = sorted(access.loops())
    found = set()
    for point in product(*(range(group.extents[name]) for name in names)):
        at = dict(zip(names, point, strict=True))
        found.add(tuple(axis.at(at) for axis in access.index))
    shape = group.tensors[access.tensor].shape
    return {place for place in found if all(0 <= i < size for i, size in zip(place, shape, strict=True))}


def independent(group: Group) -> list[str]:
    """The loops in the index of what each nest makes: their iterations need nothing of each other."""
    made = [nest.output.loops() for nest in group.nests]
    return [loop for loop, extent in group.loops if extent > 1 and all(loop in loops for loops in made)]


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_parts_write_disjoint_places_and_together_all(name: str, cores: int) -> None:
    for group in fuse(network(name, 3)):
        whole = places(group.output, group)
        for loop in independent(group):
            number = min(cores, group.extents[loop])
            parts = split(group, ((loop, number),))
            written = [places(part.output, part) for part in parts]
            assert sum(map(len, written)) == len(whole)
            assert set().union(*written) == whole
            sizes = [part.extents[loop] for part in parts]
            assert len(parts) == number
            assert sizes == sorted(sizes, reverse=True)
            assert sizes[0] - sizes[-1] <= 1
            assert sum(part.macs for part in parts) == group.macs


@pytest.mark.parametrize("name", NETWORKS)
def test_a_grid_of_parts(name: str) -> None:
    """Along two loops: disjoint, all together, in the order of the cut's loops, and each with its twins."""
    for group in fuse(network(name, 3)):
        whole = places(group.output, group)
        tiling = tile(group, load_machine("dlp-s"))
        for one, other in permutations(independent(group), 2):
            cut = (one, min(3, group.extents[one])), (other, 2)
            parts = split(group, cut)
            written = [places(part.output, part) for part in parts]
            assert sum(map(len, written)) == len(whole)
            assert set().union(*written) == whole
            work = Work(group, cut, (Part(group, tiling),) * len(parts))
            for number in range(len(parts)):
                assert work.twin(number, {one, other}) == number
                assert work.twin(number, {one}) == number - number % 2
                assert work.twin(number, {other}) == number % 2
                assert work.twin(number, set()) == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_read_what_the_whole_reads(name: str) -> None:
    """Access by access, the places that the parts read are those of the whole; halos are in two of them."""
    for group in fuse(network(name, 2)):
        for loop in independent(group):
            parts = split(group, ((loop, min(4, group.extents[loop])),))
            for number, (nest, access) in enumerate(group.external_reads):
                reads = [part.external_reads[number] for part in parts]
                assert {where for where, _ in reads} == {nest}
                found = [places(read, part) for (_, read), part in zip(reads, parts, strict=True)]
                assert set().union(*found) == places(access, group)


def test_uneven_parts_and_idle_cores() -> None:
    (group,) = fuse(
        parse_graph("graph g\ninput x float32[5,9]\nparameter w float32[6,9]\ny = linear(x, w)\noutput y\n")
    )
    assert [part.extents["n"] for part in split(group, (("n", 4),))] == [2, 1, 1, 1]
    assert [part.extents["k"] for part in split(group, (("k", 4),))] == [2, 2, 1, 1]
    assert [part.output.index[0].offset for part in split(group, (("n", 2),))] == [0, 3]
    assert [part.output.index[0].offset for part in split(group, (("n", 2), ("k", 2)))] == [0, 0, 3, 3]
    assert split(group, ()) == (group,)


def test_which_loops_are_split(small: Small) -> None:
    machine = chip(small(), 4)
    (group,) = fuse(network("layers of neurons", 4))[:1]
    assert best_split(group, machine, 4, "data").cut == (("n", 4),)
    assert best_split(group, machine, 4, "model").cut == (("k", 4),)
    (single,) = fuse(network("layers of neurons", 1))[:1]
    assert best_split(single, machine, 4, "data").cut == ()
    assert best_split(group, machine, 1, "model").cut == ()


def test_of_the_fastest_by_estimate_one_of_least_traffic_is_chosen(small: Small) -> None:
    machine = chip(small(), 4)
    for name in NETWORKS:
        for group in fuse(network(name, 4)):
            found = [best_split(group, machine, 4, mode) for mode in SPLITS] + [best_split(group, machine, 1, "auto")]
            least = min(each.tiling.cycles for each in found)
            fast = [each for each in found if each.tiling.cycles <= (1 + SLACK) * least]
            best, traffic = found[SPLITS.index("auto")], min(map(moved, fast))
            assert best.tiling.cycles <= (1 + SLACK) ** 2 * least
            assert moved(best) <= (1 + SLACK) * traffic or best.tiling.cycles < least


def moved(found: Split) -> float:
    """Bytes to and from DRAM of all parts."""
    return found.tiling.dram_bytes * prod(parts for _, parts in found.cut)


def test_a_core_sees_its_share_of_the_memory(small: Small) -> None:
    machine = small()
    assert share(machine, 4).dram_bytes_per_cycle == machine.dram_bytes_per_cycle / 4
    assert share(machine, 1) == machine


def phases(program: Program) -> int:
    """How many stretches the barriers cut a program into, the same for every stream."""
    numbers = {sum(i.mnemonic == "barrier" for i in stream.instructions) for stream in program.streams}
    assert len(numbers) == 1
    return 1 + numbers.pop()


def backwards(program: Program) -> Program:
    """Each core with the code of another one: from barrier to barrier the last is executed first."""
    first, *codes = (stream.instructions for stream in reversed(program.streams))
    others = (replace(stream, instructions=code) for stream, code in zip(program.others, codes, strict=True))
    return replace(program, instructions=first, others=tuple(others), layers=())


def assert_close(got: Mapping[str, Array], want: Mapping[str, Array]) -> None:
    assert got.keys() == want.keys()
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-4, atol=1e-5 * float(np.abs(values).max()), err_msg=name)


def check(graph: Graph, machine: Machine, cores: int, mode: str, inputs: dict[str, Array]) -> Compilation:
    """The values are those of one core in whatever order the cores run, nothing races, and no bound is beaten."""
    weights = seeded(graph, 3)
    program = compile_graph(graph, weights, machine, Options(cores=1)).program
    compilation = compile_graph(graph, weights, machine, Options(cores=cores, split=mode))
    several = compilation.program
    assert sum(stream.role == "core" for stream in several.streams) <= cores
    assert all(len(layer.ranges) == len(several.streams) for layer in several.layers)
    want, got = run(program, inputs), run(several, inputs)
    assert_close(got, want)
    if several.streams[-1].role == "core":
        again = run(backwards(several), inputs)
        assert all(np.array_equal(again[name], values, equal_nan=True) for name, values in got.items())
    assert find_races(several) == []
    result = simulate(several)
    assert result.dram_bytes >= result.compulsory_bytes
    assert result.cycles >= result.bound_cycles
    assert result.macs == sum(group.macs for group in compilation.groups)
    return compilation


@pytest.mark.parametrize(("batch", "cores"), [(1, 4), (1, 16), (4, 2), (4, 3), (6, 4), (6, 16)])
@pytest.mark.parametrize("mode", SPLITS)
@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_one_core(
    name: str, batch: int, mode: str, cores: int, small: Small, random_inputs: Inputs
) -> None:
    graph = network(name, batch)
    compilation = check(graph, chip(small(2000, 1000), cores), cores, mode, random_inputs(graph))
    program = compilation.program
    if mode == "data":
        assert phases(program) == 1, "each core goes on with its own inputs, and need not wait"
        assert len(program.streams) == len(range(0, batch, -(-batch // cores)))
    if mode == "model":
        assert len(program.streams) > 1


def test_the_same_sums_give_the_same_bits(small: Small, random_inputs: Inputs) -> None:
    """On scratchpads that hold everything each sum is one instruction's, and parts add as the whole does."""
    graph = parse_graph(
        "graph g\ninput x float32[4,3,8,8]\nparameter w float32[8,3,3,3]\ny = conv2d(x, w)\nr = relu(y)\noutput r\n"
    )
    machine, inputs = chip(small(1 << 20, 1 << 20), 4), random_inputs(graph)
    want = run(compile_graph(graph, seeded(graph), machine, Options(cores=1)).program, inputs)
    for mode in SPLITS:
        got = run(compile_graph(graph, seeded(graph), machine, Options(split=mode)).program, inputs)
        np.testing.assert_allclose(got["r"], want["r"], rtol=1e-6, atol=1e-6)


def test_shared_weights_are_stored_once(small: Small) -> None:
    graph = network("layers of neurons", 4)
    machine = chip(small(), 4)
    one = compile_graph(graph, seeded(graph), machine, Options(cores=1))
    data = compile_graph(graph, seeded(graph), machine, Options(split="data"))
    assert data.program.weight_bytes == one.program.weight_bytes
    packed = data.dram.packed
    assert {packed[0, part, index] for place, part, index in packed if place == 0} == {packed[0, 0, 1]}


def test_cores_that_need_not_wait(small: Small) -> None:
    """Two layers split along the batch run freely; where the second is split along its columns it waits."""
    machine = chip(small(), 4)
    groups = fuse(network("layers of neurons", 4))[:2]
    rows = [best_split(group, machine, 4, "data").apply(group) for group in groups]
    columns = [best_split(group, machine, 4, "model").apply(group) for group in groups]
    addresses = {name: 10_000 * number for number, name in enumerate(("x", "r", "z"))}
    assert barriers(rows, addresses) == [False, False]
    assert barriers([rows[0], columns[1]], addresses) == [False, True]
    assert barriers([columns[0], rows[1]], addresses) == [False, True]
    again = addresses | {"z": addresses["x"]}  # the second layer's output takes the place of the first one's input
    assert barriers(rows, again) == [False, True]


def test_activations_share_space_only_where_it_is_short(small: Small, random_inputs: Inputs) -> None:
    text = "graph g\ninput x float32[4,64]\n" + "".join(
        f"y{i} = relu({'x' if i == 0 else f'z{i - 1}'})\nz{i} = softmax(y{i})\n" for i in range(4)
    )
    graph = parse_graph(text + "output z3\n")
    machine = chip(small(), 4)
    roomy = compile_graph(graph, seeded(graph), machine, Options(split="data"))
    assert phases(roomy.program) == 1
    tight = replace(machine, dram=replace(machine.dram, capacity_bytes=roomy.dram.total_bytes - 1))
    compilation = check(graph, tight, 4, "data", random_inputs(graph))
    assert compilation.dram.total_bytes < roomy.dram.total_bytes
    assert phases(compilation.program) > 1


def test_one_core_of_several_has_the_program_of_one(small: Small) -> None:
    graph = network("convolutions with pooling", 2)
    alone = compile_graph(graph, seeded(graph), small()).program
    first = compile_graph(graph, seeded(graph), chip(small(), 4), Options(cores=1)).program
    assert first.others == alone.others == ()
    assert first.instructions == alone.instructions
    assert first.layers == alone.layers


def test_cores_are_numbered_cluster_by_cluster(small: Small) -> None:
    graph = network("convolutions with pooling", 6)
    program = compile_graph(graph, seeded(graph), chip(small(), 16), Options(cores=6, split="data")).program
    assert [stream.name for stream in program.streams] == [f"core {n // 4} {n % 4}" for n in range(6)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cores": 5}, "cores must be from 1 to the 4 of tiny, not 5; correct it"),
        ({"cores": 0}, "cores must be from 1 to the 4 of tiny, not 0; correct it"),
        ({"split": "rows"}, "split must be one of auto, data, model, not 'rows'; correct it"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], message: str, small: Small) -> None:
    graph = network("layers of neurons", 1)
    with pytest.raises(CompileError) as caught:
        compile_graph(graph, seeded(graph), chip(small(), 4), Options(**options))
    assert str(caught.value) == message


def test_a_work_as_text(small: Small) -> None:
    graph = network("layers of neurons", 4)
    text = compile_graph(graph, seeded(graph), chip(small(), 4), Options(split="data")).text("tile")
    assert text.startswith("y: 4 parts of n | tiles ")


def test_lenet5_on_the_chips(random_inputs: Inputs) -> None:
    graph = resolve("lenet5", 6)
    for name, cores in (("dlp-m4", 4), ("dlp-m16", 16)):
        compilation = check(graph, load_machine(name), cores, "auto", random_inputs(graph))
        assert len(compilation.program.streams) > 1


def with_sram(machine: Machine, size: int) -> Machine:
    return replace(machine, sram=Sram(size, 64e9, 2, 1.0, ports=2)) if size else machine


@settings(max_examples=40, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_networks(data: Any, draw: Callable[[Any], Any], random_inputs: Inputs) -> None:
    graph, compilation = draw(data)
    cores, size = data.draw(st.sampled_from(sorted(CHIP))), data.draw(st.sampled_from((0, 256, 2048, 1 << 16)))
    machine = with_sram(chip(compilation.program.machine, cores), size)
    check(graph, machine, cores, data.draw(st.sampled_from(SPLITS)), random_inputs(graph))


LAYER = """graph g
input x float32[4,64]
parameter w float32[{k},64]
y = linear(x, w)
output y
"""


@pytest.mark.parametrize(
    ("size", "columns", "chunks"),
    [
        (1 << 14, 32, 1),  # 8192 bytes of weights in half of the SRAM
        (1 << 13, 32, 2),
        (1 << 12, 32, 4),  # 8 columns in 2048 bytes
        (1 << 12, 30, 4),  # the last chunk is smaller
        (1 << 11, 31, 8),
    ],
)
@pytest.mark.parametrize("cores", [2, 4])
def test_weights_come_from_dram_once_for_a_cluster(
    size: int, columns: int, chunks: int, cores: int, small: Small, random_inputs: Inputs
) -> None:
    graph = parse_graph(LAYER.format(k=columns))
    machine = with_sram(chip(small(4096, 1024), 4), size)
    compilation = check(graph, machine, cores, "data", random_inputs(graph))
    (work,) = compilation.works
    assert work.chunks >= chunks
    assert [stream.name for stream in compilation.program.streams[cores:]] == ["mover 0"]
    loaded = [0 for _ in compilation.program.streams]
    for number, stream in enumerate(compilation.program.streams):
        for place, _ in walk(stream.instructions, analyse(stream.instructions, stream.role)):
            descriptor = stream.instructions[place].descriptor
            if descriptor and descriptor.sources and descriptor.operands[-1].memory == "dram":
                loaded[number] += 4 * descriptor.iterations
    assert loaded[-1] == 4 * 64 * columns, "the whole weight, once"
    alone = replace(machine, sram=None)
    without = compile_graph(graph, seeded(graph, 3), alone, Options(cores=cores, split="data")).program
    assert simulate(without).dram_bytes > simulate(compilation.program).dram_bytes
    assert simulate(without).cycles > simulate(compilation.program).cycles


@pytest.mark.parametrize("columns", [32, 40])
def test_chunks_that_are_waited_for_have_the_whole_sram(columns: int, small: Small, random_inputs: Inputs) -> None:
    """Of a long layer and a weight that is larger than half of the SRAM; after it comes one that has two slots."""
    text = LAYER.format(k=columns).replace("[4,64]", "[1600,64]").replace("output y\n", "")
    graph = parse_graph(f"{text}parameter v float32[5,{columns}]\nz = linear(y, v)\noutput z\n")
    machine = with_sram(chip(small(4096, 1024), 2), 6144)
    first, second = check(graph, machine, 2, "data", random_inputs(graph)).works
    assert first.slots == 1
    assert first.chunks > 1
    assert (second.slots, second.chunks) == (2, 1)


def test_each_cluster_has_its_own_copy(small: Small, random_inputs: Inputs) -> None:
    graph = parse_graph(LAYER.format(k=32))
    machine = replace(with_sram(small(4096, 1024), 1 << 14), clusters=2, cores=2)
    program = check(graph, machine, 4, "data", random_inputs(graph)).program
    assert [stream.name for stream in program.streams] == [
        *("core 0 0", "core 0 1", "core 1 0", "core 1 1"),
        *("mover 0", "mover 1"),
    ]
    assert simulate(program).dram_bytes == 4 * (4 * 64 + 2 * 64 * 32 + 4 * 32)


def test_each_cluster_has_its_own_part_of_a_weight(small: Small, random_inputs: Inputs) -> None:
    """Weights come once, and inputs once for each cluster, whose cores share its part of the weights."""
    graph = parse_graph(LAYER.format(k=64).replace("[4,64]", "[16,64]"))
    machine = replace(with_sram(small(8192, 4096), 1 << 15), clusters=2, cores=2)
    machine = replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=16e9))
    compilation = check(graph, machine, 4, "auto", random_inputs(graph))
    (work,) = compilation.works
    assert (work.cut, work.chunks > 0) == ((("k", 2), ("n", 2)), True)
    assert simulate(compilation.program).dram_bytes == 4 * (2 * 16 * 64 + 64 * 64 + 16 * 64)


def test_uneven_parts_of_a_weight_come_from_dram(small: Small, random_inputs: Inputs) -> None:
    """Movers of all clusters meet before each chunk, so all need as many."""
    graph = parse_graph(LAYER.format(k=63).replace("[4,64]", "[16,64]"))
    machine = replace(with_sram(small(8192, 4096), 1 << 15), clusters=2, cores=2)
    machine = replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=16e9))
    (work,) = check(graph, machine, 4, "auto", random_inputs(graph)).works
    assert not (work.chunks and "k" in dict(work.cut))


def test_boxes_hold_what_is_touched(small: Small) -> None:
    """A footprint is a box around the places, cut to the tensor: never too small."""
    for name in NETWORKS:
        for group in fuse(network(name, 2)):
            work: Work = best_split(group, chip(small(), 4), 4, "auto").apply(group)
            for touch in _touches(work):
                part = work.parts[touch.core].group
                accesses = [part.output] if touch.writes else [a for _, a in part.external_reads]
                touched = [places(a, part) for a in accesses if a.tensor == touch.tensor]
                sizes = prod(high - low + 1 for low, high in touch.box)
                inside = [
                    {p for p in found if all(a <= i <= b for i, (a, b) in zip(p, touch.box, strict=True))}
                    for found in touched
                ]
                assert any(len(kept) == len(found) <= sizes for kept, found in zip(inside, touched, strict=True))
