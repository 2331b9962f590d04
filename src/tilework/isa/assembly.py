"""Programs as assembly text, one instruction a line, printed and parsed.

    loop 14
      wait load 3
      load <6, 56, 32> nram 0x0+(7168*i0) mod 14336 {7168, 128, 4} = dram 0x1c000+28672*i0 {57344, 1024, 4}
      contract <6, 56, 32> nram 0x8000 {128, 4, 0} += nram 0x0 {128, 0, 4} * wram 0x0 {0, 128, 4}
      vmax <14336> nram 0x8000 {4} = nram 0x8000 {4}, #0
    endloop
    end

`<…>` are the extents of the inner loops and `{…}` an operand's strides. An address is a base, then a step for each
hardware loop (i0 is the outermost); in `base+(phase+step*i0) mod wrap` what is in brackets is taken modulo wrap. `#1.5`
is a constant. A comment begins with `;`, or with a `#` at the start of a line or before a space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilework.errors import AssemblyError
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.parser import LineParser
from tilework.isa.table import OPCODES
from tilework.isa.validate import instruction_problem, structure_problem

_SEPARATORS = {"contract": " * ", "vector": ", "}


def print_program(instructions: Sequence[Instruction], names: Mapping[int, str] | None = None) -> str:
    """Text that `parse_program` reads back to equal instructions.

    `names` gives comments to put before the instructions with these indices, such as the names of layers.
    """
    lines, depth = [], 0
    for index, instruction in enumerate(instructions):
        depth -= instruction.mnemonic == "endloop"
        if names and index in names:
            lines += [f"{'  ' * depth}; {line}" for line in names[index].splitlines()]
        lines.append("  " * depth + print_instruction(instruction))
        depth += instruction.mnemonic == "loop"
    return "\n".join(lines) + "\n"


def print_instruction(instruction: Instruction) -> str:
    """One line of assembly, without indentation."""
    form = OPCODES[instruction.mnemonic].form
    if form == "count":
        return f"{instruction.mnemonic} {instruction.count}"
    if form == "token":
        return f"{instruction.mnemonic} {instruction.unit} {instruction.token}"
    if instruction.descriptor is None:
        return instruction.mnemonic
    return f"{instruction.mnemonic} {_print_descriptor(instruction.descriptor, form, instruction.accumulate)}"


def parse_program(text: str) -> tuple[Instruction, ...]:
    """The instructions that a text states. Raises AssemblyError, one sentence that begins with the line's number."""
    parsed = [
        (number, parsed)
        for number, line in enumerate(text.split("\n"), 1)
        if (parsed := LineParser(line, number).instruction()) is not None
    ]
    instructions = tuple(instruction for _, instruction in parsed)
    for number, instruction in parsed:
        if problem := instruction_problem(instruction):
            raise AssemblyError(f"line {number}: {problem}")
    if found := structure_problem(instructions):
        number = parsed[found[0]][0] if parsed else 1
        raise AssemblyError(f"line {number}: {found[1]}")
    return instructions


def parse_instruction(line: str) -> Instruction:
    """The one instruction that a line of assembly states. Raises AssemblyError."""
    instruction = LineParser(line, 1).instruction()
    if instruction is None:
        raise AssemblyError("line 1: a line must hold an instruction here, not nothing; write one")
    if problem := instruction_problem(instruction):
        raise AssemblyError(f"line 1: {problem}")
    return instruction


def _print_descriptor(descriptor: Descriptor, form: str, accumulate: bool) -> str:
    extents = f"<{_numbers(descriptor.extents)}>"
    sources = _SEPARATORS.get(form, ", ").join(map(_print_source, descriptor.sources))
    return f"{extents} {_print_source(descriptor.destination)} {'+=' if accumulate else '='} {sources}"


def _print_source(source: Operand | Immediate) -> str:
    if isinstance(source, Immediate):
        return f"#{_print_float(source.value)}"
    return f"{source.memory} {_print_address(source)} {{{_numbers(source.strides)}}}"


def _print_address(operand: Operand) -> str:
    steps = "".join(f"{step:+d}*i{depth}" for depth, step in enumerate(operand.steps) if step)
    if not operand.wrap:
        return f"{operand.base:#x}{steps}"
    offset = f"{operand.phase}{steps}" if operand.phase or not steps else steps.removeprefix("+")
    return f"{operand.base:#x}+({offset}) mod {operand.wrap}"


def _print_float(value: float) -> str:
    text = repr(float(value))
    return text.removesuffix(".0")


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
