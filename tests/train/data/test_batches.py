"""Batches: every example once an epoch, and the same ones for whoever goes on in the middle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import DataError
from tilework.train.data.batches import Batches
from tilework.train.data.dataset import Dataset


def numbered(count: int) -> Dataset:
    images = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)
    return Dataset(images, np.arange(count) % 3, ("a", "b", "c"), "numbers")


def noisy(images: npt.NDArray[np.float32], generator: np.random.Generator) -> npt.NDArray[np.float32]:
    return images + generator.random(images.shape, np.float32) / 2


@given(
    count=st.integers(1, 30),
    size=st.integers(1, 40),
    seed=st.integers(0, 2**33),
    epoch=st.integers(0, 99),
    drop=st.booleans(),
)
def test_every_example_once_an_epoch(count: int, size: int, seed: int, epoch: int, drop: bool) -> None:
    if drop and size > count:
        size = count
    batches = Batches(numbered(count), size, seed, drop_last=drop)
    found = list(batches.epoch(epoch))
    assert len(batches) == len(found) == (count // size if drop else -(-count // size))
    seen = np.concatenate([images.ravel() for images, _ in found])
    assert len(set(seen.tolist())) == len(seen) == (count // size * size if drop else count)
    assert all(len(labels) == size for _, labels in found[:-1])
    assert np.array_equal(np.concatenate([labels for _, labels in found]), seen.astype(int) % 3)
    assert seen.tolist() == batches.order(epoch)[: len(seen)].tolist()


@given(start=st.integers(0, 5), epoch=st.integers(0, 3), seed=st.integers(0, 99))
def test_going_on_in_the_middle_is_the_same(start: int, epoch: int, seed: int) -> None:
    whole = list(Batches(numbered(23), 4, seed, noisy).epoch(epoch))
    rest = list(Batches(numbered(23), 4, seed, noisy).epoch(epoch, start))
    assert len(rest) == 6 - start
    for (images, labels), (again, labels_again) in zip(whole[start:], rest, strict=True):
        assert images.tobytes() == again.tobytes()
        assert labels.tobytes() == labels_again.tobytes()


def test_epochs_seeds_and_steps_differ() -> None:
    orders = {Batches(numbered(30), 5, seed).order(epoch).tobytes() for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    noises = [images - np.floor(images) for images, _ in Batches(numbered(30), 5, 0, noisy).epoch(0)]
    assert len({noise.tobytes() for noise in noises}) == 6


def test_augmentation_leaves_order_and_data_alone() -> None:
    data = numbered(30)
    changed = Batches(data, 5, 3, noisy)
    assert changed.order(1).tolist() == Batches(data, 5, 3).order(1).tolist()
    list(changed.epoch(1))
    assert data.images.ravel().tolist() == list(range(30))


@pytest.mark.parametrize(("count", "size", "drop"), [(5, 0, False), (5, 6, True), (0, 1, False), (5, -1, True)])
def test_batches_that_cannot_be_made(count: int, size: int, drop: bool) -> None:
    with pytest.raises(DataError) as caught:
        Batches(numbered(count), size, 0, drop_last=drop)
    message = f"a batch must have 1 to {count} examples, as many as there are, not {size}; change its size"
    assert str(caught.value) == message
