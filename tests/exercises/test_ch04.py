"""Exercise 4.9 against halving by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_shapes_of_vgg19_after_its_pooling_layers(answer_to: Callable[[str], dict[str, Any]]) -> None:
    answer = answer_to("4.9")
    assert answer["input"] == [3, 224, 224]
    shapes = [pool["shape"] for pool in answer["pools"]]
    assert shapes == [[64, 112, 112], [128, 56, 56], [256, 28, 28], [512, 14, 14], [512, 7, 7]]
    assert [pool["name"] for pool in answer["pools"]] == [f"features.{i}" for i in (4, 9, 18, 27, 36)]
