"""The layouts, pinned whole on a network of four layers."""

import csv
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tilework.cost.count import Count, count
from tilework.cost.record import OTHER_KINDS
from tilework.cost.tables import COLUMNS, fitting, show
from tilework.errors import MissingPackageError
from tilework.frontend.resolve import resolve
from tilework.network.graph import Graph, GraphBuilder


@pytest.fixture
def small() -> Count:
    g = GraphBuilder("small")
    x = g.input("image", (1, 2, 6, 6))
    value = g.node("stem.conv", "conv2d", x, g.weight("stem.conv.weight", (40, 2, 3, 3)), padding=(1, 1))
    value = g.node("stem.act.relu", "relu", value)
    value = g.node("flatten", "flatten", value)
    return count(g.graph(g.node("fc", "linear", value, g.weight("w", (10, 1440)), g.weight("b", (10,), False))))


TABLE = """\
=========================================================================================================
Layer (type)            Output Shape   Param #  Mult-Adds  Multiplications  Additions  Neurons      Other
=========================================================================================================
small                   --                  --         --               --         --       --         --
├─ stem                 --                  --         --               --         --       --         --
│  ├─ conv (conv2d)     [1, 40, 6, 6]      720     25,920           25,920     24,480    1,440         --
│  └─ act               --                  --         --               --         --       --         --
│     └─ relu (relu)    [1, 40, 6, 6]       --         --               --         --       --      1,440
├─ flatten (flatten)    [1, 1440]           --         --               --         --       --         --
└─ fc (linear)          [1, 10]         14,400     14,400           14,400     14,400       10         --
=========================================================================================================
"""

TOTALS = """\
Total params:         15,120
Trainable params:     15,120
Buffers (not params): 10
Total mult-adds:      40,320
Multiplications:      40,320
Additions:            38,880
Other operations:     1,440 (comparison 1,440)
Padding zeros:        counted
Neurons:              1,450 (1,522 with the input layer)
Params size:          60,480 bytes = 0.06 MB = 0.06 MiB
Buffers size:         40 bytes = 0.00 MB = 0.00 MiB
Activations size:     11,560 bytes = 0.01 MB = 0.01 MiB
"""


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if set(line) != {"="}]


def test_the_plain_table(small: Count) -> None:
    lines = str(small).splitlines(keepends=True)
    assert words("".join(lines)) == words(TABLE + TOTALS)
    assert "".join(lines[11:-1]) == TOTALS
    assert len({len(line) for line in lines[3:10]}) == 1


def test_the_convention_and_the_dtype_stand_in_the_totals() -> None:
    text = str(count(resolve("lenet5"), padding_zeros=False, dtype="int8"))
    assert "Padding zeros:        left out\n" in text
    assert "Stored as:            int8\n" in text
    assert "Params size:          61,706 bytes = 0.06 MB = 0.06 MiB\n" in text


def test_megabytes_and_mebibytes_are_told_apart() -> None:
    assert "243,860,896 bytes = 243.86 MB = 232.56 MiB" in str(count(resolve("alexnet")))


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


def test_csv_has_plain_numbers_and_a_column_for_every_kind(small: Count) -> None:
    text = small.to_csv()
    assert text.splitlines()[:2] == [
        "name,operation,module,input_shapes,output_shape,layers,parameters,trainable_parameters,buffers,neurons,"
        "multiplications,additions,macs,parameter_bytes,buffer_bytes,activation_bytes,division,comparison,power,exp,"
        "log,sqrt,tanh",
        "stem.conv,conv2d,stem,1x2x6x6,1x40x6x6,1,720,720,0,1440,25920,24480,25920,2880,0,5760,0,0,0,0,0,0,0",
    ]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(int(row["macs"]) for row in rows) == small.total.macs


def test_markdown(small: Count) -> None:
    lines = small.to_markdown().splitlines()
    assert lines[:3] == [
        "| Layer (type) | Output Shape | Param # | Mult-Adds | Multiplications | Additions | Neurons | Other |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| stem.conv | [1, 40, 6, 6] | 720 | 25,920 | 25,920 | 24,480 | 1,440 | -- |",
    ]
    assert lines[7] == "- Total params: 15,120"


def test_names_cannot_break_markdown_or_html() -> None:
    g = GraphBuilder("a<b|c")
    odd = count(g.graph(g.node("x|<y>", "relu", g.input("i", (1,)))))
    assert "| x\\|<y> |" in odd.to_markdown()
    assert "<y>" not in odd._repr_html_()
    assert "x|&lt;y&gt;" in odd._repr_html_()


def test_html_has_a_row_per_line(small: Count) -> None:
    text = small._repr_html_()
    assert text.count("<tr>") == 1 + 7 + len(TOTALS.splitlines())
    assert '<td style="text-align:right;white-space:pre">25,920</td>' in text


def test_a_network_without_nodes_has_an_empty_table() -> None:
    g = GraphBuilder("nothing")
    empty = count(g.graph(g.input("x", (1, 2))))
    assert empty.neurons_with_input == 2
    assert str(empty).splitlines()[3].startswith("nothing")
    assert len(empty.to_csv().splitlines()) == 1


def rendered(counted: Count, width: int) -> str:
    console = pytest.importorskip("rich.console", reason="rich is not installed").Console
    out = io.StringIO()
    show(counted, console(file=out, width=width, force_terminal=True, color_system=None))
    return out.getvalue()


def test_a_wide_terminal_shows_every_column(small: Count) -> None:
    text = rendered(small, 160)
    assert words(text)[: len(words(TABLE))] == words(TABLE)
    assert "not shown" not in text


def test_a_narrow_terminal_leaves_the_last_columns_out_and_cuts_no_number(small: Count) -> None:
    text = rendered(small, 90)
    assert fitting(small, 90) == (COLUMNS[:5], 83)
    assert "(not shown on this narrow terminal: Neurons, Other)" in text
    assert "25,920           25,920     24,480" in text
    assert "[1, 40, 6, 6]      720     25,920\n" in rendered(small, 20).replace("  \n", "\n")


def test_brackets_in_a_name_are_no_markup() -> None:
    g = GraphBuilder("[bold]x[/bold]")
    assert "[bold]x[/bold]" in rendered(count(g.graph(g.node("y", "relu", g.input("i", (1,))))), 120)


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
    page = (Path(__file__).parents[2] / "docs" / "counting.md").read_text(encoding="utf-8")
    assert [kind for kind in OTHER_KINDS if f"`{kind}`" not in page] == []


def test_importing_the_package_gives_its_names_when_they_are_asked_for() -> None:
    import tilework

    assert tilework.count is count
    assert tilework.load is resolve
    assert tilework.Graph is Graph
    assert {"Graph", "count", "load", "__version__"} <= set(dir(tilework))
    with pytest.raises(AttributeError, match="module 'tilework' has no attribute 'colour'"):
        _ = tilework.colour
