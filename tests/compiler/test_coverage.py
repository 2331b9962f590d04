"""A small part of the sweep benchmarks/coverage.py, and what it has found: rows shared by two blocks, fusing less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilework.compiler.buffers import Plan
from tilework.compiler.fuse import fuse
from tilework.compiler.halve import halves
from tilework.compiler.options import Options
from tilework.compiler.search import Search
from tilework.errors import CompileError
from tilework.executable import compile_network
from tilework.machine.load import load_machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph


def test_blocks_of_torch_compile_with_their_values(script: Callable[[str], Any]) -> None:
    sweep = script("benchmarks/coverage.py")
    found = {name: sweep.look_at(name, make) for name, make in sweep.blocks()}
    assert {name: outcome.how for name, outcome in found.items() if outcome.how != "wholly"} == {
        "embedding and linear": "with the host",
        "upsampling, bilinear": "the host's alone",
    }


MASKED = """graph g
input x float32[2,3,4,6]
input mask float32[4,6]
s = softmax(x)
m = reduce(mask, axes=[1], keep=true, update="max=", what="max")
n = pointwise(m, body="less(x0, 0)") as bool
y = pointwise(n, s, body="select(x0, 0, x1)") as float32
z = relu(y)
output z
"""


def test_rows_that_two_blocks_could_take_are_computed_once() -> None:
    graph = parse_graph(MASKED)
    generator = np.random.default_rng(0)
    inputs = {t.name: generator.standard_normal(t.shape).astype(np.float32) for t in graph.inputs}
    found = compile_network(graph).run(**inputs)["z"]
    np.testing.assert_allclose(found, execute(graph, {}, inputs)["z"], rtol=1e-5, atol=1e-6)


CLIPPED = """graph g
input x float32[3,4,5]
input low float32[]
input high float32[]
below = pointwise(x, low, body="less(x0, x1)") as bool
raised = pointwise(below, low, x, body="select(x0, x1, x2)") as float32
above = pointwise(high, raised, body="less(x0, x1)") as bool
y = pointwise(above, high, raised, body="select(x0, x1, x2)") as float32
output y
"""


def test_a_chain_that_reads_scalars() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    low, high = np.float32(-0.5), np.float32(0.25)
    found = compile_network(parse_graph(CLIPPED)).run(x=x, low=np.array(low), high=np.array(high))["y"]
    np.testing.assert_array_equal(found, np.clip(x, low, high))


CHAIN = """graph g
input x float32[1,3,8,8]
parameter w float32[4,3,3,3]
parameter b float32[4]
y = conv2d(x, w, b, padding=[1,1])
r = relu(y)
t = pointwise(r, body="tanh(x0)")
p = max_pool2d(t, kernel=[2,2], stride=[2,2])
output p
"""


def test_halves_of_a_group_run_one_after_the_other() -> None:
    (group,) = (group for group in fuse(parse_graph(CHAIN)) if len(group.nests) > 3)
    first, second = halves(group)
    assert first.nests + second.nests == group.nests
    assert (first.nodes, second.nodes) == (("y",), ("r", "t", "p"))
    assert f"{first.operation}+{second.operation}" == group.operation
    assert [access.tensor for _, access in second.external_reads] == [first.output.tensor]
    assert first.extents.keys() | second.extents.keys() == group.extents.keys()


def test_halves_find_their_operands_in_the_sram_where_the_group_does() -> None:
    (group,) = (group for group in fuse(parse_graph(CHAIN)) if len(group.nests) > 3)
    first, second = halves(replace(group, resident=frozenset({"x", "p"})))
    assert (first.resident, second.resident) == ({"x"}, {"p"})


def test_a_group_that_needs_too_much_is_fused_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(plan: Plan, name: str) -> None:
        if len(plan.writes) > 2:
            raise CompileError(f"{name} must have at most 2 nests")

    (group,) = (group for group in fuse(parse_graph(CHAIN)) if len(group.nests) > 3)
    monkeypatch.setattr(Plan, "check", check)
    machine = load_machine("dlp-s")
    works = Search(machine, Options(), None).works(group, machine)
    assert [len(work.group.nests) for work in works] == [2, 1, 2]
    assert tuple(nest for work in works for nest in work.group.nests) == group.nests
