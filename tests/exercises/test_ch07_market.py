"""Exercise 7.1 against figures and quotients by hand, and what its notice says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]


def test_devices_have_the_figures_of_their_makers(answer_to: Callable[[str], Answer]) -> None:
    devices = {one["name"]: one for one in answer_to("7.1")["devices"]}
    assert len(devices) >= 40
    a100 = devices["a100-40gb"]
    assert a100["peak_operations_per_second"]["int8"] == 624e12
    assert a100["operations_per_byte"] == pytest.approx(312e12 / 1555e9)
    assert a100["operations_per_joule"] == pytest.approx(312e12 / 400)
    assert devices["wse-2"]["operations_per_byte"] is None
    assert all(one["sources"] for one in devices.values())


def test_what_the_notice_says(answer_to: Callable[[str], Answer]) -> None:
    answer = answer_to("7.1")
    devices = {one["name"]: one for one in answer["devices"]}
    b200 = devices["b200"]
    rates = [*b200["peak_operations_per_second"].values(), *b200["sparse_peak_operations_per_second"].values()]
    assert (min(rates), max(rates)) == (40e12, 18000e12)
    halves = [one["peak_operations_per_second"].get("float16") for one in devices.values()]
    assert 10**3.5 < max(filter(None, halves)) / min(filter(None, halves)) < 10**4
    last = answer["line"][-1]
    assert last["peak_times"] / last["bandwidth_times"] == pytest.approx(10, rel=0.1)
    joules = [
        devices[name]["peak_operations_per_second"]["int8"] / devices[name]["power_watts"]
        for name in ("jetson-agx-orin", "h100-sxm")
    ]
    assert joules[0] < joules[1]


def test_the_text_and_the_picture(answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    exercise, answer = load_exercise("7.1"), answer_to("7.1")
    assert "h100-sxm            NVIDIA     2022   float16      989" in exercise.text(answer)
    exercise.draw_to(str(tmp_path / "a.svg"), answer)
    assert "h100-sxm" in (tmp_path / "a.svg").read_text("utf-8")
