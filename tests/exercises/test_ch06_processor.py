"""Exercises 6.6, 6.7 and 6.13 against the table, the timing of a layer by hand, and the roofline's definition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import tilework as tw

Answer = dict[str, Any]
To = Callable[[str], Answer]


def test_every_instruction_finds_its_way_through_the_decoder(answer_to: To) -> None:
    answer = answer_to("6.6")
    edges = {(e["from"], e["to"]): e["instructions"] for e in answer["diagrams"]["control"]}
    assert answer["ways"].keys() == tw.OPCODES.keys()
    for name, states in answer["ways"].items():
        assert states[0] == "fetch"
        assert states[-1] == ("halt" if name == "end" else "next")
        assert all(name in edges[edge] for edge in pairwise(states))
        assert ("issue" in states) == (tw.OPCODES[name].unit != "control")
    issued = [name for name, opcode in tw.OPCODES.items() if opcode.unit != "control"]
    from_head = [name for e in answer["diagrams"]["unit"] if e["from"] == "head" for name in e["instructions"]]
    assert sorted(from_head) == sorted(issued)


def test_a_layer_in_one_instruction_takes_what_the_manual_says(answer_to: To) -> None:
    layers, tiles = answer_to("6.7")["sets"]
    # fc6 loads 9,216 x 4,096 weights of 4 bytes at 64 bytes a cycle, in one instruction.
    assert layers["longest_cycles"] == 9216 * 4096 * 4 // 64 == 2_359_296
    assert tiles["longest_cycles"] < layers["longest_cycles"] / 150
    assert tiles["cycles"] < layers["cycles"]
    assert tiles["deviation_cycles"] / tiles["mean_cycles"] < layers["deviation_cycles"] / layers["mean_cycles"] / 2
    assert tiles["on_chip_bytes"] <= (128 + 256) * 1024
    # fc6's weights alone fill 144 MiB of what the layers need.
    assert layers["on_chip_bytes"] > 9216 * 4096 * 4
    for measured in (layers, tiles):
        assert sum(measured["histogram"].values()) == measured["instructions_that_take_time"]


def test_the_points_lie_under_the_roof(answer_to: To) -> None:
    answer = answer_to("6.13")
    assert (answer["peak_operations_per_second"], answer["bandwidth_bytes_per_second"]) == (512e9, 64e9)
    points = {point["network"]: point for point in answer["networks"]}
    assert len({point["kind"] for point in points.values()}) >= 3
    for point in points.values():
        seconds = point["cycles"] / 1e9
        assert point["operations_per_second"] == pytest.approx(2 * point["macs"] / seconds)
        assert (
            2 * point["macs"] <= (512e9 + 2 * 64e9) * seconds
        )  # the matrix unit's, and those of the vector unit's lanes
        assert point["dram_bytes"] <= 64e9 * seconds
        assert point["roof_operations_per_second"] == pytest.approx(min(512e9, 64e9 * point["operations_per_byte"]))
    # Two operations for the four bytes of a weight; inputs, biases and outputs are the rest.
    assert points["mlp"]["operations_per_byte"] == pytest.approx(0.5, rel=0.01)
    assert points["depthwise"]["macs"] == 3 * 28 * 28 * (64 * 9 + 64 * 64)
    assert points["encoder"]["macs"] == 64 * 256 * 256 * (4 + 8) + 2 * 64 * 64 * 256
