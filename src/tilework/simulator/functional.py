"""What a program computes: its instructions executed in program order on byte-addressed memories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from tilework.errors import SimulationError
from tilework.isa.instruction import DTYPES, Operand
from tilework.isa.numbers import STORAGE, from_float32, from_integers, to_float32
from tilework.isa.program import Layer, Port, Program, Stream
from tilework.isa.validate import check_streams
from tilework.simulator.decode import Barrier, Decoder
from tilework.simulator.scalar import Flow, control_flow
from tilework.simulator.state import Array, State
from tilework.simulator.structure import analyse
from tilework.simulator.unwritten import Shadow, UnwrittenRead

Progress = Callable[[Layer], None]
MAX_INSTRUCTIONS = 10**9


def run(
    program: Program, inputs: Mapping[str, Array], progress: Progress | None = None, *, check_reads: bool = False
) -> dict[str, Array]:
    """Execute the program on the inputs (by name, in their logical shapes) and return its outputs.

    Inputs are rounded to their ports' dtypes; outputs are float32, or int32 where the port is. `progress` is called
    with each layer when the first stream has passed it. Arithmetic is IEEE 754 single precision and traps nothing:
    overflow gives infinity, 0/0 gives NaN. Raises SimulationError for inputs that don't fit, forbidden accesses,
    barriers that not all reach, programs without end and, with `check_reads`, reads of bytes that nothing has written.
    """
    return Interpreter(program, Shadow(program, most=0) if check_reads else None).run(inputs, progress)


def unwritten_reads(program: Program, inputs: Mapping[str, Array], most: int = 100) -> list[UnwrittenRead]:
    """The first reads, at most one for each operand of each instruction, of bytes that the program has not written.

    The weights and the inputs are written before it starts.
    """
    shadow = Shadow(program, most)
    Interpreter(program, shadow).run(inputs)
    return shadow.found


def decisions(program: Program, inputs: Mapping[str, Array]) -> tuple[Flow, ...]:
    """The way that each stream's control takes with these inputs, for programs whose jumps depend on data."""
    interpreter = Interpreter(program)
    interpreter.run(inputs)
    return tuple(control_flow(decoder.stream, decoder.structure, decoder.loads) for decoder in interpreter.decoders)


class Interpreter:
    """A program made ready to run many times: each instruction a Python function of the loop counters."""

    def __init__(self, program: Program, shadow: Shadow | None = None) -> None:
        streams = program.streams
        check_streams(streams, program.machine)
        self.program, self._shadow, self._used = program, shadow, False
        self.state = State(program)
        self.decoders = [self._decoder(index, stream) for index, stream in enumerate(streams)]
        self._check_length()

    def _decoder(self, index: int, stream: Stream) -> Decoder:
        return Decoder(
            stream,
            analyse(stream.instructions, stream.role),
            self.state.memories[index],
            self.state.cores(stream.cluster),
            self._shadow.watch(index) if self._shadow else None,
        )

    def run(self, inputs: Mapping[str, Array], progress: Progress | None = None) -> dict[str, Array]:
        """As the function `run`; every run starts from memories that hold 0 but for the weights."""
        if self._used:  # fresh memory is 0 already, and untouched pages cost nothing
            self.state.clear()
        self._used = True
        place_inputs(self.state, self.program, inputs)
        if self._shadow is not None:
            for port in self.program.inputs:
                self._shadow.input(port, _elements(self._shadow.state, port))
        passed = _layers_done(self.program.layers, progress) if progress else None
        first, *others = self.decoders
        with np.errstate(all="ignore"):
            self._together([first.run(passed), *[decoder.run() for decoder in others]])
        return {port.name: self._read(port) for port in self.program.outputs}

    def _together(self, walks: Sequence[Iterator[Barrier]]) -> None:
        """One stream after another from barrier to barrier."""
        standing = [next(walk, None) for walk in walks]
        while any(standing):
            passing = self._passing(standing)
            if not passing:
                raise SimulationError(self._stuck(standing))
            for index in passing:
                standing[index] = next(walks[index], None)

    def _passing(self, standing: Sequence[Barrier | None]) -> list[int]:
        """The streams that stand at a barrier at which all of its scope stand."""
        return [
            index
            for index, barrier in enumerate(standing)
            if barrier and all(_scope(standing[other]) == barrier.scope for other in self._scope(index, barrier))
        ]

    def _scope(self, index: int, barrier: Barrier) -> list[int]:
        cluster = self.decoders[index].stream.cluster
        streams = enumerate(decoder.stream for decoder in self.decoders)
        return [other for other, stream in streams if barrier.scope == "chip" or stream.cluster == cluster]

    def _stuck(self, standing: Sequence[Barrier | None]) -> str:
        index, barrier = next((index, barrier) for index, barrier in enumerate(standing) if barrier)
        missing = next(i for i in self._scope(index, barrier) if _scope(standing[i]) != barrier.scope)
        other, stands = self.decoders[missing], standing[missing]
        does = f"waits at {other.who(stands.place)} for its {stands.scope}" if stands else "has ended"
        return (
            f"every stream of the {barrier.scope} must come to {self.decoders[index].who(barrier.place)}, "
            f"but {other.stream.name} {does}; give all of them the same barriers"
        )

    def _check_length(self) -> None:
        executed = 0
        for decoder in self.decoders:
            code = decoder.stream.instructions
            if not any(code[place].mnemonic == "sload" for place in decoder.deciding):
                executed += sum(control_flow(decoder.stream, decoder.structure).executions)
        if executed > MAX_INSTRUCTIONS:
            raise SimulationError(
                f"a program must execute at most {MAX_INSTRUCTIONS} instructions to be run for its values, "
                f"not {executed}; simulate its time alone"
            )

    def _read(self, port: Port) -> Array:
        if self._shadow is not None:
            self._shadow.output(port, _elements(self._shadow.state, port))
        return port_values(self.state, port)


