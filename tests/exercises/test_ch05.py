"""Exercises 5.4, 5.10 and 5.11 against arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Answer = dict[str, Any]
AnswerTo = Callable[[str], Answer]


def test_5_4_is_what_keras_computes(answer_to: AnswerTo) -> None:
    answer = answer_to("5.4")
    colours = {"black": (0, 0, 0), "white": (255, 255, 255), "red": (255, 0, 0), "the mean": (124, 116, 104)}
    for name, (r, g, b) in colours.items():
        caffe = [b - 103.939, g - 116.779, r - 123.68]
        tf = [level / 127.5 - 1 for level in (r, g, b)]
        torch = [(r / 255 - 0.485) / 0.229, (g / 255 - 0.456) / 0.224, (b / 255 - 0.406) / 0.225]
        for mode, expected in (("caffe", caffe), ("tf", tf), ("torch", torch)):
            assert answer["pixels"][mode][name] == pytest.approx(expected, abs=1e-4)
    noise = np.random.default_rng(0).random((4, 3, 64, 64), np.float32).astype(np.float64)
    made = 2 * noise - 1
    wanted = (noise - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array([0.229, 0.224, 0.225])[:, None, None]
    assert answer["spread"]["tf"] == pytest.approx(made.std(), rel=1e-5)
    expected = np.sqrt(np.mean((made - wanted) ** 2)) / wanted.std()
    assert answer["off_by"]["torch"]["tf"] == pytest.approx(expected, rel=1e-5)
    assert all(answer["off_by"][mode][mode] == 0 for mode in ("caffe", "tf", "torch"))


def test_5_10_says_what_went_and_why(answer_to: AnswerTo) -> None:
    """The convolution: 8 x 3 x 3 x 3 weights at 16 x 16 places; the others an operation a place."""
    answer = answer_to("5.10")
    image, weights, made = 3 * 256, 8 * 27, 8 * 256
    assert [(one["action"], one["what"], one["why"]) for one in answer["log"]] == [
        ("dropped", "unread", "nothing reads it"),
        ("dropped", "probe", "nothing reads it"),
        ("folded", "doubled", "nothing but weights and constants decides it"),
        ("dropped", "same", "cast does nothing at inference"),
        ("dropped", "quiet", "dropout does nothing at inference"),
        ("merged", "right", "into left, which is equal to it"),
        ("folded", "norm", "into the weights of conv"),
    ]
    saved = {one["what"]: (one["operations_saved"], one["bytes_saved"]) for one in answer["log"]}
    assert saved["probe"] == (2 * weights * 256, 4 * (image + weights + made))
    assert saved["right"] == (made, 4 * 2 * made)
    assert saved["same"] == (0, 4 * 2 * image)
    assert saved["doubled"] == (8, 4 * 2 * 8)
    assert saved["norm"][1] == 4 * (2 * made + 4 * 8)
    assert (answer["nodes_before"], answer["nodes_after"]) == (11, 4)
    assert answer["largest_difference"] <= 1e-5 * answer["largest_output"]


def test_5_11_depthwise_blocks_save_each_activation_twice(answer_to: AnswerTo) -> None:
    """Each of the 6 ReLUs is fused: 64 x 28 x 28 floats less written and less read. Chains save some convolutions'."""
    (depthwise,) = [one for one in answer_to("5.11")["networks"] if one["network"] == "depthwise"]
    assert 6 * 2 * 4 * 64 * 28 * 28 < depthwise["bytes_saved"] <= 11 * 2 * 4 * 64 * 28 * 28
    assert depthwise["fused"]["groups"] < 6
    assert depthwise["apart"]["groups"] == 12


def test_5_11_lenet5_by_hand(answer_to: AnswerTo) -> None:
    """All of it fits on chip: what is left to move are the image, the weights and the ten probabilities."""
    networks = {one["network"]: one for one in answer_to("5.11")["networks"]}
    assert (networks["lenet5"]["fused"]["groups"], networks["lenet5"]["apart"]["groups"]) == (1, 12)
    assert networks["lenet5"]["fused"]["dram_bytes"] == 4 * (28 * 28 + 61_706 + 10)


def test_5_11_is_in_order_and_fusion_costs_nothing(answer_to: AnswerTo) -> None:
    shares = [one["bytes_saved_share"] for one in answer_to("5.11")["networks"]]
    assert shares == sorted(shares, reverse=True)
    for one in answer_to("5.11")["networks"]:
        assert one["fused"]["cycles"] < one["apart"]["cycles"]
        assert one["network"] == "encoder" or one["fused"]["dram_bytes"] <= one["apart"]["dram_bytes"]
