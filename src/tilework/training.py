"""Training by a recipe: its network, its data, and what came of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tilework.cost.boxes import boxes
from tilework.errors import OutputError, TrainingError
from tilework.files import replacing
from tilework.frontend.zoo import network as zoo_network
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.plain import columns, dataframe, percent
from tilework.tensorboard import graph_event
from tilework.train.checkpoint import Checkpoints
from tilework.train.checkpoint import resume as restore
from tilework.train.data.dataset import Dataset
from tilework.train.evaluate import Evaluator, accuracy
from tilework.train.fit import Record, Training
from tilework.train.fit import fit as go_on
from tilework.train.layers import connected, convolutional
from tilework.train.logs import EventLog, write_csv
from tilework.train.parameters import Array
from tilework.train.race import Course
from tilework.train.recipe import Recipe, load_recipe, recipe_of
from tilework.train.sources import Data, load_data
from tilework.train.speedup import Comparison, compare
from tilework.train.study import Study, load_study

SHOWN = 12  # epochs in a table
CHECKPOINT, WEIGHTS, HISTORY = "checkpoint.npz", "weights.npz", "history.csv"

Each = Callable[[Record], None]


@dataclass(frozen=True)
class Trained:
    """What a training gave: `weights` by name, `accuracy` over all test examples, a record for each epoch.

    `epochs` were done, in `seconds`; the weights are those after epoch `kept`. `reached` says whether the recipe's
    target was, if it has one; `source` which data it was. `top5` is the
    share whose class is among the five best, where there are ten classes or more.
    """

    recipe: Recipe
    seed: int
    graph: Graph = field(repr=False)
    weights: Mapping[str, Array] = field(repr=False)
    history: tuple[Record, ...] = field(repr=False)
    accuracy: float
    top5: float | None
    epochs: int
    kept: int
    seconds: float
    reached: bool | None
    source: str

    def save(self, path: str | Path) -> None:
        """Write the weights as a compressed .npz file that `tilework run NETWORK --weights FILE` takes."""
        packed = io.BytesIO()
        np.savez_compressed(packed, **dict(self.weights))  # type: ignore[arg-type]
        with replacing(path) as file:
            file.write(packed.getbuffer())

    def outputs(self, images: Array) -> Array:
        """What the trained network gives for images [N, ...]: float32 [N, outputs]."""
        nothing = np.zeros(len(images), np.int64)
        return Evaluator(self.graph, self.weights).outputs(Dataset(images, nothing, ("",), ""))

    def to_dict(self) -> dict[str, Any]:
        """All but graph and weights, as JSON can hold it."""
        return {
            "title": self.recipe.title,
            "seed": self.seed,
            "data": self.source,
            "accuracy": self.accuracy,
            "top5": self.top5,
            "epochs": self.epochs,
            "kept_epoch": self.kept,
            "seconds": self.seconds,
            "target": self.recipe.target,
            "reached": self.reached,
            "history": [record.to_dict() for record in self.history],
            "recipe": self.recipe.to_dict(),
        }

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per epoch; raises MissingPackageError without pandas."""
        return dataframe([record.to_dict() for record in self.history], [field.name for field in fields(Record)])

    def __str__(self) -> str:
        shown = {round(i) for i in np.linspace(0, len(self.history) - 1, min(SHOWN, len(self.history)))}
        rows = [_row(record) for i, record in enumerate(self.history) if i in shown]
        table = columns(("epoch", "steps", "loss", "training", "validation", "rate", "seconds"), rows, left=0)
        return f"{self.recipe.title} · seed {self.seed} · data: {self.source}\n\n{table}\n\n{self._sentence()}"

    def _sentence(self) -> str:
        parts = [f"{percent(self.accuracy, 2)} of the test examples are right"]
        if self.top5 is not None:
            parts.append(f"of {percent(self.top5, 2)} the class is among the five best")
        chosen = (
            " (the best by validation)" if self.history and self.history[-1].validation_accuracy is not None else ""
        )
        parts.append(f"weights of epoch {self.kept}{chosen}, {self.epochs} epochs in {self.seconds:.1f} s")
        if self.reached is not None:
            parts.append(
                f"the target of {percent(self.recipe.target or 0, 2)} was {'' if self.reached else 'not '}reached"
            )
        return "; ".join(parts)


def _row(record: Record) -> tuple[str, ...]:
    validation = "-" if record.validation_accuracy is None else percent(record.validation_accuracy, 2)
    shares = percent(record.train_accuracy, 2), validation
    return (
        str(record.epoch),
        f"{record.step:,}",
        f"{record.loss:.4f}",
        *shares,
        f"{record.rate:.3g}",
        f"{record.seconds:.1f}",
    )


