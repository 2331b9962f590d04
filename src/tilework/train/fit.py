"""The loop of a training: steps, epochs, validation, when to stop, and which weights to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite, prod
from time import perf_counter
from typing import Any

import numpy as np

from tilework.errors import TrainingError
from tilework.network.graph import Graph
from tilework.train.data.augment import augmentation
from tilework.train.data.batches import Batches
from tilework.train.data.dataset import Dataset, seeded
from tilework.train.evaluate import Evaluator, codes, softened
from tilework.train.half import LossScale, mixed, rounding
from tilework.train.initial import initial_weights
from tilework.train.optimisers import Optimiser
from tilework.train.parameters import Array, Parameters
from tilework.train.recipe import Recipe
from tilework.train.schedules import schedule
from tilework.train.sources import Data
from tilework.train.sparse import Pruner
from tilework.train.step import TrainingStep, rebatched

TERMS = "loss.terms"
MASKS = 2  # the seed's stream for dropout; those of `data.batches` are 0 and 1
SAMPLE = 2000  # training examples whose accuracy is told after each epoch, evenly spaced


@dataclass(frozen=True)
class Record:
    """What an epoch gave: steps and epochs done, the mean loss over its batches, accuracies after it, its last learning
    rate, and the seconds since the start, evaluation included."""

    step: int
    epoch: int
    loss: float
    train_accuracy: float
    validation_accuracy: float | None
    rate: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same by name."""
        return asdict(self)


class Training:
    """A training that goes on step by step, and whose every number follows from graph, recipe, data and seed.

    `weights` are those with the best validation accuracy, or the latest where nothing is validated. Raises
    TrainingError, DataError or NetworkError where recipe, data and graph don't fit each other.
    """

    def __init__(self, graph: Graph, recipe: Recipe, data: Data, seed: int = 0) -> None:
        self.graph, self.recipe, self.data, self.seed = graph, recipe, data, seed
        self.computed = mixed(graph, recipe.precision.dtype) if recipe.precision else graph  # as it is computed
        self.generator = seeded(seed, MASKS)
        self._augment = augmentation(**recipe.augment) if recipe.augment else None
        self._lengths = [self._length(epoch) for epoch in range(recipe.epochs)]
        self.total_steps = sum(self._lengths)
        self.last_losses = np.full(len(data.train.labels), np.inf, np.float32)  # each example's, where focus wants them
        self.parameters = Parameters(graph, initial_weights(graph, recipe.initial, seed))
        self.scaling = LossScale(recipe.precision.scale, recipe.precision.every) if recipe.precision else None
        self._round = rounding(recipe.precision.dtype) if recipe.precision and not recipe.precision.master else None
        self._steps: dict[int, TrainingStep] = {}  # by the size of their batches
        if self._round:
            self._round(self.parameters.values)
        self._step(recipe.batch)
        self._shape = _fitting(graph, data)
        self._targets = softened(_codes(graph, data), recipe.smoothing)
        self.optimiser = Optimiser(recipe.method, self.parameters, **recipe.settings)
        self.rate = schedule(**{"name": "constant", **recipe.schedule}, rate=recipe.rate, steps=self.total_steps)
        self.pruner = Pruner(graph, self.parameters, recipe.pruning, self.total_steps) if recipe.pruning else None
        self.evaluator = Evaluator(self.computed, self.parameters.weights)
        self._sample = _sample(data)
        self._open: Iterator[tuple[Array, Array]] | None = None
        self.order = np.empty(0, np.int64)  # of the examples in this epoch
        self.epoch = self.place = self.steps = 0  # epochs done, batches done of this one, steps done
        self.losses = self.seconds = 0.0  # the sum over this epoch's batches; the time taken
        self.history: list[Record] = []
        self.best: dict[str, Array] = {}

    def _batches(self, epoch: int) -> Batches:
        return Batches(self.data.train, self.recipe.batch_at(epoch), self.seed, self._augment, drop_last=True)

    def _length(self, epoch: int) -> int:
        """The steps of an epoch."""
        examples = len(self.data.train.labels)
        return self._batches(epoch).count(round(self.recipe.focus * examples) if epoch else examples)

    def _begin_epoch(self) -> Iterator[tuple[Array, Array]]:
        batches = self._batches(self.epoch)
        if self.place and self.recipe.focus < 1:  # the losses it was chosen by are no more
            return batches.epoch(self.epoch, self.place, self.order)
        self.order = batches.order(self.epoch)
        if self.epoch and self.recipe.focus < 1:
            hardest = np.argsort(-self.last_losses[self.order], kind="stable")
            self.order = self.order[np.sort(hardest[: round(self.recipe.focus * len(self.order))])]
        return batches.epoch(self.epoch, self.place, self.order)

    def _step(self, batch: int) -> TrainingStep:
        if batch not in self._steps:
            self._steps[batch] = TrainingStep(
                rebatched(self.computed, batch),
                self.parameters,
                self.recipe.loss,
                generator=self.generator,
                keep=(TERMS,) if self.recipe.focus < 1 else (),
                scaled=self.scaling is not None,
            )
        return self._steps[batch]

    @property
    def weights(self) -> Mapping[str, Array]:
        """By name; arrays that a further step may change."""
        return self.best or self.parameters.weights

    @property
    def best_record(self) -> Record | None:
        """The first of the epochs with the best validation accuracy, of those after the pruning; None where nothing is
        validated."""
        begin = self.pruner.last if self.pruner else 0
        validated = [one for one in self.history if one.validation_accuracy is not None and one.step >= begin]
        return max(validated, key=lambda record: record.validation_accuracy or 0.0, default=None)

    @property
    def reached(self) -> bool:
        """Whether the recipe has a target, and an epoch reached it."""
        best = self.best_record
        return bool(self.recipe.target and best and (best.validation_accuracy or 0) >= self.recipe.target)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, the target is reached, or patience is at its end."""
        best, patience = self.best_record, self.recipe.patience
        waited = bool(best and patience and self.epoch - best.epoch >= patience)
        return self.epoch >= self.recipe.epochs or self.reached or waited

    def advance(self) -> Record | None:
        """Make one step; the record of the epoch, if it ends with this step.

        Raises TrainingError where the loss or a gradient isn't finite; the parameters are then those before the step.
        """
        start = perf_counter()
        rate = self.move()
        ended = self.place == self._lengths[self.epoch]
        record = self._record(rate, self.seconds + perf_counter() - start) if ended else None
        self.turn()
        self.seconds += perf_counter() - start
        return record

    def move(self) -> float:
        """Make one step and give its learning rate, without what an epoch ends with: `turn` must follow."""
        if self._open is None:
            self._open = self._begin_epoch()
        images, labels = next(self._open)
        images, targets = images.reshape(-1, *self._shape), self._targets[labels]
        rate, step = self.rate(self.steps), self._step(len(images))
        with np.errstate(all="ignore"):  # what isn't finite is looked for
            loss = step(images, targets, self.scaling.scale if self.scaling else 1.0)
            fits = self.scaling is None or self.scaling.unscaled(self.parameters.gradients)
            if fits or not isfinite(loss):
                self._check(loss, images, targets)
        if fits:
            self._update(rate)
        if self.recipe.focus < 1:
            first = self.place * len(images)
            self.last_losses[self.order[first : first + len(images)]] = step.values[TERMS].sum(1)
        self.steps, self.place, self.losses = self.steps + 1, self.place + 1, self.losses + loss
        return rate

    def _update(self, rate: float) -> None:
        if self.pruner:
            self.pruner.mask_gradients()
        self.optimiser.update(rate)
        if self._round:
            self._round(self.parameters.values)
        if self.pruner:
            self.pruner.prune(self.steps + 1)

    def _check(self, loss: float, images: Array, targets: Array) -> None:
        slopes = self.parameters.gradients
        if isfinite(loss) and (np.isfinite(np.dot(slopes, slopes)) or np.isfinite(slopes).all()):
            return
        found = self._step(len(images)).first_not_finite(images, targets) or "the loss"
        raise TrainingError(
            f"every number of a training must stay finite, and at step {self.steps + 1} {found} did not; lower the "
            f"learning rate, {self.rate(self.steps):g}"
        )

    def turn(self) -> None:
        """Begin the next epoch where this one's steps are done."""
        if self.place == self._lengths[self.epoch]:
            self.epoch, self.place, self.losses, self._open = self.epoch + 1, 0, 0.0, None

    def _record(self, rate: float, seconds: float) -> Record:
        """Evaluate at an epoch's end, and keep the weights if they are the best so far."""
        validation = self.data.validation
        record = Record(
            self.steps,
            self.epoch + 1,
            self.losses / self.place,
            self.evaluator.accuracy(self._sample),
            None if validation is None else self.evaluator.accuracy(validation),
            rate,
            seconds,
        )
        self.history.append(record)
        if self.best_record is record:
            self.best = {name: array.copy() for name, array in self.parameters.weights.items()}
        return record


