"""What a user writes for the inputs of a network."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import NetworkError
from tilework.frontend.request import Asked, Request, numbers, request, shapes

SHAPES = st.lists(st.integers(1, 10_000), min_size=1, max_size=6)


@given(SHAPES, st.sampled_from([",", "x", ", "]))
def test_a_shape_is_read_as_it_is_written(sizes: list[int], between: str) -> None:
    asked = request(inputs=[between.join(map(str, sizes))]).inputs[0]
    assert asked == Asked(None, tuple(sizes))
    assert request(inputs=[sizes]).inputs == (asked,)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("3,H,W", Asked(None, (3, "H", "W"))),
        ("image=1,3,8,8", Asked("image", (1, 3, 8, 8))),
        ("ids=1,S:int64", Asked("ids", (1, "S"), "int64")),
        ("seq=S", Asked("seq", ("S",))),
        ("x_1,2", Asked(None, ("x_1", 2))),
        ("max", Asked(None, ("max",))),
    ],
)
def test_names_dtypes_and_symbols(text: str, asked: Asked) -> None:
    assert request(inputs=[text]).inputs == (asked,)


@pytest.mark.parametrize(
    ("batch", "inputs", "message"),
    [
        (0, (), "the batch must be at least 1, not 0"),
        ("-3", (), "the batch must be at least 1, not -3"),
        ("2N", (), "the batch must be a positive number or a symbol such as N, not '2N'"),
        (None, ["3,,2"], "an input's shape must be positive sizes such as 3,224,224, or symbols such as N, not '3,,2'"),
        (None, ["x=0,2"], "an input's shape must be positive sizes such as 3,224,224, or symbols such as N, not '0,2'"),
        (None, ["-1,2"], "an input's shape must be positive sizes such as 3,224,224, or symbols such as N, not '-1,2'"),
    ],
)
def test_mistakes(batch: int | str | None, inputs: list[str], message: str) -> None:
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        request(batch, inputs)


def test_an_unknown_dtype_is_told_the_known_ones() -> None:
    with pytest.raises(NetworkError, match=r"^an input's dtype must be one of float32, .*, not 'int'$"):
        request(inputs=["1,2:int"])


def test_symbols_become_numbers() -> None:
    asked = request("N", ["x=N,S,3", "S"])
    assert asked.symbols == ("N", "S")
    assert asked.at({"N": 2, "S": 7}) == Request(2, (Asked("x", (2, 7, 3)), Asked(None, (7,))))
    with pytest.raises(
        NetworkError, match=r"^a size must be a number here, not the symbol S; symbols are for formulas$"
    ):
        numbers(asked.inputs[1])


def test_shapes_go_to_the_inputs_they_name_and_then_in_order() -> None:
    own = {"a": (1, 3), "b": (1, 4), "c": (1, 5)}
    found = shapes("net", own, request(2, ["b=9", "6"]))
    assert found == {"a": (2, 6), "b": (2, 9), "c": (2, 5)}
