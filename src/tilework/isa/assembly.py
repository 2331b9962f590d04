"""Programs as assembly text, one instruction a line, printed and parsed.

    loop 14
      wait load 3
      load <6, 56, 32> nram 0x0+(7168*i0) mod 14336 {7168, 128, 4} = dram 0x1c000+28672*i0 {57344, 1024, 4}
      contract <6, 56, 32> nram 0x8000 {128, 4, 0} += nram 0x0 {128, 0, 4} * wram 0x0 {0, 128, 4}
      vmax <14336> nram 0x8000 {4} = nram 0x8000 {4}, #0
    endloop
    end

`<…>` are the extents of the inner loops and `{…}` an operand's strides. A memory's name is followed by the dtype if it
is not float32, `nram.int8`, and by what a block keeps if it is compressed, `wram:4`. An address is a base, then perhaps
a register, then a step for each hardware loop (i0 is the outermost); in `base+(phase+step*i0) mod wrap` what is in
brackets is taken modulo wrap. `#1.5` is a constant. A label stands alone on a line, `again:`. A line `.core 0 2` or
`.mover 0` begins the stream of that processor; what comes before is core 0 of cluster 0's. A comment begins with `;`,
or with a `#` at the start of a line or before a space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from tilework.errors import AssemblyError
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.parser import LineParser
from tilework.isa.program import Stream
from tilework.isa.table import OPCODES
from tilework.isa.validate import structure_problem
from tilework.isa.wellformed import instruction_problem


def print_streams(streams: Sequence[Stream]) -> str:
    """Text that `parse_text` reads back to equal streams."""
    return "\n".join(
        (f".{stream.name}\n" if stream.name != "core 0 0" else "") + print_program(stream.instructions)
        for stream in streams
    )


def print_program(instructions: Sequence[Instruction], names: Mapping[int, str] | None = None) -> str:
    """Text that `parse_program` reads back to equal instructions. The label L7 stands before instruction 7.

    `names` gives comments to put before the instructions with these indices, such as the names of layers.
    """
    lines, depth = [], 0
    targets = {i.target for i in instructions if "target" in OPCODES[i.mnemonic].fields}
    for index, instruction in enumerate(instructions):
        depth -= instruction.mnemonic == "endloop"
        if names and index in names:
            lines += [f"{'  ' * depth}; {line}" for line in names[index].splitlines()]
        if index in targets:
            lines.append(f"{'  ' * depth}L{index}:")
        lines.append("  " * depth + print_instruction(instruction))
        depth += instruction.mnemonic == "loop"
    return "\n".join(lines) + "\n"


def print_instruction(instruction: Instruction) -> str:
    """One line of assembly, without indentation; a jump goes to the label L7 if its target is instruction 7."""
    registers = iter(instruction.registers)
    parts = [_print_field(name, instruction, registers) for name in OPCODES[instruction.mnemonic].fields]
    return " ".join([instruction.mnemonic, *filter(None, parts)]).replace(" ,", ",")


def parse_text(text: str) -> tuple[Stream, ...]:
    """The streams that a text states, in a program's order, each with the numbers of its instructions' lines.

    Raises AssemblyError, one sentence that begins with the line's number.
    """
    sections: dict[str, _Section] = {}
    current: _Section | None = None
    for number, line in enumerate(text.split("\n"), 1):
        parser = LineParser(line, number)
        if parser.blank:
            continue
        header = parser.section()
        if header is not None or current is None:
            current = _begin(sections, header or Stream(()), number)
        if header is None:
            current.add(parser)
    if not sections:
        _begin(sections, Stream(()), 1)
    if "core 0 0" not in sections:
        number = min(section.number for section in sections.values())
        raise AssemblyError(f"line {number}: a text must have a stream of core 0 0, and this one has none; add it")
    streams = [section.stream() for section in sections.values()]
    return tuple(sorted(streams, key=lambda stream: stream.order))


def parse_program(text: str) -> tuple[Instruction, ...]:
    """The instructions of a text that states only core 0 0. Raises AssemblyError that begins with the line's number."""
    first, *others = parse_text(text)
    if others:
        number, name = others[0].lines[0], others[0].name
        raise AssemblyError(f"line {number}: a text must have one stream here, core 0 0, not {name} too; remove it")
    return first.instructions


def parse_instruction(line: str, role: str = "core") -> Instruction:
    """The one instruction, no jump, that a line of assembly states. Raises AssemblyError."""
    parser = LineParser(line, 1)
    if parser.blank or parser.label() is not None:
        raise AssemblyError("line 1: a line must hold an instruction here, not nothing; write one")
    section = _Section(Stream((), role), 1)
    section.add(parser)
    return section.instructions()[0]


