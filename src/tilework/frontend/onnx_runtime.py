"""A graph run by ONNX Runtime: the independent second opinion on its values, and on its time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np

from tilework.errors import NetworkError
from tilework.frontend.from_onnx.file import read_model
from tilework.frontend.onnx_parts import Operator
from tilework.frontend.to_onnx import save_onnx
from tilework.frontend.weight_files import package
from tilework.network.graph import Graph
from tilework.network.weights import Array

SILENT = 4  # ONNX Runtime's log level "fatal"; it raises its errors besides logging them
KERNEL = "_kernel_time"  # behind an operator's name in the profile: the time of its work alone


def run_onnx(
    graph: Graph, weights: Mapping[str, Array] | None, inputs: Mapping[str, Array], threads: int = 1
) -> dict[str, Array]:
    """The graph's outputs by name, as ONNX Runtime computes them on the CPU.

    `inputs` holds an array of the declared shape for each input; weights=None means seeded, seed 0.
    Raises NetworkError for unfit inputs and for what the runtime refuses, MissingPackageError, and what `to_onnx`
    raises.
    """
    with _session(graph, weights, threads) as (session, _):
        feed = _feed(graph, inputs)
        names = list(dict.fromkeys(graph.outputs))
        return dict(zip(names, session.run(names, feed), strict=True))


@dataclass(frozen=True)
class Profile:
    """The seconds of each run, those that processors worked in it, and those of each operator in each run."""

    runtime: str
    runs: tuple[float, ...]
    worked: tuple[float, ...]
    operators: tuple[Operator, ...]
    seconds: tuple[tuple[float, ...], ...]


def profile_onnx(
    graph: Graph,
    weights: Mapping[str, Array] | None,
    inputs: Mapping[str, Array],
    threads: int = 1,
    runs: int = 5,
    warm_up: int = 2,
) -> Profile:
    """The time of several runs, after some that don't count, and of each operator that the runtime made of the graph
    in as many runs more.

    Times are those of the clock; an operator's is what the runtime's profiler finds, which takes time between
    operators. Raises what `run_onnx` raises.
    """
    feed = _feed(graph, inputs)
    with _session(graph, weights, threads) as (session, _):
        times = [_seconds(session, feed) for _ in range(warm_up + runs)][warm_up:]
    with _session(graph, weights, threads, profiled=True) as (session, folder):
        for _ in range(warm_up + runs):
            session.run(None, feed)
        found = _kernels(session.end_profiling())
        operators = _optimised(folder / "optimised.onnx")
    seconds = tuple(tuple(found.get(one.name, ())[warm_up:]) or (0.0,) * runs for one in operators)
    version = package("onnxruntime", "onnx", "measuring").__version__
    wall, worked = zip(*times, strict=True)
    return Profile(f"ONNX Runtime {version}", wall, worked, operators, seconds)


def _seconds(session: Any, feed: Mapping[str, Array]) -> tuple[float, float]:
    start, worked = perf_counter(), process_time()
    session.run(None, feed)
    return perf_counter() - start, process_time() - worked


@contextmanager
def _session(
    graph: Graph, weights: Mapping[str, Array] | None, threads: int, profiled: bool = False
) -> Iterator[tuple[Any, Path]]:
    """A session for the graph, and the folder in which its files are while it is needed."""
    runtime = package("onnxruntime", "onnx", "running a network in ONNX Runtime")
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_onnx(graph, folder / "model.onnx", weights)
        options = _options(runtime, threads)
        if profiled:
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / "profile")
            options.optimized_model_filepath = str(folder / "optimised.onnx")
        try:
            path = str(folder / "model.onnx")
            yield runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"]), folder
        except Exception as error:  # the runtime's own have no class in common
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            said = " ".join(str(error).split())[:300]
            raise NetworkError(
                f"network {graph.name} must be one that ONNX Runtime runs, but it says: {said}"
            ) from None


def _kernels(path: str) -> dict[str, list[float]]:
    """The seconds of an operator's work, by its name, in each run."""
    found: dict[str, list[float]] = {}
    for event in json.loads(Path(path).read_text("utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            found.setdefault(event["name"].removesuffix(KERNEL), []).append(event["dur"] / 1e6)
    return found


def _optimised(path: Path) -> tuple[Operator, ...]:
    """The operators of the model that the runtime made, in an order in which they can run."""
    body = read_model(path)[0].graph
    nodes = body.node if body else ()
    return tuple(Operator(node.name, node.op_type, tuple(node.input), tuple(node.output)) for node in nodes)


def _options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    return options


def _feed(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    names = [tensor.name for tensor in graph.inputs]
    if set(names) != set(inputs):
        raise NetworkError(
            f"network {graph.name} must get the inputs {', '.join(names)}, not {', '.join(inputs) or 'none'}"
        )
    for tensor in graph.inputs:
        shape = np.shape(inputs[tensor.name])
        if shape != tensor.shape:
            raise NetworkError(f"input {tensor.name} must have the shape {list(tensor.shape)}, not {list(shape)}")
    return {t.name: np.array(inputs[t.name], t.dtype, order="C") for t in graph.inputs}
