"""Formulas against the counts at other sizes, against closed forms by hand, and where there is none."""

import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.cost.count import Count, count
from tilework.cost.formula import Formulas, formulas
from tilework.cost.polynomial import Polynomial
from tilework.cost.record import INTEGERS, Row
from tilework.errors import NetworkError
from tilework.frontend.resolve import resolve
from tilework.network.graph import Graph, GraphBuilder

N, H, W, S = map(Polynomial.symbol, "NHWS")
CountAt = Callable[[dict[str, int]], Count]


def counting(name: str, **options: Any) -> CountAt:
    """The counts of a network of the zoo at a batch N and at pictures of H x W."""
    usual = resolve(name).inputs[0].shape[1:]

    def count_at(sizes: dict[str, int]) -> Count:
        shape = (usual[0], *(sizes.get(symbol, size) for symbol, size in zip("HW", usual[1:], strict=False)))
        return count(resolve(name, sizes.get("N"), [shape]), **options)

    return count_at


def made(function: Callable[..., int]) -> CountAt:
    """A count of one row whose MACs are a function of the sizes, in their order."""
    return lambda sizes: Count("net", (Row(name="a", operation="op", macs=function(*sizes.values())),), 0)


def numbers(counted: Count) -> dict[str, int]:
    total = counted.total
    fields = {name: getattr(total, name) for name in INTEGERS}
    return fields | total.other_operations | {"neurons_with_input": counted.neurons_with_input}


def attention(batch: int, length: int, channels: int = 8) -> Graph:
    """softmax(q k^T) v for a sequence of `length` tokens."""
    g = GraphBuilder("attention")
    x = g.input("x", (batch, length, channels))
    q, k, v = (g.node(name, "linear", x, g.weight(f"{name}.weight", (channels, channels))) for name in "qkv")
    scores = g.node("scores", "matmul", q, k, transpose_y=True)
    return g.graph(g.node("mixed", "matmul", g.node("weights", "softmax", scores), v))


def perceptron(batch: int) -> Graph:
    g = GraphBuilder("mlp")
    value = g.input("x", (batch, 33))
    for i, (inputs, outputs) in enumerate(pairwise((33, 512, 10))):
        weights = g.weight(f"w{i}", (outputs, inputs)), g.weight(f"b{i}", (outputs,))
        value = g.node(f"fc{i}", "linear", value, *weights)
    return g.graph(value)


NETWORKS: dict[str, tuple[CountAt, dict[str, int]]] = {
    "mlp": (counting("mlp"), {"N": 1}),
    "lenet5": (counting("lenet5"), {"N": 1}),
    "alexnet": (counting("alexnet"), {"N": 1}),
    "alexnet, unpadded": (counting("alexnet", padding_zeros=False), {"N": 2}),
    "vgg11": (counting("vgg11"), {"N": 1, "H": 224, "W": 224}),
    "resnet18": (counting("resnet18"), {"N": 1, "H": 224, "W": 224}),
    "resnet18, odd and unpadded": (counting("resnet18", padding_zeros=False), {"H": 225, "W": 227}),
    "attention": (lambda sizes: count(attention(sizes["N"], sizes["S"])), {"N": 1, "S": 16}),
}


@cache
def found(name: str) -> Formulas:
    """The formulas of one of NETWORKS, found once for all tests."""
    return formulas(*NETWORKS[name])


