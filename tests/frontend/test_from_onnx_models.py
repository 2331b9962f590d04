"""ONNX models of several layers: control flow, functions, recurrence, quantised layers, open sizes, large files."""

from __future__ import annotations

import importlib.util
import tracemalloc
from math import erf
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
from tilework.errors import NetworkError
from tilework.frontend.from_onnx import Site, from_onnx, input_shapes, onnx_operator, symbols
from tilework.frontend.from_onnx.signatures import MANY, SIGNATURES
from tilework.frontend.from_onnx.site import REGISTERED
from tilework.network.execute import execute
from tilework.network.graph import Graph

F = np.float32


def load_fuzz() -> Any:
    """benchmarks/fuzz_onnx.py, whose models and damages are of use here too."""
    path = Path(__file__).parents[2] / "benchmarks" / "fuzz_onnx.py"
    spec = importlib.util.spec_from_file_location("fuzz_onnx", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = load_fuzz()
model, node, value = fuzz.model, fuzz.node, fuzz.value


def agrees(made: onnx.ModelProto, tolerance: float = 2e-5, **asked: Any) -> Graph:
    """ONNX Runtime and `execute` give the same shapes and values under the same names."""
    graph, weights = from_onnx(made, **asked)
    inputs = {t.name: np.random.default_rng(3).standard_normal(t.shape).astype(t.dtype) for t in graph.inputs}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ours = execute(graph, weights, inputs)
    assert list(graph.outputs) == [output.name for output in made.graph.output]
    for name, theirs in zip(graph.outputs, session.run(None, inputs), strict=True):
        assert (ours[name].shape, ours[name].dtype) == (theirs.shape, theirs.dtype)
        assert np.abs(ours[name].astype(float) - theirs).max() <= tolerance * max(1.0, np.abs(theirs).max())
    return graph


def labels(graph: Graph) -> list[str]:
    return [n.label for n in graph.nodes]


def test_damaged_files_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of these are a matter for benchmarks/fuzz_onnx.py."""
    monkeypatch.setattr(fuzz, "operator_tests", list)
    tally, failed = fuzz.fuzz(100_000, 300, tmp_path)
    assert not failed
    assert min(tally["read"], tally["refused"]) > 30


def test_attention_counts() -> None:
    """Tables are looked up, shapes come from a chain of constants, causal masks are compared."""
    graph, _ = from_onnx(fuzz.attention(), batch=2)
    steps, width, heads = 5, 8, 2
    layer = 2 * steps * width * 3 * width + 2 * steps * width * width
    assert count(graph).total.macs == layer + 2 * (2 * steps * steps * width)
    assert count(graph).total.parameters == 9 * width + width + 3 * width * width + width * width
    assert graph.tensors["scores"].shape == (2, heads, steps, steps)
    assert {n.label for n in graph.nodes if n.operation in ("host", "unknown")} == {"embedding"}


def test_quantised_layers() -> None:
    made = fuzz.quantised()
    made.graph.output[1].type.tensor_type.elem_type = TensorProto.INT32
    made.graph.output[2].type.tensor_type.elem_type = TensorProto.UINT8
    graph = agrees(made, 1e-4)
    assert graph.tensors["w"].dtype == "int8"
    convolution = 4 * 3 * 2 * 2
    assert count(graph).total.macs == convolution * 2 * 2 + convolution * 3 * 3 + 48 * 5
    assert count(graph).total.parameters == convolution + 4 + 48 * 5


def test_functions_are_their_bodies() -> None:
    graph, weights = from_onnx(fuzz.functions())
    x = {"x": np.arange(6, dtype=F).reshape(2, 3)}
    assert labels(graph) == ["mul", "gelu"]
    assert graph.outputs == ("y",)
    assert execute(graph, weights, x)["y"].ravel() == pytest.approx([v * (1 + erf(2 * v / 2**0.5)) for v in range(6)])


def recurrence(operator: str, gates: int, steps: int, **attributes: Any) -> onnx.ModelProto:
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    generator = np.random.default_rng(0)
    sizes = {"w": (directions, gates * 3, 4), "r": (directions, gates * 3, 3), "b": (directions, 2 * gates * 3)}
    weights = {name: generator.standard_normal(size).astype(F) for name, size in sizes.items()}
    outputs = "y h c" if operator == "LSTM" else "y h"
    nodes = [node(operator, "x w r b", outputs, hidden_size=3, **attributes)]
    return model(nodes, [value("x", [steps, 2, 4])], outputs, **weights)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrence(operator: str, gates: int, direction: str) -> None:
    """Values are ONNX Runtime's; products are torch's: for each step gates * hidden * (input + hidden)."""
    directions = 2 if direction == "bidirectional" else 1
    short, long = (recurrence(operator, gates, steps, direction=direction) for steps in (5, 500))
    graph = agrees(short)
    each = 2 * directions * gates * 3 * (4 + 3)
    assert count(graph).total.macs == 5 * each
    whole = count(from_onnx(long)[0]).total
    assert whole.macs == 500 * each
    assert whole.parameters == count(graph).total.parameters == directions * gates * 3 * (4 + 3 + 2)
    for kind in ("multiplications", "additions", "other_operations"):
        few, many = (count(from_onnx(recurrence(operator, gates, n, direction=direction))[0]).total for n in (64, 65))
        one = getattr(count(from_onnx(recurrence(operator, gates, 63, direction=direction))[0]).total, kind)
        if kind == "other_operations":
            assert {k: n - one[k] for k, n in few.other_operations.items()} == {
                k: n - few.other_operations[k] for k, n in many.other_operations.items()
            }
        else:
            assert getattr(few, kind) - one == getattr(many, kind) - getattr(few, kind)


@pytest.mark.parametrize("reset", [0, 1])
def test_gru_resets(reset: int) -> None:
    agrees(recurrence("GRU", 3, 4, linear_before_reset=reset, clip=0.7))


def subgraph(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: str, **weights: Any) -> onnx.GraphProto:
    made: onnx.GraphProto = model(nodes, inputs, outputs, **weights).graph
    return made


def branches(condition: Any) -> onnx.ModelProto:
    """x @ w where the condition holds, else its ReLU."""
    more = subgraph([node("MatMul", "x w", "a")], [], "a", w=np.ones((4, 4), F))
    less = subgraph([node("Relu", "x", "b")], [], "b")
    nodes = [node("If", "c", "y", then_branch=more, else_branch=less)]
    if condition is None:
        nodes = [node("ReduceMax", "x", "m", keepdims=0), node("Greater", "m zero", "c"), *nodes]
        return model(nodes, [value("x", [2, 4])], "y", zero=F(0))
    return model(nodes, [value("x", [2, 4])], "y", c=np.array(condition))


def test_a_known_condition_takes_its_branch() -> None:
    assert labels(agrees(branches(True))) == ["linear"]
    assert labels(agrees(branches(False))) == ["relu"]


def test_an_unknown_condition_counts_the_larger_branch() -> None:
    graph, _ = from_onnx(branches(None))
    total = count(graph).total
    assert labels(graph)[-2:] == ["linear", "If"]
    assert (total.macs, total.other_operations["unknown"]) == (2 * 4 * 4, 1)
    assert graph.outputs == ("y",)


def loop(trips: Any, condition: Any, until: str = "go") -> onnx.ModelProto:
    """t = tanh(t @ w) and all of its values; `until` says when to go on: `go` always, `below` up to the third round."""
    nodes = [
        node("Identity", "c", "go"),
        node("Less", "i three", "below"),
        node("MatMul", "s w", "p"),
        node("Tanh", "p", "t"),
        node("Relu", "t", "u"),
    ]
    inner = [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("s", [2, 4])]
    body = subgraph(nodes, inner, f"{until} t u", w=np.full((4, 4), 0.1, F), three=np.int64(2))
    body.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    given = {"m": trips, "k": condition}
    inputs = " ".join(name if found is not None else "_" for name, found in given.items())
    constants = {name: np.asarray(found) for name, found in given.items() if found is not None}
    return model([node("Loop", f"{inputs} x", "last rows", body=body)], [value("x", [2, 4])], "last rows", **constants)


def test_a_loop_of_known_length_is_written_out() -> None:
    graph = agrees(loop(np.int64(5), np.array(True)))
    assert count(graph).total.macs == 5 * 2 * 4 * 4
    assert graph.tensors["rows"].shape == (5, 2, 4)
    assert count(graph).total.parameters == 4 * 4
    assert agrees(loop(None, np.array(True), "below")).tensors["rows"].shape == (3, 2, 4)


def test_a_loop_of_unknown_length_is_counted_once() -> None:
    made = loop(None, np.array(True))
    made.graph.node[0].input[0] = "n"
    made.graph.input.append(value("n", [], TensorProto.INT64))
    graph, _ = from_onnx(made)
    assert count(graph).total.macs == 2 * 4 * 4
    assert count(graph).total.other_operations["unknown"] == 1
    assert [n.label for n in graph.nodes if n.operation == "unknown"] == ["Loop", "Loop"]


def test_open_sizes_have_names() -> None:
    ids = value("ids", ["batch", "sequence"], TensorProto.INT64)
    cache = value("past", ["batch", 2, "past_sequence", 4])
    mask = value("mask", ["batch", "past_sequence + sequence"])
    nodes = [
        node("Cast", "ids", "f", to=1),
        node("Reshape", "f shape", "new"),
        node("Concat", "past new", "all", axis=2),
        node("Identity", "mask", "m"),
    ]
    made = model(nodes, [ids, cache, mask], "all m", shape=np.array([0, 2, -1, 4]))
    assert symbols(made) == {
        "ids": ("batch", "sequence"),
        "past": ("batch", 2, "past_sequence", 4),
        "mask": ("batch", "past_sequence + sequence"),
    }
    assert input_shapes(made) == {"ids": (0, 0), "past": (0, 2, 0, 4), "mask": (0, 0)}
    graph, _ = from_onnx(made, shapes={"ids": (3, 16)})
    assert {t.name: t.shape for t in graph.inputs} == {"ids": (3, 16), "mask": (3, 16)}
    graph, _ = from_onnx(made, shapes={"ids": (3, 16), "past": (3, 2, 5, 4)})
    assert {t.name: t.shape for t in graph.inputs} == {"ids": (3, 16), "past": (3, 2, 5, 4), "mask": (3, 21)}
    assert graph.tensors["all"].shape == (3, 2, 7, 4)
    with pytest.raises(NetworkError) as raised:
        from_onnx(made)
    assert str(raised.value) == (
        "the ONNX model: input ids must have sizes for all its axes, but the file leaves some open: [batch, sequence]; "
        "give the shape, as in --input ids=1,128"
    )


def test_what_nobody_knows_is_listed_and_can_be_stated() -> None:
    foreign = helper.make_node("Gadget", ["r"], ["y"], domain="my.domain", size=3)
    made = model([node("Relu", "x", "r"), foreign], [value("x", [2, 4])], "y")
    made.opset_import.add(domain="my.domain", version=1)
    made.graph.output[0].CopyFrom(value("y", [2, 3]))
    graph, _ = from_onnx(made)
    assert (labels(graph), graph.tensors["y"].shape) == (["relu", "my.domain::Gadget"], (2, 3))
    assert count(graph).total.other_operations == {"comparison": 8, "unknown": 1}

    @onnx_operator("my.domain::Gadget")
    def gadget(site: Site) -> None:
        site.emit("slice", site.reference(0), axis=1, size=site.integer("size", 1))

    try:
        assert labels(from_onnx(made)[0]) == ["relu", "slice"]
    finally:
        del REGISTERED["my.domain::Gadget"]


def test_users_state_operators_before_tilework_does() -> None:
    onnx_operator("LSTM")(lambda site: site.same(site.reference(0)))
    try:
        graph, _ = from_onnx(
            model([node("LSTM", "x w r", "y", hidden_size=1)], [value("x", [2, 4])], "y", w=F(0), r=F(0))
        )
        assert labels(graph) == ["dropout"]
    finally:
        del REGISTERED["LSTM"]


letters = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map("".join)


@settings(deadline=None, max_examples=60)
@given(terms=st.lists(letters, min_size=1, max_size=3), data=st.data())
def test_einsum(terms: list[str], data: Any) -> None:
    found = sorted(set("".join(terms)))
    result = "".join(data.draw(st.lists(st.sampled_from(found), unique=True)))
    equation = f"{','.join(terms)}->{result}"
    sizes = {"a": 2, "b": 3, "c": 1, "d": 4}
    arrays = [np.random.default_rng(i).standard_normal([sizes[n] for n in t]).astype(F) for i, t in enumerate(terms)]
    inputs = [value(f"x{i}", array.shape) for i, array in enumerate(arrays)]
    made = model([node("Einsum", " ".join(info.name for info in inputs), "y", equation=equation)], inputs, "y")
    graph, weights = from_onnx(made)
    ours = execute(graph, weights, {f"x{i}": array for i, array in enumerate(arrays)})["y"]
    assert ours == pytest.approx(np.einsum(equation, *arrays), rel=1e-4, abs=1e-4)


def test_numbers_between_the_nodes_are_literals_unless_all_stand_there() -> None:
    """Exporters put masks and tables there; some old ones put all weights there."""
    nodes = [
        node("Constant", "_", "k", value=numpy_helper.from_array(np.ones((4, 4), F))),
        node("MatMul", "x k", "a"),
        node("MatMul", "a w", "y"),
    ]
    both = from_onnx(model(nodes, [value("x", [2, 4])], "y", w=np.ones((4, 4), F)))[0]
    alone = from_onnx(model(nodes[:2], [value("x", [2, 4])], "a"))[0]
    assert (count(both).total.parameters, count(both).total.buffers) == (16, 16)
    assert (count(alone).total.parameters, count(alone).total.buffers) == (16, 0)


@pytest.mark.parametrize(
    ("kind", "dtype", "size"),
    [
        (TensorProto.FLOAT16, "float16", 2),
        (TensorProto.BFLOAT16, "bfloat16", 2),
        (TensorProto.DOUBLE, "float64", 8),
        (TensorProto.FLOAT8E4M3FN, "float8_e4m3fn", 1),
    ],
)
def test_weights_keep_their_dtypes(kind: int, dtype: str, size: int) -> None:
    made = model([node("MatMul", "x w", "y")], [value("x", [2, 4], kind)], "y")
    made.graph.initializer.append(helper.make_tensor("w", kind, [4, 5], np.arange(20.0) / 4))
    graph, weights = from_onnx(made)
    assert [graph.tensors[name].dtype for name in ("x", "w", "y")] == [dtype] * 3
    assert count(graph).total.parameter_bytes == 20 * size
    assert weights["w"].astype(float)[3, 3] == 18 / 4


def test_a_large_file_stays_unread(tmp_path: Path) -> None:
    """256 MB of numbers, which the file system need not even hold, are neither read nor copied."""
    rows, path = 1 << 13, tmp_path / "large.onnx"
    size = 4 * rows * rows
    made = model([node("MatMul", "x w", "y")], [value("x", [1, rows])], "y").SerializeToString()

    def varint(number: int) -> bytes:
        return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])

    head = TensorProto(name="w", dims=[rows, rows], data_type=1).SerializeToString() + b"\x4a" + varint(size)
    tensor = b"\x2a" + varint(len(head) + size) + head
    graph = onnx.ModelProto.FromString(made).graph.SerializeToString()
    rest = onnx.ModelProto.FromString(made)
    rest.ClearField("graph")
    begin = rest.SerializeToString() + b"\x3a" + varint(len(graph) + len(tensor) + size) + graph + tensor
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(len(begin) + size)
    tracemalloc.start()
    try:
        found, weights = from_onnx(path)
        assert count(found).total.parameters == rows * rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20
    with path.open("r+b") as file:
        file.seek(len(begin))
        file.write(np.arange(4, dtype=F).tobytes())
    assert weights["w"][:4, 0].tolist() == [0, 1, 2, 3]
    with path.open("r+b") as file:
        file.truncate(len(begin) + size - 1)
    with pytest.raises(NetworkError, match=r"large.onnx must be an ONNX model; it is cut short, damaged"):
        from_onnx(path)


def test_signatures_are_onnxs() -> None:
    """Of each operator, over all operator sets from 7 on."""
    schemas: dict[str, list[Any]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            schemas.setdefault(schema.name, []).append(schema)
    assert schemas.keys() <= SIGNATURES.keys()
    for name, found in schemas.items():
        oldest = max((schema.since_version for schema in found if schema.since_version <= 7), default=0)
        current = [schema for schema in found if schema.since_version >= oldest]
        fewest, most, attributes = SIGNATURES[name]
        assert fewest <= min(schema.min_input for schema in current), name
        assert min(MANY, most) >= min(MANY, *(schema.max_input for schema in current)), name
        assert attributes >= set().union(*(schema.attributes for schema in current)), name
