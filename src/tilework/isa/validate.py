"""What holds for every well-formed program; the assembler, encoder, container and simulator rely on it."""

from __future__ import annotations

from collections.abc import Sequence

from tilework.errors import ProgramError
from tilework.isa.instruction import MAX_LOOPS, Instruction
from tilework.isa.program import ROLES, Stream
from tilework.isa.table import OPCODES
from tilework.isa.wellformed import instruction_problem
from tilework.machine.machine import Machine


def check(instructions: Sequence[Instruction], role: str = "core") -> None:
    """Raise ProgramError, with the index of the instruction at fault, unless the stream is well formed."""
    passed: set[int] = set()
    for index, instruction in enumerate(instructions):
        if id(instruction) in passed:
            continue
        if problem := instruction_problem(instruction, role):
            raise ProgramError(f"instruction {index}: {problem}")
        passed.add(id(instruction))
    if found := structure_problem(instructions):
        raise ProgramError(f"instruction {found[0]}: {found[1]}")


def check_each(streams: Sequence[Stream]) -> None:
    """Raise ProgramError, with the stream's name, unless every stream is well formed and none is of another role."""
    for stream in streams:
        if stream.role not in ROLES:
            raise ProgramError(
                f"a stream must be of one of the roles {', '.join(ROLES)}, not {stream.role!r}; correct it"
            )
        try:
            check(stream.instructions, stream.role)
        except ProgramError as error:
            raise ProgramError(f"{stream.name}, {error}" if len(streams) > 1 else str(error)) from None


def check_streams(streams: Sequence[Stream], machine: Machine) -> None:
    """Raise ProgramError unless the machine has a processor for each stream and the memories that they name.

    What holds for each stream alone is for `check_each`.
    """
    order = [stream.order for stream in streams]
    if order[:1] != [(0, 0, 0)] or order != sorted(set(order)):
        names = ", ".join(stream.name for stream in streams)
        raise ProgramError(
            "a program's streams must be core 0 0, then other cores, then movers, each once and by their numbers, "
            f"not {names or 'none'}; put them in order"
        )
    for stream in streams:
        if not (0 <= stream.cluster < machine.clusters and 0 <= stream.index < _processors(stream, machine)):
            raise ProgramError(
                f"a stream must be for one of the {machine.clusters} x {machine.cores} cores of {machine.name}"
                f"{' or its movers' if machine.sram else ''}, not for {stream.name}; take another machine"
            )
        for place, instruction in enumerate(stream.instructions if machine.sram is None else ()):
            if instruction.descriptor and any(o.memory == "sram" for o in instruction.descriptor.operands):
                raise ProgramError(
                    f"{stream.where(place)}: {instruction.mnemonic} must use memories that {machine.name} has, "
                    "and it has no sram; take another machine"
                )


def _processors(stream: Stream, machine: Machine) -> int:
    """How many of the stream's kind each cluster has."""
    return machine.cores if stream.role == "core" else int(machine.sram is not None)


def structure_problem(instructions: Sequence[Instruction]) -> tuple[int, str] | None:
    """The first instruction whose place is wrong, and why: loops, `end`, jumps, steps for loops that aren't there."""
    opened: list[int] = []
    around: list[int] = []  # for each instruction, the innermost loop: a loop is outside of itself, its endloop inside
    last = len(instructions) - 1
    for index, instruction in enumerate(instructions):
        around.append(opened[-1] if opened else -1)
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
    return _jump_problem(instructions, around)


def _loops_used(instruction: Instruction) -> int:
    if instruction.descriptor is None:
        return 0
    return max([len(operand.steps) for operand in instruction.descriptor.operands])


def _jump_problem(instructions: Sequence[Instruction], around: Sequence[int]) -> tuple[int, str] | None:
    for index, instruction in enumerate(instructions):
        if "target" not in OPCODES[instruction.mnemonic].fields:
            continue
        who, target = instruction.mnemonic, instruction.target
        if not 0 <= target < len(instructions):
            return index, f"{who} must go to one of the {len(instructions)} instructions, not to {target}; correct it"
        if around[target] != around[index]:
            return (
                index,
                f"{who} must stay in its innermost loop's body, and instruction {target} is not in it; move it",
            )
    return None
