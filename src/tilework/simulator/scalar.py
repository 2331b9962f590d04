"""What control does by itself: the scalar instructions on a stream's registers, and the way that jumps make it go."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

from tilework.errors import SimulationError
from tilework.isa.instruction import MAX_REGISTERS, Instruction
from tilework.isa.program import Stream
from tilework.isa.table import OPCODES
from tilework.simulator.structure import Structure

LIMIT = 2 * 10**7
_SIGN, _BITS = 1 << 31, (1 << 32) - 1

BRANCHES = {"jumpif": True, "jumpifnot": False}  # and whether the register must be other than 0 for a jump

Registers = list[int]
Effect = Callable[[Registers], None]
Step = Callable[[], int | None]
Loads = Mapping[int, Iterable[int]]


def wrap(value: int) -> int:
    """The number that 32 bits hold of a whole number, in two's complement."""
    return (value + _SIGN & _BITS) - _SIGN


def quotient(a: int, b: int) -> int:
    """a / b truncated towards 0; -1 if b is 0."""
    if not b:
        return -1
    size = abs(a) // abs(b)
    return size if (a < 0) == (b < 0) else -size


OPERATIONS: dict[str, Callable[..., int]] = {
    "scopy": operator.pos,
    "sadd": operator.add,
    "ssub": operator.sub,
    "smul": operator.mul,
    "sdiv": quotient,
    "srem": lambda a, b: a - quotient(a, b) * b if b else a,
    "smin": min,
    "smax": max,
    "sand": operator.and_,
    "sor": operator.or_,
    "sxor": operator.xor,
    "sshl": lambda a, b: a << (b & 31),
    "sshr": lambda a, b: a >> (b & 31),
    "sless": operator.lt,
    "sequal": operator.eq,
}


def effect(instruction: Instruction, stream: Stream) -> Effect | None:
    """What an instruction of the stream does to the registers; None for those that use none, or memory too."""
    form, numbers = OPCODES[instruction.mnemonic].form, instruction.registers
    if form == "register":
        value = stream.index if instruction.mnemonic == "rank" else stream.cluster
        return lambda registers: registers.__setitem__(numbers[0], value)
    return _operation(instruction) if form == "scalar" else None


def _operation(instruction: Instruction) -> Effect:
    function, constant = OPERATIONS[instruction.mnemonic], instruction.constant
    result, *sources = instruction.registers

    def of_registers(registers: Registers) -> None:
        registers[result] = wrap(function(*[registers[source] for source in sources]))

    def of_a_constant(registers: Registers) -> None:
        registers[result] = (function(registers[sources[0]], constant) + _SIGN & _BITS) - _SIGN

    def set_to_constant(registers: Registers) -> None:
        registers[result] = wrap(function(constant))

    if constant is None:
        return of_registers
    return of_a_constant if sources else set_to_constant


@dataclass(frozen=True, slots=True)
class Flow:
    """The way that control takes: 1 for each executed jumpif and jumpifnot that jumps, else 0, in program order;
    and how often each instruction is executed."""

    taken: bytes
    executions: tuple[int, ...]


def deciding(instructions: Sequence[Instruction]) -> frozenset[int]:
    """The places of the instructions on whose results a jump may depend."""
    writers = [(place, i) for place, i in enumerate(instructions) if _writes_register(i)]
    wanted = {i.registers[0] for i in instructions if OPCODES[i.mnemonic].form == "branch"}
    size = -1
    while len(wanted) > size:
        size = len(wanted)
        for _, instruction in writers:
            if instruction.registers[0] in wanted:
                wanted.update(_registers_read(instruction))
    return frozenset(place for place, instruction in writers if instruction.registers[0] in wanted)


def _writes_register(instruction: Instruction) -> bool:
    return OPCODES[instruction.mnemonic].form in ("register", "scalar", "sload")


def _registers_read(instruction: Instruction) -> list[int]:
    element = [] if instruction.descriptor is None else [instruction.descriptor.destination.register]
    return [*instruction.registers[1:], *[register for register in element if register is not None]]


def control_flow(stream: Stream, structure: Structure, loads: Loads | None = None, limit: int = LIMIT) -> Flow:
    """Follow the stream's jumps.

    Only jumps and what they depend on is executed, and hardware loops without these are multiplied. `loads` gives, for
    the place of each sload that jumps depend on, the values that it reads one after the other. Raises SimulationError
    where they are needed and not given, and for a stream that does not end within `limit` instructions.
    """
    if not any(OPCODES[i.mnemonic].form in ("jump", "branch") for i in stream.instructions):
        return Flow(b"", structure.executions)
    return _Follower(stream, structure, {place: deque(values) for place, values in (loads or {}).items()}, limit).run()


