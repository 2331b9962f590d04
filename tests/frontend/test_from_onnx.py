"""ONNX models read: the light models that the onnx package ships, round trips, ONNX Runtime's values."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tilework.cost.count import count
from tilework.executable import compile_network, find_weights
from tilework.frontend.from_onnx import from_onnx
from tilework.frontend.resolve import resolve
from tilework.frontend.to_onnx import save_onnx, to_onnx
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network.execute import execute
from tilework.network.weights import Array

LIGHT = {path.stem: path for path in (Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")}
NAMES = [
    "light_bvlc_alexnet",
    "light_densenet121",
    "light_inception_v1",
    "light_inception_v2",
    "light_resnet50",
    "light_shufflenet",
    "light_squeezenet",
    "light_vgg19",
    "light_zfnet512",
]
MOVES = {"Unsqueeze", "Reshape"}


def runtime(model: onnx.ModelProto, inputs: dict[str, Array]) -> list[Array]:
    """The outputs as ONNX Runtime computes them from the model as it is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def model_of(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    shape: tuple[int | str | None, ...],
    opset: int = 17,
    outputs: tuple[str, ...] = ("y",),
) -> onnx.ModelProto:
    """A model with the input x and outputs whose shapes the file leaves open."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def agrees(model: onnx.ModelProto, tolerance: float = 2e-5) -> None:
    """ONNX Runtime and `execute` give the same shapes and values."""
    graph, weights = from_onnx(model)
    values = {t.name: np.random.default_rng(3).standard_normal(t.shape).astype(np.float32) for t in graph.inputs}
    ours = execute(graph, weights, values)
    for name, theirs in zip(graph.outputs, runtime(model, values), strict=True):
        assert ours[name].shape == theirs.shape
        assert np.abs(ours[name] - theirs).max() <= tolerance * max(1.0, np.abs(theirs).max())


def independent_parameters(model: onnx.ModelProto) -> int:
    """The sizes of all constants that a layer or an addition reads, apart from BatchNormalization's statistics."""
    shapes = {i.name: tuple(i.dims) for i in model.graph.initializer}
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer if i.data_type == TensorProto.INT64}
    origin: dict[str, str] = {name: name for name in shapes}
    read: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = tuple(values[node.input[0]].tolist())
            origin[node.output[0]] = node.output[0]
        elif node.op_type in MOVES and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        elif node.op_type in ("Conv", "Gemm", "BatchNormalization", "Mul", "Add"):
            read |= {origin[name] for name in node.input[:3] if name in origin}
    return sum(prod(shapes[name]) for name in read)


def independent_macs(model: onnx.ModelProto) -> int:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True).graph
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    total = 0
    for node in inferred.node:
        if node.op_type in ("Conv", "Gemm"):  # every one of these Gemms has transB=1
            total += prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    return total


def test_the_light_models_are_all_here() -> None:
    assert sorted(LIGHT) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_light_model_counts(name: str) -> None:
    model = onnx.load(LIGHT[name])
    graph, weights = from_onnx(LIGHT[name])
    total = count(graph).total
    assert (total.parameters, total.macs) == (independent_parameters(model), independent_macs(model))
    assert {tensor.name for tensor in graph.weights} == set(weights)
    assert weights.origin == f"from {name}.onnx"
    assert graph.name == name
    assert len(graph.inputs) == 1
    assert list(graph.outputs) == [output.name for output in model.graph.output]


def with_random_weights(path: Path) -> onnx.ModelProto:
    """The light model with initialisers in the places of its ConstantOfShape nodes."""
    model, generator = onnx.load(path), np.random.default_rng(1)
    shapes = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = shapes[node.input[0]].tolist()
        matrix = generator.standard_normal(shape) * np.sqrt(2 / max(1, prod(shape[1:])))
        values = matrix if len(shape) > 1 else generator.uniform(0.5, 1.0, shape)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    return model


@pytest.mark.parametrize("name", ["light_squeezenet", "light_shufflenet", "light_inception_v1"])
def test_light_model_values(name: str) -> None:
    agrees(onnx.load(LIGHT[name]))
    agrees(with_random_weights(LIGHT[name]))
    graph, _ = from_onnx(LIGHT[name])
    again = to_onnx(graph, seeded(graph))
    agrees(again)
    assert count(from_onnx(again)[0]).total == count(graph).total


