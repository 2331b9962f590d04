"""`tilework exercise`, and how the files of the exercise book are found and loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from tilework.commands.options import json_option, print_json
from tilework.commands.progress import working
from tilework.errors import ExerciseError

if TYPE_CHECKING:
    from tilework.mapping import Assignment

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE / "_exercises", PACKAGE.parents[1] / "exercises")  # in a wheel, in the repository
FILE_NAME = re.compile(r"ex(\d+)_(\d+)\.py")
PARTS = ("TITLE", "QUESTION", "NOTICE", "answer", "text")
WIDTH = 100

Answer = dict[str, Any]


@dataclass(frozen=True)
class Exercise:
    """One exercise: texts in paragraphs, `answer` computes the data, `text` shows data to people.

    An `answer` that takes `networks` computes them for any networks; `draw` makes a picture of it, where there is one.
    `work` is what a program that answers it must do, where one is asked for. `stored` is there for an answer that takes
    long: what an earlier computation gave, with the `command` and the `date` of it.
    """

    number: str
    title: str
    question: str
    notice: str
    compute: Callable[..., Answer]
    text: Callable[[Answer], str]
    draw: Callable[[Answer, str], None] | None = None
    work: Assignment | None = None
    stored: dict[str, Any] | None = None

    def answer(self) -> Answer:
        """The answer: the stored one where there is one, else computed."""
        return dict(self.stored["answer"]) if self.stored else self.compute()

    def full(self) -> Answer:
        """The answer computed afresh; raises ExerciseError for an exercise that always does so."""
        if self.stored is None:
            raise ExerciseError(f"--full goes with an exercise that takes long, not with {self.number}; leave it out")
        return self.compute()

    def answer_for(self, networks: Sequence[str]) -> Answer:
        """The answer, for other networks than the book's where any are given; raises ExerciseError if it takes none."""
        if networks and "networks" not in signature(self.compute).parameters:
            raise ExerciseError(
                f"--network goes with an exercise about networks in general, not with {self.number}; leave it out"
            )
        return self.compute(networks) if networks else self.answer()

    def draw_to(self, path: str, answer: Answer) -> None:
        """The picture of an answer; raises ExerciseError if the exercise has none."""
        if self.draw is None:
            raise ExerciseError(f"-o goes with an exercise that has a picture, not with {self.number}; leave it out")
        self.draw(answer, path)


def exercise_files() -> dict[str, Path]:
    """The exercises' files by number, in the order of the book; raises ExerciseError where none are installed."""
    found = {tuple(map(int, match.groups())): path for path, match in _matches()}
    if not found:
        raise ExerciseError(
            "the exercises must lie in the package or in its repository, not be left out; install again"
        )
    return {f"{chapter}.{number}": path for (chapter, number), path in sorted(found.items())}


def _matches() -> Iterator[tuple[Path, re.Match[str]]]:
    folder = next((place for place in PLACES if place.is_dir()), None)
    for path in folder.glob("ch*/ex*.py") if folder else ():
        if match := FILE_NAME.fullmatch(path.name):
            yield path, match


def load_exercise(number: str) -> Exercise:
    """The exercise of that number; raises ExerciseError if there is none, or if it lacks a part."""
    files = exercise_files()
    if number not in files:
        raise ExerciseError(
            f"the exercise must be one of {', '.join(files)}, not {number!r}; `tilework exercise` lists their titles"
        )
    module = _module(number, files[number])
    if missing := [part for part in PARTS if not hasattr(module, part)]:
        raise ExerciseError(f"exercise {number} must define {', '.join(PARTS)}, and lacks {', '.join(missing)}")
    texts = (module.TITLE, _paragraphs(module.QUESTION), _paragraphs(module.NOTICE))
    optional = getattr(module, "draw", None), getattr(module, "WORK", None), _stored(files[number].with_suffix(".json"))
    return Exercise(number, *texts, module.answer, module.text, *optional)


def _stored(path: Path) -> dict[str, Any] | None:
    """What `--full --json` printed once, if it is kept beside the exercise."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {key: found[key] for key in ("answer", "command", "date")}


def _module(number: str, path: Path) -> Any:
    spec = spec_from_file_location(f"tilework_exercise_{number.replace('.', '_')}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _paragraphs(text: str) -> str:
    """One line per paragraph, empty lines between them."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


