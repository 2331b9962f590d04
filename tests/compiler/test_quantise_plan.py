"""Which tensors are int8, which stay float32, and in which units."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tilework.compiler.quantise_plan import FLOAT, Kept, plan, scale_of
from tilework.compiler.statement import statements
from tilework.network.graph_text import parse_graph


def kept(nodes: str, across: bool = True, **largest: float) -> Mapping[str, Kept]:
    """How the tensors of a graph are kept, of which the largest values are 1 unless said otherwise."""
    given = statements(parse_graph(f"graph g\ninput x float32[2,4,6]\nparameter w float32[6,6]\n{nodes}"), across)
    names = {name: largest.get(name, 1.0) for name, tensor in given.tensors.items() if not tensor.is_weight}
    return plan(given, names, across)


def test_what_goes_through_dram_is_int8() -> None:
    found = kept("a = linear(x, w)\nb = linear(a, w)\nc = linear(b, w)\noutput c\n", a=254.0)
    assert (found["x"], found["c"]) == (FLOAT, FLOAT)
    assert (found["a"], found["b"]) == (Kept("int8", 2.0), Kept("int8", 1 / 127))


def test_what_stays_on_chip_is_float32_in_the_unit_of_what_is_made_of_it() -> None:
    nodes = "a = linear(x, w)\nb = relu(a)\nc = linear(b, w)\noutput c\n"
    assert kept(nodes, b=254.0)["a"] == Kept("float32", 2.0)
    assert kept(nodes.replace("relu", "tanh"), b=254.0)["a"] == FLOAT
    assert kept(nodes, across=False, a=127.0)["a"] == Kept("int8", 1.0)


def test_of_two_operands_the_one_made_last_stays() -> None:
    nodes = "a = linear(x, w)\nb = linear(x, w)\nc = add(a, b)\nd = linear(c, w)\noutput d\n"
    found = kept(nodes, a=254.0, c=508.0)
    assert (found["a"], found["b"], found["c"]) == (Kept("int8", 2.0), Kept("float32", 4.0), Kept("int8", 4.0))


@pytest.mark.parametrize("node", ["softmax(a)", "layer_norm(a)", "rms_norm(a)", "log_softmax(a)"])
def test_what_is_compared_with_its_statistics_is_float32(node: str) -> None:
    found = kept(f"a = linear(x, w)\nb = {node}\nc = linear(b, w)\nd = linear(a, w)\ne = add(c, d)\noutput e\n")
    assert (found["a"], found["b"]) == (FLOAT, Kept("int8", 1 / 127))


def test_a_maximum_keeps_the_scale_and_a_sum_its_unit() -> None:
    most = 'a = linear(x, w)\nb = reduce(a, update="max=", axes=[2], keep=true)\nc = mul(b, a)\nd = linear(c, w)\n'
    assert kept(f"{most}output d\n", a=254.0, b=1.0)["b"] == Kept("int8", 2.0)
    mean = most.replace('update="max="', "mean=true")
    assert kept(f"{mean}output d\n", a=254.0, b=1.0)["b:t"] == Kept("float32", 2.0)


def test_what_has_no_range_is_float32() -> None:
    nodes = "a = linear(x, w)\nb = softmax(a)\nc = sigmoid(a)\nd = add(b, c)\noutput d\n"
    assert kept(nodes, a=float("inf"))["a"] == FLOAT


def test_the_scale_of_a_range() -> None:
    assert (scale_of(254.0), scale_of(0.0)) == (2.0, 1.0)