@pytest.mark.parametrize("name", ["lenet5", "mlp", "resnet18", "alexnet", "alexnet_torchvision"])
def test_round_trip_of_the_zoo_counts_the_same(name: str) -> None:
    graph = network(name)
    zeros = {t.name: np.broadcast_to(np.float32(0), t.shape) for t in graph.weights}
    assert count(from_onnx(to_onnx(graph, zeros))[0]).total == count(graph).total


def test_round_trip_of_lenet5(tmp_path: Path) -> None:
    graph, path = network("lenet5"), tmp_path / "five.onnx"
    save_onnx(graph, path, seeded(graph, 4))
    back, weights = from_onnx(path)
    assert [(n.name, n.operation, n.inputs) for n in back.nodes] == [
        (n.name, n.operation, n.inputs) for n in graph.nodes
    ]
    assert all((weights[name] == seeded(graph, 4)[name]).all() for name in weights)
    x = {"image": np.random.default_rng(0).random((1, 1, 28, 28), dtype=np.float32)}
    assert (execute(back, weights, x)["softmax"] == execute(graph, seeded(graph, 4), x)["softmax"]).all()


def test_a_file_is_compiled_and_run(tmp_path: Path) -> None:
    path = tmp_path / "five.onnx"
    save_onnx(network("lenet5"), path)
    graph = resolve(str(path), 2)
    weights = find_weights(graph, str(path))
    assert weights.origin == "from five.onnx"
    assert find_weights(graph, str(path), seed=3).origin == "seeded random (seed 3)"
    executable = compile_network(graph, "dlp-s", weights)
    x = {"image": np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32)}
    assert np.abs(executable.run(**x)["softmax"] - executable.reference(x)["softmax"]).max() < 1e-6


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for name in ("lenet5", "mlp"):
        save_onnx(network(name), path)
        assert count(resolve(str(path))).total == count(network(name)).total


@pytest.mark.parametrize("name", ["light_bvlc_alexnet", "light_shufflenet"])
def test_another_batch_of_a_file_made_for_one(name: str) -> None:
    one, four = (count(resolve(str(LIGHT[name]), batch)).total for batch in (None, 4))
    assert (four.parameters, four.macs, four.neurons) == (one.parameters, 4 * one.macs, 4 * one.neurons)


def test_open_sizes() -> None:
    model = model_of(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Reshape", ["r", "s"], ["y"])],
        {"s": np.array([0, -1])},
        ("batch", 3, 2),
    )
    assert from_onnx(model)[0].tensors["y"].shape == (1, 6)
    assert from_onnx(model, batch=5)[0].tensors["y"].shape == (5, 6)
    assert from_onnx(model, shapes={"x": (2, 4, 4)})[0].tensors["y"].shape == (2, 16)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (0, 1, 1, 2), (1, 0, 2, 1)])
modes = st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "VALID"])


@settings(deadline=None, max_examples=40)
@given(kernel=pairs, stride=pairs, dilation=pairs, pads=pads, mode=modes, group=st.integers(1, 2), biased=st.booleans())
def test_conv(
    kernel: tuple[int, int], stride: Any, dilation: Any, pads: Any, mode: str, group: int, biased: bool
) -> None:
    generator = np.random.default_rng(0)
    w = generator.standard_normal((4, 4 // group, *kernel)).astype(np.float32)
    extra: dict[str, Any] = {"pads": pads} if mode == "NOTSET" else {}
    dilation = (1, 1) if mode == "SAME_UPPER" else dilation  # ONNX Runtime refuses both at once
    inputs = ["x", "w", "b"] if biased else ["x", "w"]
    options = {"strides": stride, "dilations": dilation, "group": group, "auto_pad": mode}
    node = helper.make_node("Conv", inputs, ["y"], **options, **extra)
    constants = {"w": w, "b": np.arange(4, dtype=np.float32)} if biased else {"w": w}
    agrees(model_of([node], constants, (2, 4, 9, 10)))


@settings(deadline=None, max_examples=60)
@given(
    operator=st.sampled_from(["MaxPool", "AveragePool"]),
    kernel=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    stride=pairs,
    pads=st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (1, 0, 1, 1)]),
    mode=modes,
    counted=st.integers(0, 1),
)
def test_pools(operator: str, kernel: Any, stride: Any, pads: Any, mode: str, counted: int) -> None:
    options: dict[str, Any] = {"pads": pads} if mode == "NOTSET" else {}
    options |= {"count_include_pad": counted} if operator == "AveragePool" else {}
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=kernel, strides=stride, auto_pad=mode, **options)
    agrees(model_of([node], {}, (1, 2, 9, 8)))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "Conv"])
