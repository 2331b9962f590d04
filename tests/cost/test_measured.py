"""Measured times beside bounds and predictions, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tilework.cost.measured import Measured, Timed, measured, table
from tilework.machine.accelerator import Accelerator, Memory, Reached
from tilework.network.graph import Graph, GraphBuilder

HERE = Accelerator("here", peak={"float32": 1000.0}, memory=Memory("", None, 100.0))
REACHED = Reached("Runner 1", 1, 0.5, {"product": 0.5, "elementwise": 2.0}, {"exp": 40.0})


def network() -> Graph:
    g = GraphBuilder("small")
    product = g.node("product", "linear", g.input("x", (4, 10)), g.weight("w", (20, 10)))
    relu = g.node("relu", "relu", product)
    return g.graph(g.node("exp", "pointwise", relu, what="exp", body="exp(x0)"))


def found(machine: Accelerator = HERE, runtime: str = "Runner 1", threads: int = 1) -> Measured:
    timed = [Timed(("product", "relu"), (30.0, 10.0, 20.0)), Timed(("exp",), (9.0, 8.0, 10.0))]
    return measured(network(), machine, timed, (40.0, 35.0, 50.0), runtime, threads)


def test_a_parts_median_beside_its_bound() -> None:
    first, second = found().parts
    assert (first.layers, first.operation, first.kind) == (("product", "relu"), "linear", "product")
    assert first.seconds == 20.0
    assert first.operations == 2 * 4 * 10 * 20
    assert first.operations_per_second == 80.0
    assert first.bound.seconds == 4 * (40 + 200 + 80) / 100
    assert (second.operation, second.kind, second.seconds) == ("exp", "elementwise", 9.0)
    assert second.bound.seconds == 4 * 160 / 100
    assert (found().seconds, found().layer_seconds, found().between_seconds) == (40.0, 29.0, 11.0)
    assert found().bound_seconds == pytest.approx(12.8 + 6.4)
    assert found().seconds_by("kind") == {"product": 20.0, "elementwise": 9.0}
    assert found().predicted_seconds is None


def test_a_prediction_is_overhead_share_and_functions() -> None:
    first, second = found(replace(HERE, reached=REACHED)).parts
    assert first.predicted_seconds == 0.5 + 12.8 / 0.5
    assert second.predicted_seconds == 0.5 + 6.4 / 2.0 + 80 / 40
    assert found(replace(HERE, reached=REACHED)).predicted_seconds == pytest.approx(26.1 + 5.7)


@pytest.mark.parametrize(
    ("runtime", "threads", "fits"), [("Runner 2", 1, True), ("Other 1", 1, False), ("Runner 1", 2, False)]
)
def test_what_another_runtime_reached_predicts_nothing(runtime: str, threads: int, fits: bool) -> None:
    known = found(replace(HERE, reached=REACHED), runtime, threads).predicted_seconds
    assert (known is not None) == fits


def test_a_kind_that_was_not_measured_is_an_honest_blank() -> None:
    one = found(replace(HERE, reached=replace(REACHED, share={"product": 0.5})))
    assert one.parts[0].predicted_seconds is not None
    assert one.parts[1].predicted_seconds is None
    assert one.predicted_seconds is None
    assert table(one, None).splitlines()[3].split()[-3:] == ["-", "-", "-"]


def test_the_table_and_the_record() -> None:
    one = replace(found(replace(HERE, reached=REACHED)), worked=(36.0, 34.0, 37.0), untimed=("mask",))
    lines = str(one).splitlines()
    assert lines[0].split() == ["layers", "operation", "time", "share", "at", "least", "predicted", "ratio", "reached"]
    assert " ".join(lines[2].split()) == "product +1 linear 20 s 69.0 % 12.8 s 26.1 s 1.31 80 op/s"
    assert lines[5] == (
        "small in Runner 1 with 1 thread: 40 s (median of 3, the fastest 35 s; processors worked 36 s of it)"
    )
    assert lines[6] == "In the layers: 29 s; product 69.0 %, elementwise 31.0 %"
    assert lines[7] == "On here in float32 it takes at least 19.2 s"
    assert lines[8] == "Predicted for its layers: 31.8 s, 1.10 of the measured time"
    assert lines[9] == "Without an operator: mask"
    assert table(one, 1).splitlines()[3] == ""
    record = one.to_dict()
    assert record["seconds"] == 40.0
    assert record["processor_seconds"] == 36.0
    assert record["fastest_seconds"] == 35.0
    assert record["layers"][0]["layers"] == ["product", "relu"]
    assert list(one.to_dataframe()["kind"]) == ["product", "elementwise"]
