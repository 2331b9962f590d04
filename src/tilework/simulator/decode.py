"""A stream as Python functions: each instruction decoded once, then called with the counters of its loops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilework.errors import SimulationError
from tilework.isa.instruction import MAX_LOOPS, MAX_REGISTERS, Descriptor, Immediate, Instruction, Operand
from tilework.isa.numbers import from_register, to_register
from tilework.isa.program import Stream
from tilework.isa.table import OPCODES
from tilework.simulator.execute import Action, action, constant
from tilework.simulator.scalar import BRANCHES, LIMIT, Registers, deciding, effect
from tilework.simulator.state import Memories
from tilework.simulator.structure import Structure, descriptor_of

Step = Callable[[list[int]], Any]
Passed = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Barrier:
    """Where the stream waits for the others of the scope."""

    place: int
    scope: str


@dataclass(frozen=True, slots=True)
class Jump:
    """To item number `target` of its block, if `register` is other than 0 or not as is `wanted`; None is always."""

    place: int
    target: int
    length: int
    register: int
    wanted: bool | None


@dataclass(frozen=True, slots=True)
class Loop:
    """A hardware loop whose body jumps or waits for others; every other loop is a step."""

    count: int
    depth: int
    body: Block


Item = Step | Jump | Barrier | Loop | None  # None is an instruction that only orders others


@dataclass(frozen=True, slots=True)
class Block:
    """A loop's body or a whole stream: its items, and the place after each."""

    items: tuple[Item, ...]
    after: tuple[int, ...]


Watch = Callable[["Decoder", int], Step]


