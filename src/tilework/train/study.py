"""Studies of methods: a recipe that all of them share, and for each what it changes, with the values that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from tilework.errors import TrainingError
from tilework.train.recipe import Count, Recipe, recipe_of
from tilework.train.recipe_errors import among, sentence
from tilework.train.toml_files import read_text, shipped, tables

CHANGED = ("optimiser", "schedule", "batch", "growth", "epochs", "initial", "smoothing", "focus", "augment")


class Study(Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison of methods, the first of which is the baseline.

    `base` is a recipe, whose `target` all must reach; a method's table changes keys of it, and a list is of values to
    try. Of all combinations of these `trials` are tried, each on `tuning_seeds` seeds; then every method runs on
    `seeds` others. The validation accuracy is looked at every `check` epochs.
    """

    title: str
    base: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    seeds: Annotated[int, Meta(ge=2)] = 10
    trials: Count = 12
    tuning_seeds: Count = 2
    check: Annotated[float, Meta(gt=0, le=1)] = 0.25

    @property
    def recipe(self) -> Recipe:
        """What the methods share; raises TrainingError."""
        return recipe_of(self.base, "base")

    def candidates(self) -> dict[str, list[Recipe]]:
        """The recipes to try, by method; raises TrainingError for keys and values that are none of a recipe's."""
        return {name: self._tried(name, changes) for name, changes in self.methods.items()}

    def _tried(self, name: str, changes: Mapping[str, Any]) -> list[Recipe]:
        for key in changes:
            if key not in CHANGED:
                raise TrainingError(among(f"the keys of method {name}", key, CHANGED))
        every = list(_combinations({**self.base, **changes}, changes))
        places = np.random.default_rng(0).permutation(len(every))[: self.trials]
        return [recipe_of(every[place], f"method {name}") for place in sorted(places)]


def _combinations(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables with one of the values from each list among the changes, which lie at most one table deep."""
    paths = [(key, inner) for key, value in changes.items() for inner in (value if isinstance(value, dict) else ("",))]
    lists = [(path, value) for path in paths if isinstance(value := _at(changes, path), list)]
    found = []
    for chosen in product(*(value for _, value in lists)):
        table = {key: dict(value) if isinstance(value, dict) else value for key, value in whole.items()}
        for (key, inner), value in zip((path for path, _ in lists), chosen, strict=True):
            if inner:
                table[key][inner] = value
            else:
                table[key] = value
        found.append(table)
    return found


def _at(table: Mapping[str, Any], path: tuple[str, str]) -> Any:
    key, inner = path
    return table[key][inner] if inner else table[key]


def study_names() -> tuple[str, ...]:
    """The names of the studies that come with Tilework, sorted."""
    return shipped("studies")


def load_study(name_or_path: str | Path) -> Study:
    """The study of that name, or that a TOML file states; raises TrainingError with the key that is wrong."""
    return read_study(read_text(name_or_path, "study", "studies"), str(name_or_path))


def read_study(text: str, where: str = "the study") -> Study:
    """The study that a TOML text states; `where` names it in errors. Raises TrainingError."""
    data = tables(text, where)
    try:
        study = msgspec.convert(data, Study)
    except msgspec.ValidationError as error:
        raise TrainingError(f"{where}: {sentence(str(error), data, Study)}") from None
    if len(study.methods) < 2:
        raise TrainingError(f"{where} must compare at least 2 methods, not {len(study.methods)}; add one")
    if study.recipe.target is None:
        raise TrainingError(f"{where} must have a target in [base], as target = 0.979; add it")
    study.candidates()
    return study
