"""Every operation of the table against a plain statement of it in Python, and against torch where it is installed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import ceil, floor
from typing import Any

import numpy as np
import pytest

from tilework.errors import NetworkError
from tilework.network.execute import run_nest
from tilework.network.operations import OPERATIONS, expand
from tilework.network.text import parse_nest, print_nest

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    shapes: tuple[Shape, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.shapes} {self.attributes}"


def case(*shapes: Shape, **attributes: Any) -> Case:
    return Case(shapes, attributes)


CASES: dict[str, list[Case]] = {
    "conv2d": [
        case((1, 1, 1, 1), (1, 1, 1, 1)),
        case((2, 3, 5, 6), (4, 3, 3, 2), (4,)),
        case((1, 2, 5, 5), (3, 2, 3, 3), (3,), padding=(1, 2)),
        case((1, 2, 7, 6), (2, 2, 3, 3), stride=(2, 3), padding=(1, 0)),
        case((1, 2, 7, 8), (2, 2, 3, 2), dilation=(2, 3), padding=(2, 1)),
        case((2, 4, 4, 4), (6, 2, 3, 3), (6,), groups=2, padding=(1, 1)),
        case((1, 3, 4, 5), (3, 1, 2, 2), groups=3, stride=(2, 1)),
        case((1, 1, 2, 2), (1, 1, 2, 2), padding=(3, 3)),
        case((1, 2, 5, 4), (2, 2, 3, 3), stride=(2, 1), padding=(1, 0), extra=(1, 2)),
        case((1, 2, 5, 4), (2, 2, 2, 3), padding=(1, 2), extra=(-1, -2)),
    ],
    "linear": [case((1, 1), (1, 1)), case((2, 3), (4, 3)), case((3, 5), (2, 5), (2,))],
    "max_pool2d": [
        case((1, 1, 2, 2)),
        case((2, 3, 5, 7), kernel=(3, 2), stride=(2, 3)),
        case((1, 2, 5, 5), kernel=(3, 3), stride=(1, 1), padding=(1, 1)),
        case((1, 2, 7, 7), kernel=(2, 2), stride=(1, 2), dilation=(3, 2), padding=(1, 0)),
        case((1, 2, 6, 5), kernel=(3, 3), stride=(2, 2), ceil=True),
        case((1, 2, 5, 4), kernel=(2, 2), stride=(3, 3), padding=(1, 1), ceil=True),
        case((1, 1, 2, 1), kernel=(3, 2), stride=(2, 2), ceil=True),
        case((1, 2, 5, 4), kernel=(3, 2), stride=(2, 2), extra=(1, 1)),
    ],
    "avg_pool2d": [
        case((1, 1, 2, 2)),
        case((2, 3, 5, 7), kernel=(3, 2), stride=(2, 3)),
        case((1, 2, 5, 5), kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
        case((1, 2, 5, 6), kernel=(3, 3), stride=(1, 2), padding=(1, 1), count_padding=False),
        case((1, 2, 4, 4), kernel=(3, 2), stride=(2, 2), extra=(1, 1), count_padding=False),
        case((1, 2, 4, 5), kernel=(3, 2), stride=(2, 2), extra=(1, 1)),
    ],
    "adaptive_avg_pool2d": [
        case((2, 3, 4, 6)),
        case((1, 2, 4, 6), output=(2, 3)),
        case((1, 2, 5, 7), output=(2, 3)),
        case((1, 1, 2, 3), output=(3, 5)),
        case((1, 2, 4, 5), output=(2, 2)),
    ],
    "relu": [case(()), case((5,)), case((2, 3)), case((1, 2, 3, 4))],
    "sigmoid": [case(()), case((2, 3))],
    "tanh": [case(()), case((2, 3))],
    "clip": [case((2, 3)), case((4, 5), low=-0.5, high=0.25)],
    "add": [case((), ()), case((2, 3), (2, 3)), case((1, 2, 3, 4), (1, 2, 3, 4)), case((2, 3), (3,))],
    "sub": [case((2, 1, 4), (3, 1)), case((3,), ())],
    "mul": [case((2, 3, 2, 2), (3, 1, 1)), case((1, 1), (4, 5))],
    "div": [case((2, 3), (3,)), case((), (3,))],
    "batch_norm": [
        case((2, 3), *[(3,)] * 4),
        case((2, 3, 4, 1), *[(3,)] * 4, epsilon=0.1),
        case((1, 2, 1, 2, 2), *[(2,)] * 4),
    ],
    "local_response_norm": [
        case((1, 7, 2, 2)),
        case((2, 3, 2, 1), size=1, alpha=0.5, beta=1.0, k=2.0),
        case((1, 5, 1, 2), size=4, alpha=2.0, beta=0.6, k=1.5),
    ],
    "softmax": [case((1, 1)), case((3, 5)), case((4,)), case((2, 3, 2), axis=1), case((2, 3, 2, 2), axis=-4)],
    "flatten": [case((2, 3, 4)), case((2, 3, 4, 5), start=2), case((3,), start=0)],
    "dropout": [case((2, 3)), case((1, 2, 3, 4), p=0.1)],
    "reshape": [case((2, 6), shape=(3, 4)), case((2, 3, 4), shape=(2, 1, 12))],
    "transpose": [case((2, 3), order=(1, 0)), case((2, 3, 4, 5), order=(0, 2, 3, 1)), case((3,), order=(0,))],
    "concat": [case((2, 3)), case((1, 2, 3), (1, 4, 3)), case((2, 3), (1, 3), (4, 3), axis=0)],
}
EVERY = [pytest.param(name, one, id=f"{name}-{one}") for name, cases in CASES.items() for one in cases]


def values(one: Case) -> list[np.ndarray]:
    """An array per input; a vector is a batch norm's variance, a bias or the like, so it is positive."""
    generator = np.random.default_rng(len(str(one)))
    arrays = [generator.standard_normal(shape).astype(np.float32) for shape in one.shapes]
    return [abs(array) + np.float32(0.1) if array.ndim == 1 else array for array in arrays]


