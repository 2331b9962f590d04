"""Training steps as graphs: torch's autograd and SGD in float32, central differences in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilework.cost.count import count
from tilework.errors import NetworkError
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network.execute import execute
from tilework.network.gradient import gradient_plan
from tilework.network.gradient_graph import gradient_nodes
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.graph_text import parse_graph
from tilework.network.training import training_step

Arrays = dict[str, np.ndarray]
RATE = 0.1


def normalised(g: GraphBuilder, name: str, x: str, channels: int) -> str:
    weights = [g.weight(f"{name}.{key}", (channels,)) for key in ("weight", "bias")]
    running = [g.weight(f"{name}.{key}", (channels,), trainable=False) for key in ("mean", "var")]
    return g.node(name, "batch_norm", x, *weights, *running)


def convolutional() -> Graph:
    """Overlapping maximum and mean pooling, a residual block, batch normalisation, groups and a stride."""
    g = GraphBuilder("convolutional")
    x = g.node("c1", "conv2d", g.input("x", (2, 3, 9, 9)), g.weight("c1.weight", (4, 3, 3, 3)), padding=(1, 1))
    x = g.node("r1", "relu", normalised(g, "b1", x, 4))
    x = g.node("p1", "max_pool2d", x, kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    y = g.node(
        "c2", "conv2d", x, g.weight("c2.weight", (4, 2, 3, 3)), g.weight("c2.bias", (4,)), padding=(1, 1), groups=2
    )
    x = g.node("r2", "relu", g.node("sum", "add", normalised(g, "b2", y, 4), x))
    x = g.node("c3", "conv2d", x, g.weight("c3.weight", (6, 4, 3, 3)), stride=(2, 2), padding=(1, 1))
    x = g.node("flat", "flatten", g.node("p2", "avg_pool2d", x, kernel=(2, 2), stride=(1, 1)))
    x = g.node("fc", "linear", x, g.weight("fc.weight", (5, 24)), g.weight("fc.bias", (5,)))
    return g.graph(g.node("softmax", "softmax", x))


def values(graph: Graph, step: Graph) -> tuple[Arrays, Arrays]:
    """Weights, and inputs with targets of which each row sums to 1."""
    generator = np.random.default_rng(7)
    weights = dict(seeded(graph, 1))
    given = {t.name: generator.standard_normal(t.shape).astype(t.dtype) for t in step.inputs}
    targets = np.exp(given["targets"])
    given["targets"] = (targets / targets.sum(-1, keepdims=True)).astype(np.float32)
    return weights, given


Forward = Callable[[Any, dict[str, Any], Any], Any]  # torch, parameters, input -> output (logits)


def linears(torch: Any, p: dict[str, Any], x: Any, names: tuple[str, ...] = ("fc1", "fc2", "fc3")) -> Any:
    for name in names:
        x = x if name == names[0] else torch.relu(x)
        x = torch.nn.functional.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
    return x


def lenet(torch: Any, p: dict[str, Any], x: Any) -> Any:
    f = torch.nn.functional
    for layer, padding in (("conv1", 2), ("conv2", 0)):
        x = f.max_pool2d(torch.relu(f.conv2d(x, p[f"{layer}.weight"], p[f"{layer}.bias"], padding=padding)), 2)
    return linears(torch, p, x.flatten(1))


def residual(torch: Any, p: dict[str, Any], x: Any) -> Any:
    f = torch.nn.functional

    def norm(name: str, x: Any) -> Any:
        return f.batch_norm(x, p[f"{name}.mean"], p[f"{name}.var"], p[f"{name}.weight"], p[f"{name}.bias"])

    x = torch.relu(norm("b1", f.conv2d(x, p["c1.weight"], padding=1)))
    x = f.max_pool2d(x, 3, 2, 1)
    y = f.conv2d(x, p["c2.weight"], p["c2.bias"], padding=1, groups=2)
    x = f.conv2d(torch.relu(norm("b2", y) + x), p["c3.weight"], stride=2, padding=1)
    return f.linear(f.avg_pool2d(x, 2, 1).flatten(1), p["fc.weight"], p["fc.bias"])


def encoder(torch: Any, p: dict[str, Any], x: Any) -> Any:
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    return torch.func.functional_call(layer, {name: p[name] for name, _ in layer.named_parameters()}, (x,))


NETWORKS: dict[str, tuple[Graph, Forward]] = {
    "mlp": (network("mlp", 4, sizes=(784, 30, 20, 10)), linears),
    "lenet5": (network("lenet5", 2), lenet),
    "convolutional": (convolutional(), residual),
    "encoder": (network("encoder", 2, (6, 16), heads=4, feedforward=32), encoder),
}
LOSSES = [("cross_entropy", -1), ("binary_cross_entropy", None), ("mean_squared_error", None)]


@pytest.mark.parametrize(("loss", "axis"), LOSSES, ids=lambda value: str(value))
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_torchs(name: str, loss: str, axis: int | None) -> None:
    torch = pytest.importorskip("torch")
    graph, forward = NETWORKS[name]
    step = training_step(graph, loss, RATE, axis)
    weights, given = values(graph, step)
    found = execute(step, weights, given)
    p = {t.name: torch.from_numpy(weights[t.name].copy()).requires_grad_(t.role == "parameter") for t in graph.weights}
    (source,) = graph.inputs
    out, targets = forward(torch, p, torch.from_numpy(given[source.name])), torch.from_numpy(given["targets"])
    if loss == "cross_entropy":
        expected = torch.nn.functional.cross_entropy(out.movedim(-1, 1), targets.movedim(-1, 1))
    elif loss == "binary_cross_entropy":
        softmax = graph.nodes[-1].operation == "softmax"
        logits = out.softmax(-1) if softmax else out
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    else:
        softmax = graph.nodes[-1].operation == "softmax"
        expected = torch.nn.functional.mse_loss(out.softmax(-1) if softmax else out, targets)
    expected.backward()
    trained = [name for name, value in p.items() if value.requires_grad]
    torch.optim.SGD([p[name] for name in trained], lr=RATE).step()
    np.testing.assert_allclose(found["loss"], expected.detach().numpy(), rtol=1e-5)
    assert found.keys() == {"loss", *(f"new:{name}" for name in trained)}
    for name in trained:
        np.testing.assert_allclose(found[f"new:{name}"], p[name].detach().numpy(), rtol=1e-5, atol=1e-5)
        gap = (found[f"new:{name}"] - weights[name]) / RATE
        np.testing.assert_allclose(gap, -p[name].grad.numpy(), rtol=1e-3, atol=2e-5 + 1e-5 * abs(gap).max())


def two_slices(g: GraphBuilder) -> str:
    """Slices that leave places out, one of them twice read, with a shared weight."""
    w = g.weight("w", (4, 4), dtype="float64")
    x = g.node("a", "linear", g.input("x", (2, 4), "float64"), w)
    one = g.node("one", "slice", x, axis=1, start=1, step=2, size=2)
    two = g.node("two", "slice", g.node("b", "tanh", g.node("b0", "linear", x, w)), axis=1, start=0, size=2)
    return g.node("out", "mul", g.node("sum", "add", one, two), one)


def thirds(g: GraphBuilder) -> str:
    """Slices that cover a tensor between them, and a reshape of what another node reads too."""
    x = g.node("a", "linear", g.input("x", (2, 3), "float64"), g.weight("w", (6, 3), dtype="float64"))
    q, k, v = (g.node(n, "slice", x, axis=1, start=2 * i, size=2) for i, n in enumerate("qkv"))
    y = g.node("y", "mul", g.node("qk", "mul", q, k), v)
    return g.node("out", "add", g.node("flat", "reshape", y, shape=(4,)), g.node("again", "reshape", y, shape=(4,)))


def norms(g: GraphBuilder) -> str:
    """What reads temporaries of the forward pass."""
    x = g.node("a", "linear", g.input("x", (2, 6), "float64"), g.weight("w", (6, 6), dtype="float64"))
    x = g.node("ln", "layer_norm", x, *(g.weight(f"ln.{k}", (6,), dtype="float64") for k in "gb"))
    x = g.node("rms", "rms_norm", x, g.weight("rms.g", (6,), dtype="float64"))
    x = g.node("r", "reshape", g.node("s", "softmax", x), shape=(2, 6, 1, 1))
    return g.node("flat", "flatten", g.node("lrn", "local_response_norm", x, alpha=2.0))


def windows(g: GraphBuilder) -> str:
    """Pooling whose windows overlap, hang over the edge and leave places out; transposed convolution."""
    x = g.input("x", (1, 2, 5, 5), "float64")
    x = g.node(
        "t", "conv_transpose2d", x, g.weight("t.w", (2, 2, 3, 3), dtype="float64"), stride=(2, 1), padding=(1, 0)
    )
    x = g.node("m", "max_pool2d", x, kernel=(3, 2), stride=(2, 3), padding=(1, 0))
    return g.node("flat", "flatten", g.node("v", "adaptive_avg_pool2d", x, output=(2, 1)))


@pytest.mark.parametrize("build", [two_slices, thirds, norms, windows])
@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_gradients_are_the_slopes(build: Callable[[GraphBuilder], str], loss: str) -> None:
    g = GraphBuilder("small")
    graph = g.graph(build(g))
    step = training_step(graph, loss, 1.0)
    assert parse_graph(str(step)) == step
    generator = np.random.default_rng(3)
    weights = {t.name: generator.standard_normal(t.shape) for t in graph.weights}
    given = {t.name: generator.standard_normal(t.shape) for t in step.inputs}
    found = execute(step, weights, given)
    for name, array in weights.items():
        gap = array - found[f"new:{name}"]
        slopes = np.empty(array.shape)
        for place in np.ndindex(array.shape):
            old, losses = array[place], []
            for moved in (old + 1e-6, old - 1e-6):
                array[place] = moved
                losses.append(float(execute(step, weights, given)["loss"]))
            array[place] = old
            slopes[place] = (losses[0] - losses[1]) / 2e-6
        np.testing.assert_allclose(gap, slopes, rtol=1e-5, atol=1e-7)


def test_a_step_is_text_and_counts_the_macs_of_both_passes() -> None:
    for graph in (network("lenet5"), network("mlp", 8)):
        step = training_step(graph)
        assert parse_graph(str(step)) == step
        assert count(step).total.macs == count(graph, backward=True).total.macs
        assert count(step).total.parameters == count(graph).total.parameters


def test_a_steps_text() -> None:
    g = GraphBuilder("small")
    x = g.node("fc", "linear", g.input("x", (2, 3)), g.weight("fc.w", (4, 3)))
    step = training_step(g.graph(g.node("act", "relu", x)), "mean_squared_error", 0.5)
    assert str(step) == (
        "graph small\n"
        "input x float32[2,3]\n"
        "parameter fc.w float32[4,3]\n"
        "input targets float32[2,4]\n"
        "fc = linear(x, fc.w)\n"
        "act = relu(fc)\n"
        "loss.difference = sub(act, targets) in loss\n"
        'loss.terms = pointwise(loss.difference, body="x0 * x0 * 0.125", what="mean_squared_error") in loss\n'
        'loss = reduce(loss.terms, what="loss") in loss\n'
        'd:loss = pointwise(body="1", what="one") as float32 in loss\n'
        'd:loss.terms = nests(d:loss, body="a<2 b<4: o[a,b] = x0[]", shape=[2,4], what="loss backward") in loss\n'
        "d:loss.difference = nests(d:loss.terms, loss.difference, "
        'body="a<2 b<4: o[a,b] = 0.25 * (x0[a,b] * x1[a,b])", shape=[2,4], what="mean_squared_error backward") '
        "in loss\n"
        'd:act = nests(d:loss.difference, body="a<2 b<4: o[a,b] = x0[a,b]", shape=[2,4], what="sub backward") in loss\n'
        "d:fc = nests(act, d:act, "
        'body="a<2 b<4: o[a,b] = select(less(0, x0[a,b]), x1[a,b], 0)", shape=[2,4], what="relu backward")\n'
        "d:fc.w = nests(d:fc, x, "
        'body="n<2 k<4 c<3: o[k,c] += x0[n,k] * x1[n,c]", shape=[4,3], what="linear backward")\n'
        'new:fc.w = pointwise(fc.w, d:fc.w, body="x0 - 0.5 * x1", what="update") in fc\n'
        "output loss\n"
        "output new:fc.w\n"
    )


def test_random_weights_of_a_step_make_numbers() -> None:
    step = training_step(convolutional())
    found = execute(step, seeded(step), values(convolutional(), step)[1])
    assert all(np.isfinite(array).all() for array in found.values())


def test_frozen_weights_and_what_the_loss_does_not_read_stay() -> None:
    g = GraphBuilder("partial")
    x = g.node("fixed", "linear", g.input("x", (2, 3)), g.weight("buffer", (3, 3), trainable=False))
    y = g.node("y", "linear", x, g.weight("w", (4, 3)))
    g.node("dead", "linear", x, g.weight("unread", (4, 3)))
    assert training_step(g.graph(y)).outputs == ("loss", "new:w")


def test_an_embedding_gets_its_rows_from_the_host() -> None:
    torch = pytest.importorskip("torch")
    g = GraphBuilder("tokens")
    ids, table = g.input("ids", (2, 3), "int64"), g.weight("table", (5, 4))
    x = g.node("embed", "host", ids, table, what="embedding", shape=(2, 3, 4), dtype="float32")
    graph = g.graph(g.node("head", "linear", x, table))
    step = training_step(graph, rate=RATE, axis=2)
    weights, given = dict(seeded(graph)), {"ids": np.array([[1, 4, 1], [0, 1, 4]])}
    given["targets"] = np.eye(5, dtype=np.float32)[[[1, 2, 3], [4, 0, 1]]]
    found = execute(step, weights, given)
    w = torch.from_numpy(weights["table"].copy()).requires_grad_()
    logits = torch.nn.functional.linear(torch.nn.functional.embedding(torch.from_numpy(given["ids"]), w), w)
    torch.nn.functional.cross_entropy(
        logits.movedim(-1, 1), torch.from_numpy(given["targets"]).movedim(-1, 1)
    ).backward()
    np.testing.assert_allclose(found["new:table"], (w - RATE * w.grad).detach().numpy(), rtol=1e-5, atol=1e-6)


def classifier(size: tuple[int, ...] = (2, 3), operation: str = "tanh", **attributes: Any) -> Graph:
    g = GraphBuilder("net")
    x = g.node("a", "mul", g.input("x", size), g.weight("w", size))
    return g.graph(g.node("y", operation, x, **attributes))


def test_a_sigmoid_before_a_binary_cross_entropy_is_its_own() -> None:
    torch = pytest.importorskip("torch")
    step = training_step(classifier(operation="sigmoid"), "binary_cross_entropy", RATE)
    assert "y" not in step.tensors
    generator = np.random.default_rng(0)
    x, w, targets = (generator.normal(0, 30, (2, 3)).astype(np.float32) for _ in range(3))
    targets = (targets > 0).astype(np.float32)
    found = execute(step, {"w": w}, {"x": x, "targets": targets})
    weight = torch.from_numpy(w.copy()).requires_grad_()
    logits = torch.from_numpy(x) * weight
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets))
    expected.backward()
    np.testing.assert_allclose(found["loss"], expected.item(), rtol=1e-6)
    np.testing.assert_allclose(found["new:w"], w - RATE * weight.grad.numpy(), rtol=1e-6)


def weightless() -> Graph:
    g = GraphBuilder("net")
    return g.graph(g.node("y", "tanh", g.input("x", (2, 3))))


MISTAKES: list[tuple[Graph, dict[str, Any], str]] = [
    (
        classifier(),
        {"loss": "hinge"},
        "the loss must be one of cross_entropy, binary_cross_entropy, mean_squared_error, not 'hinge'",
    ),
    (classifier(), {"rate": 0.0}, "the learning rate must be a positive number, not 0.0"),
    (classifier(), {"rate": float("nan")}, "the learning rate must be a positive number, not nan"),
    (weightless(), {}, "network net must have a parameter that its output depends on to be trained"),
    (
        classifier().replace(classifier().sources, classifier().nodes, ("a", "y")),
        {},
        "network net must have one output to be trained, not 2",
    ),
    (
        classifier(operation="pointwise", body="x0", dtype="int64"),
        {},
        "output y must hold real numbers to be trained, not int64",
    ),
    (
        classifier((2, 3, 4)),
        {},
        "the axis of the classes must be given for output y of shape [2, 3, 4]; give axis=1 or another",
    ),
    (classifier(), {"axis": 2}, "the axis of the classes must be one of output y's 2, not 2"),
    (classifier(()), {}, "the axis of the classes must be one of output y's 0, not 0"),
    (
        classifier((2, 3, 4), "softmax", axis=1),
        {"axis": 2},
        "the axis must be that of the softmax y, 1, not 2; leave it out",
    ),
    (
        classifier(),
        {"loss": "binary_cross_entropy", "axis": 1},
        "the axis is that of a cross-entropy's classes; a binary cross-entropy has none, leave it out",
    ),
    (
        classifier(),
        {"loss": "mean_squared_error", "axis": 1},
        "the axis is that of a cross-entropy's classes; a mean squared error has none, leave it out",
    ),
    (
        classifier((2, 3), "host", what="cumsum", shape=(2, 3)),
        {},
        "node y must have a gradient of nests, which cumsum has not; freeze the parameters before it",
    ),
]


@pytest.mark.parametrize(("graph", "choices", "message"), MISTAKES)
def test_mistakes(graph: Graph, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        training_step(graph, **choices)
    assert str(caught.value) == message


def test_a_plan_without_steps_has_no_nodes() -> None:
    assert gradient_nodes(gradient_plan(weightless())) == ()