@click.command()
@click.argument("number", required=False, metavar="[NUMBER]")
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NETWORK",
    help="Answer for this network, whatever `tilework count` takes, not for the book's (3.1, 3.2; may be repeated).",
)
@click.option("--full", is_flag=True, help="Compute the answer afresh that is stored, as it takes minutes.")
@click.option("--mine", metavar="FILE", help="Check your own program in the tile language (7.7 to 7.12).")
@click.option("-o", "--output", metavar="FILE", help="Draw the answer too (.svg, .png; exercises with a picture).")
@json_option
def exercise(
    number: str | None, networks: tuple[str, ...], full: bool, mine: str | None, output: str | None, as_json: bool
) -> None:
    """The exercise book: the list, or the answer to exercise NUMBER, computed now.

    An answer that takes minutes is stored, with the command that made it and the date; --full computes it afresh.

    \b
    Examples:
      tilework exercise
      tilework exercise 3.1
      tilework exercise 3.1 --json
      tilework exercise 3.2 --network vgg11 --network model.onnx
      tilework exercise 6.8 -o curves.svg
      tilework exercise 7.8 --mine my.tl
    """
    if number is None:
        if networks:
            raise ExerciseError("--network must come with an exercise: tilework exercise 3.1 --network vgg11")
        if output:
            raise ExerciseError("-o must come with an exercise: tilework exercise 6.8 -o curves.svg")
        if full:
            raise ExerciseError("--full must come with an exercise: tilework exercise 3.10 --full")
        if mine:
            raise ExerciseError("--mine must come with an exercise: tilework exercise 7.8 --mine my.tl")
        _list(as_json)
        return
    found = load_exercise(number)
    if mine:
        if networks or output or full:
            raise ExerciseError("--mine must come alone, without --network, --full and -o; leave them out")
        _check(found, mine, as_json)
        return
    with working(f"exercise {number}"):
        answer = found.full() if full else found.answer_for(networks)
        if output:
            found.draw_to(output, answer)
        shown = "" if as_json else found.text(answer)
    if as_json:
        texts = {"title": found.title, "question": found.question, "notice": found.notice}
        print_json({"number": number, **texts, "answer": answer, **_origin(found, full)})
    else:
        click.echo(_page(found, shown, _origin(found, full)))


def _origin(found: Exercise, full: bool) -> dict[str, str]:
    """The command and the date that made an answer which takes long; nothing for others."""
    if found.stored is None:
        return {}
    if full:
        return {"command": f"tilework exercise {found.number} --full", "date": date.today().isoformat()}
    return {key: found.stored[key] for key in ("command", "date")}


def _check(found: Exercise, file: str, as_json: bool) -> None:
    """Print what a student's program is worth; raises ExerciseError, after that, if it is wrong."""
    from tilework.checking.check import check_program

    if found.work is None:
        raise ExerciseError(
            f"--mine goes with an exercise that asks for a program, not with {found.number}; leave it out"
        )
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExerciseError(f"{file} must be a program in the tile language that can be read: {error}") from None
    with working(f"checking {file}"):
        checked = check_program(found.number, found.work, text)
    if as_json:
        print_json(checked.to_dict())
    else:
        click.echo(str(checked))
    if not checked.right:
        raise ExerciseError(f"{file}: {checked.mistakes[0]}")


def _list(as_json: bool) -> None:
    entries = [load_exercise(number) for number in exercise_files()]
    if as_json:
        print_json({"exercises": [{"number": entry.number, "title": entry.title} for entry in entries]})
        return
    width = max(len(entry.number) for entry in entries)
    for entry in entries:
        click.echo(f"{entry.number:>{width}}  {entry.title}")


def _page(found: Exercise, answer: str, origin: dict[str, str]) -> str:
    heading = f"{found.number}  {found.title}"
    made = [f"Made by '{origin['command']}' on {origin['date']}."] if origin else []
    parts = (heading, "=" * len(heading), _filled(found.question), _section("Answer"), answer, *made)
    return "\n\n".join(("\n".join(parts[:2]), *parts[2:], _section("What to notice"), _filled(found.notice)))


def _section(name: str) -> str:
    return f"{name}\n{'-' * len(name)}"


def _filled(text: str) -> str:
    return "\n\n".join(fill(paragraph, WIDTH, break_on_hyphens=False) for paragraph in text.split("\n\n"))
