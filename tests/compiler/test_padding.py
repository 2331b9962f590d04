"""Padding that is stored: the same values, room where there was none, and nothing else changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tilework.compiler.padding import padded
from tilework.executable import compile_network
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.network.training import training_step
from tilework.simulator.functional import unwritten_reads
from tilework.simulator.hazards import find_hazards, find_races

Small = Callable[..., Machine]

TEXT = """graph wide
input x float32[1,2,24,20]
parameter w float32[3,2,3,3]
y = conv2d(x, w, padding=[1,1])
output y
"""


def test_a_plane_that_does_not_fit_is_stored_with_its_padding(small: Small) -> None:
    graph = parse_graph(TEXT)
    step = training_step(graph, "mean_squared_error", 0.1)
    machine = small(1024, 1024)
    stored = padded(step, machine)
    assert [str(nest) for node in stored.nodes[-3:-1] for nest in stored.nests(node)] == [
        "i0<1 i1<2 i2<26 i3<22: d:w:padded[i0,i1,i2,i3] = x[i0,i1,i2-1,i3-1 | 0]",
        "n<1 g<1 k<3 p<24 q<20 c<2 r<3 s<3: d:w[3*g+k,c,r,s] += d:y[n,3*g+k,p,q] * d:w:padded[n,2*g+c,p+r,q+s]",
    ]
    weights = seeded(graph)
    inputs = {t.name: np.random.default_rng(2).standard_normal(t.shape, dtype=np.float32) for t in step.inputs}
    executable = compile_network(step, machine, weights)
    assert find_races(executable.program) == find_hazards(executable.program) == []
    assert unwritten_reads(executable.program, inputs) == []
    expected, found = execute(step, weights, inputs), executable.run(**inputs)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "encoder", "unet"])
def test_sums_that_fit_read_their_padding(name: str) -> None:
    graph = network(name)
    assert padded(graph, load_machine("dlp-s")) is graph
