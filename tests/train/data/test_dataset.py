"""Data sets and their splits, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import DataError
from tilework.train.data.dataset import Dataset, seeded, stratified


def numbered(labels: list[int], classes: int = 3) -> Dataset:
    """Images that are one pixel, the place of the example."""
    images = np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1)
    return Dataset(images, np.array(labels, np.int64), tuple("abcdefghij"[:classes]), "numbers")


def test_examples_are_taken_with_their_labels() -> None:
    data = numbered([2, 0, 1, 1])
    taken = data.take([3, 0, 3])
    assert taken.images.ravel().tolist() == [3, 0, 3]
    assert taken.labels.tolist() == [1, 2, 1]
    assert (len(taken), taken.classes, taken.source) == (3, ("a", "b", "c"), "numbers")
    taken.images[0] = 9
    assert data.images.ravel().tolist() == [0, 1, 2, 3]


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=60), share=st.floats(0.1, 0.9), seed=st.integers(0, 2**40)
)
def test_a_split_keeps_the_share_of_each_class(labels: list[int], share: float, seed: int) -> None:
    data = numbered(labels, 4)
    counts = [round(share * labels.count(label)) for label in range(4)]
    if not 0 < sum(counts) < len(labels):
        with pytest.raises(DataError):
            data.split(share, seed)
        return
    kept, held_out = data.split(share, seed)
    assert [int(np.sum(held_out.labels == label)) for label in range(4)] == counts
    places = [*kept.images.ravel().tolist(), *held_out.images.ravel().tolist()]
    assert sorted(places) == list(range(len(labels)))
    assert held_out.images.tobytes() == data.split(share, seed)[1].images.tobytes()


def test_every_example_is_held_out_by_some_seed() -> None:
    labels = np.array([0] * 8 + [1] * 4, np.int64)
    counts = np.zeros(12)
    for seed in range(400):
        counts[stratified(labels, 0.25, seed)[1]] += 1
    assert counts[:8].sum() == 800
    assert counts[8:].sum() == 400
    assert np.all(np.abs(counts - 100) < 5 * np.sqrt(400 * 0.25 * 0.75))


def test_streams_of_a_seed_differ() -> None:
    streams = [(), (0,), (0, 0), (1,), (1, 0), (0, 1)]
    drawn = {seeded(seed, *stream).bytes(8) for seed in (0, 1, 2**40) for stream in streams}
    assert len(drawn) == 18


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.0, "the share held out must lie between 0 and 1, not be 0.0; give 0.2 for a fifth"),
        (20, "the share held out must lie between 0 and 1, not be 20; give 0.2 for a fifth"),
        (0.1, "both parts must have an example, not 4 be split at 0.1; change the share"),
    ],
)
def test_shares_that_split_nothing(share: float, message: str) -> None:
    with pytest.raises(DataError) as caught:
        numbered([0, 1, 2, 2]).split(share, 0)
    assert str(caught.value) == message


def test_a_negative_seed() -> None:
    with pytest.raises(DataError) as caught:
        seeded(-1)
    assert str(caught.value) == "the seed must be 0 or more, not -1; give another"


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(DataError) as caught:
        numbered([0, 1, 3, -1])
    assert str(caught.value) == (
        "the labels of the data set must be 0 to 2, not 3 as label 2 is; give whole files that belong together"
    )
    with pytest.raises(DataError) as caught:
        Dataset(np.zeros((2, 1, 1, 1), np.float32), np.zeros(3, np.int64), ("a",), "")
    assert str(caught.value) == (
        "a data set must have one label for each image, not 3 labels for 2 images; give files that belong together"
    )
