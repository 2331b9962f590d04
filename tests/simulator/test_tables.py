"""A result as text, HTML and a DataFrame."""

from __future__ import annotations

import sys
from html import escape

import pytest

from tilework.errors import MissingPackageError
from tilework.executable import compile_network
from tilework.simulator.cycle import simulate
from tilework.simulator.tables import layers, totals


def test_text_has_the_totals_and_a_line_per_layer() -> None:
    result = simulate(compile_network("mlp").program)
    assert str(result) == f"{totals(result)}\n\n{layers(result)}"
    assert len(layers(result).splitlines()) == 2 + len(result.layers)
    assert f"{result.cycles:,} = " in totals(result)
    assert result._repr_html_() == f"<pre>{escape(str(result))}</pre>"


def test_several_inferences_multiply_the_time() -> None:
    result = simulate(compile_network("mlp").program)
    assert "; 3 inferences " in totals(result, 3)


def test_an_executable_shows_its_cost() -> None:
    executable = compile_network("mlp")
    assert str(executable) == f"mlp on dlp-s\n\n{executable.cost}"
    assert executable.to_dict()["cycles"] == executable.cost.cycles
    assert executable.cost.compulsory_bytes == sum(layer.compulsory_bytes for layer in executable.program.layers)


def test_a_dataframe_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError) as caught:
        compile_network("mlp").to_dataframe()
    assert str(caught.value) == "to_dataframe needs the package pandas; install it: pip install pandas"
