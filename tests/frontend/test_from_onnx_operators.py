"""The models by which the package onnx tests each operator, with the shapes and values that it recorded for them."""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tilework.errors import NetworkError
from tilework.frontend.from_onnx import from_onnx
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.host_values import has_value
from tilework.network.weights import Array, Weights

Numbers = dict[str, Array]

# What must not be read, by what stands in the names of the tests, and the reason.
REFUSED = {
    "string": "texts",
    "regex": "texts",
    "strnormalizer": "texts",
    "label_encoder": "texts",
    "sequence_map": "an input that is a list of tensors",
    "sequence_insert": "an input that is a list of tensors",
    "loop13_seq": "an input that is a list of tensors",
    "loop16_seq_none": "an input that is a list of tensors",
    "identity_sequence": "an input that is a list of tensors",
    "identity_opt": "an input that may be missing",
    "optional_": "an input that may be missing",
    "empty_set": "an input without elements",
    "_zero_": "an input or an output without elements",
    "tril_zero": "an input without elements",
    "triu_zero": "an input without elements",
    "allowzero_reordered": "an input without elements",
    "shape_zero": "an output without elements",
    "start_greater_than_end": "an output without elements",
    "start_out_of_bounds": "an output without elements",
    "not_": "operator set 1",
}
# Operators that stay unknown, or do in some of their forms.
UNKNOWN = {
    "ai.onnx.ml::ArrayFeatureExtractor": "not a layer",
    "ai.onnx.ml::Binarizer": "not a layer",
    "ai.onnx.ml::TreeEnsemble": "not a layer",
    "ai.onnx.preview.training::Adagrad": "training",
    "ai.onnx.preview.training::Adam": "training",
    "ai.onnx.preview.training::Momentum": "training",
    "AveragePool": "dilated windows, or padding wider than half of them that isn't counted",
    "BatchNormalization": "in training",
    "BitCast": "reads numbers as others",
    "Col2Im": "not stated yet",
    "DFT": "not stated yet",
    "Det": "not stated yet",
    "Dropout": "in training",
    "Einsum": "a diagonal",
    "ImageDecoder": "a file, no tensor",
    "LpPool": "dilated windows, or padding wider than half of them",
    "MelWeightMatrix": "not stated yet",
    "Scan": "as it was before operator set 9",
    "STFT": "not stated yet",
    "TfIdfVectorizer": "texts",
    "Pad": "by so much as the network computes",
    "Range": "as long as the network computes",
    "Loop": "as many rounds as the network computes",
}
SMALLER = ("nonmaxsuppression", "unique", "range_", "stft")  # the sizes depend on values: ours are bounds or guesses
WIDE = (
    "INT4",
    "INT2",
    "FNUZ",
    "4E2M1",
    "E8M0",
    "int4",
    "int2",
    "float4",
    "BFLOAT16",
    "bf16",
    "bfloat16",
    "FLOAT8",
    "e4m3",
    "e5m2",
)  # dtypes that NumPy's arrays or we lack
INEXACT = ("mod_float_edge_cases_fmod_0",)  # the remainder of a division by infinity


class Case(NamedTuple):
    """A model, the numbers that go in, and those that must come out."""

    name: str
    model: onnx.ModelProto
    inputs: list[Any]
    outputs: list[Array]
    rtol: float


def array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, list) or value is None else np.asarray(value)


@cache
def cases() -> list[Case]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    made = []
    for case in found:
        inputs, outputs = case.data_sets[0]
        flat = [array(v) for output in outputs for v in (output if isinstance(output, list) else [output])]
        made.append(Case(case.name, case.model, [array(v) for v in inputs], flat, case.rtol))
    return made


