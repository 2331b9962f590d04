"""What a program computes: its instructions executed in program order on byte-addressed memories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tilework.errors import SimulationError
from tilework.isa.instruction import ELEMENT_BYTES, Immediate, Instruction, Operand
from tilework.isa.program import Layer, Port, Program
from tilework.simulator.execute import Action, action, constant
from tilework.simulator.state import Array, State
from tilework.simulator.structure import Structure, analyse, descriptor_of

Step = Callable[[list[int]], Any]
Progress = Callable[[Layer], None]
MAX_INSTRUCTIONS = 10**10


def run(program: Program, inputs: Mapping[str, Array], progress: Progress | None = None) -> dict[str, Array]:
    """Execute the program on the inputs (float32, by name, in their logical shapes) and return its outputs.

    `progress` is called with each layer when it is done. Arithmetic is IEEE 754 single precision and traps nothing:
    overflow gives infinity, 0/0 gives NaN. Raises SimulationError for inputs that don't fit and forbidden accesses.
    """
    return Interpreter(program).run(inputs, progress)


class Interpreter:
    """A program made ready to run many times: each instruction a Python function of the loop counters."""

    def __init__(self, program: Program) -> None:
        self.program = program
        structure = analyse(program.instructions)
        _check_length(structure)
        self.state, self._used = State(program), False
        self._depth = max(map(len, structure.counts), default=0)
        self._done: defaultdict[int, list[Layer]] = defaultdict(list)
        for layer in program.layers:
            self._done[layer.last].append(layer)
        decoder = _Decoder(program.instructions, structure, self.state)
        self._steps = list(decoder.block(0, len(program.instructions)))

    def run(self, inputs: Mapping[str, Array], progress: Progress | None = None) -> dict[str, Array]:
        """As the function `run`; every run starts from memories that hold 0 but for the weights."""
        _check_inputs(self.program, inputs)
        if self._used:  # fresh memory is 0 already, and untouched pages cost nothing
            self.state.clear()
        self._used = True
        for port in self.program.inputs:
            values = np.asarray(inputs[port.name], np.float32)
            self._stored(port, writes=True)[...] = values.transpose(port.order)
        counters = [0] * self._depth
        with np.errstate(all="ignore"):
            for after, step in self._steps:
                if step is not None:
                    step(counters)
                if progress is not None:
                    for layer in self._done.get(after, ()):
                        progress(layer)
        return {port.name: self._read(port) for port in self.program.outputs}

    def _stored(self, port: Port, *, writes: bool = False) -> Array:
        """The port's tensor as it lies in DRAM, its axes in the port's order."""
        shape = tuple(port.shape[axis] for axis in port.order)
        strides = tuple(ELEMENT_BYTES * prod(shape[axis + 1 :]) for axis in range(len(shape)))
        who = f"the tensor {port.name!r}"
        return self.state.view(Operand("dram", port.address, strides), shape, writes=writes, who=who)

    def _read(self, port: Port) -> Array:
        inverse = [port.order.index(axis) for axis in range(len(port.order))]
        return np.array(self._stored(port).transpose(inverse), np.float32, order="C")


def _check_length(structure: Structure) -> None:
    executed = sum(structure.executions)
    if executed > MAX_INSTRUCTIONS:
        raise SimulationError(
            f"a program must execute at most {MAX_INSTRUCTIONS} instructions to be run for its values, not {executed}; "
            "simulate its time alone"
        )


def _check_inputs(program: Program, inputs: Mapping[str, Array]) -> None:
    names = [port.name for port in program.inputs]
    if set(names) != set(inputs):
        raise SimulationError(f"the inputs must be {names}, not {list(inputs)}; give every one by its name")
    for port in program.inputs:
        shape = np.shape(inputs[port.name])
        if shape != port.shape:
            raise SimulationError(f"the input {port.name!r} must have shape {port.shape}, not {shape}; reshape it")


@dataclass(frozen=True, slots=True)
class _Decoder:
    """Turns instructions into functions of the loop counters."""

    instructions: Sequence[Instruction]
    structure: Structure
    state: State

    def block(self, first: int, last: int) -> Iterator[tuple[int, Step | None]]:
        """The steps of [first, last), each with the place after it; None for an instruction that only orders others."""
        place = first
        while place < last:
            after = place + 1
            if self.instructions[place].mnemonic == "loop":
                after = self.structure.partner[place] + 1
                yield after, self._loop(place, after - 1)
            else:
                yield after, self._step(place)
            place = after

    def _loop(self, first: int, last: int) -> Step:
        count, depth = self.instructions[first].count, len(self.structure.counts[first])
        body = [step for _, step in self.block(first + 1, last) if step is not None]

        def loop(counters: list[int]) -> None:
            for iteration in range(count):
                counters[depth] = iteration
                for step in body:
                    step(counters)

        return loop

    def _step(self, place: int) -> Step | None:
        instruction = self.instructions[place]
        who = f"instruction {place} ({instruction.mnemonic})"
        act = action(instruction)
        if act is None:
            return None
        descriptor, counts = descriptor_of(instruction), self.structure.counts[place]

        def find(source: Operand | Immediate, writes: bool = False) -> Any:
            if isinstance(source, Immediate):
                return constant(source)
            return self.state.accessor(source, descriptor.extents, counts, writes=writes, who=who)

        return _bind(act, find(descriptor.destination, writes=True), [find(s) for s in descriptor.sources])


def _bind(act: Action, destination: Any, sources: list[Any]) -> Step:
    """A function of the counters that finds the operands and acts; operands that never move are found already."""
    if not any(callable(operand) for operand in (destination, *sources)):
        return lambda counters: act(destination, *sources)
    find, *others = [operand if callable(operand) else _always(operand) for operand in (destination, *sources)]
    if len(others) == 1:
        (a,) = others
        return lambda counters: act(find(counters), a(counters))
    a, b = others
    return lambda counters: act(find(counters), a(counters), b(counters))


def _always(operand: Any) -> Callable[[Sequence[int]], Any]:
    return lambda counters: operand
