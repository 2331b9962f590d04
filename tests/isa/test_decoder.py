"""The decoder's diagrams follow the table: paths worked by hand, every row, a row that is added, drawings."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tilework.isa.decoder import (
    STATES,
    control_diagram,
    control_path,
    diagram_dot,
    diagram_text,
    unit_diagram,
    unit_path,
)
from tilework.isa.decoder_svg import diagram_svg
from tilework.isa.table import OPCODES, Opcode


@pytest.mark.parametrize(
    ("mnemonic", "path"),
    [
        ("end", "fetch decode drain halt"),
        ("loop", "fetch decode loop next"),
        ("endloop", "fetch decode repeat next"),
        ("sync", "fetch decode drain next"),
        ("barrier", "fetch decode drain meet next"),
        ("jump", "fetch decode jump next"),
        ("jumpif", "fetch decode registers jump next"),
        ("wait", "fetch decode place issue next"),
        ("load", "fetch decode descriptor registers addresses place issue next"),
        ("contract", "fetch decode descriptor registers addresses place issue next"),
        ("scopy", "fetch decode registers write next"),
        ("sload", "fetch decode descriptor registers addresses drain element write next"),
        ("sstore", "fetch decode descriptor registers addresses drain element next"),
        ("rank", "fetch decode write next"),
    ],
)
def test_the_path_of_an_instruction(mnemonic: str, path: str) -> None:
    assert " ".join(control_path(OPCODES[mnemonic])) == path


def test_the_paths_of_a_unit() -> None:
    assert unit_path(OPCODES["wait"]) == ("head", "token", "next")
    assert unit_path(OPCODES["post"]) == ("head", "post", "next")
    assert unit_path(OPCODES["cast"]) == ("head", "channel", "work", "next")
    assert unit_path(OPCODES["vexp"]) == ("head", "work", "next")


def test_every_row_is_in_the_diagram_and_every_state_has_its_meaning() -> None:
    control, unit = control_diagram(), unit_diagram()
    assert {name for names in control.transitions.values() for name in names} == {*OPCODES, "other"}
    queued = {name for name, row in OPCODES.items() if row.unit != "control"}
    assert {name for names in unit.transitions.values() for name in names} == queued
    assert set(control.states) | set(unit.states) == set(STATES)


def test_a_new_row_shows_up_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Opcode("flush", 0x7F, "control", "count", "a test", "1", "flush 3", drains=True)
    monkeypatch.setitem(OPCODES, "flush", row)
    assert "flush" in control_diagram().label(("decode", "drain"))
    assert "flush" in diagram_dot()


def test_text_and_dot_and_svg_have_every_transition() -> None:
    text, dot, svg = diagram_text(), diagram_dot(), ElementTree.fromstring(diagram_svg())
    edges = [(d.name, *edge) for d in (control_diagram(), unit_diagram()) for edge in d.transitions]
    assert re.findall(r"(\w+)_(\w+) -> \w+_(\w+) ", dot) == edges
    assert len(re.findall(r"^    -> \w+", text, re.MULTILINE)) == len(edges)
    space = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"{space}path")) == len(edges)
    drawn = [str(group.findtext(f"{space}text")) for group in svg.findall(f"{space}g")]
    assert drawn == [*control_diagram().states, *unit_diagram().states]


def test_no_two_states_are_drawn_over_each_other() -> None:
    space = "{http://www.w3.org/2000/svg}"
    svg = ElementTree.fromstring(diagram_svg())
    boxes = [group.find(f"{space}rect") for group in svg.findall(f"{space}g")]
    places = [(float(box.get("x", "")), float(box.get("y", ""))) for box in boxes if box is not None]
    assert len(places) == len(STATES) + 1  # `next` is in both
    for n, (x, y) in enumerate(places):
        assert all(abs(x - other) > 92 or abs(y - above) > 34 for other, above in places[:n])
