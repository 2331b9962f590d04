"""Exercise 6.5 and the programs of examples/ against NumPy and against cycles counted by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import tilework as tw
from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
Array = np.ndarray[Any, Any]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def answer(answer_to: Callable[[str], Answer]) -> Answer:
    return answer_to("6.5")


def network(weights: Any, image: Array) -> Array:
    """The network by the definition of its layers, in double precision: image [4,8,8], ten outputs."""
    windows = sliding_window_view(np.pad(image.astype(float), ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    value = np.einsum("chwrs,kcrs->khw", windows, weights["conv.weight"])
    value = np.maximum(value + weights["conv.bias"][:, None, None], 0)
    pooled = value.reshape(8, 4, 2, 4, 2).max(axis=(2, 4))
    return np.asarray(weights["fc.weight"] @ pooled.ravel() + weights["fc.bias"])


def test_the_values_are_those_of_the_network(answer: Answer) -> None:
    graph = tw.parse_graph(load_exercise("6.5").compute.__globals__["NETWORK"])
    image = np.random.default_rng(0).random((1, 4, 8, 8), dtype=np.float32)
    wanted = network(tw.find_weights(graph, "", seed=0), image[0])
    np.testing.assert_allclose(answer["values"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["values_of_the_network"], wanted, rtol=1e-4, atol=1e-5)
    assert answer["max_abs_error"] < 1e-5
    assert answer["unordered_conflicts"] == 0


def test_the_cycles_are_those_counted_by_hand(answer: Answer) -> None:
    start = 5  # control has issued four posts and the fill
    fill = 256 // 64
    loads = 1152 // 64 + 1 + 512 // 64  # weights, biases, the first tile
    convolution = 4 * (16 * 1 * 3 + 8)  # 16 rows, 8 of 16 columns, 36 of 48 products, for each of four tiles
    vector = 3 * (128 // 64 + 4)  # bias, ReLU and pooling of the last tile
    last = 1 * 1 * 8 + 8  # one row, 10 of 16 columns, 128 products
    end = (1 + 4) + 1  # bias; store
    assert answer["cycles"] == start + fill + loads + convolution + vector + last + end == 300
    assert answer["busy_cycles"]["matrix"] == convolution + last
    assert answer["busy_cycles"]["vector"] == 4 * vector + 5
    assert answer["compiled_cycles"] > answer["bound_cycles"]


def test_work_traffic_and_bound(answer: Answer) -> None:
    macs = 64 * 8 * 36 + 10 * 128
    compulsory = 4 * (8 * 36 + 8 + 10 * 128 + 10 + 4 * 64 + 10)
    halo = 4 * 4 * 8 * (4 * 4 - 8)  # bytes of a pixel's row, by the rows that tiles load beyond the image's eight
    assert answer["macs"] == macs
    assert answer["dram_bytes"] == compulsory + halo
    assert answer["bound_cycles"] == max(macs / 256, compulsory / 64) == 115.75


def test_the_instruction_set_is_the_manuals(answer: Answer) -> None:
    manual = (ROOT / "docs" / "processor.md").read_text("utf-8")
    documented = re.findall(r"^\| `(\w+)` \| 0x", manual, re.MULTILINE)
    assert [row["mnemonic"] for row in answer["instructions"]] == documented
    shown = load_exercise("6.5").text(answer)
    assert all(re.search(rf"^{name} ", shown, re.MULTILINE) for name in documented)


def test_the_timeline_names_the_instructions(answer: Answer) -> None:
    rows = {line.split()[0]: line.split()[1] for line in answer["timeline"].splitlines()[1:]}
    for unit, places in answer["places"].items():
        digits = {place.split()[0][-1] for place in places}
        assert set(rows[unit]) <= digits | {"."}
    assert answer["places"]["matrix"] == ["13 contract", "28 contract"]  # as the text says
    assert answer["places"]["vector"][:3] == ["17 vadd", "18 vmax", "19 rmax"]
    assert "24 load" in answer["places"]["load"]


def pipeline(tiles: int = 8) -> tw.Program:
    text = (ROOT / "examples" / "pipeline.s").read_text("utf-8").replace("loop 8", f"loop {tiles}")
    weights = np.random.default_rng(1).random((16, 32), dtype=np.float32)
    packed = weights.ravel().view(np.uint8)
    return tw.Program(
        "pipeline",
        tw.load_machine("dlp-s"),
        tw.parse_program(text),
        inputs=(tw.Port("x", (128, 32), 0x800, (0, 1)),),
        outputs=(tw.Port("y", (128, 16), 0x4800, (0, 1)),),
        weight_bytes=packed.nbytes,
        dram_bytes=0x4800 + 128 * 16 * 4,
        weights=lambda: packed,
    )


def test_the_pipeline_multiplies_matrices() -> None:
    program = pipeline()
    x = np.random.default_rng(2).random((128, 32), dtype=np.float32)
    weights = program.weights().view(np.float32).reshape(16, 32)
    np.testing.assert_allclose(tw.Executable(program).run(x=x)["y"], x.astype(float) @ weights.T, rtol=1e-5)
    assert tw.find_races(program) == []


def test_the_pipeline_is_as_fast_as_its_channel() -> None:
    """A tile takes 32 cycles to load, 40 to compute and 16 to store; loads and stores share the channel."""
    times = [tw.simulate(pipeline(tiles)).cycles for tiles in (8, 12, 100)]
    assert times[1] - times[0] == 4 * (32 + 16)
    assert times[2] - times[1] == 88 * (32 + 16)
    assert times[0] == pytest.approx(32 + 8 * (32 + 16), rel=0.1)
    serial = 32 + 8 * (32 + 40 + 16)
    assert times[0] < 0.65 * serial
