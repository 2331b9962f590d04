"""The data that a recipe wants: what to train with, what to choose by, what to test with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilework.errors import TrainingError
from tilework.train import recipe
from tilework.train.data.batches import Examples
from tilework.train.data.dataset import Dataset, seeded
from tilework.train.data.digits import digits
from tilework.train.data.folders import ImageFolder, image_folder
from tilework.train.logic import adder, truth_table

CHOICE = 0  # the seed by which examples are chosen and held out, the same for every training
LOADED = 1 << 30  # bytes of pictures that are kept in memory; more are read whenever they are wanted


@dataclass(frozen=True)
class Data:
    """Examples to train with, to validate (what stops a training and chooses its weights) and to test, and where they
    come from, in a sentence."""

    train: Examples
    test: Examples
    source: str
    validation: Examples | None = None


Kind = recipe.Digits | recipe.Folder | recipe.Adder | recipe.TruthTable


def load_data(wanted: Kind, folder: str | Path | None = None, seed: int = 0) -> Data:
    """The data of a recipe; `folder` is the user's, `seed` draws what the adder holds out.

    Raises DataError for data that can't be had, and TrainingError for a folder that is missing or not wanted.
    """
    if isinstance(wanted, recipe.Digits):
        found = digits(folder)
        return _held_out(_limited(found.train, wanted.train), found.test, wanted.validation)
    if isinstance(wanted, recipe.Folder):
        return _pictures(wanted, folder)
    if folder is not None:
        raise TrainingError(
            f"a folder of data goes with recipes that read one, and {folder} would not be read; leave it out"
        )
    if isinstance(wanted, recipe.Adder):
        return _held_out(*adder(wanted.bits, wanted.test, seed), wanted.validation)
    table = truth_table(wanted.columns)
    return Data(table, table, table.source)


def _pictures(wanted: recipe.Folder, folder: str | Path | None) -> Data:
    if folder is None:
        raise TrainingError("this recipe trains with pictures of your own; give the folder that they are in")
    place = Path(folder)
    part = "val" if (place / "val").is_dir() and not (place / "test").is_dir() else "test"
    both = [image_folder(place, name, wanted.size, wanted.framing) for name in ("train", part)]
    train, test = (found.load() if 12 * wanted.size**2 * len(found) < LOADED else found for found in both)
    return _held_out(train, test, wanted.validation)


def _limited(whole: Dataset, limit: int | None) -> Dataset:
    if limit is None or limit >= len(whole):
        return whole
    chosen = whole.take(np.sort(seeded(CHOICE).permutation(len(whole))[:limit]))
    return Dataset(chosen.images, chosen.labels, chosen.classes, f"{whole.source}; trained with {limit:,} of them")


def _held_out(train: Dataset | ImageFolder, test: Examples, share: float) -> Data:
    if not share:
        return Data(train, test, train.source)
    kept, validation = train.split(share, CHOICE)
    return Data(kept, test, f"{train.source}; {len(validation):,} kept for validation", validation)