def run(name: str, arrays: list[np.ndarray], attributes: dict[str, Any]) -> np.ndarray:
    expansion = expand(name, tuple(array.shape for array in arrays), tuple(sorted(attributes.items())))
    if expansion.is_alias:
        return arrays[0].reshape(expansion.shape)
    named = dict(zip(OPERATIONS[name].placeholders(len(arrays)), arrays, strict=True))
    shapes = dict(expansion.temporaries) | {"o": expansion.shape}
    for nest in expansion.nests:
        run_nest(nest, named, shapes)
    return named["o"]


def windows(
    size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False, extra: int = 0
) -> list[list[int]]:
    """The input positions that each window of a sliding operation covers, those in the padding included.

    Windows step on while they end within the padded input or, with `ceil`, while something of it is not yet
    covered and the window begins before the padding on the right.
    """
    reach, found, start = dilation * (kernel - 1) + 1, [], -padding
    while start + reach <= size + padding + extra or (
        ceil and start - stride + reach < size + padding and (not found or start < size)
    ):
        found.append([start + dilation * r for r in range(kernel)])
        start += stride
    return found


def slide(
    x: np.ndarray, kernel, stride, padding, dilation=(1, 1), ceil=False, extra=(0, 0)
) -> Iterator[tuple[int, int, list]]:
    """Each output position with the places of its window, as (r, s, row, column), the ones outside as row None."""
    rows = windows(x.shape[2], kernel[0], stride[0], padding[0], dilation[0], ceil, extra[0])
    columns = windows(x.shape[3], kernel[1], stride[1], padding[1], dilation[1], ceil, extra[1])
    for (p, ys), (q, zs) in product(enumerate(rows), enumerate(columns)):
        inside = [
            (r, s, y, z)
            for (r, y), (s, z) in product(enumerate(ys), enumerate(zs))
            if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]
        ]
        yield p, q, inside


def gather(shape: Shape, found: dict[Shape, float]) -> np.ndarray:
    """An array of which every place was computed."""
    full = tuple(max(index[axis] for index in found) + 1 for axis in range(len(shape)))
    array = np.full(full, np.nan)
    for index, value in found.items():
        array[index] = value
    assert not np.isnan(array).any()
    return array


def conv2d(x, w, b=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, extra=(0, 0)):
    found = {}
    per_group = w.shape[0] // groups
    for p, q, window in slide(x, w.shape[2:], stride, padding, dilation, extra=extra):
        for n, k in product(range(x.shape[0]), range(w.shape[0])):
            first = k // per_group * w.shape[1]
            total = sum(x[n, first + c, y, z] * w[k, c, r, s] for r, s, y, z in window for c in range(w.shape[1]))
            found[n, k, p, q] = total + (0 if b is None else b[k])
    return gather((0,) * 4, found)


def linear(x, w, b=None):
    rows = [[sum(xc * wc for xc, wc in zip(xn, wk, strict=True)) for wk in w] for xn in x]
    return np.array(rows) + (0 if b is None else b)


