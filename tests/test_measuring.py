"""Networks measured on the machine that runs the tests: what must hold of any such measurement."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tilework as tw
from tilework import calibrating, measuring
from tilework.calibrating import calibration_graph, fastest_product, reached
from tilework.cli import cli
from tilework.cost.kinds import kind_of
from tilework.cost.measured import Timed, measured
from tilework.errors import MachineError, MissingPackageError, NetworkError
from tilework.machine.accelerator import KINDS, Accelerator, Memory
from tilework.machine.load import to_toml

HERE = Accelerator(
    "here", peak={"float32": 1e11}, memory=Memory("", None, 1e10), on_chip=Memory("cache", 1 << 25, 1e11)
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A measured machine's file: its peak is ours, what its layers reach is measured, with small ones."""
    path = tmp_path_factory.mktemp("here") / "here.toml"
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        path.write_text(to_toml(measuring.calibrated(HERE, 1)), encoding="utf-8")
    return str(path)


def small(patch: pytest.MonkeyPatch) -> None:
    """A calibration that takes a moment."""
    patch.setattr(calibrating, "PRODUCTS", ((8, 64), (1, 64)))
    patch.setattr(calibrating, "EACH", (1 << 10,))
    patch.setattr(calibrating, "LARGE", 1 << 12)
    for name in ("CONVOLUTIONS", "DEPTHWISE", "POINTWISE"):
        patch.setattr(calibrating, name, getattr(calibrating, name)[-1:])


def test_layers_are_timed_and_predicted(file: str) -> None:
    found = tw.measure("lenet5", on=file, threads=1, runs=3)
    assert found.runtime.startswith("ONNX Runtime ")
    assert [part.layers for part in found.parts][:2] == [("conv1", "relu1"), ("pool1",)]
    assert len(found.runs) == len(found.worked) == 3
    assert all(0 < part.seconds < 1 for part in found.parts)
    assert sum(part.operations for part in found.parts) == 2 * tw.count("lenet5").total.macs
    assert found.predicted_seconds is not None
    assert found.predicted_seconds > found.bound_seconds * 0.1


def test_the_calibration_has_every_kind_and_no_network_of_the_zoo() -> None:
    graph = calibration_graph()
    middle = [node for node in graph.nodes if not node.name.endswith(("first", "last"))]
    assert {kind_of(graph, [node]) for node in middle} == set(KINDS)


def test_what_layers_reach_is_found_again() -> None:
    """Times made by a rule of our own give the rule's numbers back."""
    graph, shares = calibration_graph(), {kind: 0.25 + 0.125 * place for place, kind in enumerate(KINDS)}
    zero = measured(graph, HERE, [Timed((node.name,), (0.0,)) for node in graph.nodes], (0.0,), "Runner 1", 3)
    timed = []
    for part in zero.parts:
        work = (1 << 20) / 1e9 if part.layers[0].partition(".")[0] in ("exp", "pow") else 0.0
        timed.append(Timed(part.layers, (2e-6 + part.bound.seconds / shares[part.kind] + work,)))
    one = measured(graph, HERE, timed, (1.0,), "Runner 1", 3)
    found = reached(one)
    assert (found.runtime, found.threads) == ("Runner 1", 3)
    assert found.overhead_seconds == pytest.approx(2e-6, rel=0.05)
    assert found.share == pytest.approx(shares, rel=0.02)
    assert found.rate["exp"] == pytest.approx(1e9, rel=0.02)
    assert found.rate["power"] == pytest.approx(1e9, rel=0.02)
    assert fastest_product(one) == pytest.approx(1e11 * shares["product"], rel=0.05)


def test_a_peak_is_no_less_than_what_a_product_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    slow = replace(HERE, peak={"float32": 1e6})
    found = measuring.calibrated(slow, 1)
    assert found.peak["float32"] > 1e7
    assert found.reached is not None


