"""Exercise 6.10 against closed forms: n/6 operations a byte, and the batch at which a fully connected layer crosses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]


def test_the_roof_and_square_products(answer_to: Callable[[str], Answer]) -> None:
    answer = answer_to("6.10")
    assert [(one["dtype"], one["bend_operations_per_byte"]) for one in answer["roofs"]] == [
        *(("float32", 8), ("float16", 16), ("bfloat16", 16), ("int8", 32))
    ]
    for one in answer["products"]:
        n = one["size"]
        assert one["operations_per_byte"] == pytest.approx(n / 6)
        assert one["seconds"] == pytest.approx(max(2 * n**3 / 512e9, 12 * n**2 / 64e9))
        assert one["bound_by"] == ("compute" if n >= 48 else "memory")


def test_layers_and_batches(answer_to: Callable[[str], Answer]) -> None:
    (network,) = answer_to("6.10")["networks"]
    bound = {one["name"]: one["bound_by"] for one in network["layers"]}
    assert {name for name, by in bound.items() if by == "memory"} == {"fc6", "fc7", "fc8"}
    for row in network["batches"]:
        for name, (inputs, outputs) in {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}.items():
            batch = row["batch"]
            moved = 4 * (inputs * outputs + outputs + batch * (inputs + outputs))
            expected = "compute" if 2 * batch * inputs * outputs / 512e9 >= moved / 64e9 else "memory"
            assert row["bound"][name] == expected
    assert network["batches"][-1]["memory_share"] < network["batches"][0]["memory_share"]


def test_the_text_and_the_picture(answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    exercise, answer = load_exercise("6.10"), answer_to("6.10")
    assert "fc6, fc7, fc8" in exercise.text(answer)
    exercise.draw_to(str(tmp_path / "a.svg"), answer)
    assert "conv2" in (tmp_path / "a.svg").read_text("utf-8")
