"""The picture of tilings: every tile with its step, the held parts in their colours, the same bytes each time."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tilework.compiler.loops import Schedule, output_stationary, weight_stationary
from tilework.errors import OutputError
from tilework.network.graph import Tensor
from tilework.network.text import parse_nest
from tilework.report.tiles import ARRIVES, EMPTY, STAYS, Frame, Planes, draw_tiles

NEST = parse_nest("k<6 p<5 q<8 c<4 r<3: o[k,p,q] += x[c,p+r-1,q | 0] * w[k,c,r]")
SHAPES = {"o": (6, 5, 8), "x": (4, 5, 8), "w": (6, 4, 3)}
TENSORS = {name: Tensor(name, shape, role="parameter" if name == "w" else "value") for name, shape in SHAPES.items()}
SIZES = {"k": 3, "p": 2, "q": 4, "c": 2}
OUTPUT, WEIGHT = output_stationary(NEST, TENSORS, SIZES), weight_stationary(NEST, TENSORS, SIZES)


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if "text" in element.tag]


def test_every_tile_has_the_numbers_of_its_steps(tmp_path: Path) -> None:
    """2 x 3 x 2 tiles of the output with two steps each, for two tiles of channels."""
    path = tmp_path / "t.svg"
    draw_tiles([OUTPUT], path, title="In order", steps=3)
    shown = texts(path)
    assert {"In order", "output stationary: tiles k:3 p:2 q:4 c:2, 24 steps", "step 3", "o", "x", "w"} <= {*shown}
    assert {"o[0:3, :, :]", "o[3:6, :, :]", "comes in this step", "is there from before"} <= {*shown}
    assert "step 4" not in shown
    assert [text for text in shown if ", " in text and text[0].isdigit()] == [f"{n}, {n + 1}" for n in range(1, 24, 2)]
    draw_tiles([WEIGHT], path)
    pairs = [tuple(map(int, text.split(", "))) for text in texts(path) if re.fullmatch(r"\d+, \d+", text)]
    assert sorted(pairs) == [(n, n + 6) for n in (*range(1, 7), *range(13, 19))]


def colours(path: Path) -> dict[str, int]:
    source = path.read_text("utf-8")
    return {name: source.count(f"fill: {colour}") for name, colour in (("comes", ARRIVES), ("stays", STAYS))}


def test_what_comes_and_what_stays(tmp_path: Path) -> None:
    """In four steps the output changes twice or four times, the input always, the weight always or once."""
    path = tmp_path / "t.svg"
    draw_tiles([OUTPUT], path, steps=4)
    assert colours(path) == {"comes": 1 + 2 + 4 + 4, "stays": 1 + 2}  # and the legend's
    draw_tiles([WEIGHT], path, steps=4)
    assert colours(path) == {"comes": 1 + 4 + 4 + 1, "stays": 1 + 3}


def test_what_a_level_holds_stays_whole(tmp_path: Path) -> None:
    held = Schedule("held", NEST, TENSORS, ("k", "p"), {"k": 3, "p": 2}, (0, 2, 0))
    draw_tiles([held], tmp_path / "t.svg", steps=6)
    assert colours(tmp_path / "t.svg") == {"comes": 1 + 1 + 6 + 1, "stays": 1 + 5 + 5}
    assert {"1", "2", "3", "4", "5", "6"} <= {*texts(tmp_path / "t.svg")}


def test_where_a_part_is_drawn() -> None:
    """Planes of 5 x 8 side by side, 10 pixels apart; halo rows belong to the part, padding does not."""
    planes = Planes(OUTPUT, OUTPUT.operands[1])
    frame = Frame(0, 0, 170, 500)
    assert (planes.rows, planes.columns, planes.slabs) == (5, 8, [((0, 1),), ((2, 3),)])
    assert planes.unit(frame) == 10
    box = OUTPUT.part(OUTPUT.operands[1], {"k": 0, "p": 0, "q": 4, "c": 2})
    assert list(planes.places(box, frame)) == [Frame(90 + 40, 0, 40, 30)]
    assert list(planes.background(frame)) == [Frame(0, 0, 80, 50), Frame(90, 0, 80, 50)]


def test_the_same_bytes_a_png_and_small_tensors(tmp_path: Path) -> None:
    nest = parse_nest("i<4: o[] += x[i] * w[i]")
    tensors = {name: Tensor(name, shape) for name, shape in (("o", ()), ("x", (4,)), ("w", (4,)))}
    for one in ("a.png", "b.png", "a.svg", "b.svg"):
        draw_tiles([output_stationary(nest, tensors, {"i": 3}), OUTPUT], tmp_path / one)
    for ending in ("png", "svg"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert f"fill: {EMPTY}" in (tmp_path / "a.svg").read_text("utf-8")


def test_many_planes_are_not_all_drawn(tmp_path: Path) -> None:
    draw_tiles([output_stationary(NEST, TENSORS, SIZES | {"k": 1})], tmp_path / "t.svg")
    assert "and 2 planes more" in texts(tmp_path / "t.svg")


def test_mistakes(tmp_path: Path) -> None:
    nest = parse_nest("i<5000: o[i] += x[i] * w[i]")
    tensors = {name: Tensor(name, (5000,)) for name in "oxw"}
    with pytest.raises(OutputError) as raised:
        draw_tiles([output_stationary(nest, tensors, {"i": 1})], tmp_path / "t.svg")
    assert str(raised.value) == (
        "a picture must show at most 4096 steps, not the 5000 of output stationary; choose larger tiles"
    )
    with pytest.raises(OutputError) as raised:
        draw_tiles([OUTPUT], "t.pdf")
    assert str(raised.value) == "a picture's name must end in .svg or .png, unlike 't.pdf'"
