"""The test accuracy of the recipes for MNIST over seeds: python benchmarks/mnist.py --data FOLDER.

Prints a Markdown table. Without a folder the digits are those that `tilework.digits` finds.
"""

from __future__ import annotations

import argparse
from statistics import mean, stdev

import tilework as tw

RECIPES = ("mnist-mlp", "lenet5", "mnist-mlp-4000", "lenet5-4000")


def main() -> None:
    """Train each recipe with each seed, one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=RECIPES, help=", ".join(RECIPES))
    parser.add_argument("--data", help="the folder with MNIST's four files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="instead of the recipes'")
    options = parser.parse_args()
    print("| recipe | seeds | mean | standard deviation | least | most | seconds each | data |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for recipe in options.recipes:
        runs = [tw.fit(recipe, seed, options.data, options.epochs) for seed in range(options.seeds)]
        shares = [100 * run.accuracy for run in runs]
        spread = stdev(shares) if len(shares) > 1 else 0.0
        cells = (f"{value:.2f}" for value in (mean(shares), spread, min(shares), max(shares)))
        seconds = mean(run.seconds for run in runs)
        print(f"| `{recipe}` | {len(runs)} | {' | '.join(cells)} | {seconds:.0f} | {runs[0].source} |", flush=True)


if __name__ == "__main__":
    main()