def max_pool2d(x, kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil=False, extra=(0, 0)):
    found = {}
    for p, q, window in slide(x, kernel, stride, padding, dilation, ceil, extra):
        for n, c in product(range(x.shape[0]), range(x.shape[1])):
            found[n, c, p, q] = max(x[n, c, y, z] for _, _, y, z in window)
    return gather((0,) * 4, found)


def avg_pool2d(x, kernel=(2, 2), stride=(2, 2), padding=(0, 0), count_padding=True, extra=(0, 0)):
    found = {}
    for p, q, window in slide(x, kernel, stride, padding, extra=extra):
        for n, c in product(range(x.shape[0]), range(x.shape[1])):
            places = kernel[0] * kernel[1] if count_padding else len(window)
            found[n, c, p, q] = sum(x[n, c, y, z] for _, _, y, z in window) / places
    return gather((0,) * 4, found)


def adaptive_avg_pool2d(x, output=(1, 1)):
    out = np.empty((*x.shape[:2], *output))
    for n, c, p, q in product(*map(range, out.shape)):
        rows = range(floor(p * x.shape[2] / output[0]), ceil((p + 1) * x.shape[2] / output[0]))
        columns = range(floor(q * x.shape[3] / output[1]), ceil((q + 1) * x.shape[3] / output[1]))
        out[n, c, p, q] = np.mean([x[n, c, y, z] for y in rows for z in columns])
    return out


def batch_norm(x, g, b, m, v, epsilon=1e-5):
    out = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        c = index[1]
        out[index] = (x[index] - m[c]) / (v[c] + epsilon) ** 0.5 * g[c] + b[c]
    return out


