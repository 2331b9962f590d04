"""Recipes: what a training is, as a TOML file that is checked before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tilework.errors import TileworkError, TrainingError
from tilework.network.training import LOSSES
from tilework.train.data.augment import augmentation
from tilework.train.initial import INITIALS
from tilework.train.optimisers import OPTIMISERS
from tilework.train.recipe_errors import among, sentence
from tilework.train.schedules import SCHEDULES, schedule
from tilework.train.toml_files import read_text, shipped, tables

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Settings = dict[str, bool | int | float]


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """One of: a zoo's network by `name`, a `graph` as text, fully connected `layers` (their widths, inputs first), or
    `stages` of two 3x3 convolutions each (their channels), with batch normalisation, for pictures.

    Dropout follows each hidden layer, or stands before the classifier of `stages`.
    """

    name: str = ""
    graph: str = ""
    layers: Annotated[tuple[Count, ...], Meta(min_length=2)] | None = None
    stages: Annotated[tuple[Count, ...], Meta(min_length=1)] | None = None
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    dropout: Share = 0.0


class Digits(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="digits"):
    """MNIST, or data in the same four files; at most `train` examples of it, the same for every seed."""

    train: Count | None = None
    validation: Share = 0.0


class Folder(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="folder"):
    """Pictures as train/CLASS/FILE and test/CLASS/FILE, or val/CLASS/FILE, made square as `tw.image_folder` does."""

    size: Count = 32
    framing: str = "whole"
    validation: Share = 0.1


class Adder(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="adder"):
    """All sums of two numbers of so many bits and a carry; the share `test` of the rows, drawn by the seed, is held
    out."""

    bits: Annotated[int, Meta(ge=1, le=7)] = 4
    test: Annotated[float, Meta(gt=0, lt=1)] = 0.3
    validation: Share = 0.0


class TruthTable(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="truth-table"):
    """Logic functions of the same inputs, each by its column of the truth table, as "0001" for AND."""

    columns: Annotated[tuple[str, ...], Meta(min_length=1)]
    validation: Literal[0] = 0


class Growth(Struct, frozen=True, forbid_unknown_fields=True):
    """The batch times `factor` after every so many epochs, up to `most`."""

    factor: Annotated[int, Meta(ge=2)]
    every: Count
    most: Count


class Pruning(Struct, frozen=True, forbid_unknown_fields=True):
    """Zeros among the weights of each layer: their share rises to `share`, or to what `layers` says of a layer, while a
    training goes from its part `first` to its part `last`; every so many steps the smallest weights go.

    `balanced`: equally many of each 16 that are summed one after the other, which the processor stores compressed.
    """

    share: Share = 0.5
    layers: dict[str, Share] = {}
    first: Share = 0.1
    last: Annotated[float, Meta(gt=0, le=1)] = 0.7
    every: Count = 50
    balanced: bool = False


class Precision(Struct, frozen=True, forbid_unknown_fields=True):
    """The `dtype` in which layers compute. The weights that are updated are float32, or of that dtype without a
    `master`. The loss is multiplied by `scale`, which halves when a gradient overflows and doubles after `every` steps
    without; it stays as it is if `every` is 0."""

    dtype: Literal["float16", "bfloat16"]
    master: bool = True
    scale: Annotated[float, Meta(gt=0)] = 65536.0
    every: Annotated[int, Meta(ge=0)] = 2000


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """A training. `optimiser` has its `method` and `rate` beside that method's settings, `schedule` its `name` beside
    its own; `patience` is in epochs without a better validation accuracy, `target` a validation accuracy. With a
    `focus` below 1 each epoch but the first takes only this share of the examples: those whose loss was the largest
    when they were last seen (after Jiang et al. 2019, arXiv:1910.00762)."""

    title: str
    network: Network
    data: Digits | Folder | Adder | TruthTable
    batch: Count
    epochs: Count
    optimiser: dict[str, Any]
    initial: str = "he"
    loss: str = "cross_entropy"
    smoothing: Share = 0.0
    schedule: dict[str, Any] = {}
    growth: Growth | None = None
    focus: Annotated[float, Meta(gt=0, le=1)] = 1.0
    pruning: Pruning | None = None
    precision: Precision | None = None
    augment: dict[str, Any] = {}
    patience: Count | None = None
    target: Annotated[float, Meta(gt=0, le=1)] | None = None

    @property
    def method(self) -> str:
        return str(self.optimiser["method"])

    @property
    def rate(self) -> float:
        return float(self.optimiser["rate"])

    @property
    def settings(self) -> dict[str, Any]:
        """The optimiser's own."""
        return {key: value for key, value in self.optimiser.items() if key not in ("method", "rate")}

    def batch_at(self, epoch: int) -> int:
        """The examples in a batch of that epoch, which count from 0."""
        if self.growth is None:
            return self.batch
        grown: int = self.batch * self.growth.factor ** (epoch // self.growth.every)
        return max(self.batch, min(self.growth.most, grown))

    def to_dict(self) -> dict[str, Any]:
        """What the TOML file says, with the defaults."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


def recipe_names() -> tuple[str, ...]:
    """The names of the recipes that come with Tilework, sorted."""
    return shipped("recipes")


def load_recipe(name_or_path: str | Path) -> Recipe:
    """The recipe of that name, or that a TOML file states; raises TrainingError with the key that is wrong."""
    return read_recipe(read_text(name_or_path, "recipe", "recipes"), str(name_or_path))


def read_recipe(text: str, where: str = "the recipe") -> Recipe:
    """The recipe that a TOML text states; `where` names it in errors. Raises TrainingError."""
    return recipe_of(tables(text, where), where)


def recipe_of(data: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """The recipe of tables as TOML has them; raises TrainingError."""
    try:
        recipe = msgspec.convert(data, Recipe)
    except msgspec.ValidationError as error:
        raise TrainingError(f"{where}: {sentence(str(error), data, Recipe)}") from None
    try:
        _check(recipe)
    except TileworkError as error:
        raise TrainingError(f"{where}: {error}") from None
    return recipe


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of the recipe as JSON, its title left out: equal trainings have equal hashes."""
    canonical = json.dumps({**recipe.to_dict(), "title": ""}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check(recipe: Recipe) -> None:
    """What the types don't say."""
    network = recipe.network
    given = [key for key in ("name", "graph", "layers", "stages") if getattr(network, key)]
    if len(given) != 1:
        came = f"{' and '.join(given)}; keep one" if given else "none of them; add one"
        raise TrainingError(f"[network] must have one of name, graph, layers and stages, not {came}")
    for key, value, known in (("loss", recipe.loss, LOSSES), ("initial", recipe.initial, INITIALS)):
        if value not in known:
            raise TrainingError(among(key, value, known))
    _check_table("optimiser", recipe.optimiser, "method", ("rate",), OPTIMISERS)
    if recipe.schedule:
        _check_table("schedule", recipe.schedule, "name", (), SCHEDULES)
    schedule(**{"name": "constant", **recipe.schedule}, rate=recipe.rate, steps=1)
    augmentation(**recipe.augment)
    if recipe.pruning and recipe.pruning.first >= recipe.pruning.last:
        raise TrainingError(
            f"pruning.first must be less than pruning.last, {recipe.pruning.last:g}, not {recipe.pruning.first:g}; "
            "lower it"
        )
    if not recipe.data.validation and (recipe.patience or recipe.target):
        key = "patience" if recipe.patience else "target"
        raise TrainingError(f"{key} must come with a share for validation in [data], as validation = 0.1; add it")


def _check_table(name: str, table: Mapping[str, Any], chooser: str, more: tuple[str, ...], rows: Any) -> None:
    """A table whose other keys depend on which row of a table of methods it chooses."""
    for key in (chooser, *more):
        if key not in table:
            raise TrainingError(f"the key {name}.{key} must be there, but is missing; add it")
    chosen = table[chooser]
    if chosen not in rows:
        raise TrainingError(among(f"{name}.{chooser}", chosen, rows))
    for key, value in table.items():
        if key not in (chooser, *more, *rows[chosen].settings):
            raise TrainingError(
                among(f"the keys in [{name}] for {chosen}", key, (chooser, *more, *rows[chosen].settings))
            )
        if key != chooser and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TrainingError(f"{name}.{key} must be a number, not {value!r}; correct it")