@settings(max_examples=8, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", NETWORKS)
def test_formulas_are_the_counts_at_other_sizes(name: str, data: st.DataObject) -> None:
    count_at, f = NETWORKS[name][0], found(name)
    domain = data.draw(st.sampled_from(f.domains))
    sizes = {c.symbol: c.size(data.draw(st.integers(0, 40))) for c in domain.conditions}
    expected = numbers(count_at(sizes))
    holding = {key: formula for key, formula in f.totals.items() if formula.domain == domain}
    assert {key: formula.at(**sizes) for key, formula in holding.items()} == {k: expected.get(k, 0) for k in holding}
    if domain == f.domains[0]:
        assert f.at(**sizes) == {key: expected.get(key, 0) for key in f.at(**sizes)}
    assert {key for key, value in expected.items() if value} <= f.totals.keys()


@settings(max_examples=4, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", ["lenet5", "resnet18", "attention"])
def test_rows_are_the_counts_of_the_layers(name: str, data: st.DataObject) -> None:
    count_at, f = NETWORKS[name][0], found(name)
    sizes = {c.symbol: c.size(data.draw(st.integers(0, 20))) for c in f.domains[0].conditions}
    counted = count_at(sizes)
    assert [(row.name, row.operation) for row in f.rows] == [(row.name, row.operation) for row in counted.rows]
    for row, expected in zip(f.rows, counted.rows, strict=True):
        values = {key: number.at(**sizes) for key, number in row.numbers.items()}
        fields = {key: getattr(expected, key) for key in INTEGERS}
        assert values == dict.fromkeys(values, 0) | fields | expected.other_operations
        assert row.output_shape is not None
        assert tuple(size.at(**sizes) for size in row.output_shape) == expected.output_shape


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "attention"])
def test_rows_sum_to_the_totals(name: str) -> None:
    f = found(name)
    for key in (*INTEGERS, "exp", "division"):
        rows = (row.numbers[key].polynomial for row in f.rows if key in row.numbers)
        assert sum(rows, Polynomial.constant(0)) == f.totals[key].polynomial


def test_a_perceptron_by_hand() -> None:
    f = formulas(lambda sizes: count(perceptron(sizes["N"])), {"N": 1})
    products = (33 * 512 + 512 * 10) * N
    totals = {name: formula.polynomial for name, formula in f.totals.items()}
    assert totals["multiplications"] == totals["additions"] == totals["macs"] == products
    assert str(totals["macs"]) == "22016*N"
    assert totals["neurons"] == 522 * N
    assert totals["neurons_with_input"] == 555 * N
    assert totals["parameters"] == 22_538
    assert totals["activation_bytes"] == 4 * 522 * N
    assert "exp" not in totals


def convolution(sizes: dict[str, int], padding_zeros: bool = True) -> Count:
    """The convolution of the counting page on pictures of H x W."""
    g = GraphBuilder("convolution")
    x = g.input("x", (1, 2, sizes["H"], sizes["W"]))
    weights = g.weight("w", (3, 2, 3, 3)), g.weight("b", (3,))
    graph = g.graph(g.node("y", "conv2d", x, *weights, stride=(2, 2), padding=(1, 1)))
    return count(graph, padding_zeros=padding_zeros)


def test_the_convolution_of_the_counting_page() -> None:
    f = formulas(convolution, {"H": 5, "W": 5})
    assert 4 * f.totals["macs"].polynomial == 18 * 3 * (H + 1) * (W + 1)
    assert 4 * f.totals["additions"].polynomial == 18 * 3 * (H + 1) * (W + 1)
    assert f.at(H=5, W=5)["macs"] == 486
    assert [str(domain) for domain in f.domains] == ["H = 2*k + 1; W = 2*k + 1"]


def test_the_same_without_padding_zeros() -> None:
    """Along an odd axis of H = 2k + 1 places, k + 1 windows of three read the 3k + 1 that are inside."""
    f = formulas(lambda sizes: convolution(sizes, padding_zeros=False), {"H": 5, "W": 5})
    assert 4 * f.totals["macs"].polynomial == 6 * (3 * H - 1) * (3 * W - 1)
    assert f.at(H=5, W=5)["macs"] == 294


