"""`tilework run`."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from tilework.commands.options import (
    json_option,
    machine_option,
    print_json,
    weights_options,
)
from tilework.commands.progress import progress, working
from tilework.commands.reading import Reading, read_inputs
from tilework.commands.sharing import compile_options
from tilework.errors import ProgramError
from tilework.executable import Array, Executable, compile_network, find_weights, load_executable
from tilework.frontend.resolve import resolve
from tilework.plain import columns, percent
from tilework.simulator.tables import layers, totals

TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 8e-2}  # of the largest output
SHOWN_DIGITS = 50


class CheckFailedError(Exception):
    """The simulated processor and ONNX Runtime disagree."""


@click.command()
@click.argument("network", metavar="NETWORK|FILE.tile")
@click.option("--input", "file", metavar="FILE", help="A picture, or an array (.npy, .npz).")
@click.option("--batch", type=int, metavar="N", help="Inputs at a time.")
@machine_option
@compile_options
@weights_options
@click.option("--check", is_flag=True, help="Compare the outputs with ONNX Runtime's.")
@json_option
def run(
    network: str,
    file: str | None,
    batch: int | None,
    machine: str | None,
    choices: dict[str, Any],
    weights: str | None,
    seed: int | None,
    check: bool,
    as_json: bool,
) -> None:
    """Run NETWORK, or a program FILE.tile, on the simulated processor: outputs, exact cycles, traffic and energy.

    --input is a picture (a row of handwritten digits for lenet5, any photograph for the ImageNet networks) or an
    array (.npy, .npz); without it the input is seeded random numbers.

    \b
    Examples:
      tilework run lenet5 --for dlp-s --input examples/digits.png --check
      tilework run vgg19 --for dlp-s --input photo.jpg --weights vgg19.pth
      tilework run resnet50 --batch 4 --for dlp-m4 --split data
    """
    executable = _executable(network, batch, machine, choices, weights, seed)
    reading = read_inputs(executable, file)
    with progress("running") as moved:
        results = [executable.run(progress=moved, **values) for values in reading.inputs]
    error = _largest_error(executable, reading, results) if check else None
    if as_json:
        print_json(_record(executable, reading, results, error))
    else:
        click.echo(_text(executable, reading, results, error))
    _judge(error, results, TOLERANCES[executable.program.outputs[0].dtype])


def _executable(
    network: str,
    batch: int | None,
    machine: str | None,
    choices: dict[str, Any],
    weights: str | None,
    seed: int | None,
) -> Executable:
    if not network.endswith(".tile"):
        graph = resolve(network, batch)
        with progress("compiling") as moved:
            found = find_weights(graph, network, weights, seed)
            executable = compile_network(graph, machine or "dlp-s", found, progress=moved, **choices)
        with working("packing weights"):
            executable.program.weights()
        return executable
    if weights or batch or choices or seed is not None:
        raise ProgramError(
            f"{network} holds its weights, its batch, its dtype and what each core does; "
            "leave out --weights, --seed, --batch, --dtype, --no-fusion, --cores and --split"
        )
    return load_executable(network, machine)


def _largest_error(executable: Executable, reading: Reading, results: list[dict[str, Array]]) -> float:
    with working("checking with ONNX Runtime"):
        largest = 0.0
        for values, ours in zip(reading.inputs, results, strict=True):
            for name, theirs in executable.reference(values).items():
                largest = max(largest, float(np.abs(ours[name] - theirs).max(initial=0.0)))
    return largest


def _judge(error: float | None, results: list[dict[str, Array]], tolerance: float) -> None:
    scale = max(float(np.abs(values).max(initial=0.0)) for outputs in results for values in outputs.values())
    if error is not None and not error <= tolerance * max(scale, 1e-30):
        raise CheckFailedError(
            f"the outputs must equal ONNX Runtime's to {tolerance:g} of {scale:g}, not differ by {error:g}"
        )


def _record(
    executable: Executable, reading: Reading, results: list[dict[str, Array]], error: float | None
) -> dict[str, Any]:
    cost, program = executable.cost, executable.program
    return {
        "network": program.name,
        "machine": program.machine.name,
        "weights": program.facts.get("weights"),
        "input": reading.origin,
        "inferences": len(results),
        "cycles": cost.cycles,
        "seconds": cost.seconds,
        "bound_seconds": cost.bound_seconds,
        "utilisation": cost.utilisation,
        "units": cost.units,
        "dram_bytes": cost.dram_bytes,
        "dram_bytes_bound": cost.dram_bytes_bound,
        "energy_joules": cost.energy_joules,
        "outputs": [{name: values.tolist() for name, values in outputs.items()} for outputs in results],
        "classes": [[int(c) for c in scores.argsort()[::-1][:5]] for scores in _scores(results)],
        "max_abs_error": error,
        "layers": cost.to_dict()["layers"],
    }


def _scores(results: list[dict[str, Array]]) -> list[Array]:
    """The first output for each input of each batch."""
    first = [next(iter(outputs.values())) for outputs in results]
    return [row for values in first for row in (values if values.ndim == 2 else values.reshape(1, -1))]


def _text(executable: Executable, reading: Reading, results: list[dict[str, Array]], error: float | None) -> str:
    program, cost = executable.program, executable.cost
    parts = [
        f"{program.name} on {program.machine.name} · weights: {program.facts.get('weights')} · input: {reading.origin}",
        _answer(reading, results),
        totals(cost, len(results)),
        layers(cost),
        f"on the host: {', '.join(program.host_operations) or 'none'}",
    ]
    if error is not None:
        parts.append(f"ONNX Runtime's outputs differ by at most {error:.3g}")
    return "\n\n".join(parts)


def _two_best(place: int, values: Array) -> tuple[str, ...]:
    first, second = (int(c) for c in values.argsort()[::-1][:2])
    likely, next_likely = (percent(float(values[c]), 2) for c in (first, second))
    return str(place + 1), str(first), likely, str(second), next_likely


def _answer(reading: Reading, results: list[dict[str, Array]]) -> str:
    scores = _scores(results)
    if not reading.digits and (len(scores) == 1 or scores[0].size < 2):
        best = scores[0].argsort()[::-1][:5]
        ranked = [(str(place + 1), str(c), percent(float(scores[0][c]))) for place, c in enumerate(best)]
        return columns(("rank", "class", "score"), ranked, left=0)
    rows = [_two_best(place, values) for place, values in enumerate(scores[:SHOWN_DIGITS])]
    if not reading.digits:
        return columns(("input", "class", "score", "next", "score"), rows, left=0)
    read = " ".join(str(int(values.argmax())) for values in scores)
    table = columns(("digit", "reads", "probability", "next", "probability"), rows, left=0)
    return f"it reads  {read}\n\n{table}"
