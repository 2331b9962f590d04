"""What every operation says of shapes and attributes that do not fit."""

from typing import Any

import pytest

from tilework.errors import NetworkError
from tilework.network.operations import OPERATIONS, expand

Shape = tuple[int, ...]
Given = tuple[tuple[Shape, ...], dict[str, Any]]


def case(*shapes: Shape, **attributes: Any) -> Given:
    return shapes, attributes


MISTAKES: list[tuple[str, Given, str]] = [
    ("conv2d", case((1, 3, 8, 8)), "conv2d takes the inputs x, w, b?, not 1 of them"),
    ("conv2d", case(*[(1,)] * 4), "conv2d takes the inputs x, w, b?, not 4 of them"),
    ("conv2d", case((3, 8, 8), (4, 3, 3, 3)), "the input of conv2d must have 4 axes, not the shape [3, 8, 8]"),
    ("conv2d", case((1, 3, 8, 8), (4, 3, 3)), "the weight of conv2d must have 4 axes, not the shape [4, 3, 3]"),
    (
        "conv2d",
        case((1, 4, 8, 8), (4, 3, 3, 3)),
        "conv2d with weight [4, 3, 3, 3] in 1 groups must get 3 input channels "
        "and a multiple of 1 filters, not 4 and 4",
    ),
    (
        "conv2d",
        case((1, 4, 8, 8), (3, 2, 3, 3), groups=2),
        "conv2d with weight [3, 2, 3, 3] in 2 groups must get 4 input channels "
        "and a multiple of 2 filters, not 4 and 3",
    ),
    (
        "conv2d",
        case((1, 4, 8, 8), (3, 2, 3, 3), groups=0),
        "conv2d with weight [3, 2, 3, 3] in 0 groups must get 0 input channels "
        "and a multiple of 0 filters, not 4 and 3",
    ),
    ("conv2d", case((1, 1, 4, 8), (2, 1, 5, 5)), "a window of 5 must fit into 4 + 2*0 padded positions"),
    (
        "conv2d",
        case((1, 1, 8, 8), (2, 1, 3, 3), dilation=(4, 4)),
        "a window of 9 must fit into 8 + 2*0 padded positions",
    ),
    ("conv2d", case((1, 1, 8, 8), (2, 1, 3, 3), (3,)), "the bias must have the shape [2], not [3]"),
    (
        "conv2d",
        case((1, 1, 8, 8), (2, 1, 3, 3), stride=(0, 1)),
        "kernel, stride and dilation must be at least 1",
    ),
    (
        "conv2d",
        case((1, 1, 8, 8), (2, 1, 3, 3), padding=(0, -1)),
        "the padding must be at least 0, not -1",
    ),
    (
        "conv2d",
        case((1, 1, 8, 8), (2, 1, 3, 3), padding=(0, 1), extra=(0, -2)),
        "the padding must be at least 0, not -1",
    ),
    ("conv2d", case((1, 1, 8, 8), (2, 1, 3, 3), stride=2), "conv2d's stride must be 2 integers, not 2"),
    ("conv2d", case((1, 1, 8, 8), (2, 1, 3, 3), stride=(1.0, 2)), "conv2d's stride must be 2 integers, not (1.0, 2)"),
    ("conv2d", case((1, 1, 8, 8), (2, 1, 3, 3), groups=True), "conv2d's groups must be an integer, not True"),
    (
        "conv2d",
        case((1, 1, 8, 8), (2, 1, 3, 3), kernel=(3, 3)),
        "conv2d has no attribute 'kernel'; it has stride, padding, dilation, groups, extra",
    ),
    ("linear", case((1, 2, 3), (4, 3)), "the input of linear must have 2 axes, not the shape [1, 2, 3]"),
    ("linear", case((1, 3), (3,)), "the weight of linear must have 2 axes, not the shape [3]"),
    ("linear", case((1, 3), (4, 5)), "linear with weight [4, 5] must get 5 features, not 3"),
    ("linear", case((1, 5), (4, 5), (5,)), "the bias must have the shape [4], not [5]"),
    ("max_pool2d", case((3, 8, 8)), "the input of max_pool2d must have 4 axes, not the shape [3, 8, 8]"),
    (
        "max_pool2d",
        case((1, 3, 8, 8), padding=(2, 0)),
        "the padding of a pooling window must be at most half its size [2, 2], not [2, 0]",
    ),
    ("max_pool2d", case((1, 3, 8, 8), kernel=(9, 1)), "a window of 9 must fit into 8 + 2*0 padded positions"),
    ("max_pool2d", case((1, 3, 8, 8), ceil=1), "max_pool2d's ceil must be true or false, not 1"),
    ("avg_pool2d", case((3, 8, 8)), "the input of avg_pool2d must have 4 axes, not the shape [3, 8, 8]"),
    (
        "avg_pool2d",
        case((1, 3, 8, 8), padding=(0, 2)),
        "the padding of a pooling window must be at most half its size [2, 2], not [0, 2]",
    ),
    (
        "adaptive_avg_pool2d",
        case((1, 3, 8, 8), output=(0, 1)),
        "adaptive pooling must give at least one position, not [0, 1]",
    ),
    (
        "adaptive_avg_pool2d",
        case((8, 8)),
        "the input of adaptive_avg_pool2d must have 4 axes, not the shape [8, 8]",
    ),
    ("relu", case((1,) * 9), f"a tensor must have at most 8 axes, not the shape {[1] * 9}"),
    ("relu", case((2,), slope=0.1), "relu has no attribute 'slope'; it has none"),
    ("add", case((2, 3), (2,)), "add must get two shapes that broadcast, not [2, 3] and [2]"),
    ("batch_norm", case((3,), *[(3,)] * 4), "the input of batch_norm must have at least 2 axes, not the shape [3]"),
    (
        "batch_norm",
        case((2, 3), (3,), (3,), (3,), (2,)),
        "each of batch_norm's parameters must have the shape [3], not [2]",
    ),
    ("batch_norm", case((2, 3), *[(3,)] * 4, epsilon="x"), "batch_norm's epsilon must be a number, not 'x'"),
    ("local_response_norm", case((2, 3)), "the input of local_response_norm must have 4 axes, not the shape [2, 3]"),
    (
        "local_response_norm",
        case((1, 3, 2, 2), size=0),
        "the window of local_response_norm must be at least 1 channel, not 0",
    ),
    ("sub", case((4,), (3,)), "sub must get two shapes that broadcast, not [4] and [3]"),
    ("mul", case((2, 3)), "mul takes the inputs x, y, not 1 of them"),
    ("div", case((2, 3), (3, 2)), "div must get two shapes that broadcast, not [2, 3] and [3, 2]"),
    ("sigmoid", case((2,), (2,)), "sigmoid takes the inputs x, not 2 of them"),
    ("tanh", case((1,) * 9), f"a tensor must have at most 8 axes, not the shape {[1] * 9}"),
    ("clip", case((2,), low=1.0, high=0.0), "clip must have a low bound of at most its high one, not 1.0 and 0.0"),
    (
        "conv2d",
        case((1, 1, 4, 8), (2, 1, 6, 5), extra=(1, 0)),
        "a window of 6 must fit into 4 + 2*0 + 1 padded positions",
    ),
    (
        "avg_pool2d",
        case((1, 1, 3, 3), kernel=(1, 1), stride=(1, 1), extra=(1, 0), count_padding=False),
        "each window must have a place inside its 3 positions; use less padding",
    ),
    ("softmax", case((2, 3), axis=2), "softmax must run along an axis of the shape [2, 3], not 2"),
    ("softmax", case(()), "softmax must run along an axis of the shape [], not -1"),
    ("reshape", case((2, 3), shape=(4, 2)), "reshape must keep the 6 elements of [2, 3], not make [4, 2]"),
    ("reshape", case((2, 3), shape=(-2, -3)), "reshape must keep the 6 elements of [2, 3], not make [-2, -3]"),
    ("reshape", case((2, 3), shape=(6.0,)), "reshape's shape must be integers, not (6.0,)"),
    ("transpose", case((2, 3), order=(0, 0)), "transpose must order the axes of [2, 3], not [0, 0]"),
    ("concat", case((2, 3), axis=2), "concat must run along an axis of the shape [2, 3], not 2"),
    (
        "concat",
        case((2, 3), (3, 3)),
        "concat along axis 1 must get shapes alike elsewhere, not [[2, 3], [3, 3]]",
    ),
    ("concat", case(), "concat takes the inputs x*, not 0 of them"),
    ("flatten", case((2, 3), start=2), "flatten must start at an axis of the shape [2, 3], not at 2"),
    ("dropout", case((2, 3), p=2), "the share that dropout drops must lie in 0..1, not 2"),
    (
        "gelu",
        case((2, 3)),
        "the operation must be one of relu, sigmoid, tanh, clip, add, sub, mul, div, flatten, dropout, reshape, "
        "transpose, concat, batch_norm, local_response_norm, softmax, conv2d, linear, max_pool2d, avg_pool2d, "
        "adaptive_avg_pool2d, not 'gelu'",
    ),
]


@pytest.mark.parametrize(("name", "one", "message"), MISTAKES)
def test_mistakes(name: str, one: Given, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        expand(name, one[0], tuple(one[1].items()))
    assert str(caught.value) == message


def test_every_operation_has_a_mistake() -> None:
    assert {name for name, _, _ in MISTAKES} >= OPERATIONS.keys()