def test_without_onnx_runtime_a_machine_is_measured_without_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> object:
        raise MissingPackageError("no")

    monkeypatch.setattr("tilework.machine.measure.measure", lambda *_: HERE)
    monkeypatch.setattr(measuring, "_onnx_times", missing)
    assert measuring.machine_here(threads=1) is HERE


def test_torch_times_modules() -> None:
    torch = pytest.importorskip("torch")

    class Block(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 4, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(4)

        def forward(self, x: object) -> object:
            return torch.relu(self.norm(self.conv(x)) + x)

    network = torch.nn.Sequential(Block(), Block()).eval()
    found = tw.measure(network, (1, 4, 8, 8), on=HERE, runtime="torch", threads=1, runs=2)
    assert found.runtime == f"torch {torch.__version__}"
    assert [set(part.layers) for part in found.parts] == [
        {"0.conv"},
        {"0.norm"},
        {"0.add", "0.relu"},
        {"1.conv"},
        {"1.norm"},
        {"1.add", "1.relu"},
    ]
    assert found.predicted_seconds is None
    assert all(part.seconds > 0 for part in found.parts)


def test_torch_makes_weights_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "made_here.py").write_text("import torch\ndef make():\n    return torch.nn.Linear(4, 3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = tw.measure("py:made_here:make", (2, 4), on=HERE, runtime="torch", runs=1)
    assert sum(part.operations for part in found.parts) == 2 * 2 * 4 * 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"runtime": "tvm"}, "the runtime must be one of onnxruntime, torch, not 'tvm'; choose one"),
        ({"runs": 0}, "runs and threads must be at least 1, not 0"),
        (
            {"runtime": "torch"},
            "a network that torch measures must be a torch module, such as py:MODULE:CALLABLE; measure others with "
            "ONNX Runtime",
        ),
    ],
)
def test_a_mistake_is_one_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(NetworkError) as error:
        tw.measure("mlp", on=HERE, **options)  # type: ignore[arg-type]
    assert str(error.value) == sentence


def test_a_network_that_the_runtime_refuses_is_named() -> None:
    """ONNX Runtime multiplies no 16-bit whole numbers."""
    g = tw.GraphBuilder("whole")
    x, y = g.input("x", (2, 2), "int16"), g.input("y", (2, 2), "int16")
    with pytest.raises(NetworkError, match=r"^network whole must be one that ONNX Runtime runs, but it says: .*MatMul"):
        tw.measure(g.graph(g.node("z", "matmul", x, y)), on=HERE, threads=1, runs=1)


def test_a_machine_needs_a_bandwidth() -> None:
    with pytest.raises(MachineError) as error:
        tw.measure("mlp", on=replace(HERE, memory=Memory()), threads=1, runs=1)
    assert str(error.value) == "a roofline needs a machine's bandwidth, and here's isn't known; choose another machine"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["measure", *arguments])


def test_the_command(file: str, tmp_path: Path) -> None:
    document = json.loads(run("lenet5", "--on", file, "--threads", "1", "--runs", "2", "--json").stdout)
    assert {"network", "seconds", "bound_seconds", "predicted_seconds", "layers", "runtime"} <= document.keys()
    picture = tmp_path / "roof.svg"
    shown = run("lenet5", "--on", file, "--threads", "1", "--runs", "2", "--top", "3", "-o", str(picture))
    assert len(shown.stdout.split("\n\n")[0].splitlines()) == 5
    drawn = picture.read_text("utf-8")
    assert "lenet5, measured in ONNX Runtime" in drawn
    assert "on chip" in drawn
    assert "conv2 +1" in drawn
    failed = run("lenet5", "--batch", "N")
    assert (failed.exit_code, failed.stderr) == (
        2,
        "tilework: --batch must be a whole number to be measured, not 'N'; give one such as 8\n",
    )


def test_onnx_runtime_that_is_missing_is_said() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from tilework.cli import main\n"
        "sys.argv = ['tilework', 'measure', 'mlp', '--on', 't4', '--runs', '1']\n"
        "main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (
        2,
        "tilework: running a network in ONNX Runtime needs the package onnxruntime: pip install 'tilework[onnx]'\n",
    )
