"""What can be looked at: registers, tokens, queues, and any part of a memory as the tensor tile that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import numpy as np

from tilework.debug.trace import Recording, Time
from tilework.debug.values import Values
from tilework.debug.waiting import StreamState, stream_state
from tilework.errors import DebugError, SimulationError
from tilework.isa.blocks import stored
from tilework.isa.instruction import DTYPES, Operand
from tilework.isa.numbers import to_float32
from tilework.simulator.functional import port_values
from tilework.simulator.state import Array
from tilework.simulator.structure import descriptor_of

MAX_ELEMENTS = 1 << 20


@dataclass(frozen=True)
class Tile:
    """A part of a memory as a tensor: `values` are float32, or whole numbers where the dtype is."""

    name: str
    memory: str
    address: int
    dtype: str
    values: Array
    note: str = ""

    @property
    def title(self) -> str:
        """Its name, where it lies, its shape and dtype."""
        shape = "x".join(map(str, self.values.shape)) or "1"
        place = f"{self.memory} {self.address:#x}"
        return f"{f'{self.name} = ' if self.name else ''}{place}, {shape} {self.dtype}{self.note}"

    def __str__(self) -> str:
        text = np.array2string(self.values, precision=6, threshold=200, edgeitems=4, max_line_width=100)
        return f"{self.title}\n{text}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; numbers that JSON lacks are text."""
        return {
            "name": self.name,
            "memory": self.memory,
            "address": self.address,
            "shape": list(self.values.shape),
            "dtype": self.dtype,
            "values": _plain(self.values.tolist()),
        }


def _plain(values: Any) -> Any:
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return values if isinstance(values, int) or np.isfinite(values) else str(values)


@dataclass
class Sight:
    """What a stream sees of itself and of the memories at a time; it is what conditions and `print` ask."""

    recording: Recording
    values: Values | None
    stream: int
    now: Time
    _state: StreamState | None = None

    def cycle(self) -> float:
        """The time; exact but where a cycle is divided."""
        return self.now if isinstance(self.now, int) else float(self.now)

    def pc(self) -> float:
        """The number of the instruction at which control stands."""
        return self.recording.streams[self.stream].numbers[self.state.place]

    @property
    def state(self) -> StreamState:
        """The stream's state, computed once."""
        self._state = self._state or stream_state(self.recording, self.stream, self.now)
        return self._state

    def register(self, number: int) -> int:
        """A register's value."""
        return self._values().registers[self.stream][number]

    def counter(self, depth: int) -> int:
        """The counter of an open loop, 0 where there is none."""
        counters = self.state.counters
        return counters[depth] if depth < len(counters) else 0

    def token(self, number: int) -> int:
        """What a token counts."""
        self._values()
        return self.state.tokens.get(number, 0)

    def queue(self, unit: str) -> int:
        """How many instructions wait in the queue of a unit."""
        for one in self.state.units:
            if one.name == unit:
                return len(one.queue)
        names = ", ".join(one.name for one in self.state.units)
        raise DebugError(f"a queue of {self.state.name} must be one of {names}, not {unit}")

    def element(self, memory: str, dtype: str, address: int) -> float:
        """One element of a memory."""
        return float(self.tile(memory, address, (1,), dtype).values[0])

    def tile(
        self, memory: str, address: int, shape: Sequence[int], dtype: str = "float32", strides: Sequence[int] = ()
    ) -> Tile:
        """Elements of a memory as a tensor of that shape, one after another unless `strides` (bytes) says otherwise.

        Raises DebugError for a memory that the stream doesn't reach, a dtype that there isn't, or bytes outside.
        """
        if dtype not in DTYPES:
            raise DebugError(f"a dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
        if prod(shape) > MAX_ELEMENTS or min(shape, default=1) < 1:
            raise DebugError(f"a tile must have from 1 to {MAX_ELEMENTS:,} elements, not {'x'.join(map(str, shape))}")
        inner = [*accumulate([DTYPES[dtype], *reversed(shape)], mul)][:-1]
        operand = Operand(memory, address, tuple(strides) or tuple(reversed(inner)), dtype=dtype)
        return self._tile("", operand, shape, address)

    def operand(self, place: int, letter: str, order: int | None = None) -> Tile:
        """Operand d, a or b of the instruction at a place: as of one execution, or with the counters of now.

        Its axes are the loops that move it. Raises DebugError where there is no such operand.
        """
        values = self._values()
        stream = values.program.streams[self.stream]
        instruction, trace = stream.instructions[place], self.recording.streams[self.stream]
        descriptor = instruction.descriptor
        named = dict(zip("dab", (descriptor.destination, *descriptor.sources), strict=False)) if descriptor else {}
        operand = named.get(letter)
        if not isinstance(operand, Operand):
            there = ", ".join(one for one, each in named.items() if isinstance(each, Operand)) or "none"
            raise DebugError(
                f"an operand of {stream.where(place)} ({instruction.mnemonic}) must be one of those in memory, "
                f"{there}, not {letter}"
            )
        counters = trace.counters[order] if order is not None else self._counters(place)
        registers = values.registers[self.stream] if order is None else values.registers_at(self.stream, order)
        added = 0 if operand.register is None else registers[operand.register]
        dense, extents = stored(operand, descriptor_of(instruction).extents)
        axes = [axis for axis, stride in enumerate(dense.strides) if stride and extents[axis] > 1]
        moved = Operand(
            dense.memory,
            operand.address(counters) + added,
            tuple(dense.strides[axis] for axis in axes),
            dtype=dense.dtype,
        )
        note = f", of each 16 elements {operand.kept} with their places" if operand.kept else ""
        return self._tile(letter, moved, [extents[axis] for axis in axes], moved.base, note)

    def port(self, name: str) -> Tile | None:
        """An input or an output of the program by its name, as it lies in DRAM now; None if there is none."""
        if self.values is None:
            return None
        for port in (*self.values.program.inputs, *self.values.program.outputs):
            if port.name == name:
                return Tile(name, "dram", port.address, port.dtype, port_values(self.values.state, port))
        return None

    def _counters(self, place: int) -> tuple[int, ...]:
        depth = len(self.recording.streams[self.stream].counts[place])
        return (*self.state.counters, *(0,) * depth)[:depth]

    def _tile(self, name: str, operand: Operand, shape: Sequence[int], address: int, note: str = "") -> Tile:
        memories = self._values().state.memories[self.stream]
        if not memories.segments.get(operand.memory):
            there = ", ".join(memory for memory, segments in memories.segments.items() if segments)
            raise DebugError(f"a memory of {self.state.name} must be one of {there}, not {operand.memory}")
        try:
            view = memories.view(operand, shape, who="what is looked at")
        except SimulationError as error:
            raise DebugError(str(error)) from None
        whole = operand.dtype in ("int8", "int32")
        values = view.copy() if whole else to_float32(view, operand.dtype).copy()
        return Tile(name, operand.memory, address, operand.dtype, values, note)

    def _values(self) -> Values:
        if self.values is None:
            raise DebugError(
                "a program in the tile language has neither registers nor tokens nor memory, only cycles and queues"
            )
        return self.values
