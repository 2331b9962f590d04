"""TFRecord files against the package tfrecord and protobuf, and what is said of damaged ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
import pytest
import tfrecord
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tfrecord import example_pb2

from tilework.errors import DataError, OutputError
from tilework.train.data.tfrecord import decode_example, encode_example, read_tfrecord, write_tfrecord

EXAMPLE = {
    "image": bytes(range(256)),
    "names": ["Würfel", b"\0\xff"],
    "label": -3,
    "sizes": np.array([[0, 2**63 - 1], [-(2**63), 300]]),
    "levels": [0.5, -1e30, 3],
    "true": True,
}


def plain(feature: Any) -> Any:
    return feature.tolist() if isinstance(feature, np.ndarray) else feature


EXPECTED = {
    "image": [bytes(range(256))],
    "names": ["Würfel".encode(), b"\0\xff"],
    "label": [-3],
    "sizes": [0, 2**63 - 1, -(2**63), 300],
    "levels": [0.5, float(np.float32(-1e30)), 3.0],
    "true": [1],
}


@pytest.mark.parametrize("name", ["data.tfrecord", "data.tfrecord.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    assert write_tfrecord(tmp_path / name, (EXAMPLE | {"n": n} for n in range(5))) == 5
    found = list(read_tfrecord(tmp_path / name))
    assert [{key: plain(value) for key, value in one.items()} for one in found] == [
        EXPECTED | {"n": [n]} for n in range(5)
    ]
    assert [getattr(value, "dtype", None) for value in found[0].values()][2:5] == [np.int64, np.int64, np.float32]
    first = (tmp_path / name).read_bytes()
    write_tfrecord(tmp_path / name, (EXAMPLE | {"n": n} for n in range(5)))
    assert (tmp_path / name).read_bytes() == first


def test_another_reader_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "data.tfrecord"
    write_tfrecord(path, [EXAMPLE, EXAMPLE | {"label": 7}])
    found = list(tfrecord.tfrecord_loader(str(path), None, None))
    assert [one["label"].tolist() for one in found] == [[-3], [7]]
    assert bytes(found[0]["image"]) == EXAMPLE["image"]
    assert found[0]["sizes"].tolist() == EXPECTED["sizes"]
    assert found[0]["levels"].tolist() == EXPECTED["levels"]


@pytest.mark.parametrize("packed", [False, True])
def test_what_another_writer_writes_is_read(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "data.tfrecord"
    writer = tfrecord.TFRecordWriter(str(path))
    for n in range(3):
        writer.write({"image": (b"abc", "byte"), "label": (n - 1, "int"), "values": ([1.5, n], "float")})
    writer.close()
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = [{key: plain(value) for key, value in one.items()} for one in read_tfrecord(path)]
    assert found == [{"image": [b"abc"], "label": [n - 1], "values": [1.5, n]} for n in range(3)]


values = st.one_of(
    st.lists(st.binary(max_size=5), min_size=1, max_size=3),
    hnp.arrays(np.int64, st.integers(0, 5)),
    hnp.arrays(np.float32, st.integers(0, 5)),
)


@given(example=st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_protobuf_understands_examples(example: dict[str, Any]) -> None:
    raw = encode_example(example)
    message = example_pb2.Example.FromString(raw)
    assert {*message.features.feature} == {*example}
    for key, value in example.items():
        feature = message.features.feature[key]
        kind = feature.WhichOneof("kind")
        kinds = {"list": "bytes_list", "int64": "int64_list", "float32": "float_list"}
        assert kind == kinds[str(getattr(value, "dtype", "list"))]
        np.testing.assert_array_equal(np.array(getattr(feature, kind).value), np.array(plain(value)))
    for encoded in (raw, message.SerializeToString()):
        found = decode_example(encoded)
        assert {*found} == {*example}
        for key, value in example.items():
            np.testing.assert_array_equal(found[key], value)
            assert type(found[key]) is type(value)


@given(raw=st.binary(max_size=40))
def test_any_bytes_are_an_example_or_refused(raw: bytes) -> None:
    try:
        message = example_pb2.Example.FromString(raw)
    except DecodeError:
        message = None
    try:
        found = decode_example(raw)
    except DataError as error:
        assert str(error) == "the bytes must be a tf.train.Example, and are none; give others"  # noqa: PT017
        return
    assert message is None or {*message.features.feature} == {*found}


def test_old_forms_of_examples() -> None:
    """Numbers not packed, a feature without a list, fields that nobody knows, an entry without a value."""
    ints = b"\x1a\x04\x08\x05\x08\x07"
    floats = b"\x12\x0a" + (b"\x0d" + struct.pack("<f", 1.5)) * 2
    parts = [
        b"\x0a\x01i\x12\x06" + ints,
        b"\x0a\x01f\x12\x0c" + floats,
        b"\x0a\x01e\x12\x00",
        b"\x0a\x01n",
    ]
    body = b"".join(bytes([10, len(part)]) + part for part in parts) + b"\x78\x01"
    raw = bytes([10, len(body)]) + body
    assert {k: plain(v) for k, v in decode_example(raw).items()} == {
        "i": [5, 7],
        "f": [1.5, 1.5],
        "e": [],
        "n": [],
    }
    assert {*example_pb2.Example.FromString(raw).features.feature} == {"i", "f", "e", "n"}
    assert decode_example(b"") == {}
    assert decode_example(encode_example({"none": []})) == {"none": []}


def masked(data: bytes) -> bytes:
    checksum = crc32c.crc32c(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32)


def framed(record: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(record) if length is None else length)
    return head + masked(head) + record + masked(record)


def test_the_frame_by_hand(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "a", [{"x": 1}])
    record = b"\x0a\x0c\x0a\x0a\x0a\x01x\x12\x05\x1a\x03\x0a\x01\x01"
    assert (tmp_path / "a").read_bytes() == framed(record)


def test_a_length_that_looks_like_gzip_is_a_length(tmp_path: Path) -> None:
    path = tmp_path / "a"
    spare = 0x1000_8B1F - 0x1000_0000 + 0x10000
    text = b"x" * (spare - len(encode_example({"t": b"x" * spare})) + spare)
    assert write_tfrecord(path, [{"t": text}]) == 1
    assert path.read_bytes().startswith(b"\x1f\x8b")
    assert next(read_tfrecord(path))["t"] == [text]


WHOLE = framed(encode_example({"x": 1})) + framed(encode_example({"x": 2}))
SECOND = len(WHOLE) // 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (WHOLE[:-1], f"must hold whole records, but record 2 at byte {SECOND} is cut short; get it anew"),
        (WHOLE[: SECOND + 5], f"must hold whole records, but record 2 at byte {SECOND} is cut short; get it anew"),
        (
            WHOLE[: SECOND + 14] + b"?" + WHOLE[SECOND + 15 :],
            f"must hold whole records, but record 2 at byte {SECOND} has a wrong checksum of its data; "
            "it is damaged, get it anew",
        ),
        (
            b"0" + WHOLE[1:],
            "must hold whole records, but record 1 at byte 0 has a wrong checksum of its length; "
            "it is damaged or no TFRecord file",
        ),
        (
            framed(b"", 2**63),
            "must hold whole records, but record 1 at byte 0 has a wrong checksum of its length; "
            "it is damaged or no TFRecord file",
        ),
        (
            WHOLE[:SECOND] + framed(b"text"),
            f"must hold tf.train.Example, which record 2 at byte {SECOND} is not; give another file",
        ),
        (gzip.compress(WHOLE, mtime=0)[:-9], "must be a whole gzip file, but is damaged or cut short; get it anew"),
        (
            gzip.compress(WHOLE, mtime=0)[:-8] + bytes(8),
            "must be a whole gzip file, but is damaged or cut short; get it anew",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "data.tfrecord"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        list(read_tfrecord(path))
    assert str(caught.value) == f"{path} {message}"


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ 1 << bit]) + WHOLE[place + 1 :])
    with pytest.raises(DataError):
        list(read_tfrecord(path))


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "absent", "must be a TFRecord file, but doesn't exist; check the path"),
        (tmp_path, "must be a readable file, not one with 'Is a directory'; give another"),
    ):
        with pytest.raises(DataError) as caught:
            list(read_tfrecord(path))
        assert str(caught.value) == f"{path} {message}"
    with pytest.raises(OutputError):
        write_tfrecord(tmp_path / "absent" / "a", [])
    (tmp_path / "empty").write_bytes(b"")
    assert list(read_tfrecord(tmp_path / "empty")) == []


@pytest.mark.parametrize("value", [None, [b"x", 1], [[1], [2, 3]], 2**63, {"a": 1}, 1j, [None]])
def test_features_that_are_none(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError) as caught:
        write_tfrecord(tmp_path / "a", [{"x": 1}, {"x": value}])
    assert str(caught.value) == (
        "the feature x of record 2 must be bytes, text, numbers of 64 bits, or a list of one kind; "
        f"not {type(value).__name__}; convert it"
    )
    assert list(tmp_path.iterdir()) == []
