"""What every operation says of shapes and attributes that do not fit."""

from math import nan
from typing import Any

import pytest

from tilework.errors import NetworkError
from tilework.network.functions import FUNCTIONS
from tilework.network.host import WORK
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
    ("linear", case((), (4, 3)), "the input of linear must have at least 1 axis, not the shape []"),
    ("linear", case((1,) * 9, (4, 1)), f"the input of linear must have at most 8 axes, not the shape {[1] * 9}"),
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
        "adaptive pooling must give at least one position along each axis, not 0",
    ),
    (
        "adaptive_avg_pool2d",
        case((8, 8)),
        "the input of adaptive_avg_pool2d must have 4 axes, not the shape [8, 8]",
    ),
    ("relu", case((1,) * 9), f"a tensor must have at most 8 axes, not the shape {[1] * 9}"),
    ("relu", case((2,), slope=0.1), "relu has no attribute 'slope'; it has none"),
    ("add", case((2, 3), (2,)), "add must get shapes that broadcast, not [2, 3] and [2]"),
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
    ("sub", case((4,), (3,)), "sub must get shapes that broadcast, not [4] and [3]"),
    ("mul", case((2, 3)), "mul takes the inputs x, y, not 1 of them"),
    ("div", case((2, 3), (3, 2)), "div must get shapes that broadcast, not [2, 3] and [3, 2]"),
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
    ("reshape", case((2, 3), shape=(1, 6.0)), "reshape's shape must be integers, not (1, 6.0)"),
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
    ("gelu", case((2, 3)), f"the operation must be one of {', '.join(OPERATIONS)}, not 'gelu'"),
    ("conv1d", case((1, 3, 8, 8), (4, 3, 3)), "the input of conv1d must have 3 axes, not the shape [1, 3, 8, 8]"),
    ("conv3d", case((1, 3, 8, 8, 8), (4, 3, 3)), "the weight of conv3d must have 5 axes, not the shape [4, 3, 3]"),
    ("conv3d", case((1,) * 5, (1,) * 5, stride=(1, 1)), "conv3d's stride must be 3 integers, not (1, 1)"),
    (
        "conv_transpose1d",
        case((1, 4, 8), (6, 2, 3), groups=2),
        "conv_transpose1d with weight [6, 2, 3] in 2 groups must get 6 input channels, a multiple of 2, not 4",
    ),
    (
        "conv_transpose2d",
        case((1, 1, 1, 2), (1, 1, 1, 2), padding=(1, 0)),
        "conv_transpose2d must have an output of at least one position along each axis, not [-1, 3]",
    ),
    (
        "conv_transpose2d",
        case((1, 1, 2, 2), (1, 1, 1, 2), output_padding=(-1, 0)),
        "the padding must be at least 0, not -1",
    ),
    ("conv_transpose2d", case((1, 1, 2, 2), (1, 1, 1, 2), (2,)), "the bias must have the shape [1], not [2]"),
    (
        "conv_transpose3d",
        case((1,) * 5, (1,) * 5, dilation=(1, 0, 1)),
        "kernel, stride and dilation must be at least 1",
    ),
    ("matmul", case((3,), (3, 4)), "matmul must get at least 2 axes each, not the shapes [3] and [3, 4]"),
    ("matmul", case((2, 3), (4, 5)), "matmul must sum over axes of one size, not 3 and 4"),
    ("matmul", case((2, 3), (3, 5), transpose_x=True), "matmul must sum over axes of one size, not 2 and 3"),
    ("matmul", case((2, 1, 3), (3, 3, 4)), "matmul must get shapes that broadcast, not [2] and [3]"),
    ("matmul", case((1,) * 9, (1, 1)), "matmul must get at most 8 axes, not 9"),
    ("max_pool1d", case((1, 3, 8), stride=(0,)), "kernel, stride and dilation must be at least 1"),
    ("max_pool3d", case((1, 3, 8)), "the input of max_pool3d must have 5 axes, not the shape [1, 3, 8]"),
    (
        "avg_pool1d",
        case((1, 3, 8), padding=(2,)),
        "the padding of a pooling window must be at most half its size [2], not [2]",
    ),
    (
        "avg_pool3d",
        case((1,) * 5, kernel=(1, 1, 1), divisor=-1),
        "avg_pool3d must divide by a positive number, or by that of the places, not by -1",
    ),
    (
        "adaptive_avg_pool1d",
        case((1, 1, 4), output=(-1,)),
        "adaptive pooling must give at least one position along each axis, not -1",
    ),
    (
        "adaptive_avg_pool3d",
        case((1, 1, 4)),
        "the input of adaptive_avg_pool3d must have 5 axes, not the shape [1, 1, 4]",
    ),
    ("adaptive_max_pool1d", case((1, 1, 4), output=2), "adaptive_max_pool1d's output must be 1 integers, not 2"),
    ("adaptive_max_pool2d", case((2, 2)), "the input of adaptive_max_pool2d must have 4 axes, not the shape [2, 2]"),
    (
        "adaptive_max_pool3d",
        case((1,) * 5, output=(1, 1, 0)),
        "adaptive pooling must give at least one position along each axis, not 0",
    ),
    ("pointwise", case((2,), (3,), what="f", body="x0 + x1"), "f must get shapes that broadcast, not [2] and [3]"),
    ("pointwise", case((2,), body="x0 + x1"), "the body of pointwise must use its inputs x0, not x1"),
    ("pointwise", case((2,), body="gelu(x0)"), f"a body may apply {', '.join(FUNCTIONS)}, not 'gelu'"),
    ("reduce", case((2, 3), axes=(2,)), "sum must run along different axes of the shape [2, 3], not [2]"),
    ("reduce", case((2, 3), axes=(1, 1)), "sum must run along different axes of the shape [2, 3], not [1, 1]"),
    ("reduce", case((2, 3), update="="), "reduce must update by +=, max= or min=, not '='"),
    ("reduce", case((2, 3), update="max=", mean=True), "only a sum can become a mean"),
    ("host", case((2,), what="guess"), f"the host's work must be one of {', '.join(WORK)}, not 'guess'"),
    ("host", case((2,), what="sort", shape=(0,)), "sort must give positive sizes, not [0]"),
    ("nests", case((2,), body="a<2: o[a] = x0[a]", shape=(0,)), "nests must make positive sizes, not [0]"),
    *(
        (
            "nests",
            case(*shapes, body=body, shape=(2,)),
            f"nests must make o of {inputs}, with an index for each axis, which this does not: {body}",
        )
        for shapes, inputs, body in (
            ([(2,)], "x0", "a<2: t[a] = x0[a]"),
            ([(2,)], "x0", "a<2: o[a] = x1[a]"),
            ([(2,)], "x0", "a<2: o[a] = o[a] + x0[a]"),
            ([(2,), (3,)], "x0, x1", "a<2: o[a] = x0[a] * x1[a,0]"),
            ([(2,)], "x0", "a<2: o[a,0] = x0[a]"),
        )
    ),
    (
        "nests",
        case((2,), body="a<2: o[a] = x0[a+1]", shape=(2,)),
        "a read outside x0 must have a pad value in a<2: o[a] = x0[a+1]",
    ),
    ("unknown", case((2,)), "an unknown operation must say what it is called"),
    ("unknown", case((2,), what="aten.foo", shape=(-1,)), "aten.foo must give positive sizes, not [-1]"),
    ("log_softmax", case((2, 3), axis=-3), "log_softmax must run along an axis of the shape [2, 3], not -3"),
    ("layer_norm", case((2, 3), axes=3), "layer_norm must run over 1 to 2 axes of [2, 3], not 3"),
    ("layer_norm", case((2, 3), (2,)), "each of layer_norm's parameters must have the shape [3], not [2]"),
    ("rms_norm", case((2, 3), (3,), (3,)), "rms_norm takes the inputs x, g?, not 3 of them"),
    ("rms_norm", case((2, 3), (3,), axes=2), "each of rms_norm's parameters must have the shape [2, 3], not [3]"),
    ("group_norm", case((3,)), "the input of group_norm must have at least 2 axes, not the shape [3]"),
    ("group_norm", case((2, 3), groups=2), "group_norm must divide 3 channels into equal groups, not 2"),
    ("group_norm", case((2, 4), (4,), (2,)), "each of group_norm's parameters must have the shape [4], not [2]"),
    ("slice", case((2, 3), axis=2), "slice must cut an axis of the shape [2, 3], not 2"),
    ("slice", case((2, 3), step=0), "slice must take at least one place in steps other than 0, not 1 in 0"),
    (
        "slice",
        case((2, 3), axis=1, start=1, step=2, size=2),
        "slice must stay within the 3 places of axis 1, not go from 1 to 3",
    ),
    (
        "slice",
        case((4,), start=1, step=-2, size=2),
        "slice must stay within the 4 places of axis 0, not go from 1 to -1",
    ),
    ("expand", case((2, 3), shape=(3,)), "expand must make a shape to which [2, 3] broadcasts, not [3]"),
    ("expand", case((3,), shape=(1,)), "expand must make a shape to which [3] broadcasts, not [1]"),
    ("expand", case((3,), shape=(2,)), "expand must get shapes that broadcast, not [3] and [2]"),
    ("expand", case((3,), shape=(0, 3)), "expand must make positive sizes, not [0, 3]"),
    ("flip", case((2, 3), axes=(0, 0)), "flip must turn different axes of the shape [2, 3], not [0, 0]"),
    ("flip", case((2, 3), axes=(-1,)), "flip must turn different axes of the shape [2, 3], not [-1]"),
    ("pad", case((2, 3), before=(1,)), "pad must have an amount for each axis of [2, 3], not [1] and []"),
    (
        "pad",
        case((2,), before=(1,), after=(0,), mode="mirror"),
        "the mode of pad must be one of constant, edge, reflect, wrap, not 'mirror'",
    ),
    (
        "pad",
        case((2,), before=(-1,), after=(-1,)),
        "pad must leave at least one place along each axis, not [0]",
    ),
    ("pad", case((2,), before=(1,), after=(0,), value=nan), "the value of pad must be a number, not nan"),
    (
        "pad",
        case((2,), before=(2,), after=(0,), mode="reflect"),
        "pad with mode reflect must add 0 to 1 places to an axis of 2, not 2 and 0",
    ),
]


@pytest.mark.parametrize(("name", "one", "message"), MISTAKES)
def test_mistakes(name: str, one: Given, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        expand(name, one[0], tuple(one[1].items()))
    assert str(caught.value) == message


def test_every_operation_has_a_mistake() -> None:
    assert {name for name, _, _ in MISTAKES} >= OPERATIONS.keys()
