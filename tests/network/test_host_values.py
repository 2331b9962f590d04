"""Values of what the host does, where the graph says what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tilework.errors import NetworkError, WeightsError
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.network.host_rules import RULES
from tilework.network.host_sampling import SAMPLING

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


F = np.float32
X = np.random.default_rng(0).integers(-3, 4, (3, 4, 5)).astype(F)  # with equal ones
IDS = np.random.default_rng(1).integers(0, 3, (2, 4, 5))
T = torch.from_numpy(X)


def ruled(how: str, shape: tuple[int, ...], *inputs: np.ndarray[Any, Any], dtype: str = "float32") -> Any:
    names = [f"x{place}" for place in range(len(inputs))]
    sources = "".join(f"input {n} {v.dtype}{list(v.shape)}\n" for n, v in zip(names, inputs, strict=True))
    node = f'y = host({", ".join(names)}, what="gather", shape={list(shape)}, how="{how}") as {dtype}'
    text = f"graph g\n{sources}{node}\noutput y\n"
    return execute(parse_graph(text), {}, dict(zip(names, inputs, strict=True)))["y"]


def updated(reduce: str) -> Any:
    return T.scatter_reduce(0, torch.from_numpy(IDS), T[:2], reduce).numpy()


ROWS = np.array([[2, 1], [0, 3]])
CASES: dict[str, tuple[Callable[[], Any], Any]] = {
    "take": (lambda: ruled("take 1", (3, 2, 5), X, np.array([3, -1])), X[:, [3, 3]]),
    "index": (lambda: ruled("index 1 0 1", (2, 4), X, ROWS[0], ROWS[1]), X[ROWS[0], :, ROWS[1]]),
    "take_along": (lambda: ruled("take_along 0", (2, 4, 5), X, IDS), T.gather(0, torch.from_numpy(IDS)).numpy()),
    "take_nd": (lambda: ruled("take_nd 0", (2, 5), X, ROWS), X[[2, 0], [1, 3]]),
    "put_along": (lambda: ruled("put_along 0 1", (3, 4, 5), X, IDS, X[:2]), updated("sum")),
    "put_nd": (lambda: ruled("put_nd 0", (3, 4, 5), X, ROWS, X[0, :2]), None),
    "sort": (
        lambda: ruled("sort 1 1 3 1", (3, 3, 5), X, dtype="int64"),
        T.sort(dim=1, descending=True, stable=True)[1][:, :3],
    ),
    "arg": (lambda: ruled("arg 2 1 0", (3, 4), X, dtype="int64"), X.argmax(2)),
    "hardmax": (lambda: ruled("hardmax 2", (3, 4, 5), X), np.eye(5)[X.argmax(2)]),
    "cumsum": (lambda: ruled("cumsum 1 0 0", (3, 4, 5), X), T.cumsum(1)),
    "cumprod": (lambda: ruled("cumprod 2 1 1", (3, 4, 5), X), None),
    "product": (lambda: ruled("product 0 2", (4,), X), X.prod((0, 2))),
    "arcsin": (lambda: ruled("arcsin", X.shape, X / 4), np.arcsin(X / 4)),
    "arccos": (lambda: ruled("arccos", X.shape, X / 4), np.arccos(X / 4)),
    "arctan": (lambda: ruled("arctan", X.shape, X), np.arctan(X)),
    "arctan2": (lambda: ruled("arctan2", X.shape, X, X[::-1]), np.arctan2(X, X[::-1])),
    "bit_and": (lambda: ruled("bit_and", IDS.shape, IDS, IDS[::-1], dtype="int64"), IDS & IDS[::-1]),
    "bit_or": (lambda: ruled("bit_or", IDS.shape, IDS, IDS[::-1], dtype="int64"), IDS | IDS[::-1]),
    "bit_xor": (lambda: ruled("bit_xor", IDS.shape, IDS, IDS[::-1], dtype="int64"), IDS ^ IDS[::-1]),
    "bit_not": (lambda: ruled("bit_not", IDS.shape, IDS, dtype="int64"), ~IDS),
    "shift_left": (lambda: ruled("shift_left", IDS.shape, IDS, IDS, dtype="int64"), IDS << IDS),
    "shift_right": (lambda: ruled("shift_right", IDS.shape, IDS + 4, IDS, dtype="int64"), IDS + 4 >> IDS),
    "nearest": (lambda: ruled("nearest 0", (3, 4, 7), X), functional.interpolate(T, 7, mode="nearest")),
    "diagonal": (lambda: ruled("diagonal", (3,), X[:, :3, 0].copy()), X[[0, 1, 2], [0, 1, 2], 0]),
}


def test_every_rule_is_here() -> None:
    """Those of sampling have a test of their own."""
    assert CASES.keys() == RULES.keys() - SAMPLING.keys()


@pytest.mark.parametrize("name", [name for name, (_, expected) in CASES.items() if expected is not None])
def test_rules_against_torch_and_numpy(name: str) -> None:
    compute, expected = CASES[name]
    np.testing.assert_allclose(compute(), np.asarray(expected), rtol=1e-6, atol=1e-6)


def test_rules_by_hand() -> None:
    expected = X.copy()
    expected[2, 1], expected[0, 3] = X[0, 0], X[0, 1]
    np.testing.assert_array_equal(CASES["put_nd"][0](), expected)
    backwards = np.flip(np.cumprod(np.flip(X, 2), 2), 2)
    np.testing.assert_array_equal(CASES["cumprod"][0](), np.concatenate([backwards[..., 1:], np.ones((3, 4, 1))], 2))


@pytest.mark.parametrize(("number", "reduce"), [(2, "prod"), (3, "amax"), (4, "amin")])
def test_other_updates(number: int, reduce: str) -> None:
    np.testing.assert_allclose(ruled(f"put_along 0 {number}", (3, 4, 5), X, IDS, X[:2]), updated(reduce))


def test_batches_of_rows() -> None:
    np.testing.assert_array_equal(ruled("take_nd 1", (3, 5), X, np.array([[1], [0], [3]])), X[[0, 1, 2], [1, 0, 3]])


def test_exact_nearest() -> None:
    expected = functional.interpolate(T, 7, mode="nearest-exact")
    np.testing.assert_array_equal(ruled("nearest 1", (3, 4, 7), X[:, :, :]), expected)


def test_indices_of_no_place() -> None:
    with pytest.raises(NetworkError) as caught:
        ruled("take 0", (1, 4, 5), X, np.array([3]))
    assert str(caught.value) == (
        "what y takes must fit together, which it does not: index 3 is out of bounds for axis 0 with size 3"
    )
