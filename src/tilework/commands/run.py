"""`tilework run`."""

from __future__ import annotations

from operator import eq
from typing import Any, NamedTuple

import click
import numpy as np

from tilework.commands.options import (
    json_option,
    machine_option,
    print_json,
    weights_options,
)
from tilework.commands.progress import progress, working
from tilework.commands.reading import Reading, calibrated, read_inputs
from tilework.commands.segments import on_the_host, warn
from tilework.commands.sharing import compile_options
from tilework.doubling import WhatIf, what_if
from tilework.errors import ProgramError
from tilework.executable import Array, Executable, compile_network, find_weights, load_executable
from tilework.frontend.resolve import resolve
from tilework.plain import columns, percent
from tilework.simulator.tables import layers, totals

TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 8e-2}  # of the largest output
SHOWN_DIGITS = 50


class _Comparison(NamedTuple):
    """How far the outputs are from ONNX Runtime's, and for how many of the inputs the first output's best class is
    the same."""

    error: float
    same: int
    inputs: int


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
@click.option("--what-if", "doubling", is_flag=True, help="How much faster with each resource doubled, compiled anew.")
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
    doubling: bool,
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
    if doubling and network.endswith(".tile"):
        raise ProgramError(f"--what-if must have a network to compile anew, not {network}; tilework simulate keeps it")
    executable = _executable(network, batch, machine, choices, weights, seed)
    reading = read_inputs(executable, file)
    with progress("running") as moved:
        results = [executable.run(progress=moved, **values) for values in reading.inputs]
    compared = _compare(executable, reading, results) if check else None
    doubled = _doubled(executable, choices) if doubling else None
    if as_json:
        print_json(_record(executable, reading, results, compared) | (doubled.to_dict() if doubled else {}))
    else:
        click.echo(_text(executable, reading, results, compared) + (f"\n\n{doubled}" if doubled else ""))
    if compared and not _is_inexact(executable):
        _judge(compared.error, results, TOLERANCES[executable.bundle.programs[-1].outputs[0].dtype])


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
        warn(graph)
        with progress("compiling") as moved:
            found = find_weights(graph, network, weights, seed)
            executable = compile_network(graph, machine or "dlp-s", found, progress=moved, **calibrated(graph, choices))
        with working("packing weights"):
            for program in executable.bundle.programs:
                program.weights()
        return executable
    if weights or batch or choices or seed is not None:
        raise ProgramError(
            f"{network} holds its weights, its batch, its dtype and what each core does; "
            "leave out --weights, --seed, --batch, --dtype, --calibrate, --no-fusion, --prune, --cores and --split"
        )
    return load_executable(network, machine)


def _doubled(executable: Executable, choices: dict[str, Any]) -> WhatIf:
    """The network compiled for its machine with each resource doubled."""
    assert executable.source is not None
    graph, weights = executable.source
    with working("compiling for other machines"):
        return what_if(graph, executable.bundle.machine, weights=weights, **calibrated(graph, choices))


def _is_inexact(executable: Executable) -> bool:
    """Whether the program is in int8 or pruned, of which a check can only say how much it loses."""
    return bool({"calibration", "pruned"} & executable.bundle.facts.keys())


def _compare(executable: Executable, reading: Reading, results: list[dict[str, Array]]) -> _Comparison:
    with working("checking with ONNX Runtime"):
        theirs = [executable.reference(values) for values in reading.inputs]
    errors = [
        np.abs(ours[name] - values[name]).max(initial=0.0)
        for ours, values in zip(results, theirs, strict=True)
        for name in ours
    ]
    classes = [[int(scores.argmax()) for scores in _scores(each)] for each in (results, theirs)]
    return _Comparison(float(max(errors)), sum(map(eq, *classes)), len(classes[0]))


def _judge(error: float, results: list[dict[str, Array]], tolerance: float) -> None:
    scale = max(float(np.abs(values).max(initial=0.0)) for outputs in results for values in outputs.values())
    if not error <= tolerance * max(scale, 1e-30):
        raise CheckFailedError(
            f"the outputs must equal ONNX Runtime's to {tolerance:g} of {scale:g}, not differ by {error:g}"
        )


def _record(
    executable: Executable, reading: Reading, results: list[dict[str, Array]], compared: _Comparison | None
) -> dict[str, Any]:
    cost, bundle = executable.cost, executable.bundle
    return {
        "network": bundle.name,
        "machine": bundle.machine.name,
        "weights": bundle.facts.get("weights"),
        "input": reading.origin,
        "inferences": len(results),
        "cycles": cost.cycles,
        "seconds": cost.seconds,
        "bound_seconds": cost.bound_seconds,
        "array_bound_seconds": cost.array_bound_cycles / bundle.machine.clock_hz,
        "utilisation": cost.utilisation,
        "units": cost.units,
        "dram_bytes": cost.dram_bytes,
        "dram_bytes_bound": cost.dram_bytes_bound,
        "host_operations": list(bundle.host_operations),
        "host_bytes": bundle.host_bytes,
        "energy_joules": cost.energy_joules,
        "outputs": [{name: values.tolist() for name, values in outputs.items()} for outputs in results],
        "classes": [[int(c) for c in scores.argsort()[::-1][:5]] for scores in _scores(results)],
        "max_abs_error": compared.error if compared else None,
        "same_class": compared.same / compared.inputs if compared else None,
        "layers": cost.to_dict()["layers"],
    }


def _scores(results: list[dict[str, Array]]) -> list[Array]:
    """The first output for each input of each batch."""
    first = [next(iter(outputs.values())) for outputs in results]
    return [row for values in first for row in (values if values.ndim == 2 else values.reshape(1, -1))]


def _text(
    executable: Executable, reading: Reading, results: list[dict[str, Array]], compared: _Comparison | None
) -> str:
    bundle, cost = executable.bundle, executable.cost
    parts = [
        f"{bundle.name} on {bundle.machine.name} · weights: {bundle.facts.get('weights')} · input: {reading.origin}",
        _answer(reading, results),
        totals(cost, len(results)),
        layers(cost),
        on_the_host(bundle),
    ]
    if compared:
        same = f"; the best class is the same for {compared.same} of {compared.inputs}"
        error = f"ONNX Runtime's outputs differ by at most {compared.error:.3g}"
        parts.append(error + same * _is_inexact(executable))
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
