"""Nests that add into overlapping places as nests of phases: the same values, each place written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tilework.compiler.gather import gathered, nests_of, writes_once
from tilework.errors import NetworkError
from tilework.executable import compile_network
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute, run_nest
from tilework.network.graph import Tensor
from tilework.network.graph_text import parse_graph
from tilework.network.nest import Nest
from tilework.network.text import parse_nest

Small = Callable[..., Machine]


def values(nests: Sequence[Nest], tensors: dict[str, Tensor]) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(0)
    arrays = {name: generator.integers(-4, 5, t.shape).astype(np.float32) for name, t in tensors.items() if name != "o"}
    for nest in nests:
        run_nest(nest, arrays, {"o": tensors["o"].shape})
    return arrays["o"]


def of_sizes(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name: Tensor(name, shape) for name, shape in shapes.items()}


@settings(deadline=None, max_examples=200)
@given(
    size=st.integers(1, 6),
    taps=st.integers(1, 6),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 4),
    offset=st.integers(-6, 3),
    more=st.integers(-3, 4),
    turned=st.booleans(),
)
def test_phases_have_the_values_of_the_whole(
    size: int, taps: int, stride: int, dilation: int, offset: int, more: int, turned: bool
) -> None:
    """A transposed convolution along one axis, cut at both ends or wider than what it writes, taps turned or not."""
    out = (size - 1) * stride + dilation * (taps - 1) + 1 + offset + more
    assume(out >= 1)
    tap = f"-{dilation}*r{offset + dilation * (taps - 1):+d}" if turned else f"+{dilation}*r{offset:+d}"
    nest = parse_nest(f"n<2 c<3 p<{size} r<{taps}: o[n,{stride}*p{tap}] += x[n,c,p] * w[c,r]")
    tensors = of_sizes(x=(2, 3, size), w=(3, taps), o=(2, out))
    parts = gathered(nest, tensors)
    assert writes_once(parts, tensors["o"])
    assert sum(part.iterations for part in parts if part.update == "+=") <= 6 * taps * -(-out // stride) * stride
    np.testing.assert_array_equal(values(parts, tensors), values([nest], tensors))


@pytest.mark.parametrize(
    "text",
    [
        "p<4 q<3 r<3 s<2: o[2*p+r,3*q+s] += x[p,q] * w[r,s]",  # a phase of the columns that no tap meets
        "p<4 q<3 r<2 s<2: o[2*p+r,2*q+s-1] += x[p,q] * w[r,s]",  # rows that lie side by side
        "p<4 q<3 r<1 s<1: o[2*p+r,3*q+s] += x[p,q] * w[r,s]",  # few places meet any tap
        "p<4 q<3: o[2*p,3*q+1] += x[p,q]",
        "p<4 q<3 r<2 s<3: o[p+2*r,q+s] += x[p,q]",
    ],
)
def test_two_axes(text: str) -> None:
    nest = parse_nest(text)
    tensors = of_sizes(x=(4, 3), w=(nest.extents.get("r", 1), nest.extents.get("s", 1)), o=(9, 8))
    parts = gathered(nest, tensors)
    assert writes_once(parts, tensors["o"])
    np.testing.assert_array_equal(values(parts, tensors), values([nest], tensors))


@pytest.mark.parametrize(
    ("text", "o"),
    [
        ("p<4 r<2: o[2*p+r] += x[p] * w[r]", (8,)),  # each place once
        ("p<3 r<3: o[p+r] += x[p+1] * w[r]", (5,)),  # not all of x
        ("p<4 r<3: o[p+r] += x[p] * w[p]", (6,)),  # p reads both
        ("p<4 r<3: o[p+r] max= x[p]", (6,)),
    ],
)
def test_other_nests_stay(text: str, o: tuple[int, ...]) -> None:
    nest = parse_nest(text)
    assert gathered(nest, of_sizes(x=(4,), w=(4,), o=o)) == (nest,)


TEXT = """graph g
input x float32[{n},{c},{h},5]
parameter w float32[{c},{k},{r},{s}]
parameter b float32[{m}]
y = conv_transpose2d(x, w{bias}, stride=[{a},{e}], padding=[{u},{v}], dilation=[{d},1], groups={g})
z = relu(y)
output z
"""


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_transposed_convolutions_run_on_the_processor(small: Small, data: st.DataObject) -> None:
    def choose(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    g = choose(1, 2)
    sizes = {"n": choose(1, 2), "c": g * choose(1, 3), "k": choose(1, 3), "h": choose(1, 5), "g": g}
    sizes |= {"r": choose(1, 4), "s": choose(1, 3), "a": choose(1, 3), "e": choose(1, 2), "d": choose(1, 2)}
    sizes |= {"u": choose(0, 1), "v": choose(0, 1), "m": g * sizes["k"]}
    try:
        graph = parse_graph(TEXT.format(bias=data.draw(st.sampled_from([", b", ""])), **sizes))
    except NetworkError:
        return
    executable = compile_network(graph, small(1 << 14, 1 << 14))
    assert not executable.bundle.host_parts
    x = np.random.default_rng(0).standard_normal(graph.inputs[0].shape).astype(np.float32)
    expected = execute(graph, seeded(graph), {"x": x})["z"]
    np.testing.assert_allclose(executable.run(x=x)["z"], expected, rtol=1e-4, atol=1e-4)


def test_the_macs_of_the_phases_are_those_that_count() -> None:
    """A kernel of 4 at stride 2 takes 2 by 2 taps for each of the output's places."""
    graph = parse_graph(
        "graph g\ninput x float32[1,3,8,8]\nparameter w float32[3,5,4,4]\n"
        "y = conv_transpose2d(x, w, stride=[2,2], padding=[1,1])\noutput y\n"
    )
    parts = nests_of(graph, graph.nodes[0])
    assert len(parts) == 4
    assert sum(part.iterations for part in parts) == 3 * 5 * 16 * 16 * 2 * 2
