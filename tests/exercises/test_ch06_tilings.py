"""Exercises 6.11 and 6.12 against counts by hand and NumPy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
OUTPUT, WEIGHT, INPUT = 16 * 14 * 14 * 4, 16 * 8 * 9 * 4, 8 * 14 * 14 * 4  # bytes
# Rows of the input that tiles of 5, 5 and 4 rows need, halo included, and columns of 7 and 7.
HALO = 8 * (6 + 7 + 5) * (8 + 8) * 4


def moved(answer: Answer, number: int) -> dict[str, tuple[int, int]]:
    operands = answer["schedules"][number]["operands"]
    return {one["tensor"]: (one["read_bytes"], one["written_bytes"]) for one in operands}


def test_what_each_tiling_moves(answer_to: Callable[[str], Answer]) -> None:
    """Two tiles of filters, two of channels, six of pixels."""
    answer = answer_to("6.11")
    assert answer["tensor_bytes"] == {"x": INPUT, "w": WEIGHT, "o": OUTPUT}
    assert [one["name"] for one in answer["schedules"]] == [
        "output stationary",
        "weight stationary",
        "input stationary",
        "best found",
    ]
    assert moved(answer, 0) == {"o": (0, OUTPUT), "x": (2 * HALO, 0), "w": (6 * WEIGHT, 0)}
    assert moved(answer, 1) == {"o": (OUTPUT, 2 * OUTPUT), "x": (2 * HALO, 0), "w": (WEIGHT, 0)}
    assert moved(answer, 2) == {"o": (OUTPUT, 2 * OUTPUT), "x": (HALO, 0), "w": (6 * WEIGHT, 0)}


def test_the_best_holds_the_weight(answer_to: Callable[[str], Answer]) -> None:
    best = moved(answer_to("6.11"), 3)
    assert best["w"] == (WEIGHT, 0)
    assert best["o"] == (0, OUTPUT)
    totals = [sum(map(sum, moved(answer_to("6.11"), number).values())) for number in range(4)]
    assert totals[3] < min(totals[:3])
    assert 1.2 < max(totals[:3]) / min(totals[:3]) < 1.3
    held = [sum(each["held_bytes"] for each in one["operands"]) for one in answer_to("6.11")["schedules"]]
    assert held[0] == held[1] == held[2]
    assert round(held[3] / held[0], 1) == 3.1


def test_each_code_is_the_convolution(answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    """Against windows of the padded image, multiplied in NumPy."""
    generator = np.random.default_rng(3)
    x, w = (generator.integers(-8, 8, shape).astype(float) for shape in ((1, 8, 14, 14), (16, 8, 3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
    np.savez(tmp_path / "values.npz", x=x, w=w, wanted=np.einsum("ncpqrs,kcrs->nkpq", windows, w))
    main = """
import sys
import numpy as np

values = np.load(sys.argv[1])
o = np.zeros((1, 16, 14, 14))
contraction(o, values["x"].tolist(), values["w"].tolist())
assert (o == values["wanted"]).all()
"""
    for one in answer_to("6.11")["schedules"]:
        (tmp_path / "loops.py").write_text(one["code"] + main, "utf-8")
        subprocess.run([sys.executable, tmp_path / "loops.py", tmp_path / "values.npz"], check=True, timeout=60)


def test_the_picture(answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    load_exercise("6.11").draw_to(str(tmp_path / "tiles.svg"), answer_to("6.11"))
    shown = (tmp_path / "tiles.svg").read_text("utf-8")
    for one in answer_to("6.11")["schedules"]:
        assert one["name"] in shown


def test_the_readings_of_the_nest(answer_to: Callable[[str], Answer]) -> None:
    """16 channels of 30 x 30, 32 filters of 3 x 3, stride 2: outputs of 15 x 15, of which one side meets padding."""
    answer = answer_to("6.12")
    assert answer["parses_back"]
    assert (answer["parallel"], answer["summed"]) == (["n", "g", "k", "p", "q"], ["c", "r", "s"])
    assert answer["shape"] == [1, 32, 15, 15]
    assert answer["macs"] == 32 * 16 * (15 * 3) ** 2
    assert answer["macs_without_padding"] == 32 * 16 * (15 * 3 - 1) ** 2
    assert answer["tile"]["boxes"]["o"] == [[0, 0], [16, 31], [4, 7], [5, 9]]
    assert answer["tile"]["boxes"]["x"] == [[0, 0], [0, 15], [2 * 4 - 1, 2 * 7 + 1], [2 * 5 - 1, 2 * 9 + 1]]
    assert [one.split(": ")[1].split("[")[0] for one in answer["gradient"]] == ["d:x", "d:w"]
    assert answer["best_moved_bytes"] == answer["program_moved_bytes"]
    assert answer["difference"] < 1e-4 * answer["largest"]
    assert answer["tile_instruction"] in load_exercise("6.12").text(answer)
