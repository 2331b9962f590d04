"""The picture of utilisation: a curve each, the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tilework.errors import OutputError
from tilework.report.utilisation import draw_utilisation

PANELS = {
    "weights read again": {"convolutions": [(1, 1.0), (2, 0.5)], "network": [(1, 0.75), (2, 0.25)]},
    "weights kept": {"convolutions": [(1, 1.0), (2, 1.0)], "network": [(1, 0.75), (2, 0.5)]},
}


def test_the_picture_names_all_that_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "u.svg"
    draw_utilisation(PANELS, path, title="Units at work", units="scalar units")
    texts = ["".join(element.itertext()).strip() for element in ElementTree.parse(path).iter() if "text" in element.tag]
    for wanted in ("Units at work", "weights read again", "weights kept", "scalar units", "utilisation", "100%"):
        assert wanted in texts
    assert texts.count("convolutions") == texts.count("network") == 1  # one legend for both panels
    first = path.read_bytes()
    draw_utilisation(PANELS, path, title="Units at work", units="scalar units")
    assert path.read_bytes() == first


def test_a_png_and_a_wrong_ending(tmp_path: Path) -> None:
    draw_utilisation(PANELS, tmp_path / "u.png")
    assert (tmp_path / "u.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError) as raised:
        draw_utilisation(PANELS, "u.pdf")
    assert str(raised.value) == "a picture's name must end in .svg or .png, unlike 'u.pdf'"
