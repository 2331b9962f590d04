"""The gradient graph of every operation of the table against torch's autograd, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tilework as tw
from tilework.errors import NetworkError
from tilework.network.host import WORK
from tilework.network.operation_gradient import HOST_GRADIENTS
from tilework.network.operations import OPERATIONS

torch = pytest.importorskip("torch")
F = torch.nn.functional
Shape = tuple[int, ...]
Case = tuple[tuple[Shape, ...], dict[str, Any], Callable[..., Any]]  # the inputs' shapes, attributes, torch's statement


def batch_norm(x: Any, g: Any, b: Any, m: Any, v: Any) -> Any:
    """As a formula, because torch's own has no gradient for its running mean and variance."""
    g, b, m, v = (one[:, None, None] for one in (g, b, m, v))
    return (x - m) / torch.sqrt(v + 1e-5) * g + b


def convolution(of: Callable[..., Any], **attributes: Any) -> Callable[..., Any]:
    return lambda x, w, b=None: of(x, w, b, **attributes)


def conv(name: str, *shapes: Shape, **attributes: Any) -> Case:
    return shapes, attributes, convolution(getattr(F, name), **attributes)


def pool(name: str, shape: Shape, kernel: Shape, **attributes: Any) -> Case:
    ours, theirs = {"kernel": kernel, **attributes}, dict(attributes)
    if "count_padding" in theirs:
        theirs["count_include_pad"] = theirs.pop("count_padding")
    return (shape,), ours, lambda x: getattr(F, name)(x, kernel, **theirs)


def adaptive(name: str, shape: Shape, output: Shape) -> Case:
    return (shape,), {"output": output}, lambda x: getattr(F, name)(x, output)


def body(text: str, of: Callable[..., Any], *shapes: Shape) -> Case:
    return shapes or ((2, 3),), {"body": text}, of


def padded(mode: str, before: Shape, after: Shape) -> Case:
    """Along the last two axes of four, as torch has it."""
    amounts = (before[1], after[1], before[0], after[0])
    attributes = {"before": (0, 0, *before), "after": (0, 0, *after), "mode": mode}
    theirs = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    return ((1, 2, 4, 5),), attributes, lambda x: F.pad(x, amounts, mode=theirs)


