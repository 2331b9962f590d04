"""Contractions and reductions of strided views against sums over every element."""

from collections.abc import Iterator
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from tilework.network import kernels, matrices

Array = np.ndarray
SMALL_LIMITS = {"GATHER_LIMIT": 8, "FEWEST_ROWS": 2, "PLACES_LIMIT": 3, "SCRATCH_LIMIT": 4}


@pytest.fixture(params=[{}, SMALL_LIMITS], ids=["whole", "in pieces"], scope="module", autouse=True)
def limits(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs with the limits as they are, and so low that small cases come in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in request.param.items():
            patch.setattr(matrices, name, value)
            patch.setattr(kernels, name, value, raising=False)
        matrices.plan_contraction.cache_clear()
        yield
    matrices.plan_contraction.cache_clear()


def whole_numbers(size: int, dtype: str, seed: int) -> Array:
    return np.random.default_rng(seed).integers(-4, 5, size).astype(dtype)


@st.composite
def operands(draw: st.DrawFn, shape: tuple[int, ...], dtype: str) -> Array:
    """Any view: overlapping, broadcast, backwards, with gaps."""
    strides = [draw(st.integers(-4, 9)) for _ in shape]
    first = sum(-stride * (extent - 1) for stride, extent in zip(strides, shape, strict=True) if stride < 0)
    size = first + sum(stride * (extent - 1) for stride, extent in zip(strides, shape, strict=True) if stride > 0) + 1
    flat = whole_numbers(size, dtype, draw(st.integers(0, 99)))
    return as_strided(flat[first:], shape, [stride * flat.itemsize for stride in strides])


@st.composite
def destinations(draw: st.DrawFn, shape: tuple[int, ...], dtype: str) -> Array:
    """A view that holds each place once, stride 0 along the loops it lacks."""
    order = draw(st.permutations(range(len(shape))))
    lacks = draw(st.sets(st.sampled_from(order))) if shape else set()
    strides, step = [0] * len(shape), draw(st.integers(1, 2))
    for axis in order:
        if axis not in lacks:
            strides[axis] = step
            step *= shape[axis] + draw(st.integers(0, 1))
    flat = whole_numbers(step + 1, dtype, draw(st.integers(0, 99)))
    return as_strided(flat, shape, [stride * flat.itemsize for stride in strides])


@st.composite
def contractions(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=5)))
    out, a, b = draw(
        st.sampled_from((("float32",) * 3, ("float64",) * 3, ("float16",) * 3, ("int32", "int8", "int8")))
        | st.tuples(*[st.sampled_from(("float32", "float64"))] * 3)
    )
    return draw(destinations(shape, out)), draw(operands(shape, a)), draw(operands(shape, b))


def reduced_axes(out: Array) -> tuple[int, ...]:
    return tuple(i for i in range(out.ndim) if out.strides[i] == 0)


def kept(out: Array) -> Array:
    """A copy without the axes along which `out` repeats."""
    return out[tuple(0 if out.strides[i] == 0 else slice(None) for i in range(out.ndim))].astype(np.float64)


@settings(deadline=None)
@given(contractions(), st.booleans())
def test_contract(arrays: tuple[Array, Array, Array], accumulate: bool) -> None:
    out, a, b = arrays
    expected = (a.astype(np.float64) * b.astype(np.float64)).sum(axis=reduced_axes(out))
    expected = expected + (kept(out) if accumulate else 0)
    kernels.contract(out, a, b, accumulate)
    np.testing.assert_array_equal(kept(out), expected)


def window(shape: tuple[int, ...], strides: tuple[int, ...], seed: int) -> Array:
    size = sum(stride * (extent - 1) for stride, extent in zip(strides, shape, strict=True)) + 1
    values = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    return as_strided(values, shape, [4 * stride for stride in strides])


