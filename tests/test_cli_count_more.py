"""`tilework count` beyond the table of a network: formulas, memory, gradients, other tools, torch and Hugging Face."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tilework as tw
from tilework import cli

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, ["count", *arguments])


def document(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    found: dict[str, object] = json.loads(result.stdout)
    return found


def error_of(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.rstrip("\n").removeprefix("tilework: ")


def test_symbols_give_formulas() -> None:
    found = document("lenet5", "--batch", "N")
    assert found["totals"]["macs"]["formula"] == "416520*N"  # type: ignore[index]
    text = run("lenet5", "--batch", "N", "--format", "markdown").stdout
    assert "117,600\\*N" in text
    by = run("resnet18", "--batch", "N", "--input", "3,H,W", "--depth", "1").stdout
    assert re.search(r"^layer1 \(module\) +\[N, 64, 1/4\*H, 1/4\*W\]", by, re.MULTILINE)
    assert "valid for:            N any size; H a multiple of 32; W a multiple of 32" in by


def test_the_gradient_is_added() -> None:
    found = document("lenet5", "--backward")
    forward, backward, totals = found["forward"], found["backward"], found["totals"]
    assert isinstance(forward, dict)
    assert isinstance(backward, dict)
    assert isinstance(totals, dict)
    assert forward["macs"] == 416_520
    assert backward["macs"] == 2 * 416_520 - 117_600  # nobody needs the gradient of the picture
    assert totals["macs"] == forward["macs"] + backward["macs"]


def test_memory() -> None:
    found = document("lenet5", "--memory", "--optimizer", "sgd", "--batch", "2")
    assert found["parameter_bytes"] == found["gradient_bytes"] == 4 * 61_706
    assert found["optimizer_bytes"] == 0
    plain = document("vgg11", "--memory")
    again = document("vgg11", "--memory", "--checkpoint", "1")
    assert again["saved_bytes"] < plain["saved_bytes"]  # type: ignore[operator]
    assert again["recomputed_macs"] > 0  # type: ignore[operator]
    assert "the peak is at" in run("lenet5", "--memory").stdout


@pytest.mark.parametrize("tool", ["torchinfo", "fvcore", "flop_counter", "ptflops", "calflops", "thop"])
def test_another_tools_total_is_explained(tool: str) -> None:
    result = run("lenet5", "--convention", tool)
    assert result.exit_code == 0
    assert re.search(rf"^{tool}.* counts [\d,]+.* exact are ", result.stdout, re.MULTILINE)


def test_torchinfos_bias() -> None:
    lines = run("lenet5", "--convention", "torchinfo").stdout.splitlines()
    assert "conv1  conv2d     117,600  122,304      +4,704    1" in lines


def test_reports_as_files(tmp_path: Path) -> None:
    for name in ("a.md", "a.json", "a.txt"):
        assert run("lenet5", "--batch", "N", "-o", str(tmp_path / name)).exit_code == 0
        assert (tmp_path / name).stat().st_size > 500
    assert error_of("lenet5", "--batch", "N", "-o", "a.svg") == (
        "the file's name must end in .md, .json or .txt, unlike 'a.svg'"
    )
    assert error_of("lenet5", "--memory", "--format", "csv") == "this report has no CSV form; use --format json"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["lenet5", "--phase", "decode"],
            "a phase is for language models given as hf:CONFIG, which lenet5 is not",
        ),
        (
            ["resnet18", "--against", "lenet5", "--batch", "N"],
            "a size must be a number here, not the symbol N; symbols are for formulas",
        ),
        (
            ["lenet5", "--input", "1,a,28"],
            "a formula in a needs other sizes than 28, but lenet5 refuses 284: node fc1: linear with weight [120, 400] "
            "must get 400 features, not 5520; give a as a number",
        ),
        (
            ["lenet5", "--convention", "torchinfo", "--no-padding"],
            "torchinfo's convention must be compared with padding zeros counted, not left out",
        ),
        (
            ["lenet5", "--memory", "--batch", "N"],
            "a size must be a number here, not the symbol N; symbols are for formulas",
        ),
        (
            ["lenet5", "--convention", "thop", "--batch", "N"],
            "a size must be a number here, not the symbol N; symbols are for formulas",
        ),
        (
            ["lenet5", "--top", "3", "--batch", "N"],
            "--top must go with sizes that are numbers; leave it out; see tilework count --help",
        ),
        (
            ["lenet5", "--all", "--batch", "N"],
            "--all must go with sizes that are numbers; leave it out; see tilework count --help",
        ),
        (["lenet5", "--master"], "--master must go with --memory; leave it out; see tilework count --help"),
        (["lenet5", "--memory", "--backward"], "memory must be asked for alone; see tilework count --help"),
        (
            ["lenet5", "--memory", "--convention", "thop"],
            "memory and thop must be asked for alone; see tilework count --help",
        ),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    assert error_of(*arguments) == message


def test_a_torch_module_and_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.chdir(ROOT)
    spec = ("py:examples.networks:encoder", "--input", "2,16,512")
    once, each = document(*spec), document(*spec, "--no-reuse")
    assert once == each
    layers = once["layers"]
    assert isinstance(layers, list)
    assert sum(row["macs"] for row in layers) == once["totals"]["macs"]  # type: ignore[index]
    # By hand: per layer 4 projections and 2 x 4 of the feed-forward layer, scores and sums over 16 tokens.
    assert once["totals"]["macs"] == 6 * (2 * 16 * 12 * 512**2 + 2 * 2 * 16 * 16 * 512)  # type: ignore[index]
    assert "6 × 0 … 5" in run(*spec).stdout
    unet = document("py:examples.networks:unet", "--input", "1,3,64,64", "--depth", "1")
    assert unet["totals"]["macs"] == 145_031_168  # type: ignore[index]


def test_an_exported_program(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2)).eval()
    path = tmp_path / "small.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(3, 4),)), path)
    assert document(str(path))["totals"] == tw.count(module, (3, 4)).to_dict()["totals"]
    path.write_bytes(path.read_bytes()[:1000])
    assert error_of(str(path)).startswith(f"{path} must be ")


def test_a_large_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.chdir(ROOT)
    found = document("hf:examples/decoder-70b", "--phase", "decode", "--input", "seq=4096", "--depth", "2")
    assert found["totals"]["parameters"] == 70_553_706_496  # type: ignore[index]
    assert found["facts"] == {
        "parameters": 70_553_706_496,
        "cached_tokens": 4096,
        "cache_bytes": 2 * 80 * 8 * 128 * 4096 * 2,
    }
    hidden, keys, inner, tokens = 8192, 1024, 28672, 4097
    layer = hidden * (2 * hidden + 2 * keys + 3 * inner) + 2 * tokens * hidden
    assert found["totals"]["macs"] == 80 * layer + hidden * 128_256  # type: ignore[index]


def test_what_the_command_offers_is_what_there_is() -> None:
    """The command repeats these names, so that asking for counts alone loads none of the tables."""
    from importlib import import_module

    count = import_module("tilework.commands.count")
    from tilework.cost.conventions import CONVENTIONS
    from tilework.cost.memory import OPTIMISERS

    assert count.TOOLS == CONVENTIONS
    assert tuple(OPTIMISERS) == count.OPTIMISERS


def test_the_phases_that_the_command_offers() -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    from importlib import import_module

    count = import_module("tilework.commands.count")
    from tilework.frontend.from_huggingface import PHASES

    assert count.PHASES == PHASES
