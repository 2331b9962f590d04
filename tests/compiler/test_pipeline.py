"""The whole compiler: its errors, its determinism, its stages as text, and how near to the bound its programs come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.pipeline import STAGES, Compilation, compile_graph
from tilework.cost.count import count
from tilework.errors import CompileError
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.isa.assembly import parse_program
from tilework.isa.program import Port
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights
from tilework.simulator.cycle import Result, simulate
from tilework.simulator.functional import run

Small = Callable[..., Machine]

TEXT = """graph net
input x float32[1,2,6,6]
parameter w float32[4,2,3,3]
parameter b float32[4]
parameter v float32[5,16]
conv = conv2d(x, w, b)
drop = dropout(conv)
pool = max_pool2d(drop)
flat = flatten(pool)
fc = linear(flat, v)
output fc
"""


def compiled(text: str, machine: Machine) -> Compilation:
    graph = parse_graph(text)
    return compile_graph(graph, seeded(graph), machine)


def complaint(text: str, machine: Machine) -> str:
    with pytest.raises(CompileError) as caught:
        compiled(text, machine)
    return str(caught.value)


def test_the_stages_as_text(small: Small) -> None:
    compilation = compiled(TEXT, small())
    assert tuple(STAGES) == ("simplify", "fuse", "tile", "allocate", "lower")
    simple = compilation.text("simplify")
    assert simple.startswith("# dropped drop: dropout does nothing at inference\ngraph net\n")
    assert str(parse_graph(simple)) == str(compilation.graph)
    assert compilation.text("fuse").startswith("group conv (conv2d+max_pool2d)\n  n<1 g<1 k<4 p_p<2")
    assert [line.split()[0] for line in compilation.text("tile").splitlines()] == ["conv:", "fc:"]
    # Behind w's 288 bytes lies b, behind v's 320 at 0x180 the activations; fc takes the place of x, which is dead.
    assert compilation.text("allocate") == ("0x0000000140 b\n0x00000002c0 fc\n0x0000000400 pool\n0x00000002c0 x\n")
    assert parse_program(compilation.text("lower")) == compilation.program.instructions


def test_the_program_says_what_it_is(small: Small) -> None:
    compilation = compiled(TEXT, small())
    program = compilation.program
    assert program.name == "net"
    assert program.inputs == (Port("x", (1, 2, 6, 6), compilation.dram.plain["x"], (0, 2, 3, 1)),)
    assert program.outputs == (Port("fc", (1, 5), compilation.dram.plain["fc"], (0, 1)),)
    assert [(layer.name, layer.operation) for layer in program.layers] == [
        ("conv+pool", "conv2d+max_pool2d"),
        ("fc", "linear"),
    ]
    assert [layer.macs for layer in program.layers] == [4 * 4 * 4 * 2 * 3 * 3, 16 * 5]
    assert program.layers[0].first == 0
    assert program.layers[1].last == len(program.instructions) - 1
    assert program.facts["weights"] == "seeded random (seed 0)"
    assert len(program.weights()) == program.weight_bytes


def test_weights_are_read_only_for_the_image(small: Small) -> None:
    graph = parse_graph(TEXT)
    reads: list[str] = []
    makers = {
        name: (lambda name=name, make=make: reads.append(name) or make()) for name, make in seeded(graph).makers.items()
    }
    program = compile_graph(graph, Weights(makers, "watched"), small()).program
    simulate(program)
    assert reads == []
    program.weights()
    assert sorted(reads) == ["b", "v", "w"]
    program.weights()
    assert len(reads) == 3


def test_progress_counts_the_groups(small: Small) -> None:
    graph = parse_graph(TEXT)
    seen: list[tuple[int, int]] = []
    compile_graph(graph, seeded(graph), small(), progress=lambda done, all_: seen.append((done, all_)))
    assert seen == [(1, 2), (2, 2)]


def test_scratchpads_that_are_too_small(small: Small) -> None:
    """All loops that are summed can be cut, so conv's smallest tile takes one element of w, and with the pooling 2x2 of
    x and of conv."""
    message = (
        "conv needs, for its smallest tile, NRAM of at least 32 bytes, not 28, which is 4 short (x alone takes 16) and "
        "WRAM of at least 4 bytes, not 0, which is 4 short (w alone takes 4); use a machine tiny with more"
    )
    assert complaint(TEXT, small(28, 0)) == message
    assert compiled(TEXT, small(40, 4)).program.instructions


def test_dram_that_is_too_small(small: Small) -> None:
    machine = small()
    needed = compiled(TEXT, machine).dram.total_bytes
    less = replace(machine, dram=replace(machine.dram, capacity_bytes=needed - 1))
    assert complaint(TEXT, less) == (
        f"tiny must have at least {needed} bytes of DRAM for net, not {needed - 1}; use a machine with more"
    )
    assert compiled(TEXT, replace(machine, dram=replace(machine.dram, capacity_bytes=needed))).program.instructions


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("flip(x, axes=[2])", "y (flip), which runs backwards through a tensor"),
        ("slice(x, start=0, step=-1)", "y (slice), which runs backwards through a tensor"),
        ('host(x, what="sort", shape=[2])', "y (sort), which is not affine"),
    ],
)
def test_what_has_no_instructions_is_refused(node: str, message: str, small: Small) -> None:
    said = complaint(f"graph g\ninput x float32[1,2,3,4]\ny = {node}\noutput y\n", small())
    assert said == f"network g must have a node for the processor to be compiled, not only such as {message}"


def test_a_transposed_convolution_whose_windows_lie_side_by_side_is_compiled(small: Small) -> None:
    text = "graph g\ninput x float32[2,4,3,5]\nparameter w float32[4,3,2,3]\nparameter b float32[6]\n"
    graph = parse_graph(text + "y = conv_transpose2d(x, w, b, stride=[2,3], groups=2)\nz = relu(y)\noutput z\n")
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 5)).astype(np.float32)
    program = compile_graph(graph, seeded(graph), small()).program
    expected = execute(graph, seeded(graph), {"x": x})["z"]
    np.testing.assert_allclose(run(program, {"x": x})["z"], expected, rtol=1e-5, atol=1e-5)


def test_a_weight_as_output_is_refused(small: Small) -> None:
    text = "graph g\ninput x float32[2]\nparameter w float32[2]\ny = relu(x)\noutput y\noutput w\n"
    assert complaint(text, small()) == (
        "output w must be a node's value or an input to be compiled, not a weight; leave it out"
    )


def test_a_product_of_a_tensor_with_itself_is_a_contraction(small: Small) -> None:
    """Both factors are one tensor at two places: one copy goes to NRAM, one to WRAM."""
    text = "graph g\ninput x float32[2,3]\nd = dropout(x)\ny = linear(d, x)\noutput y\n"
    graph = parse_graph(text)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    program = compile_graph(graph, seeded(graph, 0), small()).program
    np.testing.assert_array_equal(run(program, {"x": x})["y"], x @ x.T)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(data=st.data())
def test_compiling_twice_gives_the_same_program(data: Any, draw: Callable[[Any], tuple[Graph, Compilation]]) -> None:
    graph, first = draw(data)
    second = compile_graph(graph, seeded(graph, 3), first.program.machine)
    assert second.program == first.program
    assert second.tilings == first.tilings
    assert bytes(second.program.weights()) == bytes(first.program.weights())


def test_groups_that_differ_in_names_are_tiled_alike(small: Small) -> None:
    text = "graph g\ninput x float32[3,8]\nparameter w float32[8,8]\nparameter v float32[8,8]\n"
    compilation = compiled(text + "a = linear(x, w)\nb = linear(a, v)\noutput b\n", small(200, 100))
    one, other = compilation.tilings
    assert replace(one, plan=other.plan) == other
    assert [buffer.name for buffer in other.plan.buffers] == ["a", "v", "b"]


def test_groups_that_differ_in_what_is_a_weight_are_tiled_apart(small: Small) -> None:
    """w is packed, so that tiles of its elements have no gaps; v lies as it is."""
    text = (
        "graph g\ninput x float32[2,3,4,5]\nparameter w float32[7,60]\n{}f = flatten(x)\ny = linear(f, w)\n{}output y\n"
    )
    assert compiled(text.format("", ""), small(1000, 48)).program.instructions
    both = text.format("input v float32[7,60]\n", "z = linear(f, v)\noutput z\n")
    one, other = compiled(both, small(1000, 224)).tilings
    assert one.plan.buffers[1].packed
    assert not other.plan.buffers[1].packed


@cache
def on_dlp_s(name: str) -> tuple[Graph, Result]:
    graph = network(name)
    return graph, simulate(compile_graph(graph, seeded(graph), load_machine("dlp-s")).program)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("alexnet", 1.05), ("vgg19", 1.05), ("resnet152", 1.05), ("mlp", 1.05), ("lenet5", 1.34)],
)
def test_schedules_come_near_the_bound(name: str, limit: float) -> None:
    """LeNet's first layer has 6 filters of 25 products for an array of 16 by 16: 1568 of its cycles at 29 %."""
    _, result = on_dlp_s(name)
    assert 1 <= result.cycles / result.bound_cycles <= limit
    for layer in result.layers:
        assert layer.cycles >= layer.bound_cycles


@pytest.mark.parametrize("name", ["alexnet", "vgg19", "resnet152"])
def test_the_instructions_do_the_networks_work(name: str) -> None:
    graph, result = on_dlp_s(name)
    assert result.macs == count(graph).total.macs
