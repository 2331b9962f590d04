"""Chains compute what their groups do, in bands of rows that stay on chip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.chain import assemble, linked
from tilework.compiler.chain_configs import Configs
from tilework.compiler.chain_part import CHANNELS, ChainPart, Config
from tilework.compiler.chain_search import ChainSearch
from tilework.compiler.chain_send import with_copies
from tilework.compiler.chain_strips import strips
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.on_vector import on_vector
from tilework.compiler.options import Measured, Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.split import Work
from tilework.errors import NetworkError
from tilework.executable import compile_network, measure
from tilework.frontend.weight_files import seeded
from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.graph_text import parse_graph
from tilework.network.operations import expand
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import Interpreter, unwritten_reads
from tilework.simulator.hazards import find_races

LARGE = 1e12  # cycles of any program, to the compiler's eye: so that fewer programs are always better


def chained(graph: Graph, machine: Machine, seed: int = 0) -> Compilation:
    """Compiled with as few chains as there can be, each in any of the ways that the compiler tries."""
    drawn = Random(seed)

    def cost(program: Program) -> Measured:
        return Measured(LARGE * (1 + drawn.random() / 1e6), 1, 1.0)

    return compile_graph(graph, seeded(graph, 3), machine, measure=cost)


def chains_of(compilation: Compilation) -> list[ChainPart]:
    return [part for work in compilation.works for part in work.parts if isinstance(part, ChainPart)]


def assert_right(graph: Graph, program: Program) -> None:
    """The network's values, no races, no reads of what nothing wrote, and the same time step by step."""
    generator = np.random.default_rng(5)
    inputs = {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}
    values = Interpreter(program).run(inputs)
    for name, wanted in execute(graph, seeded(graph, 3), inputs).items():
        np.testing.assert_allclose(values[name], wanted, rtol=1e-4, atol=1e-5)
    assert find_races(program) == []
    assert unwritten_reads(program, inputs) == []
    assert simulate(program) == simulate(program, fold=False)


class Tower:
    """A graph of windows upon windows, drawn step by step."""

    def __init__(self, data: Any) -> None:
        self.data, self.builder = data, GraphBuilder("tower")
        self.shape = (self.draw(1, 2), self.draw(1, 4), self.draw(1, 13), self.draw(1, 9))
        self.values = [(self.builder.input("x", self.shape), self.shape)]

    def draw(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))

    def graph(self) -> Graph:
        for number in range(self.draw(2, 5)):
            getattr(self, ("conv", "conv", "depthwise", "pool", "mean", "relu", "add")[self.draw(0, 6)])(f"y{number}")
        self.builder.node("last", "relu", self.values[-1][0])
        return self.builder.graph("last")

    def node(self, name: str, operation: str, *inputs: tuple[str, tuple[int, ...]], **attributes: Any) -> None:
        try:
            shape = expand(operation, tuple(s for _, s in inputs), tuple(sorted(attributes.items()))).shape
        except NetworkError:
            return
        self.values.append((self.builder.node(name, operation, *(n for n, _ in inputs), **attributes), shape))

    def weight(self, name: str, *shape: int) -> tuple[str, tuple[int, ...]]:
        return self.builder.weight(name, shape), shape

    def window(self) -> dict[str, tuple[int, int]]:
        return {"stride": (self.draw(1, 3), self.draw(1, 2)), "padding": (self.draw(0, 2), self.draw(0, 1))}

    def conv(self, name: str) -> None:
        filters, channels = self.draw(1, 5), self.values[-1][1][1]
        kernel = self.weight(f"{name}.w", filters, channels, self.draw(1, 4), self.draw(1, 3))
        bias = [self.weight(f"{name}.b", filters)] * self.draw(0, 1)
        self.node(name, "conv2d", self.values[-1], kernel, *bias, **self.window())

    def depthwise(self, name: str) -> None:
        channels = self.values[-1][1][1]
        kernel = self.weight(f"{name}.w", channels, 1, self.draw(1, 3), self.draw(1, 3))
        self.node(name, "conv2d", self.values[-1], kernel, groups=channels, **self.window())

    def pool(self, name: str) -> None:
        window = {"kernel": (self.draw(2, 3), self.draw(2, 3)), "stride": (self.draw(1, 3), self.draw(1, 3))}
        self.node(name, "max_pool2d", self.values[-1], padding=(self.draw(0, 1), 0), **window)

    def mean(self, name: str) -> None:
        self.node(name, "avg_pool2d", self.values[-1], kernel=(self.draw(1, 3), 2), stride=(self.draw(1, 2), 1))

    def relu(self, name: str) -> None:
        self.node(name, "relu", self.values[-1])

    def add(self, name: str) -> None:
        """A residual, if some earlier value has the shape."""
        same = [value for value in self.values if value[1] == self.values[-1][1]]
        self.node(name, "add", self.values[-1], same[self.draw(0, len(same) - 1)])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(data=st.data())
