"""The borders between the host and the processor: what goes where, and that the values stay the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilework.compiler.host import Segment, cut
from tilework.compiler.pipeline import compile_graph
from tilework.compiler.simplify import Simplified, drop_unused
from tilework.errors import CompileError, NetworkError, ProgramError
from tilework.executable import Executable, compile_network, random_inputs
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights
from tilework.simulator.cycle import simulate

Small = Callable[..., Machine]

EMBEDDED = """graph net
input ids int64[2,5]
input x float32[2,5,4]
parameter table float32[7,4]
parameter w float32[3,4]
e = host(ids, table, what="embedding", shape=[2,5,4]) as float32
y = add(e, x)
z = linear(y, w)
output z
"""

LATE = """graph net
input x float32[2,4]
parameter w float32[3,4]
parameter table float32[5,2]
y = linear(x, w)
r = pointwise(y, body="min(max(round(x0 + 2), 0), 4)")
i = pointwise(r, body="x0", what="cast") as int64
e = host(i, table, what="embedding", shape=[2,3,2]) as float32
s = relu(e)
output s
output y
"""


def parts(text: str) -> list[tuple[str, ...]]:
    """The nodes of each segment, behind "host" for those of the host."""
    segments = cut(parse_graph(text))
    return [(*["host"] * s.on_host, *(node.name for node in s.graph.nodes)) for s in segments]


def complaint(text: str) -> str:
    with pytest.raises(CompileError) as caught:
        cut(parse_graph(text))
    return str(caught.value)


def same(text: str, machine: Machine, **inputs: np.ndarray[Any, Any]) -> Executable:
    """The executable, having given the values that NumPy gives."""
    graph = parse_graph(text)
    executable = compile_network(graph, machine)
    expected = execute(graph, seeded(graph), inputs)
    found = executable.run(**inputs)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5)
    return executable


def test_a_network_without_work_for_the_host_stays_whole() -> None:
    graph = parse_graph("graph g\ninput x float32[2]\ny = relu(x)\noutput y\n")
    assert cut(graph) == (Segment(graph),)


def test_what_is_looked_up_is_an_input_of_the_program(small: Small) -> None:
    assert parts(EMBEDDED) == [("host", "e"), ("y", "z")]
    generator = np.random.default_rng(0)
    ids, x = generator.integers(0, 7, (2, 5)), generator.random((2, 5, 4), np.float32)
    bundle = same(EMBEDDED, small(), ids=ids, x=x).bundle
    assert [(port.name, port.shape) for port in bundle.program.inputs] == [("x", (2, 5, 4)), ("e", (2, 5, 4))]
    assert bundle.host_operations == ("embedding e: is not affine",)
    assert bundle.host_bytes == 4 * 2 * 5 * 4


def test_what_comes_behind_runs_after_the_program(small: Small) -> None:
    assert parts(LATE) == [("y", "r"), ("host", "i", "e", "s")]
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    bundle = same(LATE, small(), x=x).bundle
    assert [port.name for port in bundle.program.outputs] == ["y", "r"]
    assert bundle.host_operations == (
        "cast i: computes with int64",
        "embedding e: is not affine",
        "relu s: stands between nodes of the host without a contraction",
    )
    assert bundle.host_bytes == 4 * 2 * 3  # y is an output of the network


def test_both_ends_at_once(small: Small) -> None:
    behind = 'a = pointwise(z, body="floor(x0 * 9)") as int64\nt = transpose(a, order=[2,0,1])\nb = add(t, ids)\n'
    text = EMBEDDED.replace("output z", f"{behind}output b\noutput e")
    assert parts(text) == [("host", "e"), ("y", "z"), ("host", "a", "t", "b")]
    ids = np.random.default_rng(0).integers(0, 7, (2, 5))
    same(text, small(), ids=ids, x=np.ones((2, 5, 4), np.float32))


def test_what_only_the_hosts_nodes_need_is_the_hosts() -> None:
    text = """graph g
input x float32[4]
parameter table float32[9,4]
parameter w float32[2,4]
s = relu(x)
i = pointwise(s, body="floor(x0)") as int64
e = host(i, table, what="embedding", shape=[4,4]) as float32
y = linear(e, w)
output y
"""
    assert parts(text) == [("host", "s", "i", "e"), ("y",)]
    assert cut(parse_graph(text))[0].operations == (
        "relu s: stands between nodes of the host without a contraction",
        "pointwise i: computes with int64",
        "embedding e: is not affine",
    )


def test_truth_values_are_the_processors(small: Small) -> None:
    text = """graph g
