"""TFRecord files of tf.train.Example, exchangeable with TensorFlow's, without TensorFlow.

A record is its length (8 bytes), the masked CRC-32C of that, the bytes, and the masked CRC-32C of these, all
little-endian (tensorflow.org/tutorials/load_data/tfrecord). An Example maps names to lists of bytes, float32 or int64.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from struct import pack, unpack
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from tilework.errors import DataError
from tilework.files import replacing
from tilework.train.data.crc32c import masked_crc32c
from tilework.wire import Damaged, Excess, Message, Origin, Span, decode, tag, varint, varints

Feature = list[bytes] | npt.NDArray[np.float32] | npt.NDArray[np.int64]
Example = dict[str, Feature]

MOST_BYTES = 2**31 - 1  # of a message, says protobuf
GZIP = b"\x1f\x8b"
HEAD = 12


class ByteList(Message):
    """Values that are bytes."""

    FIELDS: ClassVar = {1: ("value", "bytes*")}
    value: list[bytes] = []  # noqa: RUF012 - replaced, never changed


class FloatList(Message):
    """Values that are float32, packed or not."""

    FIELDS: ClassVar = {1: ("value", "span*")}
    value: list[Span] = []  # noqa: RUF012


class Int64List(Message):
    """Values that are int64, packed or not."""

    FIELDS: ClassVar = {1: ("value", "span*")}
    value: list[Span] = []  # noqa: RUF012


class ExampleFeature(Message):
    """One of three lists."""

    FIELDS: ClassVar = {1: ("texts", "ByteList"), 2: ("floats", "FloatList"), 3: ("integers", "Int64List")}
    texts: ByteList | None = None
    floats: FloatList | None = None
    integers: Int64List | None = None


class ExampleEntry(Message):
    """A name and its list."""

    FIELDS: ClassVar = {1: ("key", "text"), 2: ("value", "ExampleFeature")}
    key = ""
    value: ExampleFeature | None = None


class ExampleFeatures(Message):
    """A map, as protobuf writes one."""

    FIELDS: ClassVar = {1: ("feature", "ExampleEntry*")}
    feature: list[ExampleEntry] = []  # noqa: RUF012


class ExampleMessage(Message):
    """tf.train.Example (tensorflow/core/example/example.proto)."""

    FIELDS: ClassVar = {1: ("features", "ExampleFeatures")}
    features: ExampleFeatures | None = None


def write_tfrecord(path: str | Path, examples: Iterable[Mapping[str, Any]]) -> int:
    """Write one record for each example, packed by gzip if the name ends in .gz; the number of records.

    A feature is bytes or text, a number, or a list or an array (flattened) of these: integers and truth values become
    int64, other numbers float32. Raises DataError, naming record and feature, for what is none of them, and
    OutputError.
    """
    count = 0
    with replacing(path) as plain:
        packed = gzip.GzipFile("", "wb", fileobj=plain, mtime=0) if str(path).endswith(".gz") else None
        for count, example in enumerate(examples, 1):
            (packed or plain).write(framed(encode_example(example, f"record {count}")))
        if packed:
            packed.close()
    return count


def read_tfrecord(path: str | Path) -> Iterator[Example]:
    """The examples of a file, packed by gzip or not, one after another: lists of bytes, float32 and int64 arrays.

    A feature without values and without a type is an empty list. Raises DataError, naming the record and where it
    begins, for one that is cut short, has a wrong checksum or holds no Example.
    """
    for number, (place, record) in enumerate(records(path), 1):
        try:
            yield decode_example(record)
        except DataError:
            raise DataError(
                f"{path} must hold tf.train.Example, which record {number} at byte {place} is not; give another file"
            ) from None


def records(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """The records of a TFRecord file and the places where they begin, once unpacked; raises DataError."""
    place = 0
    with _opened(path) as file:
        number = 0
        while head := file.read(HEAD):
            number += 1
            where = f"{path} must hold whole records, but record {number} at byte {place}"
            if len(head) < HEAD:
                raise DataError(f"{where} is cut short; get it anew")
            length, checksum = unpack("<QI", head)
            if checksum != masked_crc32c(head[:8]) or length > MOST_BYTES:
                raise DataError(f"{where} has a wrong checksum of its length; it is damaged or no TFRecord file")
            body = file.read(length + 4)
            if len(body) < length + 4:
                raise DataError(f"{where} is cut short; get it anew")
            if unpack("<I", body[-4:])[0] != masked_crc32c(body[:-4]):
                raise DataError(f"{where} has a wrong checksum of its data; it is damaged, get it anew")
            yield place, body[:-4]
            place += HEAD + length + 4


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """The file's content, unpacked; errors of reading become DataError."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            # A length may look like gzip's mark; then its checksum tells.
            plain = not head.startswith(GZIP) or pack("<I", masked_crc32c(head[:8])) == head[8:]
            if plain:
                yield file
            else:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked  # type: ignore[misc]
    except FileNotFoundError:
        raise DataError(f"{path} must be a TFRecord file, but doesn't exist; check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} must be a whole gzip file, but is damaged or cut short; get it anew") from None
    except OSError as error:
        raise DataError(f"{path} must be a readable file, not one with '{error.strerror}'; give another") from None


