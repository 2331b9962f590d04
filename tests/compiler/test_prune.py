"""Pruned networks: which weights go, what they take, and that the program computes what the pruned network does."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilework as tw
from tilework.compiler.bounds import dram_bytes_bound
from tilework.compiler.options import Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.prune_blocks import DENSE, Blocks
from tilework.errors import CompileError
from tilework.executable import Executable, compile_network, random_inputs
from tilework.frontend.onnx_runtime import run_onnx
from tilework.frontend.weight_files import seeded
from tilework.isa.blocks import kept_of
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights
from tilework.simulator import functional
from tilework.simulator.cycle import simulate

Array = npt.NDArray[Any]


def skipping(machine: Machine, skips: bool = True) -> Machine:
    return replace(machine, matrix=replace(machine.matrix, zero_skipping=skips))


DLP_S, DLP_M4 = load_machine("dlp-s"), load_machine("dlp-m4")
MACHINES = (DLP_S, skipping(DLP_S))
LINEAR = "graph g\ninput x float32[3,40]\nparameter w float32[5,40]\ny = linear(x, w)\noutput y\n"


def small(machine: Machine, nram: int, wram: int, latency: int = 0) -> Machine:
    """A machine with a few bytes on chip, and a unit of 4 by 4."""
    return replace(
        machine,
        dram=replace(machine.dram, latency_cycles=latency),
        nram=replace(machine.nram, capacity_bytes=nram),
        wram=replace(machine.wram, capacity_bytes=wram),
        matrix=replace(machine.matrix, neurons=4, synapses=4),
    )


def run(compilation: Compilation, inputs: dict[str, Array]) -> dict[str, Array]:
    return functional.run(compilation.program, inputs, check_reads=True)


def random_values(graph: Graph) -> dict[str, Array]:
    generator = np.random.default_rng(5)
    return {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}


def check(graph: Graph, machine: Machine, shares: dict[str, float], **options: Any) -> Compilation:
    """The program's outputs are those of the pruned network; no races, nothing read that isn't written."""
    compilation = compile_graph(graph, seeded(graph, 3), machine, Options(prune=shares, **options))
    part, inputs = compilation.parts[0], random_values(graph)
    expected, found = execute(part.graph, part.weights, inputs), run(compilation, inputs)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4 * np.abs(values).max(initial=1e-9))
    assert tw.find_races(compilation.program) == []
    return compilation


def check_if_it_fits(text: str, machine: Machine, share: float) -> None:
    graph = parse_graph(text)
    try:
        compile_graph(graph, seeded(graph, 3), machine, Options(prune={"*": share}))
    except CompileError:
        return
    compilation = check(graph, machine, {"*": share})
    estimated = sum(tiling.dram_bytes for tiling in compilation.tilings)
    assert estimated == simulate(compilation.program).dram_bytes


@pytest.mark.parametrize(
    ("share", "kept"), [(0, 16), (0.03, 16), (0.04, 15), (0.5, 8), (0.75, 4), (0.875, 2), (0.99, 1)]
)
def test_how_many_of_16_stay(share: float, kept: int) -> None:
    assert kept_of(share) == kept


def pruned(values: Array, share: float) -> Array:
    graph = parse_graph(
        f"graph g\ninput x float32[1,{values.shape[1]}]\nparameter w float32{list(values.shape)}\n"
        "y = linear(x, w)\noutput y\n"
    )
    weights = Weights({"w": lambda: values}, "test")
    return compile_graph(graph, weights, DLP_S, Options(prune={"y": share})).parts[0].weights["w"]


def test_the_largest_stay_and_of_equal_ones_the_first() -> None:
    row = np.array([[1, -9, 2, 3, 3, -3, 0, 8, 1, 1, 1, 1, 1, 1, 1, np.nan, 5, -6]], np.float32)
    left = pruned(row, 0.75)
    np.testing.assert_array_equal(left, [[0, -9, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, np.nan, 5, -6]])
    assert not np.signbit(left[left == 0]).any()


@given(st.integers(1, 4), st.integers(2, 50), st.integers(1, 15), st.integers(0, 99))
@settings(max_examples=30)
def test_every_block_keeps_the_largest(outputs: int, summed: int, kept: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-4, 5, (outputs, summed)).astype(np.float32)
    left = pruned(values, 1 - kept / 16)
    for row, first in product(range(outputs), range(0, summed, 16)):
        given, stayed = values[row, first : first + 16], left[row, first : first + 16]
        assert ((stayed == given) | (stayed == 0)).all()
        largest = sorted(map(abs, given), reverse=True)[:kept]
        assert sorted(map(abs, stayed), reverse=True)[: len(largest)] == largest


@pytest.mark.parametrize("machine", MACHINES, ids=["expanded", "skipped"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_pruned_convolution(machine: Machine, data: Any) -> None:
    """Ragged sums, groups, strides, padding, tiles of all kinds on little memory."""

    def number(low: int, high: int) -> int:
        return int(data.draw(st.integers(low, high)))

    groups = number(1, 2)
    channels, filters = groups * number(1, 20), groups * number(1, 9)
    kernel, size, stride, padding = number(1, 3), number(3, 7), number(1, 2), number(0, 1)
    text = (
        f"graph g\ninput x float32[{number(1, 2)},{channels},{size},{size}]\n"
        f"parameter w float32[{filters},{channels // groups},{kernel},{kernel}]\nparameter b float32[{filters}]\n"
        f"c = conv2d(x, w, b, stride=[{stride},{stride}], padding=[{padding},{padding}], groups={groups})\n"
        "y = relu(c)\noutput y\n"
    )
    memory = small(machine, 1 << number(10, 13), 1 << number(10, 13), number(0, 20))
    check_if_it_fits(text, memory, data.draw(st.sampled_from((0.25, 0.5, 0.75, 0.9))))


@pytest.mark.parametrize("machine", MACHINES, ids=["expanded", "skipped"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_pruned_matrix_product(machine: Machine, data: Any) -> None:
    rows, columns, summed = (data.draw(st.integers(1, most)) for most in (5, 40, 300))
    text = (
        f"graph g\ninput x float32[{rows},{summed}]\nparameter w float32[{columns},{summed}]\n"
        "y = linear(x, w)\noutput y\n"
    )
    memory = small(machine, 1 << data.draw(st.integers(8, 12)), 1 << data.draw(st.integers(8, 12)))
    check_if_it_fits(text, memory, data.draw(st.sampled_from((0.25, 0.5, 0.75, 0.9))))


def test_a_layer_whose_input_is_flattened_has_its_blocks_along_the_channels() -> None:
    """The weights of a reshaped input are packed in the input's own order, and pruned in it."""
    text = "graph g\ninput x float32[1,16,2,3]\nf = flatten(x)\nparameter w float32[4,96]\ny = linear(f, w)\noutput y\n"
    for machine in MACHINES:
        compilation = check(parse_graph(text), machine, {"y": 0.75})
        left = compilation.parts[0].weights["w"].reshape(4, 16, 6)
        assert (np.count_nonzero(left, axis=1) == 4).all()


