"""The layouts, pinned whole on a network of four layers; views, folding, widths and names that would break a table."""

import csv
import io
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.cost.characters import shortened, visible, width
from tilework.cost.count import Count, count
from tilework.cost.record import INTEGERS, OTHER_KINDS, Row
from tilework.cost.table_html import page
from tilework.cost.table_text import bar, fitted, lines
from tilework.cost.tables import markdown, plain, size
from tilework.cost.tree import Branch, tree
from tilework.cost.unstated import Unknown, unknown_operations
from tilework.cost.view import QUANTITIES, View
from tilework.errors import MissingPackageError, NetworkError
from tilework.frontend.resolve import resolve
from tilework.network.graph import Graph, GraphBuilder


@pytest.fixture(scope="module")
def small() -> Count:
    g = GraphBuilder("small")
    x = g.input("image", (1, 2, 6, 6))
    value = g.node("stem.conv", "conv2d", x, g.weight("stem.conv.weight", (40, 2, 3, 3)), padding=(1, 1))
    value = g.node("stem.act.relu", "relu", value)
    value = g.node("flatten", "flatten", value)
    return count(g.graph(g.node("fc", "linear", value, g.weight("w", (10, 1440)), g.weight("b", (10,), False))))


@pytest.fixture(scope="module")
def resnet() -> Count:
    return count(resolve("resnet18"))


def stack(*widths: int) -> Count:
    """Blocks of a linear layer and a ReLU, called layers.0, layers.1, …, each with so many outputs."""
    g = GraphBuilder("stack")
    x = g.input("x", (1, 8))
    for i, outputs in enumerate(widths):
        features = 8 if i == 0 else widths[i - 1]
        x = g.node(f"layers.{i}.fc", "linear", x, g.weight(f"w{i}", (outputs, features)))
        x = g.node(f"layers.{i}.relu", "relu", x)
    return count(g.graph(x))


TABLE = """\
==================================================================================================================
Layer (type)            Output Shape   Param #  Mult-Adds  Multiplications  Additions  Neurons  Other    Share
==================================================================================================================
small                   [1, 10]         15,120     40,320           40,320     38,880    1,450  1,440  100.0 %
├─ stem                 [1, 40, 6, 6]      720     25,920           25,920     24,480    1,440  1,440   64.3 %
│  ├─ conv (conv2d)     [1, 40, 6, 6]      720     25,920           25,920     24,480    1,440     --   64.3 %
│  └─ act               [1, 40, 6, 6]       --         --               --         --       --  1,440       --
│     └─ relu (relu)    [1, 40, 6, 6]       --         --               --         --       --  1,440       --
├─ flatten (flatten)    [1, 1440]           --         --               --         --       --     --       --
└─ fc (linear)          [1, 10]         14,400     14,400           14,400     14,400       10     --   35.7 %
==================================================================================================================
"""

TOTALS = """\
Total params:         15,120 (15.12 k)
Trainable params:     15,120 (15.12 k)
Buffers (not params): 10
Total mult-adds:      40,320 (40.32 k)
Multiplications:      40,320 (40.32 k)
Additions:            38,880 (38.88 k)
Other operations:     1,440: comparison 1,440
Padding zeros:        counted
Neurons:              1,450 (1,522 with the input layer)
Params size:          60,480 bytes = 60.48 kB = 59.06 KiB
Buffers size:         40 bytes
Activations size:     11,560 bytes = 11.56 kB = 11.29 KiB
Shares are of:        the mult-adds
"""


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if set(line) != {"="}]


def test_the_plain_table(small: Count) -> None:
    found = str(small).splitlines(keepends=True)
    assert words("".join(found)) == words(TABLE + TOTALS)
    assert "".join(found[11:-1]) == TOTALS
    assert len({len(line) for line in found[:11]}) == 1


def test_the_convention_and_the_dtype_stand_in_the_totals() -> None:
    text = str(count(resolve("lenet5"), padding_zeros=False, dtype="int8"))
    assert "Padding zeros:        left out\n" in text
    assert "Stored as:            int8\n" in text
    assert "Params size:          61,706 bytes = 61.71 kB = 60.26 KiB\n" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (999, "999 bytes"),
        (1000, "1,000 bytes = 1.00 kB = 0.98 KiB"),
        (243_860_896, "243,860,896 bytes = 243.86 MB = 232.56 MiB"),
        (2**30, "1,073,741,824 bytes = 1.07 GB = 1.00 GiB"),
        (5 * 10**15, "5,000,000,000,000,000 bytes = 5,000.00 TB = 4,547.47 TiB"),
    ],
)
def test_bytes_in_powers_of_1000_and_of_1024_are_told_apart(number: int, text: str) -> None:
    assert size(number) == text


