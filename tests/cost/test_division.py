"""What a device computes from its own parts, by numbers: what isn't there is NaN, or zero where parts are added up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import tilework as tw
from tilework.cost.division import FREE_WEIGHT, SPLIT, Division, State, divide, reshaped_axis, split_loop
from tilework.cost.sharding import shard
from tilework.network.graph import Graph, Node
from tilework.network.nest import Affine

Array = npt.NDArray[np.float64]


def block(heads: int = 4, shared: int = 2, size: int = 3, positions: int = 5) -> Graph:
    """A transformer's layer with fewer keys than queries, after whose attention comes a gated product."""
    g = tw.GraphBuilder("block")
    width, batch = heads * size, 2
    x = g.input("x", (batch, positions, width))

    def linear(name: str, value: str, inputs: int, outputs: int, bias: bool = False) -> str:
        weights = [g.weight(f"{name}.w", (outputs, inputs)), *([g.weight(f"{name}.b", (outputs,))] if bias else [])]
        return g.node(name, "linear", value, *weights)

    normed = g.node("norm", "layer_norm", x, g.weight("norm.w", (width,)), g.weight("norm.b", (width,)))
    parts = {}
    for part, number in (("q", heads), ("k", shared), ("v", shared)):
        value = linear(part, normed, width, number * size, bias=part == "q")
        value = g.node(f"{part}.heads", "reshape", value, shape=(batch, positions, number, size))
        value = g.node(f"{part}.turned", "transpose", value, order=(0, 2, 1, 3))
        if number < heads:
            value = g.node(f"{part}.apart", "reshape", value, shape=(batch, number, 1, positions, size))
            value = g.node(f"{part}.shared", "expand", value, shape=(batch, number, heads // number, positions, size))
            value = g.node(f"{part}.all", "reshape", value, shape=(batch, heads, positions, size))
        parts[part] = value
    scores = g.node("scores", "matmul", parts["q"], parts["k"], transpose_y=True)
    mixed = g.node("mixed", "matmul", g.node("softmax", "softmax", scores), parts["v"])
    flat = g.node(
        "flat", "reshape", g.node("back", "transpose", mixed, order=(0, 2, 1, 3)), shape=(batch, positions, width)
    )
    value = g.node("add", "add", x, linear("out", flat, width, width, bias=True))
    gated = g.node(
        "gated", "mul", g.node("relu", "relu", linear("gate", value, width, 8)), linear("up", value, width, 8)
    )
    return g.graph(g.node("sum", "add", value, linear("down", gated, 8, width)))


def images() -> Graph:
    """Convolutions, one of them of each channel alone, with a normalisation and pooling between."""
    g = tw.GraphBuilder("images")
    value = g.input("x", (1, 3, 8, 8))
    value = g.node("one", "conv2d", value, g.weight("one.w", (4, 3, 3, 3)), g.weight("one.b", (4,)), padding=(1, 1))
    norms = [g.weight(f"norm.{i}", (4,)) for i in range(4)]
    value = g.node("norm", "batch_norm", value, *norms)
    value = g.node("apart", "conv2d", value, g.weight("apart.w", (4, 1, 3, 3)), groups=4, padding=(1, 1))
    value = g.node("pool", "max_pool2d", value, kernel=(2, 2))
    value = g.node("two", "conv2d", value, g.weight("two.w", (6, 4, 1, 1)))
    return g.graph(g.node("last", "linear", g.node("flat", "flatten", value), g.weight("last.w", (2, 96))))


def part(array: Array, axis: int | None, device: int, ways: int, other: float) -> Array:
    """The array with `other` wherever a device of those that split it on an axis holds nothing."""
    if axis is None:
        return array
    found = np.full_like(array, other)
    here = [slice(None)] * array.ndim
    here[axis] = slice(device * array.shape[axis] // ways, (device + 1) * array.shape[axis] // ways)
    found[tuple(here)] = array[tuple(here)]
    return found


def run(graph: Graph, node: Node, values: dict[str, Array]) -> Array:
    """One node on given values."""
    g = tw.GraphBuilder("alone")
    names = {name: g.input(f"in{i}", values[name].shape, "float64") for i, name in enumerate(node.inputs)}
    g.nodes.append(Node("out", node.operation, tuple(names[n] for n in node.inputs), node.attributes, "", "float64"))
    inputs = {names[name]: values[name] for name in names}
    return np.asarray(tw.execute(g.graph("out"), {}, inputs)["out"])


@pytest.mark.parametrize("graph", [block(), block(4, 4), images()], ids=lambda graph: str(graph.name))
def test_every_device_has_what_it_needs(graph: Graph) -> None:
    """Each device's part of each value comes out of its own parts; what is reduced is the sum over devices."""
    ways, rng = 2, np.random.default_rng(3)
    sharding = shard(graph, ways)
    values = {t.name: rng.normal(size=t.shape) ** 2 + 0.5 for t in graph.sources}
    split = 0
    for node in graph.nodes:
        division = sharding.divisions[node.name]
        values[node.name] = whole = run(graph, node, values)
        split += bool(division.loops)
        added = np.zeros_like(whole)
        for device in range(ways):
            other = 0.0 if division.reduced else np.nan
            held = {
                name: part(values[name], axis, device, ways, other)
                for name, axis in zip(node.inputs, division.axes, strict=True)
            }
            biased = len(node.inputs) == 3 and bool(division.reduced) and device
            with np.errstate(invalid="ignore"):
                found = run(graph, node, {**held, **({node.inputs[2]: 0 * held[node.inputs[2]]} if biased else {})})
            if division.reduced:
                added += found
            else:
                mine = part(whole, division.axis, device, ways, np.nan)
                places = ~np.isnan(mine)
                np.testing.assert_allclose(found[places], mine[places], err_msg=node.name)
        if division.reduced:
            np.testing.assert_allclose(added, whole, err_msg=node.name)
    assert split >= 6


def test_a_transformer_is_split_as_megatron_lm_does() -> None:
    sharding = shard(block(), 2)
    assert {name: sharding.axes[name] for name in ("q.w", "k.w", "v.w", "gate.w", "up.w", "q.b")} == dict.fromkeys(
        ("q.w", "k.w", "v.w", "gate.w", "up.w", "q.b"), 0
    )
    assert (sharding.axes["out.w"], sharding.axes["down.w"]) == (1, 1)
    assert "norm.w" not in sharding.axes
    assert "out.b" not in sharding.axes
    assert {name: [(one.kind, one.elements) for one in told] for name, told in sharding.exchanges.items()} == {
        "out": [("all-reduce", 2 * 5 * 12)],
        "down": [("all-reduce", 2 * 5 * 12)],
    }
    assert {name: [one.tensor for one in told] for name, told in sharding.returns.items()} == {
        "q": ["norm"],
        "gate": ["add"],
    }
    assert sharding.whole == ()


def test_what_no_loop_divides_stays_whole() -> None:
    sharding = shard(block(heads=4, shared=2, size=3), 5)
    assert not sharding.axes
    assert not sharding.exchanges
    assert sharding.whole == ("q", "k", "v", "out", "gate", "up", "down")
    assert sum(d.macs for d in sharding.divisions.values()) == tw.count(block()).total.macs


def test_a_lookup_adds_up_what_each_devices_rows_give() -> None:
    g = tw.GraphBuilder("lookup")
    ids, table = g.input("ids", (1, 3), "int64"), g.weight("table", (10, 4))
    value = g.node("rows", "host", ids, table, what="embedding", shape=(1, 3, 4), dtype="float32")
    sharding = shard(g.graph(g.node("logits", "linear", value, table)), 2)
    assert sharding.axes == {"table": 0, "logits": 2}
    assert [(one.kind, one.elements) for one in sharding.exchanges["rows"]] == [("all-reduce", 12)]
    assert "logits" not in sharding.exchanges


@pytest.mark.parametrize(
    ("old", "new", "axis", "ways", "expected"),
    [
        ((2, 5, 12), (2, 5, 4, 3), 2, 2, 2),
        ((2, 5, 12), (2, 5, 3, 4), 2, 2, 3),  # three parts, each split
        ((2, 5, 4, 3), (2, 5, 12), 2, 2, 2),
        ((2, 5, 4, 3), (2, 5, 12), 3, 3, None),  # the inner of two that become one
        ((1, 4, 1, 6), (1, 1, 24), 1, 4, 2),
        ((2, 3), (6,), 1, 3, None),
        ((6, 4), (24,), 0, 3, 0),
        ((8, 1), (8,), 0, 4, 0),
        ((6,), (2, 3), 0, 4, None),
    ],
)
def test_axes_through_reshapes(
    old: tuple[int, ...], new: tuple[int, ...], axis: int, ways: int, expected: int | None
) -> None:
    assert reshaped_axis(old, new, axis, ways) == expected


def test_the_loop_that_is_split() -> None:
    extents = {"g": 2, "c": 6, "p": 8, "r": 3, "one": 1}
    index = Affine((("g", 6), ("c", 1)))
    assert [split_loop(index, extents, ways) for ways in (2, 3, 4)] == ["g", "c", None]
    assert split_loop(Affine((("p", 1), ("r", 1)), -1), extents, 2) is None  # windows overlap
    assert split_loop(Affine((("p", 1),), 16), extents, 2) == "p"
    assert split_loop(Affine((("one", 8), ("p", 1))), extents, 4) == "p"
    assert split_loop(Affine((), 3), extents, 2) is None


def test_operands_that_do_not_go_together_are_made_whole() -> None:
    """A product of rows [4,6] and [6,8], one split on what is summed and the other on its columns."""
    states = (State(SPLIT, 1), State(SPLIT, 1))
    assert divide("matmul", ((4, 6), (6, 8)), (), states, 2) == Division(
        (None, 1), (1.0, 0.5), 1, 0.5, 96.0, ("n",), gathered=(0,), partial=(0,)
    )


def test_a_sum_over_a_split_axis_needs_it_whole() -> None:
    division = divide("softmax", ((4, 6),), (), (State(SPLIT, 1),), 2)
    assert (division.gathered, division.axis, division.reduced) == ((0,), None, ())
    kept = divide("softmax", ((4, 6),), (), (State(SPLIT, 0),), 2)
    assert (kept.gathered, kept.axis, kept.shares) == ((), 0, (0.5,))


def test_a_weight_is_split_over_its_own_loop() -> None:
    division = divide("linear", ((3, 6), (8, 6), (8,)), (), (State(), State(FREE_WEIGHT), State(FREE_WEIGHT)), 4)
    assert division == Division((None, 0, 0), (1.0, 0.25, 0.25), 1, 0.25, 3 * 6 * 8 / 4, ("k",), partial=(0,))
