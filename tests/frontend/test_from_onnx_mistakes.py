"""ONNX files that are no sound models, or none that Tilework can read: one sentence each, never anything else."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilework import wire
from tilework.cost.count import count
from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.frontend.from_onnx import from_onnx, importer, input_shapes
from tilework.frontend.resolve import resolve
from tilework.frontend.to_onnx import save_onnx
from tilework.frontend.zoo import network

F = np.float32


def node(operator: str, *inputs: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [to] if to else [], **attributes)


def model_of(*nodes: onnx.NodeProto, shape: Any = (1, 2, 4, 4), opset: int = 17, **constants: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


W = np.ones((2, 2, 3, 3), F)
MISTAKES: list[tuple[onnx.ModelProto, str]] = [
    (onnx.ModelProto(), "an ONNX model must name its operator set, which is missing: the file is damaged"),
    (
        model_of(node("Relu", "x"), opset=6),
        "the operator set must be at least 7, not 6",
    ),
    (
        model_of(node("Relu", "a", to="b"), node("Relu", "b", to="a"), node("Relu", "b")),
        "Relu node b: what it reads must be an input, a weight or the first output of a node before it, unlike a",
    ),
    (
        model_of(node("Conv", "x", "w")),
        "Conv node y: what it reads must be an input, a weight or the first output of a node before it, unlike w",
    ),
    (model_of(node("Relu", "x", to="z")), "each output must be made by a node, which y is not"),
    (model_of(node("Relu", "x"), node("Relu", "x")), "each tensor must have a name of its own, not 'y' again"),
    (model_of(node("Relu", "x", to="x"), node("Relu", "x")), "each tensor must have a name of its own, not 'x' again"),
    (
        model_of(node("Relu", "x"), shape=("n", 3, "height", 8)),
        "input x must have sizes for all its axes, but the file leaves some open: "
        "[n, 3, height, 8]; give the shape, as in --input x=1,3,224,8",
    ),
    (
        model_of(node("Relu", "x"), shape=None),
        "input x must have a shape, but the file tells none; give it, with the batch",
    ),
    (model_of(node("Relu", "x"), shape=(1, -3)), "tensor x: every size must be at least 1, not [1, -3]"),
    (model_of(node("Relu", "x", "x")), "Relu node y: it must have 1 to 1 inputs, not 2"),
    (model_of(node("Relu", "x", colour=1)), "Relu node y: it must have no attributes but none, not colour"),
    (
        model_of(node("Conv", "", "w"), w=W),
        "Conv node y: the inputs that the operator needs must be there, but one is left out",
    ),
    (model_of(node("LRN", "x", size=2.5)), "LRN node y: the attribute size must be of ONNX's type int"),
    (
        model_of(node("Conv", "x", "w"), shape=(1, 2), w=W),
        "Conv node y: the input must be [N,C,…] with 1 to 3 sizes of at most 1048576 behind, not [1, 2]",
    ),
    (
        model_of(node("Conv", "x", "w"), w=np.ones((2, 2, 3), F)),
        "Conv node y: the weight must have 4 axes, not the shape [2, 2, 3]",
    ),
    (
        model_of(node("Conv", "x", "w"), w=np.ones((2, 3, 3, 3), F)),
        "Conv node y: conv2d with weight [2, 3, 3, 3] in 1 groups must get 3 input channels "
        "and a multiple of 1 filters, not 2 and 2",
    ),
    (
        model_of(node("Conv", "x", "w", kernel_shape=[2, 2]), w=W),
        "Conv node y: kernel_shape must be that of the weight, [3, 3], not [2, 2]",
    ),
    (
        model_of(node("Conv", "x", "w", pads=[-1, 0, 0, 0]), w=W),
        "Conv node y: pads must be 4 integers in 0..1048576, not [-1, 0, 0, 0]",
    ),
    (
        model_of(node("Conv", "x", "w", auto_pad="SOME"), w=W),
        "Conv node y: auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not SOME, with sizes of at least 1",
    ),
    (model_of(node("MaxPool", "x")), "MaxPool node y: kernel_shape must be 2 integers, not []"),
    (
        model_of(node("Gemm", "x", "w"), shape=(2, 2), w=np.ones(2, F)),
        "Gemm node y: both matrices must have 2 axes, not the shapes [2, 2] and [2]",
    ),
    (
        model_of(node("Reshape", "x", "s"), s=np.array([3, -1])),
        "Reshape node y: a tensor of shape [1, 2, 4, 4] must keep its 32 elements, not become [3, 10]",
    ),
    (
        model_of(node("Reshape", "x", "s"), s=np.array([-1, -1])),
        "Reshape node y: the shape must have at most 8 sizes and at most one -1, not [-1, -1]",
    ),
    (
        model_of(node("Reshape", "x", "s"), s=np.array([1, 2, 4, 4, 0])),
        "Reshape node y: the shape [1, 2, 4, 4, 0] must not keep an axis that the input, [1, 2, 4, 4], lacks",
    ),
    (
        model_of(node("Reshape", "x", "s"), s=F([1, 32])),
        "Reshape node y: the shape must be a few numbers, not float32[2]",
    ),
    (model_of(node("Concat", "x", "x")), "Concat node y: the attribute axis must be given"),
    (model_of(node("Concat", "x", "x", axis=4)), "Concat node y: the axis must be one of 4, not 4"),
    (
        model_of(node("Transpose", "x", perm=[0, 1, 1, 2])),
        "Transpose node y: perm must name each of the axes [0, 1, 2, 3] once, not [0, 1, 1, 2]",
    ),
    (
        model_of(node("Squeeze", "x", "a"), a=np.array([1])),
        "Squeeze node y: the axes [1] of [1, 2, 4, 4] must have the size 1",
    ),
    (
        model_of(node("Unsqueeze", "x", "a"), a=np.array([0, 0])),
        "Unsqueeze node y: the axes must be given, each once, not [0, 0]",
    ),
    (model_of(node("Clip", "x", "w"), w=np.ones(2, F)), "Clip node y: a bound must be one number, not 2"),
    (
        model_of(node("Clip", "x", min=2.0, max=1.0), opset=9),
        "Clip node y: clip must have a low bound of at most its high one, not 2.0 and 1.0",
    ),
    (model_of(node("Constant")), "Constant node y: it must have one value, not 0"),
    (
        model_of(node("ConstantOfShape", "s"), s=np.array([-2])),
        "ConstantOfShape node y: it must have one value and sizes of at least 0, not 1 values for [-2]",
    ),
    (
        model_of(node("MatMul", "x", "w"), w=np.float32(1)),
        "MatMul node y: it must multiply tensors with axes, not the shapes [1, 2, 4, 4] and []",
    ),
    (
        model_of(node("MatMul", "x", "w"), w=np.ones((3, 2), F)),
        "MatMul node y: linear with weight [2, 3] must get 3 features, not 4",
    ),
    (
        model_of(node("Gather", "x", "w"), w=np.array([4]), shape=(4, 2)),
        "Gather node y: the index must be one of 4 places, not 4",
    ),
    (
        model_of(node("Gather", "x", "w"), w=F([0, 1])),
        "Gather node y: the indices must be integers, not float32",
    ),
    (
        model_of(node("Expand", "x", "w"), w=np.array([3, 3])),
        "Expand node y: it must get shapes that broadcast, not [1, 2, 4, 4] and [3, 3]",
    ),
    (
        model_of(node("Tile", "x", "w"), w=np.array([10**12])),
        "Tile node y: it must have a positive number of repeats for each axis of [1, 2, 4, 4], not [1000000000000]",
    ),
    (
        model_of(node("Range", "w", "w", "w"), w=np.float32(0)),
        "Range node y: it must have three numbers, the step not 0",
    ),
    (
        model_of(node("Split", "x", "w"), w=np.array([9])),
        "Split node y: its 1 parts must make up the 1 places of axis 0, not [9]",
    ),
    (
        model_of(node("Einsum", "x", equation="ab->a")),
        "Einsum node y: the equation must name the axes of its operands, which 'ab->a' does not",
    ),
    (
        model_of(node("LSTM", "x", "w", "w", hidden_size=2), w=W),
        "LSTM node y: it must have X [S,B,I], W [1,4*H,I] and R [1,4*H,H], "
        "not [1, 2, 4, 4], [2, 2, 3, 3] and [2, 2, 3, 3]",
    ),
    (
        model_of(node("If", "c", then_branch=model_of(node("Relu", "x")).graph), c=np.array(True), shape=(2,)),
        "If node y: the attribute else_branch must be given",
    ),
    (
        model_of(node("Add", "x", "w"), w=np.array("text", object)),
        "constant w must hold numbers, not ONNX's type 8",
    ),
]


@pytest.mark.parametrize(("model", "message"), MISTAKES, ids=[str(place) for place in range(len(MISTAKES))])
def test_a_mistake_is_one_sentence(model: onnx.ModelProto, message: str) -> None:
    with pytest.raises(NetworkError) as raised:
        from_onnx(model)
    assert str(raised.value) == f"the ONNX model: {message}"


def altered(**fields: Any) -> onnx.ModelProto:
    """A model whose weight w has other fields than it should."""
    model = model_of(node("Add", "x", "w"), w=np.ones(4, F))
    for name, value in fields.items():
        model.graph.initializer[0].ClearField(name)
        if isinstance(value, tuple):
            getattr(model.graph.initializer[0], name).extend(value)
        else:
            setattr(model.graph.initializer[0], name, value)
    return model


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dims": (-4,)}, "constant w must have at most 8 axes, none negative, not [-4]"),
        ({"dims": (1,) * 9}, "constant w must have at most 8 axes, none negative, not [1, 1, 1, 1, 1, 1, 1, 1, 1]"),
        ({"raw_data": b"12"}, "constant w of shape [4] must hold 16 bytes, not 2"),
    ],
)
def test_a_weight_that_is_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError) as raised:
        from_onnx(altered(**fields))
    assert str(raised.value) == f"the ONNX model: {message}"


def test_too_few_typed_numbers() -> None:
    model = altered(dims=(4,))
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.extend([1, 2, 3])
    with pytest.raises(NetworkError, match=r"constant w of shape \[4\] must hold 4 numbers, not 3"):
        from_onnx(model)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.onnx", None, "the ONNX file '{path}' must be readable: No such file or directory"),
        (
            "text.onnx",
            b"a text, and no model",
            "text.onnx must be an ONNX model; it is cut short, damaged or something else",
        ),
        (
            "empty.onnx",
            b"",
            "empty.onnx: an ONNX model must name its operator set, which is missing: the file is damaged",
        ),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NetworkError) as raised:
        resolve(str(path))
    assert str(raised.value) == message.format(path=path)


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "name.onnx"
    path.write_bytes(
        model_of(node("Relu", "x", to="qq"), node("Relu", "qq")).SerializeToString().replace(b"qq", b"q\xff")
    )
    with pytest.raises(NetworkError, match=r"name.onnx(: every name must be UTF-8 text| must be an ONNX model)"):
        from_onnx(path)


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    onnx.save(model_of(node("Relu", "x"), shape=("n", 3, "h", "w")), path)
    assert input_shapes(path) == {"x": (0, 3, 0, 0)}
    assert resolve(str(path), inputs=["3,8,9"]).inputs[0].shape == (1, 3, 8, 9)
    assert resolve(str(path), 4, ["x=3,8,9"]).inputs[0].shape == (4, 3, 8, 9)
    for batch, inputs, message in (
        (None, ["z=1,3,8,8"], "network open.onnx has the inputs x, not 'z'"),
        (2, [], "open.onnx: input x must have sizes for all its axes, but the file leaves some open: [n, 3, h, w]; "),
        (0, [], "the batch must be at least 1, not 0"),
    ):
        with pytest.raises(NetworkError) as raised:
            resolve(str(path), batch, inputs)
        assert str(raised.value).startswith(message)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known needs no onnx; what only that knows says so."""
    known, foreign = (model_of(node(name, "x")).SerializeToString() for name in ("Relu", "Det"))
    for name in [name for name in sys.modules if name.startswith("tilework.frontend.from_onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    from tilework.frontend.from_onnx import from_onnx as fresh

    assert [n.operation for n in fresh(Bytes(known))[0].nodes] == ["relu"]
    with pytest.raises(MissingPackageError) as raised:
        fresh(Bytes(foreign))
    assert str(raised.value) == (
        "this ONNX file has operators that need the package onnx: pip install 'tilework[onnx]'"
    )


class Bytes(bytes):
    """A model as bytes, which needs no protobuf."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        return self


def function(name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function("own", name, ["a"], ["b"], nodes, [helper.make_opsetid("own", 1)])


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    model = model_of(node("f", "x", domain="own"))
    model.opset_import.add(domain="own", version=1)
    model.functions.extend(functions)
    return model


def test_a_function_that_calls_itself() -> None:
    with pytest.raises(NetworkError, match=r"functions and subgraphs must lie at most 40 deep in one another$"):
        from_onnx(calling(function("f", node("f", "a", to="b", domain="own"))))


def test_functions_that_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each calls the next twice: 2 to the 30 nodes."""
    monkeypatch.setattr(importer, "NODES_LIMIT", 3_000)
    made = [
        function(
            "f" * (1 + depth),
            node("f" * (2 + depth), "a", to="c", domain="own"),
            node("f" * (2 + depth), "c", to="b", domain="own"),
        )
        for depth in range(30)
    ]
    with pytest.raises(NetworkError) as raised:
        from_onnx(calling(*made, function("f" * 31, node("g", "a", to="b", domain="elsewhere"))))
    assert str(raised.value) == (
        "the ONNX model: a model must have at most 3,000 nodes, its functions and loops written out"
    )


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


DAMAGED = "must be an ONNX model; it is cut short, damaged or something else"
TOO_MUCH = "must hold at most 2,000,000 names and numbers beside those of its tensors"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (field(7, field(1, field(1, b"\0" * 10)))[:-1], DAMAGED),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", DAMAGED),  # a graph of 2 to the 63 bytes
        (b"\x3b", DAMAGED),  # a group, which ONNX has none of
        (field(7, b"\xa0\x01" * 3), DAMAGED),
        (field(7, b"\x5a\0" * 20_001), TOO_MUCH),
        (field(7, field(1, field(5, field(8, b"\0" * 20_001)))), TOO_MUCH),
        (field(7, field(2, b"n" * 2_000_001)), TOO_MUCH),
    ],
    ids=range(7),
)
def test_bytes_that_are_no_model(tmp_path: Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ITEMS_LIMIT", 20_000)
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(NetworkError) as raised:
        from_onnx(tmp_path / "net.onnx")
    assert str(raised.value) == f"net.onnx {message}"


def test_messages_too_deep_in_one_another(tmp_path: Path) -> None:
    content = b""
    for _ in range(40):
        content = field(1, field(5, field(6, content)))
    (tmp_path / "net.onnx").write_bytes(field(7, content))
    with pytest.raises(NetworkError, match=DAMAGED):
        from_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (
            model_of(
                node("ConstantOfShape", "s", to="c"), node("Add", "x", "c"), s=np.array([10**6, 10**6]), shape=(1, 1)
            ),
            (10**6, 10**6),
        ),
        (model_of(node("Expand", "x", "s"), s=np.array([10**12]), shape=(1,)), (10**12,)),
        (model_of(node("Tile", "x", "s"), s=np.array([10**12]), shape=(2,)), (2 * 10**12,)),
        (
            model_of(
                node("Range", "z", "s", "i", to="r"),
                helper.make_node("Cast", ["r"], ["f"], to=1),
                node("Add", "x", "f"),
                z=np.array(0),
                s=np.array(10**12),
                i=np.array(1),
                shape=(1,),
            ),
            (10**12,),
        ),
        (model_of(node("Pad", "x", "s"), s=np.array([0, 10**12]), shape=(2,)), (10**12 + 2,)),
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Range", "Pad"],
)
def test_huge_tensors_are_counted_and_never_made(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    graph, weights = from_onnx(model)
    assert graph.tensors["y"].shape == shape
    assert count(graph).rows[-1].output_shape == shape
    for tensor in graph.weights:
        if tensor.elements > 1 << 32:
            with pytest.raises(WeightsError, match=r"must have at most 4,294,967,296 elements, not 1,000,000,000,000$"):
                weights[tensor.name]


def external(folder: Path, location: str = "w.bin", **entries: str) -> Path:
    """A model whose weight w lies in another file."""
    model = altered(data_location=TensorProto.EXTERNAL)
    model.graph.initializer[0].ClearField("raw_data")
    for key, value in {"location": location, **entries}.items():
        model.graph.initializer[0].external_data.add(key=key, value=value)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_of_another_file_are_read_when_asked_for(tmp_path: Path) -> None:
    graph, weights = from_onnx(external(tmp_path, offset="4", length="16"))
    assert count(graph).total.parameters == 4
    with pytest.raises(WeightsError) as raised:
        weights["w"]
    assert str(raised.value) == (
        f"{tmp_path / 'w.bin'}, which holds the numbers of w, must be readable: No such file or directory"
    )
    (tmp_path / "w.bin").write_bytes(np.arange(5, dtype="<f4").tobytes())
    assert weights["w"].tolist() == [1, 2, 3, 4]
    (tmp_path / "w.bin").write_bytes(bytes(9))
    with pytest.raises(WeightsError) as raised:
        weights["w"]
    assert str(raised.value) == f"{tmp_path / 'w.bin'} must hold 16 bytes for w from 4 on, not 5"


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/hostname", "C:\\w.bin", "a\\..\\..\\w.bin", "\\w.bin", "", "a\0b"]
)
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(NetworkError) as raised:
        from_onnx(external(tmp_path, location))
    assert str(raised.value) == (
        f"net.onnx: the numbers of w must lie in a file of the model's own folder, not in {location!r}"
    )


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    try:
        (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    except OSError:
        pytest.skip("links cannot be made here")
    _, weights = from_onnx(external(tmp_path / "model"))
    with pytest.raises(
        WeightsError, match=r"the numbers of w must lie in the model's own folder, which .*w.bin leads out of"
    ):
        weights["w"]


@pytest.mark.parametrize("entries", [{"offset": "-4"}, {"length": "12"}, {"offset": "x"}])
def test_parts_of_a_file_that_do_not_fit(tmp_path: Path, entries: dict[str, str]) -> None:
    with pytest.raises(NetworkError, match=r"net.onnx: w must take 16 bytes of the file 'w.bin', not "):
        from_onnx(external(tmp_path, **entries))


def bases(folder: Path) -> list[bytes]:
    save_onnx(network("mlp", sizes=(6, 4, 2)), folder / "base.onnx")
    nodes = [
        node("Constant", to="s", value_ints=[1, -1]),
        node("Conv", "x", "w", to="a", pads=[1, 1, 1, 1], strides=[1, 2]),
        node("MaxPool", "a", to="b", kernel_shape=[2, 2], ceil_mode=1),
        node("AveragePool", "b", to="c", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        node("Concat", "c", "c", to="d", axis=1),
        node("Transpose", "d", to="e", perm=[0, 2, 3, 1]),
        node("Reshape", "e", "s", to="f"),
        node("Clip", "f", to="g"),
        node("Softmax", "g"),
    ]
    return [(folder / "base.onnx").read_bytes(), model_of(*nodes, w=W).SerializeToString()]


def test_altered_files_raise_nothing_else(tmp_path: Path) -> None:
    path, chance, refused = tmp_path / "net.onnx", random.Random(0), 0
    originals = bases(tmp_path)
    for _ in range(600):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 2)):
            place = chance.randrange(len(data))
            if chance.random() < 0.9:
                data[place] = chance.choice([data[place] ^ 1 << chance.randrange(8), 0, 1, 127, 255])
            else:
                del data[place : place + chance.randint(1, 1 + len(data) // 4)]
        path.write_bytes(data)
        try:
            graph, weights = from_onnx(path)
            count(graph)
            assert all(len(weights[t.name]) >= 0 for t in graph.weights if t.elements < 1 << 20)
        except (NetworkError, WeightsError):
            refused += 1
    assert 300 < refused < 600
