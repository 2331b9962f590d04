"""Tokens suffice: in compiled programs whatever shares bytes runs in program order, for every depth of the queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.fuse import fuse
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.relocate import whole_code
from tilework.compiler.split import Part
from tilework.compiler.tile import Tiling
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.isa.instruction import Instruction
from tilework.isa.program import Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Control, Machine
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.hazards import find_hazards, find_races
from tilework.simulator.structure import analyse, walk

DEPTHS = (1, 2, 3, 5, 16, 64)


def with_depth(program: Program, depth: int) -> Program:
    return replace(program, machine=replace(program.machine, control=Control(depth)))


def assert_tokens_balance(program: Program) -> None:
    """Executed in program order no wait finds its token at 0, so that no depth of the queues can make a deadlock:
    the earliest instruction that has not run is always at the head of its queue, and may run. All end at 0."""
    tokens = Counter[int]()
    for place, _ in walk(program.instructions, analyse(program.instructions)):
        instruction = program.instructions[place]
        if instruction.mnemonic == "post":
            tokens[instruction.token] += 1
        elif instruction.mnemonic == "wait":
            assert tokens[instruction.token] > 0, f"instruction {place} waits for a post that comes after it"
            tokens[instruction.token] -= 1
        elif instruction.mnemonic in ("sync", "end"):
            assert not any(tokens.values())


@settings(max_examples=120, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_networks_on_random_machines(data: Any, draw: Callable[[Any], tuple[Graph, Compilation]]) -> None:
    """No exception is made for DRAM: within a group no two tensors interleave."""
    program = draw(data)[1].program
    assert_tokens_balance(program)
    assert find_races(program) == []
    assert find_hazards(program) == []
    assert simulate(program) == simulate(program, fold=False)


TEXT = """graph g
input x float32[2,4,9,11]
parameter w float32[6,4,3,3]
parameter b float32[6]
parameter v float32[9,6]
y = conv2d(x, w, b, padding=[1,1])
r = relu(y)
p = max_pool2d(r, kernel=[3,2], stride=[3,2])
z = conv2d(x, w, padding=[1,1])
s = add(z, y)
n = local_response_norm(s, size=3)
a = adaptive_avg_pool2d(n)
f = flatten(a)
l = linear(f, v)
m = softmax(l)
output m
output y
"""


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("sizes", [(600, 300), (3000, 800), (1 << 15, 1 << 12)])
def test_every_depth_of_the_queues(
    depth: int, sizes: tuple[int, int], compile_grown: Callable[..., Compilation], small: Callable[..., Machine]
) -> None:
    """The program that is made for one depth is right, and ends, for every other."""
    program = with_depth(compile_grown(parse_graph(TEXT), small(*sizes)).program, depth)
    assert_tokens_balance(program)
    assert find_races(program) == []
    assert find_hazards(program) == []
    folded = simulate(program)
    assert folded == simulate(program, fold=False)
    assert folded.cycles >= folded.bound_cycles


LINEAR = """graph g
input x float32[4,40]
parameter w float32[8,40]
parameter b float32[8]
y = linear(x, w, b)
output y
"""


@pytest.mark.parametrize("slots", [(1, 1, 1, 1), (2, 2, 2, 2), (2, 1, 1, 2)])
def test_the_tokens_are_needed(slots: tuple[int, ...], small: Callable[..., Machine]) -> None:
    """Without its posts and waits there is a race: so the checks above do see what a token is for.

    One would do for x and w, which are loaded and used together, and b has come before them.
    """
    (group,) = fuse(parse_graph(LINEAR))
    tiles = {"n": 1, "k": 2, "c": 5}
    tiling = Tiling(("n", "k", "c"), tiles, 2, (3, 3, 2, 2), slots, 0.0, 1, plan_buffers(group))
    code = (*whole_code(Part(group, tiling), {"x": 0, "b": 640, "y": 704}, {1: 1024}), Instruction("end"))
    program = with_depth(Program("g", small(), code, dram_bytes=4096), 64)
    assert find_races(program) == find_hazards(program) == []
    for tokens in ({0, 2}, {1, 3}, {4}, {6}, {7}, {8}):
        kept = tuple(i for i in code if i.mnemonic not in ("wait", "post") or i.token not in tokens)
        assert find_races(replace(program, instructions=kept)), f"without the tokens {tokens}"


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "resnet18"])
def test_the_zoo(name: str) -> None:
    graph = network(name)
    program = compile_graph(graph, seeded(graph), load_machine("dlp-s")).program
    assert find_races(program, limit=100_000) == []
    assert simulate(program) == simulate(program, fold=False)
