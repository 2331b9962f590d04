"""Damaged ONNX files: each must be read or refused with a sentence, quickly and in little memory.

    python benchmarks/fuzz_onnx.py [--cases 10000] [--first 0]

The originals are the light models of the package onnx, its single-operator tests, and models made here: attention, a
recurrent layer, the end of a detector, control flow, functions, quantised layers, weights in another file. Each case,
which its number determines, changes some bytes or some fields of one of them. Exit code 1 where a case ends otherwise.
"""

from __future__ import annotations

import random
import sys
import traceback
import warnings
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tilework.cost.count import count
from tilework.errors import NetworkError, TileworkError
from tilework.frontend.from_onnx import from_onnx, symbols

SECONDS = 20.0  # for one case, on a machine that does other things too
MEMORY = 3 << 30  # bytes of address space; a request for more fails, and so does the case
EXTREMES = (0, 1, -1, 2, 3, 7, 8, 9, 64, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**63 - 1, -(2**63))
F = np.float32


def constant(value: Any, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    names = [name if name != "_" else "" for name in inputs.split()]
    return helper.make_node(operator, names, outputs.split(), **attributes)


def model(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: str, **weights: Any) -> onnx.ModelProto:
    constants = [constant(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "fuzz", inputs, [value(name, None) for name in outputs.split()], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def attention() -> onnx.ModelProto:
    nodes = [
        node("Shape", "ids", "s"),
        node("Gather", "s zero", "b"),
        node("Gather", "s one", "t"),
        node("Gather", "table ids", "e"),
        node("LayerNormalization", "e g g", "n", axis=-1),
        node("MatMul", "n qkv", "m"),
        node("Split", "m", "q k v", axis=2),
        node("Unsqueeze", "b zeros", "bu"),
        node("Unsqueeze", "t zeros", "tu"),
        node("Concat", "bu tu heads", "shape", axis=0),
        *(node("Reshape", f"{x} shape", f"{x}r") for x in "qkv"),
        *(node("Transpose", f"{x}r", f"{x}t", perm=[0, 2, 1, 3]) for x in "qv"),
        node("Transpose", "kr", "kt", perm=[0, 2, 3, 1]),
        node("MatMul", "qt kt", "scores"),
        node("Div", "scores root", "scaled"),
        node("Range", "zero t one", "r"),
        node("Unsqueeze", "r ones", "column"),
        node("Less", "column r", "later"),
        node("Where", "later low scaled", "masked"),
        node("Softmax", "masked", "p", axis=-1),
        node("MatMul", "p vt", "o"),
        node("Einsum", "o heads_out", "y", equation="bhtd,hde->bte"),
    ]
    ids = value("ids", ["batch", 5], TensorProto.INT64)
    weights = {"table": np.ones((9, 8), F), "g": np.ones(8, F), "qkv": np.ones((8, 24), F)}
    numbers = {"zero": np.int64(0), "one": np.int64(1), "zeros": np.array([0]), "ones": np.array([1])}
    numbers |= {"heads": np.array([2, 4]), "root": F(2), "low": F(-1e9), "heads_out": np.ones((2, 4, 8), F)}
    return model(nodes, [ids], "y", **weights, **numbers)


def recurrent() -> onnx.ModelProto:
    nodes = [
        node("LSTM", "x w r b", "y h c", hidden_size=3, direction="bidirectional"),
        node("Transpose", "y", "yt", perm=[0, 2, 1, 3]),
        node("Reshape", "yt shape", "flat"),
        node("GRU", "flat gw gr", "z", hidden_size=2, linear_before_reset=1),
    ]
    w, r, b = np.ones((2, 12, 4), F), np.ones((2, 12, 3), F), np.ones((2, 24), F)
    gru = {"gw": np.ones((1, 6, 6), F), "gr": np.ones((1, 6, 2), F), "shape": np.array([0, 0, -1])}
    return model(nodes, [value("x", [5, 2, 4])], "z h c", w=w, r=r, b=b, **gru)


def detector() -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", "f", pads=[1, 1, 1, 1]),
        node("Resize", "f _ scales", "up", mode="nearest"),
        node("NonMaxSuppression", "boxes scores most", "kept"),
        node("Gather", "kept two", "places", axis=1),
        node("Gather", "boxes places", "found", axis=1),
        node("Squeeze", "found zeros", "rois"),
        node("Shape", "rois", "rs"),
        node("Slice", "rs zeros ones", "n"),
        node("ConstantOfShape", "n", "batch", value=constant(np.array([0]), "")),
        node("RoiAlign", "up rois batch", "pooled", output_height=2, output_width=2),
        node("NonZero", "scores", "nz"),
        node("TopK", "scores ones", "top at"),
        node("ScatterND", "scores index update", "scattered"),
        node("GlobalAveragePool", "pooled", "y"),
    ]
    inputs = [value("x", ["n", 3, 8, 8]), value("boxes", [1, 6, 4]), value("scores", [1, 2, 6])]
    numbers = {"w": np.ones((4, 3, 3, 3), F), "scales": F([1, 1, 2, 2]), "most": np.int64(3), "two": np.int64(2)}
    numbers |= {"zeros": np.array([0]), "ones": np.array([1])}
    numbers |= {"index": np.zeros((1, 3), np.int64), "update": np.ones(1, F)}
    return model(nodes, inputs, "y nz top at scattered", **numbers)


def control() -> onnx.ModelProto:
    def graph(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: str, **weights: Any) -> onnx.GraphProto:
        return model(nodes, inputs, outputs, **weights).graph

    more = graph([node("Relu", "x", "a")], [], "a")
    less = graph([node("MatMul", "x w2", "a")], [], "a", w2=np.ones((4, 4), F))
    inner = [value("i", []), value("c", [], TensorProto.BOOL), value("s", [2, 4])]
    body = graph([node("Identity", "c", "go"), node("Add", "s x", "t"), node("Sigmoid", "t", "u")], inner, "go t u")
    step = graph([node("Add", "h e", "k"), node("Tanh", "k", "o")], [value("h", [4]), value("e", [4])], "k o")
    nodes = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Greater", "m zero", "big"),
        node("If", "big", "branch", then_branch=more, else_branch=less),
        node("Loop", "three yes x", "last rows", body=body),
        node("Scan", "start x", "end outs", body=step, num_scan_inputs=1),
        node("SequenceConstruct", "x last", "list"),
        node("ConcatFromSequence", "list", "y", axis=0),
    ]
    numbers = {"zero": F(0), "three": np.int64(3), "yes": np.array(True), "start": np.ones(4, F)}
    return model(nodes, [value("x", [2, 4])], "branch rows outs end y", **numbers)


def functions() -> onnx.ModelProto:
    made = model([helper.make_node("twice", ["x"], ["y"], domain="own", factor=2.0)], [value("x", [2, 3])], "y")
    body = [node("Constant", "", "c"), node("Mul", "a c", "b"), helper.make_node("once", ["b"], ["d"], domain="own")]
    body[0].attribute.add(name="value_float", ref_attr_name="factor", type=onnx.AttributeProto.FLOAT)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made.functions.append(helper.make_function("own", "twice", ["a"], ["d"], body, opsets, ["factor"]))
    made.functions.append(helper.make_function("own", "once", ["a"], ["b"], [node("Gelu", "a", "b")], opsets))
    made.opset_import.add(domain="own", version=1)
    return made


def quantised() -> onnx.ModelProto:
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "d"),
        node("DequantizeLinear", "w scales zeros", "wd", axis=0),
        node("Conv", "d wd b", "c", strides=[2, 2]),
        node("QLinearConv", "q scale zero w scales zeros scale zero", "r"),
        node("Flatten", "c", "f"),
        node("MatMulInteger", "qf wm", "y"),
        node("Flatten", "q", "qf"),
    ]
    nodes[-1], nodes[-2] = nodes[-2], nodes[-1]
    weights = {"w": np.ones((4, 3, 2, 2), np.int8), "scales": np.ones(4, F), "zeros": np.zeros(4, np.int8)}
    numbers = {"scale": F(0.1), "zero": np.uint8(3), "b": np.ones(4, F), "wm": np.ones((48, 5), np.int8)}
    return model(nodes, [value("x", [1, 3, 4, 4])], "f y r", **weights, **numbers)