def place_inputs(state: State, program: Program, inputs: Mapping[str, Array]) -> None:
    """Write the inputs, rounded to their ports' dtypes, where the program finds them.

    Raises SimulationError for inputs other than the program's, or of other shapes.
    """
    _check_inputs(program, inputs)
    for port in program.inputs:
        values = _stored_values(inputs[port.name], port.dtype)
        _elements(state, port, writes=True)[...] = values.transpose(port.order)


def port_values(state: State, port: Port) -> Array:
    """The port's tensor in its logical shape as it now lies in DRAM: float32, or int32 where the port is."""
    inverse = [port.order.index(axis) for axis in range(len(port.order))]
    stored = _elements(state, port).transpose(inverse)
    values = stored if port.dtype == "int32" else to_float32(stored, port.dtype)
    return np.array(values, order="C")


def _scope(barrier: Barrier | None) -> str | None:
    return barrier.scope if barrier else None


def _elements(state: State, port: Port, *, writes: bool = False) -> Array:
    """The port's tensor as it lies in DRAM, its axes in the port's order."""
    shape = tuple(port.shape[axis] for axis in port.order)
    strides = tuple(DTYPES[port.dtype] * prod(shape[axis + 1 :]) for axis in range(len(shape)))
    operand = Operand("dram", port.address, strides, dtype=port.dtype)
    return state.memories[0].view(operand, shape, writes=writes, who=f"the tensor {port.name!r}")


def _stored_values(values: Any, dtype: str) -> Array:
    """The user's numbers as the port stores them; whole numbers stay whole."""
    given = np.asarray(values)
    if given.dtype.kind in "iu" and STORAGE[dtype].kind == "i":
        return from_integers(given, dtype)
    return from_float32(given, dtype)


def _layers_done(layers: Sequence[Layer], progress: Progress) -> Callable[[int], None]:
    """What is told how far the first stream has come, and calls `progress` for each layer once."""
    left = sorted(layers, key=lambda layer: layer.last)[::-1]

    def passed(place: int) -> None:
        while left and left[-1].last <= place:
            progress(left.pop())

    return passed


def _check_inputs(program: Program, inputs: Mapping[str, Array]) -> None:
    names = [port.name for port in program.inputs]
    if set(names) != set(inputs):
        raise SimulationError(f"the inputs must be {names}, not {list(inputs)}; give every one by its name")
    for port in program.inputs:
        shape = np.shape(inputs[port.name])
        if shape != port.shape:
            raise SimulationError(f"the input {port.name!r} must have shape {port.shape}, not {shape}; reshape it")
