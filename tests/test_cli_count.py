"""The command line as a user meets it: `count`, `networks`, and how every command ends."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

import tilework
from tilework import cli
from tilework.network.graph_text import print_graph


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.cli, list(arguments), env=environment)


def error_of(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1
    return result.stderr.rstrip("\n")


def test_count_prints_the_table() -> None:
    result = run("count", "lenet5")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "├─ conv1 (conv2d)      [1, 6, 28, 28]       156    117,600" in result.stdout
    assert "Total params:         61,706 (61.71 k)\n" in result.stdout
    assert "\x1b" not in result.stdout


def test_count_prints_one_json_document() -> None:
    document = json.loads(run("count", "resnet152", "--json").stdout)
    assert document["network"] == "resnet152"
    assert document["totals"]["macs"] == 11_513_626_624
    assert document["neurons_with_input"] == document["totals"]["neurons"] + 3 * 224 * 224
    assert document["layers"][0]["output_shape"] == [1, 64, 112, 112]
    assert run("count", "resnet152", "--format", "json").stdout == run("count", "resnet152", "--json").stdout


def test_count_groups_and_truncates() -> None:
    document = json.loads(run("count", "resnet18", "--by", "operation", "--json").stdout)
    assert {row["name"]: row["layers"] for row in document["layers"]}["conv2d"] == 20
    document = json.loads(run("count", "resnet18", "--depth", "1", "--json").stdout)
    assert [row["name"] for row in document["layers"]][4:8] == ["layer1", "layer2", "layer3", "layer4"]


@pytest.mark.parametrize("option", [["--no-padding"], ["--convention", "unpadded"]])
def test_count_leaves_padding_out(option: list[str]) -> None:
    assert json.loads(run("count", "vgg19", "--json", *option).stdout)["totals"]["macs"] == 18_957_820_672


def test_count_takes_shapes_batch_and_dtype() -> None:
    arguments = ("--input", "3,256,256", "--batch", "2", "--dtype", "float16", "--json")
    document = json.loads(run("count", "resnet18", *arguments).stdout)
    assert document["layers"][0]["input_shapes"] == [[2, 3, 256, 256]]
    assert document["totals"]["parameter_bytes"] == 2 * 11_689_512
    for shape in ("2,3,256,256", "image=2,3,256,256", "2x3x256x256"):
        again = json.loads(run("count", "resnet18", "--input", shape, "--dtype", "float16", "--json").stdout)
        assert again == document


def test_count_writes_csv_and_markdown() -> None:
    assert run("count", "lenet5", "--format", "csv").stdout.startswith("name,operation,module,")
    assert run("count", "lenet5", "--format", "markdown").stdout.startswith("| Layer (type) |")


def test_count_shows_the_costliest_rows() -> None:
    document = json.loads(run("count", "resnet152", "--top", "10", "--json").stdout)
    layers = document["layers"]
    assert len(layers) == 11
    assert layers[-1]["name"].endswith(" others")
    for key, whole in document["totals"].items():
        if key != "other_operations":
            assert sum(row[key] for row in layers) == whole
    document = json.loads(run("count", "vgg19", "--sort", "parameters", "--json").stdout)
    assert document["layers"][0]["name"] == "classifier.0"


def test_the_shares_are_of_the_quantity_asked_for_or_sorted_by() -> None:
    assert run("count", "vgg19", "--quantity", "parameters").stdout.count("Shares are of:        the parameters\n") == 1
    assert run("count", "vgg19", "--sort", "neurons").stdout.count("Shares are of:        the neurons\n") == 1


def test_repeated_blocks_are_one_line_unless_all_is_asked_for() -> None:
    assert "35 × 1 … 35  " in run("count", "resnet152").stdout
    assert "35 ×" not in run("count", "resnet152", "--all").stdout
    assert len(run("count", "resnet152", "--all").stdout.splitlines()) > 517
    assert len(run("count", "resnet152", "--format", "csv").stdout.splitlines()) == 1 + 516


@pytest.mark.parametrize("ending", ["html", "csv", "md", "json", "txt"])
def test_count_writes_files(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"cost.{ending}"
    result = run("count", "lenet5", "-o", str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"written: {path}\n")
    style = {"md": "markdown", "txt": "table"}.get(ending, ending)
    if ending == "html":
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    else:
        assert path.read_text(encoding="utf-8") == run("count", "lenet5", "--format", style).stdout


def test_count_draws_and_prints_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    paths = [str(tmp_path / "a.svg"), str(tmp_path / "b.PNG")]
    result = run("count", "lenet5", "-o", paths[0], "-o", paths[1], "--json")
    assert json.loads(result.stdout)["network"] == "lenet5"
    assert Path(paths[0]).read_bytes().startswith(b"<?xml")
    assert Path(paths[1]).read_bytes().startswith(b"\x89PNG")


def test_count_compares() -> None:
    result = run("count", "resnet18", "--against", "resnet34")
    assert result.stdout.startswith("resnet18 against resnet34: differences are this less the other\n\nLayer (type) ")
    assert "… 18 alike in both  " in result.stdout
    document = json.loads(run("count", "resnet18", "--against", "resnet34", "--batch", "2", "--json").stdout)
    assert document["totals"]["macs"]["difference"] == 2 * (1_814_073_344 - 3_663_761_408)
    assert len(document["layers"]) == len(json.loads(run("count", "resnet34", "--json").stdout)["layers"])
    shallow = json.loads(run("count", "resnet18", "--against", "resnet34", "--depth", "1", "--json").stdout)
    assert shallow["totals"] == json.loads(run("count", "resnet18", "--against", "resnet34", "--json").stdout)["totals"]
    assert [layer["name"] for layer in shallow["layers"]][4:8] == ["layer1", "layer2", "layer3", "layer4"]
    assert run("count", "resnet18", "--against", "resnet34", "--format", "csv").stdout.startswith("name,against,")


def test_the_other_network_has_its_own_inputs_where_these_do_not_fit() -> None:
    result = run("count", "resnet18", "--input", "3,64,64", "--against", "lenet5", "--json")
    assert result.stderr == "tilework: lenet5 doesn't take these inputs and was counted with its own\n"
    own = json.loads(run("count", "lenet5", "--json").stdout)["totals"]["macs"]
    assert json.loads(result.stdout)["totals"]["macs"]["b"] == own


def test_help_is_in_sections() -> None:
    text = run("count", "--help").stdout
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "What is counted:",
        "Memory:",
        "What is shown:",
        "How it is shown:",
        "Other options:",
    ]
    assert text.splitlines()[-1].startswith("    tilework count ")


def test_count_reads_a_graph_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.graph"
    path.write_text(print_graph(tilework.load("lenet5")), encoding="utf-8")
    assert run("count", str(path)).stdout == run("count", "lenet5").stdout


def test_networks_lists_the_zoo() -> None:
    document = json.loads(run("networks", "--json").stdout)
    names = [entry["name"] for entry in document["networks"]]
    assert {"alexnet", "vgg19", "resnet152", "lenet5"} <= set(names)
    assert [line.split()[0] for line in run("networks").stdout.splitlines()[::2]] == names


def test_version() -> None:
    assert run("--version").stdout == f"tilework {tilework.__version__}\n"
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == tilework.__version__


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"tilework {command}" in result.stdout.partition("Example")[2]
    assert "--json" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_command_alone_lists_the_commands(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert all(f"  {command} " in result.stdout for command in cli.COMMANDS)


READS = (
    "tilework: a network must be a name that `tilework networks` lists, a .graph, .onnx or .pt2 file, "
    "py:MODULE:CALLABLE or hf:CONFIG, unlike"
)
SHAPES = "must have 4 sizes, or 3 without the batch, not"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["count", "net.onnx"],
            "tilework: the ONNX file 'net.onnx' must be readable: No such file or directory",
        ),
        (["count", "a/b.txt"], f"{READS} 'a/b.txt'"),
        (
            ["count", "no.graph"],
            "tilework: the network file 'no.graph' must be readable: No such file or directory",
        ),
        (["count", "lenet5", "--batch", "0"], "tilework: the batch must be at least 1, not 0"),
        (["count", "lenet5", "--depth", "0"], "tilework: the depth must be at least 1, not 0"),
        (["count", "lenet5", "--top", "0"], "tilework: the top must be at least 1 row, not 0"),
        (
            ["count", "lenet5", "-o", "a.pdf"],
            "tilework: the file's name must end in .html, .svg, .png, .csv, .md, .json, .txt, .onnx or .tfevents, "
            "unlike 'a.pdf'",
        ),
        (
            ["count", "lenet5", "--against", "alexnet", "-o", "a.svg"],
            "tilework: the file's name must end in .csv, .md, .json or .txt, unlike 'a.svg'",
        ),
        (
            ["count", "lenet5", "-o", "no/such/folder.csv"],
            "tilework: no/such/folder.csv must be a path that can be written, "
            "not one with 'No such file or directory'; change it",
        ),
        (
            ["count", "lenet5", "--sort", "size"],
            "tilework: invalid value for '--sort': 'size' is not one of 'macs', 'parameters', 'multiplications', "
            "'additions', 'activation_bytes', 'neurons', 'other'; see tilework count --help",
        ),
        (
            ["count", "lenet5", "--input", "1,0,2"],
            "tilework: an input's shape must be positive sizes such as 3,224,224, or symbols such as N, not '1,0,2'",
        ),
        (
            ["count", "lenet5", "--input", "28,28"],
            f"tilework: input image is [1, 1, 28, 28]: its shape {SHAPES} [28, 28]",
        ),
        (
            ["count", "lenet5", "--input", "picture=1,28,28"],
            "tilework: network lenet5 has the inputs image, not 'picture'",
        ),
        (
            ["count", "lenet5", "--input", "1,28,28", "--input", "1,28,28"],
            "tilework: network lenet5 takes one shape for each of image, not 2",
        ),
        (
            ["count", "lenet5", "--batch", "3", "--input", "2,1,28,28"],
            "tilework: input image must have the batch 3 as its first size, not [2, 1, 28, 28]",
        ),
        (
            ["count", "lenet5", "--input", "1,32,32"],
            "tilework: node fc1: linear with weight [120, 400] must get 400 features, not 576",
        ),
        (["count"], "tilework: missing argument 'NETWORK'; see tilework count --help"),
        (["colour"], "tilework: no such command 'colour'; see tilework --help"),
        (
            ["count", "lenet5", "--by", "colour"],
            "tilework: invalid value for '--by': 'colour' is not one of 'layer', 'module', 'operation'; "
            "see tilework count --help",
        ),
    ],
)
def test_a_users_mistake_is_one_sentence(arguments: list[str], message: str) -> None:
    assert error_of(*arguments) == message


def test_an_unknown_network_is_told_what_is_close() -> None:
    message = error_of("count", "resnet15")
    assert message.startswith("tilework: the network must be one of ")
    assert "not 'resnet15'; did you mean resnet152" in message


def test_a_graph_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bytes.graph"
    path.write_bytes(b"\xff\xfe\x00")
    assert error_of("count", str(path)) == f"tilework: a .graph file must be UTF-8 text, which {str(path)!r} is not"


@click.command()
@click.argument("kind")
def broken(kind: str) -> None:
    raise KeyboardInterrupt if kind == "interrupt" else KeyError("lost")


@pytest.fixture
def broken_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "broken", ("somewhere:broken", "Fails."))
    monkeypatch.setattr(cli, "import_module", lambda _: SimpleNamespace(broken=broken))


@pytest.mark.usefixtures("broken_command")
def test_our_fault_is_one_sentence_too_and_says_so() -> None:
    result = run("broken", "fault", TILEWORK_DEBUG="0")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "tilework: KeyError: 'lost'; this is a fault of Tilework, please report it "
        "(TILEWORK_DEBUG=1 shows where it happened)\n"
    )


@pytest.mark.usefixtures("broken_command")
def test_debugging_shows_the_traceback() -> None:
    result = run("broken", "fault", TILEWORK_DEBUG="1")
    assert isinstance(result.exception, KeyError)


@pytest.mark.usefixtures("broken_command")
def test_an_interrupt_ends_quietly() -> None:
    result = run("broken", "interrupt")
    assert result.exit_code == 130
    assert result.stderr.strip() == "tilework: interrupted"


def process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env={**os.environ, **environment})


def test_as_a_process() -> None:
    command = [sys.executable, "-W", "error", "-m", "tilework", "count", "alexnet", "--json"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert json.loads(result.stdout)["totals"]["parameters"] == 60_965_224
    assert result.stderr == ""
    failed = subprocess.run([*command[:-2], "nothing"], capture_output=True, encoding="utf-8")
    assert (failed.returncode, failed.stdout) == (2, "")


def test_counting_imports_no_heavy_package_and_help_no_command() -> None:
    heavy = "{'numpy', 'torch', 'rich', 'onnx', 'typing_extensions', 'pandas'}"
    code = (
        "import sys\nfrom tilework.cli import cli\ntry: cli.main({})\nexcept SystemExit: pass\n"
        "print(sorted(({} | {}) & set(sys.modules)), file=sys.stderr)"
    )
    commands = "{'tilework.commands.count', 'tilework.commands.networks', 'tilework.frontend.zoo'}"
    assert process(code.format(["count", "resnet152"], heavy, "set()")).stderr == "[]\n"
    assert process(code.format(["--help"], heavy, commands)).stderr == "[]\n"
    assert process(f"import sys, tilework; print({heavy} & set(sys.modules), len(sys.modules) < 100)").stdout == (
        "set() True\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="closes a pipe as POSIX does")
def test_a_reader_that_stops_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "tilework", "count", "resnet152"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, encoding="utf-8")
    os.close(write)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_output_that_knows_no_box_characters_gets_question_marks() -> None:
    code = "import sys\nfrom tilework.cli import main\nsys.argv[1:] = ['count', 'lenet5']\nmain()"
    result = process(code, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (result.returncode, result.stderr) == (0, "")
    assert "?? conv1 (conv2d)" in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_table_fits_the_width() -> None:
    import pty

    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    command = [sys.executable, "-m", "tilework", "count", "lenet5"]
    with subprocess.Popen(command, stdout=slave, env=environment) as child:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # Linux says so when the other end is closed
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    text = shown.decode()
    assert child.returncode == 0
    assert max(len(line) for line in text.splitlines() if "─" in line) <= 80
    assert "(not shown on this narrow terminal: Multiplications, Additions, Neurons, Other)" in text