def test_bytes_cycles_and_products_by_hand() -> None:
    """5 rows of 40 weights are 15 blocks; a quarter stays: 4 values and 2 bytes of places each, in 5 words. A single
    lane leaves so few products to the matrix unit."""
    graph = parse_graph(LINEAR)
    one_lane = replace(DLP_S, vector=replace(DLP_S.vector, lanes=1))
    dense, expanded, skipped = (
        simulate(compile_graph(graph, seeded(graph, 1), machine, Options(prune={"*": share})).program)
        for machine, share in ((one_lane, 0), (DLP_S, 0.75), (MACHINES[1], 0.75))
    )
    others = 4 * (3 * 40 + 3 * 5)
    assert (dense.dram_bytes, expanded.dram_bytes, skipped.dram_bytes) == (
        *(others + 4 * 5 * 40, others + 15 * 20, others + 15 * 20),
    )
    assert (dense.macs, expanded.macs, skipped.macs) == (3 * 5 * 40, 3 * 5 * 40, 3 * 5 * 12)
    assert skipped.energy_joules < expanded.energy_joules < dense.energy_joules


def test_the_bounds_count_what_is_not_pruned() -> None:
    """Of 40 weights in a row 4 + 4 + 4 stay: the machine that skips zeros needs 12 products, the other one all."""
    graph = parse_graph(LINEAR)
    for machine, skipped_macs in zip(MACHINES, (0, 3 * 5 * 28), strict=True):
        compilation = compile_graph(graph, seeded(graph, 1), machine, Options(prune={"*": 0.75}))
        (layer,), (group,) = compilation.program.layers, compilation.groups
        assert (layer.macs, layer.skipped_macs, group.needed_macs) == (600, skipped_macs, 180)
        assert layer.compulsory_bytes == dram_bytes_bound(group, machine) == 4 * (120 + 15) + 300
        assert simulate(compilation.program).bound_cycles == max(
            (600 - skipped_macs) / 256, layer.compulsory_bytes / 64
        )


def test_blocks_that_save_nothing_are_not_made() -> None:
    """Of 9 weights 8 would take 9 words: a depthwise layer loses one of 9 and is stored as it was."""
    text = "graph g\ninput x float32[1,4,5,5]\nparameter w float32[4,1,3,3]\ny = conv2d(x, w, groups=4)\noutput y\n"
    compilation = check(parse_graph(text), MACHINES[1], {"*": 0.5})
    assert compilation.groups[0].blocks == DENSE
    assert compilation.log == ("pruned y to 8 of each 16 weights: 4 of 36 are left out",)


