"""Values: every instruction against plain NumPy, loops and rings of buffers, ports, and inputs that don't fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilework.errors import SimulationError
from tilework.isa.program import Layer, Port, Program
from tilework.simulator import functional
from tilework.simulator.functional import Interpreter, run

Build = Callable[..., Program]
RANDOM = np.random.default_rng(7)
X = RANDOM.standard_normal((3, 4)).astype(np.float32)
Y = RANDOM.standard_normal((3, 4)).astype(np.float32)


def port(name: str, shape: tuple[int, ...], address: int, order: tuple[int, ...] | None = None) -> Port:
    return Port(name, shape, address, order or tuple(range(len(shape))))


def apply(program: Build, lines: str, *, shape: tuple[int, ...] = (3, 4)) -> Any:
    """x (at 0) and y (at 48) of NRAM go in, then `lines`; the output comes from NRAM at 96."""
    size = int(np.prod(shape))
    text = f"""
        load <24> nram 0x0 {{4}} = dram 0x0 {{4}}
        load <12> wram 0x0 {{4}} = dram 0x30 {{4}}
        {lines}
        store <{size}> dram 0x100 {{4}} = nram 0x60 {{4}}
        end"""
    inputs = (port("x", (3, 4), 0), port("y", (3, 4), 48))
    built = program(text, inputs=inputs, outputs=(port("z", shape, 256),))
    return run(built, {"x": X, "y": Y})["z"]


ONE = {
    "vexp": np.exp,
    "vtanh": np.tanh,
    "vcopy": np.array,
    "vlog": np.log,
    "vsqrt": np.sqrt,
}
TWO = {
    "vadd": np.add,
    "vsub": np.subtract,
    "vmul": np.multiply,
    "vdiv": np.divide,
    "vmax": np.maximum,
    "vmin": np.minimum,
    "vpow": np.power,
}


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_value(program: Build, name: str) -> None:
    with np.errstate(invalid="ignore"):
        expected = ONE[name](X)
    np.testing.assert_array_equal(apply(program, f"{name} <12> nram 0x60 {{4}} = nram 0x0 {{4}}"), expected)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_values_and_of_a_constant(program: Build, name: str) -> None:
    with np.errstate(invalid="ignore"):
        expected, halved = TWO[name](X, Y), TWO[name](np.float32(0.1), Y)
    given = apply(program, f"{name} <12> nram 0x60 {{4}} = nram 0x0 {{4}}, nram 0x30 {{4}}")
    exact = 0 if name != "vpow" else 3e-7  # NumPy may compute powers of scalars and of vectors differently
    np.testing.assert_allclose(given, expected, rtol=exact)
    given = apply(program, f"{name} <12> nram 0x60 {{4}} = #0.1, nram 0x30 {{4}}")
    np.testing.assert_allclose(given, halved, rtol=exact)


def test_fill(program: Build) -> None:
    given = apply(program, "fill <12> nram 0x60 {4} = #0.1")
    np.testing.assert_array_equal(given, np.full((3, 4), 0.1, np.float32))


@pytest.mark.parametrize(("name", "ufunc"), [("rsum", np.add), ("rmax", np.maximum), ("rmin", np.minimum)])
def test_reductions(program: Build, name: str, ufunc: np.ufunc) -> None:
    rows = f"{name} <3, 4> nram 0x60 {{4, 0}} = nram 0x0 {{16, 4}}"
    expected = ufunc.reduce(X, axis=1)
    np.testing.assert_allclose(apply(program, rows, shape=(3,)), expected, rtol=1e-6)
    more = f"{rows}\n{name} <3, 4> nram 0x60 {{4, 0}} += nram 0x30 {{16, 4}}"
    np.testing.assert_allclose(apply(program, more, shape=(3,)), ufunc(expected, ufunc.reduce(Y, axis=1)), rtol=1e-6)


def test_contractions(program: Build) -> None:
    line = "contract <3, 3, 4> nram 0x60 {12, 4, 0} = nram 0x0 {16, 0, 4} * wram 0x0 {0, 16, 4}"
    np.testing.assert_allclose(apply(program, line, shape=(3, 3)), X @ Y.T, rtol=1e-5, atol=1e-6)
    twice = f"{line}\n{line.replace(' = ', ' += ')}"
    np.testing.assert_allclose(apply(program, twice, shape=(3, 3)), 2 * (X @ Y.T), rtol=1e-5, atol=1e-6)


def test_sources_are_read_before_the_destination_is_written(program: Build) -> None:
    line = "vcopy <11> nram 0x64 {4} = nram 0x60 {4}\nvadd <11> nram 0x60 {4} = nram 0x60 {4}, nram 0x64 {4}"
    given = apply(program, f"vcopy <12> nram 0x60 {{4}} = nram 0x0 {{4}}\n{line}").reshape(-1)
    shifted = np.concatenate([X.reshape(-1)[:1], X.reshape(-1)[:-1]])
    np.testing.assert_array_equal(given, [*(shifted[:-1] + shifted[1:]), shifted[-1]])


def test_a_negative_stride_and_a_transposing_load(program: Build) -> None:
    text = """
        load <4, 3> nram 0x0 {12, 4} = dram 0x0 {4, 16}
        store <12> dram 0x100 {4} = nram 0x2c {-4}
        end"""
    built = program(text, inputs=(port("x", (3, 4), 0),), outputs=(port("z", (4, 3), 256),))
    np.testing.assert_array_equal(run(built, {"x": X})["z"], X.T.reshape(-1)[::-1].reshape(4, 3))


def test_loops_move_addresses_and_rings_wrap(program: Build) -> None:
    # 2 x 3 rows of 4 through a ring of two tiles, doubled, and written back last row first
    text = """
        loop 2
          loop 3
            load <4> nram 0x0+(16+48*i0+16*i1) mod 32 {4} = dram 0x0+48*i0+16*i1 {4}
            vmul <4> nram 0x40 {4} = nram 0x0+(16+48*i0+16*i1) mod 32 {4}, #2
            store <4> dram 0x150-48*i0-16*i1 {4} = nram 0x40 {4}
          endloop
        endloop
        end"""
    values = RANDOM.standard_normal((6, 4)).astype(np.float32)
    built = program(text, inputs=(port("x", (6, 4), 0),), outputs=(port("z", (6, 4), 256),))
    np.testing.assert_array_equal(run(built, {"x": values})["z"], 2 * values[::-1])


def test_ports_have_their_axes_in_their_order(program: Build) -> None:
    values = RANDOM.standard_normal((2, 3, 4, 5)).astype(np.float32)
    text = "load <120> nram 0x0 {4} = dram 0x0 {4}\nstore <120> dram 0x400 {4} = nram 0x0 {4}\nend"
    built = program(
        text,
        inputs=(port("x", (2, 3, 4, 5), 0, (0, 2, 3, 1)),),
        outputs=(port("same", (2, 3, 4, 5), 1024, (0, 2, 3, 1)), port("stored", (2, 4, 5, 3), 1024)),
    )
    outputs = run(built, {"x": values.astype(np.float64)})
    np.testing.assert_array_equal(outputs["same"], values)
    np.testing.assert_array_equal(outputs["stored"], values.transpose(0, 2, 3, 1))
    assert outputs["same"].flags.c_contiguous
    assert outputs["same"].dtype == np.float32


def test_weights_lie_at_0_and_are_used_in_place(program: Build) -> None:
    weights = np.arange(8, dtype=np.float32)
    text = "load <8> nram 0x0 {4} = dram 0x0 {4}\nstore <8> dram 0x40 {4} = nram 0x0 {4}\nend"
    built = program(text, weights=weights, outputs=(port("z", (8,), 64),))
    interpreter = Interpreter(built)
    np.testing.assert_array_equal(interpreter.run({})["z"], weights)
    assert np.shares_memory(interpreter.state.memories[0].segments["dram"][0].data, weights)


def test_every_run_begins_with_empty_memories(program: Build) -> None:
    text = """
        vadd <1> nram 0x0 {4} = nram 0x0 {4}, #1
        load <1> nram 0x4 {4} = dram 0x8 {4}
        store <2> dram 0x4 {4} = nram 0x0 {4}
        end"""
    built = program(text, outputs=(port("z", (2,), 4),))
    interpreter = Interpreter(built)
    for _ in range(2):
        np.testing.assert_array_equal(interpreter.run({})["z"], [1, 0])


def test_arithmetic_traps_nothing(program: Build) -> None:
    text = """
        vdiv <1> nram 0x0 {4} = #0, #0
        vexp <1> nram 0x4 {4} = #1000
        vlog <1> nram 0x8 {4} = #0
        vmax <1> nram 0xc {4} = nram 0x0 {4}, #0
        store <4> dram 0x0 {4} = nram 0x0 {4}
        end"""
    built = program(text, outputs=(port("z", (4,), 0),))
    np.testing.assert_array_equal(run(built, {})["z"], [np.nan, np.inf, -np.inf, np.nan])


def test_progress_tells_each_layer_when_it_is_done(program: Build) -> None:
    layers = (Layer("a", "x", 0, 4, 0, 0), Layer("alias", "x", 4, 4, 0, 0), Layer("b", "x", 4, 5, 0, 0))
    done: list[str] = []
    built = program("loop 2\nfill <1> nram 0x0 {4} = #0\nendloop\nsync\nsync\nend", layers=layers)
    run(built, {}, lambda layer: done.append(layer.name))
    assert done == ["a", "alias", "b"]


def test_inputs_must_be_all_there_and_fit(program: Build) -> None:
    built = program("end", inputs=(port("x", (3, 4), 0),))
    with pytest.raises(SimulationError) as caught:
        run(built, {"y": X})
    assert str(caught.value) == "the inputs must be ['x'], not ['y']; give every one by its name"
    with pytest.raises(SimulationError) as caught:
        run(built, {"x": X.T})
    assert str(caught.value) == "the input 'x' must have shape (3, 4), not (4, 3); reshape it"


def test_a_program_too_long_to_run_is_refused(program: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "MAX_INSTRUCTIONS", 20)
    text = "loop 9\nfill <1> nram 0x0 {4} = #0\nendloop\nend"
    run(program(text), {})
    with pytest.raises(SimulationError) as caught:
        run(program(text.replace("9", "10")), {})
    assert str(caught.value) == (
        "a program must execute at most 20 instructions to be run for its values, not 22; simulate its time alone"
    )
