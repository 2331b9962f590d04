"""Programs as bytes: 64-bit instruction words, and the descriptors that they name by index. All little-endian.

Word:

| bits  | field      | meaning                                                            |
|-------|------------|--------------------------------------------------------------------|
| 0-7   | opcode     | the code in the instruction table                                  |
| 8-15  | flags      | bit 0: accumulate; the others are 0                                |
| 16-23 | unit       | wait and post: index of the queue's unit in UNITS; others 0        |
| 24-31 | 0          |                                                                    |
| 32-63 | payload    | loop: count; wait, post: token; with a descriptor: its index       |

Descriptor, 480 bytes; loops beyond the rank and operands beyond the sources are all 0:

| offset          | type    | field                                                                    |
|-----------------|---------|--------------------------------------------------------------------------|
| 0               | u32     | rank, the number of loops                                                |
| 4               | u32     | sources, how many of them (0 to 2)                                       |
| 8               | 8 x u32 | extents                                                                  |
| 40 + 144 k      |         | operand k: the destination, the first source, the second source          |
| + 0             | u32     | kind: 0 a constant, else 1 + index of the memory in MEMORIES             |
| + 4             | u32     | 0                                                                        |
| + 8             | u64     | base; of a constant its float64 bits                                     |
| + 16            | i64     | phase                                                                    |
| + 24            | i64     | wrap                                                                     |
| + 32            | 6 x i64 | steps                                                                    |
| + 80            | 8 x i64 | strides                                                                  |
| 472             | u64     | 0                                                                        |
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tilework.collection import no_collection
from tilework.errors import ProgramError
from tilework.isa.instruction import (
    MAX_LOOPS,
    MAX_RANK,
    MEMORIES,
    UNITS,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.table import BY_CODE, OPCODES, Opcode
from tilework.isa.validate import check

WORD_BYTES = 8
DESCRIPTOR_BYTES = 480
_MAX_SOURCES = 2
_OPERAND = f"IIQ{2 + MAX_LOOPS + MAX_RANK}q"
_RECORD = struct.Struct(f"<II{MAX_RANK}I{_OPERAND * (1 + _MAX_SOURCES)}Q")
_OPERAND_FIELDS = 5 + MAX_LOOPS + MAX_RANK
_HEADER_FIELDS = 2 + MAX_RANK
_ZEROS = tuple((0,) * n for n in range(_OPERAND_FIELDS + 1))
_DOUBLE = struct.Struct("<d")
_LONG = struct.Struct("<Q")
_KIND = {memory: kind for kind, memory in enumerate(MEMORIES, 1)}
_UNIT = {unit: index for index, unit in enumerate(UNITS)}


def encode(instructions: Sequence[Instruction]) -> tuple[bytes, bytes]:
    """The program's words and its descriptors, each descriptor once. Raises ProgramError if it is not well formed."""
    check(instructions)
    index_of: dict[bytes, int] = {}
    words = [_word(instruction, index_of) for instruction in instructions]
    return struct.pack(f"<{len(words)}Q", *words), b"".join(index_of)


def decode(code: bytes, descriptors: bytes) -> tuple[Instruction, ...]:
    """The program that `encode` made these bytes of.

    Raises ProgramError, one sentence that names the word or the descriptor, for bytes that encode no program.
    """
    for name, data, size in (("code", code, WORD_BYTES), ("descriptors", descriptors, DESCRIPTOR_BYTES)):
        if len(data) % size:
            raise ProgramError(
                f"the {name} must be records of {size} bytes, not {len(data)} bytes in all; compile again"
            )
    if len(descriptors) // DESCRIPTOR_BYTES > len(code) // WORD_BYTES:
        raise ProgramError("the descriptors must be no more than the instructions, but are; compile the program again")
    with no_collection():
        instructions = _read_words(code, descriptors)
        check(instructions)
    return instructions


def _read_words(code: bytes, descriptors: bytes) -> tuple[Instruction, ...]:
    table = [_descriptor(index, fields) for index, fields in enumerate(_RECORD.iter_unpack(descriptors))]
    known: dict[int, Instruction] = {}
    instructions = []
    for index, (word,) in enumerate(_LONG.iter_unpack(code)):
        if word not in known:
            known[word] = _instruction(index, word, table)
        instructions.append(known[word])
    return tuple(instructions)


def _word(instruction: Instruction, index_of: dict[bytes, int]) -> int:
    opcode = OPCODES[instruction.mnemonic]
    word = opcode.code | instruction.accumulate << 8
    if instruction.descriptor is not None:
        return word | index_of.setdefault(_record(instruction.descriptor), len(index_of)) << 32
    if opcode.form == "token":
        return word | _UNIT[instruction.unit] << 16 | instruction.token << 32
    return word | instruction.count << 32