input x float32[3,4]
input m bool[4]
n = pointwise(x, body="less(0, x0)") as bool
o = pointwise(n, m, body="or(x0, not(x1))") as bool
c = reshape(o, shape=[4,3])
t = transpose(c, order=[1,0])
y = pointwise(t, x, body="select(x0, x1, -1)") as float32
z = reduce(o, axes=[0], update="max=")
f = pointwise(z, body="x0") as float32
output y
output f
"""
    assert len(parts(text)) == 1
    generator = np.random.default_rng(2)
    x, m = generator.standard_normal((3, 4)).astype(np.float32), generator.integers(0, 2, 4).astype(bool)
    same(text, small(), x=x, m=m)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ('pointwise(x, body="x0") as bool', "makes a truth value of a number"),
        ('pointwise(m, m, body="x0 + x1") as bool', "makes a truth value of a number"),
        ('reduce(m, update="+=") as bool', "makes a truth value of a number"),
        ('pointwise(x, body="x0") as int8', "computes with int8"),
        ('pointwise(x, body="x0") as complex64', "computes with complex64"),
        ('unknown(x, what="aten.foo", shape=[2])', "is not affine"),
    ],
)
def test_what_is_the_hosts(node: str, reason: str) -> None:
    text = f"graph g\ninput x float32[2]\ninput m bool[2]\na = relu(x)\nb = {node}\noutput a\noutput b\n"
    ((operation,),) = (segment.operations for segment in cut(parse_graph(text)) if segment.on_host)
    assert operation.endswith(f" b: {reason}")


BETWEEN = LATE.replace("output s", "parameter v float32[3,2]\nz = linear(s, v)\nu = relu(z)\noutput u")


def test_a_node_of_the_host_between_contractions_makes_two_programs(small: Small) -> None:
    assert parts(BETWEEN) == [("y", "r"), ("host", "i", "e"), ("s", "z", "u")]
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    executable = same(BETWEEN, small(), x=x)
    bundle, cost = executable.bundle, executable.cost
    assert [len(program.layers) for program in bundle.programs] == [2, 2]
    costs = [simulate(program) for program in bundle.programs]
    assert cost.cycles == sum(each.cycles for each in costs)
    assert cost.dram_bytes == sum(each.dram_bytes for each in costs)
    assert cost.energy_joules == pytest.approx(sum(each.energy_joules for each in costs))
    assert [(layer.start, layer.end) for layer in cost.layers[2:]] == [
        (costs[0].cycles + layer.start, costs[0].cycles + layer.end) for layer in costs[1].layers
    ]
    assert bundle.host_bytes == 4 * (2 * 3 + 2 * 3 * 2)  # r to the host, e from it
    with pytest.raises(ProgramError) as caught:
        assert executable.program
    assert str(caught.value) == (
        "network net must be one program for this, not 2 with the host's work between them; "
        "run it, or take its `programs`"
    )


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Nodes of three kinds in any order on each other's values: contractions, sums, and halves on the host."""
    lines, values = ["graph net", "input x float32[3,3]", "parameter w float32[3,3]"], ["x"]
    for place in range(draw(st.integers(1, 9))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        made = draw(st.sampled_from((f"linear({a}, w)", f"add({a}, {b})", f"relu({a})", "host")))
        if made == "host":
            lines.append(f'i{place} = pointwise({a}, body="floor(x0 * 2)") as int64')
            made = f'pointwise(i{place}, {b}, body="x0 * 0.5 + x1") as float32'
        lines.append(f"v{place} = {made}")
        values.append(f"v{place}")
    outputs = draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=3, unique=True))
    return "\n".join([*lines, *(f"output {name}" for name in outputs), ""])


def fewest(graph: Graph) -> int:
    """The least number of segments if no device's node may go to the host: by trying which side comes first."""
    hosts = {n.name for n in graph.nodes if any(graph.tensors[m].dtype == "int64" for m in (n.name, *n.inputs))}
    found = []
    for first in (True, False):
        left, done, segments, side = list(graph.nodes), {t.name for t in graph.sources}, 0, first
        while left:
            before = len(left)
            for node in graph.nodes:
                if node in left and (node.name in hosts) == side and done.issuperset(node.inputs):
                    left.remove(node)
                    done.add(node.name)
            segments, side = segments + (len(left) < before), not side
        found.append(segments)
    return min(found)