LAYERS = {  # shape, then strides in elements of out, a and b
    "channels first": ((6, 8, 9, 3, 3, 3), (72, 9, 1, 0, 0, 0), (0, 11, 1, 110, 11, 1), (27, 0, 0, 9, 3, 1)),
    "channels last": ((8, 9, 6, 3, 3, 4), (54, 6, 1, 0, 0, 0), (44, 4, 0, 44, 4, 1), (0, 0, 36, 12, 4, 1)),
    "batch of images": (
        (2, 4, 5, 5, 3, 2, 2),
        (100, 25, 5, 1, 0, 0, 0),
        (108, 0, 6, 1, 36, 6, 1),
        (0, 12, 0, 0, 4, 2, 1),
    ),
    "stride 2": ((4, 5, 5, 3, 3, 3), (25, 5, 1, 0, 0, 0), (0, 22, 2, 121, 11, 1), (27, 0, 0, 9, 3, 1)),
    "depthwise first": ((6, 5, 5, 3, 3), (25, 5, 1, 0, 0), (49, 7, 1, 7, 1), (9, 0, 0, 3, 1)),
    "depthwise last": ((5, 5, 6, 3, 3), (30, 6, 1, 0, 0), (42, 6, 1, 42, 6), (0, 0, 1, 18, 6)),
    "groups": ((2, 3, 6, 6, 2, 3, 3), (108, 36, 6, 1, 0, 0, 0), (128, 0, 8, 1, 64, 8, 1), (54, 18, 0, 0, 9, 3, 1)),
    "vector by matrix": ((40, 70), (1, 0), (0, 1), (70, 1)),
    "few rows": ((3, 40, 70), (40, 1, 0), (70, 0, 1), (0, 70, 1)),
    "few columns": ((40, 3, 70), (3, 1, 0), (70, 0, 1), (0, 70, 1)),
    "outer product": ((5, 7), (7, 1), (1, 0), (0, 1)),
    "scale per channel": ((5, 7), (7, 1), (7, 1), (0, 1)),
    "inner product": ((300,), (0,), (1,), (2,)),
    "attention": ((4, 6, 7, 8), (42, 7, 1, 0), (8, 32, 0, 1), (8, 0, 32, 1)),
    "transposed output": ((6, 7, 8), (1, 6, 0), (8, 0, 1), (0, 8, 1)),
    "gaps in the output": ((6, 7, 8), (15, 2, 0), (8, 0, 1), (0, 8, 1)),
    "weight gradient": ((4, 3, 3, 6, 6), (9, 3, 1, 0, 0), (36, 0, 0, 6, 1), (0, 8, 1, 8, 1)),
    "repeated in the output": ((3, 4), (4, 1), (1, 0), (1, 0)),
    "summed in one only": ((3, 4, 5), (1, 0, 0), (4, 1, 0), (5, 0, 1)),
    "counted": ((3, 4), (1, 0), (1, 0), (1, 0)),
}


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer: str, accumulate: bool) -> None:
    shape, *strides = LAYERS[layer]
    out, a, b = (window(shape, each, seed) for seed, each in enumerate(strides))
    expected = np.einsum(a, [*range(a.ndim)], b, [*range(a.ndim)], [i for i in range(a.ndim) if strides[0][i]])
    expected = expected + (kept(out) if accumulate else 0)
    kernels.contract(out, a, b, accumulate)
    np.testing.assert_allclose(kept(out), expected, rtol=1e-4, atol=1e-4)


def test_places_between_those_of_the_output_stay() -> None:
    flat = np.full(100, 7, np.float32)
    out = as_strided(flat[2:], (3, 4, 5), (80, 8, 0))
    kernels.contract(out, window((3, 4, 5), (5, 0, 1), 1), window((3, 4, 5), (0, 5, 1), 2), accumulate=False)
    written = {2 + 20 * i + 2 * j for i in range(3) for j in range(4)}
    assert all(flat[place] == 7 for place in set(range(100)) - written)


def test_contract_of_single_values() -> None:
    out, a, b = (np.full((1, 1), value, np.float32) for value in (1, 2, 3))
    kernels.contract(out, a, b, accumulate=True)
    assert out.item() == 7
    flat = np.zeros((), np.float32)
    kernels.contract(flat, np.float32(2) + flat, np.float32(3) + flat, accumulate=False)
    assert flat.item() == 6


def test_int8_is_exact_where_float32_would_not_be() -> None:
    depth = 5000
    a, b = np.full((2, depth), -128, np.int8), np.full((2, depth), -128, np.int8)
    b[0, 0] = 127
    out = np.zeros((2, 2), np.int32)
    shape = (2, 2, depth)
    views = as_strided(a, shape, (depth, 0, 1)), as_strided(b, shape, (0, depth, 1))
    kernels.contract(as_strided(out, shape, (8, 4, 0)), *views, accumulate=True)
    assert out.tolist() == [[128 * 128 * depth - 128 * 255, 128 * 128 * depth]] * 2


def test_float16_sums_in_float32() -> None:
    a = np.full(4096, 1, np.float16)
    out = np.zeros(1, np.float16)
    kernels.contract(as_strided(out, a.shape, (0,)), a, a, accumulate=False)
    assert out[0] == 4096


REDUCTIONS = {"add": np.sum, "maximum": np.max, "minimum": np.min}


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Array, Array]:
    shape = tuple(draw(st.lists(st.integers(1, 4) | st.just(9), max_size=4)))
    dtype = draw(st.sampled_from(("float32", "float64", "int32")))
    return draw(destinations(shape, dtype)), draw(operands(shape, dtype))


@settings(deadline=None)
@given(reductions(), st.sampled_from(list(REDUCTIONS)), st.booleans())
def test_reduce(arrays: tuple[Array, Array], name: str, accumulate: bool) -> None:
    out, values = arrays
    expected = REDUCTIONS[name](values, axis=reduced_axes(out))
    expected = getattr(np, name)(expected, kept(out)) if accumulate else expected
    kernels.reduce(out, values, getattr(np, name), accumulate)
    np.testing.assert_array_equal(kept(out), expected)


@pytest.mark.parametrize("extent", [2, 40])
def test_reduce_of_many_by_few(extent: int) -> None:
    values = np.random.default_rng(0).standard_normal((64, 33, extent)).astype(np.float32)
    out = np.empty((64, 33), np.float32)
    view = as_strided(out, values.shape, (*out.strides, 0))
    kernels.reduce(view, values, np.maximum, accumulate=False)
    np.testing.assert_array_equal(out, values.max(axis=2))
    kernels.reduce(view, values, np.add, accumulate=True)
    np.testing.assert_allclose(out, values.max(axis=2) + values.sum(axis=2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pieces_cover_everything_once(axis: int) -> None:
    array = np.zeros((4, 5, 6))
    for part in kernels.pieces(array.shape, axis, 2):
        array[part] += 1
    assert array.sum() == prod(array.shape) == np.count_nonzero(array)
