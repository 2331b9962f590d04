"""What holds for every well-formed program, whatever the machine; the assembler, encoder and container rely on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from operator import or_

from tilework.errors import ProgramError
from tilework.isa.instruction import (
    ELEMENT_BYTES,
    MAX_LOOPS,
    MAX_RANK,
    MAX_TOKENS,
    MEMORIES,
    QUEUES,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.table import OPCODES, Opcode
from tilework.network.functions import FUNCTIONS

MAX_COUNT = (1 << 32) - 1
MAX_ADDRESS = (1 << 48) - 1
MAX_ITERATIONS = 1 << 40
_ON_CHIP = tuple(memory for memory in MEMORIES if memory != "dram")
_DEFAULT = Instruction("end")

Problem = str | None


def check(instructions: Sequence[Instruction]) -> None:
    """Raise ProgramError, with the index of the instruction at fault, unless the program is well formed."""
    passed: set[int] = set()
    for index, instruction in enumerate(instructions):
        if id(instruction) in passed:
            continue
        if problem := instruction_problem(instruction):
            raise ProgramError(f"instruction {index}: {problem}")
        passed.add(id(instruction))
    if found := structure_problem(instructions):
        raise ProgramError(f"instruction {found[0]}: {found[1]}")


def instruction_problem(instruction: Instruction) -> Problem:
    """What is wrong with an instruction by itself: what must hold, what came, what to do; None if it is well formed."""
    opcode = OPCODES.get(instruction.mnemonic)
    if opcode is None:
        return f"the mnemonic must be one of {', '.join(OPCODES)}, not {instruction.mnemonic!r}; correct it"
    if problem := _unused_field(opcode, instruction):
        return f"{opcode.mnemonic} {problem}"
    if opcode.has_descriptor:
        if instruction.descriptor is None:
            return f"{opcode.mnemonic} must have a descriptor, not None; add it"
        problem = _descriptor(opcode, instruction.descriptor)
    elif opcode.form in ("count", "token"):
        problem = _count(instruction) if opcode.form == "count" else _token(instruction)
    return f"{opcode.mnemonic} {problem}" if problem else None


def structure_problem(instructions: Sequence[Instruction]) -> tuple[int, str] | None:
    """The first instruction whose place is wrong, and why: loops, `end`, and steps for loops that aren't there."""
    opened: list[int] = []
    last = len(instructions) - 1
    for index, instruction in enumerate(instructions):
        if instruction.mnemonic == "loop":
            if len(opened) == MAX_LOOPS:
                return index, f"loops must be at most {MAX_LOOPS} deep, and this is one more; unroll one of them"
            opened.append(index)
        elif instruction.mnemonic == "endloop":
            if not opened:
                return index, "endloop must close a loop, and none is open; remove it or add its loop"
            opened.pop()
        elif instruction.mnemonic == "end" and index != last:
            return index, "end must be the last instruction, and others follow it; remove it or them"
        elif (used := _loops_used(instruction)) > len(opened):
            return index, f"a step for i{used - 1} must stand inside {used} loops, not {len(opened)}; remove the step"
    if opened:
        return opened[-1], "loop must be closed by an endloop, and none follows; add it"
    if last < 0 or instructions[last].mnemonic != "end":
        return max(last, 0), "a program must end with `end`, and this one does not; add it"
    return None


def _loops_used(instruction: Instruction) -> int:
    if instruction.descriptor is None:
        return 0
    return max([len(operand.steps) for operand in instruction.descriptor.operands])


def _unused_field(opcode: Opcode, instruction: Instruction) -> Problem:
    form = opcode.form
    if instruction.descriptor is not None and not opcode.has_descriptor:
        return "must have no descriptor; remove it"
    if instruction.accumulate and form not in ("contract", "reduce"):
        return "must not accumulate; write = in place of +="
    if instruction.count != _DEFAULT.count and form != "count":
        return f"must have no count, not {instruction.count}; remove it"
    if (instruction.unit, instruction.token) != (_DEFAULT.unit, _DEFAULT.token) and form != "token":
        return f"must have no token, not {instruction.unit} {instruction.token}; remove it"
    return None


def _count(instruction: Instruction) -> Problem:
    if 1 <= instruction.count <= MAX_COUNT:
        return None
    return f"must have a count from 1 to {MAX_COUNT}, not {instruction.count}; correct it"


def _token(instruction: Instruction) -> Problem:
    if instruction.unit not in QUEUES:
        return f"must name the queue of one of {', '.join(QUEUES)}, not {instruction.unit!r}; correct it"
    if not 0 <= instruction.token < MAX_TOKENS:
        return f"must have a token from 0 to {MAX_TOKENS - 1}, not {instruction.token}; correct it"
    return None


