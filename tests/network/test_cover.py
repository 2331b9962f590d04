"""Regions of tensors against plain enumeration of places."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from tilework.network.cover import region, region_size, union_size
from tilework.network.nest import Access, Affine

SHAPE = (5, 4)
EXTENTS = {"a": 3, "b": 2, "c": 2, "d": 4}
steps = st.sampled_from([-2, -1, 1, 2, 3])


@st.composite
def maps(draw: st.DrawFn) -> Access:
    """Two axes, each of its own two loops, anywhere around the tensor."""
    axes = []
    for loops in ("ab", "cd"):
        used = draw(st.lists(st.sampled_from(loops), unique=True))
        axes.append(Affine(tuple((name, draw(steps)) for name in used), draw(st.integers(-3, 6))))
    return Access("x", tuple(axes))


def places(access: Access) -> set[tuple[int, ...]]:
    points = (dict(zip(EXTENTS, point, strict=True)) for point in product(*map(range, EXTENTS.values())))
    named = {tuple(axis.at(point) for axis in access.index) for point in points}
    return {place for place in named if all(0 <= i < size for i, size in zip(place, SHAPE, strict=True))}


@given(st.lists(maps(), min_size=1, max_size=5))
def test_a_union_has_the_places_that_enumeration_finds(accesses: list[Access]) -> None:
    regions = [region(access, EXTENTS, SHAPE) for access in accesses]
    found = [places(access) for access in accesses]
    assert [region_size(one, SHAPE) for one in regions] == [len(one) for one in found]
    assert union_size(regions, SHAPE) == len(set().union(*found))


def test_the_whole_tensor_and_a_scalar() -> None:
    assert region(Access("x", (Affine((("a", 1),)),)), {"a": 3}, (3,)) is None
    assert region(Access("x", (Affine((("a", 1),)),)), {"a": 3}, (4,)) == (0b0111,)
    assert region(Access("x", ()), {"a": 3}, ()) is None
    assert union_size([None, None], ()) == 1