def fit(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    seed: int = 0,
    data: str | Path | Data | None = None,
    epochs: int | None = None,
    to: str | Path | None = None,
    resume: bool = False,
    each: Each = lambda record: None,
) -> Trained:
    """Train by a recipe: one of those that come with Tilework by name, a TOML file, a `Recipe`, or its
    tables as dicts.

    The same recipe, seed and data give the same weights. `data` is a folder, for digits and pictures, or data of one's
    own; `epochs` takes the place of the recipe's. `each` is called after every epoch. In the folder `to` are kept a
    checkpoint, from which `resume` goes on bit by bit after whatever ended the training, the weights, and the records
    as history.csv and for TensorBoard.
    Raises TrainingError, DataError, NetworkError: for a recipe, data or a network that are not as they must be or don't
    fit each other; TrainingError where a number doesn't stay finite; OutputError for a folder that can't be written.
    """
    training = open_training(recipe, seed, data, epochs)
    run(training, to, resume, each)
    return result(training, to)


def run(
    training: Training,
    to: str | Path | None = None,
    resume: bool = False,
    each: Each = lambda record: None,
    stepped: Callable[[Training], None] = lambda training: None,
) -> None:
    """Go on to the end, with the folder `to` kept up to date; `stepped` is called after every step."""
    if to is None:
        if resume:
            raise TrainingError("a training goes on from a folder, not from nothing; give the one it was written to")
        go_on(training, each, stepped)
        return
    folder = _folder(Path(to))
    checkpoint = folder / CHECKPOINT
    if resume and checkpoint.exists():
        restore(training, checkpoint)
    elif checkpoint.exists():
        raise TrainingError(f"{folder} must be a folder without a checkpoint; --resume goes on, or choose another")
    kept, events = Checkpoints(checkpoint), EventLog(folder, training.history, graph_event(boxes(training.graph)))

    def told(record: Record) -> None:
        events.add(record)
        write_csv(training.history, folder / HISTORY)
        each(record)

    def moved(now: Training) -> None:
        kept.stepped(now)
        stepped(now)

    try:
        go_on(training, told, moved)
    except TrainingError as error:
        raise TrainingError(f"{error}; {_left(checkpoint)}") from None


def _left(checkpoint: Path) -> str:
    return f"the last good checkpoint is {checkpoint}" if checkpoint.exists() else "there is no checkpoint yet"


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path} must be a folder that can be made, not one with '{reason}'; change it") from None
    return path


def open_training(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    seed: int = 0,
    data: str | Path | Data | None = None,
    epochs: int | None = None,
) -> Training:
    """A training before its first step; arguments and errors are those of `fit`."""
    if isinstance(recipe, Mapping):
        found = recipe_of(recipe)
    else:
        found = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if epochs is not None:
        found = msgspec.structs.replace(found, epochs=epochs)
    examples = data if isinstance(data, Data) else load_data(found.data, data, seed)
    return Training(network_of(found, examples), found, examples, seed)


def speedup(
    study: str | Path | Study,
    data: str | Path | Data | None = None,
    seeds: int | None = None,
    target: float | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """How much sooner methods reach a target than the first one: a study that comes with Tilework, or a TOML file.

    Each is tuned first, by the same number of trials. `data` is as for `fit`; `seeds` and `target` take the place of
    the study's; `progress` is told what was just found. Raises what `fit` raises.
    """
    found = study if isinstance(study, Study) else load_study(study)
    if target is not None:
        found = msgspec.structs.replace(found, base={**found.base, "target": target})
    recipe, count = found.recipe, seeds or found.seeds
    examples = data if isinstance(data, Data) else load_data(recipe.data, data)
    course = Course(network_of(recipe, examples), examples, found.check)
    standings = compare(course, found.candidates(), count, found.tuning_seeds, progress)
    return Comparison(found.title, recipe.target or 0.0, found.trials, examples.source, tuple(standings))


def network_of(recipe: Recipe, data: Data) -> Graph:
    """The graph that a recipe names, states or gives the sizes of."""
    wanted = recipe.network
    if wanted.name:
        return zoo_network(wanted.name)
    if wanted.graph:
        return parse_graph(wanted.graph)
    if wanted.layers:
        return connected(wanted.layers, wanted.activation, wanted.dropout, recipe.loss)
    images, _ = data.train.batch(np.zeros(1, np.int64))
    sizes = images.shape[1:], wanted.stages or (), len(data.train.classes)
    return convolutional(*sizes, wanted.activation, wanted.dropout, recipe.loss)


def result(training: Training, to: str | Path | None = None) -> Trained:
    """What a training has come to, tested; its weights in the folder `to`, if there is one."""
    test, best = training.data.test, training.best_record
    weights = {name: array.copy() for name, array in training.weights.items()}
    outputs, classes = Evaluator(training.computed, weights).outputs(test), len(test.classes)
    trained = Trained(
        training.recipe,
        training.seed,
        training.graph,
        weights,
        tuple(training.history),
        accuracy(outputs, test.labels, classes),
        accuracy(outputs, test.labels, classes, 5) if outputs.shape[1] == classes >= 10 else None,
        training.epoch,
        best.epoch if best else training.epoch,
        training.seconds,
        training.reached if training.recipe.target else None,
        training.data.source,
    )
    if to is not None:
        trained.save(Path(to) / WEIGHTS)
    return trained
