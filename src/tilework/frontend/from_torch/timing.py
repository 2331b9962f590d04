"""The time of a torch module and of the modules in it, by hooks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import torch

from tilework.errors import NetworkError
from tilework.network.graph import Graph
from tilework.network.weights import Array


@dataclass(frozen=True)
class Profile:
    """The seconds of each run, and those that processors worked in it; layers with those that the module they belong
    to spent on them, without its parts."""

    runtime: str
    runs: tuple[float, ...]
    worked: tuple[float, ...]
    parts: tuple[tuple[tuple[str, ...], tuple[float, ...]], ...]
    untimed: tuple[str, ...]


def profile_torch(
    module: torch.nn.Module, graph: Graph, values: Mapping[str, Array], threads: int, runs: int, warm_up: int
) -> Profile:
    """The time of several runs, after some that don't count, without gradients; then of each module in as many others.

    A module's own time is that of its call without those of the modules that it calls; layers are those of the graph
    that was read from the module. A module without weights gets random ones, in a copy. Raises NetworkError where it
    can't run.
    """
    ready = _with_weights(module)
    inputs = [torch.from_numpy(values[tensor.name]) for tensor in graph.inputs]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            times = [_seconds(ready, inputs) for _ in range(warm_up + runs)][warm_up:]
            own = _module_seconds(ready, inputs, runs)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise NetworkError(f"network {graph.name} must be one that torch runs with its inputs, but: {said}") from error
    finally:
        torch.set_num_threads(before)
    parts, untimed = _parts(graph, own)
    wall, worked = zip(*times, strict=True)
    return Profile(f"torch {torch.__version__}", wall, worked, parts, untimed)


def _with_weights(module: torch.nn.Module) -> torch.nn.Module:
    tensors = (*module.parameters(), *module.buffers())
    if not any(tensor.is_meta for tensor in tensors):
        return module
    made = deepcopy(module).to_empty(device="cpu")
    torch.manual_seed(0)
    for tensor in (*made.parameters(), *made.buffers()):
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.01, 0.1)
        else:
            tensor.zero_()
    return made.eval()


def _seconds(module: torch.nn.Module, inputs: list[torch.Tensor]) -> tuple[float, float]:
    start, worked = perf_counter(), process_time()
    module(*inputs)
    return perf_counter() - start, process_time() - worked


def _module_seconds(module: torch.nn.Module, inputs: list[torch.Tensor], runs: int) -> dict[str, list[float]]:
    """Each module's own seconds in each run, by its path."""
    found: dict[str, list[float]] = {}
    running: list[list[float]] = []  # of each call under way: its start, and what the calls in it took

    def begin(*_: Any) -> None:
        running.append([perf_counter(), 0.0])

    def end(path: str, run: int) -> None:
        start, inside = running.pop()
        spent = perf_counter() - start
        if running:
            running[-1][1] += spent
        times = found.setdefault(path, [0.0] * runs)
        times[run] += spent - inside

    for run in range(runs):
        with ExitStack() as hooks:
            for path, part in module.named_modules():
                hooks.callback(part.register_forward_pre_hook(begin).remove)
                hooks.callback(part.register_forward_hook(lambda *_, path=path, run=run: end(path, run)).remove)
            module(*inputs)
    return found


def _parts(
    graph: Graph, own: Mapping[str, list[float]]
) -> tuple[tuple[tuple[tuple[str, ...], tuple[float, ...]], ...], tuple[str, ...]]:
    """The layers of each module, in the order of the network."""
    layers: dict[str, list[str]] = {}
    for node in graph.nodes:
        layers.setdefault(_module_of(node.name, own), []).append(node.name)
    parts = tuple((tuple(names), tuple(own[path])) for path, names in layers.items() if path in own)
    return parts, tuple(name for path, names in layers.items() if path not in own for name in names)


def _module_of(name: str, own: Mapping[str, list[float]]) -> str:
    """The innermost module that ran whose path a layer's name begins with."""
    path = name
    while path and path not in own:
        path = path.rpartition(".")[0]
    return path
