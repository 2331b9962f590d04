"""Groups in two steps: partial sums of several cores give the values of one sum, and are taken where it is quicker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.options import Options
from tilework.compiler.partial import in_parts, ways
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.resident import gaps
from tilework.compiler.steps import StepSearch
from tilework.errors import CompileError
from tilework.executable import compile_network, load_executable, measure, random_inputs
from tilework.frontend.weight_files import given as given_weights
from tilework.frontend.weight_files import seeded
from tilework.isa.numbers import from_float32, to_float32
from tilework.machine.machine import Machine, Sram
from tilework.network.execute import execute, run_nest
from tilework.network.graph import Graph, Tensor
from tilework.network.graph_text import parse_graph
from tilework.network.training import training_step
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races

Array = npt.NDArray[Any]
Small = Callable[..., Machine]
Inputs = Callable[[Graph], dict[str, Array]]

LONG = """graph long
input x float32[{n},{c}]
parameter w float32[{k},{c}]
parameter b float32[{k}]
y = linear(x, w, b)
r = relu(y)
output r
"""
DEEP = """graph deep
input x float32[2,{c},6,6]
parameter w float32[3,{c},3,3]
parameter b float32[3]
y = conv2d(x, w, b, padding=[1,1])
r = relu(y)
p = max_pool2d(r)
output p
"""


def chip(machine: Machine, cores: int = 4, sram: int = 0) -> Machine:
    room = Sram(sram, 64e9, 2, 1.0, ports=2) if sram else None
    return replace(machine, clusters=1, cores=cores, sram=room)


def stepped(compilation: Compilation) -> list[Group]:
    """The groups that are computed in two steps."""
    return [works[0].whole for works in compilation.layers if works[0].whole]


def force(patch: pytest.MonkeyPatch, turn: int) -> None:
    """Compute every group that can be in two steps, in one of the ways that there are."""

    def best(self: StepSearch, group: Group, machine: Machine, whole: object, room: int) -> tuple[str, int] | None:
        every = ways(group, self.options.cores_of(machine))
        found = [way for way in every if self._steps(group, way, machine, room, "parts")]
        return found[turn % len(found)] if found else None

    patch.setattr(StepSearch, "_best", best)


def values(group: Group, steps: tuple[Group, ...]) -> Array:
    """What groups make of whole numbers, nest by nest in NumPy."""
    generator = np.random.default_rng(1)
    tensors = group.tensors | {name: tensor for step in steps for name, tensor in step.tensors.items()}
    made = {nest.output.tensor for step in steps for nest in step.nests}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    given = sorted(tensors.keys() - made)
    arrays: dict[str, Array] = {name: generator.integers(-4, 5, shapes[name]).astype(np.float64) for name in given}
    for nest in (nest for step in steps for nest in step.nests):
        run_nest(nest, arrays, shapes, np.float64)
    return arrays[group.output.tensor]


@pytest.mark.parametrize("text", [LONG.format(n=3, c=12, k=5), DEEP.format(c=4)])
def test_the_two_steps_are_the_group(text: str) -> None:
    for group in fuse(parse_graph(text)):
        want, found = values(group, (group,)), list(ways(group, 4))
        assert bool(found) == (group.main.update == "+=")
        for loop, parts in found:
            steps = in_parts(group, loop, parts, "parts")
            np.testing.assert_array_equal(values(group, steps), want)
            assert sum(step.macs for step in steps) == group.macs
            assert steps[0].tensors["parts"].shape[0] == parts
            assert steps[0].local == set()


def test_the_ways_are_parts_of_equal_size() -> None:
    (group,) = fuse(parse_graph(LONG.format(n=3, c=12, k=5)))
    assert list(ways(group, 4)) == [("c", 4), ("c", 3), ("c", 2)]
    assert list(ways(group, 100)) == [("c", 12), ("c", 6), ("c", 4), ("c", 3), ("c", 2)]
    assert list(ways(group, 1)) == []
    assert list(ways(replace(group, on_lanes=frozenset({1})), 4)) == []
    (group,) = fuse(parse_graph(LONG.format(n=3, c=13, k=5)))
    assert list(ways(group, 4)) == []


def test_a_sum_that_other_nests_go_over_stays_whole() -> None:
    text = "graph g\ninput x float32[4,16]\ns = softmax(x)\noutput s\n"
    (group,) = fuse(parse_graph(text))
    assert list(ways(group, 4)) == []


def test_text(monkeypatch: pytest.MonkeyPatch, small: Small) -> None:
    force(monkeypatch, 0)
    graph = parse_graph(LONG.format(n=2, c=64, k=3))
    compilation = compile_graph(graph, seeded(graph), chip(small()))
    first, second = compilation.text("tile").splitlines()
    assert first.startswith("y: 4 parts of the sum over c | tiles ")
    assert second.startswith(("y: 3 parts of k | tiles ", "y: 2 parts of n | tiles ", "y: tiles "))
    assert "y:t:parts[c_part,n,k] += x[n,16*c_part+c] * w[k,16*c_part+c]" in compilation.text("fuse")
    assert "y:t[n,k] += y:t:parts[c_part,n,k]" in compilation.text("fuse")
    assert " y:t:parts\n" in compilation.text("allocate")


def check(graph: Graph, machine: Machine, inputs: dict[str, Array], want: dict[str, Array]) -> Compilation:
    """Values, races, bounds and what the layers say of a network's program."""
    compilation = compile_graph(graph, seeded(graph, 3), machine)
    got = run(compilation.program, inputs)
    for name, array in want.items():
        scale = float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=1e-5 * scale, err_msg=name)
    assert find_races(compilation.program) == []
    result = simulate(compilation.program)
    assert result.cycles >= result.bound_cycles
    assert result.dram_bytes >= result.dram_bytes_bound
    assert len(result.layers) == len(compilation.layers)
    for layer, works in zip(result.layers, compilation.layers, strict=True):
        assert layer.macs == (works[0].whole or works[0].group).macs
    return compilation


