"""Exercises 7.7 to 7.12 against closed forms, with KB = 1024 bytes, a cycle of 1 ns, 64, 128 and 1000 bytes a cycle."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

Answer = dict[str, Any]
PEAK = 256  # MACs a cycle and core


def product(m: int, k: int, n: int, channel: int, cores: int = 1) -> tuple[Fraction, Fraction]:
    """Cycles of the computation, and of all loads and stores once."""
    return Fraction(m * k * n, PEAK * cores), Fraction(4 * (m * k + k * n + m * n), channel)


@pytest.fixture
def cycles(answer_to: Callable[[str], Answer]) -> Callable[[str], dict[str, Fraction]]:
    """By program and "bound", as the exercise's times have them."""

    def found(number: str) -> dict[str, Fraction]:
        times = answer_to(number)["times"]
        bound = Fraction(times["serial"]["exact_bound_seconds"])
        assert bound == Fraction(times["overlapped"]["exact_bound_seconds"])
        return {name: Fraction(time["exact_cycles"]) for name, time in times.items()} | {"bound": bound * 10**9}

    return found


def test_7_7(cycles: Callable[[str], dict[str, Fraction]]) -> None:
    compute, moves = product(1, 256, 1, 64)
    assert cycles("7.7") == {
        "serial": compute + moves,
        "overlapped": moves + Fraction(1, 16),  # a sixteenth of the computation is left at the end
        "bound": moves,
    }
    assert compute + moves == Fraction("33.0625")


def test_7_8(cycles: Callable[[str], dict[str, Fraction]]) -> None:
    compute, moves = product(32, 256, 128, 64)
    slice_in, row_out = Fraction(4 * 2 * (32 + 128), 64), Fraction(4 * 128, 64)
    assert cycles("7.8") == {"serial": compute + moves, "overlapped": slice_in + compute + row_out, "bound": compute}
    assert compute + moves == 6912


def test_7_9(cycles: Callable[[str], dict[str, Fraction]]) -> None:
    compute, moves = product(1024, 256, 128, 64)
    slice_in, row_out = Fraction(4 * 2 * (32 + 128), 64), Fraction(4 * 128, 64)
    assert cycles("7.9") == {"serial": compute + moves, "overlapped": slice_in + compute + row_out, "bound": compute}
    assert compute + moves == 157_696


@pytest.mark.parametrize(("case", "done"), [("none", 1), ("inputs", 2), ("weights", 4), ("both", 8)])
def test_7_10(answer_to: Callable[[str], Answer], case: str, done: int) -> None:
    times = answer_to("7.10")["cases"][case]
    compute = Fraction(1024 * 256 * 128, PEAK * done)
    moves = Fraction(4, 64) * (1024 * 256 // 2 + 256 * 128 // 4 + 1024 * 128)
    assert Fraction(times["serial"]["exact_cycles"]) == compute + moves
    bound = max(compute, moves)
    assert Fraction(times["serial"]["exact_bound_seconds"]) * 10**9 == bound
    assert bound < Fraction(times["overlapped"]["exact_cycles"]) < bound * Fraction(101, 100)
    if done <= 2:  # a slice of 8 places and a row are not hidden
        slice_in, row_out = Fraction(16 * 8 * 2 + 8 * 128, 64), Fraction(4 * 128, 64)
        assert Fraction(times["overlapped"]["exact_cycles"]) == slice_in + compute + row_out


def test_7_11(cycles: Callable[[str], dict[str, Fraction]]) -> None:
    compute, moves = product(32, 256, 128, 128, cores=4)
    from_sram = Fraction(4 * (256 * 128 + 8 * 256), 1000)  # weights to all at once, a core's inputs
    assert cycles("7.11") == {
        "serial": compute + moves + from_sram,
        "overlapped": moves + 2 * compute / 128,  # two slices of 128 are not hidden
        "bound": moves,
    }


def test_7_12(cycles: Callable[[str], dict[str, Fraction]]) -> None:
    compute, moves = product(1024, 256, 2048, 128, cores=4)
    casts = 2 * Fraction(4 * 1024 * 256, 1000)
    slice_in = Fraction(4 * 32 * (32 + 512), 128)  # 32 places of a tile's inputs, and of all cores' weights
    slice_compute, tile_out = compute / 128 / 8, Fraction(4 * 32 * 512, 128)
    assert cycles("7.12") == {
        "serial": compute + moves + casts,
        "overlapped": compute + 2 * slice_in + 6 * (slice_in - slice_compute) + tile_out,
        "bound": compute,
    }
    assert 4 * 256 * 512 == 512 * 1024 > 256 * 1024  # a core's weights and its WRAM


@pytest.mark.parametrize("number", ["7.7", "7.8", "7.9", "7.11", "7.12"])
def test_programs_do_the_same_work_in_the_memories_at_hand(answer_to: Callable[[str], Answer], number: str) -> None:
    answer = answer_to(number)
    work = [[time[key] for key in ("macs", "bytes_in", "bytes_out")] for time in answer["times"].values()]
    assert work[0] == work[1]
    capacities = {"nram": 128 << 10, "wram": 256 << 10, "sram": 2 << 20}
    for peak in answer["peak_bytes"].values():
        assert all(0 < size <= capacities[memory] for memory, size in peak.items())
    assert answer["times"]["overlapped"]["cycles"] < answer["times"]["serial"]["cycles"]