def external() -> onnx.ModelProto:
    made = model([node("Gemm", "x w", "y")], [value("x", [1, 4])], "y", w=np.ones((4, 4), F))
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in {"location": "w.bin", "offset": "0", "length": "64"}.items():
        tensor.external_data.add(key=key, value=text)
    return made


def originals() -> list[bytes]:
    """The models to damage, small ones more than once."""
    light = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
    made = (attention, recurrent, detector, control, functions, quantised, external)
    own = [make().SerializeToString() for make in made]
    return [*(path.read_bytes() for path in light), *own * 4, *operator_tests()]


def operator_tests() -> Iterator[bytes]:
    """Every seventh of the models by which the package onnx tests its operators."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    yield from (case.model.SerializeToString() for case in cases[::7])


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The file with one to three changes, of bytes or of fields."""
    if chance.random() < 0.4:
        return damaged_bytes(bytearray(data), chance)
    changed = onnx.ModelProto.FromString(data)
    for _ in range(chance.randint(1, 3)):
        chance.choice(CHANGES)(changed, chance)
    return bytes(changed.SerializeToString())


def damaged_bytes(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 3)):
        place, size = chance.randrange(len(data)), chance.randint(1, 1 + len(data) // 8)
        kind = chance.random()
        if kind < 0.7:
            data[place] = chance.choice([data[place] ^ 1 << chance.randrange(8), 0, 1, 127, 128, 255])
        elif kind < 0.8:
            del data[place : place + size]
        elif kind < 0.9:
            data[place:place] = data[place : place + size]
        else:
            del data[place:]
        if not data:
            break
    return bytes(data)


def some_graph(model: onnx.ModelProto, chance: random.Random) -> Any:
    """The graph, one of its subgraphs, or a function."""
    inner = [attribute.g for node in model.graph.node for attribute in node.attribute if attribute.HasField("g")]
    return chance.choice([model.graph, model.graph, *inner, *model.functions])


def some_node(model: onnx.ModelProto, chance: random.Random) -> Any:
    nodes = some_graph(model, chance).node
    return chance.choice(nodes) if nodes else onnx.NodeProto()


def names(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    found = [info.name for info in (*graph.input, *graph.initializer)]
    return [*found, *(name for node in graph.node for name in node.output), "", "nowhere"]


def rewire(model: onnx.ModelProto, chance: random.Random) -> None:
    """A node reads or makes something else."""
    changed = some_node(model, chance)
    ends = changed.input if chance.random() < 0.8 else changed.output
    kind = chance.random()
    if not ends or kind < 0.2:
        ends.append(chance.choice(names(model)))
    elif kind < 0.3:
        del ends[chance.randrange(len(ends))]
    else:
        ends[chance.randrange(len(ends))] = chance.choice(names(model))


OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas()})


