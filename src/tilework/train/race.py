"""A training until its target is reached, and what it took.

Only steps are timed, evaluation is not, and the seconds are the processor's, so that what else the machine does adds
little to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import process_time

from tilework.errors import TrainingError
from tilework.network.graph import Graph
from tilework.train.fit import Training
from tilework.train.recipe import Recipe
from tilework.train.sources import Data


@dataclass(frozen=True)
class Outcome:
    """Whether a run reached its target, and what it took until then, or until it ended: seconds of processor time,
    steps, and examples in epochs of all of them. The accuracies then, and the validation's `curve` by seconds."""

    reached: bool
    seconds: float
    steps: int
    epochs: float
    validation: float
    test: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Course:
    """What all runs share: the network, the data, and how often, in epochs, the validation accuracy is looked at."""

    graph: Graph
    data: Data
    check: float = 0.25


def race(course: Course, recipe: Recipe, seed: int, limit: float = inf) -> Outcome:
    """A run to the recipe's target, ended at a limit of seconds.

    Initial weights and the order of the data follow from the seed, whatever else the recipe says. Raises TrainingError
    without a target or data for validation. A run whose numbers don't stay finite ends there.
    """
    validation = course.data.validation
    if recipe.target is None or validation is None:
        raise TrainingError("a race must have a target and data for validation; add both")
    training = Training(course.graph, recipe, course.data, seed)
    examples = len(course.data.train.labels)
    every, seconds, seen, curve = course.check * examples, 0.0, 0, [(0.0, 0.0)]
    due = every
    while training.steps < training.total_steps and seconds < limit and curve[-1][1] < recipe.target:
        begun = process_time()
        try:
            training.move()
        except TrainingError:
            break
        seconds += process_time() - begun
        seen += recipe.batch_at(training.epoch)
        if seen >= due or training.steps == training.total_steps:
            due += every
            curve.append((seconds, training.evaluator.accuracy(validation)))
        training.turn()
    reached = curve[-1][1] >= recipe.target
    test = training.evaluator.accuracy(course.data.test)
    return Outcome(reached, seconds, training.steps, seen / examples, curve[-1][1], test, tuple(curve[1:]))