def test_vgg19_layer_by_layer() -> None:
    """A 3 x 3 convolution of C to K channels has 9*C*K products a place, and places are quartered by each pooling."""
    f = formulas(counting("vgg19"), {"N": 1, "H": 224, "W": 224})
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    halvings = [0] * 2 + [1] * 2 + [2] * 4 + [3] * 4 + [4] * 4
    per_place = sum(9 * a * b * 4 ** (4 - h) for (a, b), h in zip(pairwise([3, *widths]), halvings, strict=True))
    dense = 25_088 * 4096 + 4096 * 4096 + 4096 * 1000
    assert f.totals["macs"].polynomial * 4**4 == (per_place * N * H * W) + (4**4 * dense * N)
    assert f.totals["parameters"].polynomial == 143_667_240
    assert str(f.totals["macs"].domain) == "N any size; H a multiple of 32; W a multiple of 32"
    # Averages over single values at 224 x 224 take no multiplication; the windows are even at multiples of 7.
    assert "multiplications" not in f.at(N=1, H=224, W=224)
    assert f.totals["multiplications"].at(N=1, H=224, W=448) == f.totals["macs"].at(N=1, H=224, W=448) + 49 * 512
    assert str(f.totals["additions"].domain) == "N any size; H a multiple of 224; W a multiple of 224"


def test_attention_by_hand() -> None:
    f = found("attention")
    totals = {name: formula.polynomial for name, formula in f.totals.items()}
    assert totals["macs"] == 3 * 64 * N * S + 2 * 8 * N * S * S
    assert totals["exp"] == totals["division"] == N * S * S
    assert totals["comparison"] == N * S * (S - 1)
    assert str(totals["macs"]) == "16*N*S^2 + 192*N*S"
    assert str(f.domains[0]) == "N any size; S any size"


@settings(max_examples=15, deadline=None)
@given(st.data())
@pytest.mark.parametrize("odd", [1, 3, 7])
def test_periods_are_found(odd: int, data: st.DataObject) -> None:
    """Sums of products of floors, which is what the extents of strided layers are."""
    periods = st.sampled_from([odd * 2**i for i in range(6)] + [2**i for i in range(6)])
    terms = data.draw(st.lists(st.tuples(st.integers(1, 9), periods, periods), min_size=1, max_size=3))
    shift, power = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 2))
    start = {"H": data.draw(st.integers(32, 300)), "W": data.draw(st.integers(32, 300))}

    def macs(height: int, width: int) -> int:
        return sum(a * ((height + shift) // p) ** power * (width // q + 1) for a, p, q in terms)

    f = formulas(made(macs), start)
    formula = f.totals["macs"]
    assert formula.at(**start) == macs(*start.values())
    sizes = {c.symbol: c.size(data.draw(st.integers(0, 1000))) for c in formula.domain.conditions}
    assert formula.at(**sizes) == macs(*sizes.values())
    assert formula.polynomial.degree("H") == power


def test_a_window_ends_the_range() -> None:
    f = formulas(made(lambda s: s * min(s, 96)), {"S": 16})
    assert f.totals["macs"].polynomial == S * S
    assert str(f.domains[0]) == "S up to 96"
    f = formulas(made(lambda s: s * min(s, 96)), {"S": 128})
    assert f.totals["macs"].polynomial == 96 * S
    assert str(f.domains[0]) == "S from 96"


def test_a_network_that_takes_no_long_input() -> None:
    def count_at(sizes: dict[str, int]) -> Count:
        if sizes["S"] > 512:
            raise NetworkError("position 512 must be below 512")
        return made(lambda s: s**2)(sizes)

    f = formulas(count_at, {"S": 512})
    assert (f.totals["macs"].polynomial, str(f.domains[0])) == (S * S, "S up to 512")


def test_a_network_that_takes_no_small_input() -> None:
    def count_at(sizes: dict[str, int]) -> Count:
        if sizes["H"] < 30:
            raise NetworkError("H must be at least 30")
        return made(lambda h: h // 4)(sizes)

    f = formulas(count_at, {"H": 1})
    assert (str(f.totals["macs"]), str(f.domains[0])) == ("1/4*H", "H a multiple of 4 from 32")


def test_a_network_that_takes_only_multiples() -> None:
    def count_at(sizes: dict[str, int]) -> Count:
        if sizes["H"] % 48:
            raise NetworkError("H must be a multiple of 48")
        return made(lambda h: h)(sizes)

    assert str(formulas(count_at, {"H": 96}).domains[0]) == "H a multiple of 48"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"N": 1, "H": 200, "W": 224}, "the formula holds for H a multiple of 32, such as 192 or 224, not for 200"),
        ({"N": 1, "H": 224, "W": 32}, "the formula holds for W a multiple of 32 from 64, such as 64, not for 32"),
        ({"N": 0, "H": 224, "W": 64}, "the formula holds for N any size, such as 1, not for 0"),
        ({"N": 1}, "sizes must be given for N, H, W, not for N"),
        ({}, "sizes must be given for N, H, W, not for none"),
    ],
)
def test_sizes_that_a_formula_does_not_hold_for(sizes: dict[str, int], message: str) -> None:
    f = found("resnet18")
    for at in (f.at, f.totals["macs"].at):
        with pytest.raises(NetworkError) as raised:
            at(**sizes)
        assert str(raised.value) == message


