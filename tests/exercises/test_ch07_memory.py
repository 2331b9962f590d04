"""Exercises 7.3 and 7.6: figures by hand, a replay of the access patterns, and the turned matrix's values."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tilework as tw
from tilework.commands.exercise import exercise_files, load_exercise

Answers = Callable[[str], dict[str, Any]]
ROW, BANKS, MISS, INTERVAL, REFRESH = 8192, 16, 28, 7812, 350
LINES = 2048 * np.arange(512)  # where the lines of the matrix begin


def exercise(number: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exercise", exercise_files()[number])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def orders(answer_to: Answers) -> dict[str, dict[str, Any]]:
    return {one["order"]: one for one in answer_to("7.3")["orders"]}


def replay(start: int, loads: list[Any]) -> tuple[int, int, int]:
    """Misses, cycles of refreshes and the end of loads that follow each other without a gap, from their bursts."""
    now, seen, missed, waited, rows = start, 0, 0, 0, dict[int, int]()
    for bursts in loads:
        if now // INTERVAL > seen:
            seen, rows = now // INTERVAL, {}
        before = missed
        for row in (np.asarray(bursts).ravel() // ROW).tolist():
            missed += rows.get(row % BANKS) != row
            rows[row % BANKS] = row
        end = now + len(np.ravel(bursts)) + MISS * (missed - before)
        due = max(1, now // INTERVAL) * INTERVAL
        while due < end:
            held = max(0, due + REFRESH - max(now, due))
            end, waited, due = end + held, waited + held, due + INTERVAL
        now = end
    return missed, waited, now


def blocks(lines: int, size: int) -> list[Any]:
    """The bursts of blocks of so many lines of so many bytes, block after block."""
    starts = [(line, byte) for line in range(0, 512, lines) for byte in range(0, 2048, size)]
    return [LINES[line : line + lines, None] + byte + np.arange(0, size, 64) for line, byte in starts]


def scattered() -> list[int]:
    """The bursts of exercise 7.3 in no order."""
    numbers = [0]
    for _ in range(16_384):
        numbers.append((numbers[-1] * 5701 + 228_544) % 2**20)
    return numbers[1:]


PATTERNS = {  # the cycle in which the first load begins, and the bursts of each load
    "row by row": (2, [65536 * load + np.arange(0, 65536, 64) for load in range(16)]),
    "blocks of 64 x 64": (3, blocks(64, 256)),
    "blocks of 128 x 32": (3, blocks(128, 128)),
    "bursts in no order": (5, scattered()),
    "column by column": (2, [LINES + 4 * column for column in range(512)]),
}


@pytest.mark.parametrize("order", PATTERNS)
def test_orders_against_a_replay(orders: dict[str, Any], order: str) -> None:
    start, loads = PATTERNS[order]
    one = orders[order]
    assert (one["row_misses"], one["refresh_cycles"], one["cycles"]) == replay(start, loads)
    assert one["bursts"] == sum(np.size(bursts) for bursts in loads) == one["row_hits"] + one["row_misses"]
    assert one["dram_bytes"] == 64 * one["bursts"]
    if order != "bursts in no order":  # where control takes longer than the channel
        assert one["ideal_cycles"] == start + one["bursts"]


def test_orders_by_hand(orders: dict[str, Any]) -> None:
    # 16,384 bursts of a cycle and 128 rows; refreshes from 7,812 and from 15,624 on.
    assert orders["row by row"]["cycles"] == 2 + 16_384 + 128 * 28 + 2 * 350 == 20_670
    # The first refresh comes in a row of blocks' first block, after which 16 rows are opened again; the second in a
    # last block, after which they would have been others.
    assert orders["blocks of 64 x 64"]["cycles"] == 3 + 16_384 + (128 + 16) * 28 + 2 * 350
    # 32 rows in 16 banks: all of them again for each of 64 blocks.
    assert orders["blocks of 128 x 32"]["row_misses"] == 64 * 32
    # A column is 512 bursts in 128 rows: 512 + 128 * 28 = 4,096 cycles, 280 refreshes in all.
    assert orders["column by column"]["cycles"] == 2 + 512 * 4096 + 280 * 350
    cycles = [one["cycles"] for one in orders.values()]
    assert cycles == sorted(cycles)


def test_bursts_in_no_order_are_all_bursts_once(orders: dict[str, Any]) -> None:
    assert set(scattered()) == set(range(0, 2**20, 64))
    one = orders["bursts in no order"]
    assert one["row_hits"] / one["bursts"] == pytest.approx(1 / 8, rel=0.1)  # each bank has eight of the rows
    assert one["ideal_cycles"] == 4 * 16_384 + 2  # control issues the last load in the first of these


def test_what_the_layout_saves(answer_to: Answers, orders: dict[str, Any]) -> None:
    answer = answer_to("7.3")
    columns, turned = answer["columns"], answer["transpose"]
    assert columns["stored_by_rows"] / columns["stored_by_columns"] > 100
    assert columns["turned_over_first"] == turned["cycles"] + orders["row by row"]["cycles"]
    assert turned["cycles"] < columns["stored_by_rows"] / 20
    # Each load and each store of a block opens 16 rows that the other has closed.
    assert (turned["bursts"], turned["row_misses"]) == (2 * 16_384, 64 * 2 * 16)


def test_the_turned_matrix_is_the_transpose() -> None:
    module = exercise("7.3")
    program = module._program(module.TRANSPOSE, tw.load_machine("dlp-s"))
    assert tw.find_races(program) == []
    ports = {"inputs": (tw.Port("x", (512, 512), 0, (0, 1)),), "outputs": (tw.Port("y", (512, 512), 1 << 20, (0, 1)),)}
    values = np.random.default_rng(0).standard_normal((512, 512), np.float32)
    assert np.array_equal(tw.Executable(replace(program, **ports)).run(values)["y"], values.T)


def test_descriptors(answer_to: Answers) -> None:
    answer = answer_to("7.6")
    weights, tile, result = answer["descriptors"]
    assert tile["extents"] == [32, 64]
    assert tile["strides"] == {"nram": [256, 4], "dram": [1024, 4]}
    assert (tile["runs"], tile["run_bytes"], tile["bursts"], tile["channel_cycles"]) == (32, 256, 128, 128)
    assert (weights["runs"], weights["run_bytes"], weights["bursts"]) == (1, 8192, 128)
    assert (result["runs"], result["run_bytes"], result["bursts"]) == (1, 4096, 64)
    # 32 issues a cycle apart don't hold up 4 cycles each. By words: 32 * 65 issues and the outer loop's, the last load.
    assert [(one["loads"], one["dram_bytes"], one["cycles"]) for one in answer["ways"]] == [
        (1, 8192, 1 + 128),
        (32, 8192, 2 + 128),
        (2048, 64 * 2048, 1 + 32 * 65 + 1),
    ]


def test_transfers_under_the_computation(answer_to: Answers) -> None:
    serial, overlapped, rows, tiled = answer_to("7.6")["programs"]
    product = 32 * 2 * 4 + 8  # rows, groups of 16 neurons, groups of 16 synapses, and the pipeline
    assert {p["busy_cycles"]["matrix"] for p in (serial, overlapped, rows, tiled)} == {8 * product}
    # Weights 1-129, sync, loop; then 128, the product and 64 with three issues and three syncs.
    assert serial["cycles"] == 131 + 8 * (128 + product + 64 + 6)
    assert (serial["hidden_cycles"], serial["moving_cycles"]) == (0, 128 + 8 * (128 + 64))
    # Weights, the first tile, all products without a gap, the last result.
    assert overlapped["cycles"] == 1 + 128 + 128 + 8 * product + 64
    assert overlapped["moving_cycles"] - overlapped["hidden_cycles"] == 128 + 128 + 64
    assert all(one["conflicts"] == 0 for one in (serial, overlapped, rows, tiled))
    # Four rows for a tile of the matrix, one for the weights or a tile stored by itself.
    assert rows["busy_cycles"]["load"] == 128 + 28 + 8 * (128 + 4 * 28)
    assert tiled["busy_cycles"]["load"] == 9 * (128 + 28)
    assert rows["cycles"] > rows["busy_cycles"]["load"] + rows["busy_cycles"]["store"] > overlapped["cycles"]
    assert overlapped["cycles"] < tiled["cycles"] < 1.03 * overlapped["cycles"]


def test_the_timelines_are_the_events(answer_to: Answers, tmp_path: Path) -> None:
    answer = answer_to("7.6")
    for one in answer["programs"]:
        for unit, spans in one["work"].items():
            assert sum(end - start for start, end in spans) == one["busy_cycles"][unit]
    draw = load_exercise("7.6").draw
    assert draw is not None
    draw(answer, str(tmp_path / "dma.svg"))
    assert (tmp_path / "dma.svg").read_text("utf-8").startswith("<?xml")
