"""The choices about a compilation that `compile` and `run` share: --prune."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def test_a_share_for_all_layers_and_one_for_a_layer() -> None:
    log = json.loads(call("compile", "lenet5", "--prune", "0.5", "--prune", "fc1=0.75", "--json").stdout)["log"]
    assert log[1:3] == [
        "pruned conv2 to 8 of each 16 weights: 1,152 of 2,400 are left out",
        "pruned fc1 to 4 of each 16 weights: 36,000 of 48,000 are left out",
    ]


def test_a_check_says_what_pruning_changes() -> None:
    result = call("run", "lenet5", "--prune", "0.25", "--check", "--json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert record["max_abs_error"] > 1e-4
    assert 0 <= record["same_class"] <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fc1=half", "a share must be a number, as in 0.5 or conv1=0.5, not 'half'"),
        ("1", "the share to prune of * must be from 0 to below 1, not 1; correct it"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    result = call("compile", "lenet5", "--prune", text)
    assert result.exit_code != 0
    assert message in (result.output + str(result.exception))
