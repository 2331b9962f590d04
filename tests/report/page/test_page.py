"""A page without a browser: its numbers are those of the counts and the simulator, and nothing in it can do harm."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

import tilework as tw
from tilework.cli import cli
from tilework.cost.liveness import Storages, forward
from tilework.errors import MachineError, OutputError
from tilework.network.graph import GraphBuilder
from tilework.report.page.document import libraries, page
from tilework.report.page.storage import touched_bytes
from tilework.report.page.subject import Subject, subject_of
from tilework.report.page.write import MOST_BYTES, _largest, _network, write

from .conftest import HOSTILE, MODULE, chain, residual, unpacked

PageOf = Callable[[Subject], Path]


def test_the_numbers_are_those_of_the_count_the_roofline_and_the_simulator(hostile: Subject) -> None:
    found, rows = _network(hostile), tw.count(hostile.graph).rows
    assert found["nodes"]["macs"] == [row.macs for row in rows]
    assert found["nodes"]["parameters"] == [row.parameters for row in rows]
    for roof, machine in zip(found["roofs"], ("dlp-m4", "dlp-s", "t4"), strict=True):
        bound = tw.roofline(hostile.graph, machine)
        assert roof["time"] == [layer.seconds for layer in bound.layers]
        assert (roof["peak"], roof["dtype"]) == (bound.machine.peak[bound.dtype], bound.dtype)
    cost = tw.compile(hostile.graph, "dlp-m4", fused=False).cost
    assert found["cycles"] == cost.cycles
    assert found["layers"]["cycles"] == [layer.cycles for layer in cost.layers]
    assert sum(found["nodes"]["cycles"]) == sum(layer.cycles for layer in cost.layers)
    assert found["layers"]["busy"]["matrix"] == [layer.busy_cycles["matrix"] for layer in cost.layers]


def test_every_node_is_in_the_layer_that_computes_it() -> None:
    subject = subject_of(residual(), "dlp-s", fused=False)
    layers = [layer.name for layer in subject.cost.layers] if subject.cost else []
    by_name = {name: layers[number] for name, number in subject.layer_of.items()}
    assert by_name.keys() == {node.name for node in subject.graph.nodes}
    assert by_name["conv1"] == by_name["bn1"]  # the normalisation is folded into it
    assert by_name["flat"] == by_name["fc"]
    mains = [subject.graph.nodes[place].operation for place in subject.main_nodes]
    assert mains == ["conv2d", *("conv2d", "relu", "add") * 2, "linear"]


def test_the_hosts_nodes_are_in_no_layer() -> None:
    b = GraphBuilder("lookup")
    tokens, table = b.input("tokens", (4,), "int64"), b.weight("table", (9, 8))
    looked = b.node("look", "host", tokens, table, what="embedding", shape=(4, 8), dtype="float32")
    graph = b.graph(b.node("fc", "linear", looked, b.weight("w", (5, 8)), b.weight("b", (5,))))
    subject = subject_of(graph, "dlp-s")
    assert subject.layer_of == {"fc": 0}
    assert _network(subject)["nodes"]["fate"] == ["computed on the host", ""]


def test_live_bytes_are_those_of_what_is_still_to_be_read() -> None:
    graph = residual()
    live = _network(subject_of(graph, "t4"))["memory"]["live"]
    storages = Storages(graph, None)
    touches = [moment.touches for moment in forward(storages)][1:]
    for place in range(len(graph.nodes)):
        begun = {name for touched in touches[: place + 1] for name in touched} | {"x"}
        later = {name for touched in touches[place:] for name in touched} | {
            storages.of[name] for name in graph.outputs
        }
        assert live[place] == sum(storages.sizes[name] for name in begun & later), graph.nodes[place].name


def test_touched_bytes_are_the_union_of_what_instructions_reach() -> None:
    text = """
        loop 3
          load <10> nram 0x0+(64*i0) mod 128 {4} = dram 0x0 {4}
        endloop
        vadd <8, 2> nram 0x20 {4, 64} = nram 0x0 {4, 0}, #1
        load <4> wram 0x100 {8} = dram 0x0 {4}
        sync
        end
    """
    stream = tw.parse_text(text)
    layers = (tw.Layer("one", "x", 0, 3, 0, 0), tw.Layer("two", "x", 3, 6, 0, 0))
    program = tw.Program.of("p", tw.load_machine("dlp-s"), stream, layers=layers, dram_bytes=1024)
    first, second = touched_bytes(program)
    assert first == {"nram": 104, "wram": 0, "sram": 0}  # from 0 to the second slot's end, its gap included
    assert second == {"nram": 128, "wram": 28, "sram": 0}  # 0 to 32 is read, 32 to 128 written


def test_no_layer_touches_more_than_there_is(hostile: Subject) -> None:
    memory = _network(hostile)["memory"]
    assert memory["capacity"].keys() == {"nram", "wram", "sram"}
    for name, capacity in memory["capacity"].items():
        assert 0 < max(memory["chip"][name]) <= capacity


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.in_script = (tag, attrs) == ("script", [])
        self.scripts += [""] * self.in_script

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts[-1] += data


def test_names_are_text_wherever_they_stand(hostile: Subject, page_of: PageOf) -> None:
    text = page_of(hostile).read_text("utf-8")
    plain = Tags(write_plain()).tags
    ours = Tags(text)
    assert [tag for tag, _ in ours.tags if tag in ("script", "img", "svg", "meta", "link")] == [
        tag for tag, _ in plain if tag in ("script", "img", "svg", "meta", "link")
    ]
    assert not [name for _, attributes in ours.tags for name in attributes if name.startswith("on")]
    assert HOSTILE not in text
    assert MODULE not in text
    islands = unpacked(text)
    assert HOSTILE in islands["network"]["nodes"]["name"]
    assert [MODULE, "0"] in islands["network"]["nodes"]["path"]


def write_plain() -> str:
    return page("plain", "machine", "", {"network": "", "text": "", "events": "", "code": ""}, "")


def test_only_the_pages_own_scripts_may_run_and_nothing_is_loaded(hostile: Subject, page_of: PageOf) -> None:
    found = Tags(page_of(hostile).read_text("utf-8"))
    policy = next(str(a["content"]) for tag, a in found.tags if tag == "meta" and "http-equiv" in a)
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    assert allowed == [b64encode(sha256(script.encode()).digest()).decode() for script in found.scripts]
    assert len(allowed) == len(libraries()) + 1
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    loads = [a for tag, a in found.tags if "src" in a or (tag == "link" and a["href"] != "data:,")]
    assert loads == []


def test_the_libraries_are_the_ones_in_the_table() -> None:
    folder = files("tilework.report.page").joinpath("vendor")
    for name, row in libraries().items():
        for file, key in ((f"{name}.min.js", "sha256"), (f"{name}.LICENSE", "licence_sha256")):
            data = folder.joinpath(file).read_bytes()
            assert sha256(data).hexdigest() == row[key]
            assert b"</script" not in data.lower()
        assert re.fullmatch(r"\d+\.\d+\.\d+", row["version"])


def test_the_same_network_gives_the_same_page(hostile: Subject, page_of: PageOf, tmp_path: Path) -> None:
    write(hostile, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page_of(hostile).read_bytes()


def test_islands_are_halved_until_they_fit() -> None:
    value, text = _largest(lambda most: {"numbers": [n * 7919 % 10007 for n in range(most)]}, 4000, 3000)
    assert 250 <= len(value["numbers"]) <= 2000
    assert len(text) <= 3000
    assert _largest(lambda most: {"numbers": list(range(most))}, 8, 0)[0] == {"numbers": []}


def test_five_thousand_layers_fit(tmp_path: Path) -> None:
    written = write(subject_of(chain(5000), "t4"), tmp_path / "page.html")
    assert written.layers == 5000
    assert written.bytes == (tmp_path / "page.html").stat().st_size < MOST_BYTES < 6_000_000


def test_an_accelerator_has_a_page_without_a_run(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    written = tw.write_report(residual(), "h100-sxm", path)
    assert written.cycles is None
    assert written.missing == (
        "only the peaks and the bandwidth of h100-sxm are published, so that nothing can be compiled for it or "
        "simulated on it"
    )
    assert f"It is not simulated: {written.missing}." in path.read_text("utf-8")
    assert unpacked(path.read_text("utf-8")).keys() == {"network", "text"}


def test_a_network_that_the_machine_cannot_run_has_a_page_that_says_why(tmp_path: Path) -> None:
    written = tw.write_report(residual(), "tpu-v1", tmp_path / "page.html")
    assert written.missing == (
        "a network must be quantised for tpu-v1, which multiplies int8 only; choose the dtype int8 (--dtype int8)"
    )
    assert _network(subject_of(residual(), "tpu-v1"))["no_roof"] == written.missing


def test_without_a_peak_there_is_no_roof_and_with_others_beside_it_an_error() -> None:
    unknown = replace(tw.load_accelerator("t4"), name="unknown", peak={})
    sentence = (
        "a roofline needs a machine's peak in a dtype that it is stated for, and unknown's isn't known; "
        "choose another machine"
    )
    assert _network(subject_of(residual(), unknown))["no_roof"] == sentence
    with pytest.raises(MachineError) as raised:
        subject_of(residual(), unknown, ("t4",))
    assert str(raised.value) == sentence


def test_a_network_without_costs_has_a_page(tmp_path: Path) -> None:
    b = GraphBuilder("nothing")
    graph = b.graph(b.node("r", "reshape", b.input("x", (2, 8)), shape=(16,)))
    assert tw.write_report(graph, "t4", tmp_path / "page.html").layers == 1


def test_a_page_must_be_html(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as raised:
        tw.write_report(residual(), "dlp-s", tmp_path / "page.pdf")
    assert str(raised.value) == f"a page's name must end in .html, unlike {str(tmp_path / 'page.pdf')!r}"


def test_the_command_writes_a_page(tmp_path: Path) -> None:
    path = str(tmp_path / "lenet5.html")
    result = CliRunner().invoke(cli, ["report", "lenet5", "--for", "dlp-s", "--beside", "t4", "-o", path, "--json"])
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["network"], record["machine"], record["path"]) == ("lenet5", "dlp-s", path)
    assert record["cycles"] == tw.compile("lenet5", "dlp-s").cost.cycles
    assert record["bytes"] == Path(path).stat().st_size
    assert record["events"] == record["events_shown"] > 0
    assert record["missing"] == ""


def test_the_command_warns_where_nothing_is_simulated(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "lenet5", "--for", "t4", "-o", str(tmp_path / "lenet5.html")])
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: nothing is simulated: only the peaks and the bandwidth of t4 are")
    assert re.fullmatch(r".*lenet5\.html: lenet5 on t4, \d+ layers, [\d,]+ bytes\n", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "page.txt"], "a page's name must end in .html, unlike 'page.txt'"),
        (["-o", "p.html", "--for", "dlp-x"], "a machine must be a name in the catalogue or a path that ends in .toml"),
        (["-o", "p.html", "--cores", "9"], "cores must be from 1 to the 1 of dlp-s, not 9; correct it"),
        (["-o", "p.html", "--dtype", "int4"], "the dtype for dlp-s must be one of float32"),
        (
            ["-o", "p.html", "--for", "t4", "--cores", "2"],
            "nothing is compiled for t4, of which only peaks are known; of the options about compiling leave out all "
            "but --dtype",
        ),
        (["-o", "p.html", "--batch", "N"], "--batch must be a whole number for a page, not 'N'; give one such as 8"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["report", "lenet5", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"tilework: {message}")
    assert len(result.stderr.splitlines()) == 1
