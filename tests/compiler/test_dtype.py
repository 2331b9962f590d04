"""Programs whose numbers are float16 or bfloat16: how far they are from float32, and how much faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilework.compiler.dtype import retyped, stored_dtype
from tilework.compiler.options import Options
from tilework.compiler.pipeline import compile_graph
from tilework.errors import CompileError
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run

Small = Callable[..., Machine]

ROUNDING = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}  # half of the last place of 1

CONVOLUTIONS = """graph net
input x float32[1,3,9,9]
parameter w float32[8,3,3,3]
parameter b float32[8]
parameter g float32[8,8,3,3]
parameter v float32[5,128]
c = conv2d(x, w, b, padding=[1,1])
r = relu(c)
p = max_pool2d(r)
d = conv2d(p, g, padding=[1,1])
s = sigmoid(d)
f = flatten(s)
y = linear(f, v)
z = softmax(y)
output y
output z
"""


def with_rates(machine: Machine, **rates: int) -> Machine:
    energies = dict.fromkeys(rates, 1e-12)
    return replace(machine, matrix=replace(machine.matrix, rates=rates, energy_per_mac_joules=energies))


def complaint(machine: Machine, asked: str | None) -> str:
    with pytest.raises(CompileError) as caught:
        stored_dtype(machine, asked)
    return str(caught.value)


def test_the_dtype_of_a_machine(small: Small) -> None:
    assert stored_dtype(with_rates(small(), bfloat16=2, float32=1), None) == "float32"
    assert stored_dtype(with_rates(small(), bfloat16=2, float32=1), "bfloat16") == "bfloat16"
    assert stored_dtype(with_rates(small(), int8=4, bfloat16=2, float16=2), None) == "bfloat16"
    assert stored_dtype(with_rates(small(), float16=2, bfloat16=2), None) == "float16"
    assert stored_dtype(with_rates(small(), int8=2), "int8") == "int8"


def test_dtypes_that_the_machine_lacks(small: Small) -> None:
    assert complaint(with_rates(small(), int8=1), None) == (
        "a network must be quantised for tiny, which multiplies int8 only; choose the dtype int8 (--dtype int8)"
    )
    assert complaint(with_rates(small(), int32=1), None) == (
        "the matrix unit of tiny must multiply one of float32, float16, bfloat16, int8 to run a compiled network, "
        "not only int32; use another machine"
    )
    assert complaint(with_rates(small(), float32=1, int8=2), "float16") == (
        "the dtype for tiny must be one of float32, int8, which its matrix unit multiplies, not float16"
    )
    assert complaint(with_rates(small(), float32=1), "int8") == (
        "the dtype for tiny must be one of float32, which its matrix unit multiplies, not int8"
    )


def test_all_tensors_get_the_dtype() -> None:
    text = (
        'graph g\ninput x float16[2]\nparameter w float32[2]\ny = add(x, w)\nz = pointwise(y, body="x0") as float32\n'
    )
    graph = retyped(parse_graph(f"{text}output z\n"), "bfloat16")
    assert {tensor.dtype for tensor in graph.tensors.values()} == {"bfloat16"}


def outputs(graph: Graph, machine: Machine, dtype: str, x: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return run(compile_graph(graph, seeded(graph), machine, Options(dtype=dtype)).program, {"x": x})


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("nram", [600, 1 << 16])
def test_values_are_as_near_as_the_dtype_allows(dtype: str, nram: int, small: Small) -> None:
    """Three layers round their inputs, weights and outputs: some tens of roundings, each of half a last place."""
    graph = parse_graph(CONVOLUTIONS)
    machine = with_rates(small(nram, 1 << 16), float32=1, float16=2, bfloat16=2)
    x = np.random.default_rng(0).standard_normal((1, 3, 9, 9)).astype(np.float32)
    expected = execute(graph, seeded(graph), {"x": x})
    for name, values in outputs(graph, machine, dtype, x).items():
        error = np.abs(values - expected[name]).max()
        assert error <= 8 * ROUNDING[dtype] * np.abs(expected[name]).max()
        assert dtype == "float32" or error > 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_partial_sums_are_rounded_to_the_dtype(dtype: str, small: Small) -> None:
    """A sum of 512 products that is cut in pieces is rounded after each: one rounding of the sum per piece."""
    graph = parse_graph("graph g\ninput x float32[4,512]\nparameter w float32[4,512]\ny = linear(x, w)\noutput y\n")
    x = np.random.default_rng(1).random((4, 512), np.float32)
    expected = execute(graph, seeded(graph), {"x": x})["y"].astype(np.float64)
    size = np.abs(x.astype(np.float64)) @ np.abs(seeded(graph)["w"].T)
    for nram, least in ((1 << 16, 1), (160, 16)):
        machine = with_rates(small(nram, 1 << 16), float32=1, float16=2, bfloat16=2)
        compilation = compile_graph(graph, seeded(graph), machine, Options(dtype=dtype))
        (tiling,) = compilation.tilings
        pieces = -(-512 // tiling.tiles["c"])
        assert pieces >= least
        error = np.abs(run(compilation.program, {"x": x})["y"] - expected)
        assert (error <= (pieces + 3) * 2 * ROUNDING[dtype] * size).all()


def test_the_program_is_in_the_dtype(small: Small) -> None:
    graph = parse_graph(CONVOLUTIONS)
    machine = with_rates(small(), float32=1, float16=2)
    full = compile_graph(graph, seeded(graph), machine).program
    half = compile_graph(graph, seeded(graph), machine, Options(dtype="float16")).program
    assert [port.dtype for port in (*half.inputs, *half.outputs)] == ["float16"] * 3
    dtypes = {o.dtype for i in half.instructions if i.descriptor for o in i.descriptor.operands}
    assert dtypes == {"float16"}
    assert half.weight_bytes == len(half.weights())
    assert 0.5 <= half.weight_bytes / full.weight_bytes < 0.6  # each weight begins at a multiple of 64 bytes
    stored = half.weights().view(np.float16)
    assert set(seeded(graph)["v"].astype(np.float16).reshape(-1)) <= set(stored)


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_cycles_fall_with_the_rate(rate: int, small: Small) -> None:
    """A product that only the matrix unit takes time for: 64 rows of 64 columns of 64 places on 4 by 4."""
    text = "graph g\ninput x float32[64,64]\nparameter w float32[64,64]\ny = linear(x, w)\noutput y\n"
    graph = parse_graph(text)
    machine = with_rates(small(1 << 17, 1 << 17), float32=1, bfloat16=rate)
    machine = replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=1e15, latency_cycles=0))
    result = simulate(compile_graph(graph, seeded(graph), machine, Options(dtype="bfloat16")).program)
    assert result.cycles == pytest.approx(64 * 16 * 16 / rate, rel=0.05)


def test_a_weight_that_is_an_overflow_of_the_dtype_is_infinite(small: Small) -> None:
    graph = parse_graph('graph g\ninput x float32[2]\ny = pointwise(x, body="x0 * 70000")\noutput y\n')
    machine = with_rates(small(), float32=1, float16=2, bfloat16=2)
    x = np.array([1.0, 0.5], np.float32)
    np.testing.assert_array_equal(outputs(graph, machine, "float16", x)["y"], [np.inf, 35008])
    np.testing.assert_array_equal(outputs(graph, machine, "bfloat16", x)["y"], [70144, 35072])
