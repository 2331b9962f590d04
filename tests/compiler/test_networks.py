"""Small networks of the kinds that people use: the simulated processor's values equal NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilework.compiler.ahead import plain_home
from tilework.compiler.pipeline import compile_graph
from tilework.compiler.relocate import Relocator, lower_part
from tilework.executable import compile_network
from tilework.frontend.weight_files import seeded
from tilework.isa.table import OPCODES
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.functions import FUNCTIONS
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.graph_text import parse_graph

Small = Callable[..., Machine]
Array = np.ndarray[Any, Any]

SEQUENCE, WIDTH, HEADS, SHARED, FEATURES, VOCABULARY = 6, 16, 4, 2, 4, 11  # of the decoder; 2 heads share a key


def check(graph: Graph, machine: Machine, inputs: dict[str, Array], tolerance: float = 2e-5) -> None:
    executable = compile_network(graph, machine)
    expected = execute(graph, seeded(graph), inputs)
    for name, values in executable.run(**inputs).items():
        np.testing.assert_allclose(values, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("nram", [700, 1 << 14])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function(function: str, nram: int, small: Small) -> None:
    """Behind a sum, whose tile it may take; on positive numbers of which some are equal, and some 0."""
    arguments = ["x0", "x1", "x2"][: FUNCTIONS[function].arity]
    call = f"{function}({', '.join(arguments)})"
    if (infix := FUNCTIONS[function].infix) is not None:
        call = f" {infix} ".join(arguments)
    text = (
        "graph g\ninput a float32[3,4,5]\ninput b float32[5]\ninput c float32[4,1]\n"
        f's = add(a, b)\ny = pointwise({", ".join(["s", "c", "b"][: len(arguments)])}, body="{call}")\noutput y\n'
    )
    generator = np.random.default_rng(1)
    shapes = {"a": (3, 4, 5), "b": (5,), "c": (4, 1)}
    inputs = {name: generator.integers(0, 3, shape).astype(np.float32) for name, shape in shapes.items()}
    check(parse_graph(text), small(nram), inputs)


@pytest.mark.parametrize("order", ["m, x, y", "x, m, y", "y, x, m", "x, y, x", "m, m, m"])
def test_a_choice_may_take_the_place_of_any_operand(order: str, small: Small) -> None:
    text = (
        "graph g\ninput x float32[6,7]\ninput y float32[6,7]\ninput m bool[6,7]\nparameter w float32[7,7]\n"
        f'l = linear(x, w)\nz = pointwise({order.replace("x", "l")}, body="select(x0, x1, x2)") as float32\noutput z\n'
    )
    inputs = {"x": normal(6, 7), "y": normal(6, 7, seed=1), "m": normal(6, 7, seed=2) > 0}
    graph = parse_graph(text)
    executable = compile_network(graph, small())
    expected = execute(graph, seeded(graph), {name: inputs[name] for name in inputs})["z"]
    np.testing.assert_allclose(executable.run(**inputs)["z"], expected, rtol=1e-5, atol=1e-5)


def test_gelu(small: Small) -> None:
    text = (
        "graph g\ninput x float32[5,8]\nparameter w float32[12,8]\nparameter v float32[3,12]\nh = linear(x, w)\n"
        'g = pointwise(h, body="0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))")\ny = linear(g, v)\noutput y\n'
    )
    check(parse_graph(text), small(), {"x": normal(5, 8)})


def test_lstm(small: Small) -> None:
    """Two steps of a cell of 4 units: gates from one product, cut apart."""
    b = GraphBuilder("lstm")
    steps = [b.input(f"x{t}", (2, 3)) for t in range(2)]
    h, c = b.input("h", (2, 4)), b.input("c", (2, 4))
    w, u, bias = b.weight("w", (16, 3)), b.weight("u", (16, 4)), b.weight("bias", (16,))
    for t, x in enumerate(steps):
        gates = b.node(f"gates{t}", "add", b.node(f"i{t}", "linear", x, w, bias), b.node(f"r{t}", "linear", h, u))
        cut = [b.node(f"cut{t}{n}", "slice", gates, axis=1, start=4 * n, size=4) for n in range(4)]
        i, f, o = (b.node(f"gate{t}{n}", "sigmoid", cut[n]) for n in (0, 1, 3))
        kept = b.node(f"kept{t}", "mul", f, c)
        c = b.node(f"c{t}", "add", kept, b.node(f"new{t}", "mul", i, b.node(f"g{t}", "tanh", cut[2])))
        h = b.node(f"h{t}", "mul", o, b.node(f"t{t}", "tanh", c))
    inputs = {"x0": normal(2, 3), "x1": normal(2, 3, seed=1), "h": normal(2, 4, seed=2), "c": normal(2, 4, seed=3)}
    check(b.graph(h, c), small(), inputs)


def decoder(layers: int) -> Graph:
    """A decoder as of Llama: rotary positions, keys shared by heads, a causal mask, a gated feed-forward part."""
    b = GraphBuilder("decoder")
    ids, table = b.input("ids", (1, SEQUENCE), "int64"), b.weight("table", (VOCABULARY, WIDTH))
    x = b.node("e", "host", ids, table, what="embedding", shape=(1, SEQUENCE, WIDTH), dtype="float32")
    places = b.node("places", "host", what="constant", shape=(SEQUENCE,), sequence=(0, 1), dtype="int64")
    rows = b.node("rows", "reshape", places, shape=(SEQUENCE, 1))
    mask = b.node("mask", "pointwise", places, rows, body="select(less(x1, x0), -1e30, 0)", dtype="float32")
    half = b.node("turns", "mul", b.node("p", "pointwise", rows, dtype="float32"), b.weight("frequency", (2,)))
    turns = b.node("both", "concat", half, half, axis=1)
    turn = [b.node(name, "pointwise", turns, body=f"{name}(x0)") for name in ("cos", "sin")]
    for layer in range(layers):
        x = _layer(b, f"l{layer}", x, mask, turn)
    return b.graph(b.node("y", "linear", _norm(b, "norm", x), b.weight("head", (VOCABULARY, WIDTH))))


def _layer(b: GraphBuilder, n: str, x: str, mask: str, turn: list[str]) -> str:
    normed = _norm(b, f"{n}.before", x)
    heads = {"q": HEADS, "k": SHARED, "v": SHARED}
    parts = {}
    for p, count in heads.items():
        part = b.node(f"{n}.{p}", "linear", normed, b.weight(f"{n}.w{p}", (count * FEATURES, WIDTH)))
        part = b.node(f"{n}.{p}r", "reshape", part, shape=(1, SEQUENCE, count, FEATURES))
        parts[p] = b.node(f"{n}.{p}t", "transpose", part, order=(0, 2, 1, 3))
    q, k = (_turned(b, f"{n}.{p}", parts[p], turn) for p in "qk")
    k, v = (_repeated(b, f"{n}.{p}", part) for p, part in (("k", k), ("v", parts["v"])))
    scores = b.node(f"{n}.scores", "matmul", q, k, transpose_y=True)
    masked = b.node(f"{n}.masked", "add", b.node(f"{n}.scaled", "pointwise", scores, body="x0 * 0.5"), mask)
    mixed = b.node(f"{n}.mixed", "matmul", b.node(f"{n}.shares", "softmax", masked), v)
    joined = b.node(
        f"{n}.j", "reshape", b.node(f"{n}.jt", "transpose", mixed, order=(0, 2, 1, 3)), shape=(1, SEQUENCE, WIDTH)
    )
    x = b.node(f"{n}.first", "add", x, b.node(f"{n}.o", "linear", joined, b.weight(f"{n}.wo", (WIDTH, WIDTH))))
    normed = _norm(b, f"{n}.behind", x)
    gate = b.node(f"{n}.gate", "linear", normed, b.weight(f"{n}.wg", (24, WIDTH)))
    gate = b.node(f"{n}.silu", "pointwise", gate, body="x0 / (1 + exp(0 - x0))")
    up = b.node(f"{n}.gated", "mul", gate, b.node(f"{n}.up", "linear", normed, b.weight(f"{n}.wu", (24, WIDTH))))
    return b.node(f"{n}.second", "add", x, b.node(f"{n}.down", "linear", up, b.weight(f"{n}.wd", (WIDTH, 24))))


def _norm(b: GraphBuilder, n: str, x: str) -> str:
    return b.node(n, "rms_norm", x, b.weight(f"{n}.weight", (WIDTH,)), epsilon=1e-6)


def _turned(b: GraphBuilder, n: str, x: str, turn: list[str]) -> str:
    low, high = (b.node(f"{n}.half{start}", "slice", x, axis=3, start=start, size=2) for start in (0, 2))
    other = b.node(f"{n}.other", "concat", b.node(f"{n}.minus", "pointwise", high, body="0 - x0"), low, axis=3)
    return b.node(
        f"{n}.turned", "add", b.node(f"{n}.cos", "mul", x, turn[0]), b.node(f"{n}.sin", "mul", other, turn[1])
    )


def _repeated(b: GraphBuilder, n: str, x: str) -> str:
    apart = b.node(f"{n}.apart", "reshape", x, shape=(1, SHARED, 1, SEQUENCE, FEATURES))
    whole = b.node(f"{n}.whole", "expand", apart, shape=(1, SHARED, HEADS // SHARED, SEQUENCE, FEATURES))
    return b.node(f"{n}.all", "reshape", whole, shape=(1, HEADS, SEQUENCE, FEATURES))


@pytest.mark.parametrize(("nram", "wram"), [(1200, 600), (1 << 14, 1 << 14)])
def test_a_decoder(nram: int, wram: int, small: Small) -> None:
    graph = decoder(2)
    ids = np.random.default_rng(4).integers(0, VOCABULARY, (1, SEQUENCE))
    check(graph, small(nram, wram), {"ids": ids})
    bundle = compile_network(graph, small(nram, wram)).bundle
    assert bundle.host_operations[0] == "embedding e: is not affine"
    (program,) = bundle.programs
    used = {instruction.mnemonic for instruction in program.instructions}
    assert {"contract", "vsigmoid", "vexp", "rmax", "rsum"} <= used
    assert not {"vsin", "vcos", "vless", "vwhere"} & used  # positions and the mask are constants


def test_what_stands_many_times_is_lowered_once(small: Small) -> None:
    """Moved code equals code that is lowered at its own place."""
    compilation, once = (compile_graph(g, seeded(g), small(2000, 1000)) for g in (decoder(3), decoder(1)))
    relocator = Relocator()
    for place, work in enumerate(compilation.works):
        packed = {i: address for (group, _, i), address in compilation.dram.packed.items() if group == place}
        (part,) = work.parts
        moved = relocator.code(part, plain_home(part), compilation.dram.plain, packed, None)
        assert moved == lower_part(part, plain_home(part), compilation.dram.plain, packed)
    assert len(relocator.known) <= len(once.works) < len(compilation.works) / 2


def test_functions_are_named_as_in_the_table() -> None:
    vector = {row.function for row in OPCODES.values() if row.form == "vector"}
    assert FUNCTIONS.keys() - vector == {"select"}
