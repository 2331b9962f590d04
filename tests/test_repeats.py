"""Several seeds of a recipe: each is its own training, and the table holds their mean and range."""

from __future__ import annotations

import tilework as tw


def test_each_seed_is_a_training_of_its_own() -> None:
    found = tw.fit_seeds(("perceptron", "adder"), seeds=2, epochs=3)["runs"]
    assert [(run["recipe"], run["seed"]) for run in found] == [
        ("perceptron", 0),
        ("perceptron", 1),
        ("adder", 0),
        ("adder", 1),
    ]
    for run in found:
        alone = tw.fit(run["recipe"], run["seed"], epochs=3)
        assert (run["accuracy"], run["epochs"], run["data"]) == (alone.accuracy, alone.epochs, alone.source)


def test_the_table_by_hand() -> None:
    shares = {"one": (0.5, 0.75, 1.0), "other": (0.9,)}
    runs = [
        {"recipe": recipe, "data": f"{recipe}'s data", "seed": seed, "epochs": 4, "accuracy": share}
        for recipe, given in shares.items()
        for seed, share in enumerate(given)
    ]
    assert tw.seeds_text({"runs": runs}).splitlines() == [
        "recipe  seeds  epochs  test accuracy    least      most",
        "------  -----  ------  -------------  -------  --------",
        "one         3       4        75.00 %  50.00 %  100.00 %",
        "other       1       4        90.00 %  90.00 %   90.00 %",
        "",
        "one: one's data",
        "other: other's data",
    ]
