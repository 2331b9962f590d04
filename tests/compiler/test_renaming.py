"""Copies that are not made: which become views, which must stay, and that no value changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.fuse import fuse
from tilework.compiler.pipeline import compile_graph
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run

Small = Callable[..., Machine]


def nests(text: str) -> list[str]:
    return [str(nest) for group in fuse(parse_graph(f"graph g\n{text}")) for nest in group.nests]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            "t = transpose(r, order=[1,0])\ny = relu(t)",
            ["a<3 b<4: r[a,b] = max(x[a,b], 0)", "a<3 b<4: y[b,a] = max(r[a,b], 0)"],
        ),
        (
            "t = slice(r, axis=1, start=1, size=2)\ny = relu(t)",
            ["a<3 b<4: r[a,b] = max(x[a,b], 0)", "a<3 b<2: y[a,b] = max(r[a,b+1], 0)"],
        ),
        (
            "t = reshape(r, shape=[3,2,2])\nu = transpose(t, order=[0,2,1])\ny = relu(u)",
            ["a<3 b<4: r[a,b] = max(x[a,b], 0)", "a<3 b<2 c<2: y[a,b,c] = max(r[a,2*c+b], 0)"],
        ),
        (
            "s = relu(x)\nt = tanh(x)\ny = concat(s, t, axis=1)",
            ["a<3 b<4: y[a,b] = max(x[a,b], 0)", "a<3 b<4: y[a,b+4] = tanh(x[a,b])"],
        ),
        (
            "t = reshape(r, shape=[12])\ny = relu(t)",
            ["a<3 b<4: t[4*a+b] = max(x[a,b], 0)", "a<3 b<4: y[4*a+b] = max(t[4*a+b], 0)"],
        ),
    ],
)
def test_what_is_a_view(steps: str, expected: list[str]) -> None:
    lead = "r = relu(x)\n" if "(r" in steps else ""
    assert nests(f"input x float32[3,4]\n{lead}{steps}\noutput y\n") == expected


@pytest.mark.parametrize(
    ("steps", "copies", "why"),
    [
        ("y = transpose(x, order=[1,0])", 1, "the output must be made of the input"),
        ("r = relu(x)\nt = slice(r, axis=0, size=2)\ny = relu(t)\noutput t", 1, "a part of r can't be an output"),
        ("r = relu(x)\ny = concat(r, r, axis=0)", 1, "one of two places is written at once"),
        ("r = relu(x)\ny = concat(r, x, axis=0)", 1, "inputs come where they are"),
    ],
)
def test_what_stays_a_copy(steps: str, copies: int, why: str) -> None:
    graph = parse_graph(f"graph g\ninput x float32[3,4]\n{steps}\noutput y\n")
    assert sum(nest.kind == "copy" for group in fuse(graph) for nest in group.nests) == copies, why


def test_padding_reads_a_view_only_where_it_ends_alike() -> None:
    """Rows of a part of the channels end where those of all do; a part of the rows doesn't."""
    text = "input x float32[1,4,6,6]\nparameter w float32[3,{0},3,3]\nr = relu(x)\n{1}\n"
    text += "y = conv2d(t, w, padding=[1,1])\n"
    channels = nests(text.format(2, "t = slice(r, axis=1, start=2, size=2)") + "output y\n")
    rows = nests(text.format(4, "t = slice(r, axis=2, size=3)") + "output y\n")
    assert [line.count("r[") for line in channels] == [1, 1]
    assert "t[" in rows[-1]
    assert len(rows) == 3


def test_without_fusion_every_node_is_made() -> None:
    graph = parse_graph(
        "graph g\ninput x float32[3,4]\nr = relu(x)\nt = transpose(r, order=[1,0])\ny = relu(t)\noutput y\n"
    )
    assert [group.nodes for group in fuse(graph, across=False)] == [("r",), ("t",), ("y",)]


STEPS: tuple[Callable[[tuple[int, ...], Any], str], ...] = (
    lambda s, draw: f"transpose({{0}}, order={_permutation(len(s), draw)})",
    lambda s, draw: "slice({0}, " + _slice(s, draw) + ")",
    lambda s, draw: f"reshape({{0}}, shape={_split(s, draw)})",
    lambda s, draw: "relu({0})",
    lambda s, draw: "softmax({0})",
    lambda s, draw: f"concat({{0}}, {{1}}, axis={draw(st.integers(0, len(s) - 1))})",
)


def _permutation(rank: int, draw: Any) -> str:
    return "[" + ",".join(map(str, draw(st.permutations(range(rank))))) + "]"


def _slice(shape: tuple[int, ...], draw: Any) -> str:
    axis = draw(st.integers(0, len(shape) - 1))
    start = draw(st.integers(0, shape[axis] - 1))
    return f"axis={axis}, start={start}, size={draw(st.integers(1, shape[axis] - start))}"


def _split(shape: tuple[int, ...], draw: Any) -> str:
    """Another shape: two axes merged, or one split, or all in one."""
    sizes = list(shape)
    axis = draw(st.integers(0, len(sizes) - 1))
    if len(sizes) > 1 and draw(st.booleans()):
        axis = min(axis, len(sizes) - 2)
        sizes[axis : axis + 2] = [sizes[axis] * sizes[axis + 1]]
    else:
        factor = draw(st.sampled_from([f for f in (1, 2, 3) if sizes[axis] % f == 0]))
        sizes[axis : axis + 1] = [factor, sizes[axis] // factor]
    return "[" + ",".join(map(str, sizes)) + "]"


def random_graph(draw: Any) -> Graph:
    """Copies and other nodes in turn, each of any earlier tensor."""
    shape = tuple(draw(st.lists(st.sampled_from((2, 3, 4, 6)), min_size=2, max_size=3)))
    text = f"graph g\ninput x float32[{','.join(map(str, shape))}]\nn0 = relu(x)\n"
    for number in range(1, draw(st.integers(2, 6))):
        graph = parse_graph(f"{text}output n{number - 1}\n")
        names = [node.name for node in graph.nodes]
        of = draw(st.sampled_from(names))
        same = [n for n in names if graph.tensors[n].shape == graph.tensors[of].shape]
        step = draw(st.sampled_from(STEPS))(graph.tensors[of].shape, draw)
        if len(graph.tensors[of].shape) < 5:
            text += f"n{number} = {step.format(of, draw(st.sampled_from(same)))}\n"
        else:
            text += f"n{number} = relu({of})\n"
    last = text.rstrip().splitlines()[-1].split()[0]
    others = draw(st.sampled_from(["", "output n0\n"])) if last != "n0" else ""
    return parse_graph(f"{text}output {last}\n{others}")


@settings(max_examples=120, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_copies_change_no_value_and_move_no_more(data: Any, small: Small) -> None:
    graph = random_graph(data.draw)
    machine = small(1 << 14, 1 << 14)
    compilation = compile_graph(graph, seeded(graph), machine)
    x = np.random.default_rng(0).random(graph.inputs[0].shape, dtype=np.float32) - 0.4
    want, got = execute(graph, {}, {"x": x}), run(compilation.program, {"x": x})
    for name in graph.outputs:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6)
    cost = simulate(compilation.program)
    assert cost.dram_bytes >= cost.dram_bytes_bound
