"""Topology files: the forms in which they are found, what is written, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import NetworkError
from tilework.frontend.topology import parse_topology, print_topology, read_topology
from tilework.network.topology import LayerShape

HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
CONV = LayerShape("c1", (12, 10), (3, 2), 5, 20, (2, 2))
LINE = "c1, 12, 10, 3, 2, 5, 20, 2,\n"
EXAMPLES = Path(__file__).parents[2] / "examples"

NUMBER = st.integers(1, 99)
SHAPES = st.builds(
    LayerShape,
    name=st.text("abcXYZ019_ .", min_size=1).map(str.strip).filter(bool),
    image=st.tuples(st.integers(60, 99), st.integers(60, 99)),
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=NUMBER,
    filters=NUMBER,
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.none() | st.integers(0, 4),
    batch=st.integers(1, 3),
    pool=st.none() | st.tuples(st.integers(1, 5), st.integers(1, 5)),
)


@given(st.lists(SHAPES, min_size=1, max_size=5))
def test_what_is_printed_is_read_back(layers: list[LayerShape]) -> None:
    assert parse_topology(print_topology(layers)) == tuple(layers)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + LINE,
        HEADER + "\n,,,,,,,,\n" + LINE + "\n  \n",
        (HEADER + LINE).replace("\n", "\r\n"),
        "\ufeff" + HEADER + LINE,
        (HEADER + LINE).replace(",\n", "\n"),
        (HEADER + LINE).replace(",", "\t"),
        HEADER.replace(" ", "\xa0") + "c1     ,12   ,10 ,3,2,5,20,2  ,",
        HEADER.replace("Height", "Width") + LINE,
        HEADER.lower() + LINE,
        HEADER + "c1, 12, 10, 3, 2, 5, 20, 2, 2\n",
        HEADER + "c1, 12, 10, 3, 2, 5, 20, 2, 1:4,\n",
        HEADER + "c1, 12, 10, 3, 2, 5, 20, 2, #dw\n",
        HEADER.replace("Strides", "Strides,,,Eh,Ew,e2") + "c1,12,10,3,2,5,20,2,,,5,5,25\n",
        HEADER.replace("Strides", "Strides, Sparsity") + "c1, 12, 10, 3, 2, 5, 20, 2, 2:4,\n",
        HEADER.replace("Strides", "Stride height, Stride width") + "c1, 12, 10, 3, 2, 5, 20, 2, 2,\n",
        HEADER.replace("Strides", "Strides, Batch Size") + "c1, 12, 10, 3, 2, 5, 20, 2, 1,\n",
    ],
)
def test_one_layer_in_many_forms(text: str) -> None:
    assert parse_topology(text) == (CONV,)


@pytest.mark.parametrize(
    "text",
    [
        "Layer,M,N,K,\nq,20,30,40,\n",
        "Layer Name, M, N, K, Sparsity,\r\nq, 20, 30, 40, 3:4,\r\n",
        "L,m,n,k\nq,20,30,40\n",
    ],
)
def test_products_of_matrices(text: str) -> None:
    (layer,) = parse_topology(text)
    assert (layer.name, layer.rows, layer.filters, layer.summed) == ("q", 20, 30, 40)
    assert layer.macs == 20 * 30 * 40


def test_two_strides_and_the_columns_of_our_own() -> None:
    head = HEADER.replace("Strides", "Strides, Stride Width, Padding, Batch, Pool, Pool Strides")
    layers = parse_topology(head + "a, 12, 10, 3, 2, 5, 20, 2, 1, 0, 16, 3, 2,\nb, 12, 10, 3, 2, 5, 20, 2, , , , , ,\n")
    assert layers == (
        LayerShape("a", (12, 10), (3, 2), 5, 20, (2, 1), 0, 16, (3, 2)),
        LayerShape("b", (12, 10), (3, 2), 5, 20, (2, 2)),
    )


def test_a_depthwise_layer_is_one_per_channel() -> None:
    layers = parse_topology(HEADER + "DP1, 12, 10, 3, 2, 3, 1, 2,\n")
    assert [layer.name for layer in layers] == ["DP1Channel_0", "DP1Channel_1", "DP1Channel_2"]
    assert {layer.channels for layer in layers} == {1}


def test_the_examples() -> None:
    assert [layer.summed for layer in read_topology(EXAMPLES / "alexnet.csv")] == [363, 2400, 2304, 3456, 3456]
    resnet = read_topology(EXAMPLES / "resnet50.csv")
    weights = sum(layer.filters * layer.summed for layer in resnet)
    assert (len(resnet), weights) == (54, 25_502_912)  # all of ResNet-50 but normalisations and the last bias
    assert sum(layer.macs for layer in read_topology(EXAMPLES / "alexnet-nvdla.csv")) == 724_406_816


RANGE = "must be a whole number from 1 to 999,999,999"


@pytest.mark.parametrize(
    ("extra", "line", "message"),
    [
        ("", "c1, 12, 10, 3, 2, 5, 20,", "a layer must have a name and 7 numbers, not 6"),
        ("", "AlexNet,", "a layer must have a name and 7 numbers, not 0"),
        ("", ", 12, 10, 3, 2, 5, 20, 2", "a layer must have a name; write it into the first column"),
        ("", "c1, 12, 10, 3, 2, 5, 20, 2, 2, 2,", "a layer must have a name and at most 7 values, not 9"),
        ("", "c1, 12, B, 3, 2, 5, 20, 2,", f"ifmap width {RANGE}, not 'B'"),
        ("", "c1, 12, 10, 3, 2, 0, 20, 2,", f"channels {RANGE}, not '0'"),
        ("", "c1, 12, 10, 3, 2, 5, -1, 2,", f"num filter {RANGE}, not '-1'"),
        ("", "c1, 12, 10, 3, 2, 5, 20, ,2", f"strides {RANGE}, not ''"),
        ("", "c1, 12, 10, 3, 2, 5, 20, 1.5", f"strides {RANGE}, not '1.5'"),
        ("", "c1, 1234567890, 10, 3, 2, 5, 20, 1", f"ifmap height {RANGE}, not '1234567890'"),
        ("", "c1, 12, 10, 3, 11, 5, 20, 1", "the filter must fit into the image, but is 11 wide and that is 10"),
        ("", "c1, 12, 10, 13, 2, 5, 20, 1", "the filter must fit into the image, but is 13 high and that is 12"),
        ("", "c1, 12, 10, 3, 2, 5, 20, 1, 1:x", "the sparsity must be a ratio such as 2:4, not '1:x'"),
        ("", "DP, 9, 9, 3, 2, 65537, 1, 1,", "a depthwise layer must have at most 65,536 channels, not 65,537"),
        (", Pool", "c1, 12, 10, 3, 2, 5, 20, 1, 3", f"pool strides {RANGE}, not ''"),
        (
            ", Pool, Pool Strides",
            "c1, 12, 10, 3, 2, 5, 20, 1, 10, 1",
            "the pool must fit into the output, but is 10 wide and that is 9",
        ),
        (
            ", Padding",
            "c1, 12, 10, 3, 2, 5, 20, 1, x",
            "padding must be a whole number from 0 to 999,999,999, not 'x'",
        ),
    ],
)
def test_layers_with_a_mistake(extra: str, line: str, message: str) -> None:
    with pytest.raises(NetworkError) as raised:
        parse_topology(HEADER.replace("Strides", f"Strides{extra}") + "\n" + line, "t")
    assert str(raised.value) == f"t, line 3: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADER.replace("Strides", "Strides, Dilation") + LINE,
            "t, line 1: a column after the strides must be one of stride width, sparsity, padding, batch, pool, "
            "pool strides, not 'dilation'; put notes after an empty column",
        ),
        (
            "Layer,M,N,\nq,1,2,\n",
            "t, line 1: the header must name the layer and M, N, K, or the layer and 7 sizes (ifmap height, "
            "ifmap width, filter height, filter width, channels, num filter, strides), not 3 columns",
        ),
        (LINE, "t, line 1: the first line must name the columns, not be a layer; write the header above it"),
        ("Layer,M,N,K,\nq,1,2,\n", "t, line 2: a layer must have a name and 3 numbers, not 2"),
        ("Layer,M,N,K,\nq,1,2,3,4,\n", "t, line 2: a layer must have a name and at most 3 values, not 4"),
        ("", "t must hold a header and at least one layer; write one line per layer below it"),
        (HEADER, "t must hold a header and at least one layer; write one line per layer below it"),
    ],
)
def test_files_with_a_mistake(text: str, message: str) -> None:
    with pytest.raises(NetworkError) as raised:
        parse_topology(text, "t")
    assert str(raised.value) == message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\xff")
    for name in ("latin.csv", "none.csv", "."):
        with pytest.raises(NetworkError, match="must be a topology in CSV that can be read: "):
            read_topology(tmp_path / name)


@given(st.text(max_size=200) | st.text("0123456789,:# \nxMNK", max_size=200).map(HEADER.__add__))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    with suppress(NetworkError):
        assert all(layer.macs > 0 for layer in parse_topology(text))
