"""Pictures of digits and photographs as inputs, checked against the originals and an independent resampling."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tilework.errors import ImageError
from tilework.frontend import images
from tilework.frontend.images import digits
from tilework.frontend.weight_files import SHIPPED

Gray = npt.NDArray[np.uint8]
Floats = npt.NDArray[Any]

STRIP = Path(__file__).parents[2] / "examples" / "digits.png"
LABELS = [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
PIXELS = np.asarray(Image.open(STRIP))
CELLS = PIXELS.reshape(28, 10, 28).swapaxes(0, 1)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def saved(folder: Path, picture: Image.Image | npt.NDArray[Any], name: str = "picture.png", **options: Any) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(folder / name, **options)
    return folder / name


def page(order: list[int], scales: list[float], gaps: list[int], paper: int = 255, ink: int = 0) -> Gray:
    """The digits of the strip in one line, each enlarged, the gaps before and after them blank columns."""
    parts = []
    for k, scale in zip(order, scales, strict=True):
        rows, columns = CELLS[k].any(1).nonzero()[0], CELLS[k].any(0).nonzero()[0]
        part = Image.fromarray(CELLS[k][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        parts.append(np.asarray(part.resize((round(part.width * scale), round(part.height * scale)))))
    height = max(len(part) for part in parts)
    padded = [np.pad(part, (((height - len(part)) // 2, -(-(height - len(part)) // 2)), (0, 0))) for part in parts]
    blanks = [np.zeros((height, gap), np.uint8) for gap in gaps]
    line = np.hstack([column for pair in zip(blanks, padded, strict=False) for column in pair] + blanks[-1:])
    return np.round(paper + (ink - paper) * (np.pad(line, ((6, 6), (0, 0))) / 255)).astype(np.uint8)


def similarity(cell: Floats, original: Floats) -> float:
    """The correlation, after a shift by at most one pixel: rounding may move a centre of mass so far."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(float(np.corrcoef(np.roll(cell, shift, (0, 1)).ravel(), original.ravel())[0, 1]) for shift in shifts)


def assert_resemble(found: Floats, order: list[int]) -> None:
    assert found.shape == (len(order), 1, 28, 28)
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() == 1
    for cell, k in zip(found[:, 0], order, strict=True):
        likeness = [similarity(cell, original) for original in CELLS]
        assert likeness[k] > 0.85
        assert LABELS[int(np.argmax(likeness))] == LABELS[k]


def labels(cells: Floats) -> list[int]:
    """What the shipped LeNet-5 reads."""
    with np.load(Path(images.__file__).with_name(SHIPPED["lenet5"])) as file:
        w = dict(file)

    def layer(x: Floats, name: str) -> Floats:
        windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), (2, 3))
        y = np.einsum("nchwij,ocij->nohw", windows, w[f"{name}.weight"]) + w[f"{name}.bias"][:, None, None]
        n, c, height, width = y.shape
        return np.asarray(y.reshape(n, c, height // 2, 2, width // 2, 2).max((3, 5)).clip(0))

    x = layer(layer(np.pad(cells, ((0, 0), (0, 0), (2, 2), (2, 2))), "conv1"), "conv2").reshape(len(cells), -1)
    for name in ("fc1", "fc2"):
        x = np.maximum(x @ w[f"{name}.weight"].T + w[f"{name}.bias"], 0)
    return [int(k) for k in (x @ w["fc3.weight"].T + w["fc3.bias"]).argmax(1)]


def test_strip_is_cut_as_it_is() -> None:
    found = digits(STRIP)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, CELLS[:, None].astype(np.float32) / np.float32(255))
    assert labels(found) == LABELS


def test_example_is_an_8_bit_gray_strip() -> None:
    with Image.open(STRIP) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (280, 28))


def dark_on_transparent() -> Image.Image:
    return Image.merge("LA", (Image.new("L", (280, 28)), Image.fromarray(PIXELS)))


@pytest.mark.parametrize(
    "picture",
    [
        lambda: 255 - PIXELS,
        lambda: Image.fromarray(PIXELS).convert("RGB"),
        lambda: Image.fromarray(PIXELS).convert("P"),
        lambda: PIXELS.astype(np.uint16) * 257,
        lambda: (255 - PIXELS).astype(np.uint16) * 257,
        dark_on_transparent,
        lambda: dark_on_transparent().convert("RGBA"),
    ],
    ids=["inverted", "RGB", "palette", "16-bit", "inverted 16-bit", "gray with alpha", "RGB with alpha"],
)
def test_strip_in_another_form_gives_the_same_cells(
    tmp_path: Path, picture: Callable[[], Image.Image | npt.NDArray[Any]]
) -> None:
    np.testing.assert_array_equal(digits(saved(tmp_path, picture())), digits(STRIP))


@pytest.mark.parametrize("name", ["p.jpg", "p.gif", "p.bmp", "p.tif", "p.webp", "p.pgm"])
def test_strip_in_another_format(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, PIXELS, name, **({"quality": 95} if name in ("p.jpg", "p.webp") else {}))
    np.testing.assert_allclose(digits(path), digits(STRIP), atol=0.15)


