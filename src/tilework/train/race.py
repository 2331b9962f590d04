"""A run of training until a target is reached, and what it took.

Only steps are timed, evaluation is not, and the seconds are the processor's, so that what else the machine does adds
little to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np

from tilework.network.graph import Graph
from tilework.train.data.batches import Batches
from tilework.train.data.dataset import Dataset
from tilework.train.evaluate import Evaluator
from tilework.train.initial import initial_weights
from tilework.train.optimisers import Optimiser
from tilework.train.parameters import Array, Parameters
from tilework.train.schedules import schedule
from tilework.train.step import TrainingStep, rebatched

TERMS = "loss.terms"
WARM_STEPS = 3  # before the clock starts, with a learning rate of 0


@dataclass(frozen=True)
class Entry:
    """A way to train. `epochs` is what its schedule is made for; after it the run ends.

    With a `focus` below 1 every epoch after the first one takes only this share of the examples: those whose loss was
    the largest when they were last seen (after Jiang et al. 2019, arXiv:1910.00762). `growth` multiplies the batch
    after each epoch, as long as it is at most 1024 (Smith et al. 2018, arXiv:1711.00489).
    """

    optimiser: str = "sgd"
    settings: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 0.1
    batch: int = 64
    schedule: str = "constant"
    shape: Mapping[str, Any] = field(default_factory=dict)
    epochs: float = 10.0
    focus: float = 1.0
    growth: int = 1


@dataclass(frozen=True)
class Contest:
    """What every entry must do: bring the network to `target`, the accuracy on the validation set.

    An epoch is as many examples as `train` has. The accuracy is looked at every `check` epochs.
    """

    graph: Graph
    train: Dataset
    validation: Dataset
    test: Dataset
    target: float
    initial: str = "he"
    check: float = 0.25


@dataclass(frozen=True)
class Outcome:
    """A run: whether it reached the target, and up to there (or to its end) the seconds of processor time, the steps,
    the examples in epochs; the accuracies then; the validation's `curve` by seconds."""

    reached: bool
    seconds: float
    steps: int
    epochs: float
    validation: float
    test: float
    curve: tuple[tuple[float, float], ...]


def race(contest: Contest, entry: Entry, seed: int) -> Outcome:
    """One run. Initial weights and the order of the data depend on the seed alone, so they are each entry's."""
    return _Run(contest, entry, seed).outcome()


class _Run:
    def __init__(self, contest: Contest, entry: Entry, seed: int) -> None:
        self.contest, self.entry, self.seed = contest, entry, seed
        self.losses = np.full(len(contest.train), np.inf, np.float32)
        self.targets = np.eye(len(contest.train.classes), dtype=np.float32)[contest.train.labels]
        self.steps_of: dict[int, TrainingStep] = {}
        weights = initial_weights(contest.graph, contest.initial, seed)
        self.parameters = Parameters(contest.graph, weights)
        self.optimiser = Optimiser(entry.optimiser, self.parameters, **entry.settings)
        self.evaluator = Evaluator(contest.graph, self.parameters.weights)
        self.examples = round(entry.epochs * len(contest.train))
        self.rate = schedule(entry.schedule, entry.rate, self.examples, **entry.shape)
        images = contest.train.images[: entry.batch]
        for _ in range(WARM_STEPS):
            self._step(entry.batch)(images, self.targets[: entry.batch])

    def _step(self, batch: int) -> TrainingStep:
        """The step for batches of this size; all of them share their parameters."""
        if batch not in self.steps_of:
            graph = rebatched(self.contest.graph, batch)
            self.steps_of[batch] = TrainingStep(graph, self.parameters, keep=(TERMS,) if self.entry.focus < 1 else ())
        return self.steps_of[batch]

    def outcome(self) -> Outcome:
        seconds, steps, seen, curve = 0.0, 0, 0, list[tuple[float, float]]()
        every = self.contest.check * len(self.contest.train)
        due = every
        for batch, places in self._batches():
            images, targets = self.contest.train.images[places], self.targets[places]
            begun = process_time()
            self._move(batch, places, images, targets, self.rate(seen))
            seconds += process_time() - begun
            steps, seen = steps + 1, seen + len(places)
            if seen >= min(due, self.examples):
                due += every
                curve.append((seconds, self.evaluator.accuracy(self.contest.validation)))
                if curve[-1][1] >= self.contest.target or seen >= self.examples:
                    break
        validation = curve[-1][1]
        test = self.evaluator.accuracy(self.contest.test)
        epochs = seen / len(self.contest.train)
        return Outcome(validation >= self.contest.target, seconds, steps, epochs, validation, test, tuple(curve))

    def _move(self, batch: int, places: Array, images: Array, targets: Array, rate: float) -> None:
        step = self._step(batch)
        step(images, targets)
        self.optimiser.update(rate)
        if self.entry.focus < 1:
            self.losses[places] = step.values[TERMS].sum(1)

    def _batches(self) -> Iterator[tuple[int, Array]]:
        """Sizes and places of batches, epoch after epoch without end."""
        epoch, batch = 0, self.entry.batch
        while True:
            order = self._focused(Batches(self.contest.train, batch, self.seed).order(epoch), epoch)
            for start in range(0, len(order) - batch + 1, batch):
                yield batch, order[start : start + batch]
            epoch += 1
            batch = min(1024, batch * self.entry.growth)

    def _focused(self, order: Array, epoch: int) -> Array:
        if epoch == 0 or self.entry.focus == 1:
            return order
        losses = self.losses[order]
        return order[losses >= np.quantile(losses, 1 - self.entry.focus)]
