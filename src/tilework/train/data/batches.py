"""Batches of a data set: each epoch in an order of its own, and able to go on at any step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tilework.errors import DataError
from tilework.train.data.augment import Augmentation, mixup
from tilework.train.data.dataset import Floats, Indices, Labels, seeded

ORDER, CHANGES, MIXES = 0, 1, 2  # streams of the seed


class Examples(Protocol):
    """What batches are taken from: a `Dataset`, or an `ImageFolder`, which reads its pictures when they are wanted."""

    @property
    def labels(self) -> Labels: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    def batch(self, indices: Indices) -> tuple[Floats, Labels]: ...


@dataclass(frozen=True)
class Batches:
    """The batches of every epoch, `size` examples each, the last one smaller or left out (`drop_last`).

    A batch depends on seed, epoch and step alone, what `augment` (see `augmentation`) does to it too: who goes on at a
    step gets what an unbroken run would. Raises DataError where no batch can be made.
    """

    dataset: Examples
    size: int
    seed: int
    augment: Augmentation | None = None
    drop_last: bool = False

    def __post_init__(self) -> None:
        seeded(self.seed)
        if self.size < 1 or not len(self):
            raise DataError(
                f"a batch must have 1 to {len(self.dataset.labels)} examples, as many as there are, not {self.size}; "
                "change its size"
            )

    def __len__(self) -> int:
        """The number of batches in an epoch of all examples."""
        return self.count(len(self.dataset.labels))

    def count(self, examples: int) -> int:
        """The number of batches that so many examples make."""
        return examples // self.size if self.drop_last else -(-examples // self.size)

    def order(self, epoch: int) -> Indices:
        """The places of all examples, in the epoch's order."""
        return seeded(self.seed, ORDER, epoch).permutation(len(self.dataset.labels))

    def epoch(self, epoch: int, start: int = 0, order: Indices | None = None) -> Iterator[tuple[Floats, Labels]]:
        """Images and labels of the epoch's batches, from batch `start` on; `order` are other places than all."""
        places = self.order(epoch) if order is None else order
        for step in range(start, self.count(len(places))):
            images, labels = self.dataset.batch(places[step * self.size : (step + 1) * self.size])
            if self.augment is not None:
                images = self.augment(images, seeded(self.seed, CHANGES, epoch, step))
            yield images, labels

    def mixed(self, epoch: int, alpha: float, start: int = 0) -> Iterator[tuple[Floats, Floats]]:
        """The same, each image mixed with another of its batch: images, and the share of every class (`mixup`)."""
        for step, (images, labels) in enumerate(self.epoch(epoch, start), start):
            generator = seeded(self.seed, MIXES, epoch, step)
            yield mixup(images, labels, len(self.dataset.classes), alpha, generator)
