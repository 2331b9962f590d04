"""What zeros cost: the recipe sparse-mlp against the same training without pruning, over seeds.

    python benchmarks/pruning.py [--share 0.5] [--seeds 5] [--epochs 10] [--data FOLDER]

A seed gives all three trainings the same initial weights and the same order of the digits: one without zeros, one that
prunes the smallest weights of a layer wherever they are, and one that keeps equally many of each 16. Shown are mean
test accuracies, and the mean difference to the first with its bootstrap 95 % interval over the seeds. FOLDER holds
MNIST's four files; without it the digits are those that `tilework train` finds.
"""

from __future__ import annotations

from argparse import ArgumentParser

import tilework as tw
from tilework.train.recipe import load_recipe
from tilework.train.sources import load_data
from tilework.train.statistics import mean

GOAL = 0.3  # percentage points


def main() -> None:
    """Print a Markdown table."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--data", metavar="FOLDER")
    options = parser.parse_args()
    tables = load_recipe("sparse-mlp").to_dict()
    data = load_data(load_recipe("sparse-mlp").data, options.data)
    pruning = {**tables["pruning"], "share": options.share}
    kinds = {
        "none": None,
        "anywhere": {**pruning, "balanced": False},
        "equally many of each 16": {**pruning, "balanced": True},
    }
    found: dict[str, list[float]] = {}
    print(f"{data.source}; {options.epochs} epochs, {options.seeds} seeds\n")
    print("| zeros | test accuracy | difference, percentage points | goal |\n| --- | ---: | ---: | ---: |")
    for name, table in kinds.items():
        runs = (
            tw.fit({**tables, "pruning": table}, seed, data, options.epochs).accuracy for seed in range(options.seeds)
        )
        found[name] = [100 * accuracy for accuracy in runs]
        away = [own - dense for own, dense in zip(found[name], found["none"], strict=True)]
        shown = f"{mean(away)}" if table else "–"
        print(f"| {name} | {mean(found[name]).value:.2f} % | {shown} | {f'≥ -{GOAL}' if table else ''} |", flush=True)


if __name__ == "__main__":
    main()