def local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=1.0):
    out = np.empty(x.shape)
    for n, c, h, w in np.ndindex(x.shape):
        near = [x[n, d, h, w] ** 2 for d in range(x.shape[1]) if -(size // 2) <= d - c < size - size // 2]
        out[n, c, h, w] = x[n, c, h, w] / (k + alpha / size * sum(near)) ** beta
    return out


def softmax(x, axis=-1):
    out = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        line = [slice(None) if a == axis % x.ndim else i for a, i in enumerate(index)]
        out[index] = np.exp(x[index]) / sum(np.exp(value) for value in x[tuple(line)])
    return out


def transpose(x, order):
    out = np.empty([x.shape[axis] for axis in order])
    for index in np.ndindex(x.shape):
        out[tuple(index[axis] for axis in order)] = x[index]
    return out


def concat(*arrays, axis=1):
    rows = [row for array in arrays for row in np.moveaxis(array, axis, 0)]
    return np.moveaxis(np.array(rows), 0, axis)


PLAIN: dict[str, Callable[..., np.ndarray]] = {
    "conv2d": conv2d,
    "linear": linear,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "relu": lambda x: np.where(x < 0, 0, x),
    "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2,
    "tanh": lambda x: 1 - 2 / (np.exp(2 * x) + 1),
    "clip": lambda x, low=0.0, high=6.0: np.where(x < low, low, np.where(x > high, high, x)),
    "add": lambda x, y: x - (-y),
    "sub": lambda x, y: x + (-y),
    "mul": lambda x, y: np.einsum("...,...", x, y),
    "div": lambda x, y: x * y**-1,
    "batch_norm": batch_norm,
    "local_response_norm": local_response_norm,
    "softmax": softmax,
    "flatten": lambda x, start=1: np.array(list(x.flat)).reshape(*x.shape[:start], -1),
    "dropout": lambda x, p=0.5: x,
    "reshape": lambda x, shape: np.array(list(x.flat)).reshape(shape),
    "transpose": transpose,
    "concat": concat,
}


@pytest.fixture(scope="module")
def torch_table() -> dict[str, Callable[..., Any]]:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional

    def pad(x, padding, extra, value):
        bottom, right = padding[0] + extra[0], padding[1] + extra[1]
        return f.pad(x, (padding[1], right, padding[0], bottom), value=value)

    return {
        "conv2d": lambda x, w, b=None, padding=(0, 0), extra=(0, 0), **a: f.conv2d(
            pad(x, padding, extra, 0), w, b, **a
        ),
        "linear": f.linear,
        "max_pool2d": lambda x, kernel=(2, 2), stride=(2, 2), ceil=False, extra=(0, 0), **a: f.max_pool2d(
            pad(x, (0, 0), extra, -torch.inf), kernel, stride, ceil_mode=ceil, **a
        ),
        "avg_pool2d": lambda x, kernel=(2, 2), stride=(2, 2), padding=(0, 0), count_padding=True, extra=(0, 0): (
            f.avg_pool2d(pad(x, padding, extra, 0), kernel, stride)
            / (1 if count_padding else f.avg_pool2d(pad(torch.ones_like(x), padding, extra, 0), kernel, stride))
        ),
        "adaptive_avg_pool2d": lambda x, output=(1, 1): f.adaptive_avg_pool2d(x, output),
        "relu": f.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "clip": lambda x, low=0.0, high=6.0: torch.clamp(x, low, high),
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "div": torch.div,
        "batch_norm": lambda x, g, b, m, v, epsilon=1e-5: f.batch_norm(x, m, v, g, b, eps=epsilon),
        "local_response_norm": lambda x, size=5, **a: f.local_response_norm(x, size, **a),
        "softmax": lambda x, axis=-1: f.softmax(x, axis),
        "flatten": lambda x, start=1: torch.flatten(x, start),
        "dropout": lambda x, p=0.5: f.dropout(x, p, training=False),
        "reshape": lambda x, shape: torch.reshape(x, shape),
        "transpose": lambda x, order: torch.permute(x, order),
        "concat": lambda *x, axis=1: torch.cat(x, axis),
    }


def test_every_operation_has_cases_and_a_plain_statement() -> None:
    assert CASES.keys() == OPERATIONS.keys()
    assert PLAIN.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_values_are_those_of_the_plain_statement(name: str, one: Case) -> None:
    arrays = values(one)
    out = run(name, arrays, one.attributes)
    assert out.dtype == np.float32
    expected = PLAIN[name](*(array.astype(np.float64) for array in arrays), **one.attributes)
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_values_are_those_of_torch(name: str, one: Case, torch_table: dict[str, Callable[..., Any]]) -> None:
    import torch

    arrays = values(one)
    expected = torch_table[name](*map(torch.from_numpy, arrays), **one.attributes).numpy()
    out = run(name, arrays, one.attributes)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_every_nest_is_text_and_names_only_its_own_tensors(name: str, one: Case) -> None:
    expansion = expand(name, one.shapes, tuple(sorted(one.attributes.items())))
    placeholders = OPERATIONS[name].placeholders(len(one.shapes))
    known = set(placeholders)
    for nest in expansion.nests:
        assert parse_nest(print_nest(nest)) == nest
        assert {access.tensor for access in nest.reads} <= known
        known.add(nest.output.tensor)
    assert known - set(placeholders) == ({"o", *dict(expansion.temporaries)} if expansion.nests else set())


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_positions_are_torchs(ceil_mode: bool) -> None:
    functional = pytest.importorskip("torch.nn.functional")
    import torch

    for size, kernel, stride, padding, dilation in product(range(1, 9), range(1, 5), range(1, 5), range(3), (1, 2)):
        shape, attributes = (1, 1, size, 4), {"kernel": (kernel, 1), "stride": (stride, 1), "padding": (padding, 0)}
        attributes |= {"dilation": (dilation, 1), "ceil": ceil_mode}
        x = torch.arange(4.0 * size).reshape(shape)
        try:
            expected = functional.max_pool2d(x, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1), ceil_mode)
        except RuntimeError:
            with pytest.raises(NetworkError):
                expand("max_pool2d", (shape,), tuple(sorted(attributes.items())))
        else:
            np.testing.assert_array_equal(run("max_pool2d", [x.numpy()], attributes), expected.numpy())


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_positions_are_the_plain_ones(ceil_mode: bool) -> None:
    for size, kernel, stride, dilation in product(range(1, 9), range(1, 5), range(1, 5), (1, 2)):
        for padding in range(kernel // 2 + 1):
            attributes = {"kernel": (kernel, 1), "stride": (stride, 1), "padding": (padding, 0)}
            attributes |= {"dilation": (dilation, 1), "ceil": ceil_mode}
            wanted = len(windows(size, kernel, stride, padding, dilation, ceil_mode))
            if wanted:
                assert expand("max_pool2d", ((1, 1, size, 1),), tuple(sorted(attributes.items()))).shape[2] == wanted
            else:
                with pytest.raises(NetworkError, match="must fit into"):
                    expand("max_pool2d", ((1, 1, size, 1),), tuple(sorted(attributes.items())))


def test_uneven_adaptive_windows_are_the_plain_ones() -> None:
    for size, output in product(range(1, 12), range(1, 9)):
        x = np.arange(2.0 * size, dtype=np.float32).reshape(1, 1, size, 2) ** 2
        out = run("adaptive_avg_pool2d", [x], {"output": (output, 1)})
        np.testing.assert_allclose(out, adaptive_avg_pool2d(x, (output, 1)), rtol=1e-5)
