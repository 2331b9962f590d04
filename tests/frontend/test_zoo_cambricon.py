"""Cambricon's benchmark networks: their values against NumPy and torch, and on the simulated processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tilework.executable import compile_network
from tilework.frontend.resolve import resolve
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import NETWORKS, network
from tilework.network.execute import execute

Array = np.ndarray[Any, Any]
Values = Mapping[str, Array]

NAMES = [name for name, entry in NETWORKS.items() if "Cambricon" in entry.source]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x.astype(np.float64))))


def layers(w: Values, x: Values) -> list[Array]:
    value = x["x"]
    for i in range(1, 1 + len(w) // 2):
        value = sigmoid(value @ w[f"fc{i}.weight"].T + w[f"fc{i}.bias"])
    return [value]


def boltzmann(w: Values, x: Values) -> list[Array]:
    total = x["v"] @ w["visible.weight"].T + w["visible.bias"] + x["h"] @ w["among.weight"].T
    return [x["r"] < sigmoid(total)]


def rbm(w: Values, x: Values) -> list[Array]:
    hidden = x["r_hidden"] < sigmoid(x["v"] @ w["weight"].T + w["bias_hidden"])
    return [hidden, x["r_visible"] < sigmoid(hidden @ w["weight"] + w["bias_visible"])]


def som(w: Values, x: Values) -> list[Array]:
    distances = np.linalg.norm(x["x"][:, None] - w["weight"], axis=2)
    return [np.eye(len(w["weight"]))[distances.argmin(axis=1)]]


def hopfield(w: Values, x: Values) -> list[Array]:
    state = x["x"]
    for _ in range(10):
        state = np.where(state @ w["weight"].T < 0, -1, 1)
    return [state]


def recurrent(w: Values, x: Values) -> list[Array]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    kind = torch.nn.LSTM if len(w["rnn.bias_ih_l0"]) == 4 * 93 else torch.nn.RNN
    module, last = kind(26, 93, batch_first=True), torch.nn.Linear(93, 61)
    module.load_state_dict({k.removeprefix("rnn."): torch.from_numpy(w[k]) for k in w if k.startswith("rnn.")})
    last.load_state_dict({k.removeprefix("fc."): torch.from_numpy(w[k]) for k in w if k.startswith("fc.")})
    with torch.inference_mode():
        return [last(module(torch.from_numpy(x["x"]))[0]).softmax(-1).numpy()]


ORACLES: dict[str, Callable[[Values, Values], list[Array]]] = {
    "cambricon_mlp": layers,
    "cambricon_rnn": recurrent,
    "cambricon_lstm": recurrent,
    "autoencoder": layers,
    "sparse_autoencoder": layers,
    "boltzmann": boltzmann,
    "rbm": rbm,
    "som": som,
    "hopfield": hopfield,
}


def test_all_ten_are_there() -> None:
    assert list(ORACLES) == NAMES
    assert "lenet5" in NETWORKS  # the tenth, its CNN


@pytest.mark.parametrize("name", NAMES)
def test_values_and_the_processors(name: str) -> None:
    graph = network(name, batch=2, input_shape=(4, 26) if ORACLES[name] is recurrent else None)
    weights = {key: np.asarray(value) for key, value in seeded(graph, 4).items()}
    generator = np.random.default_rng(5)
    inputs = {tensor.name: generator.random(tensor.shape, np.float32) for tensor in graph.inputs}
    expected = ORACLES[name](weights, inputs)
    found = execute(graph, weights, inputs)
    ran = compile_network(graph, "dlp-s", weights).run(**inputs)
    for output, values in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(found[output], values, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(ran[output], values, rtol=1e-4, atol=1e-6)


def test_a_hopfield_network_retrieves_what_it_stores() -> None:
    """Hebb's rule on the paper's five vectors of 100 components; 15 of the 100 of each are turned over."""
    generator = np.random.default_rng(0)
    stored = generator.choice(np.float32([-1, 1]), (5, 100))
    spoilt = stored.copy()
    for row in spoilt:
        row[generator.choice(100, 15, replace=False)] *= -1
    weights = {"weight": (stored.T @ stored - 5 * np.eye(100, dtype=np.float32)) / 100}
    ran = compile_network(network("hopfield", batch=5), "cambricon-acc", weights).run(x=spoilt)
    assert (next(iter(ran.values())) == stored).all()
    assert not (spoilt == stored).all(axis=1).any()


def test_units_are_drawn_with_their_probability() -> None:
    """Over many random numbers, the mean of a unit is the sigmoid of its sum."""
    graph = network("boltzmann", batch=2000, input_shape=(3,), hidden=4)
    weights = seeded(graph, 1)
    one = {"v": np.float32([1, 0, 1]), "h": np.float32([0, 1, 1, 0])}
    inputs = {name: np.broadcast_to(value, (2000, len(value))) for name, value in one.items()}
    drawn = execute(graph, weights, inputs | {"r": np.random.default_rng(2).random((2000, 4), np.float32)})
    w = {key: np.asarray(value) for key, value in weights.items()}
    total = w["visible.weight"] @ one["v"] + w["visible.bias"] + w["among.weight"] @ one["h"]
    np.testing.assert_allclose(drawn["hidden"].mean(axis=0), sigmoid(total), atol=0.04)


def test_the_other_inputs_follow_the_first() -> None:
    graph = resolve("rbm", 3, ["400"])
    assert [(tensor.name, tensor.shape) for tensor in graph.inputs] == [
        ("v", (3, 400)),
        ("r_hidden", (3, 500)),
        ("r_visible", (3, 400)),
    ]