def test_a_layer_by_name_and_all_others() -> None:
    executable = compile_network("lenet5", "dlp-s", prune={"*": 0.75, "fc1": 0.5, "conv1": 0})
    kept = {group.name: group.blocks.kept for group in executable.compilation.groups}  # type: ignore[union-attr]
    assert kept == {"conv1": 0, "conv2": 4, "fc1": 8, "fc2": 4, "fc3": 4}
    assert executable.compilation is not None
    assert "pruned fc1 to 8 of each 16 weights: 24,000 of 48,000 are left out" in executable.compilation.log


def test_a_weight_that_two_layers_share_is_pruned_once() -> None:
    text = "graph g\ninput x float32[2,32]\nparameter w float32[32,32]\na = linear(x, w)\ny = linear(a, w)\noutput y\n"
    compilation = check(parse_graph(text), MACHINES[1], {"*": 0.5})
    assert [group.blocks for group in compilation.groups] == [Blocks(8, True)] * 2
    assert len(compilation.log) == 1


def test_one_that_they_read_in_different_orders_is_stored_whole_for_the_second() -> None:
    text = "graph g\ninput x float32[2,32]\nparameter w float32[32,32]\na = linear(x, w)\ny = matmul(a, w)\noutput y\n"
    compilation = check(parse_graph(text), MACHINES[1], {"*": 0.5})
    assert [group.blocks for group in compilation.groups] == [Blocks(8, True), DENSE]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"*": 1.0}, "the share to prune of * must be from 0 to below 1, not 1; correct it"),
        ({"fc1": -0.5}, "the share to prune of fc1 must be from 0 to below 1, not -0.5; correct it"),
        ({"fc11": 0.5}, "a layer to prune must be one with weights of the network, not 'fc11'; did you mean fc1?"),
        (
            {"attention": 0.5},
            "a layer to prune must be one with weights of the network, not 'attention'; "
            "look at the names of its layers",
        ),
    ],
)
def test_mistakes(shares: dict[str, float], message: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_network("lenet5", "dlp-s", prune=shares)
    assert str(caught.value) == message


@pytest.mark.parametrize("skips", [False, True], ids=["expanded", "skipped"])
def test_four_cores_and_their_mover(skips: bool) -> None:
    """Weights through the SRAM in chunks, which hold whole blocks."""
    text = "graph g\ninput x float32[4,256]\nparameter w float32[2048,256]\ny = linear(x, w)\noutput y\n"
    machine = replace(skipping(DLP_M4, skips), wram=replace(DLP_M4.wram, capacity_bytes=65536))
    compilation = check(parse_graph(text), machine, {"*": 0.75}, split="data")
    assert compilation.works[0].chunks > 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_the_bytes(dtype: str) -> None:
    """Blocks of 2-byte values: the program equals the one of the pruned weights stored whole."""
    rates = {"float32": 1, "float16": 2, "bfloat16": 2}
    for machine in MACHINES:
        matrix = replace(machine.matrix, rates=rates, energy_per_mac_joules=dict.fromkeys(rates, 1e-12))
        graph = parse_graph(LINEAR)
        compilation = compile_graph(
            graph, seeded(graph, 3), replace(machine, matrix=matrix), Options(dtype=dtype, prune={"*": 0.75})
        )
        same = compile_graph(graph, compilation.parts[0].weights, replace(machine, matrix=matrix), Options(dtype=dtype))
        inputs = random_values(graph)
        np.testing.assert_allclose(run(compilation, inputs)["y"], run(same, inputs)["y"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("share", [0.5, 0.75])
@pytest.mark.parametrize("machine", MACHINES, ids=["expanded", "skipped"])
def test_lenet5_beside_onnx_runtime(machine: Machine, share: float) -> None:
    executable: Executable = compile_network("lenet5", machine, prune={"*": share})
    assert executable.compilation is not None
    part, inputs = executable.compilation.parts[0], random_inputs(executable, 1)
    expected = run_onnx(part.graph, part.weights, inputs)
    for name, values in executable.run(**inputs).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4 * np.abs(expected[name]).max())


def test_whole_numbers_are_the_same_expanded_or_skipped() -> None:
    """Blocks of 12 bytes in place of 16: 8 values and 4 bytes of places."""
    results, sizes = [], []
    for machine in MACHINES:
        executable = compile_network("lenet5", machine, dtype="int8", prune={"*": 0.5})
        results.append(executable.run(**random_inputs(executable, 1)))
        sizes.append(executable.program.weight_bytes)
    for name, values in results[0].items():
        np.testing.assert_array_equal(results[1][name], values)
    assert sizes[0] == sizes[1] < compile_network("lenet5", DLP_S, dtype="int8").program.weight_bytes
