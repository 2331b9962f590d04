"""Photographs as inputs against an independent resampling, framings, preparations and orders of channels by hand."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tilework.errors import ImageError, MissingPackageError
from tilework.frontend.images import digits
from tilework.pixels import FRAMINGS, framed, from_pixels, load_image, photograph, prepared, to_pixels

Floats = npt.NDArray[Any]

STRIP = Path(__file__).parents[1] / "examples" / "digits.png"
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def saved(folder: Path, picture: Image.Image | npt.NDArray[Any], name: str = "picture.png", **options: Any) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(folder / name, **options)
    return folder / name


def weights_of(length: int, target: int) -> Floats:
    """[target, length]: the triangle filter as wide as a target pixel, at least as wide as a source pixel."""
    ratio = length / target
    centres = (np.arange(target) + 0.5) * ratio
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(ratio, 1)
    triangle = np.maximum(1 - distance, 0)
    return np.asarray(triangle / triangle.sum(1, keepdims=True))


def resampled(rgb: Floats, rows: int, columns: int) -> Floats:
    height, width, _ = rgb.shape
    resized = weights_of(height, rows) @ rgb.transpose(2, 0, 1) @ weights_of(width, columns).T
    return np.asarray(resized.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("width", "height", "size"), [(120, 90, 32), (200, 301, 64), (640, 479, 224), (9, 7, 16), (3, 3, 1)]
)
def test_photograph_against_an_independent_resampling(tmp_path: Path, width: int, height: int, size: int) -> None:
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 60, (height, width))
    rgb = np.stack([x * 195 // width + noise, y * 195 // height + noise, 250 - noise - (x + y) % 190], 2)
    shorter = round(size * 256 / 224)
    rows, columns = shorter * height // min(width, height), shorter * width // min(width, height)
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    cut = resampled(rgb, rows, columns)[top : top + size, left : left + size]
    expected = (cut / 255 - MEAN) / DEVIATION
    found = photograph(saved(tmp_path, rgb.astype(np.uint8)), size)
    assert found.shape == (1, 3, size, size)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    # Pillow rounds to 8 bits after each of its two passes.
    np.testing.assert_allclose(found[0], expected.transpose(2, 0, 1), atol=1.5 / 255 / 0.224)


@pytest.mark.parametrize(("width", "height", "size"), [(120, 90, 32), (321, 500, 224), (40, 37, 224), (5, 9, 1)])
def test_framings_against_an_independent_resampling(width: int, height: int, size: int) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (height, width, 3)).astype(np.uint8)
    side = round(size * 256 / 224)
    edge = round((side - size) / 2)
    top, left = int((height - height * 0.875) / 2), int((width - width * 0.875) / 2)
    expected = {
        "square": resampled(rgb, side, side)[edge : edge + size, edge : edge + size],
        "centre": resampled(rgb[top : height - top, left : width - left], size, size),
        "whole": resampled(rgb, size, size),
    }
    assert {*expected, "shorter"} == set(FRAMINGS)
    for framing, values in expected.items():
        found = framed("p", Image.fromarray(rgb), size, framing)
        assert (found.shape, found.dtype) == ((size, size, 3), np.uint8)
        np.testing.assert_allclose(found, values, atol=1.5)
    assert [side, edge] == [256, 16] or size != 224


def test_preparations_by_hand() -> None:
    """Keras: caffe takes B, G, R of 0..255 minus ImageNet's mean; tf x / 127.5 - 1; torch as torchvision."""
    levels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    images = np.stack([from_pixels(pixels) for pixels in levels])
    x = levels.astype(np.float64)
    expected = {
        "caffe": x[..., ::-1] - [103.939, 116.779, 123.68],
        "tf": x / 127.5 - 1,
        "torch": (x / 255 - MEAN) / DEVIATION,
    }
    for name, values in expected.items():
        found = prepared(images, name)
        assert (found.dtype, found.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_allclose(found, values.transpose(0, 3, 1, 2), rtol=1e-6, atol=3e-5)


def test_orders_of_channels_by_hand() -> None:
    pixels = np.array([[[255, 0, 51], [1, 2, 3]]], np.uint8)
    assert from_pixels(pixels)[:, 0, 0].tolist() == [1, 0, np.float32(0.2)]
    assert from_pixels(pixels, "BGR")[:, 0, 0].tolist() == [np.float32(0.2), 0, 1]
    assert from_pixels(pixels[0]).shape == (1, 2, 3)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colours = np.stack([levels, levels.T, levels[::-1]], 2)
    for picture in (levels, colours):
        for order in ("RGB", "BGR"):
            assert np.array_equal(to_pixels(from_pixels(picture, order), order), picture)
    assert to_pixels(np.array([[[-0.2, 0.5019, 1.7]]], np.float32)).tolist() == [[0, 128, 255]]


def test_three_libraries_read_one_file_alike(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    skimage = pytest.importorskip("skimage.io", reason="scikit-image is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    path = saved(tmp_path, pixels)
    images = [
        from_pixels(np.asarray(load_image(path))),
        from_pixels(skimage.imread(path)),
        from_pixels(cv2.imread(str(path)), "BGR"),
    ]
    assert all(image.tobytes() == images[0].tobytes() for image in images)
    assert from_pixels(cv2.imread(str(path))).tobytes() == images[0][::-1].tobytes()  # red and blue changed places
    assert cv2.imwrite(str(tmp_path / "again.png"), to_pixels(images[0], "BGR"))
    assert np.array_equal(np.asarray(load_image(tmp_path / "again.png")), pixels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: framed("p", Image.new("RGB", (9, 9)), 4, "wide"),
            "the framing must be one of shorter, square, centre, whole, not 'wide'; choose one",
        ),
        (
            lambda: prepared(np.zeros((2, 1, 4, 4), np.float32), "tf"),
            "images must be [N,3,H,W] to be prepared, not [2, 1, 4, 4]; give colour images",
        ),
        (
            lambda: from_pixels(np.zeros((4, 4, 4), np.uint8)),
            "pixels must be uint8 [H,W] or [H,W,3], not uint8 [4, 4, 4]; convert them to RGB",
        ),
        (
            lambda: from_pixels(np.zeros((4, 4), np.float64)),  # type: ignore[arg-type]
            "pixels must be uint8 [H,W] or [H,W,3], not float64 [4, 4]; convert them to RGB",
        ),
        (
            lambda: from_pixels(np.zeros((4, 4), np.uint8), "HSV"),
            "the order of channels must be one of RGB, BGR, not 'HSV'; choose one",
        ),
        (
            lambda: to_pixels(np.zeros((2, 3, 4, 4), np.float32)),
            "an image must be [1,H,W] or [3,H,W], not [2, 3, 4, 4]; give one image",
        ),
    ],
)
def test_what_cannot_be_framed_or_converted(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ImageError) as caught:
        call()
    assert str(caught.value) == message


def flat(path: Path) -> list[int]:
    """The level of each channel in the middle of an evenly coloured photograph."""
    levels = (photograph(path, 8)[0, :, 4, 4] * DEVIATION + MEAN) * 255
    return [round(float(level)) for level in levels]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGB", (20, 30), (10, 120, 240)), [10, 120, 240]),
        (Image.new("L", (20, 30), 77), [77, 77, 77]),
        (Image.new("1", (20, 30), 1), [255, 255, 255]),
        (Image.new("I;16", (20, 30), 257 * 99), [99, 99, 99]),
        (Image.new("RGB", (20, 30), (10, 120, 240)).quantize(4), [10, 120, 240]),
        (Image.new("RGBA", (20, 30), (10, 120, 240, 0)), [255, 255, 255]),
        (Image.new("RGBA", (20, 30), (0, 100, 200, 51)), [204, 224, 244]),
        (Image.new("LA", (20, 30), (0, 51)), [204, 204, 204]),
    ],
    ids=["RGB", "gray", "1-bit", "16-bit", "palette", "transparent", "RGBA", "LA"],
)
def test_photograph_of_each_mode(tmp_path: Path, picture: Image.Image, expected: list[int]) -> None:
    assert flat(saved(tmp_path, picture)) == pytest.approx(expected, abs=1)


