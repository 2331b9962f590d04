"""Files for other tools, read as these read them: ONNX's checker and runtime, TensorBoard, the trace format."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tilework as tw
from tilework.cli import cli
from tilework.cost.boxes import boxes
from tilework.simulator.timeline import chrome_trace, events
from tilework.tensorboard import Box, first_event, graph_event
from tilework.train.data.tfrecord import framed, records

HOSTILE = '</script>"\\ é'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def test_an_onnx_file_has_its_costs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "lenet5.onnx"
    assert run("count", "lenet5", "-o", str(path)).exit_code == 0
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    whole = {entry.key: entry.value for entry in model.metadata_props}
    assert whole["tilework.macs"] == "416520"
    assert whole["tilework.parameters"] == "61706"
    nodes = {node.name: {entry.key: entry.value for entry in node.metadata_props} for node in model.graph.node}
    assert nodes["conv1"]["tilework.macs"] == str(28 * 28 * 6 * 25)
    assert nodes["fc3"]["tilework.parameters"] == "850"
    assert "tilework.macs" not in nodes["relu1"]
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["image"]
    assert tw.count(str(path)).total.macs == 416520


def test_tensorboard_reads_the_graph_and_the_curves(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert run("count", "lenet5", "-o", str(tmp_path / "lenet5.tfevents")).exit_code == 0
    found = reader.EventAccumulator(str(tmp_path / "lenet5.tfevents"))
    found.Reload()
    graph = {node.name: node for node in found.Graph().node}
    assert list(graph)[:3] == ["image", "conv1", "relu1"]
    assert graph["conv1"].op == "conv2d"
    assert graph["conv1"].attr["macs"].i == 28 * 28 * 6 * 25
    assert [dim.size for dim in graph["conv1"].attr["_output_shapes"].list.shape[0].dim] == [1, 6, 28, 28]
    assert list(graph["relu1"].input) == ["conv1"]
    macs = [(event.step, event.value) for event in found.Scalars("cost/macs")]
    assert macs[0] == (0, 28 * 28 * 6 * 25)
    assert sum(value for _, value in macs) == 416520


def test_names_that_tensorboard_has_not_are_changed_and_stay_apart(tmp_path: Path) -> None:
    proto = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    graph_proto = pytest.importorskip("tensorboard.compat.proto.graph_pb2")
    made = [Box(HOSTILE, HOSTILE, (), ()), Box("a.b", "relu", (HOSTILE,), (2, 3)), Box("a/b", "relu", ("a.b",), ())]
    event = proto.Event.FromString(graph_event(made))
    nodes = graph_proto.GraphDef.FromString(event.graph_def).node
    assert [node.name for node in nodes] == ["_/script_____", "a/b", "a/b_2"]
    assert [list(node.input) for node in nodes] == [[], ["_/script_____"], ["a/b"]]
    assert proto.Event.FromString(first_event()).file_version == "brain.Event:2"
    path = tmp_path / "a.tfevents"
    path.write_bytes(framed(first_event()))
    assert len(list(records(path))) == 1


def test_a_training_has_its_graph(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tw.fit("adder", epochs=1, to=tmp_path)
    found = reader.EventAccumulator(str(tmp_path))
    found.Reload()
    assert {node.name for node in found.Graph().node} >= {"fc1", "fc2"}
    assert "loss/training" in found.Tags()["scalars"]


def test_boxes_are_the_graphs_nodes_with_its_counts() -> None:
    graph = tw.load("lenet5")
    found = boxes(graph)
    assert [box.name for box in found] == ["image", *(node.name for node in graph.nodes)]
    assert sum(box.costs.get("macs", 0) for box in found) == tw.count("lenet5").total.macs


@pytest.mark.parametrize("ending", [".onnx", ".tfevents"])
def test_a_backward_pass_is_no_network_for_other_tools(ending: str, tmp_path: Path) -> None:
    result = run("count", "mlp", "--backward", "-o", str(tmp_path / f"a{ending}"))
    assert (result.exit_code, result.stderr) == (
        2,
        "tilework: an .onnx or .tfevents file must be of one network forwards; leave out --backward\n",
    )


def test_a_comparison_has_no_such_file(tmp_path: Path) -> None:
    result = run("count", "mlp", "--against", "lenet5", "-o", str(tmp_path / "a.onnx"))
    assert result.exit_code == 2
    assert "the file's name must end in" in result.stderr


def test_a_trace_is_in_the_trace_event_format() -> None:
    """Complete events have a time, a duration, a process and a thread with a name; a thread's don't overlap."""
    program = tw.compile("lenet5", "dlp-s", seed=0).program
    program = replace(program, layers=tuple(replace(layer, name=HOSTILE) for layer in program.layers))
    document = json.loads(chrome_trace(events(program), 1e9))
    assert document["displayTimeUnit"] in ("ms", "ns")
    named = {(one["pid"], one["tid"]) for one in document["traceEvents"] if one["name"] == "thread_name"}
    slices = [one for one in document["traceEvents"] if one["ph"] == "X"]
    assert slices
    assert {one["ph"] for one in document["traceEvents"]} == {"M", "X"}
    for one in slices:
        assert one["ts"] >= 0
        assert one["dur"] >= 0
        assert (one["pid"], one["tid"]) in named
        assert one["args"]["layer"] in (HOSTILE, "")
    for thread in named:
        own = sorted((one["ts"], one["ts"] + one["dur"]) for one in slices if (one["pid"], one["tid"]) == thread)
        assert all(before[1] <= after[0] + 1e-12 for before, after in pairwise(own))
