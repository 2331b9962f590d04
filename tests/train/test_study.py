"""Studies: what a method tries, what all share, and what is wrong with one, as one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from tilework.errors import TrainingError
from tilework.train.study import load_study, read_study, study_names

BASE = """
title = "small"
trials = {trials}

[base]
title = "784-10"
batch = 8
epochs = 2
target = 0.5
network = {{layers = [784, 10]}}
data = {{kind = "digits", validation = 0.2}}
optimiser = {{method = "sgd", rate = 0.1}}

[methods.first]
optimiser = {{method = "sgd", rate = [0.1, 0.2, 0.4]}}
batch = [4, 8]

[methods.second]
focus = 0.5
{more}
"""


def text(trials: int = 20, more: str = "") -> str:
    return BASE.format(trials=trials, more=more)


def test_lists_are_tried_in_all_combinations() -> None:
    found = read_study(text()).candidates()
    assert {(r.rate, r.batch) for r in found["first"]} == {(rate, b) for rate in (0.1, 0.2, 0.4) for b in (4, 8)}
    assert [(r.rate, r.batch, r.focus) for r in found["second"]] == [(0.1, 8, 0.5)]
    assert {r.network.layers for recipes in found.values() for r in recipes} == {(784, 10)}


def test_no_more_than_the_trials_are_tried_and_always_the_same() -> None:
    first, again = (read_study(text(4)).candidates()["first"] for _ in range(2))
    assert len(first) == 4
    assert first == again
    assert len({(r.rate, r.batch) for r in first}) == 4


@pytest.mark.parametrize("name", study_names())
def test_every_study_of_ours_gives_each_tuned_method_as_many_trials(name: str) -> None:
    study = load_study(name)
    tried = {method: len(recipes) for method, recipes in study.candidates().items()}
    assert set(tried.values()) <= {1, study.trials}
    assert next(iter(tried.values())) == study.trials
    assert {r.target for recipes in study.candidates().values() for r in recipes} == {study.recipe.target}


MISTAKES = [
    (
        text(more="target = 0.4"),
        "the keys of method second must be one of optimiser, schedule, batch, growth, epochs, ",
    ),
    (text(more="epochs = 0"), "method second: epochs must be "),
    (text(more='optimiser = {method = "sdg", rate = 1}'), "method second: optimiser.method must be one of sgd, "),
    (text(trials=0), "the study: trials must be "),
    (text().replace("target = 0.5\n", ""), "the study must have a target in [base], as target = 0.979; add it"),
    (text().split("[methods.second]")[0], "the study must compare at least 2 methods, not 1; add one"),
    (text().replace("title", "name", 1), "the study: the keys at the top must be one of title, base, methods, "),
    ("[", "the study must be valid TOML, not with "),
]


@pytest.mark.parametrize(("given", "message"), MISTAKES)
def test_mistakes_are_told(given: str, message: str) -> None:
    with pytest.raises(TrainingError) as raised:
        read_study(given)
    assert str(raised.value).startswith(message)


def test_an_unknown_study_is_told(tmp_path: Any) -> None:
    with pytest.raises(TrainingError) as raised:
        load_study("minst")
    assert str(raised.value) == (
        f"a study must be one of {', '.join(study_names())}, not 'minst'; did you mean mnist?, or give a path that "
        "ends in .toml"
    )