def test_transparent_palette(tmp_path: Path) -> None:
    image = Image.new("P", (20, 30), 1)
    image.putpalette([0, 0, 0, 200, 100, 0])
    assert flat(saved(tmp_path, image, transparency=b"\xff\x00")) == [255, 255, 255]
    assert flat(saved(tmp_path, image, transparency=0)) == [200, 100, 0]


def test_cmyk(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("CMYK", (20, 30), (255, 0, 0, 0)), "p.jpg", quality=95)
    assert flat(path) == pytest.approx([0, 255, 255], abs=4)


@pytest.mark.parametrize("name", ["p.jpg", "p.png", "p.tif"])
def test_exif_orientation_is_honoured(tmp_path: Path, name: str) -> None:
    picture = Image.new("RGB", (40, 30), "black")
    picture.paste((255, 255, 255), (0, 0, 20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to view
    path = saved(tmp_path, picture, name, exif=exif)
    assert load_image(path).size == (30, 40)
    upright = photograph(path, 16)[0].mean((0, 2))
    assert upright[0] > 2
    assert upright[-1] < -1.5


def header(width: int, height: int) -> bytes:
    """The beginning of a PNG that promises so many pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">II4s", zlib.crc32(body), 99, b"IDAT")


@pytest.mark.parametrize("read", [load_image, digits, lambda path: photograph(path, 32)])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{} must be an image file, but doesn't exist; check the path"),
        (b"", "{} must be an image (PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM), but is none; save it as PNG"),
        (b"7 2 1 0", "{} must be an image (PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM), but is none; save it as PNG"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
            "{} must be an image (PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM), but is none; save it as PNG",
        ),
        (STRIP.read_bytes()[:900], "{} must be a whole image, but is damaged or cut short; copy or save it anew"),
        (header(30, 30), "{} must be a whole image, but is damaged or cut short; copy or save it anew"),
        (header(8193, 8192), "{} must be an image of at most 67108864 pixels, but has more; make it smaller"),
        (header(10_000, 10_000), "{} must be an image of at most 67108864 pixels, but has more; make it smaller"),
        (header(200_000, 200_000), "{} must be an image of at most 67108864 pixels, but has more; make it smaller"),
    ],
    ids=["missing", "empty", "text", "EPS", "cut short", "no pixels", "large", "very large", "bomb"],
)
def test_unreadable_files(tmp_path: Path, read: Callable[[Path], object], content: bytes | None, message: str) -> None:
    path = tmp_path / "picture.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read(path)
    assert str(caught.value) == message.format(path)


def test_folder(tmp_path: Path) -> None:
    error = errno.EACCES if sys.platform == "win32" else errno.EISDIR
    with pytest.raises(ImageError) as caught:
        load_image(tmp_path)
    reason = f"can't be opened ({os.strerror(error)}); give another file"
    assert str(caught.value) == f"{tmp_path} must be a readable image file, but {reason}"


@pytest.mark.parametrize(
    ("picture", "name", "message"),
    [
        (
            np.zeros((9, 9), np.float32),
            "p.tif",
            "{} must be a gray, RGB or CMYK image, not of mode F; save it as PNG",
        ),
        (
            Image.new("LAB", (9, 9)),
            "p.tif",
            "{} must be a gray, RGB or CMYK image, not of mode LAB; save it as PNG",
        ),
        (
            np.full((9, 9), 70_000, np.int32),
            "p.tif",
            "{} must be an image of 8 or 16 bits a channel, but has more; save it as PNG",
        ),
        (
            np.zeros((2, 9000), np.uint8),
            "p.png",
            "{} must have at most 67108864 pixels once resized, not 1152000x256; crop it",
        ),
    ],
    ids=["float", "LAB", "32-bit", "narrow"],
)
def test_unusable_photographs(tmp_path: Path, picture: Image.Image | npt.NDArray[Any], name: str, message: str) -> None:
    path = saved(tmp_path, picture, name)
    with pytest.raises(ImageError) as caught:
        photograph(path, 224)
    assert str(caught.value) == message.format(path)


@pytest.mark.parametrize(
    ("size", "preparation", "message"),
    [
        (0, "torch", "the size of the network's input must be at least 1, not 0; give a positive one"),
        (-224, "torch", "the size of the network's input must be at least 1, not -224; give a positive one"),
        (224, "keras", "the preparation must be one of torch, tf, caffe, not 'keras'; choose one"),
    ],
)
def test_unusable_arguments(size: int, preparation: str, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        photograph(STRIP, size, preparation)
    assert str(caught.value) == message


@pytest.mark.parametrize(("module", "package"), [("numpy", "NumPy"), ("PIL.Image", "Pillow")])
@pytest.mark.parametrize("read", [load_image, digits, lambda path: photograph(path, 32)])
def test_missing_package(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError) as caught:
        read(STRIP)
    assert str(caught.value) == f"an image needs the package {package}: pip install 'tilework[run]'"


def test_importing_the_module_imports_neither_numpy_nor_pillow() -> None:
    code = "import sys, tilework.frontend.images, tilework.pixels; sys.exit(bool({'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