def _descriptor(opcode: Opcode, descriptor: Descriptor) -> Problem:
    if problem := _extents(descriptor):
        return problem
    rank = len(descriptor.extents)
    for operand in (descriptor.destination, *descriptor.sources):
        if problem := _operand(operand, rank) if isinstance(operand, Operand) else _constant(operand):
            return problem
    return _places(opcode, descriptor) or _moves(opcode, descriptor)


def _extents(descriptor: Descriptor) -> Problem:
    extents = descriptor.extents
    if not 1 <= len(extents) <= MAX_RANK:
        return f"must have 1 to {MAX_RANK} extents, not {len(extents)}; merge or add loops"
    if min(extents) < 1 or max(extents) > MAX_COUNT:
        return f"must have extents from 1 to {MAX_COUNT}, not {_numbers(extents)}; correct them"
    if descriptor.iterations > MAX_ITERATIONS:
        return f"must do at most {MAX_ITERATIONS} iterations, not {descriptor.iterations}; split it"
    return None


def _operand(o: Operand, rank: int) -> Problem:
    if o.memory not in MEMORIES:
        return f"must name one of the memories {', '.join(MEMORIES)}, not {o.memory!r}; correct it"
    if len(o.strides) != rank:
        return f"must have as many strides as extents, {rank}, not {len(o.strides)} in {o.memory}; make them equal"
    if len(o.steps) > MAX_LOOPS:
        return f"must have at most {MAX_LOOPS} steps, not {len(o.steps)} in {o.memory}; remove some"
    if o.base < 0 or o.wrap < 0:
        return f"must have a base and a wrap of 0 or more, not {o.base} and {o.wrap} in {o.memory}; correct them"
    if o.phase and not o.wrap:
        return f"must have no phase without a wrap, not {o.phase} in {o.memory}; add it to the base"
    numbers = (o.base, o.phase, o.wrap, *o.steps, *o.strides)
    if reduce(or_, numbers) % ELEMENT_BYTES:
        wrong = next(number for number in numbers if number % ELEMENT_BYTES)
        return f"must have addresses, steps and strides that are multiples of 4, not {wrong} in {o.memory}; align it"
    if min(numbers) < -MAX_ADDRESS or max(numbers) > MAX_ADDRESS:
        wrong = max(numbers, key=abs)
        return f"must have addresses, steps and strides below 2^48, not {wrong} in {o.memory}; correct it"
    return None


def _constant(source: Immediate) -> Problem:
    if source.value != source.value:
        return "must have constants that are numbers, not NaN; correct it"
    return None


def _places(opcode: Opcode, descriptor: Descriptor) -> Problem:
    where = (descriptor.destination.memory, *[s.memory if isinstance(s, Operand) else "#" for s in descriptor.sources])
    if where in _ALLOWED[opcode.mnemonic]:
        return None
    wanted = allowed_places(opcode)
    if len(where) != len(wanted):
        return f"must have {len(wanted) - 1} source{'s' * (len(wanted) > 2)}, not {len(where) - 1}; correct them"
    names = ("destination", "first source", "second source")
    name, place, allowed = next(row for row in zip(names, where, wanted, strict=False) if row[1] not in row[2])
    return f"must have as its {name} {' or '.join(map(_place, allowed))}, not {_place(place)}; change it"


def allowed_places(opcode: Opcode) -> tuple[tuple[str, ...], ...]:
    """The memories that the destination and each source may lie in; "#" stands for a constant."""
    if opcode.form == "move":
        return (_ON_CHIP, ("dram",)) if opcode.unit == "load" else (("dram",), _ON_CHIP)
    if opcode.form == "vector":
        arity = FUNCTIONS[opcode.function].arity if opcode.function else 1
        return (("nram",), *(("nram", "#"),) * arity)
    return _PLACES[opcode.form]


_PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "fill": (_ON_CHIP, ("#",)),
    "contract": (("nram",), ("nram",), ("wram",)),
    "reduce": (("nram",), ("nram",)),
}
_ALLOWED = {
    name: frozenset(product(*allowed_places(opcode))) for name, opcode in OPCODES.items() if opcode.has_descriptor
}


def _moves(opcode: Opcode, descriptor: Descriptor) -> Problem:
    if opcode.form == "reduce":
        return None
    contract = opcode.form == "contract"
    for loop, extent in enumerate(descriptor.extents):
        if extent == 1:
            continue
        if contract and sum([operand.strides[loop] != 0 for operand in descriptor.operands]) < 2:
            return f"must move two of its three operands in every loop, and does not in loop {loop}; give them strides"
        if not contract and not descriptor.destination.strides[loop]:
            return f"must write every element once, and its destination stays in loop {loop}; give it a stride"
    return None


def _place(place: str) -> str:
    return "a constant" if place == "#" else f"an operand in {place}"


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
