"""Closed forms of images and of iterations inside against plain enumeration."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.network.extent import image_size, iterations_inside, outputs_inside
from tilework.network.nest import Access, Affine, Apply, Nest
from tilework.network.text import parse_nest

LOOPS = ("i", "j", "k", "l")


@st.composite
def indices(draw: st.DrawFn) -> Affine:
    names = draw(st.lists(st.sampled_from(LOOPS), unique=True, max_size=3))
    coefficients = st.integers(-4, 4).filter(bool) | st.sampled_from((7, 12, 24))
    return Affine(tuple((name, draw(coefficients)) for name in names), draw(st.integers(-3, 3)))


accesses = st.lists(indices(), max_size=3).map(lambda index: Access("x", tuple(index), 0.0))
extents = st.fixed_dictionaries({name: st.integers(1, 5) for name in LOOPS})


def points(sizes: dict[str, int]):
    for values in product(*(range(extent) for extent in sizes.values())):
        yield dict(zip(sizes, values, strict=True))


def place(access: Access, point: dict[str, int]) -> tuple[int, ...]:
    return tuple(axis.at(point) for axis in access.index)


def lies_in(access: Access, point: dict[str, int], shape: tuple[int, ...]) -> bool:
    return all(0 <= value < size for value, size in zip(place(access, point), shape, strict=True))


@given(accesses, extents)
def test_image_size_is_the_number_of_distinct_places(access: Access, sizes: dict[str, int]) -> None:
    assert image_size(access, sizes) == len({place(access, point) for point in points(sizes)})


@st.composite
def nests(draw: st.DrawFn) -> tuple[Nest, dict[str, tuple[int, ...]]]:
    """A reduction over two reads, and tensors that are too small for it in places."""
    output, left, right = (draw(accesses) for _ in range(3))
    left, right = Access("a", left.index, 0.0), Access("b", right.index, 0.0)
    output = Access("o", output.index)
    body = Apply("mul", (left, right))
    sizes = draw(extents)
    shapes = {a.tensor: tuple(draw(st.integers(1, 9)) for _ in a.index) for a in (output, left, right)}
    return Nest(tuple(sizes.items()), output, "+=", body), shapes


@given(nests())
def test_iterations_and_outputs_inside_are_those_of_enumeration(case: tuple[Nest, dict[str, tuple[int, ...]]]) -> None:
    nest, shapes = case
    every = (nest.output, *nest.reads)
    inside = [p for p in points(nest.extents) if all(lies_in(a, p, shapes[a.tensor]) for a in every)]
    assert iterations_inside(nest, shapes) == len(inside)
    assert outputs_inside(nest, shapes) == len({place(nest.output, point) for point in inside})


@pytest.mark.parametrize(
    ("index", "sizes", "places"),
    [
        ("p", {"p": 7}, 7),
        ("2*p+r", {"p": 4, "r": 3}, 9),
        ("3*p+r", {"p": 4, "r": 2}, 8),
        ("2*p+2*r", {"p": 4, "r": 3}, 6),
        ("5*p-3", {"p": 4}, 4),
        ("p,p", {"p": 6}, 6),
        ("p+r,p", {"p": 6, "r": 5}, 30),
        ("2", {}, 1),
        ("", {}, 1),
    ],
)
def test_image_of(index: str, sizes: dict[str, int], places: int) -> None:
    loops = " ".join(f"{name}<{extent}" for name, extent in sizes.items())
    nest = parse_nest(f"{loops}: o[{index}] += 1")
    assert image_size(nest.output, nest.extents) == places


def test_an_image_too_large_to_enumerate_is_counted_at_once() -> None:
    nest = parse_nest("a<4000 b<5000 c<6000 d<7000: o[210000000000*a+42000000*b+7000*c+d,0] += 1")
    assert image_size(nest.output, nest.extents) == nest.iterations


def test_a_padded_convolution_by_hand() -> None:
    nest = parse_nest("n<2 k<8 p<5 c<3 r<3: o[n,k,p] += x[n,c,p+r-1 | 0] * w[k,c,r]")
    shapes = {"o": (2, 8, 5), "x": (2, 3, 5), "w": (8, 3, 3)}
    assert iterations_inside(nest, shapes) == 2 * 8 * 3 * (5 * 3 - 2)
    assert outputs_inside(nest, shapes) == 2 * 8 * 5


def test_an_index_that_is_always_outside_leaves_nothing() -> None:
    nest = parse_nest("n<4: o[n] += x[5 | 0]")
    assert iterations_inside(nest, {"o": (4,), "x": (5,)}) == 0
    assert outputs_inside(nest, {"o": (4,), "x": (5,)}) == 0


def test_a_bound_on_reducing_loops_alone_leaves_every_output_or_none() -> None:
    nest = parse_nest("n<4 r<3: o[n] += x[r-1 | 0]")
    assert iterations_inside(nest, {"o": (4,), "x": (5,)}) == 8
    assert outputs_inside(nest, {"o": (4,), "x": (5,)}) == 4