@settings(deadline=None, max_examples=60)
@given(text=networks())
def test_segments_are_few_in_order_and_complete(text: str) -> None:
    graph = drop_unused(Simplified(parse_graph(text), Weights({}, ""))).graph
    try:
        segments = cut(graph)
    except CompileError:
        assert all(node.operation != "linear" for node in graph.nodes)
        return
    assert len(segments) <= fewest(graph)
    assert sorted(n.name for s in segments for n in s.graph.nodes) == sorted(n.name for n in graph.nodes)
    assert all(a.on_host != b.on_host for a, b in pairwise(segments))
    there = {"x"}
    for segment in segments:
        assert there >= {tensor.name for tensor in segment.graph.inputs}
        there |= set(segment.graph.outputs)
    assert there >= set(graph.outputs)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=networks())
def test_cut_networks_have_the_values_of_whole_ones(small: Small, text: str) -> None:
    if "linear" in text:
        same(text, small(), x=np.random.default_rng(1).standard_normal((3, 3)).astype(np.float32))


def test_nothing_for_the_processor_is_refused() -> None:
    text = 'graph g\ninput x float32[2]\ny = host(x, what="sort", shape=[2])\noutput y\n'
    assert complaint(text) == (
        "network g must have a node for the processor to be compiled, not only such as y (sort), which is not affine"
    )


def test_where_the_host_has_no_rule_its_values_may_be_given(small: Small) -> None:
    executable = compile_network(
        parse_graph(EMBEDDED.replace('host(ids, table, what="embedding"', 'unknown(ids, table, what="foo"')), small()
    )
    graph = parse_graph(EMBEDDED)
    ids, x = np.ones((2, 5), np.int64), np.ones((2, 5, 4), np.float32)
    with pytest.raises(NetworkError) as caught:
        executable.run(ids=ids, x=x)
    assert str(caught.value) == (
        "node e must be affine to have a value, which foo is not; give the values of e in place of what only they need"
    )
    rows = seeded(graph)["table"][ids]
    expected = execute(graph, seeded(graph), {"ids": ids, "x": x})["z"]
    np.testing.assert_allclose(executable.run(x=x, e=rows)["z"], expected, rtol=1e-5, atol=1e-5)


def test_other_inputs_are_refused(small: Small) -> None:
    executable = compile_network(parse_graph(EMBEDDED), small())
    for values in ({"ids": np.ones((2, 5), np.int64)}, {"x": np.ones(1), "e": np.ones(1), "ids": np.ones(1)}):
        with pytest.raises(NetworkError) as caught:
            executable.run(**values)
        assert str(caught.value) == f"the inputs must be ids, x, not {', '.join(values)}"


def test_random_inputs_look_up_what_is_there(small: Small) -> None:
    executable = compile_network(parse_graph(EMBEDDED), small())
    inputs = random_inputs(executable)
    assert (inputs["ids"].dtype, inputs["x"].dtype) == (np.dtype("int64"), np.dtype("float32"))
    assert (inputs["ids"] >= 0).all()
    assert (inputs["ids"] < 7).all()
    assert executable.run(**inputs)["z"].shape == (2, 5, 3)


def test_constants_are_folded_and_computed_for_the_image_alone(small: Small) -> None:
    text = """graph g
input x float32[2,3]
parameter w float32[3,1]
n = host(what="constant", shape=[3], sequence=[4,-2]) as int64
f = pointwise(n, body="x0 * 2", what="cast") as float32
t = transpose(w, order=[1,0])
r = mul(t, f)
h = pointwise(body="0.5", shape=[2,3])
y = pointwise(x, r, h, body="x0 * x1 + x2")
output y
"""
    graph = parse_graph(text)
    compilation = compile_graph(graph, seeded(graph), small())
    assert [node.name for node in compilation.graph.nodes] == ["y"]
    assert compilation.log == (
        "folded r: nothing but weights and constants decides it",
        "folded h: nothing but weights and constants decides it",
    )
    x = np.random.default_rng(3).standard_normal((2, 3)).astype(np.float32)
    expected = x * (seeded(graph)["w"].T * np.array([8, 4, 0], np.float32)) + np.float32(0.5)
    np.testing.assert_allclose(Executable(compilation.program).run(x=x)["y"], expected, rtol=1e-6)


def test_random_numbers_and_outputs_are_not_folded(small: Small) -> None:
    text = """graph g
input x float32[2]
parameter w float32[2]
r = host(what="random", shape=[2]) as float32
v = relu(w)
y = pointwise(x, r, v, body="x0 + x1 + x2")
output y
output v
"""
    bundle = compile_network(parse_graph(text), small()).bundle
    assert [port.name for port in bundle.program.inputs] == ["x", "r"]
    assert (bundle.outputs, [port.name for port in bundle.program.outputs]) == (("y", "v"), ["v", "y"])