CASES: dict[str, list[Case]] = {
    "linear": [(((2, 5, 3), (4, 3), (4,)), {}, F.linear), (((1, 3), (4, 3)), {}, F.linear)],
    "matmul": [
        (((2, 1, 3, 4), (5, 4, 2)), {}, torch.matmul),
        (((3, 2), (4, 3)), {"transpose_x": True, "transpose_y": True}, lambda x, y: x.T @ y.T),
    ],
    "conv1d": [conv("conv1d", (2, 4, 7), (2, 2, 3), (2,), groups=2, stride=(2,), padding=(1,), dilation=(2,))],
    "conv2d": [
        conv("conv2d", (2, 4, 6, 5), (6, 2, 3, 2), (6,), groups=2, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        conv("conv2d", (1, 3, 7, 7), (5, 3, 3, 3), stride=(3, 3)),
    ],
    "conv3d": [conv("conv3d", (1, 2, 3, 2, 4), (2, 2, 2, 1, 3), (2,), padding=(1, 0, 1))],
    "conv_transpose1d": [
        conv("conv_transpose1d", (2, 3, 4), (3, 2, 3), (2,), stride=(2,), padding=(1,), output_padding=(1,))
    ],
    "conv_transpose2d": [
        conv(
            "conv_transpose2d",
            *((1, 4, 2, 3), (4, 1, 2, 3), (2,)),
            groups=2,
            stride=(2, 1),
            padding=(1, 1),
            dilation=(1, 2),
        )
    ],
    "conv_transpose3d": [
        conv("conv_transpose3d", (1, 1, 2, 2, 2), (1, 2, 2, 1, 2), stride=(2, 1, 2), padding=(0, 0, 1))
    ],
    "max_pool1d": [pool("max_pool1d", (1, 2, 7), (3,), stride=(2,), padding=(1,))],
    "max_pool2d": [pool("max_pool2d", (1, 2, 7, 6), (3, 3), stride=(2, 2), padding=(1, 1))],
    "max_pool3d": [pool("max_pool3d", (1, 1, 4, 3, 4), (2, 1, 2), stride=(1, 2, 2))],
    "avg_pool1d": [pool("avg_pool1d", (1, 2, 7), (3,), stride=(2,), padding=(1,), count_padding=False)],
    "avg_pool2d": [pool("avg_pool2d", (1, 2, 5, 5), (3, 3), stride=(2, 1), padding=(1, 1))],
    "avg_pool3d": [pool("avg_pool3d", (1, 1, 4, 3, 4), (3, 1, 2), stride=(2, 2, 1))],
    "adaptive_avg_pool1d": [adaptive("adaptive_avg_pool1d", (1, 2, 7), (3,))],
    "adaptive_avg_pool2d": [adaptive("adaptive_avg_pool2d", (1, 2, 5, 7), (2, 3))],
    "adaptive_avg_pool3d": [adaptive("adaptive_avg_pool3d", (1, 1, 3, 4, 5), (2, 2, 5))],
    "adaptive_max_pool1d": [adaptive("adaptive_max_pool1d", (1, 2, 3), (5,))],
    "adaptive_max_pool2d": [adaptive("adaptive_max_pool2d", (1, 2, 5, 7), (2, 3))],
    "adaptive_max_pool3d": [adaptive("adaptive_max_pool3d", (1, 1, 3, 4, 5), (2, 3, 1))],
    "relu": [(((2, 3),), {}, torch.relu), (((),), {}, torch.relu)],
    "sigmoid": [(((2, 3),), {}, torch.sigmoid)],
    "tanh": [(((2, 3),), {}, torch.tanh)],
    "clip": [(((4, 5),), {"low": -0.5, "high": 0.25}, lambda x: torch.clamp(x, -0.5, 0.25))],
    "pointwise": [
        body("0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))", F.gelu),
        body("x0 * tanh(log(1 + exp(x0)))", F.mish),
        body("x0 * min(max(x0 + 3, 0), 6) / 6", F.hardswish),
        body("select(less(0, x0), x0, exp(x0) - 1)", F.elu),
        body("pow(abs(x0) + 0.1, x1)", lambda x, y: (x.abs() + 0.1) ** y, (2, 3), (3,)),
        body("x0 / sqrt(1 + x0 * x0)", lambda x: x / torch.sqrt(1 + x * x)),
        body("sin(x0) * cos(x1)", lambda x, y: torch.sin(x) * torch.cos(y), (2, 1, 3), (2, 1)),
        body("max(x0, x1) - min(x0, 2 * x1)", lambda x, y: torch.maximum(x, y) - torch.minimum(x, 2 * y), (4,), (4,)),
        body("round(x0) * x1 + floor(x1) * x0", lambda x, y: torch.round(x) * y + torch.floor(y) * x, (4,), (4,)),
    ],
    "add": [(((1, 3), (2, 1, 1)), {}, torch.add)],
    "sub": [(((2, 3), (3,)), {}, torch.sub)],
    "mul": [(((2, 3, 2), (3, 1)), {}, torch.mul)],
    "div": [(((), (2, 3)), {}, torch.div), (((2, 3), (3,)), {}, torch.div)],
    "nests": [
        (
            ((2, 3), (4, 3)),
            {"body": "a<2 b<4 c<3: o[a,b] += x0[a,c] * x1[b,c]", "shape": (2, 4)},
            lambda x, y: torch.einsum("ac,bc->ab", x, y),
        ),
        (
            ((3,), (2,)),
            {"body": "a<3: o[a+2] = tanh(x0[a]); a<2: o[a] = x1[a] * x1[a]", "shape": (5,)},
            lambda x, y: torch.cat((y * y, torch.tanh(x))),
        ),
    ],
    "reduce": [
        (((2, 3),), {}, torch.sum),
        (((2, 3, 4),), {"axes": (0, 2), "update": "max="}, lambda x: torch.amax(x, (0, 2))),
        (((2, 3, 4),), {"axes": (1,), "keep": True, "update": "min="}, lambda x: torch.amin(x, 1, keepdim=True)),
        (((2, 3, 4),), {"axes": (2, 1), "mean": True}, lambda x: torch.mean(x, (1, 2))),
    ],
    "batch_norm": [(((2, 3, 2, 2), *[(3,)] * 4), {}, batch_norm)],
    "local_response_norm": [
        (((2, 7, 2, 2),), {"alpha": 2.0}, lambda x: F.local_response_norm(x, 5, 2.0)),
        (((2, 3, 1, 2),), {"size": 4, "beta": 0.6, "k": 1.5}, lambda x: F.local_response_norm(x, 4, 1e-4, 0.6, 1.5)),
    ],
    "softmax": [(((3, 5),), {}, lambda x: x.softmax(-1)), (((2, 3, 4),), {"axis": 1}, lambda x: x.softmax(1))],
    "log_softmax": [(((2, 3, 4),), {"axis": 1}, lambda x: x.log_softmax(1))],
    "layer_norm": [
        (((2, 3, 4), (3, 4), (3, 4)), {"axes": 2}, lambda x, g, b: F.layer_norm(x, (3, 4), g, b)),
        (((2, 3),), {}, lambda x: F.layer_norm(x, (3,))),
    ],
    "rms_norm": [(((2, 3, 4), (4,)), {"epsilon": 1e-3}, lambda x, g: F.rms_norm(x, (4,), g, 1e-3))],
    "group_norm": [(((2, 6, 3), (6,), (6,)), {"groups": 3}, lambda x, g, b: F.group_norm(x, 3, g, b))],
    "flatten": [(((2, 3, 4),), {}, lambda x: x.flatten(1))],
    "dropout": [(((2, 3),), {}, lambda x: F.dropout(x, training=False))],
    "reshape": [(((2, 6),), {"shape": (3, 4)}, lambda x: x.reshape(3, 4))],
    "transpose": [(((2, 3, 4),), {"order": (2, 0, 1)}, lambda x: x.permute(2, 0, 1))],
    "concat": [(((1, 2, 3), (1, 4, 3), (1, 1, 3)), {}, lambda *xs: torch.cat(xs, 1))],
    "slice": [(((2, 7, 2),), {"axis": 1, "start": 1, "step": 2, "size": 3}, lambda x: x[:, 1:7:2])],
    "expand": [(((2, 1),), {"shape": (3, 2, 4)}, lambda x: x.expand(3, 2, 4))],
    "flip": [(((2, 3, 4),), {"axes": (2, 0)}, lambda x: x.flip(2, 0))],
    "pad": [
        (((2, 3),), {"before": (1, 0), "after": (0, 2), "value": 1.5}, lambda x: F.pad(x, (0, 2, 1, 0), value=1.5)),
        *(padded(mode, (2, 1), (0, 3)) for mode in ("reflect", "edge", "wrap")),
    ],
}
WITHOUT = {  # and why
    "host": "the host's work isn't nests; see the tests below for each kind of it",
    "unknown": "nobody has stated what it computes",
}
EVERY = [
    pytest.param(name, one, id=f"{name}-{one[0]}-{place}")
    for name, cases in CASES.items()
    for place, one in enumerate(cases)
]


def test_every_operation_is_here_or_has_no_gradient() -> None:
    assert CASES.keys().isdisjoint(WITHOUT)
    assert CASES.keys() | WITHOUT.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_gradients_are_torchs(name: str, one: Case) -> None:
    shapes, attributes, theirs = one
    generator = np.random.default_rng(len(name))
    arrays = [generator.standard_normal(shape) for shape in shapes]
    arrays = [abs(array) + 0.1 if array.ndim == 1 else array for array in arrays]  # a variance is positive
    tensors = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    out = theirs(*tensors)
    weights = generator.standard_normal(tuple(out.shape))
    torch.sum(out * torch.from_numpy(weights)).backward()
    g = tw.GraphBuilder(name)
    inputs = [g.input(f"in{place}", shape, "float64") for place, shape in enumerate(shapes)]
    loss = g.node("loss", "mul", g.node("y", name, *inputs, **attributes), g.input("by", weights.shape, "float64"))
    found = tw.execute(
        tw.gradient(g.graph(loss), wanted=inputs), {}, {**dict(zip(inputs, arrays, strict=True)), "by": weights}
    )
    np.testing.assert_allclose(found["loss"], (out.detach().numpy() * weights), rtol=1e-9, atol=1e-12)
    for own, tensor in zip(inputs, tensors, strict=True):
        np.testing.assert_allclose(found[f"d:{own}"], tensor.grad.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("function", [F.logsigmoid, lambda x: torch.logaddexp(x, torch.zeros(5))])
def test_what_is_stated_in_two_halves_is_smooth_between_them(function: Callable[..., Any]) -> None:
    class Module(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return function(x)

    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    function(x).sum().backward()
    graph = tw.load(Module(), torch.zeros(5))
    weights = {t.name: np.zeros(t.shape, np.float32) for t in graph.weights}
    (name,) = (tensor.name for tensor in graph.inputs)
    made = tw.gradient(graph, wanted=[name])
    found = tw.execute(made, weights, {name: x.detach().numpy()})
    np.testing.assert_allclose(found[f"d:{name}"], x.grad.numpy(), rtol=1e-6)


def host_graph(what: str) -> tw.Graph:
    g = tw.GraphBuilder("host")
    x = g.node("x", "mul", g.input("in", (3, 3, 3, 3)), g.weight("w", (3, 3, 3, 3)))
    return g.graph(g.node("y", "host", x, "in", "in", what=what, shape=(3, 3, 3, 3)))


FLAT = sorted(what for what, rule in HOST_GRADIENTS.items() if rule is None)
GIVEN = {"embedding"}


@pytest.mark.parametrize("what", FLAT)
def test_flat_work_of_the_host_passes_nothing(what: str) -> None:
    with pytest.raises(NetworkError) as caught:
        tw.gradient(host_graph(what))
    assert str(caught.value) == "the loss must depend on a parameter of host to have a gradient; say what is wanted"


@pytest.mark.parametrize("what", sorted(WORK.keys() - FLAT - GIVEN))
def test_other_work_of_the_host_is_named(what: str) -> None:
    with pytest.raises(NetworkError) as caught:
        tw.gradient(host_graph(what))
    assert str(caught.value) == (
        f"node y must have a gradient of nests, which {what} has not; freeze the parameters before it"
    )
