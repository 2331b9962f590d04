"""The picture of where the cost is: widths that are shares, labels that fit, and files that are always the same."""

import sys
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tilework.cost.count import Count, count
from tilework.cost.tree import tree
from tilework.cost.view import QUANTITIES
from tilework.errors import MissingPackageError, NetworkError, OutputError
from tilework.frontend.resolve import resolve
from tilework.network.graph import GraphBuilder
from tilework.report.icicle import MARGIN, SPAN, THIN, Box, Pen, boxes, icicle

SVG = "{http://www.w3.org/2000/svg}"


def blocks(number: int, *shares: int) -> Count:
    """Modules with a linear layer for each share, so that their mult-adds are in these proportions."""
    g = GraphBuilder("blocks")
    x = g.input("x", (1, 2))
    for i in range(number):
        for j, share in enumerate(shares):
            last = g.node(f"stage.b{2 * i}.fc{j}", "linear", x, g.weight(f"w{i}.{j}", (share, 2)))
    return count(g.graph(last))


def placed(counted: Count, quantity: str = "macs", depth: int | None = None, fold: bool = True) -> list[Box]:
    return boxes(tree(counted, fold), QUANTITIES[quantity].of, depth)


def lowest(found: list[Box]) -> list[Box]:
    return [box for box in found if box.what]


@pytest.mark.parametrize("network", ["resnet152", "vgg19", "lenet5"])
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("fold", [True, False])
def test_the_lowest_boxes_fill_the_width_and_none_overlaps_another(network: str, quantity: str, fold: bool) -> None:
    found = placed(count(resolve(network)), quantity, fold=fold)
    assert sum(box.share for box in lowest(found)) == pytest.approx(1)
    rows: dict[float, list[Box]] = {}
    for box in found:
        assert box.width == pytest.approx(box.share * SPAN)
        rows.setdefault(box.top, []).append(box)
    for row in rows.values():
        row.sort(key=lambda box: box.left)
        ends = [box.left + box.width for box in row]
        assert all(end <= box.left + 1e-6 for end, box in zip(ends, row[1:], strict=False))
        assert row[0].left >= MARGIN - 1e-6
        assert ends[-1] <= MARGIN + SPAN + 1e-6


def test_repeated_blocks_are_one_box() -> None:
    labels = {box.label for box in placed(count(resolve("resnet152")))}
    assert {"resnet152", "layer3", "35 × 1 … 35", "35 × conv2"} <= labels


def test_what_is_too_thin_is_drawn_together() -> None:
    found = lowest(placed(blocks(1, 6000, 1, 2, 1, 3000)))
    assert [(box.label, box.what) for box in found] == [("fc0", "linear"), ("fc4", "linear"), ("3 others", "others")]
    assert [box.share for box in found] == pytest.approx([6000 / 9004, 3000 / 9004, 4 / 9004])
    assert all(box.width >= THIN for box in found[:2])


def test_a_single_thin_layer_is_drawn_as_it_is() -> None:
    assert [box.label for box in lowest(placed(blocks(1, 6000, 1, 3000)))] == ["fc0", "fc1", "fc2"]


def test_a_depth_cuts_the_tree_and_keeps_the_colour_of_what_lies_below() -> None:
    found = placed(count(resolve("resnet18")), depth=1)
    assert [box.label for box in found] == ["resnet18", "conv1", "layer1", "layer2", "layer3", "layer4", "fc"]
    assert len({box.colour for box in found[1:-1]}) == 1


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path_factory.mktemp("picture") / "vgg19.svg"
    icicle(count(resolve("vgg19")), path)
    return ElementTree.parse(path).getroot()


def test_the_picture_has_its_title_total_and_legend_as_text(picture: ElementTree.Element) -> None:
    texts = {element.text for element in picture.iter(f"{SVG}text")}
    assert {
        "vgg19",
        "19,632,062,464 mult-adds (19.63 G)",
        "From the top down: the network, its modules, their layers. The width is the share of the mult-adds.",
        "features · 99.4 %",
        "convolution 99.4 %",
        "matrix product 0.6 %",
    } <= texts


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    counted = count(resolve("lenet5"))
    for name in ("a.svg", "b.svg", "a.png", "b.PNG"):
        icicle(counted, tmp_path / name, quantity="activation_bytes")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.PNG").read_bytes()
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_names_are_neither_markup_nor_mathematics(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    name = "$\\frac{x$ <script>&\n\x1b[31m 名"
    g = GraphBuilder(name)
    value = g.node(name, "linear", g.input("x", (1, 2)), g.weight("w", (2, 2)), module="")
    icicle(count(g.graph(value)), tmp_path / "odd.svg")
    root = ElementTree.parse(tmp_path / "odd.svg").getroot()
    shown = "$\\frac{x$ <script>&\\n\\x1b[31m 名"
    assert shown in {element.text for element in root.iter(f"{SVG}text")}
    assert not list(root.iter(f"{SVG}script"))


def test_ten_thousand_rows_are_drawn_with_few_boxes() -> None:
    found = placed(blocks(2000, 1, 2, 3, 4, 5))
    assert len(found) < 4 * SPAN / THIN
    assert sum(box.share for box in lowest(found)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("path", "options", "kind", "sentence"),
    [
        ("a.pdf", {}, OutputError, "a picture's name must end in .svg or .png, unlike 'a.pdf'"),
        ("a.svg", {"depth": 0}, NetworkError, "the depth must be at least 1, not 0"),
        ("a.svg", {"quantity": "x"}, NetworkError, f"the quantity must be one of {', '.join(QUANTITIES)}, not 'x'"),
        (
            "a.svg",
            {"quantity": "neurons"},
            NetworkError,
            "a picture shows shares of the neurons, and n has none; choose another quantity",
        ),
    ],
)
def test_what_cannot_be_drawn(path: str, options: dict[str, str], kind: type[Exception], sentence: str) -> None:
    g = GraphBuilder("n")
    counted = count(g.graph(g.node("y", "relu", g.input("x", (3,)))))
    with pytest.raises(kind) as error:
        icicle(counted, path, **options)  # type: ignore[arg-type]
    assert str(error.value) == sentence


def test_a_picture_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError) as error:
        icicle(count(resolve("lenet5")), tmp_path / "a.svg")
    assert str(error.value) == "a picture needs the package matplotlib: pip install 'tilework[plot]'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("resnet152", {}),
        ("resnet152", {"everything": True, "quantity": "activation_bytes"}),
        ("vgg19", {"quantity": "parameters"}),
        ("alexnet", {"quantity": "other", "depth": 1}),
    ],
)
def test_no_text_overlaps_another(
    network: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    drawn: list[Any] = []

    def text(pen: Pen, x: float, y: float, text: str, **style: Any) -> None:
        drawn.append((pen.axes.text(x, y, text, parse_math=False, **style), pen.renderer))

    monkeypatch.setattr(Pen, "text", text)
    icicle(count(resolve(network)), tmp_path / "a.svg", **options)
    extents = [artist.get_window_extent(renderer) for artist, renderer in drawn]
    assert len(extents) > 8
    for one, other in combinations(extents, 2):
        assert not one.overlaps(other)
    assert all(extent.x0 >= 0 and extent.x1 <= 1600 and extent.y0 >= 0 for extent in extents)
