"""Graphs that can't be compiled, and such as may be a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tilework.cli import cli
from tilework.compiler.whole import oddities
from tilework.errors import CompileError
from tilework.executable import compile_network
from tilework.network.graph_text import parse_graph

EMPTY = "graph g\ninput x float32[2]\noutput x\n"
WEIGHT = "graph g\ninput x float32[2]\nparameter w float32[2]\ny = add(x, w)\noutput y\noutput w\n"
ODD = "graph g\ninput x float32[2]\ninput u float32[3]\ny = relu(x)\nz = relu(y)\noutput y\noutput x\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (EMPTY, "network g must have a node to be compiled, not none; add one"),
        (WEIGHT, "output w must be a node's value or an input to be compiled, not a weight; leave it out"),
    ],
)
def test_what_is_refused_writes_nothing(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_network(parse_graph(text))
    assert str(caught.value) == sentence
    (tmp_path / "g.graph").write_text(text)
    found = CliRunner().invoke(cli, ["compile", str(tmp_path / "g.graph"), "-o", str(tmp_path / "g.tile")])
    assert found.exit_code == 2
    assert sentence in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["g.graph"]


def test_oddities_are_warned_of_and_compiled(tmp_path: Path) -> None:
    assert list(oddities(parse_graph(ODD))) == [
        "the output x is an input, which comes back as it is",
        "the input u is read by no node; it must be given all the same",
        "what z (relu) makes is neither read nor an output, and isn't computed",
    ]
    (tmp_path / "g.graph").write_text(ODD)
    found = CliRunner().invoke(cli, ["compile", str(tmp_path / "g.graph"), "-o", str(tmp_path / "g.tile")])
    assert found.exit_code == 0
    assert found.stderr.splitlines()[0] == "warning: the output x is an input, which comes back as it is"
    assert (tmp_path / "g.tile").exists()
    x, u = np.array([-1, 2], np.float32), np.zeros(3, np.float32)
    outputs = compile_network(parse_graph(ODD)).run(x=x, u=u)
    np.testing.assert_array_equal(outputs["y"], [0, 2])
    np.testing.assert_array_equal(outputs["x"], x)
