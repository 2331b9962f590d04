"""`tilework speedup`."""

from __future__ import annotations

import click

from tilework.commands.options import json_option, print_json, print_titles
from tilework.train.study import load_study, study_names
from tilework.training import speedup as compared


@click.command()
@click.argument("study", required=False, metavar="[STUDY|FILE.toml]")
@click.option("--data", metavar="FOLDER", help="Where MNIST's four files are, or data in the same form.")
@click.option("--seeds", type=click.IntRange(2), metavar="N", help="Runs of each method, instead of the study's.")
@click.option("--target", type=click.FloatRange(0, 1, min_open=True), metavar="SHARE", help="Instead of the study's.")
@click.option("-o", "--output", metavar="FILE", help="Where to draw the runs: .svg or .png.")
@json_option
def speedup(
    study: str | None, data: str | None, seeds: int | None, target: float | None, output: str | None, as_json: bool
) -> None:
    """How much sooner methods reach an accuracy than the first method of STUDY, each with its best learning rate.

    Every method is tuned by a search of the same number of trials, then all run from the same initial weights over
    the data in the same order, a run for each seed. Without STUDY, list the studies.

    \b
    Examples:
      tilework speedup
      tilework speedup mnist -o speedup.svg
      tilework speedup mnist --target 0.983 --seeds 5
    """
    if study is None:
        print_titles("studies", {name: load_study(name).title for name in study_names()}, as_json)
        return
    found = compared(study, data, seeds, target, lambda line: click.echo(line, err=True))
    if output:
        from tilework.report.races import draw_races

        draw_races(found.to_dict(), output)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(str(found))
