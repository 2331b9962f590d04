"""Augmentations against SciPy's sampling and smoothing, loops over images, and moves known by hand."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tilework.errors import DataError
from tilework.train.data import augment
from tilework.train.data.augment import augmentation, mixup
from tilework.train.data.batches import Batches
from tilework.train.data.dataset import Dataset, seeded
from tilework.train.data.digits import digits

Floats = npt.NDArray[np.float32]

ALL: list[dict[str, Any]] = [
    {"shift": 2},
    {"flip": 0.5},
    {"affine": (15, 0.2, 10)},
    {"elastic": (34, 4)},
    {"brightness": 0.3},
    {"contrast": 0.3},
    {"saturation": 0.5},
    {"cutout": 3},
    {"flip": 0.5, "affine": (15, 0.2, 10), "elastic": (34, 4), "shift": 1, "cutout": 4},
]


def pictures(count: int = 20, channels: int = 3, height: int = 9, width: int = 12) -> Floats:
    return np.random.default_rng(1).random((count, channels, height, width), np.float32)


@pytest.mark.parametrize("steps", ALL, ids=lambda steps: "-".join(steps))
def test_every_augmentation_keeps_its_promises(steps: dict[str, Any]) -> None:
    images = pictures()
    before = images.copy()
    change = augmentation(**steps)
    first, again, other = (change(images, seeded(seed)) for seed in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert (first.dtype, first.shape) == (np.float32, images.shape)
    assert images.tobytes() == before.tobytes()
    assert first.min() >= -1e-6
    assert first.max() <= 1 + 1e-6
    assert change(images[:0], seeded(0)).shape == (0, 3, 9, 12)
    same = {tuple(a.ravel() - b.ravel()) for a, b in zip(first, images, strict=True)}
    assert len(same) > 1  # not all images change alike


def test_the_table_of_steps_is_tested_and_described() -> None:
    assert {name for steps in ALL for name in steps} == set(augment.STEPS)
    assert all(
        f"| {name} | {', '.join(ranges)} |" in str(augmentation.__doc__) for name, (_, ranges) in augment.STEPS.items()
    )


def shifted(image: Floats, rows: int, columns: int) -> Floats:
    """The image moved, one pixel after another."""
    result = np.zeros_like(image)
    _, height, width = image.shape
    for r in range(height):
        for c in range(width):
            if 0 <= r - rows < height and 0 <= c - columns < width:
                result[:, r, c] = image[:, r - rows, c - columns]
    return result


def test_shifts_are_whole_and_equally_likely() -> None:
    images = np.repeat(pictures(1), 900, 0)
    found = augmentation(shift=1)(images, seeded(2))
    ways = {shifted(images[0], r, c).tobytes(): 0 for r in (-1, 0, 1) for c in (-1, 0, 1)}
    for image in found:
        ways[image.tobytes()] += 1
    assert len(ways) == 9
    assert all(abs(count - 100) < 5 * np.sqrt(900 * 8 / 81) for count in ways.values())


def test_flips() -> None:
    images = np.repeat(pictures(1), 400, 0)
    found = augmentation(flip=0.25)(images, seeded(0))
    mirrored = [image.tobytes() == np.ascontiguousarray(images[0, :, :, ::-1]).tobytes() for image in found]
    unchanged = [image.tobytes() == images[0].tobytes() for image in found]
    assert sum(mirrored) + sum(unchanged) == 400
    assert abs(sum(mirrored) - 100) < 5 * np.sqrt(75)


@given(
    seed=st.integers(0, 999),
    spread=st.sampled_from([0.3, 2.0, 50.0]),
    channels=st.integers(1, 3),
    side=st.integers(1, 7),
)
def test_sampling_is_scipys(seed: int, spread: float, channels: int, side: int) -> None:
    generator = np.random.default_rng(seed)
    images = generator.random((2, channels, side, 5), np.float32)
    offsets = generator.normal(0, spread, (2, 2, side, 5)).astype(np.float32)
    places = offsets + np.indices((side, 5))[:, None]
    expected = [
        [ndimage.map_coordinates(plane, places[:, n], order=1, mode="grid-constant") for plane in images[n]]
        for n in range(2)
    ]
    np.testing.assert_allclose(augment.sample(images, offsets), expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(28, 28), (5, 40)])
@pytest.mark.parametrize("sigma", [0.5, 4, 9.3])
def test_elastic_fields_are_smoothed_noise(shape: tuple[int, int], sigma: float) -> None:
    images = pictures(3, 1, *shape)
    noise = seeded(7).random((2, 3, *shape), np.float32) * 2 - 1
    fields = [[ndimage.gaussian_filter(field, sigma, mode="constant") for field in half] for half in noise]
    moved = augment.sample(images, (30 * np.array(fields)).astype(np.float32))
    np.testing.assert_allclose(augmentation(elastic=(30, sigma))(images, seeded(7)), moved, atol=1e-4)


def test_a_known_turn_a_known_scale_and_a_known_slant() -> None:
    class Highest:
        """Draws the upper bound always."""

        def uniform(self, low: float, high: float, count: int) -> npt.NDArray[np.float64]:
            return np.full(count, high)

    images = pictures(2, 3, 8, 8)
    turned = augmentation(affine=(90, 0, 0))(images, Highest())
    np.testing.assert_allclose(turned, np.rot90(images, 1, (2, 3)), atol=1e-5)
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32), (1, 1, 9, 9)) / 8
    grown = augmentation(affine=(0, 0.6, 0))(ramp, Highest())
    np.testing.assert_allclose(grown[0, 0], np.broadcast_to(0.5 + (np.arange(9) - 4) / 8 / 1.6, (9, 9)), atol=1e-5)
    dot = np.zeros((1, 1, 9, 9), np.float32)
    dot[..., 2, 4] = 1
    slanted = augmentation(affine=(0, 0, 45))(dot, Highest())
    assert np.argwhere(slanted[0, 0] > 0.5).tolist() == [[2, 2]]  # two rows above the centre: two columns to the left


def test_moves_next_to_each_other_are_sampled_once() -> None:
    images = pictures(4, 1, 28, 28)
    draws = seeded(3)
    affine, elastic = augment._affine(10, 0.1, 5), augment._elastic(34, 4)
    offsets = affine.moves[0](images.shape, draws) + elastic.moves[0](images.shape, draws)
    expected = augment.sample(images, offsets)
    assert augmentation(affine=(10, 0.1, 5), elastic=(34, 4))(images, seeded(3)).tobytes() == expected.tobytes()
    twice = elastic(affine(images, draws := seeded(3)), draws)
    assert augmentation(affine=(10, 0.1, 5), flip=0, elastic=(34, 4))(images, seeded(3)).tobytes() != expected.tobytes()
    assert np.abs(twice - expected).mean() < 0.2


def test_colours_by_hand() -> None:
    images = pictures()
    factors = seeded(4).uniform(0.6, 1.4, 20)
    for name in ("brightness", "contrast", "saturation"):
        found = augmentation(**{name: 0.4})(images, seeded(4))
        for image, factor, result in zip(images.astype(np.float64), factors, found, strict=True):
            anchor = {
                "brightness": 0.0,
                "contrast": image.mean(),
                "saturation": 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2],
            }[name]
            np.testing.assert_allclose(result, np.clip(anchor + factor * (image - anchor), 0, 1), atol=1e-6)


def test_squares_are_cut_out() -> None:
    images = pictures(300) + 1
    cut = augmentation(cutout=3)(images, seeded(0)) == 0
    assert np.array_equal(cut[:, 0], cut[:, 1])
    sizes = {(int(rows.sum()), int(columns.sum())) for rows, columns in ((c.any(1), c.any(0)) for c in cut[:, 0])}
    assert sizes == {(r, c) for r in (2, 3) for c in (2, 3)}  # centred at any pixel, so that a border may cut it
    assert all(square.sum() == square.any(1).sum() * square.any(0).sum() for square in cut[:, 0])
    assert cut.any(0).all()


def test_mixup_by_hand() -> None:
    images = pictures(6)
    labels = np.array([0, 1, 2, 0, 1, 2])
    found, shares = mixup(images, labels, 3, 0.4, seeded(9))
    draws = seeded(9)
    share, other = draws.beta(0.4, 0.4), draws.permutation(6)
    for i in range(6):
        np.testing.assert_allclose(found[i], share * images[i] + (1 - share) * images[other[i]], atol=1e-6)
        expected = np.zeros(3)
        expected[labels[i]] += share
        expected[labels[other[i]]] += 1 - share
        np.testing.assert_allclose(shares[i], expected, atol=1e-6)
    assert (found.dtype, shares.dtype) == (np.float32, np.float32)


def test_mixed_batches_go_on_in_the_middle() -> None:
    data = Dataset(pictures(), np.arange(20) % 4, tuple("abcd"), "noise")
    batches = Batches(data, 6, 1, augmentation(shift=1))
    whole = list(batches.mixed(3, 0.2))
    rest = list(batches.mixed(3, 0.2, 2))
    assert [len(shares) for _, shares in whole] == [6, 6, 6, 2]
    assert [(i.tobytes(), s.tobytes()) for i, s in rest] == [(i.tobytes(), s.tobytes()) for i, s in whole[2:]]


def test_elastic_warps_of_4000_digits_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILEWORK_DATA", raising=False)
    batches = Batches(digits(fetch=False).train, 64, 0, augmentation(elastic=(34, 4)))
    start = time.process_time()
    assert sum(len(labels) for _, labels in batches.epoch(0)) == 4000
    assert time.process_time() - start < 1  # ten times what it takes


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            {"blur": 1},
            "an augmentation must be one of shift, flip, affine, elastic, brightness, contrast, saturation, cutout, "
            "not 'blur'; choose one",
        ),
        (
            {"shift": 1.5},
            "the augmentation shift must have pixels (a whole number, 0 to 64), not 1.5; change it",
        ),
        ({"shift": -1}, "the augmentation shift must have pixels (a whole number, 0 to 64), not -1; change it"),
        ({"flip": float("nan")}, "the augmentation flip must have share (0 to 1), not nan; change it"),
        (
            {"affine": 10},
            "the augmentation affine must have degrees (0 to 180), scale (0 to 0.9), shear (0 to 60), not 10; "
            "change it",
        ),
        (
            {"elastic": (34, 0)},
            "the augmentation elastic must have alpha (0 to 1000), sigma (0.5 to 64), not 34, 0; change it",
        ),
    ],
)
def test_steps_that_cannot_be(steps: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        augmentation(**steps)
    assert str(caught.value) == message


def test_images_and_numbers_that_do_not_fit() -> None:
    with pytest.raises(DataError) as caught:
        augmentation(saturation=0.5)(pictures(2, 1), seeded(0))
    assert str(caught.value) == ("the augmentation saturation must get images of 3 channels, not 1; leave it out")
    with pytest.raises(DataError) as caught:
        mixup(pictures(2), np.zeros(2, np.int64), 2, 0.0, seeded(0))
    assert str(caught.value) == "mixup's alpha must be positive, not 0.0; give 0.2"