def test_the_passes_stand_under_the_total() -> None:
    text = str(count(resolve("lenet5"), backward=True))
    forward = re.search(r"Total mult-adds: +(\S+) .*\n +in the forward: +416,520 .*\n +in the backward: +(\S+) ", text)
    assert forward is not None
    assert int(forward[1].replace(",", "")) == 416_520 + int(forward[2].replace(",", ""))


def test_modules_and_operations_are_flat_lists_with_the_number_of_layers(small: Count) -> None:
    modules = str(small.grouped("module")).splitlines()[4:7]
    assert [line.split("  ")[0] for line in modules] == [
        "├─ stem (module, 1 layer)",
        "├─ stem.act (module, 1 layer)",
        "└─ small (module, 2 layers)",
    ]
    operations = str(small.grouped("operation")).splitlines()[4:8]
    assert operations[0].split("  ")[0] == "├─ conv2d (1 layer)"
    assert str(small.grouped("layer", 1)).splitlines()[4].startswith("├─ stem (module, 2 layers)")


# Folding


def names(counted: Count, view: View | None = None) -> list[str]:
    return [line.text for line in lines(counted, view or View())]


def test_alike_blocks_are_one_line_with_the_numbers_of_one_and_the_share_of_all() -> None:
    counted = stack(8, 8, 8, 4)
    assert names(counted) == [
        "stack",
        "└─ layers",
        "   ├─ 3 × 0 … 2",
        "   │  ├─ 3 × fc (linear)",
        "   │  └─ 3 × relu (relu)",
        "   └─ 3",
        "      ├─ fc (linear)",
        "      └─ relu (relu)",
    ]
    folded = lines(counted, View())[3]
    assert (folded.row.macs, folded.times, folded.share) == (64, 3, 3 * 64 / 224)
    remark = "A line with 3 × stands for 3 that are alike: the numbers are of one, the share of all.\n"
    assert remark in str(counted)
    assert "stands for" not in plain(counted, View(everything=True))
    assert len(names(counted, View(everything=True))) == 2 + 4 * 3


@pytest.mark.parametrize(
    ("labels", "folded"),
    [
        (["0", "1"], ["a.0", "a.1"]),  # one line saved is not worth it
        (["0", "1", "2"], ["3 × 0 … 2"]),
        (["b8", "b9", "b10"], ["3 × b8 … b10"]),
        (["0", "2", "4"], ["a.0", "a.2", "a.4"]),
        (["b0", "c1", "b2"], ["a.b0", "a.c1", "a.b2"]),
        (["x", "y", "z"], ["a.x", "a.y", "a.z"]),
    ],
)
def test_siblings_are_folded_where_their_numbers_follow_each_other(labels: list[str], folded: list[str]) -> None:
    g = GraphBuilder("n")
    x = g.input("x", (4,))
    for label in labels:
        x = g.node(f"a.{label}", "relu", x)
    found = [text.strip("│├└─ ").removesuffix(" (relu)") for text in names(count(g.graph(x)))[2:]]
    assert found == [name.removeprefix("a.") for name in folded]


def test_blocks_that_differ_in_shape_alone_are_not_alike() -> None:
    g = GraphBuilder("n")
    x, y = g.input("x", (2, 3)), g.input("y", (3, 2))
    for i, source in enumerate((x, y, x)):
        x = g.node(f"a.{i}", "relu", source)
    assert not any("×" in text for text in names(count(g.graph(x))))


def summed(branch: Branch, key: str) -> int:
    return sum(times * QUANTITIES[key].of(leaf.row) for leaf, times in branch.walk() if not leaf.children)


@given(st.lists(st.sampled_from([4, 8]), min_size=1, max_size=9))
def test_folded_lines_sum_to_the_total(widths: list[int]) -> None:
    counted = stack(*widths)
    for fold in (True, False):
        for key in QUANTITIES:
            assert summed(tree(counted, fold), key) == QUANTITIES[key].of(counted.total)


@pytest.mark.parametrize("network", ["resnet152", "vgg19", "alexnet"])
def test_the_tree_of_a_real_network_sums_at_every_level(network: str) -> None:
    counted = count(resolve(network))
    for branch, _ in tree(counted).walk():
        if branch.children:
            assert branch.row.macs == sum(child.times * child.row.macs for child in branch.children)
    assert network != "resnet152" or tree(counted).size < 120


