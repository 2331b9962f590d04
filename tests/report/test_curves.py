"""Pictures of curves, of paths over contours and of separated classes: what they name, and the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tilework.errors import OutputError
from tilework.report.curves import draw_curves
from tilework.report.separation import draw_separation
from tilework.report.trajectory import draw_paths

GRID = [-1.0, 0.0, 1.0]
BOWL = GRID, GRID, [[x * x + y * y for x in GRID] for y in GRID]
SLOPE = GRID, GRID, [[x + y for x in GRID] for y in GRID]
ONE, OTHER = [(0.0, 0.0), (1.0, 1.0)], [(0.0, 1.0), (1.0, 0.0)]


def curves(path: Path) -> None:
    panels = {"first panel": {"rising": ONE, "falling": OTHER}, "second panel": {"rising": ONE}}
    draw_curves(panels, path, title="A title", x="step", y="loss")


def paths(path: Path) -> None:
    panels = {"first panel": (BOWL, {"rising": ONE}), "second panel": (SLOPE, {"falling": OTHER})}
    draw_paths(panels, path, title="A title", x="step", y="loss")


def separation(path: Path) -> None:
    panels = {name: ([(0, 0, False), (1, 1, True)], SLOPE) for name in ("first panel", "second panel")}
    draw_separation(panels, path, title="A title", classes=("rising", "falling"), x="step", y="loss")


every = pytest.mark.parametrize("draw", [curves, paths, separation])


@every
def test_the_picture_names_all_that_it_shows(draw: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    draw(path)
    texts = ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if "text" in element.tag]
    for wanted in ("A title", "first panel", "second panel", "step", "loss"):
        assert wanted in texts
    assert texts.count("rising") == texts.count("falling") == 1  # one legend for all panels
    first = path.read_bytes()
    draw(path)
    assert path.read_bytes() == first


@every
def test_a_png_and_a_wrong_ending(draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError) as raised:
        draw(Path("picture.pdf"))
    assert str(raised.value) == "a picture's name must end in .svg or .png, unlike 'picture.pdf'"
