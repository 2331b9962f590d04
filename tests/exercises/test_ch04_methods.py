"""Exercises 4.8 and 4.10 against closed forms, scikit-learn and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tilework as tw

Answer = Callable[[str], dict[str, Any]]


def test_the_staircase(answer_to: Answer) -> None:
    answer = answer_to("4.8")
    assert {one["step"]: one["staircase"] for one in answer["rates"]} == pytest.approx(
        {
            0: 0.1,
            1: 0.1,
            9_999: 0.1,
            10_000: 0.09,
            10_001: 0.09,
            20_000: 0.081,
            50_000: 0.1 * 0.9**5,
            99_999: 0.1 * 0.9**9,
            100_000: 0.1 * 0.9**10,
        }
    )
    assert answer["sum"] == pytest.approx(1000 * (1 - 0.9**10) / (1 - 0.9))
    assert all(smooth == pytest.approx(0.1 * np.exp(step / 1e4 * np.log(0.9))) for step, smooth in answer["smooth"])


def test_the_line_is_the_one_of_least_squares(answer_to: Answer) -> None:
    line = answer_to("4.10")["regression"]
    x, y = np.array(line["x"]), np.array(line["y"])
    found, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)
    np.testing.assert_allclose(line["closed"], found, rtol=1e-10)
    np.testing.assert_allclose(line["descent"], found, rtol=1e-7)
    np.testing.assert_allclose(found, [2, -3, 0.5, 1], atol=0.03)
    assert line["losses"][1] == pytest.approx(((x @ found[:3] + found[3] - y) ** 2).mean(), rel=1e-6)
    assert line["macs"] == {"normal equations": 200 * 4 * 4 + 200 * 4, "a step of descent": 2 * 200 * 3}


def test_scikit_learn_finds_the_same_line(answer_to: Answer) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    line = answer_to("4.10")["regression"]
    model = linear_model.LinearRegression().fit(line["x"], line["y"])
    np.testing.assert_allclose(line["closed"], [*model.coef_, model.intercept_], rtol=1e-9)


def test_scikit_learns_neighbours_say_the_same(answer_to: Answer) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    near = answer_to("4.10")["neighbours"]
    data = tw.digits(fetch=False)
    x, t = (part.images.reshape(len(part), -1) for part in (data.train, data.test))
    for one in near["accuracy"][1:3]:
        model = neighbors.KNeighborsClassifier(one["k"], algorithm="brute").fit(x[:4000], data.train.labels[:4000])
        said = model.predict(t[:200])
        assert (said == near["labels"][str(one["k"])][:200]).mean() >= 0.995  # equal distances may be told apart
    assert near["macs"] == near["examples"] * 784


def test_neighbours_in_numpy(answer_to: Answer) -> None:
    near = answer_to("4.10")["neighbours"]
    data = tw.digits(fetch=False)
    x, t = data.train.images[:4000].reshape(4000, -1), data.test.images[:40].reshape(40, -1)
    nearest = [int(((x - one) ** 2).sum(1).argmin()) for one in t]
    assert near["labels"]["1"][:40] == data.train.labels[nearest].tolist()
    assert near["accuracy"][0]["accuracy"] > 0.92