def test_sizes_on_either_side_of_the_range() -> None:
    f = formulas(made(lambda s: (s // 4) * min(s, 1000)), {"S": 17})
    assert str(f.domains[0]) == "S = 4*k + 1 up to 997"
    for size, nearest in ((0, "1"), (4, "1 or 5"), (999, "997"), (2000, "997")):
        with pytest.raises(NetworkError, match=rf", such as {nearest}, not for {size}$"):
            f.at(S=size)


@pytest.mark.parametrize("function", [lambda s: s.bit_length(), lambda s: s**7, lambda s: s // 11])
def test_counts_that_are_no_polynomials(function: Callable[[int], int]) -> None:
    with pytest.raises(NetworkError) as raised:
        formulas(made(function), {"S": 7})
    assert str(raised.value) == (
        "a formula needs counts that are polynomials, and the macs of net around S = 7 are none of degree up to 6; "
        "give numbers instead of symbols"
    )


def test_a_size_that_cannot_be_another() -> None:
    with pytest.raises(NetworkError) as raised:
        formulas(counting("lenet5"), {"N": 1, "H": 28})
    assert str(raised.value) == (
        "a formula in H needs other sizes than 28, but lenet5 refuses 284: node fc1: linear with weight [120, 400] "
        "must get 400 features, not 5520; give H as a number"
    )


def test_sizes_that_are_refused_from_the_start() -> None:
    def count_at(sizes: dict[str, int]) -> Count:
        raise NetworkError(f"S must not be {sizes['S']}")

    with pytest.raises(NetworkError) as raised:
        formulas(count_at, {"S": 5})
    assert str(raised.value) == "S must not be 5"
    with pytest.raises(NetworkError) as raised:
        formulas(count_at, {"S": 0})
    assert str(raised.value) == "the size of S must be at least 1, not 0"


def layered(groups: Callable[[int], int]) -> CountAt:
    """A module of so many layers, and one layer more."""

    def count_at(sizes: dict[str, int]) -> Count:
        rows = [Row(name=f"m.{i}", operation="op", module="m", macs=sizes["S"]) for i in range(groups(sizes["S"]))]
        return Count("net", (*rows, Row(name="last", operation="op", macs=1)), 0)

    return count_at


def test_rows_that_differ_from_size_to_size_are_put_together() -> None:
    f = formulas(layered(lambda s: 2), {"S": 4})
    assert [row.name for row in f.rows] == ["m.0", "m.1", "last"]
    f = formulas(layered(lambda s: s), {"S": 4})
    assert [(row.name, row.layers, str(row.numbers["macs"])) for row in f.rows] == [("m", None, "S^2"), ("net", 1, "1")]
    assert f.totals["macs"].polynomial == S * S + 1


def test_modules_whose_rows_take_turns() -> None:
    def count_at(sizes: dict[str, int]) -> Count:
        name = "even" if sizes["S"] % 2 == 0 else "odd"
        return Count("net", (Row(name=f"m.{name}", operation="op", module="m", macs=sizes["S"]),), 0)

    f = formulas(count_at, {"S": 4})
    assert [(row.name, row.operation, str(row.numbers["macs"])) for row in f.rows] == [("m", "module", "S")]


def test_few_counts_are_enough() -> None:
    assert found("lenet5").compared <= 20
    assert found("attention").compared <= 40
    assert found("resnet18").compared <= 110


def test_text() -> None:
    f = formulas(lambda sizes: count(perceptron(sizes["N"])), {"N": 1})
    assert str(f) == (
        "mlp\n\n"
        "Layer (type)  Output Shape  Param #  Mult-Adds  Multiplications  Additions  Neurons  Other\n"
        "------------  ------------  -------  ---------  ---------------  ---------  -------  -----\n"
        "fc0 (linear)  [N, 512]       17,408   16,896*N         16,896*N   16,896*N    512*N     --\n"
        "fc1 (linear)  [N, 10]         5,130    5,120*N          5,120*N    5,120*N     10*N     --\n\n"
        "parameters:           22,538\n"
        "trainable parameters: 22,538\n"
        "buffers:              0\n"
        "neurons:              522*N\n"
        "multiplications:      22,016*N\n"
        "additions:            22,016*N\n"
        "macs:                 22,016*N\n"
        "parameter bytes:      90,152\n"
        "buffer bytes:         0\n"
        "activation bytes:     2,088*N\n"
        "neurons with input:   555*N\n"
        "valid for:            N any size"
    )


def test_markdown() -> None:
    lines = formulas(lambda sizes: count(perceptron(sizes["N"])), {"N": 1}).to_markdown().splitlines()
    assert lines[:3] == [
        "| Layer (type) | Output Shape | Param # | Mult-Adds | Multiplications | Additions | Neurons | Other |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        r"| fc0 (linear) | [N, 512] | 17,408 | 16,896\*N | 16,896\*N | 16,896\*N | 512\*N | -- |",
    ]
    assert lines[-1] == "- valid for: N any size"
    assert r"- macs: 22,016\*N" in lines


def test_stars_say_which_sizes() -> None:
    f = found("vgg11")
    lines = str(f).splitlines()
    assert [" ".join(line.split()) for line in lines[-3:]] == [
        "valid for: N any size; H a multiple of 32; W a multiple of 32",
        "* valid for: N any size; H a multiple of 32; W a multiple of 32 from 256",
        "** valid for: N any size; H a multiple of 224; W a multiple of 224",
    ]
    pooling = next(line for line in lines if line.startswith("avgpool"))
    assert pooling.split()[6:] == ["--", "--", "25,088*N", "*", "1/2*N*H*W", "-", "25,088*N", "**", "--", "--"]


def test_json() -> None:
    f = formulas(lambda sizes: count(perceptron(sizes["N"])), {"N": 1})
    document = json.loads(json.dumps(f.to_dict()))
    assert list(document) == ["network", "domains", "totals", "layers"]
    assert document["domains"] == [
        {"N": {"symbol": "N", "period": 1, "residue": 0, "least": 1, "most": None, "checked": 64}}
    ]
    macs = {"formula": "22016*N", "terms": [{"coefficient": "22016", "powers": {"N": 1}}], "domain": 0}
    assert document["totals"]["macs"] == macs
    layer = document["layers"][1]
    assert (layer["name"], layer["output_shape"], layer["additions"]) == ("fc1", ["N", "10"], "5120*N")


def test_dataframe() -> None:
    pytest.importorskip("pandas")
    frame = formulas(lambda sizes: count(perceptron(sizes["N"])), {"N": 1}).to_dataframe()
    assert list(frame["macs"]) == ["16896*N", "5120*N"]
