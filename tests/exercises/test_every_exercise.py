"""What holds for every file of the exercise book, and for the names that it uses."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tilework
from tilework.commands.exercise import exercise_files, load_exercise

Answers = Callable[[str], dict[str, Any]]

FILES = exercise_files()
SECONDS, MOST_LINES = 30, 200  # of processor time, with room for slow machines
every = pytest.mark.parametrize("number", FILES)


def test_the_exercises_of_the_first_release_are_there_in_order() -> None:
    wanted = ["1.10", "2.2", "3.1", "3.2", "4.9", "6.5"]
    assert [number for number in FILES if number in wanted] == wanted
    numbers = [tuple(map(int, number.split("."))) for number in FILES]
    assert numbers == sorted(numbers)


@every
def test_a_file_stands_in_its_chapter_and_says_its_number(number: str) -> None:
    chapter, exercise = map(int, number.split("."))
    path = FILES[number]
    assert path.parts[-2:] == (f"ch{chapter:02}", f"ex{chapter}_{exercise}.py")
    source = path.read_text("utf-8")
    assert (ast.get_docstring(ast.parse(source)) or "").startswith(f"{number}: ")
    assert len(source.splitlines()) <= MOST_LINES


@every
def test_it_has_its_texts(number: str) -> None:
    exercise = load_exercise(number)
    assert exercise.title
    assert not exercise.title.endswith(".")
    assert exercise.question.endswith(("?", "."))
    assert exercise.notice.endswith(("?", ".", ")"))


@every
def test_it_answers_soon_in_json_and_in_text(number: str, answer_to: Answers) -> None:
    exercise = load_exercise(number)
    start = time.process_time()
    answer = exercise.answer()
    text = exercise.text(json.loads(json.dumps(answer, allow_nan=False)))
    assert time.process_time() - start < SECONDS
    assert answer == json.loads(json.dumps(answer))
    assert text.strip()
    assert text == exercise.text(answer_to(number)), "computed again"
    assert not re.search(r"\bnan\b|\binf\b|<[a-z_.]+ object", text)


@every
def test_it_uses_public_names_alone(number: str) -> None:
    tree = ast.parse(FILES[number].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("tilework")
        elif isinstance(node, ast.Import):
            assert all(alias.name == "tilework" or not alias.name.startswith("tilework.") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tw":
            assert node.attr in tilework.__all__
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert "numpy" not in top, "import it inside functions: the list of exercises must not need it"


@pytest.mark.parametrize("name", tilework.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(tilework, name) is not None
    folders = {path.name for path in Path(tilework.__file__).parent.iterdir() if path.is_dir()}
    assert name not in folders, "a subpackage would take the place of the name once it is imported"


def test_type_checkers_see_the_same_public_names() -> None:
    source = Path(tilework.__file__).read_text("utf-8")
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {
        (alias.asname or alias.name): f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == tilework._EXPORTS
    assert {*tilework.__all__} == {*seen, "__version__"}