def fit(
    training: Training,
    each: Callable[[Record], None] = lambda record: None,
    stepped: Callable[[Training], None] = lambda training: None,
) -> None:
    """Go on to the end; `each` is told of every epoch, after which `stepped` is called, as after every other step."""
    while not training.finished:
        record = training.advance()
        if record is not None:
            each(record)
        stepped(training)


def _fitting(graph: Graph, data: Data) -> tuple[int, ...]:
    """The shape of one input; raises TrainingError unless an example fits it."""
    images, _ = data.train.batch(np.zeros(1, np.int64))
    wanted, came = graph.inputs[0].shape[1:], images.shape[1:]
    if prod(wanted) != prod(came):
        raise TrainingError(
            f"network {graph.name} must take examples of the shape {[*came]}, as the data has, not {[*wanted]}; change "
            "one of them"
        )
    return wanted


def _codes(graph: Graph, data: Data) -> Array:
    shape = graph.tensors[graph.outputs[0]].shape
    if len(shape) != 2:
        raise TrainingError(f"network {graph.name} must give a row for each example, not {[*shape]}; flatten it")
    return codes(len(data.train.classes), shape[1])


def _sample(data: Data) -> Dataset:
    """Some of the training examples, as they are."""
    total = len(data.train.labels)
    places = np.unique(np.linspace(0, total - 1, min(total, SAMPLE)).astype(np.int64))
    images, labels = data.train.batch(places)
    return Dataset(images, labels, data.train.classes, "")
