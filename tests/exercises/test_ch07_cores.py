"""Exercises 6.1, 6.4, 7.2, 7.4 and 7.5: figures by hand, and what their notices say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answers = Callable[[str], dict[str, Any]]


def test_chips_that_1989_would_have_needed(answer_to: Answers) -> None:
    answer = answer_to("6.1")
    lenet = next(one for one in answer["networks"] if one["network"] == "lenet5")
    assert (lenet["parameters"], lenet["connections"]) == (61_706, 416_520)
    assert (lenet["chips_for_weights"], lenet["chips_for_connections"]) == (7, 41)
    assert lenet["seconds_of_one_chip"] == pytest.approx(416_520 / 2e9)
    assert answer["connections_per_second"] / 1e9 == 2  # of the 256 multipliers at 1 GHz


def test_what_a_processor_loses_without_its_parts(answer_to: Answers) -> None:
    lost = {one["network"]: one for one in answer_to("6.1")["without"]}
    assert all(one[part] >= one["whole"] for one in lost.values() for part in one if part not in ("network", "whole"))
    assert 1.3 < lost["lenet5"]["half of the memory"] / lost["lenet5"]["whole"] < 1.45
    assert lost["encoder"]["half of the memory"] < 1.01 * lost["encoder"]["whole"]
    without_queues = {name: one["queues"] / one["whole"] for name, one in lost.items()}
    assert max(without_queues, key=lambda name: without_queues[name]) == "lenet5"


def test_queues_gain_what_the_busiest_unit_leaves(answer_to: Answers) -> None:
    for one in answer_to("6.4")["networks"]:
        queues = {int(depth): cycles for depth, cycles in one["queue_cycles"].items()}
        busiest = max(one["busy_cycles"].values())
        assert busiest <= min(queues.values())
        assert one["serial_cycles"] / min(queues.values()) < 1.03 * one["most_parallel"] + 0.1
        assert min(queues[16], queues[64]) > 0.98 * queues[16]
        assert queues[1] > 0.85 * one["serial_cycles"]
        units = sum(cycles for unit, cycles in one["busy_cycles"].items() if unit != "channel")
        assert one["most_parallel"] == pytest.approx(units / busiest)


def test_queues_of_a_small_network_computed_again() -> None:
    (again,) = load_exercise("6.4").compute(("lenet5",))["networks"]
    stored = next(one for one in load_exercise("6.4").answer()["networks"] if one["network"] == "lenet5")
    assert again == stored


def test_caches_and_memories_of_the_program(answer_to: Answers) -> None:
    for layer in answer_to("7.2")["layers"]:
        program = layer["program"]
        caches = {(one["kib"], one["ways"]): one for one in layer["caches"]}
        assert caches[384, 8]["dram_bytes"] == pytest.approx(program["dram_bytes"], rel=0.05)
        assert caches[384, 1]["dram_bytes"] > 1.25 * program["dram_bytes"]
        assert caches[192, 8]["cycles"] > 1.1 * program["cycles"]
        assert program["serial_cycles"] == pytest.approx(caches[384, 8]["cycles"], rel=0.01)
        assert all(one["least_cycles"] <= one["cycles"] for one in caches.values())
    product = {(one["kib"], one["ways"]): one for one in answer_to("7.2")["layers"][0]["caches"]}
    # inputs, weights and outputs once: the weights stay, and all lines of the outputs are written whole
    assert product[384, 8]["dram_bytes"] == 4 * (1024 * 256 + 256 * 128 + 1024 * 128) == 1_703_936
    assert product[96, 1]["dram_bytes"] < product[96, 8]["dram_bytes"]
    assert product[96, 8]["hit_rate"] == pytest.approx(0, abs=0.001)
    # 40 bits of an address, less 6 within a line and 12 (of 6144 sets) or 9 (of 768), and two for valid and changed
    assert (product[384, 1]["tag_bits"], product[384, 8]["tag_bits"]) == (40 - 6 - 12 + 2, 40 - 6 - 9 + 2)


def test_small_instructions_wait_for_control(answer_to: Answers) -> None:
    pieces = {one["rows"]: one for one in answer_to("7.4")["pieces"]}
    assert all(one["macs"] == one["rows"] * 16 * 32 for one in pieces.values())
    # 256 cycles of products, the loop's beginning, and one to issue before the first begins
    assert pieces[1]["hardware loop"]["cycles_without_pipeline"] == 256 + 3
    # four rows are 8 cycles, and 8 more of the pipeline for each of 32 instructions
    assert pieces[4]["hardware loop"]["cycles"] == 32 * (8 + 8) + 3
    # five instructions a time: 128 times around
    assert pieces[1]["loop of jumps"]["cycles_without_pipeline"] == 5 * 128
    assert pieces[4]["loop of jumps"]["cycles_without_pipeline"] < pieces[2]["loop of jumps"]["cycles_without_pipeline"]
    assert pieces[0.5]["hardware loop"]["cycles_without_pipeline"] > 1.4 * 256


def test_windows_need_room_as_well(answer_to: Answers) -> None:
    programs = {one["name"]: one for one in answer_to("7.5")["programs"]}
    one, two = (programs[f"careless, {count}"]["window_cycles"] for count in ("one buffer", "two buffers"))
    assert one["64"] == one["2"] > 0.95 * one["1"]
    assert two["16"] < 0.62 * one["16"]
    ordered = programs["tokens, two buffers"]
    assert ordered["queue_cycles"] < 1.01 * ordered["window_cycles"]["64"]
    for name in ("mlp, compiled", "lenet5, compiled"):
        assert programs[name]["window_cycles"]["64"] > 0.99 * programs[name]["queue_cycles"]
        assert programs[name]["window_cycles"]["2"] > programs[name]["queue_cycles"]
