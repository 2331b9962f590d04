"""Exercises 1.3, 2.3, 2.4 and 2.6 to 2.10 against closed forms and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tilework.commands.exercise import load_exercise

Answer = Callable[[str], dict[str, Any]]


def sigmoid(v: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(v)))


def test_a_perceptrons_line_parts_and_and_or(answer_to: Answer) -> None:
    points = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    one_layer = answer_to("1.3")["one_layer"]
    for name, targets in (("AND", [0, 0, 0, 1]), ("OR", [0, 1, 1, 1])):
        one = one_layer[name]
        assert one["learnt"]
        w1, w2, b = one["weights"]
        assert ((points @ (w1, w2) + b > 0) == targets).all()
    xor = one_layer["XOR"]
    assert not xor["learnt"]
    assert min(xor["mistakes"]) >= 1  # as for any line: see the exercise
    assert len(xor["mistakes"]) == 400


def test_two_layers_learn_xor(answer_to: Answer) -> None:
    found = answer_to("1.3")["two_layers"]
    x = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    assert sum(one["right"] == 4 for one in found) >= 8
    for one in found:
        w = {name: np.array(value) for name, value in one["weights"].items()}
        z = np.tanh(x @ w["w1"].T + w["b1"]) @ w["w2"].T + w["b2"]
        assert ((z[:, 0] > 0) == [0, 1, 1, 0]).sum() == one["right"]


def test_the_delta_rule_gives_the_same_gradients(answer_to: Answer) -> None:
    answer = answer_to("2.3")
    v = {name: np.array(value) for name, value in answer["values"].items()}
    y1 = sigmoid(v["x"] @ v["w1"].T + v["b1"])
    y2 = sigmoid(y1 @ v["w2"].T + v["b2"])
    assert answer["loss_before"] == pytest.approx(((y2 - v["targets"]) ** 2).mean(), rel=1e-5)
    delta2 = 2 * (y2 - v["targets"]) / y2.size * y2 * (1 - y2)
    delta1 = delta2 @ v["w2"] * y1 * (1 - y1)
    expected = {"w2": delta2.T @ y1, "b2": delta2.sum(0), "w1": delta1.T @ v["x"], "b1": delta1.sum(0)}
    for name, slope in expected.items():
        found = answer["gradients"][name]
        np.testing.assert_allclose(found["values"], slope, rtol=1e-6, atol=1e-9)
        assert found["from_differences"] < 1e-8
        np.testing.assert_allclose(answer["updated"][name], v[name] - answer["rate"] * slope, rtol=1e-5, atol=1e-7)
    fall = answer["loss_before"] - answer["loss_after"]
    assert fall == pytest.approx(answer["expected_fall"], rel=0.02)


def test_ranges_of_activations(answer_to: Answer) -> None:
    answer = answer_to("2.4")
    closed = lambda value: {"value": value, "reached": True}  # noqa: E731
    open_ = lambda value: {"value": value, "reached": False}  # noqa: E731
    ranges = {one["name"]: one["range"] for one in answer["functions"]}
    assert ranges == {
        "sigmoid": [open_(0.0), open_(1.0)],
        "tanh": [open_(-1.0), open_(1.0)],
        "ReLU": [closed(0.0), open_(None)],
        "PReLU": [open_(None), open_(None)],
        "ELU": [open_(-1.0), open_(None)],
    }
    assert {one["name"]: one["largest_slope"] for one in answer["functions"]} == {
        "sigmoid": 0.25,
        "tanh": 1.0,
        "ReLU": 1.0,
        "PReLU": 1.0,
        "ELU": 1.0,
    }
    for one in answer["functions"]:
        x, y = np.array(one["curve"]).T
        stated = {
            "sigmoid": sigmoid(x),
            "tanh": np.tanh(x),
            "ReLU": np.maximum(x, 0),
            "PReLU": np.where(x > 0, x, 0.25 * x),
            "ELU": np.where(x > 0, x, np.expm1(x)),
        }[one["name"]]
        np.testing.assert_allclose(y, stated, atol=1e-12)
    assert all(one["monotonic"] == (one["alpha"] >= 0) for one in answer["other_alphas"])


def test_the_sigmoids_slope(answer_to: Answer) -> None:
    for one in answer_to("2.6")["sigmoids"]:
        a = one["a"]
        assert (one["limits"], one["at_origin"], one["slope_at_origin"]) == ([0.0, 1.0], 0.5, a / 4)
        v, y, slope = np.array(one["points"]).T
        np.testing.assert_allclose(y, sigmoid(a * v), rtol=1e-12)
        np.testing.assert_allclose(slope, a / (2 + np.exp(a * v) + np.exp(-a * v)), atol=1e-15)
        assert one["from_identity"] < 1e-15
        assert one["from_differences"] < 1e-7
        assert "exp" not in one["gradient"]  # the output is enough


def test_the_odd_sigmoids_slope(answer_to: Answer) -> None:
    answer = answer_to("2.7")
    assert (answer["limits"], answer["at_origin"], answer["slope_at_origin"]) == ([-1.0, 1.0], 0.0, 1.0)
    v, y, slope = np.array(answer["points"]).T
    np.testing.assert_allclose(y, v / np.hypot(1, v), rtol=1e-12)
    np.testing.assert_allclose(slope, (1 + v * v) ** -1.5, rtol=1e-11)
    assert answer["from_formula"] < 1e-12
    assert answer["from_differences"] < 1e-7


def test_the_way_of_a_sample(answer_to: Answer) -> None:
    answer = answer_to("2.8")
    assert [one["weights"] for one in answer["layers"]] == [[48, 784], [24, 48], [10, 24]]
    assert answer["macs"] == 48 * 784 + 24 * 48 + 10 * 24
    assert answer["training_macs"] == 2 * answer["macs"] + 24 * 48 + 10 * 24  # no gradient of the data
    scores = answer["layers"][2]["values"]
    assert answer["label"] == scores.index(max(scores)) == answer["truth"]
    np.testing.assert_allclose(answer["softmax"], np.exp(scores) / np.exp(scores).sum(), atol=2e-4)
    assert answer["from_graph"] < 1e-4
    assert answer["accuracy"] > 0.88


def test_momentum_on_a_quadratic_is_a_recurrence(answer_to: Answer) -> None:
    steps = {}
    for one in answer_to("2.9")["quadratic"]:
        m, path = one["momentum"], np.array(one["path"])
        for axis, (curvature, start) in enumerate(((1.0, -4.0), (12.0, 1.6))):
            before, now, expected = start, start, []
            for _ in path:
                expected.append(now)
                before, now = now, now + m * (now - before) - 0.01 * curvature * now
            np.testing.assert_allclose(path[:, axis], expected, atol=1e-12)
        roots = [abs(np.roots([1, -(1 + m - 0.01 * c), m])).max() for c in (1.0, 12.0)]
        assert one["per_step"] == pytest.approx(max(roots))
        assert 0.65 * one["predicted"] < one["steps"] < 1.05 * one["predicted"]
        steps[m] = one["steps"]
    assert steps[0.9] < steps[0.5] < steps[0.0] < steps[-0.5] < steps[-0.9]


def test_momentum_on_a_neurons_loss(answer_to: Answer) -> None:
    answer = answer_to("2.9")
    inks, targets = np.array(answer["inks"]), np.array(answer["targets"])
    for one in answer["real"]:
        w, v = np.zeros(2), np.zeros(2)
        for place, loss in zip(one["path"], one["losses"], strict=False):
            np.testing.assert_allclose(place, w, atol=1e-9)
            z = w[0] * inks + w[1]
            assert loss == pytest.approx(float((np.logaddexp(0, z) - z * targets).mean()))
            error = (sigmoid(z) - targets) / len(inks)
            v = one["momentum"] * v - 2.0 * np.array([error @ inks, error.sum()])
            w = w + v
    last = {one["momentum"]: one["losses"][-1] for one in answer["real"]}
    assert last[0.9] < last[0.0] < last[-0.5] < last[-0.9]


SLOPES = {
    "exp": (np.exp, np.exp),
    "sigmoid": (sigmoid, lambda v: sigmoid(v) * (1 - sigmoid(v))),
    "odd sigmoid": (lambda v: v / np.sqrt(1 + v * v), lambda v: (1 + v * v) ** -1.5),
    "softsign": (lambda v: v / (1 + abs(v)), lambda v: (1 + abs(v)) ** -2.0),
    "bell": (lambda v: np.exp(-v * v), lambda v: -2 * v * np.exp(-v * v)),
    "sine": (np.sin, np.cos),
    "soft ReLU": (lambda v: np.logaddexp(0, v), sigmoid),
    "swish": (lambda v: v * sigmoid(v), lambda v: sigmoid(v) * (1 + v * (1 - sigmoid(v)))),
}


def test_activations_of_ones_own(answer_to: Answer) -> None:
    answer = answer_to("2.10")["activations"]
    assert [one["name"] for one in answer] == [*SLOPES]
    for one in answer:
        function, slope = SLOPES[one["name"]]
        assert one["at_origin"] == pytest.approx(float(function(np.float64(0))))
        assert one["slope_at_origin"] == pytest.approx(float(slope(np.float64(0))))
        p = {name: np.array(value) for name, value in one["values"].items()}
        v = p["x"] @ p["w1"].T + p["b1"]
        y = function(v)
        error = 2 * (y @ p["w2"].T + p["b2"] - p["targets"]) / len(v)
        delta = error @ p["w2"] * slope(v)
        expected = {"w2": error.T @ y, "b2": error.sum(0), "w1": delta.T @ p["x"], "b1": delta.sum(0)}
        expected["x"] = delta @ p["w1"]
        for name, value in expected.items():
            np.testing.assert_allclose(one["gradients"][name], value, rtol=1e-5, atol=1e-6)
        assert one["from_differences"] < 1e-7


@pytest.mark.parametrize("number", ["1.3", "2.4", "2.6", "2.7", "2.9", "4.8"])
def test_pictures(number: str, answer_to: Answer, tmp_path: Path) -> None:
    load_exercise(number).draw_to(str(tmp_path / "picture.svg"), answer_to(number))
    assert "<svg" in (tmp_path / "picture.svg").read_text()
