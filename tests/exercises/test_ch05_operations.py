"""Exercises 5.5 and 5.7 against NumPy and arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Answer = Callable[[str], dict[str, Any]]


def test_registered_operations(answer_to: Answer) -> None:
    answer = answer_to("5.5")
    sine, pool, stated = answer["operations"]
    x = np.random.default_rng(0).standard_normal(answer["shape"]).astype(np.float32)[:1, :2, :4, :4]
    np.testing.assert_allclose(sine["slopes"], np.cos(x), rtol=1e-6)
    windows = x.reshape(1, 2, 2, 2, 2, 2)
    largest = windows.max((3, 5), keepdims=True)
    np.testing.assert_array_equal(pool["slopes"], (windows == largest).reshape(x.shape))
    assert pool["slopes"] == stated["slopes"]
    assert pool["output_shape"] == [2, 8, 8, 8]
    assert pool["operations_forward"] == {"comparison": 3 * 2 * 8 * 8 * 8}
    assert sine["operations_forward"] == {"trigonometric": 2 * 8 * 16 * 16}
    assert len(stated["backward"]) == 1 < len(pool["backward"]) == 3
    for one in answer["operations"]:
        assert one["from_differences"] < 1e-7
        assert one["from_execution"] < 1e-5
        assert 0 < one["cycles_forward"] < one["cycles_both"]


def test_ways_to_convolve(answer_to: Answer) -> None:
    ways = {way.pop("name"): way for way in answer_to("5.7")["ways"]}
    channels, filters, places, tiles = 32, 32, 16 * 16, 8 * 8
    products, sums = filters * places * channels * 9, filters * places * (channels * 9 - 1)
    for name in ("direct", "im2col"):
        assert (ways[name]["multiplications"], ways[name]["additions"]) == (products, sums)
    winograd = ways["winograd"]
    assert winograd["multiplications"] * 2.25 == products  # 16 for 4 outputs, not 36
    transforms = 32 * channels * tiles + 24 * filters * tiles
    assert winograd["additions"] == filters * tiles * 16 * (channels - 1) + transforms
    frequencies = 18 * 10
    assert ways["fft"]["multiplications"] - round(64 * 324 * np.log2(324)) == 4 * channels * filters * frequencies
    assert ways["direct"]["cycles"] < ways["im2col"]["cycles"]
    assert all(way["off"] < 1e-4 for way in ways.values())  # of values up to about 60