@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), (1, 1)), ((3, 3), (2, 2)), ((2, 2), (2, 2)), ((5, 3), (3, 2))])
def test_more_padding_before_than_behind(operator: str, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "auto_pad": "SAME_LOWER"}
    constants = {"w": np.random.default_rng(0).standard_normal((3, 2, *kernel)).astype(np.float32)}
    inputs = ["x", "w"] if operator == "Conv" else ["x"]
    agrees(model_of([helper.make_node(operator, inputs, ["y"], **window)], constants, (1, 2, 9, 8)))


@pytest.mark.parametrize("size", [6, 7, 8, 9])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_pools_with_a_last_window_that_is_cut(operator: str, stride: int, size: int) -> None:
    window: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [stride, stride], "ceil_mode": 1}
    agrees(model_of([helper.make_node(operator, ["x"], ["y"], **window)], {}, (1, 2, size, 7), 19))


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5), (1,), (), (2, 5), (2, 1)])
def test_gemm(alpha: float, turned: int, bias: tuple[int, ...] | None) -> None:
    generator = np.random.default_rng(0)
    w = generator.standard_normal((5, 3) if turned else (3, 5)).astype(np.float32)
    constants = {"w": w} if bias is None else {"w": w, "b": generator.standard_normal(bias).astype(np.float32)}
    node = helper.make_node("Gemm", ["x", *constants], ["y"], alpha=alpha, beta=2.0, transB=turned)
    agrees(model_of([node], constants, (2, 3)))


def node(operator: str, *inputs: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [to], **attributes)