def _record(descriptor: Descriptor) -> bytes:
    extents, sources = descriptor.extents, descriptor.sources
    fields = [len(extents), len(sources), *extents, *_ZEROS[MAX_RANK - len(extents)], *_operand(descriptor.destination)]
    for source in sources:
        fields += _operand(source)
    fields += _ZEROS[_OPERAND_FIELDS] * (_MAX_SOURCES - len(sources))
    return _RECORD.pack(*fields, 0)


def _operand(o: Operand | Immediate) -> tuple[int, ...]:
    if isinstance(o, Immediate):
        return 0, 0, *_LONG.unpack(_DOUBLE.pack(o.value)), *_ZEROS[_OPERAND_FIELDS - 3]
    steps, strides = _ZEROS[MAX_LOOPS - len(o.steps)], _ZEROS[MAX_RANK - len(o.strides)]
    return _KIND[o.memory], 0, o.base, o.phase, o.wrap, *o.steps, *steps, *o.strides, *strides


def _descriptor(index: int, fields: tuple[int, ...]) -> Descriptor:
    rank, count = fields[:2]
    extents = fields[2:_HEADER_FIELDS]
    if rank > MAX_RANK or count > _MAX_SOURCES or any(extents[rank:]) or fields[-1]:
        raise _malformed(index, f"a rank of {rank} with {count} sources and extents {extents}")
    used = _HEADER_FIELDS + _OPERAND_FIELDS * (1 + count)
    if any(fields[used:]):
        raise _malformed(index, "bits set beyond its last operand")
    destination, *sources = (
        _read_operand(index, rank, fields[start : start + _OPERAND_FIELDS])
        for start in range(_HEADER_FIELDS, used, _OPERAND_FIELDS)
    )
    if isinstance(destination, Immediate):
        raise _malformed(index, "a constant as its destination")
    return Descriptor(extents[:rank], destination, tuple(sources))


def _read_operand(index: int, rank: int, fields: tuple[int, ...]) -> Operand | Immediate:
    kind, zero, base, phase, wrap = fields[:5]
    steps, strides = fields[5 : 5 + MAX_LOOPS] if any(fields[5 : 5 + MAX_LOOPS]) else (), fields[5 + MAX_LOOPS :]
    if kind > len(MEMORIES):
        raise _malformed(index, f"memory {kind}")
    if zero or any(strides[rank:]) or (not kind and any(fields[3:])):
        raise _malformed(index, "bits set that its operands do not use")
    if not kind:
        return Immediate(_DOUBLE.unpack(_LONG.pack(base))[0])
    return Operand(MEMORIES[kind - 1], base, strides[:rank], steps, phase, wrap)


def _instruction(index: int, word: int, table: Sequence[Descriptor]) -> Instruction:
    opcode = BY_CODE.get(word & 0xFF)
    if opcode is None:
        raise _bad_word(index, word, f"an opcode of the table, not 0x{word & 0xFF:02x}")
    flags, unit, payload = word >> 8 & 0xFF, word >> 16 & 0xFF, word >> 32
    if flags > 1 or word >> 24 & 0xFF or (unit and opcode.form != "token"):
        raise _bad_word(index, word, "0 in all bits that it does not use")
    if opcode.has_descriptor:
        if payload >= len(table):
            raise _bad_word(index, word, f"one of the {len(table)} descriptors, not number {payload}")
        return Instruction(opcode.mnemonic, table[payload], bool(flags))
    return _simple(index, word, opcode)


def _simple(index: int, word: int, opcode: Opcode) -> Instruction:
    flags, unit, payload = word >> 8 & 0xFF, word >> 16 & 0xFF, word >> 32
    if unit >= len(UNITS):
        raise _bad_word(index, word, f"one of the {len(UNITS)} units, not number {unit}")
    if flags or (payload and opcode.form == "none"):
        raise _bad_word(index, word, "0 in all bits that it does not use")
    if opcode.form == "token":
        return Instruction(opcode.mnemonic, unit=UNITS[unit], token=payload)
    return Instruction(opcode.mnemonic, count=payload)


def _bad_word(index: int, word: int, must: str) -> ProgramError:
    return ProgramError(f"instruction {index}, word 0x{word:016x}, must have {must}; compile the program again")


def _malformed(index: int, what: str) -> ProgramError:
    return ProgramError(f"descriptor {index} must be a record that `encode` makes, not one with {what}; compile again")
