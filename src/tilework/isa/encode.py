"""Programs as bytes: 64-bit instruction words, and the descriptors that they name by index. All little-endian.

The words of the streams follow each other; the descriptors are common to all of them. Word:

| bits  | field      | meaning                                                                                   |
|-------|------------|-------------------------------------------------------------------------------------------|
| 0-7   | opcode     | the code in the instruction table                                                         |
| 8-15  | flags      | bit 0: accumulate; bit 1: the last scalar source is the payload; the others are 0         |
| 16-23 | unit       | wait and post: index of the queue's unit in UNITS; or the first register; else 0          |
| 24-31 | register   | the second register; else 0                                                               |
| 32-63 | payload    | count, token, target, index of the scope in SCOPES, index of the descriptor, the constant |
|       |            | (two's complement), or the third register; else 0                                         |

Descriptor, 480 bytes; loops beyond the rank and operands beyond the sources are all 0:

| offset          | type    | field                                                                    |
|-----------------|---------|--------------------------------------------------------------------------|
| 0               | u32     | rank, the number of loops                                                |
| 4               | u32     | sources, how many of them (0 to 2)                                       |
| 8               | 8 x u32 | extents                                                                  |
| 40 + 144 k      |         | operand k: the destination, the first source, the second source          |
| + 0             | u32     | kind: 0 a constant, else 1 + index of the memory in MEMORIES             |
| + 4             | u32     | bits 0-7: index of the dtype in DTYPES; bits 8-15: 0, or 1 + the register; |
|                 |         | bits 16-23: what a block keeps, or 0                                     |
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
from itertools import islice
from typing import Any

from tilework.collection import no_collection
from tilework.errors import ProgramError
from tilework.isa.instruction import (
    DTYPES,
    MAX_LOOPS,
    MAX_RANK,
    MEMORIES,
    SCOPES,
    UNITS,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.program import Header, Stream
from tilework.isa.table import BY_CODE, OPCODES, Opcode
from tilework.isa.validate import check_each

WORD_BYTES = 8
DESCRIPTOR_BYTES = 480
_MAX_SOURCES = 2
_PAYLOAD = (1 << 32) - 1
_OPERAND = f"IIQ{2 + MAX_LOOPS + MAX_RANK}q"
_RECORD = struct.Struct(f"<II{MAX_RANK}I{_OPERAND * (1 + _MAX_SOURCES)}Q")
_OPERAND_FIELDS = 5 + MAX_LOOPS + MAX_RANK
_HEADER_FIELDS = 2 + MAX_RANK
_ZEROS = tuple((0,) * n for n in range(_OPERAND_FIELDS + 1))
_DOUBLE = struct.Struct("<d")
_LONG = struct.Struct("<Q")
_KIND = {memory: kind for kind, memory in enumerate(MEMORIES, 1)}
_UNIT = {unit: index for index, unit in enumerate(UNITS)}
_DTYPE = {dtype: index for index, dtype in enumerate(DTYPES)}
_DTYPES = tuple(DTYPES)


def encode(streams: Sequence[Stream]) -> tuple[bytes, bytes]:
    """The streams' words, and their descriptors, each once. Raises ProgramError unless all are well formed."""
    check_each(streams)
    index_of: dict[bytes, int] = {}
    words = [_word(instruction, index_of) for stream in streams for instruction in stream.instructions]
    return struct.pack(f"<{len(words)}Q", *words), b"".join(index_of)


def decode(code: bytes, descriptors: bytes, headers: Sequence[Header]) -> tuple[Stream, ...]:
    """The streams that `encode` made these bytes of; `headers` say of how many words each is.

    Raises ProgramError, one sentence that names the word or the descriptor, for bytes that encode no program.
    """
    for name, data, size in (("code", code, WORD_BYTES), ("descriptors", descriptors, DESCRIPTOR_BYTES)):
        if len(data) % size:
            raise ProgramError(
                f"the {name} must be records of {size} bytes, not {len(data)} bytes in all; compile again"
            )
    words, lengths = len(code) // WORD_BYTES, [header.length for header in headers]
    if len(descriptors) // DESCRIPTOR_BYTES > words:
        raise ProgramError("the descriptors must be no more than the instructions, but are; compile the program again")
    if min(lengths, default=0) < 0 or sum(lengths) != words:
        raise ProgramError(f"the streams must share the {words} words among them, not {lengths}; compile again")
    with no_collection():
        instructions = iter(_read_words(code, descriptors))
        streams = tuple(Stream(tuple(islice(instructions, h.length)), h.role, h.cluster, h.index) for h in headers)
        check_each(streams)
    return streams


