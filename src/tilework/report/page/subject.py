"""What a page is about: a network, its costs, its bounds on machines, and its program, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tilework.compiler.dtype import stored_dtype
from tilework.compiler.options import Options
from tilework.cost.count import Count, count
from tilework.cost.roofline import Roofline, roofline
from tilework.counting import load
from tilework.errors import CompileError, MachineError, SimulationError
from tilework.executable import Executable, compile_network
from tilework.machine.accelerator import Accelerator
from tilework.machine.load import load_accelerator, load_either
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.simulator.cycle import Result

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Subject:
    """`roofs` are of the page's machine, if its peak is known, and of those beside it. Without a program `missing` is
    the sentence that says why, and `no_roof` says why there is no roof."""

    graph: Graph
    machine: Machine | Accelerator
    count: Count
    roofs: tuple[Roofline, ...]
    executable: Executable | None = None
    missing: str = ""
    no_roof: str = ""

    @property
    def cost(self) -> Result | None:
        """What the simulator found."""
        return self.executable.cost if self.executable else None

    @property
    def dtype(self) -> str | None:
        """What the page's bytes take floating-point numbers to be stored as."""
        return self.roofs[0].dtype if self.roofs else None

    @cached_property
    def layer_of(self) -> dict[str, int]:
        """The program's layer that computes each node.

        A node without a layer of its own is computed where it is read first (a batch normalisation's convolution, a
        slice that is not made), or, if nothing reads it, with what it reads. The host's nodes have none.
        """
        if self.executable is None or self.executable.compilation is None:
            return {}
        found: dict[str, int] = {}
        for number, works in enumerate(self.executable.compilation.layers):
            for name in works[0].group.nodes:
                found.setdefault(name, number)
        hosts = self.on_host
        readers: dict[str, int] = {}
        for node in reversed(self.graph.nodes):
            if node.name not in found and node.name not in hosts and node.name in readers:
                found[node.name] = readers[node.name]
            if node.name in found:
                readers |= dict.fromkeys(node.inputs, found[node.name])
        for node in self.graph.nodes:
            if node.name not in found and node.name not in hosts:
                found.update((node.name, found[source]) for source in node.inputs[:1] if source in found)
        return found

    @cached_property
    def on_host(self) -> frozenset[str]:
        """The nodes that the host computes."""
        parts = self.executable.bundle.host_parts if self.executable else ()
        return frozenset(node.name for part in parts for node in part.graph.nodes)

    @cached_property
    def main_nodes(self) -> tuple[int, ...]:
        """For each layer of the program the place of its node with the most multiply-accumulates, -1 if none is its."""
        best: dict[int, tuple[int, int]] = {}
        for place, row in enumerate(self.count.rows[: len(self.graph.nodes)]):
            layer = self.layer_of.get(row.name, -1)
            best[layer] = max(best.get(layer, (-1, 0)), (row.macs, -place))
        layers = self.cost.layers if self.cost else ()
        return tuple(-best[number][1] if number in best else -1 for number in range(len(layers)))


def subject_of(
    network: Any,
    machine: str | Path | Machine | Accelerator,
    beside: Sequence[str | Path | Machine | Accelerator] = (),
    **choices: Any,
) -> Subject:
    """Count, bound, compile and simulate a network; `choices` are those of `compile_network`.

    A network that the machine can't run, and an accelerator of which only peaks are known, have no program. Raises
    NetworkError or MachineError for what can't be read, WeightsError for weights that don't fit, CompileError for
    choices that the machine doesn't have.
    """
    graph = network if isinstance(network, Graph) else load(network)
    target, others = load_either(machine), tuple(map(load_either, beside))
    executable, missing = _executable(graph, target, choices)
    roofs, no_roof = _roofs(graph, target, others, choices.get("dtype"))
    return Subject(graph, target, count(graph, dtype=None), roofs, executable, missing, no_roof)


def _executable(graph: Graph, machine: Machine | Accelerator, choices: dict[str, Any]) -> tuple[Executable | None, str]:
    if isinstance(machine, Accelerator):
        return None, (
            f"only the peaks and the bandwidth of {machine.name} are published, so that nothing can be compiled for it "
            "or simulated on it"
        )
    Options(**{name: choices[name] for name in choices.keys() & Options.__dataclass_fields__}).check(machine)
    if choices.get("dtype"):
        stored_dtype(machine, choices["dtype"])
    try:
        executable = compile_network(graph, machine, **choices)
        assert executable.cost
    except (CompileError, SimulationError) as error:
        return None, str(error)
    return executable, ""


def _roofs(
    graph: Graph, machine: Machine | Accelerator, others: Sequence[Machine | Accelerator], asked: str | None
) -> tuple[tuple[Roofline, ...], str]:
    """The machine's roof comes first; where its own isn't known there is none at all."""
    try:
        dtype = stored_dtype(machine, asked) if isinstance(machine, Machine) else asked
        first = roofline(graph, load_accelerator(machine), dtype)
    except (MachineError, CompileError) as error:
        if others:
            raise
        return (), str(error)
    return (first, *(roofline(graph, load_accelerator(other), _known(other, asked)) for other in others)), ""


def _known(machine: Machine | Accelerator, asked: str | None) -> str | None:
    """The dtype asked for where the machine has a peak in it, else its main one."""
    return asked if asked in load_accelerator(machine).peak else None