def test_a_module_path_may_be_very_deep() -> None:
    g = GraphBuilder("deep")
    value = g.node(".".join("a" * 5000), "relu", g.input("x", (1,)))
    branches = list(tree(count(g.graph(value))).walk())
    assert len(branches) == 65
    assert branches[-1][0].label == ".".join("a" * (5000 - 63))


# Views


@pytest.mark.parametrize("by", ["layer", "module", "operation"])
@pytest.mark.parametrize("key", QUANTITIES)
@pytest.mark.parametrize("top", [1, 2, 7, 1000])
def test_the_top_rows_and_the_others_sum_to_the_total(resnet: Count, by: str, key: str, top: int) -> None:
    of = QUANTITIES[key].of
    shown = View(by=by, sort=key, top=top).of(resnet)
    assert shown.total == resnet.total
    every = sorted((of(row) for row in resnet.by(by)), reverse=True)
    if len(every) <= top + 1:
        assert [of(row) for row in shown.rows] == every
    else:
        assert [of(row) for row in shown.rows[:-1]] == every[:top]
        assert shown.rows[-1].name == f"… {len(every) - top:,} others"


def test_ties_stay_in_network_order(resnet: Count) -> None:
    ordered = View(sort="macs").of(resnet).rows
    place = {row.name: i for i, row in enumerate(resnet.rows)}
    for one, other in pairwise(ordered):
        assert (one.macs, -place[one.name]) > (other.macs, -place[other.name])


def test_sorted_rows_have_their_full_names(resnet: Count) -> None:
    assert names(resnet, View(top=2)) == [
        "resnet18",
        "├─ conv1 (conv2d)",
        "├─ layer1.0.conv1 (conv2d)",
        f"└─ … {len(resnet.rows) - 2} others",
    ]


def test_a_quantity_without_a_column_gets_one(small: Count) -> None:
    text = plain(small, View(quantity="activation_bytes"))
    assert "Activation Bytes    Share\n" in text
    assert "Shares are of:        the bytes of activations\n" in text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"top": 0}, "the top must be at least 1 row, not 0"),
        ({"sort": "size"}, f"the quantity must be one of {', '.join(QUANTITIES)}, not 'size'"),
        ({"quantity": "size"}, f"the quantity must be one of {', '.join(QUANTITIES)}, not 'size'"),
    ],
)
def test_a_view_refuses(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NetworkError) as error:
        View(**fields)
    assert str(error.value) == sentence


# Host and unknown operations


@pytest.fixture(scope="module")
def strange() -> Count:
    g = GraphBuilder("strange")
    x = g.input("x", (4, 9))
    x = g.node("order", "host", x, what="sort", shape=(4, 9))
    for i, what in enumerate(("aten.foo.default", "mine::bar", "Baz", "aten.foo.default")):
        x = g.node(f"u{i}", "unknown", x, what=what, shape=(4, 9))
    return count(g.graph(x))


def test_host_and_unknown_operations_are_marked_and_listed(strange: Count) -> None:
    text = plain(strange, View(depth=1))
    assert "├─ order (sort, on the host) " in text
    assert "├─ u0 (aten.foo.default, unknown) " in text
    assert text.splitlines()[-5:-1] == [
        "On the host, not as nests: sort.",
        "Not known, so not counted: aten.foo.default, 2×; state it with @tilework.torch_operator('aten::foo').",
        "Not known, so not counted: mine::bar, 1×; state it with @tilework.onnx_operator('mine::bar').",
        "Not known, so not counted: Baz, 1×; state it with @tilework.onnx_operator('Baz').",
    ]
    assert markdown(strange).splitlines()[-1] == f"- {text.splitlines()[-2]}"


def test_unknown_operations_are_known_by_operation_and_summed_by_module(strange: Count) -> None:
    assert unknown_operations(strange.grouped("operation")) == [
        Unknown("aten.foo.default", 2),
        Unknown("mine::bar", 1),
        Unknown("Baz", 1),
    ]
    text = str(strange.grouped("module"))
    assert "└─ strange (module, 5 layers, some unknown) " in text
    assert "Not known, so not counted: 4 operations in modules; counts by operation name them." in text


@pytest.mark.parametrize(
    ("operation", "decorator"),
    [
        ("mylib.foo.default", "@tilework.torch_operator('mylib::foo')"),
        ("com.microsoft::Foo", "@tilework.onnx_operator('com.microsoft::Foo')"),
        ("Foo", "@tilework.onnx_operator('Foo')"),
    ],
)
def test_how_an_operation_is_registered(operation: str, decorator: str) -> None:
    assert Unknown(operation, 1).register == decorator


# Formats


