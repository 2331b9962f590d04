"""Exercise 4.12: the stored figures, and the same computation on a folder of pictures made here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tilework.commands.exercise import load_exercise

Answers = Callable[[str], dict[str, Any]]


def test_the_class_is_among_five_as_often_as_asked(answer_to: Answers) -> None:
    answer = answer_to("4.12")
    assert answer["classes"] == 10
    assert answer["top5"] > 0.85
    assert 0.5 < answer["top1"] < answer["top5"]
    assert len(answer["validation"]) == answer["epochs"]
    # Three stages of two 3x3 convolutions with four numbers per channel of normalisation, and the classifier.
    channels = (3, 16, 16, 32, 32, 64, 64)
    stages = sum(9 * taken * given + 4 * given for taken, given in pairwise(channels))
    assert answer["parameters"] == stages + 64 * 10 + 10


def test_it_reads_any_folder_in_that_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 3)):
        for i in range(10):
            (tmp_path / part / f"class{i}").mkdir(parents=True)
            for n in range(count):
                pixels = np.clip(generator.normal(25 * i, 8, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / f"class{i}" / f"{n}.png")
    monkeypatch.setenv("TILEWORK_IMAGES", str(tmp_path))
    answer = load_exercise("4.12").compute(epochs=1)
    assert answer["classes"] == 10
    assert answer["data"] == f"200 images of 10 classes, train in {tmp_path.name}; 20 kept for validation"
    assert 0 <= answer["top1"] <= answer["top5"] <= 1
    assert "Test images whose class is the likeliest" in load_exercise("4.12").text(answer)
