"""`tilework train`."""

from __future__ import annotations

import click

from tilework.commands.options import json_option, print_json, print_titles
from tilework.commands.progress import progress
from tilework.report.picture import picture_suffix
from tilework.report.training import draw_training
from tilework.train.fit import Training
from tilework.train.recipe import load_recipe, recipe_names
from tilework.training import open_training, result, run


@click.command()
@click.argument("recipe", required=False, metavar="[RECIPE|FILE.toml]")
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Of weights, order and changes (0).")
@click.option("--data", metavar="FOLDER", help="MNIST's four files, or pictures in train/CLASS and test/CLASS.")
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="Instead of the recipe's.")
@click.option(
    "--to",
    metavar="FOLDER",
    help="Keep a checkpoint, weights.npz, history.csv and a log for TensorBoard there.",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in that folder, if there is one.")
@click.option("-o", "--output", metavar="FILE", help="Draw loss and accuracy by epoch (.svg, .png).")
@json_option
def train(
    recipe: str | None,
    seed: int,
    data: str | None,
    epochs: int | None,
    to: str | None,
    resume: bool,
    output: str | None,
    as_json: bool,
) -> None:
    """Train the network of RECIPE, or of a recipe of your own; without one, list the recipes.

    The same recipe, seed and data give the same weights.

    \b
    Examples:
      tilework train
      tilework train adder
      tilework train mnist-mlp --epochs 3 -o curves.png
      tilework train lenet5-4000 --to trained
      tilework run lenet5 --weights trained/weights.npz --input examples/digits.png
    """
    if recipe is None:
        print_titles("recipes", {name: load_recipe(name).title for name in recipe_names()}, as_json)
        return
    if output:
        picture_suffix(output)  # before hours of training
    training = open_training(recipe, seed, data, epochs)
    with progress(f"training {recipe}") as moved:

        def stepped(now: Training) -> None:
            moved(now.steps, now.total_steps)

        run(training, to, resume, stepped=stepped)
    trained = result(training, to)
    if output:
        draw_training(trained.history, output, trained.recipe.title)
    if as_json:
        print_json({"recipe_name": recipe, **trained.to_dict()})
    else:
        click.echo(str(trained))
