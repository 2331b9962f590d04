"""A network's time on this machine, layer by layer, and what this machine reaches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tilework.calibrating import calibration_graph, fastest_product, reached
from tilework.cost.measured import Measured, Timed, measured
from tilework.counting import load, torch_module
from tilework.errors import MissingPackageError, NetworkError
from tilework.executable import Array, find_weights, random_values
from tilework.machine.accelerator import Accelerator
from tilework.machine.load import load_accelerator
from tilework.network.graph import Graph

ONNX, TORCH = RUNTIMES = ("onnxruntime", "torch")
RUNS, WARM_UP = 10, 2
DTYPE = "float32"  # that both runtimes compute in


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(
    network: Any,
    *inputs: Any,
    on: str | Accelerator | None = None,
    runtime: str = ONNX,
    threads: int | None = None,
    runs: int = RUNS,
    batch: int | None = None,
    phase: str = "",
    **named: Any,
) -> Measured:
    """The time of a network on this machine, in ONNX Runtime or torch, beside its bound and a prediction.

    `on` is the machine that bounds and predicts: one that `machine_here` measured, its file, or any other; by default
    this machine is measured first, with as many `threads` as the network then has (default: all processors). Weights
    are those of `find_weights`, inputs random. torch runs networks that are torch modules. Raises NetworkError for a
    network that the runtime can't run, MachineError, MissingPackageError, and what `count` raises.
    """
    number = threads or processors()
    if runtime not in RUNTIMES:
        raise NetworkError(f"the runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}; choose one")
    if runs < 1 or number < 1:
        raise NetworkError(f"runs and threads must be at least 1, not {min(runs, number)}")
    graph = load(network, *inputs, batch=batch, phase=phase, **named)
    module = torch_module(network) if runtime == TORCH else None
    machine = machine_here(threads=number) if on is None else load_accelerator(on)
    values, spec = random_values(graph), network if isinstance(network, str) else ""
    if module is None:
        return _beside(_onnx_times(graph, spec, values, number, runs), graph, machine, number)
    return _beside(_torch_times(graph, module, values, number, runs), graph, machine, number)


def machine_here(device: str = "cpu", threads: int | None = None, triad_bytes: int | None = None) -> Accelerator:
    """This machine, or its first GPU ("cuda"), measured: `machine.measure`, and on the processor what single layers
    reach in ONNX Runtime where that is installed."""
    from tilework.machine.measure import measure as measure_peaks

    number = threads or processors()
    found = measure_peaks(device, number) if triad_bytes is None else measure_peaks(device, number, triad_bytes)
    if device != "cpu":
        return found
    try:
        return calibrated(found, number)
    except MissingPackageError:
        return found


def calibrated(machine: Accelerator, threads: int) -> Accelerator:
    """A measured machine with what single layers reach in ONNX Runtime. Raises MissingPackageError without it."""
    graph = calibration_graph()
    times = _onnx_times(graph, "", random_values(graph), threads, RUNS)
    rate = fastest_product(_beside(times, graph, machine, threads))
    if rate > machine.peak[DTYPE]:
        machine = replace(machine, peak=machine.peak | {DTYPE: float(f"{rate:.4g}")})
    return replace(machine, reached=reached(_beside(times, graph, machine, threads)))


@dataclass(frozen=True)
class _Times:
    """What a runtime took: parts of the network, whole runs by the clock and by what processors worked, and the layers
    that took none."""

    runtime: str
    parts: tuple[Timed, ...]
    runs: tuple[float, ...]
    worked: tuple[float, ...]
    untimed: tuple[str, ...]


def _beside(times: _Times, graph: Graph, machine: Accelerator, threads: int) -> Measured:
    found = measured(graph, machine, times.parts, times.runs, times.runtime, threads, DTYPE)
    return replace(found, worked=times.worked, untimed=times.untimed)


def _onnx_times(graph: Graph, spec: str, values: Mapping[str, Array], threads: int, runs: int) -> _Times:
    from tilework.frontend.onnx_parts import parts
    from tilework.frontend.onnx_runtime import profile_onnx

    profile = profile_onnx(graph, find_weights(graph, spec), values, threads, runs, WARM_UP)
    found, untimed = parts(graph, profile.operators)
    timed = tuple(
        Timed(part.layers, tuple(map(sum, zip(*(profile.seconds[place] for place in part.operators), strict=True))))
        for part in found
    )
    return _Times(profile.runtime, timed, profile.runs, profile.worked, untimed)


def _torch_times(graph: Graph, module: Any, values: Mapping[str, Array], threads: int, runs: int) -> _Times:
    from tilework.frontend.from_torch.timing import profile_torch

    profile = profile_torch(module, graph, values, threads, runs, WARM_UP)
    timed = tuple(Timed(layers, seconds) for layers, seconds in profile.parts)
    return _Times(profile.runtime, timed, profile.runs, profile.worked, profile.untimed)