def test_csv_has_plain_numbers_and_a_column_for_every_kind(small: Count) -> None:
    head, first = small.to_csv().splitlines()[:2]
    assert head == ",".join(
        (
            "name,operation,module,input_shapes,output_shape,layers,parameters,trainable_parameters,buffers,neurons,"
            "multiplications,additions,macs,parameter_bytes,buffer_bytes,activation_bytes",
            *OTHER_KINDS,
        )
    )
    numbers = "1,720,720,0,1440,25920,24480,25920,2880,0,5760"
    assert first == f"stem.conv,conv2d,stem,1x2x6x6,1x40x6x6,{numbers}{',0' * len(OTHER_KINDS)}"
    rows = list(csv.DictReader(io.StringIO(small.to_csv())))
    for name in INTEGERS:
        assert sum(int(row[name]) for row in rows) == getattr(small.total, name)


def test_markdown(small: Count) -> None:
    found = small.to_markdown().splitlines()
    assert found[:3] == [
        "| Layer (type) | Output Shape | Param # | Mult-Adds | Multiplications | Additions | Neurons | Other | Share |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| stem.conv (conv2d) | [1, 40, 6, 6] | 720 | 25,920 | 25,920 | 24,480 | 1,440 | -- | 64.3 % |",
    ]
    assert found[7] == "- Total params: 15,120 (15.12 k)"