def framed(record: bytes) -> bytes:
    """A record as it stands in a file, between its length and the checksums."""
    length = pack("<Q", len(record))
    return length + pack("<I", masked_crc32c(length)) + record + pack("<I", masked_crc32c(record))


def encode_example(example: Mapping[str, Any], name: str = "the example") -> bytes:
    """A tf.train.Example as bytes, its features in the order given; raises DataError like `write_tfrecord`."""
    entries = []
    for key, value in example.items():
        feature = _feature(value, f"{key} of {name}")
        entries.append(_field(1, _field(1, key.encode()) + _field(2, feature)))
    return _field(1, b"".join(entries))


def _feature(value: Any, name: str) -> bytes:
    if isinstance(value, bytes | str):
        value = [value]
    if isinstance(value, list | tuple) and value and all(isinstance(item, bytes | str) for item in value):
        return _field(1, b"".join(_field(1, item.encode() if isinstance(item, str) else item) for item in value))
    try:
        numbers = np.asarray(value).ravel()
    except ValueError:  # of lists of different lengths
        numbers = np.array(None)
    if numbers.dtype.kind in "bi" or (numbers.dtype.kind == "u" and numbers.max(initial=0) < np.uint64(2**63)):
        return _field(3, _field(1, b"".join(varint(number & 2**64 - 1) for number in numbers.tolist())))
    if numbers.dtype.kind == "f":
        untyped = not numbers.size and not isinstance(value, np.ndarray)  # an empty list
        return b"" if untyped else _field(2, _field(1, numbers.astype("<f4").tobytes()))
    raise DataError(
        f"the feature {name} must be bytes, text, numbers of 64 bits, or a list of one kind; "
        f"not {type(value).__name__}; convert it"
    )


def _field(number: int, content: bytes) -> bytes:
    return tag(number, len(content)) + content


def decode_example(record: bytes) -> Example:
    """The features of a tf.train.Example; raises DataError where the bytes are none."""
    try:
        message = decode(ExampleMessage, record, Origin(record))
        entries = message.features.feature if message.features else []
        return {entry.key: _values(entry.value or ExampleFeature()) for entry in entries}
    except (Damaged, Excess, ValueError):
        raise DataError("the bytes must be a tf.train.Example, and are none; give others") from None


def _values(feature: ExampleFeature) -> Feature:
    if feature.integers:
        return np.array(varints(_joined(feature.integers.value)), np.int64)
    if feature.floats:
        return np.frombuffer(_joined(feature.floats.value), "<f4").astype(np.float32)
    return feature.texts.value if feature.texts else []


def _joined(spans: list[Span]) -> bytes:
    return b"".join(span.read() for span in spans)
