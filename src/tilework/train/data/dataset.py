"""A data set in memory, and a split that keeps the share of each class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import DataError

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures with labels, and a sentence that says where they come from.

    images: float32 [N, C, H, W], in 0..1 where they are pictures; labels: int64 [N], each the place of its class in
    `classes`. Raises DataError where these don't fit each other.
    """

    images: Floats
    labels: Labels
    classes: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(
                f"a data set must have one label for each image, not {len(self.labels)} labels for "
                f"{len(self.images)} images; give files that belong together"
            )
        check_labels(self.labels, len(self.classes), "the data set")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[Any] | list[int]) -> Dataset:
        """The examples at these places, copied, in this order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def split(self, share: float, seed: int) -> tuple[Dataset, Dataset]:
        """The data set without a share of each class, and that share, as `stratified` draws it."""
        kept, held_out = stratified(self.labels, share, seed)
        return self.take(kept), self.take(held_out)

    def batch(self, indices: Indices) -> tuple[Floats, Labels]:
        """Images and labels at these places, copied."""
        return self.images[indices], self.labels[indices]


def check_labels(labels: npt.NDArray[Any], classes: int, name: str) -> None:
    """Raise DataError unless all labels are in 0 .. classes - 1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"the labels of {name} must be 0 to {classes - 1}, not {labels[wrong[0]]} as label {wrong[0]} is; "
            "give whole files that belong together"
        )


def stratified(labels: Labels, share: float, seed: int) -> tuple[Indices, Indices]:
    """The places that stay and the places held out: `share` of each class, rounded, drawn by the seed; both ascending.

    Raises DataError unless 0 < share < 1 and neither part is empty.
    """
    if not 0 < share < 1:
        raise DataError(f"the share held out must lie between 0 and 1, not be {share}; give 0.2 for a fifth")
    order = seeded(seed).permutation(len(labels))
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        held_out[members[: round(share * len(members))]] = True
    if held_out.all() or not held_out.any():
        raise DataError(f"both parts must have an example, not {len(labels)} be split at {share}; change the share")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def seeded(seed: int, *stream: int) -> np.random.Generator:
    """A generator for a seed and a stream of it, e.g. an epoch and a step; raises DataError for a negative seed.

    Different streams of one seed are independent, also (1,) and (1, 0), which NumPy's seeds alone would make equal.
    """
    if seed < 0:
        raise DataError(f"the seed must be 0 or more, not {seed}; give another")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream))