@dataclass(slots=True)
class _Follower:
    """Control on its way through a stream.

    `edges` counts, for each place, how often control enters it by a jump less how often it leaves before it. `left` are
    the iterations still to be done of each open loop that is followed.
    """

    stream: Stream
    structure: Structure
    loads: dict[int, deque[int]]
    limit: int
    steps: int = 0
    registers: Registers = field(default_factory=lambda: [0] * MAX_REGISTERS)
    left: list[int] = field(default_factory=list)
    taken: bytearray = field(default_factory=bytearray)
    edges: list[int] = field(default_factory=list)
    seen: tuple[int, Registers, list[int]] | None = None
    renewed: int = 1

    def run(self) -> Flow:
        """One step after the other, from each place that matters to the next."""
        length = len(self.stream.instructions)
        followed = self._followed()
        places = sorted(followed)
        steps = [self._step(place) for place in places]
        following = [bisect_left(places, place) for place in range(length + 1)]
        self.edges = [1] + [0] * length
        at = done = 0
        while at < len(steps):
            done += 1
            target = steps[at]()
            if target is None:
                at += 1
            else:
                self.steps = done
                if done > self.limit:
                    raise self._endless(places[at], f"it has not in {self.limit:,} instructions")
                self.edges[places[at] + 1] -= 1
                self.edges[target] += 1
                at = following[target]
        times = map(operator.mul, accumulate(self.edges), self._multiples(followed))
        return Flow(bytes(self.taken), tuple(times))

    def _followed(self) -> set[int]:
        """The places of jumps, of what they depend on, and of the loops around these."""
        code, partner = self.stream.instructions, self.structure.partner
        followed = {place for place, i in enumerate(code) if OPCODES[i.mnemonic].form in ("jump", "branch")}
        followed |= deciding(code)
        before = list(accumulate((place in followed for place in range(len(code))), initial=0))
        loops = [place for place, i in enumerate(code) if i.mnemonic == "loop"]
        around = [place for place in loops if before[partner[place]] > before[place]]
        return followed.union(around, [partner[place] for place in around])

    def _multiples(self, followed: set[int]) -> list[int]:
        """For each place, how often it is executed for each time that control comes by."""
        multiples, opened = [], [1]
        for place, instruction in enumerate(self.stream.instructions):
            multiples.append(opened[-1])
            if instruction.mnemonic == "loop":
                opened.append(opened[-1] * (1 if place in followed else instruction.count))
            elif instruction.mnemonic == "endloop":
                opened.pop()
        return multiples

    def _step(self, place: int) -> Step:
        """What a followed place does; it returns the place to go to, None for the next."""
        instruction = self.stream.instructions[place]
        form = OPCODES[instruction.mnemonic].form
        if form in ("jump", "branch"):
            return self._jump(place, instruction)
        if form == "sload":
            return lambda: self._load(place)
        if change := effect(instruction, self.stream):
            return partial(change, self.registers)
        if instruction.mnemonic == "loop":
            return lambda: self.left.append(instruction.count)
        return lambda: self._close(self.structure.partner[place])

    def _jump(self, place: int, instruction: Instruction) -> Step:
        wanted = BRANCHES.get(instruction.mnemonic)

        def jump() -> int | None:
            if wanted is not None:
                jumps = bool(self.registers[instruction.registers[0]]) == wanted
                self.taken.append(jumps)
                if not jumps:
                    return None
            if instruction.target <= place:
                self._compare(place)
            return instruction.target

        return jump

    def _close(self, loop: int) -> int | None:
        self.left[-1] -= 1
        if self.left[-1]:
            return loop + 1
        self.left.pop()
        return None

    def _load(self, place: int) -> None:
        self.seen = None
        if not self.loads.get(place):
            who = f"{self.stream.where(place)} (sload)"
            raise SimulationError(
                f"the time of this program depends on its data, which {who} reads for a jump; give its inputs"
            )
        self.registers[self.stream.instructions[place].registers[0]] = self.loads[place].popleft()

    def _compare(self, place: int) -> None:
        """Find a state that comes back: the one it is compared with is renewed at powers of two (Brent, BIT 1980)."""
        if self.seen == (place, self.registers, self.left):
            raise self._endless(place, "all registers come back unchanged")
        if self.seen is None or self.steps >= 2 * self.renewed:
            self.seen, self.renewed = (place, self.registers.copy(), self.left.copy()), self.steps

    def _endless(self, place: int, why: str) -> SimulationError:
        who = f"{self.stream.where(place)} ({self.stream.instructions[place].mnemonic})"
        return SimulationError(f"the program must end, but at {who} {why}; change what its jumps depend on")
