"""4.7: images written as a TFRecord file and read back."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tilework as tw

TITLE = "A data set of images as a TFRecord file"
QUESTION = """
Write images with their labels to a TFRecord file, and read them back. What stands in such a file, and how is
damage found?
"""
NOTICE = """
A record is its length, a checksum of that, the bytes, and a checksum of these: 16 bytes around each. What the
bytes mean is not the file's concern; by custom they are a tf.train.Example, a map from names to lists of bytes,
float32 or int64, in protobuf's encoding. TensorFlow reads this file and this program reads TensorFlow's.

There is no index: records are read one after another, which suits a disk or a network, and is why an epoch's
order comes from shuffling names of files and a buffer of records.

The length has a checksum of its own, because a wrong length would lead the reader astray; with both, every
flipped bit is found, and the record is named.
"""

COUNT = 1000


def answer() -> dict[str, Any]:
    """Of images and labels written and read: their number, the bytes of file and record, and if all came back.

    `first` has the parts of the first record's frame in hexadecimal, `damaged` what is said of one flipped bit.
    """
    import numpy as np

    found = tw.digits(fetch=False)
    data = found.test.take(np.arange(COUNT))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "digits.tfrecord"
        tw.write_tfrecord(path, (_example(*pair) for pair in zip(data.images, data.labels, strict=True)))
        back = list(tw.read_tfrecord(path))
        tw.write_tfrecord(f"{path}.gz", back)
        raw, packed = path.read_bytes(), Path(f"{path}.gz").stat().st_size
        path.write_bytes(raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:])
        damaged = _error(path).replace(str(path), path.name)
    images = np.stack([_image(example) for example in back])
    labels = np.array([example["label"][0] for example in back])
    length = int.from_bytes(raw[:8], "little")
    return {
        "source": found.source,
        "records": len(back),
        "file_bytes": len(raw),
        "file_bytes_packed": packed,
        "features": {name: len(values) for name, values in back[0].items()},
        "first": {
            "length": length,
            "length_bytes": raw[:8].hex(),
            "length_checksum": raw[8:12].hex(),
            "data_begins": raw[12:28].hex(),
            "data_checksum": raw[12 + length : 16 + length].hex(),
        },
        "images_equal": images.tobytes() == data.images.tobytes(),
        "labels_equal": labels.tolist() == data.labels.tolist(),
        "damaged": damaged,
    }


def _example(image: Any, label: Any) -> dict[str, Any]:
    pixels = tw.to_pixels(image)
    return {"image": pixels.tobytes(), "height": pixels.shape[0], "width": pixels.shape[1], "label": label}


def _image(example: dict[str, Any]) -> Any:
    import numpy as np

    height, width = example["height"][0], example["width"][0]
    return tw.from_pixels(np.frombuffer(example["image"][0], np.uint8).reshape(height, width))


def _error(path: Path) -> str:
    try:
        return f"nothing, of {len(list(tw.read_tfrecord(path)))} records"
    except tw.DataError as error:
        return str(error)


def text(answer: dict[str, Any]) -> str:
    """The first record part by part, and what came back."""
    first = answer["first"]
    rows = [
        ("length", "8", f"{first['length_bytes']}  = {first['length']}"),
        ("masked CRC-32C of the length", "4", first["length_checksum"]),
        ("tf.train.Example", str(first["length"]), f"{first['data_begins']}…"),
        ("masked CRC-32C of the data", "4", first["data_checksum"]),
    ]
    came = "as they were" if answer["images_equal"] and answer["labels_equal"] else "changed"
    return "\n".join(
        [
            f"data: {answer['source']}",
            "",
            tw.table(("part of the first record", "bytes", "hexadecimal, little-endian"), rows),
            "",
            f"{answer['records']:,} records, {answer['file_bytes']:,} bytes, {answer['file_bytes_packed']:,} packed by "
            f"gzip; images and labels came back {came}",
            f"one bit flipped: {answer['damaged']}",
        ]
    )