def rename_operator(model: onnx.ModelProto, chance: random.Random) -> None:
    changed = some_node(model, chance)
    changed.op_type = chance.choice([*OPERATORS, "", "Nonsense"])
    if chance.random() < 0.2:
        changed.domain = chance.choice(["", "ai.onnx", "com.microsoft", "own", "ai.onnx.ml"])


def alter_attribute(model: onnx.ModelProto, chance: random.Random) -> None:
    changed = some_node(model, chance)
    if not changed.attribute or chance.random() < 0.2:
        names = ("axis", "axes", "perm", "group", "pads", "strides", "kernel_shape", "to", "shape", "value", "mode")
        changed.attribute.append(helper.make_attribute(chance.choice(names), chance.choice(VALUES)(chance)))
        return
    attribute = chance.choice(changed.attribute)
    kind = chance.random()
    if kind < 0.5 and attribute.ints:
        attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(EXTREMES)
    elif kind < 0.7 and attribute.type == onnx.AttributeProto.INT:
        attribute.i = chance.choice(EXTREMES)
    elif kind < 0.8:
        changed.attribute.remove(attribute)
    else:
        name = attribute.name
        attribute.CopyFrom(helper.make_attribute(name, chance.choice(VALUES)(chance)))


VALUES: list[Any] = [
    lambda chance: chance.choice(EXTREMES),
    lambda chance: [chance.choice(EXTREMES) for _ in range(chance.randint(1, 5))],
    lambda chance: chance.choice([0.0, 1.0, -1.0, float("nan"), float("inf"), 1e30]),
    lambda chance: [chance.choice([0.5, float("nan"), -3.0])],
    lambda chance: chance.choice(["", "reflect", "linear", "SAME_UPPER", "ij,jk->ik", "...i->...", "add"]),
    lambda chance: constant(np.array([chance.choice(EXTREMES)]), "t"),
    lambda chance: constant(F([chance.random()]), "t"),
]


