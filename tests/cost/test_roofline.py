"""Least times by hand, against the simulator's own bound, and against what a program in fact takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import tilework as tw
from tilework.cli import cli
from tilework.cost.roofline import roofline
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator, Memory
from tilework.network.graph import Graph, GraphBuilder

ROUND = Accelerator("round", peak={"float16": 1000.0, "float4": 4000.0}, memory=Memory("", 10**6, 100.0))


def linear(batch: int, inputs: int, outputs: int) -> Graph:
    build = GraphBuilder("linear")
    product = build.node(
        "product",
        "linear",
        build.input("x", (batch, inputs)),
        build.weight("w", (outputs, inputs)),
        build.weight("b", (outputs,)),
    )
    return build.graph(build.node("relu", "relu", product))


def test_a_layer_by_hand() -> None:
    found = roofline(linear(3, 10, 20), ROUND)
    product, relu = found.layers
    assert product.operations == 2 * 3 * 10 * 20
    assert product.bytes == 2 * (3 * 10 + 10 * 20 + 20 + 3 * 20)
    assert (product.compute_seconds, product.memory_seconds) == (1.2, 6.2)
    assert (product.seconds, product.bound_by) == (6.2, "memory")
    assert (relu.operations, relu.bytes, relu.seconds, relu.bound_by) == (0, 240, 2.4, "memory")
    assert found.seconds == pytest.approx(8.6)
    assert found.bound_by == "memory"
    assert found.fused.bytes == product.bytes
    assert found.fused.seconds == 6.2
    assert found.weight_bytes == 440
    assert found.fits
    assert not roofline(linear(3, 10, 20), replace(ROUND, memory=Memory("", 439, 100.0))).fits


def test_narrow_dtypes_have_parts_of_bytes_and_a_larger_batch_passes_the_bend() -> None:
    found = roofline(linear(3, 10, 20), ROUND, "float4")
    assert found.layers[0].bytes == 0.5 * (30 + 200 + 20 + 60)
    assert found.layers[0].compute_seconds == 1200 / 4000
    bounds = [roofline(linear(batch, 100, 100), ROUND).layers[0].bound_by for batch in (1, 10, 20, 1000)]
    assert bounds == ["memory", "memory", "compute", "compute"]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 4))
def test_bytes_are_what_a_convolution_touches(size: int, kernel: int, stride: int, padding: int, channels: int) -> None:
    """Element by element: those that some output needs, without padding."""
    if size + 2 * padding < kernel:
        return
    out = (size + 2 * padding - kernel) // stride + 1
    touched = {stride * p + r - padding for p in range(out) for r in range(kernel)} & set(range(size))
    build = GraphBuilder("conv")
    x, w = build.input("x", (1, channels, size, size)), build.weight("w", (2, channels, kernel, kernel))
    graph = build.graph(build.node("conv", "conv2d", x, w, stride=(stride, stride), padding=(padding, padding)))
    (layer,) = roofline(graph, ROUND).layers
    elements = channels * len(touched) ** 2 + 2 * channels * kernel**2 + 2 * out**2
    if touched:
        assert layer.bytes == 2 * elements
    assert layer.operations == 2 * 2 * channels * kernel**2 * out**2


def test_heads_that_are_shared_are_read_once() -> None:
    """Keys [1,2,6,4] that two queries each use, through an expansion and a reshape."""
    build = GraphBuilder("heads")
    query, key = build.input("q", (1, 4, 1, 4)), build.input("k", (1, 2, 1, 6, 4))
    wide = build.node("wide", "expand", key, shape=(1, 2, 2, 6, 4))
    flat = build.node("flat", "reshape", wide, shape=(1, 4, 6, 4))
    graph = build.graph(build.node("scores", "matmul", query, flat, transpose_y=True))
    *views, scores = roofline(graph, ROUND).layers
    assert [layer.bytes for layer in views] == [0, 0]
    assert scores.bytes == 2 * (16 + 2 * 6 * 4 + 4 * 6)


def test_a_cache_grows_in_place() -> None:
    build = GraphBuilder("cache")
    cache, new = build.input("cache", (1, 5, 4)), build.input("new", (1, 1, 4))
    grown = build.node("grown", "concat", cache, new, axis=1)
    total = build.node("sum", "reduce", grown, axes=(1,), keep=False, update="+=")
    found = roofline(build.graph(total, grown), ROUND)
    assert [layer.bytes for layer in found.layers] == [2 * (4 + 4), 2 * (24 + 4)]
    assert found.fused.bytes == 2 * (20 + 4 + 4 + 4)  # the cache and what is new once, then what is new and the sum
    behind = GraphBuilder("behind")
    cache, new = behind.input("cache", (1, 5, 4)), behind.input("new", (1, 1, 4))
    graph = behind.graph(behind.node("moved", "concat", new, cache, axis=1))
    assert roofline(graph, ROUND).layers[0].bytes == 2 * (20 + 20)  # the cache is copied behind it


def test_a_lookup_reads_its_rows_alone() -> None:
    build = GraphBuilder("lookup")
    ids, table = build.input("ids", (1, 3), "int64"), build.weight("table", (1000, 4))
    graph = build.graph(build.node("rows", "host", ids, table, what="embedding", shape=(1, 3, 4), dtype="float32"))
    assert roofline(graph, ROUND).fused.bytes == 3 * 8 + 2 * (12 + 12)


def test_views_move_nothing_and_one_tensor_read_twice_moves_once() -> None:
    build = GraphBuilder("views")
    x = build.input("x", (4, 6))
    flat = build.node("flat", "reshape", x, shape=(24,))
    graph = build.graph(build.node("add", "add", flat, flat))
    view, add = roofline(graph, ROUND).layers
    assert (view.bytes, view.bound_by, view.intensity) == (0, "nothing", 0)
    assert add.bytes == 2 * (24 + 24)


def test_a_lookup_reads_what_it_names() -> None:
    build = GraphBuilder("lookup")
    ids, rows = build.input("ids", (5,), dtype="int64"), build.weight("table", (1000, 8))
    found = build.node("rows", "host", ids, rows, what="embedding", shape=(5, 8), dtype="float32")
    (layer,) = roofline(build.graph(found), ROUND).layers
    assert layer.bytes == 8 * 5 + 2 * (5 * 8) + 2 * (5 * 8)


def test_a_network_without_cost_is_an_honest_blank() -> None:
    build = GraphBuilder("nothing")
    found = roofline(build.graph(build.node("view", "reshape", build.input("x", (4,)), shape=(2, 2))), ROUND)
    assert (found.seconds, found.bound_by) == (0, "nothing")
    assert str(found).endswith("It has neither operations nor bytes, so that nothing bounds its time.")


def test_operations_are_those_of_the_count_and_fusing_never_takes_longer() -> None:
    found = tw.roofline("alexnet", "dlp-m4")
    assert sum(layer.operations for layer in found.layers) == 2 * tw.count("alexnet").total.macs
    assert found.fused.operations == 2 * tw.count("alexnet").total.macs
    assert found.fused.seconds <= found.seconds


def test_no_program_beats_it() -> None:
    """The compiler fuses some layers, so that its program may beat the sum of layers, but not the fused bound."""
    program = tw.compile("lenet5", "dlp-s", seed=0)
    assert program.cost.seconds >= tw.roofline("lenet5", "dlp-s").fused.seconds


@pytest.mark.parametrize(
    ("machine", "dtype", "what", "choice"),
    [
        (Accelerator("a", peak={"int8": 1.0}), None, "bandwidth, and a's", "another machine"),
        (ROUND, "int8", "peak in int8, and round's", "one of float16, float4"),
        (
            Accelerator("a", peak={"unstated": 1.0}),
            None,
            "peak in a dtype that it is stated for, and a's",
            "another machine",
        ),
    ],
)
def test_what_is_not_known_is_one_sentence(machine: Accelerator, dtype: str | None, what: str, choice: str) -> None:
    with pytest.raises(MachineError) as error:
        roofline(linear(1, 1, 1), machine, dtype)
    assert str(error.value) == f"a roofline needs a machine's {what} isn't known; choose {choice}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["roofline", *arguments])


def test_the_command(tmp_path: Path) -> None:
    document = json.loads(run("lenet5", "--on", "t4", "--batch", "2", "--json").stdout)
    assert document == json.loads(json.dumps(tw.roofline("lenet5", "t4", batch=2).to_dict()))
    assert {"machine", "seconds", "bound_by", "layers"} <= document.keys()
    both = json.loads(run("lenet5", "--on", "t4", "--on", "dlp-s", "--json").stdout)
    assert [one["machine"] for one in both["rooflines"]] == ["t4", "dlp-s"]
    lines = run("lenet5", "--on", "dlp-s", "--top", "2").stdout.splitlines()
    assert lines[0].split() == ["layer", "operation", "operations", "bytes", "op/B", "time", "bound", "by", "share"]
    assert len(lines) == 9
    assert lines[5] == "lenet5 on dlp-s in float32: 512 GFLOP/s and 64 GB/s, 8 operations a byte at the bend"
    assert run("lenet5", "--on", "t4", "--on", "dlp-s").stdout.splitlines()[3].startswith("dlp-s    float32")
    assert run("lenet5", "--on", "dlp-s", "-o", str(tmp_path / "a.svg")).exit_code == 0
    drawn = (tmp_path / "a.svg").read_text("utf-8")
    assert "dlp-s, float32" in drawn
    assert "all layers fused" in drawn
    result = run("lenet5", "--on", "t4", "--batch", "N")
    assert result.stderr == (
        "tilework: --batch must be whole numbers above 0 for a roofline, not 'N'; give some such as 8 or 1,8,64\n"
    )


def test_several_networks_batches_and_dtypes(tmp_path: Path) -> None:
    several = json.loads(run("lenet5", "mlp", "--on", "t4", "--on", "dlp-s", "--json").stdout)
    assert list(several) == ["rooflines"]
    assert [(one["network"], one["machine"]) for one in several["rooflines"]] == [
        ("lenet5", "t4"),
        ("lenet5", "dlp-s"),
        ("mlp", "t4"),
        ("mlp", "dlp-s"),
    ]
    asked = ("--batch", "1,8", "--dtype", "float16", "--dtype", "int8")
    sweep = json.loads(run("lenet5", "--on", "t4", *asked, "--json").stdout)["rooflines"]
    assert [(one["batch"], one["dtype"]) for one in sweep] == [
        (1, "float16"),
        (1, "int8"),
        (8, "float16"),
        (8, "int8"),
    ]
    assert sweep[2] == json.loads(json.dumps(tw.roofline("lenet5", "t4", batch=8, dtype="float16").to_dict()))
    lines = run("lenet5", "--on", "t4", *asked, "-o", str(tmp_path / "sweep.svg")).stdout.splitlines()
    assert [line.split()[:3] for line in lines[2:]] == [
        ["t4", "float16", "1"],
        ["t4", "int8", "1"],
        ["t4", "float16", "8"],
        ["t4", "int8", "8"],
    ]
    drawn = (tmp_path / "sweep.svg").read_text("utf-8")
    assert "t4, int8" in drawn
    assert "inputs at a time" in drawn
    assert run("lenet5", "mlp", "--on", "t4", "--on", "dlp-s", "-o", str(tmp_path / "two.svg")).exit_code == 0
    drawn = (tmp_path / "two.svg").read_text("utf-8")
    assert "lenet5, mlp" in drawn
    assert "dlp-s, float32" in drawn


def test_levels_and_what_is_achieved(tmp_path: Path) -> None:
    path = str(tmp_path / "a.svg")
    shown = run("lenet5", "--on", "datacentre", "--levels", "--achieved", "-o", path)
    text = " ".join(shown.stdout.split())
    assert "op/B off chip op/B NRAM op/B WRAM" in text
    assert "bandwidth not known: WRAM" in text
    assert "layers, as compiled" in text
    drawn = (tmp_path / "a.svg").read_text("utf-8")
    assert "datacentre, NRAM" in drawn
    assert "simulated, as compiled" in drawn
    document = json.loads(run("lenet5", "--on", "dlp-s", "--achieved", "--json").stdout)
    simulated = tw.compile("lenet5", "dlp-s").cost
    assert sum(one["seconds"] for one in document["achieved"]) <= simulated.seconds * 1.2
    assert sum(one["operations"] for one in document["achieved"]) == 2 * simulated.macs
    assert [level["name"] for level in document["hierarchy"]["levels"]] == ["off chip", "NRAM", "WRAM"]
    assert all(one["bound_seconds"] <= one["seconds"] * (1 + 1e-9) for one in document["achieved"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("lenet5", "--on", "t4", "--achieved"),
            "what is achieved is simulated on a machine that is described in full, and of t4 only peaks are known; "
            "leave out --achieved, or measure this machine: tilework measure",
        ),
        (
            ("lenet5", "mlp", "--on", "dlp-s", "--achieved"),
            "--achieved goes with one network, machine, dtype and batch; leave the others out",
        ),
        (
            ("lenet5", "--on", "t4", "--batch", "1,0"),
            "--batch must be whole numbers above 0 for a roofline, not '1,0'; give some such as 8 or 1,8,64",
        ),
    ],
)
def test_a_mistake_at_the_command_line_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (2, f"tilework: {sentence}\n")
