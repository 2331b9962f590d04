"""Messages in protobuf's wire format, as ONNX and TensorFlow have them, without the packages onnx and protobuf.

These take longer to import than most models to read, and hold a file of 2 GB twice. Here the numbers of tensors stay
in the file, as a `Span`, until somebody asks; and what isn't numbers is bounded, as a byte of it may become a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from struct import unpack_from
from typing import Any, ClassVar, TypeVar

ITEMS_LIMIT = 2_000_000  # messages, texts and numbers beside those of tensors: up to 500 bytes of memory each
SCOPED = 1 << 12  # bytes of an entry that are looked at
DEPTH_LIMIT = 100  # of messages in one another, as protobuf's own

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
SCOPES = b"\x0a\x1apkg.torch.onnx.name_scopes"  # an entry's key as it stands in the file


class Damaged(Exception):  # noqa: N818 - never leaves what reads files
    """The bytes are no sound messages."""


class Excess(Exception):  # noqa: N818 - never leaves what reads files
    """There is too much beside the numbers of tensors."""


@dataclass(frozen=True)
class Origin:
    """Where a model's bytes are: in memory, or in a file."""

    data: bytes | None
    path: Path | None = None

    def read(self, start: int, end: int) -> bytes:
        """Some of the bytes, fewer where the file has become shorter; raises OSError where it can't be read."""
        if self.data is not None or self.path is None:
            return (self.data or b"")[start:end]
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


@dataclass(frozen=True)
class Span:
    """Bytes that are not read yet."""

    origin: Origin
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def read(self) -> bytes:
        return self.origin.read(self.start, self.end)


class Message:
    """A message; `FIELDS` tells by number a field's name and kind, a `*` behind that of a repeated one.

    Kinds: int, float, text, bytes, span (not read), or a class of message; scopes is the value of the one entry with
    the key SCOPES. What is not listed is left out.
    """

    FIELDS: ClassVar[dict[int, tuple[str, str]]] = {}
    span: Span

    def __init_subclass__(cls) -> None:
        CLASSES[cls.__name__] = cls


CLASSES: dict[str, type[Message]] = {}  # by name; each class puts itself here
M = TypeVar("M", bound=Message)


def decode(cls: type[M], data: bytes | mmap, origin: Origin) -> M:
    """A message; raises Damaged where the bytes are none, Excess where there is too much in them."""
    return _Decoder(data, origin).message(cls, 0, len(data), 0)


class _Decoder:
    def __init__(self, data: bytes | mmap, origin: Origin) -> None:
        self.data, self.origin, self.items = data, origin, 0

    def number(self, place: int, end: int) -> tuple[int, int]:
        """The varint at a place, and the place behind it."""
        if place < end and (byte := self.data[place]) < 128:
            return byte, place + 1
        value = shift = 0
        while place < end and shift < 64:
            byte = self.data[place]
            value |= (byte & 127) << shift
            place += 1
            if byte < 128:
                return value & 0xFFFFFFFFFFFFFFFF, place
            shift += 7
        raise Damaged

    def message(self, cls: type[M], place: int, end: int, depth: int) -> M:
        if depth > DEPTH_LIMIT:
            raise Damaged
        made, fields = cls(), cls.FIELDS
        made.span = Span(self.origin, place, end)
        self.count(1)
        while place < end:
            key, place = self.number(place, end)
            wire = key & 7
            if wire == BYTES:
                size, place = self.number(place, end)
                behind = place + size
            elif wire == VARINT:
                behind = self.number(place, end)[1]
            elif wire in (FIXED32, FIXED64):
                behind = place + (4 if wire == FIXED32 else 8)
            else:
                raise Damaged
            if behind > end or key < 8:
                raise Damaged
            if found := fields.get(key >> 3):
                self.set(made, *found, wire, place, behind, depth)
            place = behind
        return made

    def count(self, items: int) -> None:
        self.items += items
        if self.items > ITEMS_LIMIT:
            raise Excess

    def set(self, made: Message, name: str, kind: str, wire: int, place: int, end: int, depth: int) -> None:
        """Let a field have what stands between two places."""
        if kind == "scopes":
            content = self.data[place : min(end, place + SCOPED)]
            if content.startswith(SCOPES):
                made.__dict__[name] = content[len(SCOPES) :].decode("utf-8", "replace")
            return
        repeated, kind = kind.endswith("*"), kind.removesuffix("*")
        values = self.values(kind, wire, place, end, depth)
        if not repeated:
            if kind in CLASSES and name in made.__dict__:
                raise Damaged  # protobuf would merge the two; no writer makes such
            made.__dict__[name] = values[-1] if values else type(made).__dict__[name]
        elif name in made.__dict__:
            made.__dict__[name] += values
        else:
            made.__dict__[name] = values

    def values(self, kind: str, wire: int, place: int, end: int, depth: int) -> list[Any]:
        """What a field holds: several numbers where they are packed."""
        if kind == "int":
            return self.integers(wire, place, end)
        if kind == "float":
            return self.floats(wire, place, end)
        if kind == "span":
            self.count(1)
            return [Span(self.origin, place, end)]
        if wire != BYTES:
            raise Damaged
        if kind in CLASSES:
            return [self.message(CLASSES[kind], place, end, depth + 1)]
        self.count(1 + (end - place) // 100)
        content = self.data[place:end]
        return [content.decode("utf-8") if kind == "text" else content]

    def integers(self, wire: int, place: int, end: int) -> list[int]:
        numbers = []
        while place < end:
            if wire not in (VARINT, BYTES):
                raise Damaged
            value, place = self.number(place, end)
            numbers.append(value - (value >> 63 << 64))
            self.count(1)
        return numbers

    def floats(self, wire: int, place: int, end: int) -> list[float]:
        count, rest = divmod(end - place, 4)
        if wire not in (FIXED32, BYTES) or rest:
            raise Damaged
        self.count(count)
        return list(unpack_from(f"<{count}f", self.data, place))


def varints(data: bytes) -> list[int]:
    """Numbers one behind the other, each in as many bytes as it needs; raises Damaged where the last is cut."""
    decoder = _Decoder(data, Origin(data))
    decoder.items = -len(data)
    return decoder.integers(BYTES, 0, len(data))


def count_varints(data: bytes) -> int:
    return len(data.translate(None, bytes(range(128, 256))))


def varint(number: int) -> bytes:
    """A number of 0 or more, 7 bits a byte, the lowest first."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def tag(field: int, length: int) -> bytes:
    """The tag and the length that precede a field of `length` bytes (protobuf's encoding guide, LEN records)."""
    return varint(field << 3 | BYTES) + varint(length)