class Seen(HTMLParser):
    """The tags and the text of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = [
    "x|<script>alert(1)</script>",
    "a\nb\r\x1b[31m",
    "</td></table>",
    "\u202egpj.exe",
    "&amp;",
    "`*[x](y)*`",
    "名" * 40,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_a_table(name: str) -> None:
    g = GraphBuilder(name)
    odd = count(g.graph(g.node(name, "relu", g.input("i", (1,)), module="")))
    g = GraphBuilder("plain")
    even = count(g.graph(g.node("relu", "relu", g.input("i", (1,)))))
    for make in (lambda c: c._repr_html_(), lambda c: page(c, View())):
        seen = Seen(make(odd))
        assert seen.tags == Seen(make(even)).tags
        assert visible(name) in seen.text
    for text in (str(odd), odd.to_markdown()):
        assert all(line.isprintable() for line in text.splitlines())
    assert len(odd.to_markdown().splitlines()) == len(even.to_markdown().splitlines())
    assert next(csv.DictReader(io.StringIO(odd.to_csv(), newline="")))["name"] == name
    cells = re.split(r"(?<!\\)\|", odd.to_markdown().splitlines()[2])
    assert len(cells) == 11
    assert not re.search(r"(?<!\\)[<`*]", cells[1])


def test_a_long_name_is_cut_in_the_middle() -> None:
    g = GraphBuilder("long")
    text = str(count(g.graph(g.node("start" + "x" * 5000 + "end", "relu", g.input("i", (1,))))))
    assert max(map(len, text.splitlines())) < 200
    assert re.search(r"startx+…x+end  ", text)


def test_jupyter_gets_a_row_per_line_and_no_script(small: Count) -> None:
    text = small._repr_html_()
    assert text.count("<tr>") == 1 + 7 + len(TOTALS.splitlines())
    assert '<td style="text-align:right;white-space:pre">25,920</td>' in text
    assert "<script" not in text


def test_the_page_stands_alone_and_has_every_number(small: Count) -> None:
    text = page(small, View())
    assert text.startswith("<!doctype html>\n<html lang=en>")
    assert not re.search(r"(?:src|href)=|@import|url\(|https?:", text)
    assert text.count("<tr") == 1 + 7
    assert "data-n=25920>25,920</td>" in text
    assert '<i style="width:64.286%;background:#4477aa"></i>' in text
    assert "@media (prefers-color-scheme: dark)" in text


def test_a_large_page_starts_folded() -> None:
    assert 'class="module shut"' not in page(count(resolve("lenet5")), View())
    assert 'class="module shut"' in page(count(resolve("resnet50")), View())


def test_a_network_without_nodes_has_an_empty_table() -> None:
    g = GraphBuilder("nothing")
    empty = count(g.graph(g.input("x", (1, 2))))
    assert empty.neurons_with_input == 2
    assert str(empty).splitlines()[3].startswith("nothing")
    assert len(empty.to_csv().splitlines()) == 1
    assert page(empty, View()).count("<tr") == 2


# Terminals


def rendered(counted: Count, columns: int, view: View | None = None) -> str:
    from tilework.cost.table_rich import show

    console = pytest.importorskip("rich.console", reason="rich is not installed").Console
    out = io.StringIO()
    show(counted, console(file=out, width=columns, force_terminal=True, color_system=None), view or View())
    return out.getvalue()


def test_a_wide_terminal_shows_every_column_and_bars(small: Count) -> None:
    text = rendered(small, 160)
    without_bars = re.sub("[█▏▎▍▌▋▊▉]", "", text)
    assert words(without_bars)[: len(words(TABLE))] == words(TABLE)
    assert "64.3 %  ████████████████████████\n" in text
    assert "35.7 %  █████████████▍\n" in text
    assert "not shown" not in text


def test_a_narrow_terminal_leaves_the_less_telling_columns_out_and_cuts_no_number(small: Count) -> None:
    text = rendered(small, 80)
    assert text.splitlines()[:3] == [
        "Layer (type)          Output Shape   Param #  Mult-Adds    Share",
        "small                 [1, 10]         15,120     40,320  100.0 %",
        "├─ stem               [1, 40, 6, 6]      720     25,920   64.3 %  ██████████████",
    ]
    assert "(not shown on this narrow terminal: Multiplications, Additions, Neurons, Other)" in text
    assert rendered(small, 40).splitlines()[:4] == [
        "Layer (type)          Mult-Adds    Share",
        "small                    40,320  100.0 %",
        "├─ stem                  25,920   64.3 %",
        "│  ├─ conv (conv2d)      25,920   64.3 %",
    ]
    assert rendered(small, 12).splitlines()[3:6] == ["│  ├─ conv", "│  └─ act", "   relu"]


name = st.text(st.characters(exclude_characters="."), min_size=1, max_size=30)


@given(st.lists(name, min_size=1, max_size=6, unique=True), st.integers(1, 200), st.sampled_from([View(), View(top=2)]))
def test_no_line_is_longer_than_the_terminal_is_wide(found: list[str], columns: int, view: View) -> None:
    g = GraphBuilder(found[0])
    x = g.input("the input", (1, 7))
    for i, one in enumerate(found):
        module = ".".join(found[:i])
        x = g.node(f"{module}.{one}.", "linear", x, g.weight(f"the weight {i}", (7, 7)), module=module)
    counted = count(g.graph(x))
    layout = fitted(lines(counted, view), view, columns)
    for line in lines(counted, view):
        text = "  ".join(layout.cells(line)) + bool(layout.bar) * ("  " + bar(1.0, 1.0, layout.bar))
        assert width(text) <= columns
    assert all(width(line) <= columns for line in rendered(counted, columns, view).splitlines())


@given(st.text(max_size=40), st.integers(1, 50))
def test_a_text_is_cut_to_the_columns_that_it_takes(text: str, limit: int) -> None:
    text = visible(text)
    assert text.isprintable()
    cut = shortened(text, limit)
    assert width(cut) <= limit
    assert cut == text or ("…" in cut and width(text) > limit)


@given(st.floats(0, 1), st.integers(1, 30))
def test_a_bar_is_as_long_as_its_share(share: float, longest: int) -> None:
    text = bar(share, 1.0, longest)
    assert (text == "") == (share == 0)
    assert abs(len(text) - share * longest) <= 1


def test_brackets_in_a_name_are_no_markup() -> None:
    g = GraphBuilder("[bold]x[/bold]")
    assert "[bold]x[/bold]" in rendered(count(g.graph(g.node("y", "relu", g.input("i", (1,))))), 120)


# DataFrames, documentation, names of the package


def test_a_dataframe_needs_pandas(small: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError) as error:
        small.to_dataframe()
    assert str(error.value) == "to_dataframe needs the package pandas; install it: pip install pandas"


def test_a_dataframe_has_the_columns_of_the_csv(small: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    stand_in = ModuleType("pandas")
    stand_in.DataFrame = lambda rows, columns: made.update(rows=rows, columns=columns)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    small.to_dataframe()
    assert made["columns"] == small.to_csv().splitlines()[0].split(",")
    assert [row["macs"] for row in made["rows"]] == [25_920, 0, 0, 14_400]


def test_the_counting_page_names_every_kind_of_operation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "counting.md").read_text(encoding="utf-8")
    assert [kind for kind in OTHER_KINDS if f"`{kind}`" not in text] == []


def test_importing_the_package_gives_its_names_when_they_are_asked_for() -> None:
    import tilework
    from tilework import counting

    assert tilework.count is counting.count
    assert tilework.load is counting.load
    assert tilework.Graph is Graph
    assert {"Graph", "count", "load", "__version__"} <= set(dir(tilework))
    with pytest.raises(AttributeError, match="module 'tilework' has no attribute 'colour'"):
        _ = tilework.colour


def test_a_row_of_no_operation_has_no_parentheses() -> None:
    assert names(Count("n", (Row(name="x"),), 0))[1:] == ["└─ x"]
