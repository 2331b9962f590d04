"""How large values become on samples, and samples that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.calibrate import Samples, calibrate, samples_of
from tilework.compiler.statement import statements
from tilework.errors import NetworkError, WeightsError
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights

Array = npt.NDArray[Any]

GRAPH = parse_graph(
    "graph g\ninput x float32[2,3]\nparameter w float32[2,3]\ny = linear(x, w)\nz = sigmoid(y)\noutput z\n"
)
TWO = parse_graph("graph g\ninput x float32[2]\ninput y float32[2]\nz = add(x, y)\noutput z\n")
WEIGHT = np.array([[1, 0, -2], [0, 3, 0]], np.float32)


def largest(*samples: Array, weight: Array = WEIGHT, graph: Graph = GRAPH) -> dict[str, float]:
    weights = Weights({"w": lambda: weight}, "made here")
    return calibrate([statements(graph)], weights, Samples([{"x": sample} for sample in samples], "made here"))


def complaint(*samples: Array, weight: Array = WEIGHT) -> str:
    with pytest.raises((NetworkError, WeightsError)) as caught:
        largest(*samples, weight=weight)
    return str(caught.value)


def test_the_largest_over_all_samples() -> None:
    """y = x w^T by hand: 1 - 2 * 4 = -7 in the first sample, 3 * -5 = -15 in the second."""
    first = np.array([[1, 2, 4], [0, 0, 0]], np.float32)
    second = np.array([[0, -5, 0], [0.5, 0, 0]], np.float32)
    found = largest(first, second)
    assert (found["x"], found["y"]) == (5, 15)
    assert found["z"] == pytest.approx(1 / (1 + np.exp(-6)))


def test_several_steps_hand_their_values_on() -> None:
    """The host's part runs on its graph, the processor's on its nests."""
    before = parse_graph("graph g\ninput a float32[2,3]\nx = relu(a)\noutput x\n")
    sample = np.array([[1, -9, 2], [0, 0, 3]], np.float32)
    weights = Weights({"w": lambda: WEIGHT}, "made here")
    assert calibrate([before, statements(GRAPH)], weights, Samples([{"a": sample}], ""))["x"] == 3


def test_bad_samples_and_weights() -> None:
    good = np.ones((2, 3), np.float32)
    assert complaint(good * np.nan) == (
        "every calibration sample of x must be finite, not NaN or infinite; leave it out"
    )
    assert complaint(good[:1]) == ("every calibration sample of x must have the shape [2, 3], not [1, 3]; reshape it")
    assert complaint(good, weight=np.full((2, 3), np.inf, np.float32)) == (
        "the weight w must be finite to become int8, not NaN or infinite; mend it"
    )
    assert complaint() == "a network must be run on calibration samples to become int8; give at least one"
    with pytest.raises(NetworkError) as caught:
        calibrate([statements(TWO)], Weights({}, ""), Samples([{"x": np.ones(2, np.float32)}], ""))
    assert str(caught.value) == "every calibration sample must have a value for y, which one lacks; give it"


def test_a_value_that_is_no_number() -> None:
    graph = parse_graph('graph g\ninput x float32[2]\ny = pointwise(x, body="log(x0)")\noutput y\n')
    with pytest.raises(NetworkError) as caught:
        calibrate([statements(graph)], Weights({}, ""), Samples([{"x": np.array([1, -1], np.float32)}], ""))
    assert str(caught.value) == "y must be a number for every calibration sample, not NaN; leave that sample out"


@settings(max_examples=30, deadline=None)
@given(number=st.integers(1, 9), batch=st.integers(1, 4))
def test_any_number_of_samples_fills_batches(number: int, batch: int) -> None:
    """Each sample is in some batch, in order, and the last batch goes on with the first samples."""
    graph = parse_graph(f"graph g\ninput x float32[{batch},3]\ny = relu(x)\noutput y\n")
    values = np.arange(number * 3, dtype=np.float32).reshape(number, 3)
    samples = samples_of(graph, values)
    rows = np.concatenate([sample["x"] for sample in samples.inputs])
    assert all(sample["x"].shape == (batch, 3) for sample in samples.inputs)
    assert len(rows) - number < batch
    np.testing.assert_array_equal(rows, values[np.arange(len(rows)) % number])


def test_samples_by_name_and_in_a_sequence() -> None:
    x, y = np.zeros(2), np.ones(2)
    assert samples_of(TWO, [{"x": x, "y": y}]).inputs == [{"x": x, "y": y}]
    assert len(samples_of(GRAPH, [np.zeros((2, 3)), np.zeros((3, 3))]).inputs) == 3
    assert samples_of(GRAPH, np.zeros((4, 3))).origin == "2 batches of samples"
    for graph, values, message in (
        (TWO, np.zeros(2), "calibration samples of g must name its inputs, x, y; give mappings"),
        (GRAPH, np.zeros((2, 4)), "calibration samples for x must have the shape [any, 3], not [2, 4]; reshape them"),
        (GRAPH, np.zeros((0, 3)), "calibration samples for x must have the shape [any, 3], not [0, 3]; reshape them"),
    ):
        with pytest.raises(NetworkError) as caught:
            samples_of(graph, values)
        assert str(caught.value) == message