def test_random_chains(data: Any, small: Callable[..., Machine]) -> None:
    tower = Tower(data)
    graph = tower.graph()
    machine = small(4 * tower.draw(1 << 10, 1 << 13), 1 << 13)
    assert_right(graph, chained(graph, machine, tower.draw(0, 9)).program)


BLOCK = """graph block
input x float32[2,4,11,9]
parameter w float32[8,4,1,1]
parameter b float32[8]
parameter v float32[8,1,3,3]
parameter u float32[4,8,1,1]
y = conv2d(x, w, b)
r = relu(y)
d = conv2d(r, v, padding=[1,1], groups=8)
e = relu(d)
z = conv2d(e, u)
s = add(z, x)
m = max_pool2d(s, kernel=[3,3], stride=[2,2], padding=[1,1])
output m
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_block_with_a_residual_moves_what_it_must(seed: int, small: Callable[..., Machine]) -> None:
    """Its input, read at both ends, comes once; nothing between goes out."""
    graph = parse_graph(BLOCK)
    compilation = chained(graph, small(1 << 16, 1 << 14), seed)
    (chain,) = chains_of(compilation)
    assert len(chain.groups) == 4
    assert len(compilation.works) == 1
    assert_right(graph, compilation.program)
    cost = simulate(compilation.program)
    assert cost.dram_bytes == cost.compulsory_bytes == 4 * (2 * 4 * 11 * 9 + 2 * 4 * 6 * 5 + 32 + 8 + 72 + 32)


LONG_ROWS = """graph long
input x float32[1,4,8,40]
parameter v float32[6,4,3,3]
parameter w float32[4,6,3,3]
a = conv2d(x, v, padding=[1,1])
r = relu(a)
y = conv2d(r, w, padding=[1,1])
output y
"""


def test_strips_where_rows_are_too_long(small: Callable[..., Machine]) -> None:
    graph = parse_graph(LONG_ROWS)
    compilation = chained(graph, small(2800, 1 << 14))
    assert [" strips of " in str(chain.tiling) for chain in chains_of(compilation)] == [True]
    assert_right(graph, compilation.program)


WIDE = """graph wide
input x float32[{batch},4,9,10]
parameter w float32[{channels},4,1,1]
parameter b float32[{channels}]
parameter d float32[{channels},1,3,3]
parameter c float32[{channels}]
a = conv2d(x, w, b)
r = relu(a)
y = conv2d(r, d, c, groups={channels}, stride=[1,2], padding=[1,1])
output y
"""


WAYS = [  # a batch, strips, rows, turns, buffers, places for weights
    *((1, 6, 1, 1, 2, 2), (2, 6, 2, 1, 2, 2), (1, 4, 4, 1, 2, 2), (2, 3, 16, 1, 2, 2), (1, 6, 16, 1, 2, 2)),
    *((1, 3, 1, 2, 1, 2), (1, 5, 2, 1, 2, 2), (1, 5, 16, 1, 2, 2), (2, 4, 1, 1, 2, 1), (1, 2, 3, 2, 2, 2)),
]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_walk_strips_of_channels(
    way: tuple[int, ...], swapped: bool, small: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows or by whole maps, on the vector unit or after a copy to the WRAM."""
    batch, *form, copies = way
    config = Config(form[0], form[1], form[2], form[3], CHANNELS, copies)

    def ways(search: ChainSearch, works: Sequence[Work]) -> list[tuple[Group, ...]]:
        *others, last = straight = tuple(replace(work.group, swapped=False) for work in works)
        return [straight, with_copies([*others, replace(last, swapped=True) if swapped else on_vector(last) or last])]

    def hopeful(configs: Configs, groups: Sequence[Group], apart: float) -> list[Config]:
        return [config] * any(group.swapped or group.on_lanes for group in groups)

    monkeypatch.setattr(ChainSearch, "_ways", ways)
    monkeypatch.setattr(Configs, "hopeful", hopeful)
    graph = parse_graph(WIDE.format(batch=batch, channels=24))
    compilation = chained(graph, small(1 << 16, 1 << 16))
    assert [str(config) in str(chain.tiling) for chain in chains_of(compilation)] == [True]
    assert_right(graph, compilation.program)


