"""Tilings for cores that take turns at the DRAM: what is measured is what runs, and what that saves."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from tilework.compiler.options import Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.search import Search
from tilework.compiler.shared_measure import _others, best_shared
from tilework.compiler.split import Split, best_split
from tilework.compiler.tile import DOUBT, Tiling
from tilework.compiler.tile_measure import program_of_works
from tilework.executable import measure
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.hazards import find_races

RESIDUAL = """graph g
input x float32[{n},144,28,28]
input y float32[{n},24,28,28]
parameter w float32[24,144,1,1]
z = conv2d(x, w)
s = add(z, y)
output s
"""
M4 = load_machine("dlp-m4")


def compiled(graph: Graph, measured: bool) -> Compilation:
    return compile_graph(graph, seeded(graph), M4, Options(), measure=measure if measured else None)


def residual(batch: int) -> Graph:
    return parse_graph(RESIDUAL.format(n=batch))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_layer_that_waits_for_the_dram_leaves_it_hardly_idle(batch: int) -> None:
    """Cores that fetch two tiles ahead wait for each other's; with more in stock the channel always has work."""
    graph = residual(batch)
    before, after = (simulate(compiled(graph, measured).program) for measured in (False, True))
    channel = after.dram_bytes / M4.dram_bytes_per_cycle
    assert before.cycles > 1.05 * channel
    assert after.cycles < 1.03 * channel
    assert find_races(compiled(graph, True).program) == []


def test_what_is_measured_is_what_runs() -> None:
    """A network of one group takes as long as was measured, whether its weights come through the SRAM or not."""
    staged = set()
    for text in (RESIDUAL.format(n=1), RESIDUAL.format(n=4).replace("24,", "512,")):
        compilation = compiled(parse_graph(text), False)
        (work,) = compilation.works
        staged.add(work.chunks > 0)
        assert len(work.parts) == 4
        assert measure(program_of_works([work], M4)) == measure(compilation.program)
    assert True in staged


def split_of(graph: Graph) -> tuple[Split, Compilation]:
    compilation = compiled(graph, False)
    return best_split(compilation.works[0].group, M4, 4, "auto"), compilation


def test_the_best_is_no_slower_and_has_its_exact_time() -> None:
    split, compilation = split_of(residual(1))
    group = compilation.works[0].group
    best = best_shared(group, split, M4, "time", measure)
    cost = measure(program_of_works([best.apply(group)], M4))
    assert best.tiling.cycles == cost.cycles < measure(program_of_works([split.apply(group)], M4)).cycles
    assert max(best.tiling.slots) > max(split.tiling.slots)
    assert Search(M4, Options(), measure).works(group, M4)[0].parts[0].tiling.cycles <= 1.02 * cost.cycles


def test_pieces_of_parked_sums_keep_their_slots() -> None:
    """Two units free them in turn."""
    split, compilation = split_of(residual(1))
    group, tiling = compilation.works[0].group, split.tiling
    sums = tiling.plan.writes[0]
    assert all(other.slots[sums] > tiling.slots[sums] for other in _others(group, split, M4))
    parked = replace(tiling, plan=replace(tiling.plan, parked=1), rivals=(), calm=())
    (deep,) = _others(group, replace(split, tiling=parked), M4)
    assert deep.slots[sums] == parked.slots[sums]
    assert max(deep.slots) > max(parked.slots)


def test_what_computes_most_of_the_time_is_taken_as_it_is() -> None:
    graph = parse_graph(
        "graph g\ninput x float32[1,64,14,14]\nparameter w float32[64,64,3,3]\n"
        "y = conv2d(x, w, padding=[1,1])\noutput y\n"
    )
    split, compilation = split_of(graph)
    asked: list[object] = []

    def refuse(program: object) -> None:
        asked.append(program)

    assert best_shared(compilation.works[0].group, split, M4, "time", refuse) is split  # type: ignore[arg-type]
    assert asked == []


def steps(tiling: Tiling, split: Split) -> int:
    group = split.apply(compiled(residual(1), False).works[0].group).parts[0].group
    return prod(tiling.count(group, depth) for depth in range(tiling.parallel, len(tiling.order)))


def test_calm_tilings_add_in_fewer_steps_and_are_nearly_as_good_by_estimate() -> None:
    split, _ = split_of(residual(1))
    found = split.tiling
    assert found.calm
    now = steps(found, split)
    for halves, calm in enumerate(found.calm, 1):
        assert steps(calm, split) <= now / 2**halves
        assert calm.cycles <= (1 + DOUBT) * found.cycles
        assert calm.cost <= (1 + DOUBT) * found.cost
        assert (calm.order, calm.levels, calm.slots) == (found.order, found.levels, found.slots)
