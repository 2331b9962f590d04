"""The programs of examples/ that are written by hand: their text, and the values that the streams compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tilework as tw
from tilework.isa.assembly import parse_text, print_streams
from tilework.isa.program import Port, Program

EXAMPLES = Path(__file__).parents[2] / "examples"


def program(name: str, machine: str, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Program:
    streams = parse_text((EXAMPLES / name).read_text("utf-8"))
    on = tw.load_machine(machine)
    return Program.of(name, on, streams, inputs=inputs, outputs=outputs, dram_bytes=1 << 15)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.s")), ids=lambda path: path.name)
def test_examples_print_and_parse(path: Path) -> None:
    streams = parse_text(path.read_text("utf-8"))
    assert parse_text(print_streams(streams)) == streams


def test_a_loop_that_depends_on_data_ends_when_nothing_changes() -> None:
    ports = (Port("x", (64,), 0x100, (0,)), Port("passes", (1,), 0x200, (0,), "int32"))
    built = program("branch.s", "dlp-s", (Port("a", (64,), 0, (0,)),), ports)
    a = np.geomspace(1e-3, 1e6, 64).astype(np.float32)
    found = tw.Executable(built).run(a)
    np.testing.assert_allclose(found["x"], np.sqrt(a), rtol=1e-6)
    x, passes, change = np.maximum(a, 1), 0, np.float32(1)
    while change >= 1e-6:
        new = (x + a / x) * np.float32(0.5)
        x, change, passes = new, np.abs((new - x) / new).max(), passes + 1
    assert found["passes"].tolist() == [passes]


def test_four_cores_and_a_mover_multiply_matrices() -> None:
    inputs = (Port("x", (32, 64), 0, (0, 1)), Port("w", (64, 64), 0x2000, (0, 1)))
    built = program("cluster.s", "dlp-m4", inputs, (Port("y", (32, 64), 0x6000, (0, 1)),))
    random = np.random.default_rng(0)
    x, w = (random.standard_normal(port.shape).astype(np.float32) for port in inputs)
    np.testing.assert_allclose(tw.Executable(built).run(x, w)["y"], x @ w.T, rtol=1e-4, atol=1e-4)
