"""What registers and memories hold at a time: what has ended by then, in the order in which it ended.

What an instruction does is stated in `simulator.execute`; it is done here when its last cycle ends. For a program whose
tokens suffice this gives the values of the program's order; for another it shows what may become of it. Going back puts
back what was overwritten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from tilework.debug.trace import ProgramRecording, Time
from tilework.isa.instruction import MAX_REGISTERS, Immediate, Instruction, Operand
from tilework.isa.numbers import from_register, to_register
from tilework.isa.program import Program
from tilework.isa.table import OPCODES
from tilework.simulator.execute import action, constant
from tilework.simulator.functional import place_inputs
from tilework.simulator.scalar import effect
from tilework.simulator.state import Array, Memories, State
from tilework.simulator.structure import descriptor_of

UNDO_BYTES = 1 << 28  # of what was overwritten; to go back further is to start again

Effect = tuple[int, int, int, int]  # the time from which it shows, 0 of control or 1, stream, order in the stream
Undo = Callable[[], None]


class Values:
    """Registers and memories of a program on given inputs, which go forth and back in time."""

    def __init__(self, recording: ProgramRecording, inputs: Mapping[str, Array]) -> None:
        self.recording, self.inputs = recording, inputs
        self.program: Program = recording.program
        self.state = State(self.program)
        self.registers = [[0] * MAX_REGISTERS for _ in self.program.streams]
        self.issued: dict[tuple[int, int], list[int]] = {}  # registers, where an address has one, by stream and order
        place_inputs(self.state, self.program, inputs)
        self._undo: deque[tuple[Undo, int]] = deque()
        self._kept = self._done = 0
        self._effects, self._known = _effects(recording), recording.horizon

    def move(self, now: Time) -> None:
        """To that time, which must be recorded. Raises SimulationError for a forbidden access on the way there."""
        if self._known != self.recording.horizon:
            self._effects, self._known = _effects(self.recording), self.recording.horizon
        wanted = bisect_left(self._effects, (now, 2))
        while self._done > wanted and self._undo:
            undo, size = self._undo.pop()
            undo()
            self._kept -= size
            self._done -= 1
        if self._done > wanted:
            self._restart()
        with np.errstate(all="ignore"):
            while self._done < wanted:
                self._perform(*self._effects[self._done][1:])
                self._done += 1

    def last_writers(self, most: int) -> list[tuple[int, int]]:
        """Stream and order of the last instructions that wrote memory, the latest first."""
        found: list[tuple[int, int]] = []
        for _, of_unit, stream, order in reversed(self._effects[: self._done]):
            if of_unit and len(found) < most:
                found.append((stream, order))
        return found

    def registers_at(self, stream: int, order: int) -> Sequence[int]:
        """The registers with which an instruction's addresses are made, as they were when it was issued."""
        return self.issued.get((stream, order), self.registers[stream])

    def _restart(self) -> None:
        self.state.clear()
        place_inputs(self.state, self.program, self.inputs)
        for registers in self.registers:
            registers[:] = [0] * MAX_REGISTERS
        self._done = 0

    def _perform(self, of_unit: int, stream: int, order: int) -> None:
        place = self.recording.streams[stream].places[order]
        instruction = self.program.streams[stream].instructions[place]
        if of_unit:
            undo = self._work(stream, order, place, instruction)
        elif instruction.mnemonic == "sstore":
            element = self._element(stream, order, place, instruction)
            undo = _saved([element])
            element[0] = from_register(self.registers[stream][instruction.registers[0]], str(_dtype(instruction)))
        else:
            undo = self._control(stream, order, place, instruction)
        self._undo.append(undo)
        self._kept += undo[1]
        while self._kept > UNDO_BYTES:
            self._kept -= self._undo.popleft()[1]

    def _control(self, stream: int, order: int, place: int, instruction: Instruction) -> tuple[Undo, int]:
        """Change a register, or note them for an instruction whose addresses they are part of."""
        registers = self.registers[stream]
        if instruction.descriptor is not None and instruction.mnemonic != "sload":
            self.issued[stream, order] = registers.copy()
            return _nothing, 0
        result = instruction.registers[0]
        undo = partial(registers.__setitem__, result, registers[result])
        if change := effect(instruction, self.program.streams[stream]):
            change(registers)
        else:
            element = self._element(stream, order, place, instruction)
            registers[result] = to_register(element[0], str(_dtype(instruction)))
        return undo, 0

    def _element(self, stream: int, order: int, place: int, instruction: Instruction) -> Array:
        return self._view(stream, order, place, self.state.memories[stream], descriptor_of(instruction).destination)

    def _work(self, stream: int, order: int, place: int, instruction: Instruction) -> tuple[Undo, int]:
        act, descriptor = action(instruction), descriptor_of(instruction)
        assert act is not None
        own = self.state.memories[stream]
        reached = self.state.cores(self.program.streams[stream].cluster) if instruction.mnemonic == "cast" else [own]
        sources = [
            constant(source) if isinstance(source, Immediate) else self._view(stream, order, place, own, source)
            for source in descriptor.sources
        ]
        written = [self._view(stream, order, place, one, descriptor.destination, writes=True) for one in reached]
        undo = _saved(written)
        for destination in written:
            act(destination, *sources)
        return undo

    def _view(
        self, stream: int, order: int, place: int, memories: Memories, operand: Operand, *, writes: bool = False
    ) -> Array:
        code = self.program.streams[stream]
        return memories.view(
            operand,
            descriptor_of(code.instructions[place]).extents,
            self.recording.streams[stream].counters[order],
            registers=self.registers_at(stream, order),
            writes=writes,
            who=f"{code.where(place)} ({code.instructions[place].mnemonic})",
        )


def _dtype(instruction: Instruction) -> str:
    return descriptor_of(instruction).destination.dtype


def _nothing() -> None:
    return None


def _saved(views: Sequence[Array]) -> tuple[Undo, int]:
    """What puts back the bytes of the views, and how many it keeps."""
    once = [view[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in view.strides)] for view in views]
    kept = [view.copy() for view in once]

    def undo() -> None:
        for view, old in zip(once, kept, strict=True):
            view[...] = old

    return undo, sum(old.nbytes for old in kept)


def _effects(recording: ProgramRecording) -> list[Effect]:
    """All that changes registers or memory before the horizon, in the order of time."""
    found: list[tuple[int, int, int, int]] = []
    for index, (trace, stream) in enumerate(zip(recording.streams, recording.program.streams, strict=True)):
        changes = [_changes_registers(instruction) for instruction in stream.instructions]
        for order, (cycle, place) in enumerate(zip(trace.cycles, trace.places, strict=True)):
            if changes[place]:
                found.append((int(cycle) + 1, 0, index, order))
        for unit in trace.units:
            for order, place, end in zip(unit.orders, unit.places, unit.ends, strict=True):
                if stream.instructions[place].descriptor is not None:
                    found.append((int(end), 1, index, order))
    return sorted(effect for effect in found if effect[0] <= recording.horizon)


def _changes_registers(instruction: Instruction) -> bool:
    """Whether control has to be followed there: it changes a register or an element, or an address has a register."""
    if OPCODES[instruction.mnemonic].form in ("scalar", "register", "sload", "sstore"):
        return True
    operands = instruction.descriptor.operands if instruction.descriptor else ()
    return any(operand.register is not None for operand in operands)
