"""Exercise 5.3 against closed forms: what a ring sends, what of it shows, and a published run's efficiency."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
PARAMETERS = {"resnet50": 25_557_032, "alexnet_torchvision": 61_100_840}
NVLINK, ETHERNET = 80e9, 6.25e9  # bytes a second in one direction: half of 160 GB/s, and 50 Gbit/s


def test_the_all_reduce_is_a_ring_over_the_slowest_link(answer_to: Callable[[str], Answer]) -> None:
    for one in answer_to("5.3")["networks"]:
        size = 4 * PARAMETERS[one["network"]]
        for point in one["weak"]:
            n = point["devices"]
            bandwidth = NVLINK if n <= 8 else ETHERNET
            assert point["all_reduce_seconds"] == pytest.approx(2 * (n - 1) / n * size / bandwidth)


def test_steps_add_up_and_lose_more_between_machines(answer_to: Callable[[str], Answer]) -> None:
    for one in answer_to("5.3")["networks"]:
        alone = one["weak"][0]["seconds"]
        for weak, apart in zip(one["weak"], one["weak, not overlapped"], strict=True):
            assert sum(weak["parts"].values()) == pytest.approx(weak["seconds"])
            assert weak["efficiency"] == pytest.approx(alone / weak["seconds"])
            assert apart["seconds"] == pytest.approx(alone + apart["all_reduce_seconds"])
            assert weak["seconds"] <= apart["seconds"]
        assert one["weak"][1]["efficiency"] > 0.98
        assert one["weak"][2]["efficiency"] < one["weak"][1]["efficiency"]
    resnet, alexnet = answer_to("5.3")["networks"]
    assert alexnet["weak"][-1]["efficiency"] < 0.2 < 0.9 < resnet["weak"][-1]["efficiency"]


def test_strong_scaling_ends_where_weak_scaling_is(answer_to: Callable[[str], Answer]) -> None:
    for one in answer_to("5.3")["networks"]:
        weak, strong = one["weak"][-1], one["strong"][-1]
        assert strong["batch"] == weak["batch"] == 8192
        assert strong["seconds"] == pytest.approx(weak["seconds"])
        assert [point["batch"] for point in one["strong"]] == [8192] * 5


def test_the_published_run_lies_between_the_two(answer_to: Callable[[str], Answer]) -> None:
    published = answer_to("5.3")["published"]
    assert published["efficiency"] == pytest.approx(29 / 32)
    late, early = (published["model"][name]["efficiency"] for name in ("after the backward pass", "overlapped"))
    assert late < published["efficiency"] < early
    # on 8 devices: the published time for an image over the bound's
    seconds = 29 * 3600 / (90 * 1_281_167)
    eight = next(point for point in answer_to("5.3")["networks"][0]["weak"] if point["devices"] == 8)
    assert published["share_of_the_bound"] == pytest.approx(eight["seconds"] / 256 / seconds, rel=1e-3)


def test_the_text_and_the_picture(answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    exercise, answer = load_exercise("5.3"), answer_to("5.3")
    assert "29 hours on 8 devices" in exercise.text(answer)
    exercise.draw_to(str(tmp_path / "a.svg"), answer)
    assert "not overlapped" in (tmp_path / "a.svg").read_text("utf-8")
