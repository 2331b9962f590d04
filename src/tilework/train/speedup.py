"""How much sooner one method reaches an accuracy than another: both tuned alike, seed against seed.

Learning rates decide such a comparison more than methods do, so every method gets a search of the same number of
trials, on seeds of its own, before the runs that count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tilework.plain import columns, dataframe, percent
from tilework.train.race import Course, Outcome, race
from tilework.train.recipe import Recipe
from tilework.train.statistics import Estimate, geometric_mean, mean

FIRST_TUNING_SEED = 1000  # far from the seeds of the runs that count
PATIENCE = 1.5  # a trial may take so many times the best one's seconds

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """A method in a comparison: what the search chose among `tried` candidates, and its runs, one a seed.

    `speedup` is the geometric mean over the seeds of the baseline's seconds over this one's, `fewer_epochs` that of the
    epochs; a run that misses the target counts as one that has to be done again. `test_difference` is the mean of the
    test accuracy less the baseline's.
    """

    name: str
    recipe: Recipe
    tried: int
    runs: tuple[Outcome, ...]
    speedup: Estimate
    fewer_epochs: Estimate
    test_difference: Estimate

    @property
    def reached(self) -> int:
        """How many of the runs reached the target."""
        return sum(run.reached for run in self.runs)

    def mean(self, what: str) -> float:
        """The mean over the runs of one of their figures, such as seconds."""
        return float(np.mean([getattr(run, what) for run in self.runs]))

    def to_dict(self) -> dict[str, Any]:
        """Everything, in plain data."""
        means = {what: self.mean(what) for what in ("seconds", "steps", "epochs", "validation", "test")}
        return {
            "name": self.name,
            "recipe": self.recipe.to_dict(),
            "tried": self.tried,
            "runs": len(self.runs),
            "reached": self.reached,
            **means,
            "speedup": self.speedup.value,
            "interval": [self.speedup.low, self.speedup.high],
            "fewer_epochs": asdict(self.fewer_epochs),
            "test_difference": asdict(self.test_difference),
            "curves": [run.curve for run in self.runs],
            "ends": [run.reached for run in self.runs],
        }


@dataclass(frozen=True)
class Comparison:
    """What a study found; the first of the `standings` is the baseline's."""

    title: str
    target: float
    trials: int
    source: str
    standings: tuple[Standing, ...]

    @property
    def best(self) -> Standing:
        """The method of the largest speed-up among those that reached the target at all."""
        reached = [standing for standing in self.standings if standing.reached]
        return max(reached or self.standings, key=lambda standing: standing.speedup.value)

    def to_dict(self) -> dict[str, Any]:
        """Everything, in plain data; `speedup` and `interval` are those of the best method."""
        best = self.best
        return {
            "title": self.title,
            "data": self.source,
            "target": self.target,
            "trials": self.trials,
            "best": best.name,
            "speedup": best.speedup.value,
            "interval": [best.speedup.low, best.speedup.high],
            "methods": [standing.to_dict() for standing in self.standings],
        }

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per method; raises MissingPackageError without pandas."""
        rows = [{k: v for k, v in s.to_dict().items() if not isinstance(v, list | dict)} for s in self.standings]
        return dataframe(rows, list(rows[0]))

    def __str__(self) -> str:
        return comparison_text(self.to_dict())


def comparison_text(found: Mapping[str, Any]) -> str:
    """The table of a comparison, from what its `to_dict` gives."""
    head = ("method", "chosen", "reached", "epochs", "seconds", "test", "speed-up (95 %)", "in epochs")
    methods = found["methods"]
    table = columns(head, [_row(method) for method in methods], left=2)
    return (
        f"{found['title']}\ndata: {found['data']}\n\n{table}\n\n"
        f"Means over {methods[0]['runs']} seeds, of runs up to {percent(found['target'])} of the validation images; "
        f"seconds of processor time, of the steps alone. Each method was tuned by at most {found['trials']} trials. "
        "Speed-up: geometric mean of the baseline's seconds over the method's, seed by seed, bootstrap interval; "
        "a run that misses counts with its whole time and that of doing it again, unless none of the method's reached."
    )


def _row(method: Mapping[str, Any]) -> tuple[str, ...]:
    recipe, (low, high) = method["recipe"], method["interval"]
    return (
        method["name"],
        _chosen(recipe["optimiser"]["method"], recipe["optimiser"]["rate"], recipe["batch"], recipe["epochs"]),
        f"{method['reached']} of {method['runs']}",
        f"{method['epochs']:.2f}",
        f"{method['seconds']:.2f}",
        percent(method["test"], 2),
        f"{method['speedup']:.2f} ({low:.2f} to {high:.2f})",
        f"{method['fewer_epochs']['value']:.2f}",
    )


def _chosen(method: str, rate: float, batch: int, epochs: int) -> str:
    return f"{method} at {rate:g}, batch {batch}, {epochs} epochs"


def tuned(course: Course, recipes: Sequence[Recipe], seeds: int, progress: Progress) -> Recipe:
    """The recipe that reaches its target with the most of the tuning seeds, and among those the soonest.

    Where none reaches it, the one of the highest accuracy.
    """
    if len(recipes) == 1:
        return recipes[0]
    best, least = recipes[0], (seeds, float("inf"), 0.0)
    for recipe in recipes:
        found = list(_trial(course, recipe, seeds, float("inf") if least[0] else PATIENCE * least[1]))
        reached = [run.seconds for run in found if run.reached]
        soonest = sum(reached) / len(reached) if reached else float("inf")
        score = (seeds - len(reached), soonest, -float(np.mean([run.validation for run in found])))
        progress(f"{_chosen(recipe.method, recipe.rate, recipe.batch, recipe.epochs)}: {_told(found)}")
        if score < least:
            best, least = recipe, score
    return best


def _trial(course: Course, recipe: Recipe, seeds: int, limit: float) -> Iterator[Outcome]:
    """Runs on the tuning seeds, up to the first that takes too long."""
    for seed in range(seeds):
        run = race(course, recipe, FIRST_TUNING_SEED + seed, limit)
        yield run
        if run.seconds >= limit:
            return


def _told(runs: Sequence[Outcome]) -> str:
    figures = (f"{run.seconds:.1f} s{'' if run.reached else ' without it'}" for run in runs)
    return ", ".join(figures)


def compare(
    course: Course,
    methods: Mapping[str, Sequence[Recipe]],
    seeds: int,
    tuning_seeds: int = 2,
    progress: Progress = lambda line: None,
) -> list[Standing]:
    """Each method tuned among its candidates, then run once for each of the seeds; the first one is the baseline."""
    chosen = {}
    for name, recipes in methods.items():
        progress(f"{name}: {len(recipes)} candidates")
        chosen[name] = tuned(course, recipes, tuning_seeds, progress)
    runs: dict[str, list[Outcome]] = {name: [] for name in methods}
    for seed in range(seeds):  # seed by seed, so that what slows the machine slows all
        for name, recipe in chosen.items():
            runs[name].append(race(course, recipe, seed))
            progress(f"{name}, seed {seed}: {_told(runs[name][-1:])}")
    baseline = next(iter(runs.values()))
    return [_standing(name, chosen[name], len(methods[name]), runs[name], baseline) for name in methods]


def _standing(name: str, recipe: Recipe, tried: int, runs: Sequence[Outcome], baseline: Sequence[Outcome]) -> Standing:
    seconds, epochs = (
        geometric_mean([one / other for one, other in zip(until(baseline, what), until(runs, what), strict=True)])
        for what in ("seconds", "epochs")
    )
    difference = mean([other.test - one.test for one, other in zip(baseline, runs, strict=True)])
    return Standing(name, recipe, tried, tuple(runs), seconds, epochs, difference)


def until(runs: Sequence[Outcome], what: str) -> list[float]:
    """The seconds or epochs of each run until the target.

    To a run that missed it is added what a new one takes, which may miss in its turn: all of the runs' over how many
    reached it (Hansen et al., arXiv:1603.08785, expected running time). Where none did, the runs count as they are.
    """
    taken = [float(getattr(run, what)) for run in runs]
    reached = sum(run.reached for run in runs)
    again = sum(taken) / reached if reached else 0.0
    return [time + (0.0 if run.reached else again) for time, run in zip(taken, runs, strict=True)]
