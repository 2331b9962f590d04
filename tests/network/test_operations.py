"""Every operation of the table against a plain statement of it in Python, and against torch where it is installed.

Convolutions and pooling have a file of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import erf
from typing import Any

import numpy as np
import pytest

from tilework.network import convolution, pooling
from tilework.network.operations import FAMILIES, OPERATIONS

Shape = tuple[int, ...]
Operands = Callable[..., list[np.ndarray]]
Run = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Case:
    shapes: tuple[Shape, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.shapes} {self.attributes}"


def case(*shapes: Shape, **attributes: Any) -> Case:
    return Case(shapes, attributes)


CASES: dict[str, list[Case]] = {
    "linear": [
        case((1, 1), (1, 1)),
        case((2, 3), (4, 3)),
        case((3, 5), (2, 5), (2,)),
        case((4,), (3, 4), (3,)),
        case((2, 1, 3, 4), (5, 4), (5,)),
    ],
    "matmul": [
        case((2, 3), (3, 4)),
        case((3, 2), (4, 3), transpose_x=True, transpose_y=True),
        case((2, 1, 3, 4), (5, 4, 2)),
        case((2, 3, 4, 5), (2, 3, 6, 5), transpose_y=True),
        case((3, 1, 1), (3, 1, 1), transpose_x=True),
    ],
    "pointwise": [
        case((2, 3), what="gelu", body="0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))"),
        case((2, 1, 3), (4, 1), body="select(less(x0, x1), floor(x0), round(x1))"),
        case((3,), (3,), (), body="abs(sin(x0)) + cos(x1 * x2)"),
        case((2, 3), (2, 3), body="and(less(x0, 0.5), or(less(0, x1), not(equal(x0, x0)))) + less(x1, x0)"),
        case(what="full", body="3 / 2", shape=(2, 3)),
    ],
    "nests": [
        case((2, 3), (4, 3), what="product", body="a<2 b<4 c<3: o[a,b] += x0[a,c] * x1[b,c]", shape=(2, 4)),
        case((3,), (2,), body="a<3: o[a+2] = x0[a] - 1; a<2: o[a] = x1[a] * x1[a]", shape=(6,)),
        case((2, 3), body="a<2 b<3: o[2*b+a-1] += x0[a,b]", shape=(4,)),
        case((3,), body="a<3: o[] max= x0[a]", shape=()),
    ],
    "reduce": [
        case((2, 3), what="sum"),
        case((2, 3, 4), what="amax", axes=(0, 2), update="max="),
        case((2, 3, 4), what="amin", axes=(1,), keep=True, update="min="),
        case((2, 3, 4), what="mean", axes=(2, 1), mean=True),
        case((2, 1), what="mean", axes=(1,), keep=True, mean=True),
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
    "log_softmax": [case((1, 1)), case((3, 5)), case((2, 3, 2), axis=1)],
    "layer_norm": [
        case((2, 3)),
        case((2, 3, 4), (4,), (4,)),
        case((2, 3, 4), (3, 4), axes=2, epsilon=0.1),
        case((3, 1), (1,), (1,)),
        case((3, 2), axes=2),
    ],
    "rms_norm": [case((2, 3)), case((2, 3, 4), (3, 4), axes=2, epsilon=0.1)],
    "group_norm": [
        case((2, 4)),
        case((2, 6, 3), (6,), (6,), groups=3, epsilon=0.1),
        case((1, 2, 3, 2), (2,), groups=2),
    ],
    "slice": [
        case((4, 3)),
        case((2, 7, 2), axis=1, start=1, step=2, size=3),
        case((5,), start=3, step=-2, size=2),
    ],
    "expand": [case((3, 1), shape=(3, 4)), case((2,), shape=(3, 1, 2)), case((), shape=(2, 2)), case((), shape=())],
    "flip": [case((2, 3)), case((2, 3, 4), axes=(2, 0)), case(())],
    "pad": [
        case((2, 3), before=(1, 0), after=(0, 2), value=1.5),
        case((4, 5), before=(-1, 2), after=(1, -3)),
        case((3, 2), before=(2, 1), after=(0, 1), mode="reflect"),
        case((3, 2), before=(4, 0), after=(1, 3), mode="edge"),
        case((3, 2), before=(3, 1), after=(2, 0), mode="wrap"),
    ],
    "flatten": [case((2, 3, 4)), case((2, 3, 4, 5), start=2), case((3,), start=0)],
    "dropout": [case((2, 3)), case((1, 2, 3, 4), p=0.1)],
    "reshape": [case((2, 6), shape=(3, 4)), case((2, 3, 4), shape=(2, 1, 12))],
    "transpose": [case((2, 3), order=(1, 0)), case((2, 3, 4, 5), order=(0, 2, 3, 1)), case((3,), order=(0,))],
    "concat": [case((2, 3)), case((1, 2, 3), (1, 4, 3)), case((2, 3), (1, 3), (4, 3), axis=0)],
}
HOSTS = {"host", "unknown"}  # work that no nest states
EVERY = [pytest.param(name, one, id=f"{name}-{one}") for name, cases in CASES.items() for one in cases]


def linear(x, w, b=None):
    rows = [[sum(xc * wc for xc, wc in zip(xn, wk, strict=True)) for wk in w] for xn in x.reshape(-1, x.shape[-1])]
    return np.reshape(rows, (*x.shape[:-1], len(w))) + (0 if b is None else b)


def matmul(x, y, transpose_x=False, transpose_y=False):
    x, y = (np.swapaxes(a, -1, -2) if turned else a for a, turned in ((x, transpose_x), (y, transpose_y)))
    return (x[..., :, None, :] * np.swapaxes(y, -1, -2)[..., None, :, :]).sum(-1)


def layer_norm(x, g=1.0, b=0.0, axes=1, epsilon=1e-5):
    rows = x.reshape(*x.shape[: x.ndim - axes], -1)
    rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + epsilon)
    return rows.reshape(x.shape) * g + b


def rms_norm(x, g=1.0, axes=1, epsilon=1e-5):
    last = tuple(range(x.ndim - axes, x.ndim))
    return x / np.sqrt((x**2).mean(last, keepdims=True) + epsilon) * g


def group_norm(x, g=None, b=None, groups=1, epsilon=1e-5):
    rows = layer_norm(x.reshape(x.shape[0], groups, -1), epsilon=epsilon).reshape(x.shape)
    per_channel = (-1, *[1] * (x.ndim - 2))
    return rows * (1 if g is None else g.reshape(per_channel)) + (0 if b is None else b.reshape(per_channel))


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


def reduce(x, what, axes=(), keep=False, update="+=", mean=False):
    together = np.mean if mean else {"+=": np.sum, "max=": np.max, "min=": np.min}[update]
    return together(x, axes or None, keepdims=keep)


POINTWISE = {
    "0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))": lambda x: x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2,
    "select(less(x0, x1), floor(x0), round(x1))": lambda x, y: np.where(x < y, np.floor(x), np.round(y)),
    "abs(sin(x0)) + cos(x1 * x2)": lambda x, y, z: abs(np.sin(x)) + np.cos(y * z),
    "and(less(x0, 0.5), or(less(0, x1), not(equal(x0, x0)))) + less(x1, x0)": lambda x, y: (
        1.0 * ((x < 0.5) & (y > 0)) + (y < x)
    ),
    "3 / 2": lambda: np.full((2, 3), 1.5),
}


def scattered(x: np.ndarray) -> np.ndarray:
    return np.array([x[1, 0], x[0, 1], x[1, 1], x[0, 2]])


NESTS = {
    "a<2 b<4 c<3: o[a,b] += x0[a,c] * x1[b,c]": lambda x, y: np.einsum("ac,bc->ab", x, y),
    "a<3: o[a+2] = x0[a] - 1; a<2: o[a] = x1[a] * x1[a]": lambda x, y: np.array([*(y * y), *(x - 1), 0]),
    "a<2 b<3: o[2*b+a-1] += x0[a,b]": scattered,
    "a<3: o[] max= x0[a]": max,
}


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


def padded(x, before, after, value, mode):
    if mode != "constant":
        return np.pad(x, list(zip(before, after, strict=True)), mode)
    out = np.full([sum(axis) for axis in zip(x.shape, before, after, strict=True)], value)
    for index in np.ndindex(out.shape):
        at = [i - low for i, low in zip(index, before, strict=True)]
        if all(0 <= i < size for i, size in zip(at, x.shape, strict=True)):
            out[index] = x[tuple(at)]
    return out


PLAIN: dict[str, Callable[..., np.ndarray]] = {
    "linear": linear,
    "matmul": matmul,
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
    "slice": lambda x, axis=0, start=0, step=1, size=1: np.take(x, [start + i * step for i in range(size)], axis),
    "expand": lambda x, shape: x + np.zeros(shape),
    "flip": lambda x, axes=(): np.flip(x, axes),
    "pad": lambda x, before, after, value=0.0, mode="constant": padded(x, before, after, value, mode),
    "log_softmax": lambda x, axis=-1: np.log(softmax(x, axis)),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "pointwise": lambda *arrays, body, what="", shape=(): POINTWISE[body](*arrays),
    "nests": lambda *arrays, body, what="", shape=(): NESTS[body](*arrays),
    "reduce": reduce,
}


@pytest.fixture(scope="module")
def torch_table() -> dict[str, Callable[..., Any]]:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional

    def by_axes(of, x, *weights, axes=1, epsilon=1e-5):
        return of(x, x.shape[x.ndim - axes :], *weights, eps=epsilon)

    def pad(x, before, after, value=0.0, mode="constant"):
        amounts = [amount for pair in reversed(list(zip(before, after, strict=True))) for amount in pair]
        names = {"edge": "replicate", "wrap": "circular"}
        if mode == "constant":
            return f.pad(x, amounts, value=value)
        return f.pad(x[None, None], amounts, names.get(mode, mode))[0, 0]

    def reduce(x, what, axes=(), keep=False, update="+=", mean=False):
        return getattr(torch, what)(x, dim=axes or tuple(range(x.ndim)), keepdim=keep)

    def matmul(x, y, transpose_x=False, transpose_y=False):
        return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)

    pointwise = {
        "0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))": f.gelu,
        "select(less(x0, x1), floor(x0), round(x1))": lambda x, y: torch.where(x < y, x.floor(), y.round()),
        "abs(sin(x0)) + cos(x1 * x2)": lambda x, y, z: x.sin().abs() + (y * z).cos(),
        "and(less(x0, 0.5), or(less(0, x1), not(equal(x0, x0)))) + less(x1, x0)": lambda x, y: (
            ((x < 0.5) & (y > 0)) * 1.0 + (y < x)
        ),
        "3 / 2": lambda: torch.full((2, 3), 1.5),
    }
    nests = {
        "a<2 b<4 c<3: o[a,b] += x0[a,c] * x1[b,c]": lambda x, y: x @ y.T,
        "a<3: o[a+2] = x0[a] - 1; a<2: o[a] = x1[a] * x1[a]": lambda x, y: torch.cat([y**2, x - 1, torch.zeros(1)]),
        "a<2 b<3: o[2*b+a-1] += x0[a,b]": lambda x: x.T.flatten()[1:5],
        "a<3: o[] max= x0[a]": torch.max,
    }
    return {
        "linear": f.linear,
        "matmul": matmul,
        "log_softmax": lambda x, axis=-1: f.log_softmax(x, axis),
        "layer_norm": lambda x, *weights, **a: by_axes(f.layer_norm, x, *weights, **a),
        "rms_norm": lambda x, *weights, **a: by_axes(f.rms_norm, x, *weights, **a),
        "group_norm": lambda x, *weights, groups=1, epsilon=1e-5: f.group_norm(x, groups, *weights, eps=epsilon),
        "slice": lambda x, axis=0, start=0, step=1, size=1: x.index_select(
            axis, torch.arange(start, start + size * step, step)
        ),
        "expand": lambda x, shape: x.expand(shape),
        "flip": lambda x, axes=(): x.flip(axes),
        "pad": pad,
        "pointwise": lambda *arrays, body, what="", shape=(): pointwise[body](*arrays),
        "nests": lambda *arrays, body, what="", shape=(): nests[body](*arrays),
        "reduce": reduce,
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


def test_every_operation_of_the_families_has_cases_and_a_plain_statement() -> None:
    families = {family.__name__ for family in FAMILIES} - {convolution.__name__, pooling.__name__}
    known = {name for name, operation in OPERATIONS.items() if operation.expand.__module__ in families}
    assert PLAIN.keys() == CASES.keys() == known - HOSTS


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_values_are_those_of_the_plain_statement(name: str, one: Case, operands: Operands, run: Run) -> None:
    arrays = operands(*one.shapes)
    out = run(name, arrays, one.attributes)
    assert out.dtype == np.float32
    expected = PLAIN[name](*(array.astype(np.float64) for array in arrays), **one.attributes)
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_values_are_those_of_torch(
    name: str, one: Case, operands: Operands, run: Run, torch_table: dict[str, Callable[..., Any]]
) -> None:
    import torch

    arrays = operands(*one.shapes)
    expected = torch_table[name](*map(torch.from_numpy, arrays), **one.attributes).numpy()
    out = run(name, arrays, one.attributes)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-6)
