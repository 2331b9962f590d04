"""What docs/processor.md says is what the code does: its table, its single instructions, its worked examples."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tilework.isa.assembly import parse_instruction
from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate
from tilework.simulator.timeline import events, listing
from tilework.simulator.timing import timing

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs" / "processor.md").read_text(encoding="utf-8")
SINGLE = re.findall(r"^\| `([^`]+)` \|.*\| (\d+) \|$", MANUAL.partition("### Single instructions")[2], re.MULTILINE)
EXAMPLES = re.findall(
    r"<!-- example: (\d+) cycles -->\n```\n(.*?)```.*?<!-- timeline -->\n```\n(.*?)\n```", MANUAL, re.DOTALL
)


def test_the_tables_are_those_of_the_code(make_docs: ModuleType) -> None:
    assert make_docs.instruction_table() in MANUAL
    assert make_docs.regenerate(MANUAL) == MANUAL
    stale = MANUAL.replace("natural logarithm", "logarithm")
    assert stale != MANUAL
    assert make_docs.regenerate(stale) == MANUAL


def test_make_docs_tells_a_stale_file_and_writes_it_anew(
    make_docs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "processor.md"
    page.write_text(MANUAL.replace("natural logarithm", "logarithm"), encoding="utf-8")
    monkeypatch.setattr(make_docs, "DOCS", tmp_path)
    assert make_docs.main(["--check"]) == 1
    assert capsys.readouterr().err == "processor.md is out of date; run python scripts/make_docs.py\n"
    assert make_docs.main([]) == 0
    assert page.read_text(encoding="utf-8") == MANUAL
    assert make_docs.main(["--check"]) == 0


@pytest.mark.parametrize(("text", "cycles"), SINGLE)
def test_a_single_instruction_takes_what_the_manual_says(text: str, cycles: str, toy: Machine) -> None:
    assert timing(parse_instruction(text), toy).cycles == int(cycles)


@pytest.mark.parametrize(("cycles", "text", "timeline"), EXAMPLES, ids=["serial", "double buffer", "cluster"])
def test_a_worked_example(cycles: str, text: str, timeline: str, program: Callable[..., Program]) -> None:
    built = program(text)
    assert simulate(built).cycles == int(cycles)
    assert listing(events(built)) == timeline


def test_the_manual_has_its_examples() -> None:
    assert (len(SINGLE), len(EXAMPLES)) == (10, 3)