def test_one_cell(tmp_path: Path) -> None:
    np.testing.assert_array_equal(digits(saved(tmp_path, CELLS[3])), digits(STRIP)[3:4])


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_finds_every_digit_of_a_line(data: st.DataObject) -> None:
    order = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=8))
    base = data.draw(st.floats(1.2, 5))
    scales = [base * data.draw(st.floats(0.75, 1.25)) for _ in order]
    gaps = [data.draw(st.integers(2, 60)) for _ in range(len(order) + 1)]
    paper, ink = data.draw(st.sampled_from([(255, 0), (235, 60), (110, 20), (0, 255), (40, 170)]))
    with tempfile.TemporaryDirectory() as folder:
        assert_resemble(digits(saved(Path(folder), page(order, scales, gaps, paper, ink))), order)


@pytest.mark.parametrize("scale", [1.0, 3.0, 9.0])
def test_network_reads_digits_on_noisy_paper(tmp_path: Path, scale: float) -> None:
    paper = page(list(range(10)), [scale] * 10, [int(9 * scale)] * 11, 225, 50)
    noisy = np.clip(paper + np.random.default_rng(2).normal(0, 6, paper.shape), 0, 255).astype(np.uint8)
    assert labels(digits(saved(tmp_path, noisy))) == LABELS


def test_lines_come_row_by_row(tmp_path: Path) -> None:
    lines = [page([0, 1, 2], [2, 2, 2], [10, 30, 20, 63]), page([3, 4, 8], [2, 2, 2], [40, 9, 20, 30])]
    width = max(line.shape[1] for line in lines)
    whole = np.vstack([np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=255) for line in lines])
    assert_resemble(digits(saved(tmp_path, whole)), [0, 1, 2, 3, 4, 8])


def test_specks_are_ignored_wherever_they_are(tmp_path: Path) -> None:
    clean = page(list(range(10)), [4.0] * 10, [20] * 11)
    specked = np.pad(clean, 40, constant_values=255)
    generator = np.random.default_rng(3)
    for _ in range(150):
        y, x = generator.integers(2, specked.shape[0] - 4), generator.integers(2, specked.shape[1] - 4)
        if specked[y - 2 : y + 4, x - 2 : x + 4].min() == 255:
            specked[y : y + 2, x : x + 2] = 0
    assert (specked == 0).sum() > (clean == 0).sum() + 200
    np.testing.assert_allclose(digits(saved(tmp_path, specked)), digits(saved(tmp_path, clean, "c.png")), atol=0.15)


def test_stroke_apart_above_its_digit_belongs_to_it(tmp_path: Path) -> None:
    five = np.zeros((120, 100), np.uint8)
    five[20:26, 40:70] = five[30:90, 30:38] = five[84:90, 30:70] = 255
    assert len(digits(saved(tmp_path, five))) == 1


def test_digits_are_normalised_as_in_mnist(tmp_path: Path) -> None:
    found = digits(saved(tmp_path, page(list(range(10)), [5.0] * 10, [30] * 11)))[:, 0]
    for cell in found:
        rows, columns = cell.any(1).nonzero()[0], cell.any(0).nonzero()[0]
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
        assert np.average(np.arange(28), weights=cell.sum(1)) == pytest.approx(14, abs=0.51)
        assert np.average(np.arange(28), weights=cell.sum(0)) == pytest.approx(14, abs=0.51)


def test_huge_picture_is_searched_at_a_smaller_size(tmp_path: Path) -> None:
    huge = np.pad(page([0, 3, 4], [20.0] * 3, [200] * 4), ((1500, 900), (0, 0)), constant_values=255)
    assert huge.size > images.MOST_PIXELS_SEARCHED
    assert_resemble(digits(saved(tmp_path, huge)), [0, 3, 4])


@settings(deadline=None, max_examples=60)
@given(data=st.data(), name=st.sampled_from(["p.png", "p.jpg", "p.gif", "p.tif", "p.bmp"]))
def test_damaged_files_are_read_or_refused(data: st.DataObject, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), page([0, 1], [1.0, 1.0], [5, 5, 5]), name)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        with contextlib.suppress(ImageError):
            assert np.isfinite(digits(path)).all()


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(280, 28), (200, 100)])
def test_blank_picture(tmp_path: Path, level: int, size: tuple[int, int]) -> None:
    path = saved(tmp_path, Image.new("L", size, level))
    with pytest.raises(ImageError) as caught:
        digits(path)
    assert str(caught.value) == f"{path} must show a digit at least, but is blank; write darker or give another file"


def test_noise_on_paper_is_blank(tmp_path: Path) -> None:
    path = saved(tmp_path, np.random.default_rng(0).normal(220, 8, (100, 200)).clip(0, 255).astype(np.uint8))
    with pytest.raises(ImageError, match="but is blank"):
        digits(path)


def test_too_many_marks(tmp_path: Path) -> None:
    marks = np.zeros((404, 404), np.uint8)
    marks[2:-2:4, 2:-2:4] = 255
    path = saved(tmp_path, np.tile(marks, (1, 2)))
    with pytest.raises(ImageError) as caught:
        digits(path)
    assert str(caught.value) == f"{path} must show at most 10000 digits, not 20000 marks; crop or clean it"
