"""`tilework simulate` of a compiled network with work for the host: its programs one after another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.executable import Executable, compile_network
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate

TEXT = """graph net
input x float32[3,4]
parameter w float32[5,4]
parameter v float32[2,5]
y = linear(x, w)
s = host(y, what="sort", shape=[3,5], how="sort 1 0 5 0")
z = linear(s, v)
output z
"""


@pytest.fixture(scope="module")
def built() -> Executable:
    return compile_network(parse_graph(TEXT), "dlp-s")


def run(built: Executable, folder: Path, *options: str) -> Result:
    built.save(folder / "net.tile")
    result = CliRunner().invoke(cli, ["simulate", str(folder / "net.tile"), *options])
    assert result.exit_code == 0, result.stderr
    return result


def test_programs_take_their_time_one_after_another(built: Executable, tmp_path: Path) -> None:
    first, second = (simulate(program).cycles for program in built.bundle.programs)
    document = json.loads(run(built, tmp_path, "--json").stdout)
    assert document["cycles"] == first + second
    assert [(layer["start"], layer["end"]) for layer in document["layers"]] == [(0, first), (first, first + second)]
    assert document["host_operations"] == ["sort s: is not affine"]
    assert document["host_bytes"] == 2 * 3 * 5 * 4


def test_the_host_is_named(built: Executable, tmp_path: Path) -> None:
    assert run(built, tmp_path).stdout.endswith(
        "\n\non the host: sort s: is not affine\n"
        "in this order: program 1 (1 layers), then the host s, then program 2 (1 layers)\n"
        "host bytes 120 besides the inputs and outputs\n"
    )


def test_the_timeline_goes_on_with_the_next_program(built: Executable, tmp_path: Path) -> None:
    first, second = built.bundle.programs
    run(built, tmp_path, "--trace", str(tmp_path / "t.json"), "-o", str(tmp_path / "t.svg"))
    events = json.loads((tmp_path / "t.json").read_text("utf-8"))["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    begun = min(event["ts"] for event in slices if event["name"].startswith("z "))
    ended = max(event["ts"] + event["dur"] for event in slices if event["name"].startswith("y "))
    cycle = 1e6 / first.machine.clock_hz
    assert ended <= simulate(first).cycles * cycle <= begun
    last = max(event["ts"] + event["dur"] for event in slices)
    assert last == pytest.approx((simulate(first).cycles + simulate(second).cycles) * cycle)
    assert "nothing is read on chip" in run(built, tmp_path, "--reads", "report", "--timeline").stdout