def _read_words(code: bytes, descriptors: bytes) -> list[Instruction]:
    table = [_descriptor(index, fields) for index, fields in enumerate(_RECORD.iter_unpack(descriptors))]
    known: dict[int, Instruction] = {}
    instructions = []
    for index, (word,) in enumerate(_LONG.iter_unpack(code)):
        if word not in known:
            known[word] = _instruction(index, word, table)
        instructions.append(known[word])
    return instructions


def _word(instruction: Instruction, index_of: dict[bytes, int]) -> int:
    i, payload = instruction, 0
    if i.descriptor is not None:
        payload = index_of.setdefault(_record(i.descriptor), len(index_of))
    return _pack(i, payload)


def _pack(i: Instruction, payload: int) -> int:
    """The word of an instruction; `payload` is the index of its descriptor."""
    first, second, third = (*i.registers, 0, 0, 0)[:3]
    payload |= i.count | i.token | i.target | third
    if i.scope:
        payload = SCOPES.index(i.scope)
    if i.constant is not None:
        payload = i.constant & _PAYLOAD
    flags = i.accumulate | (i.constant is not None) << 1
    return OPCODES[i.mnemonic].code | flags << 8 | (first | _UNIT[i.unit]) << 16 | second << 24 | payload << 32


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
    kind = _DTYPE[o.dtype] | (0 if o.register is None else o.register + 1) << 8 | o.kept << 16
    return _KIND[o.memory], kind, o.base, o.phase, o.wrap, *o.steps, *steps, *o.strides, *strides


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
    kind, data, base, phase, wrap = fields[:5]
    steps, strides = fields[5 : 5 + MAX_LOOPS] if any(fields[5 : 5 + MAX_LOOPS]) else (), fields[5 + MAX_LOOPS :]
    if kind > len(MEMORIES):
        raise _malformed(index, f"memory {kind}")
    if data & 0xFF >= len(DTYPES):
        raise _malformed(index, f"dtype {data & 0xFF}")
    if data >> 24 or any(strides[rank:]) or (not kind and (data or any(fields[3:]))):
        raise _malformed(index, "bits set that its operands do not use")
    if not kind:
        return Immediate(_DOUBLE.unpack(_LONG.pack(base))[0])
    register = (data >> 8 & 0xFF) - 1 if data >> 8 & 0xFF else None
    dtype, kept = _DTYPES[data & 0xFF], data >> 16
    return Operand(MEMORIES[kind - 1], base, strides[:rank], steps, phase, wrap, dtype, register, kept)


def _instruction(index: int, word: int, table: Sequence[Descriptor]) -> Instruction:
    opcode = BY_CODE.get(word & 0xFF)
    if opcode is None:
        raise _bad_word(index, word, f"an opcode of the table, not 0x{word & 0xFF:02x}")
    fields: dict[str, Any] = {}
    for name in opcode.fields:
        fields |= _field(index, word, name, opcode, table)
    instruction = Instruction(opcode.mnemonic, **fields)
    if _pack(instruction, word >> 32 if opcode.has_descriptor else 0) != word:
        raise _bad_word(index, word, "0 in all bits that it does not use")
    return instruction


def _field(index: int, word: int, name: str, opcode: Opcode, table: Sequence[Descriptor]) -> dict[str, Any]:
    """What a field of the instruction's form stands for in the word."""
    payload = word >> 32
    if name in ("count", "token", "target"):
        return {name: payload}
    if name == "accumulate":
        return {name: bool(word >> 8 & 1)}
    if name == "unit":
        return {name: _one_of(index, word, UNITS, word >> 16 & 0xFF, "units")}
    if name == "scope":
        return {name: _one_of(index, word, SCOPES, payload, "scopes")}
    if name in ("nest", "element"):
        return {"descriptor": _one_of(index, word, table, payload, "descriptors")}
    if name == "register":
        return {"registers": (word >> 16 & 0xFF,)}
    return _scalars(word, opcode.sources) if name == "scalars" else {}


def _scalars(word: int, sources: int) -> dict[str, Any]:
    """The result's register and the sources."""
    registers, payload = (word >> 16 & 0xFF, word >> 24 & 0xFF, word >> 32), word >> 32
    if not word >> 9 & 1:
        return {"registers": registers[: 1 + sources]}
    return {"registers": registers[:sources], "constant": payload - (payload >> 31 << 32)}


def _one_of(index: int, word: int, items: Sequence[Any], number: int, what: str) -> Any:
    if number < len(items):
        return items[number]
    raise _bad_word(index, word, f"one of the {len(items)} {what}, not number {number}")


def _bad_word(index: int, word: int, must: str) -> ProgramError:
    return ProgramError(f"instruction {index}, word 0x{word:016x}, must have {must}; compile the program again")


def _malformed(index: int, what: str) -> ProgramError:
    return ProgramError(f"descriptor {index} must be a record that `encode` makes, not one with {what}; compile again")
