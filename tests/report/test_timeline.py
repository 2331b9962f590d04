"""The picture of a timeline: every bar in its row, thin ones joined without losing time, the same bytes each time."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import OutputError
from tilework.report.timeline import Bar, draw_timeline, merged

SVG = "{http://www.w3.org/2000/svg}"
BARS = [
    Bar("core 0 0", "load", 0, 40, "conv1", "load"),
    Bar("core 0 0", "matrix", 40, 100, "conv1", "contract"),
    Bar("core 0 1", "load", 10, 50, "fc", "load"),
]


@st.composite
def rows(draw: st.DrawFn) -> list[Bar]:
    """Bars one after another in two rows, as in-order units make them."""
    bars = []
    for row in ("load", "matrix"):
        time = 0
        for _ in range(draw(st.integers(0, 12))):
            start = time + draw(st.integers(0, 5))
            time = start + draw(st.integers(0, 5))
            bars.append(Bar("", row, start, time, draw(st.sampled_from(["a", "b"])), "x"))
    return bars


@given(rows(), st.sampled_from([0.5, 2, 4]))
def test_joined_bars_cover_what_was_there_and_little_more(bars: list[Bar], thin: float) -> None:
    joined = merged(bars, thin)
    for bar in bars:
        same = [j for j in joined if (j.row, j.layer) == (bar.row, bar.layer)]
        assert any(j.start <= bar.start and bar.end <= j.end for j in same)
    for j in joined:
        inside = [b for b in bars if (b.row, b.layer) == (j.row, j.layer) and j.start <= b.start and b.end <= j.end]
        assert min(b.start for b in inside) == j.start
        assert max(b.end for b in inside) == j.end
        gaps = j.end - j.start - sum(b.end - b.start for b in inside)
        assert gaps <= thin * len(inside)


def test_long_bars_stay_as_they_are() -> None:
    assert sorted(merged(BARS, 1), key=BARS.index) == BARS


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_bars_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        draw_timeline(BARS, file, "two cores")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_rows_layers_and_instructions_are_named(tmp_path: Path) -> None:
    draw_timeline(BARS, tmp_path / "t.svg", "two cores")
    texts = {"".join(text.itertext()).strip() for text in ElementTree.parse(tmp_path / "t.svg").iter(f"{SVG}text")}
    assert {"core 0 0 · load", "core 0 0 · matrix", "core 0 1 · load", "two cores"} <= texts
    assert {"conv1", "fc", "load", "contract", "0", "100"} <= texts


def test_nothing_at_work_is_an_empty_picture(tmp_path: Path) -> None:
    draw_timeline([], tmp_path / "t.png", "nothing")
    assert (tmp_path / "t.png").stat().st_size > 0


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as error:
        draw_timeline(BARS, tmp_path / "t.pdf", "x")
    assert str(error.value) == f"a picture's name must end in .svg or .png, unlike {str(tmp_path / 't.pdf')!r}"
