"""--dtype int8 and --calibrate on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from tilework.cli import cli

DIGITS = str(Path(__file__).resolve().parents[2] / "examples" / "digits.png")
WARNING = "warning: without --calibrate int8 fits random numbers, not the network's own inputs\n"


def tilework(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_the_digits_are_read_as_before() -> None:
    given = ("run", "lenet5", "--input", DIGITS, "--dtype", "int8", "--calibrate", DIGITS, "--check")
    answer = json.loads(tilework(*given, "--json").stdout)
    assert [classes[0] for classes in answer["classes"]] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert 0 < answer["max_abs_error"] < 0.01
    assert answer["same_class"] == 1
    shown = tilework(*given)
    assert "; the best class is the same for 10 of 10\n" in shown.stdout
    assert (shown.exit_code, shown.stderr) == (0, "")


def test_a_machine_of_int8_only(tmp_path: Path) -> None:
    file = str(tmp_path / "lenet5.tile")
    compiled = tilework("compile", "lenet5", "--for", "tpu-v1", "--dtype", "int8", "-o", file)
    assert (compiled.exit_code, compiled.stderr) == (0, WARNING)
    assert "it reads  7 2 1 0 4 1 4 9 5 9" in tilework("run", file, "--input", DIGITS).stdout


def test_samples_from_an_array(tmp_path: Path) -> None:
    file = str(tmp_path / "many.npy")
    given = ("compile", "lenet5", "--dtype", "int8", "--calibrate", file)
    np.save(file, np.random.default_rng(0).random((5, 1, 28, 28), np.float32))
    compiled = tilework(*given)
    assert (compiled.exit_code, compiled.stderr) == (0, "")
    np.save(file, np.zeros((5, 28, 28), np.float32))
    assert tilework(*given).stderr == (
        f"tilework: {file} must hold numbers of the shape [1, 1, 28, 28], not float32 [5, 28, 28]\n"
    )


def test_samples_that_nothing_needs() -> None:
    assert tilework("compile", "lenet5", "--calibrate", DIGITS).stderr == (
        "tilework: --calibrate goes with --dtype int8, which alone needs it; leave it out\n"
    )