@settings(max_examples=10, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_networks_in_parts(data: Any, draw: Callable[[Any], Any], random_inputs: Inputs) -> None:
    graph, alone = draw(data)
    inputs = random_inputs(graph)
    want = run(alone.program, inputs)
    machine = chip(alone.program.machine, data.draw(st.integers(2, 6)), data.draw(st.sampled_from((0, 2048, 1 << 16))))
    with pytest.MonkeyPatch.context() as patch:
        force(patch, data.draw(st.integers(0, 5)))
        check(graph, machine, inputs, want)


def test_parts_lie_in_the_sram_beside_what_stays_there(
    monkeypatch: pytest.MonkeyPatch, small: Small, random_inputs: Inputs
) -> None:
    """In a gap, so that the movers have as much of it as without; what doesn't fit there goes through DRAM."""
    layers = "".join(
        f"parameter w{i} float32[{6 if i == 3 else 64},64]\ny{i} = linear({'x' if i == 0 else f'y{i - 1}'}, w{i})\n"
        for i in range(4)
    )
    graph = parse_graph(f"graph g\ninput x float32[16,64]\n{layers}output y3\n")
    inputs = random_inputs(graph)
    want = run(compile_graph(graph, seeded(graph, 3), small()).program, inputs)
    force(monkeypatch, 0)
    dram = check(graph, chip(small(), sram=1 << 16), inputs, want).dram
    assert dram.resident.keys() == {"y0", "y1", "y2", "y3:parts"}
    assert {name for name in dram.plain if name.endswith(":parts")} == {"y0:parts", "y1:parts", "y2:parts"}
    assert dram.resident["y3:parts"] >= min(dram.resident[name] for name in ("y0", "y1", "y2"))


@settings(max_examples=50, derandomize=True, deadline=None)
@given(data=st.data())
def test_gaps_are_free_and_no_free_place_is_larger(data: Any, small: Small) -> None:
    """Beside a chain of values some of which are resident, each alive in two groups."""
    text = "graph g\ninput x float32[32]\n" + "".join(
        f'y{i} = pointwise({"x" if i == 0 else f"y{i - 1}"}, body="tanh(x0)")\n' for i in range(5)
    )
    graph = parse_graph(text + "output y4\n")
    groups, machine = fuse(graph, across=False), chip(small(), sram=1024)
    names = data.draw(st.sets(st.sampled_from([f"y{i}" for i in range(4)])))
    resident = {name: 64 * data.draw(st.integers(2, 14)) for name in sorted(names)}
    found = gaps(graph, groups, machine, resident)
    assert len(found) == len(groups)
    for place, gap in enumerate(found):
        alive = [address for name, address in resident.items() if int(name[1]) in (place, place - 1)]
        blocks = range(min(resident.values(), default=1024), 1024, 64)
        free = [all(not (address <= block < address + 128) for address in alive) for block in blocks]
        runs = [len(list(same)) for value, same in groupby(free) if value]
        assert gap.size_bytes == 64 * max(runs, default=0)
        inside = range(gap.address, gap.address + gap.size_bytes, 64)
        assert all(block in blocks and free[blocks.index(block)] for block in inside)


@settings(max_examples=5, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_products_in_parts(data: Any, random_inputs: Inputs, small: Small) -> None:
    """Of few outputs and long sums, in any number of parts, on scratchpads of any size."""
    sizes = {"n": data.draw(st.integers(1, 4)), "k": data.draw(st.integers(1, 5))}
    cores = data.draw(st.integers(2, 8))
    text = data.draw(st.sampled_from((LONG, DEEP))).format(c=data.draw(st.integers(1, 6)) * cores, **sizes)
    graph = parse_graph(text)
    inputs, machine = (
        random_inputs(graph),
        small(4 * data.draw(st.integers(60, 1000)), 4 * data.draw(st.integers(40, 1000))),
    )
    with pytest.MonkeyPatch.context() as patch:
        try:
            want = run(compile_graph(graph, seeded(graph, 3), machine).program, inputs)
        except CompileError:
            return
        force(patch, 0)
        compilation = check(graph, chip(machine, cores), inputs, want)
        assert stepped(compilation)


def test_a_long_sum_is_shared_where_that_is_quicker(small: Small) -> None:
    """Few outputs and a long sum, in four parts; the other way round the outputs are shared."""
    graph = parse_graph(LONG.format(n=1, c=4000, k=1))
    machine = fast(chip(small()))
    compilation = compile_graph(graph, seeded(graph), machine, measure=measure)
    assert compilation.text("tile").startswith("y: 4 parts of the sum over c | ")
    for options in (Options(split="data"), Options(split="model"), Options(cores=1)):
        other = compile_graph(graph, seeded(graph), machine, options, measure=measure)
        assert stepped(other) == []
        assert simulate(other.program).cycles > 2 * simulate(compilation.program).cycles
    graph = parse_graph(LONG.format(n=1, c=40, k=100))
    assert stepped(compile_graph(graph, seeded(graph), machine, measure=measure)) == []


def fast(machine: Machine) -> Machine:
    """A machine whose time is that of its arithmetic."""
    return replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=1e12, latency_cycles=0))