def read(case: Case, known: bool) -> tuple[Graph, Weights, Numbers]:
    """The graph, its weights and its inputs; with `known` numbers that may say shapes are constants of the model."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    given = {info.name: v for info, v in zip(model.graph.input, case.inputs, strict=False) if isinstance(v, np.ndarray)}
    for name, v in given.items() if known else ():
        if v.dtype.kind in "iub" or v.size <= 4:
            model.graph.initializer.append(numpy_helper.from_array(v, name))
    graph, weights = from_onnx(model, shapes={name: v.shape for name, v in given.items()})
    return graph, weights, given


def outcome(case: Case) -> str:
    """What happens to a case: its values are right, or its shapes are where no values can be computed, …"""
    try:
        graph, weights, given = read(case, known=False)
        kinds = {node.operation for node in graph.nodes}
        if "unknown" in kinds or not shapes_agree(case, graph):
            graph, weights, given = read(case, known=True)
            kinds = {node.operation for node in graph.nodes}
    except NetworkError:
        try:
            graph, weights, given = read(case, known=True)
        except NetworkError:
            return "refused"
        kinds = {node.operation for node in graph.nodes}
    if "unknown" in kinds:
        found = {node.label for node in graph.nodes if node.operation == "unknown"}
        if not found <= UNKNOWN.keys():
            return f"unknown {min(found - UNKNOWN.keys())}"
        return "unknown" if shapes_agree(case, graph) else "bound"
    if not shapes_agree(case, graph):
        return "bound"
    if not all(has_value(node) for node in graph.nodes if node.operation == "host"):
        return "host"
    if any("bfloat16" in tensor.dtype or "float8" in tensor.dtype for tensor in graph.tensors.values()):
        return "no such NumPy dtype"
    return values(case, graph, weights, given)


def shapes_agree(case: Case, graph: Graph) -> bool:
    wanted = [v.shape for v in case.outputs if v.size]
    return [graph.tensors[name].shape for name in graph.outputs] == wanted


def values(case: Case, graph: Graph, weights: Weights, given: Numbers) -> str:
    inputs = {tensor.name: given[tensor.name] for tensor in graph.inputs}
    if any(str(inputs[tensor.name].dtype) != tensor.dtype for tensor in graph.inputs):
        return "no such NumPy dtype"
    results = execute(graph, weights, inputs)
    wanted = [v for v in case.outputs if v.size]
    for name, v in zip(graph.outputs, wanted, strict=True):
        if str(results[name].dtype) != str(v.dtype):
            return "no such NumPy dtype"
        narrow = str(v.dtype) == "float16"
        tolerance: dict[str, float] = {"rtol": max(case.rtol, 1e-3), "atol": 1e-3 if narrow else 1e-5}
        with np.errstate(all="ignore"):
            if not np.allclose(results[name].astype(float), v.astype(float), equal_nan=True, **tolerance):
                return "wrong"
    return "right"


def names(table: Any, case: Case) -> bool:
    return any(part in case.name for part in table)


EXCEPTIONS = {"refused": REFUSED, "bound": SMALLER, "wrong": INEXACT, "no such NumPy dtype": WIDE}


def test_every_operator() -> None:
    """Each case is read, with the recorded shapes and values, unless the reason stands above."""
    found = {case.name: outcome(case) for case in cases()}
    excused = {case.name for case in cases() if names(EXCEPTIONS.get(found[case.name], ()), case)}
    assert {
        name: what for name, what in found.items() if what not in ("right", "host", "unknown") and name not in excused
    } == {}
    tally = Counter(found.values())
    assert tally["right"] > 0.6 * tally.total()
    assert tally["unknown"] < 0.06 * tally.total()


def test_the_reasons_are_needed() -> None:
    refused = [case for case in cases() if names(REFUSED, case) and outcome(case) == "refused"]
    for part in REFUSED:
        assert any(part in case.name for case in refused), f"{part} must be of use"


@pytest.mark.parametrize("name", ["test_lstm_bidirectional", "test_attention_4d_gqa", "test_scan9_sum", "test_loop11"])
def test_some_are_right(name: str) -> None:
    assert [outcome(case) for case in cases() if case.name == name] in (["right"], [])
