"""`tilework isa`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.isa.decoder import diagram_dot, diagram_text
from tilework.isa.decoder_svg import diagram_svg
from tilework.isa.manual import page, table_text
from tilework.isa.table import OPCODES


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["isa", *arguments])


def test_the_table_and_a_page() -> None:
    assert run().output == table_text() + "\n"
    assert run("contract").output == page(OPCODES["contract"]) + "\n"


def test_json() -> None:
    found = json.loads(run("--json").output)["instructions"]
    assert [entry["mnemonic"] for entry in found] == list(OPCODES)
    (entry,) = json.loads(run("sadd", "--json").output)["instructions"]
    assert (entry["code"], entry["fields"], entry["streams"]) == (0x61, "rd = ra, rb", ["core", "mover"])


@pytest.mark.parametrize(("ending", "text"), [("svg", diagram_svg), ("dot", diagram_dot), ("txt", diagram_text)])
def test_the_diagram(tmp_path: Path, ending: str, text: Callable[[], str]) -> None:
    path = tmp_path / f"decoder.{ending}"
    assert run("--diagram", str(path)).output == ""
    assert path.read_text("utf-8") == text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["vad"], "an instruction must be one of the {} in the table, not 'vad'; did you mean 'vand'?"),
        (["x"], "an instruction must be one of the {} in the table, not 'x'; 'tilework isa' lists them"),
        (["--diagram", "d.png"], "d.png must end with .svg, .dot, .txt, to say in which format it is; rename it"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"tilework: {sentence.format(len(OPCODES))}\n"
