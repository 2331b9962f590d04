"""Exercises 5.9 and 5.12: formats by hand, what the stored answers say, and that they are what is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilework.commands.exercise import load_exercise
from tilework.train.data import digits

Answers = Callable[[str], dict[str, Any]]
MLP = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits of the package, wherever the test runs."""
    monkeypatch.delenv(digits.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(digits, "_fetched", lambda: ([], "not asked for"))


def test_5_9_the_formats_by_hand(answer_to: Answers) -> None:
    """Bits e of exponent and p of significand: the smallest number is 2^(3 - 2^(e-1) - p), the step at 1 2^(1-p)."""
    bits = {"float32": (8, 24), "float16": (5, 11), "bfloat16": (8, 8)}
    for name, (e, p) in bits.items():
        one = answer_to("5.9")["formats"][name]
        assert (one["exponent"], one["significand"]) == (e, p)
        assert one["smallest_subnormal"] == 2.0 ** (3 - 2 ** (e - 1) - p)
        assert one["eps"] == 2.0 ** (1 - p)
        assert one["max"] == (2 - 2.0 ** (1 - p)) * 2.0 ** (2 ** (e - 1) - 1)


def test_5_9_what_is_lost_without_a_scale_and_without_a_master(answer_to: Answers) -> None:
    answer = answer_to("5.9")
    lost = answer["lost"]
    assert lost["float16"][0] > 0.03 > lost["float16"][1] > lost["float16"][2]
    assert max(lost["bfloat16"]) < 0.001
    means = {name: float(np.mean(found)) for name, found in answer["accuracy"].items()}
    assert means["float16"] == pytest.approx(means["float32"], abs=0.3)
    assert means["bfloat16"] == pytest.approx(means["float32"], abs=0.5)
    assert means["bfloat16, no master"] < means["bfloat16"] - 2


def test_5_12_half_of_the_weights_and_the_same_accuracy(answer_to: Answers) -> None:
    answer = answer_to("5.12")
    dense = np.array(answer["accuracy"]["dense"])
    for kind in ("anywhere", "balanced"):
        away = np.array(answer["accuracy"][kind]) - dense
        found = answer["difference"][kind]
        assert found["mean"] == pytest.approx(away.mean(), abs=1e-9)
        assert found["low"] <= found["mean"] <= found["high"]
        assert found["mean"] > -0.3
        spread = away.std(ddof=1) / np.sqrt(len(away))
        assert found["high"] - found["low"] == pytest.approx(3.92 * spread, rel=0.35, abs=0.02)


def test_5_12_sizes_and_zeros_by_hand(answer_to: Answers) -> None:
    """Half of each layer anywhere; of blocks of 16 half, of a last block of r min(8, r); 9 words for a block."""
    stored = answer_to("5.12")["stored"]
    for anywhere, balanced, (name, (rows, summed)) in zip(
        stored["anywhere"], stored["balanced"], MLP.items(), strict=True
    ):
        blocks, rest = divmod(summed, 16)
        assert (anywhere["layer"], anywhere["zeros"]) == (name, 0.5)
        assert balanced["zeros"] == pytest.approx(1 - (8 * blocks + min(8, rest)) / summed)
        assert balanced["dense_bytes"] == 4 * rows * summed
        assert balanced["compressed_bytes"] == rows * -(-summed // 16) * 9 * 4


def test_5_12_the_processor_runs_the_weights_that_were_trained(answer_to: Answers) -> None:
    for one in answer_to("5.12")["cycles"]:
        ways = one["dense"], one["compressed"], one["zeros skipped"]
        assert all(way["same_weights"] for way in ways)
        assert ways[0]["dram_bytes"] > 1.2 * ways[1]["dram_bytes"] == 1.2 * ways[2]["dram_bytes"]
    single, many = answer_to("5.12")["cycles"]
    assert single["compressed"]["cycles"] < 0.6 * single["dense"]["cycles"]
    assert many["zeros skipped"]["cycles"] < 0.6 * many["dense"]["cycles"] < 0.7 * many["compressed"]["cycles"]


@pytest.mark.usefixtures("packaged")
def test_5_12_a_short_training_has_what_the_stored_one_has(answer_to: Answers) -> None:
    stored, fresh = answer_to("5.12"), load_exercise("5.12").compute(seeds=1, epochs=2)
    assert fresh.keys() == stored.keys()
    assert fresh["stored"] == stored["stored"]
    for one, other in zip(fresh["cycles"], stored["cycles"], strict=True):
        assert one["batch"] == other["batch"]
        for way in ("dense", "compressed", "zeros skipped"):  # tiles may have changed since
            assert one[way]["cycles"] == pytest.approx(other[way]["cycles"], rel=0.05)
            assert one[way]["dram_bytes"] == pytest.approx(other[way]["dram_bytes"], rel=0.05)
