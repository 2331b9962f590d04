"""Exercises 4.5 to 4.7 against arithmetic and other libraries, 4.9 against halving by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import crc32c
import numpy as np
import pytest
from PIL import Image


def test_shapes_of_vgg19_after_its_pooling_layers(answer_to: Callable[[str], dict[str, Any]]) -> None:
    answer = answer_to("4.9")
    assert answer["input"] == [3, 224, 224]
    shapes = [pool["shape"] for pool in answer["pools"]]
    assert shapes == [[64, 112, 112], [128, 56, 56], [256, 28, 28], [512, 14, 14], [512, 7, 7]]
    assert [pool["name"] for pool in answer["pools"]] == [f"features.{i}" for i in (4, 9, 18, 27, 36)]


def test_the_order_of_channels(answer_to: Callable[[str], dict[str, Any]]) -> None:
    answer = answer_to("4.5")
    rgb = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 128, 0]]
    assert {name: found["order"] for name, found in answer["libraries"].items()} == {
        "Pillow": "RGB",
        "scikit-image": "RGB",
        "OpenCV": "BGR",
    }
    for found in answer["libraries"].values():
        assert found["pixels"] == [pixel if found["order"] == "RGB" else pixel[::-1] for pixel in rgb]
        assert (found["shape"], found["dtype"]) == ([2, 4, 3], "uint8")
    assert answer["alike"]
    assert answer["mistaken"] == [0, 0, 255]


def test_two_ways_to_prepare_a_picture(answer_to: Callable[[str], dict[str, Any]]) -> None:
    answer = answer_to("4.6")
    # 0.0625 of 300 rows are 18 whole ones on each side.
    kept = {"square": (224 / 256, 224 / 256), "centre": (350 / 400, 264 / 300), "shorter": (224 / 341, 224 / 256)}
    for name, (width, height) in kept.items():
        assert answer["framings"][name] == pytest.approx({"width": width, "height": height}, abs=0.002)
    rows, columns = np.indices((300, 400))
    waves = 127.5 + 127.5 * np.sin(np.hypot(rows - 150, columns - 200)[..., None] / np.array([4, 7, 11]))
    picture = Image.fromarray(waves.round().astype(np.uint8))
    square = picture.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    centre = picture.crop((25, 18, 375, 282)).resize((224, 224), Image.Resampling.BILINEAR)
    apart = np.abs(np.asarray(square, float) - np.asarray(centre, float))
    assert answer["difference"] == pytest.approx({"mean": apart.mean(), "largest": apart.max()}, abs=1e-4)
    flipped = np.abs(np.asarray(square, float) - np.asarray(square, float)[:, ::-1]).mean()
    assert answer["augmentations"]["flip"]["mean_change"] == pytest.approx(flipped, abs=1e-3)
    for name, found in answer["augmentations"].items():
        assert found["same_with_the_same_seed"]
        assert found["same_with_another_seed"] == (name == "flip")
        assert found["mean_change"] > 1


def test_a_data_set_as_tfrecord(answer_to: Callable[[str], dict[str, Any]]) -> None:
    answer = answer_to("4.7")
    assert (answer["records"], answer["images_equal"], answer["labels_equal"]) == (1000, True, True)
    first = answer["first"]
    # Four entries: 784 pixels, 28, 28 and the label, each with its name and the lengths that protobuf needs.
    assert first["length"] == 855
    assert answer["file_bytes"] == 1000 * (855 + 16)
    assert int(first["length_bytes"], 16) == int.from_bytes((855).to_bytes(8, "little"), "big")
    checksum = crc32c.crc32c((855).to_bytes(8, "little"))
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32
    assert first["length_checksum"] == masked.to_bytes(4, "little").hex()
    assert answer["features"] == {"image": 1, "height": 1, "width": 1, "label": 1}
    assert answer["damaged"] == (
        "digits.tfrecord must hold whole records, but record 6 at byte 4355 has a wrong checksum of its data; "
        "it is damaged, get it anew"
    )
