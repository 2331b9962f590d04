"""Recipes: what may stand in them, and the sentence for what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tilework.errors import TileworkError, TrainingError
from tilework.train.recipe import load_recipe, read_recipe, recipe_hash, recipe_names, recipe_of

GOOD: dict[str, Any] = {
    "title": "a test",
    "batch": 4,
    "epochs": 2,
    "network": {"layers": [2, 3, 1], "activation": "tanh"},
    "data": {"kind": "truth-table", "columns": ["0110"]},
    "optimiser": {"method": "momentum", "rate": 0.5, "momentum": 0.8},
    "schedule": {"name": "one_cycle", "warm": 0.2},
    "loss": "binary_cross_entropy",
}

KEYS = (
    "title, network, data, batch, epochs, optimiser, initial, loss, smoothing, schedule, growth, focus, pruning, "
    "precision, augment, patience, target"
)

BAD: list[tuple[dict[str, Any], str]] = [
    ({"epohcs": 3}, f"the keys at the top must be one of {KEYS}, not 'epohcs'; did you mean epochs?"),
    (
        {"data": {"kind": "adder", "bit": 4}},
        "the keys in [data] must be one of kind, bits, test, validation, not 'bit'; did you mean bits?",
    ),
    ({"data": {"kind": "addr"}}, "data.kind must be one of digits, folder, adder, truth-table, not 'addr'; choose one"),
    ({"data": {}}, "the key data.kind must be there, but is missing; add it"),
    ({"batch": 0}, "batch must be a whole number >= 1, not 0; correct it"),
    ({"batch": "many"}, "batch must be a whole number, not 'many'; correct it"),
    ({"smoothing": 1.5}, "smoothing must be a number < 1.0, not 1.5; correct it"),
    ({"target": 2.0}, "target must be a number <= 1.0, not 2.0; correct it"),
    ({"network": 5}, "network must be a table, not 5; correct it"),
    (
        {"data": {"kind": "truth-table", "columns": [3]}},
        "data.columns[0] must be a text, not [3]; correct it",
    ),
    (
        {"network": {"layers": [2, 1], "name": "mlp"}},
        "[network] must have one of name, graph, layers and stages, not name and layers; keep one",
    ),
    (
        {"network": {}},
        "[network] must have one of name, graph, layers and stages, not none of them; add one",
    ),
    ({"initial": "hee"}, "initial must be one of he, xavier, lecun, not 'hee'; did you mean he?"),
    ({"optimiser": {"method": "sgd"}}, "the key optimiser.rate must be there, but is missing; add it"),
    (
        {"optimiser": {"method": "sgd", "rate": 1, "momentum": 0.5}},
        "the keys in [optimiser] for sgd must be one of method, rate, decay, not 'momentum'; choose",
    ),
    ({"optimiser": {"method": "sgd", "rate": "fast"}}, "optimiser.rate must be a number, not 'fast'; correct it"),
    ({"optimiser": {"method": "sgd", "rate": -1}}, "the learning rate must be a positive number, not -1.0"),
    (
        {"schedule": {"name": "cosin"}},
        "schedule.name must be one of constant, staircase, cosine, one_cycle, linear, not 'cosin'; did you mean "
        "cosine?",
    ),
    (
        {"network": {"layers": [2, 2], "activation": "relo"}},
        "network.activation must be one of relu, sigmoid, tanh, not 'relo'; did you mean relu?",
    ),
    ({"patience": 3}, "patience must come with a share for validation in [data], as validation = 0.1; add it"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrainingError) as caught:
        recipe_of({**GOOD, **change}, "mine.toml")
    assert str(caught.value) == f"mine.toml: {sentence}"


def test_an_augmentation_that_there_is_not_is_refused() -> None:
    with pytest.raises(TileworkError, match=r"mine\.toml: .*'rotate'"):
        recipe_of({**GOOD, "augment": {"rotate": 3}}, "mine.toml")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(TrainingError, match=r"^the recipe: the key title must be there, but is missing; add it$"):
        recipe_of({key: value for key, value in GOOD.items() if key != "title"})


def test_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"^the recipe must be valid TOML, not with '.* line 1.*'; correct that line$"
    ):
        read_recipe("epochs = = 3")
    with pytest.raises(TrainingError, match="nested too deeply"):
        read_recipe("a = " + "[" * 100_000)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"must be a recipe that can be read, not one with 'No such file"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(
        TrainingError, match=r"^a recipe must be one of adder, .*, not 'addder'; did you mean adder\?, or"
    ):
        load_recipe("addder")
    (tmp_path / "bytes.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(TrainingError, match=r"must be text in UTF-8, which it is not; save it as UTF-8$"):
        load_recipe(tmp_path / "bytes.toml")


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_that_come_with_it_are_well_formed(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.title
    assert recipe == recipe_of(recipe.to_dict())


def test_the_hash_tells_trainings_apart_and_nothing_else() -> None:
    first = recipe_of(GOOD)
    assert recipe_hash(first) == recipe_hash(recipe_of({**GOOD, "title": "other"}))
    assert recipe_hash(first) != recipe_hash(recipe_of({**GOOD, "batch": 5}))


def test_the_batch_grows_by_steps() -> None:
    recipe = recipe_of({**GOOD, "growth": {"factor": 2, "every": 3, "most": 12}})
    assert [recipe.batch_at(epoch) for epoch in range(8)] == [4, 4, 4, 8, 8, 8, 12, 12]