@pytest.mark.parametrize("objective", ["time", "traffic", "energy", "edp"])
@pytest.mark.parametrize(("n", "c", "k"), [(1, 4000, 1), (2, 512, 3), (5, 96, 7), (3, 100, 40)])
def test_never_for_the_worse(
    n: int, c: int, k: int, objective: str, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = parse_graph(LONG.format(n=n, c=c, k=k))
    machine, options = fast(chip(small())), Options(objective=objective)
    found = simulate(compile_graph(graph, seeded(graph), machine, options, measure=measure).program)
    monkeypatch.setattr(StepSearch, "_best", lambda *given: None)
    whole = simulate(compile_graph(graph, seeded(graph), machine, options, measure=measure).program)
    assert VALUE[objective](found) <= VALUE[objective](whole)


VALUE: dict[str, Callable[[Any], float]] = {
    "time": lambda cost: cost.cycles,
    "traffic": lambda cost: cost.dram_bytes,
    "energy": lambda cost: cost.energy_joules,
    "edp": lambda cost: cost.energy_joules * cost.cycles,
}


def test_a_layer_in_two_steps_is_one(small: Small) -> None:
    """Its bound is the whole group's; the sums of its parts are traffic."""
    graph = parse_graph(LONG.format(n=1, c=4000, k=1))
    machine = fast(chip(small()))
    two = compile_graph(graph, seeded(graph), machine, measure=measure).program
    one = compile_graph(graph, seeded(graph), machine, Options(split="data"), measure=measure).program
    (layer,), (whole,) = two.layers, one.layers
    bounds = ("name", "operation", "macs", "compulsory_bytes", "communication_bytes", "ahead_bytes", "array_cycles")
    assert all(getattr(layer, field) == getattr(whole, field) for field in bounds)
    assert layer.name == "y+r"
    assert [last for _, last in layer.ranges] == [len(stream.instructions) - 1 for stream in two.streams]
    assert simulate(two).dram_bytes == simulate(one).dram_bytes + 2 * 4 * 4


def test_int8_sums_stay_exact(small: Small) -> None:
    """The vector unit adds up the parts in float32, which holds the sums of few products only."""
    graph = parse_graph("graph g\ninput x int8[1,1024]\nparameter w int8[1,1024]\ny = linear(x, w)\noutput y\n")
    (group,) = fuse(graph)
    tensors = group.tensors | {"y": Tensor("y", (1, 1), "int32")}
    whole = replace(group, tensors=tensors)
    assert ("c", 4) in ways(whole, 4)
    assert in_parts(whole, "c", 4, "parts")[0].tensors["parts"].dtype == "int32"
    longer = tuple((name, 2 * extent if name == "c" else extent) for name, extent in whole.loops)
    nest = replace(whole.main, loops=longer)
    assert list(ways(replace(whole, loops=longer, nests=(nest,)), 4)) == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_parts_of_16_bit_sums_are_float32(dtype: str, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they are rounded once, when all is added up."""
    machine = chip(small(512, 512))
    machine = replace(machine, matrix=replace(machine.matrix, rates={"float32": 1, dtype: 1}))
    machine = replace(machine, matrix=replace(machine.matrix, energy_per_mac_joules={"float32": 1.0, dtype: 1.0}))
    graph = parse_graph("graph g\ninput x float32[1,2048]\nparameter w float32[1,2048]\ny = linear(x, w)\noutput y\n")
    inputs = {"x": np.full((1, 2048), 1.0, np.float32)}
    weights = given_weights({"w": np.full((1, 2048), 1 + 2**-7, np.float32)}, graph)
    force(monkeypatch, 0)
    compilation = compile_graph(graph, weights, machine, Options(dtype=dtype))
    assert compilation.works[0].group.tensors["y:parts"].dtype == "float32"
    assert run(compilation.program, inputs)["y"] == to_float32(from_float32(np.float32(2048 + 16), dtype), dtype)


CONV = """graph conv
input x float32[8,2,20,20]
parameter w float32[3,2,3,3]
parameter b float32[3]
y = conv2d(x, w, b, padding=[1,1])
z = reduce(y, axes=[2,3], keep=false, mean=true, update="+=")
output z
"""


def test_a_training_step(tmp_path: Path) -> None:
    """Values as in NumPy, the same program each time, and again from its file."""
    graph, machine = training_step(parse_graph(CONV)), "dlp-m4"
    executable = compile_network(graph, machine, seed=3)
    assert executable.compilation is not None
    assert stepped(executable.compilation)
    inputs = random_inputs(executable)
    found = executable.run(*inputs.values())
    want = execute(graph, seeded(graph, 3), inputs)
    for name in graph.outputs:
        scale = float(np.abs(want[name]).max())
        np.testing.assert_allclose(found[name], want[name], rtol=1e-4, atol=1e-5 * scale, err_msg=name)
    executable.save(tmp_path / "one.tile")
    compile_network(graph, machine, seed=3).save(tmp_path / "two.tile")
    assert (tmp_path / "one.tile").read_bytes() == (tmp_path / "two.tile").read_bytes()
    again = load_executable(tmp_path / "one.tile")
    assert again.cost.cycles == executable.cost.cycles >= executable.cost.bound_cycles
    assert all(np.array_equal(again.run(*inputs.values())[name], found[name]) for name in graph.outputs)


def test_a_network_as_in_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, 0)
    text = DEEP.format(c=8).replace("output p", "parameter v float32[5,27]\nf = flatten(p)\nl = linear(f, v)\noutput l")
    executable = compile_network(parse_graph(text), "dlp-m4", seed=3)
    assert executable.compilation is not None
    assert [group.name for group in stepped(executable.compilation)] == ["y", "l"]
    inputs = random_inputs(executable)
    want = executable.reference(inputs)
    for name, array in executable.run(*inputs.values()).items():
        np.testing.assert_allclose(array, want[name], rtol=1e-4, atol=1e-5)