@dataclass(slots=True)
class _Section:
    """What has been read of one stream: instructions, their lines, the labels that they go to, and those that stand."""

    header: Stream
    number: int
    read: list[tuple[Instruction, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    labels: dict[str, tuple[int, int]] = field(default_factory=dict)  # the place and the line

    def add(self, parser: LineParser) -> None:
        label = parser.label()
        if label is None:
            self.read.append(parser.instruction())
            self.lines.append(parser.number)
        elif label in self.labels:
            raise AssemblyError(
                f"line {parser.number}: a label must stand once in a stream, and {label!r} stands on line "
                f"{self.labels[label][1]}; rename it"
            )
        else:
            self.labels[label] = len(self.read), parser.number

    def instructions(self) -> tuple[Instruction, ...]:
        """All that were read, each checked by itself."""
        found = []
        for (instruction, label), number in zip(self.read, self.lines, strict=True):
            if label:
                instruction = replace(instruction, target=self._place(label, number))
            if problem := instruction_problem(instruction, self.header.role):
                raise AssemblyError(f"line {number}: {problem}")
            found.append(instruction)
        return tuple(found)

    def stream(self) -> Stream:
        """The whole stream, checked."""
        instructions = self.instructions()
        for label, (place, number) in self.labels.items():
            if place == len(instructions):
                raise AssemblyError(f"line {number}: the label {label!r} must stand before an instruction; move it up")
        if found := structure_problem(instructions):
            number = self.lines[found[0]] if self.lines else self.number
            raise AssemblyError(f"line {number}: {found[1]}")
        labels = tuple((label, place) for label, (place, _) in self.labels.items())
        return replace(self.header, instructions=instructions, lines=tuple(self.lines), labels=labels)

    def _place(self, label: str, number: int) -> int:
        if label in self.labels:
            return self.labels[label][0]
        near = get_close_matches(label, self.labels, 1)
        advice = f"did you mean '{near[0]}'?" if near else f"add the line '{label}:'"
        raise AssemblyError(f"line {number}: a jump must go to a label of its stream, not to {label!r}; {advice}")


def _begin(sections: dict[str, _Section], header: Stream, number: int) -> _Section:
    if header.name in sections:
        first = sections[header.name].number
        raise AssemblyError(
            f"line {number}: {header.name} must have one section, and line {first} began it; put them together"
        )
    sections[header.name] = _Section(header, number)
    return sections[header.name]


def _print_field(name: str, instruction: Instruction, registers: Iterator[int]) -> str:
    """What stands for a field of the instruction's form; a mark stands for itself."""
    if name in ("count", "token", "unit", "scope"):
        return str(getattr(instruction, name))
    if name == "target":
        return f"L{instruction.target}"
    if name == "register":
        return f"r{next(registers)}"
    if name == "scalars":
        constant = [] if instruction.constant is None else [f"#{instruction.constant}"]
        return ", ".join([*(f"r{register}" for register in registers), *constant])
    if name in ("nest", "element"):
        assert instruction.descriptor is not None
        destination = instruction.descriptor.destination
        return _print_place(destination) if name == "element" else _print_nest(instruction, instruction.descriptor)
    return "" if name == "accumulate" else name


def _print_nest(instruction: Instruction, descriptor: Descriptor) -> str:
    separator = " * " if OPCODES[instruction.mnemonic].form == "contract" else ", "
    sources = separator.join(map(_print_source, descriptor.sources))
    mark = "+=" if instruction.accumulate else "="
    return f"<{_numbers(descriptor.extents)}> {_print_source(descriptor.destination)} {mark} {sources}"


def _print_source(source: Operand | Immediate) -> str:
    if isinstance(source, Immediate):
        return f"#{_print_float(source.value)}"
    return f"{_print_place(source)} {{{_numbers(source.strides)}}}"


def _print_place(operand: Operand) -> str:
    dtype = "" if operand.dtype == "float32" else f".{operand.dtype}"
    register = "" if operand.register is None else f"+r{operand.register}"
    steps = "".join(f"{step:+d}*i{depth}" for depth, step in enumerate(operand.steps) if step)
    kept = f":{operand.kept}" if operand.kept else ""
    start = f"{operand.memory}{dtype}{kept} {operand.base:#x}{register}"
    if not operand.wrap:
        return f"{start}{steps}"
    offset = f"{operand.phase}{steps}" if operand.phase or not steps else steps.removeprefix("+")
    return f"{start}+({offset}) mod {operand.wrap}"


def _print_float(value: float) -> str:
    text = repr(float(value))
    return text.removesuffix(".0")


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
