"""Values of what the host does, where the graph says what it is."""

from __future__ import annotations

import numpy as np
import pytest

from tilework.errors import NetworkError, WeightsError
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph

LOOKED_UP = """graph g
input ids int64[2,3]
parameter table float32[4,2]
y = host(ids, table, what="embedding", shape=[2,3,2]) as float32
output y
"""


def test_rows_of_a_table() -> None:
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    ids = np.array([[0, 3, 1], [2, 2, 0]])
    found = execute(parse_graph(LOOKED_UP), {"table": table}, {"ids": ids})["y"]
    np.testing.assert_array_equal(found, [[[0, 1], [6, 7], [2, 3]], [[4, 5], [4, 5], [0, 1]]])
    assert found.dtype == np.float32


@pytest.mark.parametrize("bad", [-1, 4])
def test_rows_that_are_not_there(bad: int) -> None:
    ids = np.array([[0, 3, 1], [bad, 2, 0]])
    with pytest.raises(NetworkError) as caught:
        execute(parse_graph(LOOKED_UP), {"table": np.zeros((4, 2), np.float32)}, {"ids": ids})
    assert str(caught.value) == f"what y looks up must lie in 0..3, not in {ids.min()}..{ids.max()}"


@pytest.mark.parametrize("dtype", ["int64", "int32", "float32"])
def test_sequences(dtype: str) -> None:
    text = f'graph g\ny = host(what="constant", shape=[4], sequence=[7,-3]) as {dtype}\noutput y\n'
    found = execute(parse_graph(text), {}, {})["y"]
    np.testing.assert_array_equal(found, [7, 4, 1, -2])
    assert str(found.dtype) == dtype


def test_a_constant_of_which_nothing_is_said_comes_with_the_weights() -> None:
    graph = parse_graph('graph g\ny = host(what="constant", shape=[2]) as float32\nz = relu(y)\noutput z\n')
    values = np.array([-1.0, 2.0], np.float32)
    np.testing.assert_array_equal(execute(graph, {"y": values}, {})["z"], [0, 2])
    with pytest.raises(WeightsError) as caught:
        execute(graph, {}, {})
    assert str(caught.value) == "the weights must hold y, which they lack"


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ('what="constant", shape=[2,2], sequence=[0,1]', "[0, 1]"),
        ('what="constant", shape=[2], sequence=[0]', "[0]"),
        ('what="random", shape=[2], sequence=[0,1]', "[0, 1]"),
    ],
)
def test_what_is_no_sequence(attributes: str, wrong: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_graph(f"graph g\ny = host({attributes})\noutput y\n")
    assert str(caught.value).endswith(
        f"node y: a sequence must be the first number and the step of a constant of one axis, not {wrong}"
    )
