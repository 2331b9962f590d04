"""A third slot for a buffer: taken only where the simulated time is less, and as safe as two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tilework.compiler.fuse import fuse
from tilework.compiler.split import Part
from tilework.compiler.tile import tile
from tilework.compiler.tile_measure import best_measured, program_of
from tilework.executable import compile_network, measure, random_inputs
from tilework.machine.load import load_machine
from tilework.network.graph_text import parse_graph
from tilework.simulator.hazards import find_races

DEPTHWISE = """graph g
input x float32[1,96,56,56]
parameter w float32[96,1,3,3]
parameter b float32[96]
y = conv2d(x, w, b, padding=[1,1], groups=96)
z = clip(y, low=0.0, high=6.0)
output z
"""


def test_it_is_taken_where_it_is_faster() -> None:
    machine, (group,) = load_machine("dlp-s"), fuse(parse_graph(DEPTHWISE))
    group = replace(group, swapped=True)
    before = tile(group, machine)
    after = best_measured(group, before, machine, "time", measure)
    every = [measure(program_of(Part(group, each), machine)).cycles for each in (before, *before.rivals)]
    assert 3 in after.slots
    assert after.cycles == measure(program_of(Part(group, after), machine)).cycles < min(every)


def test_the_values_stay() -> None:
    executable = compile_network(parse_graph(DEPTHWISE), "dlp-s")
    inputs = random_inputs(executable)
    (got,), (expected,) = executable.run(*inputs.values()).values(), executable.reference(inputs).values()
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()
    assert find_races(executable.program) == []
