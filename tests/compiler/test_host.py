"""The borders between the host and the processor: what goes where, and that the values stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilework.compiler.host import Cut, cut
from tilework.compiler.pipeline import compile_graph
from tilework.errors import CompileError, NetworkError
from tilework.executable import Executable, compile_network, random_inputs
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph

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


def names(graph: Graph | None) -> list[str]:
    return [node.name for node in graph.nodes] if graph else []


def parts(text: str) -> tuple[list[str], list[str], list[str]]:
    found = cut(parse_graph(text))
    return names(found.before), names(found.device), names(found.after)


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
    assert cut(graph) == Cut(graph)


def test_what_is_looked_up_is_an_input_of_the_program(small: Small) -> None:
    assert parts(EMBEDDED) == (["e"], ["y", "z"], [])
    generator = np.random.default_rng(0)
    ids, x = generator.integers(0, 7, (2, 5)), generator.random((2, 5, 4), np.float32)
    program = same(EMBEDDED, small(), ids=ids, x=x).program
    assert [(port.name, port.shape) for port in program.inputs] == [("x", (2, 5, 4)), ("e", (2, 5, 4))]
    assert program.host_operations == ("embedding e: is not affine",)


def test_what_comes_behind_runs_after_the_program(small: Small) -> None:
    assert parts(LATE) == ([], ["y", "r"], ["i", "e", "s"])
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    program = same(LATE, small(), x=x).program
    assert [port.name for port in program.outputs] == ["y", "r"]
    assert program.host_operations == ("cast i: computes with int64", "embedding e: is not affine", "relu s: reads e")


def test_both_ends_at_once(small: Small) -> None:
    behind = 'a = pointwise(z, body="floor(x0 * 9)") as int64\nt = transpose(a, order=[2,0,1])\nb = add(t, ids)\n'
    text = EMBEDDED.replace("output z", f"{behind}output b\noutput e")
    assert parts(text) == (["e"], ["y", "z"], ["a", "t", "b"])
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
    found = cut(parse_graph(text))
    assert (names(found.before), names(found.device)) == (["s", "i", "e"], ["y"])
    assert found.operations == (
        "relu s: is read by i",
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
    assert parts(text)[0::2] == ([], [])
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
    (operation,) = cut(parse_graph(text)).operations
    assert operation.endswith(f" b: {reason}")


def test_a_node_of_the_host_between_contractions_is_refused() -> None:
    text = LATE.replace("output s", "parameter v float32[3,2]\nz = linear(s, v)\noutput z")
    assert complaint(text) == (
        "node e is not affine and so must stand at the beginning or the end of the network, "
        "not between contractions as here, where z needs it; compile the network in two parts"
    )


def test_nothing_for_the_processor_is_refused() -> None:
    text = 'graph g\ninput x float32[2]\ny = host(x, what="sort", shape=[2])\noutput y\n'
    assert complaint(text) == (
        "network g must have a node for the processor to be compiled, not only such as y (sort), which is not affine"
    )


def test_where_the_host_has_no_rule_the_programs_own_inputs_are_taken(small: Small) -> None:
    executable = compile_network(parse_graph(EMBEDDED.replace('"embedding"', '"gather"')), small())
    graph = parse_graph(EMBEDDED)
    ids, x = np.ones((2, 5), np.int64), np.ones((2, 5, 4), np.float32)
    with pytest.raises(NetworkError) as caught:
        executable.run(ids=ids, x=x)
    assert str(caught.value) == (
        "node e must be affine to have a value, which gather is not; give the program's own inputs instead: x, e"
    )
    rows = seeded(graph)["table"][ids]
    expected = execute(graph, seeded(graph), {"ids": ids, "x": x})["z"]
    np.testing.assert_allclose(executable.run(x=x, e=rows)["z"], expected, rtol=1e-5, atol=1e-5)


def test_other_inputs_are_refused(small: Small) -> None:
    executable = compile_network(parse_graph(EMBEDDED), small())
    with pytest.raises(NetworkError) as caught:
        executable.run(ids=np.ones((2, 5), np.int64))
    assert str(caught.value) == "the inputs must be ids, x, not ids"


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
    program = compile_network(parse_graph(text), small()).program
    assert [port.name for port in program.inputs] == ["x", "r"]
    assert [port.name for port in program.outputs] == ["v", "y"]