F = np.float32
SINGLE: list[tuple[list[onnx.NodeProto], dict[str, Any], tuple[int, ...], int]] = [
    ([node("Relu", "x")], {}, (2, 3), 17),
    ([node("Sigmoid", "x")], {}, (2, 3), 17),
    ([node("Tanh", "x")], {}, (2, 3, 1), 17),
    ([node("MatMul", "x", "w")], {"w": np.arange(12, dtype=F).reshape(3, 4)}, (2, 3), 17),
    ([node("Gemm", "x", "w", transA=1)], {"w": np.arange(8, dtype=F).reshape(2, 4)}, (2, 3), 17),
    ([node("Add", "x", "w")], {"w": np.arange(3, dtype=F).reshape(3, 1, 1)}, (2, 3, 2, 2), 17),
    ([node("Sub", "w", "x")], {"w": F(1)}, (2, 3), 17),
    ([node("Mul", "x", "x")], {}, (2, 3), 17),
    ([node("Div", "x", "w")], {"w": np.arange(1, 4, dtype=F)}, (2, 3), 17),
    ([node("Sum", "x", "x", "w", "x")], {"w": np.arange(3, dtype=F)}, (2, 3), 17),
    ([node("Sum", "x")], {}, (2, 3), 17),
    ([node("Clip", "x", min=0.0, max=0.5)], {}, (2, 3), 9),
    ([node("Clip", "x", "low", "high")], {"low": F(-0.5), "high": F(0.25)}, (2, 3), 17),
    ([node("Clip", "x", "", "high")], {"high": F(0.25)}, (2, 3), 17),
    ([node("Softmax", "x")], {}, (2, 3, 4), 17),
    ([node("Softmax", "x", axis=1)], {}, (2, 3, 4), 17),
    ([node("Softmax", "x")], {}, (2, 3, 4), 11),
    ([node("Softmax", "x", axis=2)], {}, (2, 3, 4), 11),
    ([node("Softmax", "x")], {}, (2, 3, 1, 1), 9),
    ([node("Concat", "x", "x", "w", axis=-1)], {"w": np.ones((2, 2), F)}, (2, 3), 17),
    ([node("Transpose", "x")], {}, (2, 3, 4), 17),
    ([node("Transpose", "x", perm=[1, 2, 0])], {}, (2, 3, 4), 17),
    ([node("Reshape", "x", "s")], {"s": np.array([4, 0, -1])}, (2, 3, 4), 17),
    ([node("Flatten", "x", axis=0)], {}, (2, 3, 4), 17),
    ([node("Flatten", "x", axis=2)], {}, (2, 3, 4), 17),
    ([node("Flatten", "x", axis=-2)], {}, (2, 3, 4), 17),
    ([node("Flatten", "x")], {}, (2,), 17),
    ([node("Squeeze", "x")], {}, (1, 3, 1), 17),
    ([node("Squeeze", "x", axes=[-1])], {}, (1, 3, 1), 11),
    ([node("Squeeze", "x", "a")], {"a": np.array([0])}, (1, 3, 1), 17),
    ([node("Unsqueeze", "x", axes=[0, 3])], {}, (2, 3), 11),
    ([node("Unsqueeze", "x", "a")], {"a": np.array([-1, 1])}, (2, 3), 17),
    ([node("Dropout", "x", ratio=0.25)], {}, (2, 3), 9),
    ([node("Dropout", "x", "r")], {"r": F(0.25)}, (2, 3), 17),
    ([node("Identity", "x")], {}, (2, 3), 17),
    ([node("LRN", "x", size=3, alpha=0.5, bias=2.0)], {}, (1, 6, 2, 2), 17),
    ([node("GlobalAveragePool", "x")], {}, (1, 6, 5, 3), 17),
    ([node("BatchNormalization", "x", *"gbmv", epsilon=0.1)], {n: np.arange(1, 4, dtype=F) for n in "gbmv"}, (2, 3), 9),
    ([node("Constant", to="c", value_floats=[1.0, 2.0, 3.0]), node("Add", "x", "c")], {}, (2, 3), 17),
    ([node("Constant", to="c", value_float=2.0), node("Mul", "x", "c")], {}, (2, 3), 17),
    ([node("Constant", to="c", value_ints=[3, 2]), node("Reshape", "x", "c")], {}, (2, 3), 17),
    ([node("ConstantOfShape", "s", to="c"), node("Add", "c", "x")], {"s": np.array([2, 3])}, (2, 3), 17),
]


@pytest.mark.parametrize("case", SINGLE, ids=lambda case: f"{case[0][-1].op_type}-{case[3]}")
def test_each_operator_gives_onnx_runtimes_values(case: Any) -> None:
    agrees(model_of(*case))


def test_constants_are_worked_on_and_stay_one_parameter() -> None:
    nodes = [
        node("Transpose", "w", to="t", perm=[1, 0]),
        node("Identity", "t", to="i"),
        node("MatMul", "x", "i", to="a"),
        node("MatMul", "a", "w", to="c"),
        node("Unsqueeze", "v", to="u", axes=[0]),
        node("Add", "c", "u"),
    ]
    constants = {"w": np.arange(9, dtype=F).reshape(3, 3), "v": np.arange(3, dtype=F)}
    model = model_of(nodes, constants, (2, 3), 11)
    graph, _ = from_onnx(model)
    assert [(t.name, t.shape) for t in graph.weights] == [("w", (3, 3)), ("w:2", (3, 3)), ("v", (1, 3))]
    agrees(model)


def test_modules_come_from_the_nodes_names() -> None:
    names = ["/layer1/layer1.0/conv1/Conv", "Relu_3", "/head/fc/Gemm"]
    nodes = [helper.make_node("Relu", [a], [b], name=n) for n, a, b in zip(names, "xab", "aby", strict=True)]
    graph, _ = from_onnx(model_of(nodes, {}, (1, 2)))
    assert [n.module for n in graph.nodes] == ["layer1.0.conv1", "", "head.fc"]


def test_what_no_output_needs_is_left_out() -> None:
    nodes = [node("Relu", "x"), node("NonZero", "x", to="unread")]
    model = model_of(nodes, {"w": np.ones(3, F)}, (2, 3))
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [None, 3]))
    graph, weights = from_onnx(model)
    assert [n.operation for n in graph.nodes] == ["relu"]
    assert (len(weights), [t.name for t in graph.inputs]) == (0, ["x"])
