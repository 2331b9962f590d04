"""ONNX models and files as a whole: names, weights, failures."""

from __future__ import annotations

import importlib
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.frontend.onnx_runtime import run_onnx
from tilework.frontend.to_onnx import save_onnx, to_onnx
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape

Array = npt.NDArray[Any]


def test_names_survive() -> None:
    graph = network("lenet5")
    model = to_onnx(graph)
    assert [node.output[0] for node in model.graph.node] == [node.name for node in graph.nodes]
    assert [t.name for t in model.graph.initializer] == [t.name for t in graph.weights]
    assert [t.name for t in model.graph.input] == ["image"]
    assert [t.name for t in model.graph.output] == ["softmax"]
    assert (model.graph.name, model.producer_name, model.opset_import[0].version) == ("lenet5", "tilework", 17)


def uneven() -> Graph:
    """A graph whose export needs constants of its own."""
    g = GraphBuilder("uneven")
    return g.graph(g.node("y", "adaptive_avg_pool2d", g.input("x", (1, 2, 7, 5)), output=(3, 2)))


@pytest.mark.parametrize("graph", [network("lenet5"), network("resnet18"), uneven()], ids=lambda graph: graph.name)
def test_saved_file_is_the_model(tmp_path: Path, graph: Graph) -> None:
    weights = seeded(graph, 9)
    save_onnx(graph, tmp_path / "model.onnx", weights)
    assert onnx.load(tmp_path / "model.onnx") == to_onnx(graph, weights)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    graph, path = network("lenet5"), tmp_path / "model.onnx"
    path.write_bytes(b"old")
    broken = {name: array for name, array in seeded(graph).items() if name != "fc3.bias"}
    with pytest.raises(WeightsError):
        save_onnx(graph, path, broken)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_weights_of_any_memory_layout() -> None:
    graph = network("lenet5")
    weights = dict(seeded(graph))
    other = {n: np.asfortranarray(a.astype(">f8")) for n, a in weights.items()}
    assert to_onnx(graph, other) == to_onnx(graph, weights)


def lean(operation: str, shape: Shape, weight: Shape, dtype: str = "float32") -> Graph:
    g = GraphBuilder("lean")
    g.input("x", shape, dtype)
    return g.graph(g.node("y", operation, "x", g.weight("w", weight, dtype=dtype)))


@pytest.mark.parametrize(
    ("graph", "weights", "error", "message"),
    [
        (
            lean("linear", (1, 3), (2, 3), "bfloat16"),
            None,
            NetworkError,
            "tensor x must be of one of float32, float16, float64, int64, int32, int16, int8, uint8, bool "
            "to become ONNX, not bfloat16",
        ),
        (
            lean("linear", (1, 2**15), (2**14, 2**15)),
            None,
            NetworkError,
            "the weights of an ONNX file must stay below 2 GiB, but those of lean take 2147483648 bytes",
        ),
        (lean("linear", (1, 3), (2, 3)), {}, WeightsError, "the weights must hold w of shape [2, 3], but lack it"),
        (
            lean("linear", (1, 3), (2, 3)),
            {"w": np.zeros((3, 2))},
            WeightsError,
            "w must have the shape [2, 3], not [3, 2]",
        ),
    ],
)
def test_errors(
    tmp_path: Path, graph: Graph, weights: dict[str, Array] | None, error: type[Exception], message: str
) -> None:
    for export in (lambda: to_onnx(graph, weights), lambda: save_onnx(graph, tmp_path / "model.onnx", weights)):
        with pytest.raises(error) as caught:
            export()
        assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "network lenet5 must get the inputs image, not none"),
        ({"x": (1, 1, 28, 28)}, "network lenet5 must get the inputs image, not x"),
        ({"image": (1, 28, 28)}, "input image must have the shape [1, 1, 28, 28], not [1, 28, 28]"),
    ],
)
def test_unfit_inputs(inputs: dict[str, Shape], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        run_onnx(network("lenet5"), None, {name: np.zeros(shape, np.float32) for name, shape in inputs.items()})
    assert str(caught.value) == message


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "tilework.frontend.to_onnx")
    with pytest.raises(MissingPackageError) as caught:
        importlib.import_module("tilework.frontend.to_onnx")
    assert str(caught.value) == "ONNX export needs the package onnx: pip install 'tilework[onnx]'"


def test_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError) as caught:
        run_onnx(network("lenet5"), None, {})
    assert str(caught.value) == (
        "running a network in ONNX Runtime needs the package onnxruntime: pip install 'tilework[onnx]'"
    )


class Watched(dict[str, Array]):
    """Weights made anew at every read; notes how many are alive then."""

    def __init__(self, graph: Graph) -> None:
        super().__init__({tensor.name: np.empty(tensor.shape, np.float32) for tensor in graph.weights})
        self.made: list[weakref.ref[Array]] = []
        self.alive: list[int] = []

    def __getitem__(self, name: str) -> Array:
        array = super().__getitem__(name).copy()
        self.alive.append(sum(reference() is not None for reference in self.made))
        self.made.append(weakref.ref(array))
        return array


def test_saving_holds_one_weight_at_a_time(tmp_path: Path) -> None:
    graph = network("mlp", sizes=(512, 512, 512, 512))
    weights = Watched(graph)
    save_onnx(graph, tmp_path / "model.onnx", weights)
    assert weights.alive == [0] * len(graph.weights)
    assert (tmp_path / "model.onnx").stat().st_size > sum(t.size_bytes for t in graph.weights)
