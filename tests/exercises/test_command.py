"""`tilework exercise` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework import cli
from tilework.commands import exercise
from tilework.commands.exercise import load_exercise
from tilework.errors import ExerciseError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, ["exercise", *arguments])


def test_the_list() -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert any(line.startswith("1.10  The whole system") for line in lines)
    assert " 2.2  Trainable parameters of a multilayer perceptron 33-512-10" in lines


def test_the_list_as_json() -> None:
    exercises = json.loads(run("--json").stdout)["exercises"]
    assert {"number": "2.2", "title": "Trainable parameters of a multilayer perceptron 33-512-10"} in exercises
    assert [entry["number"] for entry in exercises] == list(exercise.exercise_files())


def test_one_answer() -> None:
    result = run("2.2")
    assert (result.exit_code, result.stderr) == (0, "")
    title, rule, *_ = result.stdout.splitlines()
    assert title == "2.2  Trainable parameters of a multilayer perceptron 33-512-10"
    assert rule == "=" * len(title)
    places = [
        result.stdout.index(part) for part in ("How many", "\nAnswer\n", "22,538", "\nWhat to notice\n", "biases are")
    ]
    assert places == sorted(places)


def test_one_answer_as_json() -> None:
    document = json.loads(run("2.2", "--json").stdout)
    assert list(document) == ["number", "title", "question", "notice", "answer"]
    assert document["number"] == "2.2"
    assert document["answer"]["parameters"] == 22_538
    assert "\n" not in document["question"]
    assert len(document["notice"].split("\n\n")) == 3


def test_another_network() -> None:
    document = json.loads(run("3.1", "--network", "lenet5", "--network", "mlp", "--json").stdout)
    networks = document["answer"]["networks"]
    assert list(networks) == ["lenet5", "mlp"]
    assert networks["lenet5"]["parameters"] == 61_706


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2.2",), "--network goes with an exercise about networks in general, not with 2.2; leave it out"),
        ((), "--network must come with an exercise: tilework exercise 3.1 --network vgg11"),
    ],
)
def test_a_network_where_none_is_asked_for(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments, "--network", "mlp")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"tilework: {message}\n"


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    result = run("6.9", "-o", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert path.read_text("utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2.2",), "-o goes with an exercise that has a picture, not with 2.2; leave it out"),
        ((), "-o must come with an exercise: tilework exercise 6.8 -o curves.svg"),
    ],
)
def test_a_picture_where_there_is_none(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments, "-o", "curves.svg")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"tilework: {message}\n")


@pytest.mark.parametrize("number", ["9.9", "3", "3.01", "", "../ch02/ex2_2"])
def test_an_unknown_number_names_the_known_ones(number: str) -> None:
    result = run(number)
    assert (result.exit_code, result.stdout) == (2, "")
    known = ", ".join(exercise.exercise_files())
    assert result.stderr == (
        f"tilework: the exercise must be one of {known}, not {number!r}; `tilework exercise` lists their titles\n"
    )


def test_a_file_that_lacks_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chapter = tmp_path / "ch03"
    chapter.mkdir()
    (chapter / "ex3_7.py").write_text('TITLE = "t"\n\n\ndef answer():\n    return {}\n', "utf-8")
    (chapter / "expert.py").write_text("raise SystemExit\n", "utf-8")
    monkeypatch.setattr(exercise, "PLACES", (tmp_path / "nowhere", tmp_path))
    with pytest.raises(ExerciseError) as raised:
        load_exercise("3.7")
    assert str(raised.value) == (
        "exercise 3.7 must define TITLE, QUESTION, NOTICE, answer, text, and lacks QUESTION, NOTICE, text"
    )


def test_no_exercises_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "PLACES", (tmp_path,))
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "tilework: the exercises must lie in the package or in its repository, not be left out; install again\n"
    )


LONG = '''"""9.9: a test."""
TITLE, QUESTION, NOTICE = "Slow", "How slow?", "Very."


def answer() -> dict[str, int]:
    return {"seconds": 100}


def text(answer: dict[str, int]) -> str:
    return f"{answer['seconds']} s"
'''


def test_an_answer_that_takes_long_is_stored_and_computed_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ch09").mkdir()
    (tmp_path / "ch09" / "ex9_9.py").write_text(LONG)
    monkeypatch.setattr(exercise, "PLACES", (tmp_path,))
    assert run("9.9", "--full").stderr == (
        "tilework: --full goes with an exercise that takes long, not with 9.9; leave it out\n"
    )
    assert "100 s" in run("9.9").stdout
    stored = {"answer": {"seconds": 99}, "command": "tilework exercise 9.9 --full", "date": "2026-01-31"}
    (tmp_path / "ch09" / "ex9_9.json").write_text(json.dumps({"number": "9.9", **stored}))
    assert "99 s\n\nMade by 'tilework exercise 9.9 --full' on 2026-01-31.\n" in run("9.9").stdout
    document = json.loads(run("9.9", "--json").stdout)
    assert {key: document[key] for key in stored} == stored
    fresh = json.loads(run("9.9", "--full", "--json").stdout)
    assert fresh["answer"] == {"seconds": 100}
    assert fresh["command"] == stored["command"]
    assert fresh["date"] > stored["date"]


def test_full_must_come_with_an_exercise_and_without_a_program() -> None:
    assert run("--full").stderr == "tilework: --full must come with an exercise: tilework exercise 3.10 --full\n"
    assert "--mine must come alone, without --network, --full and -o" in run("7.8", "--mine", "x", "--full").stderr