@dataclass(slots=True)
class Decoder:
    """Turns a stream's instructions into functions and runs them.

    `reached` are the memories that a cast writes to; `watch` makes a step to be taken before that of the instruction at
    a place. `loads` collects what each sload has read that a jump depends on.
    """

    stream: Stream
    structure: Structure
    memories: Memories
    reached: Sequence[Memories]
    watch: Watch | None = None
    registers: Registers = field(default_factory=lambda: [0] * MAX_REGISTERS)
    loads: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    executed: int = 0
    deciding: frozenset[int] = frozenset()
    whole: Block = Block((), ())

    def __post_init__(self) -> None:
        self.deciding = deciding(self.stream.instructions)
        self.whole = self._block(0, len(self.stream.instructions))

    def run(self, passed: Passed | None = None) -> Iterator[Barrier]:
        """Execute the stream from its beginning, stopping at each barrier; `passed` is told how far it has come."""
        self.registers[:] = [0] * MAX_REGISTERS
        self.loads.clear()
        self.executed = 0
        return self._run(self.whole, [0] * MAX_LOOPS, passed)

    def _run(self, block: Block, counters: list[int], passed: Passed | None = None) -> Iterator[Barrier]:
        at = 0
        while at < len(block.items):
            item = block.items[at]
            at += 1
            if isinstance(item, Jump):
                at = item.target if self._jumps(item) else at
            elif isinstance(item, Barrier):
                yield item
            elif isinstance(item, Loop):
                for iteration in range(item.count):
                    counters[item.depth] = iteration
                    yield from self._run(item.body, counters)
            elif item is not None:
                item(counters)
            if passed is not None and at:
                passed(block.after[at - 1])

    def _jumps(self, jump: Jump) -> bool:
        if jump.wanted is not None and bool(self.registers[jump.register]) != jump.wanted:
            return False
        self.executed += max(0, jump.length)
        if self.executed > LIMIT:
            raise SimulationError(
                f"the program must end, but at {self.who(jump.place)} it has not in {LIMIT:,} instructions; "
                "change what its jumps depend on"
            )
        return True

    def who(self, place: int) -> str:
        """How an error names the instruction."""
        return f"{self.stream.where(place)} ({self.stream.instructions[place].mnemonic})"

    def find(self, memories: Memories, source: Operand | Immediate, place: int, writes: bool = False) -> Any:
        """The view of an operand of the instruction at that place, or a function of the counters that finds it."""
        if isinstance(source, Immediate):
            return constant(source)
        return memories.accessor(
            source,
            descriptor_of(self.stream.instructions[place]).extents,
            self.structure.counts[place],
            registers=self.registers,
            writes=writes,
            who=self.who(place),
        )

    def _block(self, first: int, last: int) -> Block:
        starts, place = [], first
        while place < last:
            starts.append(place)
            place = max(place, self.structure.partner[place]) + 1
        number = {start: index for index, start in enumerate([*starts, last])}
        items = tuple(self._item(start, number) for start in starts)
        return Block(items, (*starts[1:], last))

    def _item(self, place: int, number: dict[int, int]) -> Item:
        instruction = self.stream.instructions[place]
        form = OPCODES[instruction.mnemonic].form
        if form == "scope":
            return Barrier(place, instruction.scope)
        if form in ("jump", "branch"):
            register, wanted = (*instruction.registers, 0)[0], BRANCHES.get(instruction.mnemonic)
            return Jump(place, number[instruction.target], place + 1 - instruction.target, register, wanted)
        return self._loop(place) if instruction.mnemonic == "loop" else self._step(place, instruction)

    def _loop(self, first: int) -> Step | Loop:
        count, depth = self.stream.instructions[first].count, len(self.structure.counts[first])
        block = self._block(first + 1, self.structure.partner[first])
        body = [item for item in block.items if item is not None and not isinstance(item, Jump | Barrier | Loop)]
        if len(body) + block.items.count(None) < len(block.items):
            return Loop(count, depth, block)

        def loop(counters: list[int]) -> None:
            for iteration in range(count):
                counters[depth] = iteration
                for step in body:
                    step(counters)

        return loop

    def _step(self, place: int, instruction: Instruction) -> Step | None:
        if change := effect(instruction, self.stream):
            return lambda counters: change(self.registers)
        if instruction.descriptor is None:
            return None
        act = action(instruction)
        own = self._element(place, instruction) if act is None else self._operate(act, place, instruction.descriptor)
        return own if self.watch is None else in_turn([self.watch(self, place), own])

    def _operate(self, act: Action, place: int, descriptor: Descriptor) -> Step:
        sources = [self.find(self.memories, source, place) for source in descriptor.sources]
        many = self.reached if self.stream.instructions[place].mnemonic == "cast" else (self.memories,)
        written = [self.find(memories, descriptor.destination, place, writes=True) for memories in many]
        steps = [bind(act, destination, sources) for destination in written]
        return steps[0] if len(steps) == 1 else in_turn(steps)

    def _element(self, place: int, instruction: Instruction) -> Step:
        operand, register, registers = descriptor_of(instruction).destination, instruction.registers[0], self.registers
        dtype = operand.dtype

        def store(element: Any) -> None:
            element[0] = from_register(registers[register], dtype)

        def load(element: Any) -> None:
            registers[register] = to_register(element[0], dtype)
            if place in self.deciding:
                self.loads[place].append(registers[register])

        writes = instruction.mnemonic == "sstore"
        return bind(store if writes else load, self.find(self.memories, operand, place, writes), [])


def bind(act: Action, destination: Any, sources: Sequence[Any]) -> Step:
    """A function of the counters that finds the operands and acts; operands that never move are found already."""
    if not any(callable(operand) for operand in (destination, *sources)):
        return lambda counters: act(destination, *sources)
    find, *others = [operand if callable(operand) else _always(operand) for operand in (destination, *sources)]
    if len(others) == 1:
        (a,) = others
        return lambda counters: act(find(counters), a(counters))
    if len(others) == 2:
        a, b = others
        return lambda counters: act(find(counters), a(counters), b(counters))
    return lambda counters: act(find(counters), *[other(counters) for other in others])


def _always(operand: Any) -> Step:
    return lambda counters: operand


def in_turn(steps: Sequence[Step]) -> Step:
    """One step that takes all of them."""

    def take(counters: list[int]) -> None:
        for step in steps:
            step(counters)

    return take
