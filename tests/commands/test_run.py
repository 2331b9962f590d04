"""`tilework run`: what it prints, its JSON contract, and one clear sentence for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli

STRIP = Path(__file__).parents[2] / "examples" / "digits.png"
RUN_KEYS = {
    "cycles",
    "seconds",
    "bound_seconds",
    "utilisation",
    "dram_bytes",
    "energy_joules",
    "outputs",
    "max_abs_error",
}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["run", *map(str, arguments)])


def document(*arguments: str | Path) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_reads_the_ten_held_out_digits_and_equals_onnx_runtime() -> None:
    answer = document("lenet5", "--for", "dlp-s", "--input", STRIP, "--check")
    assert answer.keys() >= RUN_KEYS
    # The labels of the first ten test images of MNIST, in their order.
    assert [classes[0] for classes in answer["classes"]] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert answer["inferences"] == len(answer["outputs"]) == 10
    assert answer["max_abs_error"] < 1e-6
    for outputs in answer["outputs"]:
        assert np.sum(outputs["softmax"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_reads_the_digits_in_16_bits(dtype: str) -> None:
    on = ("--for", "datacentre", "--cores", "1", "--input", STRIP)
    full, half = document("lenet5", *on), document("lenet5", *on, "--dtype", dtype, "--check")
    assert [classes[0] for classes in half["classes"]] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert 0 < half["max_abs_error"] < 0.02
    assert half["dram_bytes"] < 0.6 * full["dram_bytes"]
    assert half["cycles"] < full["cycles"]


def test_a_dtype_that_the_processor_lacks() -> None:
    result = run("lenet5", "--for", "tpu-v1")
    assert result.exit_code == 2
    assert result.stderr == (
        "tilework: a network must be quantised for tpu-v1, which multiplies int8 only; "
        "choose the dtype int8 (--dtype int8)\n"
    )


def test_text_says_what_was_read_with_which_weights_and_at_what_cost() -> None:
    text = run("lenet5", "--input", STRIP, "--check").stdout
    assert "it reads  7 2 1 0 4 1 4 9 5 9" in text
    for part in (
        "trained on MNIST, shipped with Tilework",
        "achieved / bound",
        "matrix ",
        "DRAM bytes",
        "energy",
        "conv1+relu1+pool1",
        "ONNX Runtime's outputs differ by at most",
    ):
        assert part in text


def test_seconds_are_cycles_over_the_clock_and_layers_sum_to_the_totals() -> None:
    answer = document("lenet5")
    assert answer["seconds"] == pytest.approx(answer["cycles"] / 1e9)
    assert answer["bound_seconds"] <= answer["seconds"]
    assert sum(layer["dram_bytes"] for layer in answer["layers"]) == answer["dram_bytes"]
    assert sum(layer["cycles"] for layer in answer["layers"]) == answer["cycles"]
    assert answer["max_abs_error"] is None


def test_random_weights_are_named_as_such_and_a_seed_changes_them() -> None:
    first, second = document("mlp"), document("mlp", "--seed", "7")
    assert first["weights"] == "seeded random (seed 0)"
    assert second["weights"] == "seeded random (seed 7)"
    assert first["outputs"] != second["outputs"]
    assert first["cycles"] == second["cycles"]


def test_users_weights(tmp_path: Path) -> None:
    from tilework.frontend.weight_files import shipped

    weights = shipped("lenet5")
    assert weights is not None
    np.savez(tmp_path / "mine.npz", **{name: weights[name] for name in weights})
    answer = document("lenet5", "--weights", tmp_path / "mine.npz", "--input", STRIP)
    assert str(answer["weights"]).endswith("mine.npz")
    assert [classes[0] for classes in answer["classes"]] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_array_input(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((1, 1, 28, 28), dtype=np.float32)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", image=values)
    assert (
        document("lenet5", "--input", tmp_path / "x.npy")["outputs"]
        == (document("lenet5", "--input", tmp_path / "x.npz")["outputs"])
    )


def test_photograph(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    answer = document("resnet18", "--input", tmp_path / "photo.jpg", "--check")
    assert answer["max_abs_error"] < 1e-5
    assert len(answer["outputs"][0]["softmax"][0]) == 1000


def test_program_file_gives_the_same_outputs_and_needs_no_network(tmp_path: Path) -> None:
    file = tmp_path / "lenet5.tile"
    compiled = CliRunner().invoke(cli, ["compile", "lenet5", "--for", "dlp-s", "-o", str(file)])
    assert compiled.exit_code == 0, compiled.stderr
    assert document(file, "--input", STRIP)["outputs"] == document("lenet5", "--input", STRIP)["outputs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonet",), "tilework: the network must be one of "),
        (("lenet5", "--for", "no-machine"), "tilework: "),
        (("lenet5", "--input", "no-such-picture.png"), "tilework: "),
        (("lenet5", "--weights", "no-such-file.npz"), "tilework: "),
        (("lenet5", "--batch", "0"), "tilework: the batch must be at least 1, not 0"),
        (("no-such.tile",), "tilework: "),
    ],
)
def test_mistakes_end_with_code_2_and_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_array_of_another_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 3)))
    result = run("lenet5", "--input", tmp_path / "x.npy")
    assert result.stderr == (
        f"tilework: {tmp_path / 'x.npy'} must hold numbers of the shape [1, 1, 28, 28], not float64 [3, 3]\n"
    )
    assert result.exit_code == 2


def test_file_that_is_no_array(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"nonsense")
    result = run("lenet5", "--input", tmp_path / "x.npy")
    assert result.stderr == (
        f"tilework: {tmp_path / 'x.npy'} must be a readable array file (.npy or .npz of numbers); save it anew\n"
    )


def test_picture_for_a_network_that_takes_none() -> None:
    result = run("mlp", "--input", STRIP)
    assert result.exit_code == 2
    assert result.stderr == (
        "tilework: a picture needs a network whose input is [N,1,28,28] or [N,3,S,S], not [1, 784]; use .npy\n"
    )


def test_program_for_another_machine_and_options_that_a_program_fixes(tmp_path: Path) -> None:
    file = tmp_path / "mlp.tile"
    CliRunner().invoke(cli, ["compile", "mlp", "-o", str(file)])
    other = run(file, "--for", "dlp-x")
    assert other.stderr == f"tilework: {file} was compiled for dlp-s, not for dlp-x; compile it again for dlp-x\n"
    fixed = run(file, "--seed", "1")
    assert fixed.stderr == (
        f"tilework: {file} holds its weights, its batch, its dtype and what each core does; "
        "leave out --weights, --seed, --batch, --dtype, --calibrate, --no-fusion, --prune, --cores and --split\n"
    )
    checked = run(file, "--check")
    assert checked.stderr == (
        "tilework: a check with ONNX Runtime needs a network, not a .tile file, which holds none; name it\n"
    )
    assert {other.exit_code, fixed.exit_code, checked.exit_code} == {2}


def test_a_batch_has_a_line_for_each_of_its_inputs() -> None:
    answer = document("mlp", "--batch", "3")
    lines = run("mlp", "--batch", "3").stdout.splitlines()
    assert lines[2].split() == ["input", "class", "score", "next", "score"]
    best = [int(np.argmax(row)) for row in next(iter(answer["outputs"][0].values()))]
    assert [int(line.split()[1]) for line in lines[4:7]] == best
    assert [classes[0] for classes in answer["classes"]] == best
