"""Exercises 7.7 to 7.12: the programs that the system finds itself, beside those by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Answer = dict[str, Any]
CAPACITIES = {"nram": 128 << 10, "wram": 256 << 10, "sram": 2 << 20}


def check(found: Answer, by_hand: Answer) -> None:
    time = found["time"]
    assert time["bound_cycles"] == by_hand["bound_cycles"]
    assert (time["macs"], time["bytes_out"]) == (by_hand["macs"], by_hand["bytes_out"])
    assert time["cycles"] <= min(by_hand["cycles"], 1.002 * time["bound_cycles"])
    assert all(size <= CAPACITIES[memory] for memory, size in found["peak_bytes"].items())


@pytest.mark.parametrize("number", ["7.7", "7.8", "7.9", "7.11", "7.12"])
def test_found_is_no_slower_than_by_hand(answer_to: Callable[[str], Answer], number: str) -> None:
    answer = answer_to(number)
    check(answer["found"], answer["times"]["overlapped"])


def test_7_10(answer_to: Callable[[str], Answer]) -> None:
    answer = answer_to("7.10")
    for case, programs in answer["cases"].items():
        check(answer["found"][case], programs["overlapped"])
