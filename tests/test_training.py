"""Trainings by recipe as a user starts them: from Python and from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tilework as tw
from tilework.cli import cli
from tilework.errors import TrainingError
from tilework.train.checkpoint import save_checkpoint
from tilework.train.fit import Record
from tilework.train.recipe import recipe_names
from tilework.training import open_training
from tilework.training import run as train


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(cli, ["train", *arguments])
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_without_a_recipe_it_lists_them() -> None:
    listed = json.loads(run("--json"))["recipes"]
    assert [row["name"] for row in listed] == [*recipe_names()]
    assert "lenet5-4000     LeNet-5 on 4,000 of MNIST's digits" in run()


def test_a_single_layer_learns_and_and_or_but_not_xor() -> None:
    assert tw.fit("perceptron").accuracy == 1
    assert tw.fit("perceptron-xor").accuracy <= 0.75


@pytest.mark.parametrize("seed", range(3))
def test_a_hidden_layer_learns_xor(seed: int) -> None:
    assert tw.fit("xor", seed=seed).accuracy == 1


def test_the_adder_is_right_on_rows_that_it_has_not_seen() -> None:
    trained = tw.fit("adder", seed=1)
    assert trained.accuracy == 1
    assert trained.source == "all 512 rows of the 4-bit adder with carry (358 to train, 154 to test)"


def test_the_command_prints_a_table_or_json() -> None:
    told = json.loads(run("perceptron", "--epochs", "30", "--json"))
    assert {"accuracy", "epochs", "seconds", "data"} <= told.keys()
    assert told["epochs"] == len(told["history"]) == 30
    text = run("perceptron", "--epochs", "30")
    assert text.startswith("a single layer learns AND and OR · seed 0 · data: the truth table of 2 functions")
    assert "of the test examples are right; weights of epoch 30, 30 epochs in" in text


def test_a_folder_keeps_checkpoint_weights_and_logs(tmp_path: Path) -> None:
    folder = tmp_path / "to" / "here"
    run("perceptron", "--epochs", "30", "--to", str(folder))
    names = sorted(path.name.partition(".tfevents")[0] for path in folder.iterdir())
    assert names == ["checkpoint.npz", "events.out", "history.csv", "weights.npz"]
    with np.load(folder / "weights.npz") as file:
        assert {name: file[name].shape for name in file} == {"fc1.weight": (2, 2), "fc1.bias": (2,)}
    assert len((folder / "history.csv").read_text().splitlines()) == 31


def test_pruned_weights_take_half_of_the_file(tmp_path: Path) -> None:
    recipe = tw.load_recipe("sparse-mlp").to_dict() | {"data": {"kind": "digits", "train": 500}}
    trained = tw.fit(recipe, epochs=2)
    trained.save(tmp_path / "weights.npz")
    dense = sum(array.nbytes for array in trained.weights.values())
    assert (tmp_path / "weights.npz").stat().st_size < 0.56 * dense
    with np.load(tmp_path / "weights.npz") as file:
        assert all(np.array_equal(file[name], array) for name, array in trained.weights.items())


def test_resume_goes_on_where_a_training_was_cut(tmp_path: Path) -> None:
    whole = tw.fit("adder", seed=2, epochs=6, to=tmp_path / "whole")

    def cut(record: Record) -> None:
        save_checkpoint(training, tmp_path / "cut" / "checkpoint.npz")
        if record.epoch == 4:
            raise KeyboardInterrupt

    training = open_training("adder", seed=2, epochs=6)
    with pytest.raises(KeyboardInterrupt):
        train(training, tmp_path / "cut", each=cut)
    with pytest.raises(
        TrainingError, match=r"must be a folder without a checkpoint; --resume goes on, or choose another$"
    ):
        tw.fit("adder", seed=2, epochs=6, to=tmp_path / "cut")
    again = tw.fit("adder", seed=2, epochs=6, to=tmp_path / "cut", resume=True)
    assert all(np.array_equal(again.weights[name], array) for name, array in whole.weights.items())
    assert [record.loss for record in again.history] == [record.loss for record in whole.history]
    tables = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "cut")]
    first, second = ([line.rpartition(",")[0] for line in table] for table in tables)
    assert first == second


def test_a_training_that_diverges_says_where_its_last_checkpoint_is(tmp_path: Path) -> None:
    recipe = tmp_path / "wild.toml"
    recipe.write_text(
        'title = "wild"\nbatch = 32\nepochs = 9\nloss = "mean_squared_error"\nnetwork = {layers = [9, 8, 5]}\n'
        'data = {kind = "adder"}\noptimiser = {method = "sgd", rate = 1e8}\n'
    )
    told = CliRunner().invoke(cli, ["train", str(recipe), "--to", str(tmp_path / "to")])
    assert told.exit_code == 2
    assert re.fullmatch(
        r"tilework: every number of a training must stay finite, and at step \d+ the \w+ of? ?[\w.]+ did not; lower "
        r"the learning rate, 1e\+08; there is no checkpoint yet\n",
        told.stderr,
    )


def test_the_picture_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    run("mnist-mlp-4000", "--epochs", "1", "-o", str(path))
    picture = path.read_text()
    for words in ("mean loss", "accuracy, %", "learning rate", "784-300-100-10 on 4,000"):
        assert words in picture


def test_another_ending_of_a_picture_is_refused_before_the_training() -> None:
    ran = CliRunner().invoke(cli, ["train", "mnist-mlp", "-o", "curves.gif"])
    assert ran.stderr == "tilework: a picture's name must end in .svg or .png, unlike 'curves.gif'\n"


def test_a_zoo_network_trains_and_runs_with_its_weights(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'title = "small"\nbatch = 50\nepochs = 1\nnetwork = {name = "lenet5"}\n'
        'data = {kind = "digits", train = 500}\noptimiser = {method = "nesterov", rate = 0.02}\n'
    )
    trained = tw.fit(recipe, to=tmp_path)
    assert trained.accuracy > 0.5
    assert trained.top5 is not None
    assert trained.top5 > trained.accuracy
    assert "trained with 500 of them" in trained.source
    found = tw.find_weights(tw.load("lenet5"), "lenet5", str(tmp_path / "weights.npz"))
    assert all(np.array_equal(found[name], array) for name, array in trained.weights.items())


def test_folders_of_pictures_train_a_network_with_as_many_classes(tmp_path: Path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 6)):
        for value, name in ((60, "dark"), (128, "grey"), (200, "light")):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(value - 40, value + 40, (9, 12, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.png")
    recipe = {**tw.load_recipe("images").to_dict(), "batch": 9, "epochs": 12, "augment": {}}
    recipe |= {"network": {"stages": [4, 8]}, "data": {"kind": "folder", "size": 8, "validation": 0.2}}
    trained = tw.fit(recipe, data=tmp_path)
    assert trained.graph.tensors[trained.graph.outputs[0]].shape == (1, 3)
    assert trained.accuracy > 0.8
    assert trained.source == f"60 images of 3 classes, train in {tmp_path.name}; 12 kept for validation"
    with pytest.raises(
        TrainingError, match=r"^this recipe trains with pictures of your own; give the folder that they"
    ):
        tw.fit(recipe)


def test_there_is_nothing_to_go_on_from_without_a_folder() -> None:
    ran = CliRunner().invoke(cli, ["train", "perceptron", "--resume"])
    assert ran.exit_code == 2
    assert ran.stderr == (
        "tilework: a training goes on from a folder, not from nothing; give the one it was written to\n"
    )


def test_what_is_trained_says_what_it_gives_for_images() -> None:
    trained = tw.fit("perceptron", epochs=40)
    outputs = trained.outputs(np.array([[-1, -1], [1, 1]], np.float32))
    assert (outputs > 0.5).tolist() == [[False, False], [True, True]]


def test_mistakes_are_one_sentence() -> None:
    ran = CliRunner().invoke(cli, ["train", "addr"])
    assert ran.exit_code == 2
    assert ran.stderr.startswith("tilework: a recipe must be one of adder, ")
    with pytest.raises(
        TrainingError, match=r"^a folder of data goes with recipes that read one, and x would not be read"
    ):
        tw.fit("adder", data="x")
