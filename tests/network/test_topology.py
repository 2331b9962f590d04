"""The sizes that a layer's shape derives, against counting the places of its windows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tilework.network.topology import LayerShape

SIZE = st.integers(1, 20)


@given(SIZE, SIZE, SIZE, st.integers(1, 5), st.integers(0, 3))
def test_the_output_counts_the_windows(height: int, kernel: int, width: int, stride: int, padding: int) -> None:
    height, width = height + kernel, width + kernel
    layer = LayerShape("x", (height, width), (kernel, kernel), 1, 1, (stride, stride))
    padded = LayerShape("x", (height, width), (kernel, kernel), 1, 1, (stride, stride), padding)
    for axis, size in enumerate((height, width)):
        starts = range(0, size + 2 * padding, stride)
        assert padded.output[axis] == sum(start + kernel <= size + 2 * padding for start in starts)
        # SCALE-Sim's: steps until a window ends at the edge or beyond it
        assert layer.output[axis] == 1 + next(step for step in range(99) if step * stride + kernel >= size)
        assert layer.fitting[axis] == sum(start + kernel <= size for start in range(0, size, stride))


def test_alexnets_first_layer() -> None:
    layer = LayerShape("conv1", (224, 224), (11, 11), 3, 96, (4, 4), pool=(3, 2))
    assert (layer.output, layer.fitting, layer.stored) == ((55, 55), (54, 54), (27, 27))
    assert (layer.rows, layer.filters, layer.summed) == (3025, 96, 363)
    assert layer.macs == 105_415_200


def test_what_is_stored_without_a_pooling_is_the_output() -> None:
    layer = LayerShape("x", (9, 7), (3, 1), 2, 4, (2, 3), 1)
    assert layer.stored == layer.output == (5, 3)
