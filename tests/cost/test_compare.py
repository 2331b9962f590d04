"""Two counts side by side: how rows are paired, that every pair sums to the totals, and the tables whole."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.cost.characters import width
from tilework.cost.compare import COMPARED, Comparison, Pair, compare, value
from tilework.cost.compare_tables import folded, plain, ranked
from tilework.cost.count import Count, count
from tilework.cost.record import INTEGERS
from tilework.cost.view import QUANTITIES, View
from tilework.frontend.resolve import resolve
from tilework.network.graph import GraphBuilder

Layer = tuple[str, int]  # a name and the number of outputs; a ReLU where that is 0


def network(name: str, *layers: Layer) -> Count:
    g = GraphBuilder(name)
    x, features = g.input("x", (1, 4)), 4
    for place, (label, outputs) in enumerate(layers):
        if outputs:
            x = g.node(label, "linear", x, g.weight(f"weight {place}", (outputs, features)))
            features = outputs
        else:
            x = g.node(label, "relu", x)
    return count(g.graph(x))


def partners(comparison: Comparison) -> list[tuple[str | None, str | None]]:
    return [(pair.a and pair.a.name, pair.b and pair.b.name) for pair in comparison.pairs]


FULL = network("full", ("fc1", 8), ("relu1", 0), ("fc2", 8), ("relu2", 0), ("fc3", 2))
PRUNED = network("pruned", ("fc1", 6), ("relu1", 0), ("fc2", 8), ("relu2", 0), ("fc3", 2))
RENAMED = network("renamed", ("a", 6), ("b", 0), ("c", 8), ("d", 0), ("e", 2))


def test_a_pruned_network_is_paired_by_name() -> None:
    assert partners(compare(PRUNED, FULL)) == [(name, name) for name in ("fc1", "relu1", "fc2", "relu2", "fc3")]


def test_other_names_are_paired_by_operation_and_shape_and_then_in_order() -> None:
    found = partners(compare(RENAMED, FULL))
    assert found == [("a", "fc1"), ("b", "relu1"), ("c", "fc2"), ("d", "relu2"), ("e", "fc3")]


def test_a_name_alone_does_not_pair_different_operations() -> None:
    one = network("one", ("0", 4), ("1", 0))
    other = network("other", ("0", 0), ("1", 4))
    assert partners(compare(one, other)) == [(None, "0"), ("0", "1"), ("1", None)]


def test_rows_of_one_network_only_stand_where_they_are() -> None:
    longer = network("longer", ("fc0", 4), ("fc1", 8), ("relu1", 0), ("fc2", 8), ("mid", 8), ("relu2", 0), ("fc3", 2))
    names = ["fc0", "fc1", "relu1", "fc2", "mid", "relu2", "fc3"]
    alone = {"fc0", "mid"}
    assert partners(compare(longer, FULL)) == [(name, None if name in alone else name) for name in names]
    assert partners(compare(FULL, longer)) == [(None if name in alone else name, name) for name in names]


def test_a_layer_of_the_same_numbers_is_preferred_to_one_of_the_same_shape() -> None:
    one = network("one", ("narrow", 2), ("p", 8), ("wide", 16), ("q", 8))
    other = network("other", ("broad", 16), ("r", 8))
    assert ("q", "r") in partners(compare(one, other))


def test_a_deeper_network_of_the_same_family_is_paired_by_its_blocks() -> None:
    found = compare(count(resolve("resnet18")), count(resolve("resnet34")))
    assert all(pair.a is None or (pair.b is not None and pair.a.name == pair.b.name) for pair in found.pairs)
    assert {pair.b.name.split(".")[0] for pair in found.pairs if pair.a is None and pair.b} == {
        "layer1",
        "layer2",
        "layer3",
        "layer4",
    }


layers = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([0, 2, 4, 8])), max_size=6, unique_by=lambda x: x[0]
)


@given(layers, layers)
def test_every_row_is_in_one_pair_and_the_pairs_sum_to_the_totals(one: list[Layer], other: list[Layer]) -> None:
    a, b = network("one", *one), network("other", *other)
    comparison = compare(a, b)
    assert [pair.a for pair in comparison.pairs if pair.a] == list(a.rows)
    assert sorted(pair.b.name for pair in comparison.pairs if pair.b) == sorted(row.name for row in b.rows)
    for pair in comparison.pairs:
        assert pair.a is None or pair.b is None or pair.a.operation == pair.b.operation
    document = comparison.to_dict()
    for key, whole in document["totals"].items():
        for part in ("a", "b", "difference"):
            assert sum(layer[key][part] for layer in document["layers"]) == whole[part]
    for view in (View(top=1), View(sort="parameters", top=2), View(sort="macs")):
        assert sums(ranked(comparison, view).pairs) == sums(comparison.pairs)
    assert sums(list(folded(comparison.pairs))) == sums(comparison.pairs)


def sums(pairs: tuple[Pair, ...] | list[Pair]) -> dict[str, tuple[int, int]]:
    return {key: (sum(value(p.a, key) for p in pairs), sum(value(p.b, key) for p in pairs)) for key in COMPARED}


@given(layers)
def test_a_network_against_itself_has_no_difference(found: list[Layer]) -> None:
    own = network("own", *found)
    comparison = compare(own, own)
    assert all(pair.alike and pair.a is pair.b for pair in comparison.pairs)
    assert all(entry["difference"] == 0 for entry in comparison.to_dict()["totals"].values())


def test_many_rows_that_are_all_alike_are_paired_in_a_moment() -> None:
    labels = [(f"a{i}", 0 if i % 2 else 4) for i in range(3000)]
    other = [(f"b{i}", 4 if i % 2 else 0) for i in range(2999)]
    found = compare(network("one", *labels), network("other", *other))
    assert sum(pair.a is not None and pair.b is not None for pair in found.pairs) == 2999


def test_the_numbers_of_the_totals_and_of_a_layer() -> None:
    document = compare(PRUNED, FULL).to_dict()
    assert (document["network"], document["against"]) == ("pruned", "full")
    assert set(document["totals"]) == {*INTEGERS, *QUANTITIES}
    assert document["totals"]["macs"] == {"a": 88, "b": 112, "difference": -24, "ratio": 88 / 112}
    assert document["totals"]["buffers"] == {"a": 0, "b": 0, "difference": 0, "ratio": None}
    fc1 = document["layers"][0]
    assert {key: fc1[key] for key in ("name", "against", "operation", "output_shape", "against_output_shape")} == {
        "name": "fc1",
        "against": "fc1",
        "operation": "linear",
        "output_shape": [1, 6],
        "against_output_shape": [1, 8],
    }
    assert fc1["parameters"] == {"a": 24, "b": 32, "difference": -8, "ratio": 0.75}
    alone = compare(FULL, network("short", ("fc1", 8))).to_dict()["layers"][1]
    assert (alone["name"], alone["against"], alone["against_output_shape"]) == ("relu1", None, None)
    assert alone["other"] == {"a": 8, "b": 0, "difference": 8, "ratio": None}


TABLE = """\
pruned against full: differences are this less the other

