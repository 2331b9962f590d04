"""Exercise 6.3 by hand: bytes over 12.8 GB/s against one multiply-accumulate a nanosecond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
LAYERS = {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}


def test_each_layer_by_hand(answer_to: Callable[[str], Answer]) -> None:
    rows = answer_to("6.3")["layers"]
    assert len(rows) == 3 * 3 * 9
    for row in rows:
        inputs, outputs = LAYERS[row["layer"]]
        batch, macs = row["batch"], row["batch"] * inputs * outputs
        moved = row["weight_bytes"] * (inputs * outputs + outputs + batch * (inputs + outputs))
        alone = max(macs / 1e9, moved / 12.8e9)
        many = max(macs / 256e9, moved / 12.8e9)
        assert row["speed_up"] == pytest.approx(alone / many)
        assert row["speed_up_two_cycles"] == pytest.approx(2 * macs / 1e9 / many)
        assert row["bound_by"] == ("memory" if moved / 12.8e9 > macs / 256e9 else "compute")


def test_one_input_gains_as_much_as_its_weights_are_narrow(answer_to: Callable[[str], Answer]) -> None:
    single = {row["weight_bytes"]: row["speed_up"] for row in answer_to("6.3")["layers"] if row["batch"] == 1}
    for size, found in single.items():
        assert 0.998 < found / (12.8 / size) < 1
    best = max(row["speed_up"] for row in answer_to("6.3")["layers"])
    assert best == pytest.approx(256)
    first = {row["batch"]: row["bound_by"] for row in answer_to("6.3")["layers"] if row["weight_bytes"] == 4}
    assert (first[64], first[128]) == ("memory", "compute")


def test_the_text_and_the_picture(answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    exercise, answer = load_exercise("6.3"), answer_to("6.3")
    assert "3.20" in exercise.text(answer)
    exercise.draw_to(str(tmp_path / "a.svg"), answer)
    assert "speed-up" in (tmp_path / "a.svg").read_text("utf-8")
