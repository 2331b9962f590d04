"""A compiled network: programs, and what the host computes before, between and after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import NetworkError, ProgramError
from tilework.isa.instruction import DTYPES
from tilework.isa.program import Port, Program
from tilework.machine.machine import Machine
from tilework.machine.units import shown
from tilework.network.execute import execute
from tilework.network.graph import INPUT, Graph, Tensor

Array = npt.NDArray[Any]
Values = dict[str, Array]


@dataclass(frozen=True)
class HostPart:
    """Nodes that the host computes, as a graph; `operations` names each, with the reason. `weights` are read lazily."""

    graph: Graph
    operations: tuple[str, ...] = ()
    weights: Mapping[str, Array] = field(default_factory=dict, repr=False, compare=False)

    @property
    def reads(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what it takes, by name."""
        return {tensor.name: tensor.shape for tensor in self.graph.inputs}

    @property
    def makes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what it gives, by name."""
        return {name: self.graph.tensors[name].shape for name in self.graph.outputs}

    def run(self, values: Mapping[str, Array]) -> Values:
        """Its outputs in NumPy. Raises NetworkError for a node whose value nobody has stated."""
        given = {t.name: np.asarray(values[t.name]).astype(t.dtype, copy=False) for t in self.graph.inputs}
        return execute(self.graph, self.weights, given)


Step = Program | HostPart


@dataclass(frozen=True)
class Bundle:
    """A network's steps in the order in which they run; each takes inputs of the network and values of earlier steps.

    All programs are for one machine and have the network's name and facts.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, program: Program) -> Bundle:
        """A program that is a whole network."""
        inputs = tuple(Tensor(port.name, port.shape, role=INPUT) for port in program.inputs)
        return cls(inputs, tuple(port.name for port in program.outputs), (program,))

    @property
    def programs(self) -> tuple[Program, ...]:
        return tuple(step for step in self.steps if isinstance(step, Program))

    @property
    def host_parts(self) -> tuple[HostPart, ...]:
        return tuple(step for step in self.steps if isinstance(step, HostPart))

    @property
    def program(self) -> Program:
        """The only program. Raises ProgramError where there are several."""
        if len(self.programs) != 1:
            raise ProgramError(
                f"network {self.name} must be one program for this, not {len(self.programs)} with the host's work "
                "between them; run it, or take its `programs`"
            )
        return self.programs[0]

    @property
    def name(self) -> str:
        return self.programs[0].name

    @property
    def machine(self) -> Machine:
        return self.programs[0].machine

    @property
    def facts(self) -> dict[str, Any]:
        return self.programs[0].facts

    @property
    def host_operations(self) -> tuple[str, ...]:
        """What the host does, in order: its nodes with the reason, and reordering of inputs and outputs."""
        lists = (s.operations if isinstance(s, HostPart) else s.host_operations for s in self.steps)
        return tuple(line for lines in lists for line in lines)

    @property
    def weight_bytes(self) -> int:
        """Of all programs' packed weights."""
        return sum(program.weight_bytes for program in self.programs)

    @property
    def host_bytes(self) -> int:
        """Bytes that the host takes from the programs or gives to them besides the network's inputs and outputs."""
        outside = {tensor.name for tensor in self.inputs} | set(self.outputs)
        ports = (port for program in self.programs for port in (*program.inputs, *program.outputs))
        return sum(DTYPES[port.dtype] * prod(port.shape) for port in ports if port.name not in outside)

    def needed(self, given: Iterable[str]) -> tuple[Step, ...]:
        """The steps to run for the outputs, if these values are given: what only gives some of them is left out.

        Raises NetworkError where they are neither the network's inputs nor just what those steps take.
        """
        have, wanted, steps = set(given), set(self.outputs), list[Step]()
        for step in reversed(self.steps):
            if wanted & makes(step).keys() - have:
                steps.insert(0, step)
                wanted |= reads(step).keys()
        made = {name for step in steps for name in makes(step)}
        names = [tensor.name for tensor in self.inputs]
        if have != set(names) and have != (wanted - made) | (have & made & wanted):
            raise NetworkError(f"the inputs must be {', '.join(names)}, not {', '.join(given) or 'none'}")
        return tuple(steps)


def reads(step: Step) -> dict[str, tuple[int, ...]]:
    """The shapes of what a step takes, by name."""
    return step.reads if isinstance(step, HostPart) else _shapes(step.inputs)


def makes(step: Step) -> dict[str, tuple[int, ...]]:
    """The shapes of what a step gives, by name."""
    return step.makes if isinstance(step, HostPart) else _shapes(step.outputs)


def _shapes(ports: Iterable[Port]) -> dict[str, tuple[int, ...]]:
    return {port.name: port.shape for port in ports}


def check_bundle(bundle: Bundle) -> None:
    """Raise ProgramError unless each step takes what there is, in its shape, and the outputs are made."""
    if not bundle.programs:
        raise ProgramError("its steps must have a program among them; compile again")
    there = {tensor.name: tensor.shape for tensor in bundle.inputs}
    for step in bundle.steps:
        for name, shape in reads(step).items():
            _check_there(there, name, shape)
        there |= makes(step)
    for name in bundle.outputs:
        _check_there(there, name, there.get(name, ()))


def _check_there(there: Mapping[str, tuple[int, ...]], name: str, shape: tuple[int, ...]) -> None:
    if there.get(name) != shape:
        came = f"is {list(there[name])}" if name in there else "is not there"
        raise ProgramError(f"{shown(name)} must be there as {list(shape)} when it is taken, and {came}; compile again")
