"""What holds for a well-formed instruction by itself, whatever the program around it and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from operator import attrgetter, or_

from tilework.isa.blocks import BLOCK
from tilework.isa.instruction import (
    DTYPES,
    MAX_LOOPS,
    MAX_RANK,
    MAX_REGISTERS,
    MAX_TOKENS,
    MEMORIES,
    QUEUES,
    SCOPES,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.program import ROLES
from tilework.isa.table import OPCODES, Opcode

MAX_COUNT = (1 << 32) - 1
MAX_ADDRESS = (1 << 48) - 1
MAX_ITERATIONS = 1 << 40
MIN_INTEGER, MAX_INTEGER = -(1 << 31), (1 << 31) - 1  # what a register holds
FLOATS = ("float32", "float16", "bfloat16")
COMPRESSED = ("move", "contract")  # forms whose last source may be compressed
QUEUES_OF = {  # by role
    role: tuple(q for q in QUEUES if any(row.unit == q and row.places(role) is not None for row in OPCODES.values()))
    for role in ROLES
}
_FIELDS = {  # of an instruction, and the fields of the table's forms that they belong to
    "descriptor": ("nest", "element"),
    "accumulate": ("accumulate",),
    "count": ("count",),
    "unit": ("unit",),
    "token": ("token",),
    "registers": ("register", "scalars"),
    "constant": ("scalars",),
    "target": ("target",),
    "scope": ("scope",),
}
_UNUSED = {
    name: tuple(field for field, forms in _FIELDS.items() if not set(forms) & set(row.fields))
    for name, row in OPCODES.items()
}
_VALUES = {name: attrgetter(*fields) for name, fields in _UNUSED.items()}
_DEFAULTS = {name: values(Instruction("end")) for name, values in _VALUES.items()}
_ALLOWED = {
    (name, role): frozenset(product(*row.places(role) or ()))
    for name, row in OPCODES.items()
    for role in ROLES
    if "nest" in row.fields
}

Problem = str | None


def instruction_problem(instruction: Instruction, role: str = "core") -> Problem:
    """What is wrong with an instruction in a stream of this role: what must hold, what came, what to do.

    None if it is well formed.
    """
    opcode = OPCODES.get(instruction.mnemonic)
    if opcode is None:
        return f"the mnemonic must be one of {', '.join(OPCODES)}, not {instruction.mnemonic!r}; correct it"
    if opcode.places(role) is None:
        other = next(other for other in ROLES if opcode.places(other) is not None)
        return f"{opcode.mnemonic} must stand in the stream of a {other}, not of a {role}; move it there"
    if problem := _unused_field(opcode, instruction) or _used_fields(opcode, instruction, role):
        return f"{opcode.mnemonic} {problem}"
    return None


def _unused_field(opcode: Opcode, instruction: Instruction) -> Problem:
    values, defaults = _VALUES[opcode.mnemonic](instruction), _DEFAULTS[opcode.mnemonic]
    if values == defaults:
        return None
    rows = zip(_UNUSED[opcode.mnemonic], values, defaults, strict=True)
    field, value = next((field, value) for field, value, default in rows if value != default)
    if field == "accumulate":
        return "must not accumulate; write = in place of +="
    return (
        "must have no descriptor; remove it"
        if field == "descriptor"
        else f"must have no {field}, not {value!r}; remove it"
    )


def _used_fields(opcode: Opcode, instruction: Instruction, role: str) -> Problem:
    fields = opcode.fields
    if opcode.has_descriptor:
        descriptor = instruction.descriptor
        if descriptor is None:
            return "must have a descriptor, not None; add it"
        problem = _nest(opcode, descriptor, role) if "nest" in fields else _element(opcode, descriptor)
        if problem or "nest" in fields:
            return problem
    if "count" in fields:
        return _count(instruction)
    if "token" in fields:
        return _token(instruction, role)
    if "scope" in fields and instruction.scope not in SCOPES:
        return f"must have a scope, one of {', '.join(SCOPES)}, not {instruction.scope!r}; correct it"
    if "register" in fields:
        return _registers(opcode, instruction)
    return None


def _count(instruction: Instruction) -> Problem:
    if 1 <= instruction.count <= MAX_COUNT:
        return None
    return f"must have a count from 1 to {MAX_COUNT}, not {instruction.count}; correct it"


def _token(instruction: Instruction, role: str) -> Problem:
    if instruction.unit not in QUEUES_OF[role]:
        queues = ", ".join(QUEUES_OF[role])
        return f"must name one of a {role}'s queues, {queues}, not {instruction.unit!r}; correct it"
    if not 0 <= instruction.token < MAX_TOKENS:
        return f"must have a token from 0 to {MAX_TOKENS - 1}, not {instruction.token}; correct it"
    return None


def _registers(opcode: Opcode, instruction: Instruction) -> Problem:
    registers, constant = instruction.registers, instruction.constant
    wanted = (1 + opcode.sources if opcode.form == "scalar" else 1) - (constant is not None)
    if len(registers) != wanted:
        return f"must have {_number_of(wanted, 'register')}, not {len(registers)}; correct them"
    for register in registers:
        if not 0 <= register < MAX_REGISTERS:
            return f"must have registers from r0 to r{MAX_REGISTERS - 1}, not r{register}; correct it"
    if constant is not None and not MIN_INTEGER <= constant <= MAX_INTEGER:
        return f"must have a constant from {MIN_INTEGER} to {MAX_INTEGER}, not {constant}; correct it"
    return None


def _element(opcode: Opcode, descriptor: Descriptor) -> Problem:
    place = descriptor.destination
    if (descriptor.extents, place.strides, descriptor.sources, place.kept) != ((1,), (0,), (), 0):
        return "must have an operand of one element, extents (1,) and strides (0,), and no sources; correct it"
    if problem := _operand(place, 1):
        return problem
    if place.memory != "nram":
        return f"must have its element in nram, not in {place.memory}; change it"
    return None


def _nest(opcode: Opcode, descriptor: Descriptor, role: str) -> Problem:
    if problem := _extents(descriptor):
        return problem
    rank = len(descriptor.extents)
    for operand in (descriptor.destination, *descriptor.sources):
        if problem := _operand(operand, rank) if isinstance(operand, Operand) else _constant(operand):
            return problem
    return (
        _places(opcode, descriptor, role)
        or _dtypes(opcode, descriptor)
        or _moves(opcode, descriptor)
        or _compressed(opcode, descriptor)
    )


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
    if o.dtype not in DTYPES:
        return f"must have a dtype, one of {', '.join(DTYPES)}, not {o.dtype!r} in {o.memory}; correct it"
    if o.register is not None and not 0 <= o.register < MAX_REGISTERS:
        return f"must have registers from r0 to r{MAX_REGISTERS - 1}, not r{o.register} in {o.memory}; correct it"
    if len(o.strides) != rank:
        return f"must have as many strides as extents, {rank}, not {len(o.strides)} in {o.memory}; make them equal"
    if len(o.steps) > MAX_LOOPS:
        return f"must have at most {MAX_LOOPS} steps, not {len(o.steps)} in {o.memory}; remove some"
    if o.base < 0 or o.wrap < 0:
        return f"must have a base and a wrap of 0 or more, not {o.base} and {o.wrap} in {o.memory}; correct them"
    if o.phase and not o.wrap:
        return f"must have no phase without a wrap, not {o.phase} in {o.memory}; add it to the base"
    return _addresses(o)


def _addresses(o: Operand) -> Problem:
    numbers, size = (o.base, o.phase, o.wrap, *o.steps, *o.strides), DTYPES[o.dtype]
    if reduce(or_, numbers) % size:
        wrong = next(number for number in numbers if number % size)
        return (
            f"must have addresses, steps and strides that are multiples of {size}, not {wrong} in {o.memory}; align it"
        )
    if min(numbers) < -MAX_ADDRESS or max(numbers) > MAX_ADDRESS:
        wrong = max(numbers, key=abs)
        return f"must have addresses, steps and strides below 2^48, not {wrong} in {o.memory}; correct it"
    return None


def _constant(source: Immediate) -> Problem:
    if source.value != source.value:
        return "must have constants that are numbers, not NaN; correct it"
    return None


def _places(opcode: Opcode, descriptor: Descriptor, role: str) -> Problem:
    where = (descriptor.destination.memory, *[s.memory if isinstance(s, Operand) else "#" for s in descriptor.sources])
    if where in _ALLOWED[opcode.mnemonic, role]:
        return None
    wanted = opcode.places(role) or ()
    if len(where) != len(wanted):
        return f"must have {_number_of(len(wanted) - 1, 'source')}, not {len(where) - 1}; correct them"
    names = ("destination", "first source", "second source")
    name, place, allowed = next(row for row in zip(names, where, wanted, strict=False) if row[1] not in row[2])
    return f"must have as its {name} {' or '.join(map(_place, allowed))}, not {_place(place)}; change it"


def _dtypes(opcode: Opcode, descriptor: Descriptor) -> Problem:
    if opcode.form not in ("move", "contract"):
        return None
    destination, *sources = [operand.dtype for operand in descriptor.operands]
    if opcode.form == "move":
        if destination == sources[0]:
            return None
        return f"must have operands of one dtype, not {destination} and {sources[0]}; convert with vcopy"
    a, b = sources
    if a != b or a == "int32":
        return f"must have sources of one dtype other than int32, not {a} and {b}; convert with vcopy"
    wanted = ("int32",) if a == "int8" else FLOATS
    if destination in wanted:
        return None
    return f"must have a destination of {' or '.join(wanted)} for sources of {a}, not of {destination}; change it"


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


def _compressed(opcode: Opcode, descriptor: Descriptor) -> Problem:
    """Compressed are the source of a move and the second source of a contraction at most."""
    *others, last = descriptor.operands
    if any(operand.kept for operand in others) or (last.kept and opcode.form not in COMPRESSED):
        return "must have no compressed operand but a move's source or a contract's weights; correct it"
    if not 0 <= last.kept <= BLOCK:
        return f"must keep 1 to {BLOCK} elements of a block, not {last.kept}; correct it"
    if last.kept and min(last.strides) < 0:
        return f"must have no stride below 0 in its compressed operand, not {min(last.strides)}; turn its loops around"
    return None


def _place(place: str) -> str:
    return "a constant" if place == "#" else f"an operand in {place}"


def _number_of(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
