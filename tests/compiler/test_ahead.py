"""What is loaded before a layer begins: where it lies, when it comes, and what that does to time and its bound."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.ahead import homes
from tilework.compiler.buffers import whole_words
from tilework.compiler.chain_part import ChainPart
from tilework.compiler.options import Measured
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.tile_measure import program_of
from tilework.executable import compile_network, random_inputs
from tilework.frontend.weight_files import seeded
from tilework.isa.program import Layer, Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.hazards import find_races
from tilework.simulator.layer_time import least_cycles

Small = Callable[..., Machine]

RESIDUAL = """graph g
input x float32[32,64]
parameter u float32[64,64]
parameter v float32[64,64]
parameter w float32[64,64]
a = linear(x, u)
b = linear(a, v)
c = linear(b, w)
s = add(c, a)
output s
"""


def loads(compilation: Compilation, layer: int) -> set[str]:
    """The tensors that core 0 loads while a layer lasts."""
    program, dram = compilation.program, compilation.dram
    spans = {name: (address, dram_size(compilation, name)) for name, address in dram.plain.items()}
    for constant in dram.constants:
        spans.setdefault(constant.tensor.name, (constant.address, constant.size_bytes))
    first, last = program.layers[layer].ranges[0]
    sources = [i.descriptor.sources[0] for i in program.instructions[first:last] if i.mnemonic == "load"]
    return {n for s in sources for n, (at, size) in spans.items() if s.memory == "dram" and at <= s.base < at + size}


def dram_size(compilation: Compilation, name: str) -> int:
    return compilation.graph.tensors[name].size_bytes


def test_weights_and_earlier_results_come_ahead() -> None:
    """The first layer brings the second's weight, the second the third's and what the first has made."""
    graph = parse_graph(RESIDUAL)
    compilation = compile_graph(graph, seeded(graph), load_machine("dlp-s"))
    assert "v" in loads(compilation, 0)
    assert {"a", "w"} <= loads(compilation, 1)
    assert find_races(compilation.program) == []


@pytest.mark.parametrize("machine", ["dlp-s", "dlp-m4"])
def test_it_takes_less_time_than_layer_by_layer(machine: str) -> None:
    executable = compile_network("encoder", machine)
    inputs = random_inputs(executable)
    (got,), (expected,) = executable.run(*inputs.values()).values(), executable.reference(inputs).values()
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()
    assert find_races(executable.program) == []
    if executable.cost.cores == 1:
        parts = [work.parts[0] for work in executable.compilation.works]
        alone = sum(simulate(program_of(part, executable.program.machine)).cycles for part in parts)
        assert executable.cost.bound_cycles <= executable.cost.cycles < alone


@settings(max_examples=40, derandomize=True, deadline=None)
@given(data=st.data())
def test_every_home_has_room(data: Any, draw: Callable[[Any], Any]) -> None:
    """The buffers of a group lie inside their memories and apart."""
    _, compilation = draw(data)
    machine, works = compilation.program.machine, compilation.works
    room = {"nram": machine.nram.capacity_bytes, "wram": machine.wram.capacity_bytes}
    for work, home in zip(works, homes(works, [False] * len(works), 0, machine), strict=True):
        frames = home.frames(work.parts[0]) if home else []
        spans = [(f.buffer.memory, f.base, f.base + whole_words(f.total_bytes)) for f in frames]
        assert all(low >= 0 and high <= room[memory] for memory, low, high in spans)
        assert all(a[0] != b[0] or a[2] <= b[1] or b[2] <= a[1] for a, b in combinations(spans, 2))


def test_the_order_of_the_memory_is_found(small: Small) -> None:
    """Weights take turns in the two ends of the WRAM."""
    graph, room = parse_graph(RESIDUAL), 2 * 64 * 64 * 4
    compilation = compile_graph(graph, seeded(graph), small(1 << 16, room))
    works = compilation.works
    lies = homes(works, [False] * len(works), 0, compilation.program.machine)
    frames = [home.frames(work.parts[0]) for work, home in zip(works, lies, strict=True) if home]
    weights = [next(frame for frame in each if frame.buffer.memory == "wram") for each in frames]
    assert weights[0].base == 0
    assert weights[1].base + weights[1].total_bytes == room
    assert weights[2].base == 0


def by_hand(macs: list[int], moved: list[int], ahead: list[int], memory: int) -> int:
    """The least sum over all whole numbers of bytes that pass from each layer to the one before."""
    best = sum(macs) + sum(moved)
    for shifts in product(range(memory + 1), repeat=len(macs) - 1):
        passed = [0, *shifts, 0]
        if all(passed[k] <= ahead[k] + passed[k + 1] for k in range(1, len(macs))):
            now = (moved[k] - passed[k] + passed[k + 1] for k in range(len(macs)))
            best = min(best, sum(max(c, t) for c, t in zip(macs, now, strict=True)))
    return best


def test_the_bound_is_the_least_that_loading_ahead_can_reach(small: Small) -> None:
    """At one byte a cycle and one multiplication a cycle, with a memory of a few bytes."""
    chosen = random.Random(3)
    for _ in range(200):
        number, memory = chosen.randint(1, 4), chosen.randint(0, 5)
        macs, moved = ([chosen.randint(0, 9) for _ in range(number)] for _ in range(2))
        ahead = [0, *(chosen.randint(0, bytes_) for bytes_ in moved[1:])]
        layers = [Layer("", "", 0, 0, m, b, ahead_bytes=a) for m, b, a in zip(macs, moved, ahead, strict=True)]
        machine = small(memory, 0)
        machine = replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=machine.clock_hz))
        assert least_cycles(layers, list(map(float, macs)), machine) == by_hand(macs, moved, ahead, memory)


EIGHT = "graph g\ninput x float32[1,6,7,7]\n" + "".join(f"parameter w{n} float32[6,6,3,3]\n" for n in range(8))
EIGHT += "".join(f"y{n} = conv2d({f'y{n - 1}' if n else 'x'}, w{n}, padding=[1,1])\n" for n in range(8)) + "output y7\n"


def test_a_chain_finds_its_weights_on_chip(small: Small) -> None:
    """Eight layers make two chains; the second finds the weight of its first layer and loads the others itself."""
    graph = parse_graph(EIGHT)

    def fewest(program: Program) -> Measured:
        return Measured(1e12, 1, 1.0)

    compilation = compile_graph(graph, seeded(graph, 3), small(1 << 16, 1 << 14), measure=fewest)
    parts = [part for work in compilation.works for part in work.parts if isinstance(part, ChainPart)]
    assert [len(part.groups) for part in parts] == [2, 6]
    weights = {f"w{n}" for n in range(8)}
    assert loads(compilation, 0) & weights == {"w0", "w1", "w2"}
    assert loads(compilation, 1) & weights == weights - {"w0", "w1", "w2"}
    assert find_races(compilation.program) == []
    assert simulate(compilation.program) == simulate(compilation.program, fold=False)


def test_what_a_chain_s_later_stages_load_comes_while_its_first_computes() -> None:
    """The weights of LeNet-5's linear layers take 15 times as long as the layer before the chain."""
    executable = compile_network("lenet5", "dlp-s", dtype="int8")
    first, chain, _ = executable.cost.layers
    assert first.cycles < 1.5 * first.bound_cycles
    assert chain.busy_cycles["load"] > 10 * first.cycles