@pytest.mark.parametrize("batch", [1, 2])
def test_strips_of_channels_have_their_own_weights(batch: int, small: Callable[..., Machine]) -> None:
    """A depthwise convolution's channels are apart from one another, so strips of them compute nothing twice."""
    graph = parse_graph(WIDE.format(batch=batch, channels=24))
    compilation = chained(graph, small(5000, 1 << 14))
    (chain,) = chains_of(compilation)
    assert "strips of channels" in str(chain.tiling)
    counts = simulate(compilation.program)
    assert counts.macs <= batch * 9 * 10 * 24 * (4 + 9)  # of the depthwise convolution those on the matrix unit
    assert_right(graph, compilation.program)


ODD = {
    "a stage that needs the whole of the one before": """input x float32[2,3,11,4]
parameter w float32[3,3,2,1]
n = layer_norm(x, axes=2, epsilon=0.1)
y = conv2d(n, w, padding=[4,0])
z = relu(y)
""",
    "padding along the batch": """input x float32[1,5,4,5]
y = pad(x, before=[0,0,2,2], after=[1,1,1,0], value=-1.5)
z = max_pool2d(y, kernel=[3,3], stride=[3,3])
""",
    "an operand that is the same for each of a batch": """input x float32[3,2,7,5]
parameter w float32[2,7,5]
parameter v float32[2,2,3,3]
y = add(x, w)
z = conv2d(y, v, padding=[1,1])
""",
    "a result of which only padding is read": """input x float32[1,1,3,4]
parameter w float32[1,1,1,1]
y = conv2d(x, w, stride=[3,1])
z = max_pool2d(y, kernel=[1,2], stride=[3,1], padding=[0,0])
""",
    "an elementwise group that begins with its weight": """input x float32[1,3,1,2,1]
parameter w float32[1,2,1]
y = sub(w, x)
z = max_pool3d(y, kernel=[1,2,1], stride=[1,2,1])
""",
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("seed", range(3))
def test_odd_chains(case: str, seed: int, small: Callable[..., Machine]) -> None:
    graph = parse_graph(f"graph odd\n{ODD[case]}output z\n")
    assert_right(graph, chained(graph, small(1 << 16, 1 << 14), seed).program)


def groups_of(text: str) -> tuple[Group, ...]:
    return fuse(parse_graph(text))


def test_what_is_read_elsewhere_ends_a_chain() -> None:
    groups = groups_of(BLOCK)
    readers = {"r": 1, "e": 1, "s": 1, "m": 1}
    assert linked(groups, readers)
    assert not linked(groups, readers | {"e": 2})
    assert not linked(groups[::2], readers)


def test_rows_that_are_needed_all_at_once_are_one_row() -> None:
    """A softmax along the rows reads each sum over all of them."""
    text = (
        "graph g\ninput x float32[6,5]\nparameter w float32[4,5]\ny = linear(x, w)\nz = softmax(y, axis=0)\noutput z\n"
    )
    chain = assemble(groups_of(text))
    assert chain is not None
    assert [stage.loop for stage in chain.stages][:-1] == [None] * (len(chain.stages) - 1)


def test_strips_compute_what_the_next_groups_read() -> None:
    first, second = strips(groups_of(BLOCK), 3, 2)
    widths = [[group.output.index[3].bounds(group.extents) for group in part] for part in (first, second)]
    assert widths[0] == [(0, 6), (0, 5), (0, 5), (0, 2)]
    assert widths[1] == [(4, 8), (5, 8), (5, 8), (3, 4)]
    assert strips(groups_of(BLOCK), 3, 6) == []


def test_lenet_is_one_chain() -> None:
    executable = compile_network("lenet5", "dlp-s")
    assert len(executable.compilation.works) == 1
    assert executable.cost.dram_bytes == executable.cost.compulsory_bytes
    assert executable.cost.cycles < 1.05 * executable.cost.bound_cycles
    assert str(executable.compilation.works[0]).startswith(
        "conv1: chain of 5 groups | 1 strip of 1 row in each of 1 turn"
    )


@pytest.mark.parametrize("objective", ["time", "traffic", "energy", "edp"])
def test_a_chain_is_taken_only_if_it_gains(objective: str, small: Callable[..., Machine]) -> None:
    graph, machine = parse_graph(BLOCK), small(1 << 16, 1 << 14)
    options = Options(objective=objective)
    apart, best = (compile_graph(graph, seeded(graph), machine, options, measure=m) for m in (None, measure))
    one, two = simulate(apart.program), simulate(best.program)
    value = {
        "time": lambda cost: cost.cycles / 1.02,
        "traffic": lambda cost: cost.dram_bytes,
        "energy": lambda cost: cost.energy_joules,
        "edp": lambda cost: cost.energy_joules * cost.cycles,
    }[objective]
    assert chains_of(best)
    assert value(two) <= value(one)
    assert not chains_of(compile_graph(graph, seeded(graph), machine, Options(fused=False), measure=measure))
