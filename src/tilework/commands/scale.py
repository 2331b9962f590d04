"""`tilework scale`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tilework.commands.options import json_option, network_options, print_json
from tilework.commands.progress import working
from tilework.cost.memory import OPTIMISERS
from tilework.cost.scale_text import curve_text, serving_curve_text
from tilework.cost.sharding_text import sharding_rows, sharding_text
from tilework.cost.traffic import BYTES
from tilework.counting import load, serving_curve, training_curve
from tilework.errors import MachineError

Command = TypeVar("Command", bound=Callable[..., Any])
SHARE = click.FloatRange(0, 1, min_open=True)


def device_options(command: Command) -> Command:
    """The fields of `cost.setup.Setup`, by their names there."""
    for option in (
        click.option("--fused", is_flag=True, help="Activations stay on chip between layers: the least time."),
        click.option("--memory-utilisation", type=SHARE, default=1.0, help="Share of the bandwidth that is reached."),
        click.option("--compute-utilisation", type=SHARE, default=1.0, help="Share of the peak that is reached."),
        click.option("--link-latency", type=float, default=0.0, metavar="SECONDS", help="Of each step of an exchange."),
        click.option("--network-bandwidth", metavar="RATE", help="Of a node to other nodes, in one direction."),
        click.option("--node", type=int, metavar="N", help="Devices in a node (default: all of them)."),
        click.option(
            "--link-bandwidth",
            metavar="RATE",
            help='Of a device, in one direction, such as "50 GB/s" (default: half of what its maker states for both).',
        ),
        click.option("--data", type=int, metavar="N", help="Copies of the network (default: what --devices leaves)."),
        click.option("--pipeline", type=int, default=1, metavar="N", help="Stages that layers are divided into."),
        click.option("--tensor", type=int, default=1, metavar="N", help="Devices that share each layer."),
        click.option("--devices", type=int, metavar="N", help="tensor x pipeline x data."),
        click.option("--dtype", type=click.Choice(tuple(BYTES)), help="What numbers are stored as."),
    ):
        command = option(command)
    return command


def training_options(command: Command) -> Command:
    """What only a training step has."""
    for option in (
        click.option("--weak", is_flag=True, help="With --over: the batch grows with the devices."),
        click.option("--no-overlap", is_flag=True, help="Gradients are added up after the backward pass."),
        click.option("--recompute", is_flag=True, help="Compute each block's activations once more to save memory."),
        click.option("--optimizer", type=click.Choice(tuple(OPTIMISERS)), default="adam", help="Default adam."),
        click.option("--micro-batch", type=click.IntRange(1), metavar="N", help="Inputs at a time on each copy."),
        click.option("--train", is_flag=True, help="A training step of --batch inputs instead of answers."),
    ):
        command = option(command)
    return command


@click.command()
@network_options
@click.option("--on", "machine", required=True, metavar="MACHINE", help="A name or a TOML file.")
@device_options
@click.option("--generate", type=click.IntRange(1), default=128, metavar="N", help="Tokens after the prompt.")
@click.option("--watts", type=click.FloatRange(0), help="Of one device, for the energy of a token.")
@click.option("--price-per-hour", type=click.FloatRange(0), metavar="PRICE", help="Of one device.")
@training_options
@click.option("--over", metavar="N,N…", help="A scaling curve over these numbers of devices, such as 1,2,4,8.")
@click.option("--shards", is_flag=True, help="Which tensors are split over --tensor devices, and what these exchange.")
@click.option("-o", "--output", metavar="FILE", help="Draw the scaling curve (.svg, .png).")
@json_option
def scale(
    network: str,
    inputs: tuple[str, ...],
    batch: str | None,
    machine: str,
    output: str | None,
    over: str | None,
    train: bool,
    shards: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """The time of NETWORK on many devices: answers of a language model and others, or a training step.

    A model of what each device computes and moves, from the network's nests, and of what the devices tell one another;
    a bound where no utilisation is given. The prompt of hf:CONFIG has --input seq=N tokens. docs/scale.md has the
    formulas, and how far off published measurements they are.

    \b
    Examples:
      tilework scale hf:config.json --on h100-sxm --tensor 8 --batch 32 --input seq=2048 --price-per-hour 2.5
      tilework scale hf:config.json --on h100-sxm --over 1,2,4,8 -o decode.svg
      tilework scale hf:config.json --on a100-80gb --tensor 8 --shards
      tilework scale resnet50 --on v100-sxm2 --train --batch 2048 --over 1,8,64 --node 8 --network-bandwidth "12.5 GB/s"
      tilework scale hf:config.json --on a100-80gb --train --batch 1536 --tensor 8 --pipeline 8 --data 16 --recompute
    """
    if batch is not None and not batch.isdecimal():
        raise MachineError(f"--batch must be a whole number here, not {batch!r}; give one such as 8")
    size = int(batch or 1)
    if shards:
        _show_shards(network, inputs, size, options["tensor"], as_json)
        return
    numbers = _numbers(over) if over else _powers(options) if output else ()
    chosen = _training(options, size) if train else _answers(options, size)
    with working(f"reading {network}"):
        found = (training_curve if train else serving_curve)(
            network, machine, *inputs, over=numbers, check=not numbers, **chosen
        )
    if output:
        from tilework.report.scaling import draw_scaling

        draw_scaling(found, output)
    if as_json:
        documents = [one.to_dict() for one in found]
        print_json({"network": found[0].network, "curve": documents} if numbers else documents[0])
    elif numbers:
        click.echo(curve_text(found) if train else serving_curve_text(found))  # type: ignore[arg-type]
    else:
        click.echo(str(found[0]))


ONLY_ANSWERS = ("generate", "watts", "price_per_hour")
ONLY_TRAINING = ("micro_batch", "optimizer", "recompute", "no_overlap", "weak")


def _training(options: dict[str, Any], batch: int) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in ONLY_ANSWERS}
    overlap = not kept.pop("no_overlap")
    return {**kept, "overlap": overlap, "batch": batch}


def _answers(options: dict[str, Any], batch: int) -> dict[str, Any]:
    return {**{name: value for name, value in options.items() if name not in ONLY_TRAINING}, "batch": batch}


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise MachineError(f"--over must be numbers of devices such as 1,2,4, not {text!r}; correct it")
    return tuple(map(int, parts))


def _powers(options: dict[str, Any]) -> tuple[int, ...]:
    """1, 2, 4 … up to the devices asked for, at least 8; each with the network's own tensor and pipeline degrees."""
    least = options["pipeline"] * options["tensor"] if options["train"] else 1
    most = max(8 * least, options["devices"] or 0)
    return tuple(least * 2**power for power in range(32) if least * 2**power <= most)


def _show_shards(network: str, inputs: tuple[str, ...], batch: int, tensor: int, as_json: bool) -> None:
    with working(f"reading {network}"):
        graph = load(network, *inputs, batch=batch)
    if as_json:
        print_json({"network": graph.name, "tensor": tensor, "layers": sharding_rows(graph, tensor)})
    else:
        click.echo(sharding_text(graph, tensor))
