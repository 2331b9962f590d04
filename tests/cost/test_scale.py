"""Times on many devices by hand, and what must hold of all of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import tilework as tw
from tilework.cli import cli
from tilework.cost.links import Devices, devices_of
from tilework.cost.memory import memory
from tilework.cost.roofline import roofline
from tilework.cost.scale_text import curve_text, serving_curve_text
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator, Link, Memory
from tilework.network.graph import Graph, GraphBuilder

ROUND = Accelerator(
    "round", peak={"float32": 1000.0, "float16": 4000.0}, memory=Memory("", 10**6, 100.0), link=Link("", 20.0)
)


def mlp(batch: int, *sizes: int) -> Graph:
    build = GraphBuilder("mlp")
    value = build.input("x", (batch, sizes[0]))
    for place, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        value = build.node(f"l.{place}", "linear", value, build.weight(f"l.{place}.w", (outputs, inputs)))
    return build.graph(value)


def test_a_ring_by_hand() -> None:
    devices = Devices(tensor=4, data=4, link=10.0, node=8, network=6.0, latency=0.5)
    # 4 neighbours in a node: 3 steps each way of a quarter of the bytes
    assert devices.within("all-reduce", 80.0) == 6 * (20 / 10 + 0.5)
    assert devices.within("all-gather", 80.0) == 3 * (20 / 10 + 0.5)
    # 4 copies, 4 apart, over 2 nodes: four rings share a node's network
    assert devices.across(80.0) == 6 * (20 / 1.5 + 0.5)
    assert Devices().within("all-reduce", 80.0) == Devices().across(80.0) == Devices().send(80.0) == 0


def test_two_layers_on_two_devices_by_hand() -> None:
    """10 -> 20 -> 10 for a batch of 3: the first split by its outputs, the second by what it sums."""
    found = tw.scale(mlp(3, 10, 20, 10), ROUND, batch=3, tensor=2, dtype="float32")
    (one,) = found.passes.values()
    first = max(2 * 3 * 10 * 10 / 1000, 4 * (30 + 100 + 30) / 100)
    second = max(2 * 3 * 10 * 10 / 1000, 4 * (30 + 100 + 30) / 100)
    reduce = 2 * (4 * 30 / 2) / 10  # two steps of half of 30 numbers, over half of 20 B/s
    assert one.seconds == pytest.approx(first + second + reduce)
    assert one.time.operations == 2 * 3 * 2 * 100
    assert found.memory_bytes == 4 * (100 + 100) + 4 * 30 + 4 * max(30, 30 + 30)
    fused = tw.scale(mlp(3, 10, 20, 10), ROUND, batch=3, tensor=2, dtype="float32", fused=True)
    assert fused.last.seconds == pytest.approx(max(2 * 0.6, 4 * (30 + 200 + 30) / 100) + reduce)


def test_a_pipeline_by_hand() -> None:
    found = tw.scale(mlp(2, 10, 10, 10, 10), ROUND, batch=2, pipeline=3, dtype="float32")
    (one,) = found.passes.values()
    layer, send = 4 * (20 + 100 + 20) / 100, 4 * 20 / 10
    assert [stage.seconds for stage in one.stages] == pytest.approx([layer + send, layer + send, layer])
    assert one.period == pytest.approx(3 * (layer + send))
    assert found.in_flight == 6
    assert found.rate == pytest.approx(2 / (layer + send))


@pytest.mark.parametrize("network", ["lenet5", "resnet18", "vit_b_16"])
def test_one_device_takes_the_rooflines_time(network: str) -> None:
    graph, machine = tw.load(network, batch=2), tw.load_accelerator("t4")
    bound = roofline(graph, machine)
    (one,) = tw.scale(graph, machine, batch=2).passes.values()
    assert one.seconds == pytest.approx(bound.seconds)
    (fused,) = tw.scale(graph, machine, batch=2, fused=True).passes.values()
    assert fused.seconds == pytest.approx(bound.fused.seconds)
    step = tw.scale_training(graph, machine, batch=2, dtype="float32")
    kept = memory(graph, "float32")
    (stage,) = step.stages
    assert stage.weight_bytes == kept.parameter_bytes + kept.buffer_bytes
    assert (stage.gradient_bytes, stage.optimiser_bytes) == (kept.gradient_bytes, kept.optimizer_bytes)
    assert stage.activation_bytes == kept.saved_bytes
    both = tw.count(graph, backward=True).total.macs
    assert step.operations == pytest.approx(2 * both)


def test_a_training_step_by_hand() -> None:
    """A layer 10 -> 10 for a batch of 4 on two copies, in two micro-batches each, stochastic gradient descent."""
    step = tw.scale_training(mlp(1, 10, 10), ROUND, batch=4, micro_batch=1, data=2, optimizer="sgd", dtype="float32")
    forward = 4 * (10 + 100 + 10) / 100
    backward = 4 * (10 + 10 + 100) / 100  # the gradient that arrives, the input; the weights' gradient
    assert step.stages[0].forward_seconds == pytest.approx(forward)
    assert step.stages[0].backward_seconds == pytest.approx(backward)
    reduce = 2 * (400 / 2) / 10
    assert step.exposed_seconds == pytest.approx(reduce)
    optimiser = 3 * 400 / 100  # reads gradients and weights, writes weights
    assert step.seconds == pytest.approx(2 * (forward + backward) + reduce + optimiser)
    assert step.operations == 2 * 4 * (100 + 100)
    assert step.utilisation == pytest.approx(1600 / (2 * 1000 * step.seconds))
    assert sum(step.parts().values()) == pytest.approx(step.seconds)


def test_a_pipelines_bubble_is_its_stages_less_one() -> None:
    step = tw.scale_training(
        mlp(1, 8, 8, 8, 8, 8), replace(ROUND, link=Link("", 1e12)), batch=6, pipeline=4, dtype="float32"
    )
    assert step.micro_batches == 6
    first, *others = (stage.seconds for stage in step.stages)
    assert others[0] == pytest.approx(others[1])
    assert first < others[0]
    assert step.passes_seconds == pytest.approx(first + sum(others) + 5 * others[0])
    alike = tw.scale_training(
        mlp(1, 8, 8, 8, 8, 8), replace(ROUND, link=Link("", 1e12)), batch=6, dtype="float32", check=False
    )
    assert step.operations == alike.operations


def test_half_precision_trains_beside_float32_weights() -> None:
    step = tw.scale_training(mlp(1, 10, 10), ROUND, batch=1, dtype="float16")
    (stage,) = step.stages
    assert (stage.weight_bytes, stage.gradient_bytes, stage.optimiser_bytes) == (200, 200, 100 * (4 + 8))
    # reads the gradient; reads and writes float32 weight and two moments; writes the half
    assert stage.optimiser_seconds == pytest.approx(100 * (2 + 8 + 16 + 2) / 100)


def test_recomputing_keeps_less_and_takes_a_forward_pass_more() -> None:
    graph = tw.load("vit_b_16")
    machine = tw.load_accelerator("t4")
    kept, again = (tw.scale_training(graph, machine, batch=1, recompute=how) for how in (False, True))
    assert again.memory_bytes < kept.memory_bytes
    assert kept.seconds < again.seconds < kept.seconds + kept.stages[0].forward_seconds * 1.001
    assert again.operations == kept.operations


widths = st.sampled_from((8, 16, 32, 64))
degrees = st.sampled_from((1, 2, 4, 8))


@settings(max_examples=40, deadline=None)
@given(st.lists(widths, min_size=3, max_size=5), st.integers(1, 5), degrees, st.sampled_from((1, 2)), degrees)
def test_no_setup_beats_the_work_divided_by_the_peaks(
    sizes: list[int], batch: int, tensor: int, pipeline: int, data: int
) -> None:
    graph = mlp(batch, *sizes)
    setup: dict[str, Any] = {"tensor": tensor, "pipeline": pipeline, "data": data, "check": False}
    number = tensor * pipeline * data
    served = tw.scale(graph, ROUND, batch=batch, dtype="float32", **setup)
    work = 2 * tw.count(graph).total.macs
    assert served.last.seconds >= work / (tensor * pipeline * 1000) * (1 - 1e-9)
    assert served.rate <= number * 1000 * batch / work * (1 + 1e-9)
    step = tw.scale_training(graph, ROUND, batch=batch * data, micro_batch=batch, dtype="float32", **setup)
    assert step.seconds >= step.operations / (number * 1000) * (1 - 1e-9)
    assert isclose(step.operations, 2 * data * tw.count(graph, backward=True).total.macs)
    assert 0 < step.utilisation <= 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(widths, min_size=3, max_size=5),
    degrees,
    st.sampled_from((1, 2)),
    degrees,
    st.floats(1, 1e4),
    st.floats(1, 1e3),
)
def test_a_better_link_is_never_slower(
    sizes: list[int], tensor: int, pipeline: int, data: int, link: float, times: float
) -> None:
    graph = mlp(2, *sizes)
    setup: dict[str, Any] = {"tensor": tensor, "pipeline": pipeline, "data": data, "dtype": "float32", "check": False}
    seconds = []
    for bandwidth in (link, link * times):
        served = tw.scale(graph, ROUND, batch=2, link_bandwidth=bandwidth, **setup)
        step = tw.scale_training(graph, ROUND, batch=2 * data, micro_batch=2, link_bandwidth=bandwidth, **setup)
        seconds.append((served.last.seconds, step.seconds, step.exposed_seconds))
    assert all(fast <= slow * (1 + 1e-9) for slow, fast in zip(*seconds, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.lists(widths, min_size=3, max_size=5), st.integers(1, 6))
def test_memory_grows_with_the_batch_and_shrinks_with_the_devices(sizes: list[int], batch: int) -> None:
    def served(size: int, tensor: int) -> float:
        return tw.scale(mlp(size, *sizes), ROUND, batch=size, tensor=tensor, dtype="float32", check=False).memory_bytes

    def trained(size: int, tensor: int) -> float:
        setup: dict[str, Any] = {"tensor": tensor, "dtype": "float32", "check": False}
        return tw.scale_training(mlp(size, *sizes), ROUND, batch=size, **setup).memory_bytes

    for held in (served, trained):
        assert held(batch, 1) < held(batch + 1, 1)
        found = [held(batch, tensor) for tensor in (1, 2, 4, 8)]
        assert found == sorted(found, reverse=True)


def test_overlap_hides_what_the_backward_pass_covers() -> None:
    graph = tw.load("resnet18", batch=4)
    machine = replace(ROUND, peak={"float32": 1e13}, memory=Memory("", None, 1e12), link=Link("", 2e10))
    setup: dict[str, Any] = {"batch": 16, "micro_batch": 4, "data": 4, "dtype": "float32"}
    hidden = tw.scale_training(graph, machine, **setup)
    apart = tw.scale_training(graph, machine, overlap=False, **setup)
    assert hidden.all_reduce_seconds == pytest.approx(apart.exposed_seconds)
    assert 0 < hidden.exposed_seconds < apart.exposed_seconds
    assert apart.all_reduce_seconds == pytest.approx(2 * 3 / 4 * 4 * 11_689_512 / 1e10)


def test_curves() -> None:
    curve = tw.training_curve(mlp(1, 8, 8), ROUND, batch=8, over=(1, 2, 4), dtype="float32")
    assert [(one.devices.number, one.batch, one.micro_batch) for one in curve] == [(1, 8, 8), (2, 8, 4), (4, 8, 2)]
    weak = tw.training_curve(mlp(1, 8, 8), ROUND, batch=8, over=(1, 2, 4), weak=True, dtype="float32")
    assert [(one.batch, one.micro_batch) for one in weak] == [(8, 8), (16, 8), (32, 8)]
    assert tw.training_curve(mlp(1, 8, 8), ROUND, batch=8, weak=True, data=2, dtype="float32")[0].batch == 8
    assert [line.split()[-1] for line in curve_text(curve).splitlines()] == ["fits", "----", "yes", "yes", "yes"]
    assert "100.0 %" in curve_text(curve)
    served = tw.serving_curve(mlp(1, 8, 8, 8), ROUND, over=(1, 2), dtype="float32")
    assert [one.devices.tensor for one in served] == [1, 2]
    assert "speed-up" in serving_curve_text(served)


ERRORS: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {"devices": 6, "tensor": 4},
        "the number of devices must be a multiple of tensor x pipeline = 4, not 6; choose such as 4",
    ),
    (
        {"devices": 8, "tensor": 2, "data": 2},
        "tensor 2 x pipeline 1 x data 2 must be the number of devices, and is 4, not 8; change one of them",
    ),
    ({"tensor": 0}, "a degree of parallelism must be at least 1, not 0; correct --tensor"),
    (
        {"tensor": 3},
        "tensor parallelism needs a layer with a loop that 3 devices divide, and mlp has none; choose another --tensor",
    ),
    (
        {"data": 16, "node": 8},
        "16 devices in nodes of 8 need a network's bandwidth above 0; give --network-bandwidth",
    ),
    (
        {"data": 2, "link_bandwidth": 0.0},
        "devices that work together need a link's bandwidth above 0, and round's isn't known; give --link-bandwidth",
    ),
    (
        {"data": 2, "link_bandwidth": "10 Gb/s"},
        "the link bandwidth must be a bandwidth in bytes per second such as '64 GB/s', not '10 Gb/s'; that counts "
        "bits, so divide by 8 and write B for bytes",
    ),
    (
        {"link_latency": -1.0},
        "bandwidths, a latency and the devices of a node must be numbers of 0 or more; correct them",
    ),
    (
        {"link_latency": float("nan")},
        "bandwidths, a latency and the devices of a node must be numbers of 0 or more; correct them",
    ),
    ({"compute_utilisation": 0.0}, "the compute utilisation must be above 0 and at most 1, not 0; correct it"),
    (
        {"dtype": "int8"},
        "a roofline needs a machine's peak in int8, and round's isn't known; choose one of float32, float16",
    ),
    (
        {"pipeline": 9},
        "a pipeline must have at most as many stages as mlp has layers, 2, not 9; use fewer",
    ),
)


@pytest.mark.parametrize(("setup", "sentence"), ERRORS)
def test_errors(setup: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MachineError) as caught:
        tw.scale(mlp(1, 8, 8, 8), ROUND, **setup)
    assert str(caught.value) == sentence


def test_too_little_memory_says_how_many_devices_are_enough() -> None:
    small = replace(ROUND, memory=Memory("", 1000, 100.0))
    with pytest.raises(MachineError) as caught:
        tw.scale(mlp(1, 20, 20, 20), small, dtype="float32")
    assert str(caught.value) == (
        "each device must hold its part of mlp in the 1 kB of round, not 3.44 kB; share it among at least 4 devices "
        "with --tensor or --pipeline"
    )
    assert tw.scale(mlp(1, 20, 20, 20), small, dtype="float32", tensor=4).memory_bytes <= 1000
    with pytest.raises(MachineError, match="use --recompute or a smaller --micro-batch"):
        tw.scale_training(mlp(1, 20, 20, 20), small, batch=1, dtype="float32")


def test_the_largest_batch_is_the_last_that_fits() -> None:
    graph, small = mlp(1, 20, 20, 20), replace(ROUND, memory=Memory("", 4000, 100.0))
    largest = tw.scale(graph, small, dtype="float32").largest_batch
    assert largest is not None
    assert largest > 1
    assert tw.scale(graph, small, dtype="float32", batch=largest).memory_bytes <= 4000
    with pytest.raises(MachineError):
        tw.scale(graph, small, dtype="float32", batch=largest + 1)
    assert tw.scale(graph, replace(small, memory=Memory("", None, 100.0)), dtype="float32").largest_batch is None


def test_training_errors() -> None:
    for options, sentence in (
        ({"batch": 6, "data": 4}, "the batch must be a multiple of data x micro-batch = 4, not 6; choose such as 4"),
        (
            {"batch": 1, "optimizer": "best"},
            "the optimiser must be one of sgd, momentum, adagrad, rmsprop, adam, adamw, not best; choose one",
        ),
    ):
        with pytest.raises(MachineError) as caught:
            tw.scale_training(mlp(1, 8, 8), ROUND, dtype="float32", **options)  # type: ignore[arg-type]
        assert str(caught.value) == sentence
    with pytest.raises(MachineError, match="training needs a dtype of float64, float32"):
        tw.scale_training(mlp(1, 8, 8), replace(ROUND, peak={"int8": 1e3}), batch=1)
    build = GraphBuilder("bare")
    with pytest.raises(MachineError, match="training needs a network with weights, and bare has none; choose another"):
        tw.scale_training(build.graph(build.node("r", "relu", build.input("x", (1, 4)))), ROUND, batch=1)


def test_links_of_the_catalogue_count_both_directions() -> None:
    assert devices_of(tw.load_accelerator("h100-sxm"), tensor=8).link == 450e9
    with pytest.raises(MachineError, match="t4's isn't known; give --link-bandwidth"):
        devices_of(tw.load_accelerator("t4"), 2)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["scale", *arguments])


def test_the_command(tmp_path: Path) -> None:
    found = json.loads(
        run("resnet18", "--on", "v100-sxm2", "--batch", "8", "--watts", "300", "--price-per-hour", "3", "--json").output
    )
    assert found["joules_per_token"] == pytest.approx(300 * found["passes"][0]["seconds"] / 8)
    assert found["price_per_million"] == pytest.approx(3 / 3600 * found["passes"][0]["seconds"] / 8 * 1e6)
    text = run("resnet18", "--on", "v100-sxm2", "--train", "--batch", "64", "--devices", "4").output
    assert "4 devices (tensor 1 x pipeline 1 x data 4)" in text
    assert "optimiser's state (adam)" in text
    picture = tmp_path / "curve.svg"
    curve = run("resnet18", "--on", "v100-sxm2", "--train", "--batch", "64", "--over", "1,2,4", "-o", str(picture))
    assert curve.exit_code == 0
    assert "efficiency" in curve.output
    assert "speed-up" in picture.read_text("utf-8")
    shards = json.loads(run("encoder", "--on", "t4", "--tensor", "2", "--shards", "--json").output)["layers"]
    assert [row["layer"] for row in shards if row["forward"]] == ["self_attn.out_proj", "linear2"]
    assert [row["layer"] for row in shards if row["loops"] == ["k"]] == ["self_attn.in_proj", "linear1"]
    assert "axis 0" in run("encoder", "--on", "t4", "--tensor", "2", "--shards").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--batch", "N"), "--batch must be a whole number here, not 'N'; give one such as 8"),
        (("--over", "1,x"), "--over must be numbers of devices such as 1,2,4, not '1,x'; correct it"),
        (("--shards",), "a network is split over at least 2 devices, not 1; give --tensor 2 or more"),
    ],
)
def test_mistakes_on_the_command_line(arguments: tuple[str, ...], sentence: str) -> None:
    found = run("lenet5", "--on", "t4", *arguments)
    assert (found.exit_code, found.stderr) == (2, f"tilework: {sentence}\n")


def test_tables_and_frames() -> None:
    pytest.importorskip("pandas")
    served = tw.scale(mlp(1, 8, 8, 8), ROUND, pipeline=2, dtype="float32")
    assert list(served.to_dataframe()["first"]) == ["l.0", "l.1"]
    step = tw.scale_training(mlp(1, 8, 8, 8), ROUND, batch=2, pipeline=2, dtype="float32")
    assert len(step.to_dataframe()) == 2
    assert "the step" in str(step)
    assert "answers/s" in str(served)


def test_a_machine_may_be_given_itself() -> None:
    assert tw.scale("lenet5", tw.load_machine("dlp-s")).to_dict() == tw.scale("lenet5", "dlp-s").to_dict()