def alter_tensor(model: onnx.ModelProto, chance: random.Random) -> None:
    """A weight has other sizes, another dtype or other numbers."""
    tensors = [*model.graph.initializer, *(a.t for n in model.graph.node for a in n.attribute if a.HasField("t"))]
    if not tensors:
        return
    tensor = chance.choice(tensors)
    kind = chance.random()
    if kind < 0.3 and tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice(EXTREMES)
    elif kind < 0.4:
        tensor.data_type = chance.randint(0, 27)
    elif kind < 0.8 and tensor.data_type == TensorProto.INT64:
        size = max(1, len(tensor.raw_data) // 8)
        numbers = np.array([chance.choice(EXTREMES) for _ in range(size)])
        tensor.raw_data = numbers.tobytes()
    elif kind < 0.9:
        for entry in tensor.external_data:
            entry.value = chance.choice(["../w.bin", "w.bin", "", "-1", "99999999999999999999", "a\0b"])
    else:
        tensor.name = chance.choice(names(model))


def alter_shape(model: onnx.ModelProto, chance: random.Random) -> None:
    """An input, an output or a value in between is declared otherwise."""
    infos = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not infos:
        return
    tensor = chance.choice(infos).type.tensor_type
    kind = chance.random()
    if kind < 0.2:
        tensor.elem_type = chance.randint(0, 27)
    elif kind < 0.3:
        tensor.ClearField("shape")
    elif kind < 0.4 or not tensor.shape.dim:
        tensor.shape.dim.add().dim_value = chance.choice(EXTREMES)
    else:
        chance.choice(tensor.shape.dim).dim_value = chance.choice(EXTREMES)


def alter_nodes(model: onnx.ModelProto, chance: random.Random) -> None:
    """A node is gone, stands twice, or stands elsewhere."""
    nodes = some_graph(model, chance).node
    if not nodes:
        return
    place = chance.randrange(len(nodes))
    copy = onnx.NodeProto.FromString(nodes[place].SerializeToString())
    kind = chance.random()
    if kind < 0.7:
        del nodes[place]
    if kind > 0.4:
        nodes.insert(chance.randint(0, len(nodes)), copy)


def alter_model(model: onnx.ModelProto, chance: random.Random) -> None:
    """Another operator set, other outputs, initialisers gone, a subgraph within itself."""
    kind = chance.random()
    graph = model.graph
    if kind < 0.3 and model.opset_import:
        chance.choice(model.opset_import).version = chance.choice([*range(5, 30), 10**6, 2**40, -1])
    elif kind < 0.5 and graph.initializer:
        del graph.initializer[chance.randrange(len(graph.initializer))]
    elif kind < 0.7:
        graph.output.add().name = chance.choice(names(model))
    elif kind < 0.9 and graph.output:
        del graph.output[chance.randrange(len(graph.output))]
    elif graph.node and model.ByteSize() < 1 << 16:
        copy = onnx.GraphProto.FromString(graph.SerializeToString())
        chance.choice(graph.node).attribute.append(helper.make_attribute("body", copy))


CHANGES = (rewire, rename_operator, alter_attribute, alter_tensor, alter_shape, alter_nodes, alter_model)


def outcome(path: Path) -> str:
    """How a file fares: read and counted, or refused; raises anything else that happens."""
    begun = perf_counter()
    try:
        symbols(path)
        graph, weights = from_onnx(path)
        str(count(graph).total)
        small = [tensor.name for tensor in graph.weights if tensor.elements < 1 << 16]
        for name in small[:20]:
            assert weights[name].size >= 0
        found = "read"
    except NetworkError:
        found = "refused"
    except TileworkError:
        found = "weights refused"
    assert perf_counter() - begun < SECONDS, f"it took {perf_counter() - begun:.0f} s"
    return found


def fuzz(first: int, cases: int, folder: Path) -> tuple[Counter[str], list[int]]:
    """The outcomes of so many cases, and the numbers of those that ended otherwise."""
    sources, path = originals(), folder / "case.onnx"
    (folder / "w.bin").write_bytes(bytes(64))
    tally: Counter[str] = Counter()
    failed = []
    for number in range(first, first + cases):
        chance = random.Random(number)
        path.write_bytes(damaged(chance.choice(sources), chance))
        try:
            tally[outcome(path)] += 1
        except Exception:
            print(f"case {number}:", file=sys.stderr)
            traceback.print_exc()
            failed.append(number)
    return tally, failed


def main() -> None:
    parser = ArgumentParser(description="Damaged ONNX files must be read or refused with a sentence.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    limit_memory()
    begun = perf_counter()
    with TemporaryDirectory() as folder:
        tally, failed = fuzz(options.first, options.cases, Path(folder))
    told = ", ".join(f"{number:,} {what}" for what, number in tally.most_common())
    print(f"{options.cases:,} cases in {perf_counter() - begun:.0f} s: {told}; {len(failed)} otherwise {failed[:20]}")
    sys.exit(bool(failed))


def limit_memory() -> None:
    """Let a request for too much memory fail, where the system can do that."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    main()
