"""Recipes trained with several seeds: what one seed gives may be luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from tilework.plain import columns, percent
from tilework.training import fit


def fit_seeds(
    recipes: Sequence[str], seeds: int = 5, data: str | Path | None = None, epochs: int | None = None
) -> dict[str, Any]:
    """Train by each recipe with the seeds 0, 1, ..., as `fit` does: `runs`, each with recipe, data, seed, epochs and
    accuracy, as JSON can hold it. Raises what `fit` raises."""
    runs = []
    for recipe in recipes:
        for seed in range(seeds):
            trained = fit(recipe, seed, data, epochs)
            runs.append(
                {
                    "recipe": recipe,
                    "data": trained.source,
                    "seed": seed,
                    "epochs": trained.epochs,
                    "accuracy": trained.accuracy,
                }
            )
    return {"runs": runs}


def seeds_text(found: Mapping[str, Any]) -> str:
    """A table of what `fit_seeds` gave: a line for each recipe, with the mean of its seeds and how far they differ."""
    recipes = dict.fromkeys(run["recipe"] for run in found["runs"])
    groups = [[run for run in found["runs"] if run["recipe"] == recipe] for recipe in recipes]
    head = ("recipe", "seeds", "epochs", "test accuracy", "least", "most")
    sources = [f"{runs[0]['recipe']}: {runs[0]['data']}" for runs in groups]
    return "\n".join((columns(head, [_row(runs) for runs in groups]), "", *sources))


def _row(runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    shares = [run["accuracy"] for run in runs]
    figures = (percent(share, 2) for share in (mean(shares), min(shares), max(shares)))
    return (runs[0]["recipe"], str(len(runs)), str(runs[0]["epochs"]), *figures)