Layer (type)  Param #  against  difference  ratio  Mult-Adds  against  difference  ratio
------------  -------  -------  ----------  -----  ---------  -------  ----------  -----
fc1 (linear)       24       32          -8   0.75         24       32          -8   0.75
relu1 (relu)        0        0          --     --          0        0          --     --
fc2 (linear)       48       64         -16   0.75         48       64         -16   0.75
relu2 (relu)        0        0          --     --          0        0          --     --
fc3 (linear)       16       16          --      1         16       16          --      1

Total                 this  against  difference   ratio
--------------------  ----  -------  ----------  ------
Parameters              88      112         -24  0.7857
Trainable parameters    88      112         -24  0.7857
Buffers                  0        0          --      --
Neurons                 16       18          -2  0.8889
Multiplications         88      112         -24  0.7857
Additions               72       94         -22   0.766
Mult-adds               88      112         -24  0.7857
Parameter bytes        352      448         -96  0.7857
Buffer bytes             0        0          --      --
Activation bytes       120      136         -16  0.8824
Other operations        14       16          -2   0.875"""


def test_the_table() -> None:
    assert str(compare(PRUNED, FULL)) == TABLE


def test_rows_alike_in_succession_are_one_line() -> None:
    same = network("same", ("fc1", 6), ("relu1", 0), ("fc2", 8), ("relu2", 0), ("fc3", 2), ("more", 2))
    found = compare(same, PRUNED)
    names = [line.split("  ")[0] for line in str(found).splitlines()[4:6]]
    assert names == ["… 5 alike in both", "only here: more (linear)"]
    assert plain(found, View(everything=True)).splitlines()[4].startswith("fc1 (linear) ")
    assert str(compare(PRUNED, same)).splitlines()[5].startswith("only there: more (linear)  ")


def test_the_top_are_the_largest_differences() -> None:
    shown = ranked(compare(PRUNED, FULL), View(sort="macs", top=1)).pairs
    assert [pair.row.name for pair in shown] == ["fc2", "… 4 others"]


def test_another_quantity_has_the_table_for_itself() -> None:
    text = plain(compare(PRUNED, FULL), View(quantity="neurons")).splitlines()
    assert text[2].split("  ") == ["Layer (type)", "Neurons", "against", "difference", "ratio"]


def test_names_that_differ_are_both_told() -> None:
    assert "a ~ fc1 (linear)  " in str(compare(RENAMED, FULL))


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(compare(PRUNED, FULL).to_csv())))
    assert [row["name"] for row in rows] == ["fc1", "relu1", "fc2", "relu2", "fc3"]
    assert (rows[0]["macs"], rows[0]["macs_against"], rows[0]["macs_difference"], rows[0]["macs_ratio"]) == (
        "24",
        "32",
        "-8",
        "0.75",
    )
    assert rows[1]["macs_ratio"] == ""


def test_markdown() -> None:
    text = compare(network("a|b", ("x|<y>", 4)), FULL).to_markdown().splitlines()
    assert text[:5] == [
        "a\\|b against full",
        "",
        "| Layer (type) | Param # | against | difference | ratio | Mult-Adds | against | difference | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| x\\|\\<y\\> \\~ fc1 (linear) | 16 | 32 | -16 | 0.5 | 16 | 32 | -16 | 0.5 |",
    ]


@pytest.mark.parametrize("limit", [10, 20, 40, 60, 80, 100, 160])
def test_no_line_is_longer_than_the_terminal_is_wide(limit: int) -> None:
    found = compare(count(resolve("alexnet")), count(resolve("vgg19")))
    text = plain(found, View(), limit)
    assert max(map(width, text.splitlines())) <= limit


@settings(max_examples=20)
@given(st.text(min_size=1, max_size=30), st.integers(1, 100))
def test_names_cannot_break_a_line(name: str, limit: int) -> None:
    text = plain(compare(network(name, (name, 4)), FULL), View(everything=True), limit)
    assert all(line.isprintable() and width(line) <= limit for line in text.split("\n"))
