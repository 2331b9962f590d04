"""Exported programs, in memory and as files: the graphs of the modules themselves, and nothing of a file is run."""

from __future__ import annotations

import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

from tilework.cost.count import count  # noqa: E402
from tilework.errors import NetworkError  # noqa: E402
from tilework.frontend.from_torch import from_torch  # noqa: E402
from tilework.frontend.from_torch.export import from_export  # noqa: E402
from tilework.network.graph import Graph  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("scale", torch.ones(4), persistent=False)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.norm(self.conv(x))) * self.scale[:, None, None]


class Outer(nn.Module):
    """Modules in modules, a tied weight, a frozen one, a constant, attention, sizes that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = Inner(), nn.Linear(4, 4)
        self.tied, self.attention = self.head, nn.MultiheadAttention(4, 2, batch_first=True)
        self.bias = nn.Parameter(torch.ones(4), requires_grad=False)
        self.numbers = torch.arange(4)

    def forward(self, x: Any) -> Any:
        y = self.inner(x).flatten(2).transpose(1, 2)
        y = self.tied(self.head(y)) + self.bias + self.numbers
        with torch.no_grad():
            y = y.reshape(y.shape[0] * 2, -1).reshape(y.shape)
        return {"out": self.attention(y, y, y)[0], "both": torch.cat([y, y])}


@pytest.fixture(scope="module")
def module() -> nn.Module:
    return Outer().eval()


@pytest.fixture(scope="module")
def program(module: nn.Module) -> Any:
    batch = torch.export.Dim("batch", min=2, max=64)
    return torch.export.export(module, (torch.zeros(3, 3, 6, 6),), dynamic_shapes={"x": {0: batch}})


@pytest.fixture(scope="module")
def file(program: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "outer.pt2"
    torch.export.save(program, path)
    return path


def outline(graph: Graph) -> Any:
    """What a graph is, whatever its nodes are called and in whichever order its weights come."""
    sources = sorted((t.name, t.shape, t.dtype, t.role) for t in graph.sources)
    nodes = [(node.operation, node.attributes, graph.tensors[node.name].shape, node.dtype) for node in graph.nodes]
    return sources, nodes, [graph.tensors[name].shape for name in graph.outputs]


def test_a_program_is_the_module_it_came_from(module: nn.Module, program: Any, file: Path) -> None:
    graph = from_export(program, "outer")
    assert str(from_export(file)) == str(graph)
    expected = from_torch(module, (3, 3, 6, 6))
    assert outline(graph) == outline(expected)
    assert count(graph).total == count(expected).total
    assert {node.module for node in graph.nodes} == {node.module for node in expected.nodes}
    assert {t.name: t.role for t in graph.sources}["bias"] == "frozen"
    assert "tied.weight" not in graph.tensors


def test_a_module_called_twice_keeps_its_name() -> None:
    shared = nn.Linear(4, 4)
    exported = torch.export.export(nn.Sequential(shared, nn.ReLU(), shared), (torch.zeros(2, 4),))
    assert [node.name for node in from_export(exported).nodes][:2] == ["0", "1"]
    assert count(from_export(exported)).total.parameters == 20


RECURRENT = {
    "lstm": lambda: nn.LSTM(4, 5, bidirectional=True),
    "gru": lambda: nn.GRU(4, 5),
    "encoder": lambda: nn.TransformerEncoderLayer(4, 2, 8),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_operators_that_export_leaves_whole_come_in_parts(name: str, tmp_path: Path) -> None:
    module = RECURRENT[name]().eval()
    x = torch.zeros(3, 2, 4)
    exported = torch.export.export(module, (x,))
    torch.export.save(exported, tmp_path / "m.pt2")
    expected = count(from_torch(module, x)).total
    assert count(from_export(exported)).total == count(from_export(tmp_path / "m.pt2")).total == expected
    assert "unknown" not in expected.other_operations


def test_the_same_networks_decomposed(program: Any) -> None:
    decomposed, whole = (count(from_export(one)).total for one in (program.run_decompositions(), program))
    assert (decomposed.macs, decomposed.parameters) == (whole.macs, whole.parameters)


def test_what_is_no_program() -> None:
    with pytest.raises(
        NetworkError, match=r"^an exported program must be what torch\.export\.export returns, not Linear$"
    ):
        from_export(nn.Linear(2, 2))


def altered(file: Path, path: Path, change: Callable[[str, bytes], bytes | None], **options: Any) -> Path:
    """A copy of a file in which each member is what `change` makes of it; None leaves it out."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w", **options) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


def with_program(file: Path, path: Path, change: Callable[[Any], None]) -> Path:
    def alter(name: str, content: bytes) -> bytes:
        if not name.endswith("models/outer.json") and not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        change(program)
        return json.dumps(program).encode()

    return altered(file, path, alter)


def first_node(**changes: Any) -> Callable[[Any], None]:
    return lambda program: program["graph_module"]["graph"]["nodes"][1].update(changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file, path: path, r"must be a file that can be read: No such file or directory$"),
        (
            lambda file, path: path.write_bytes(b"text"),
            r"must be a whole \.pt2 file, as torch\.export\.save writes it: ",
        ),
        (lambda file, path: path.write_bytes(file.read_bytes()[:5000]), r"must be a whole \.pt2 file, "),
        (
            lambda file, path: altered(file, path, lambda name, content: None if "models/" in name else content),
            r"must hold one program that torch\.export\.save wrote$",
        ),
        (
            lambda file, path: altered(file, path, lambda name, content: content, compression=zipfile.ZIP_DEFLATED),
            r"must hold outer/models/model\.json uncompressed, as torch\.export\.save writes it$",
        ),
        (
            lambda file, path: with_program(file, path, lambda program: program["schema_version"].update(major=7)),
            r"must have a program of version 8, not 7: export it anew$",
        ),
        (
            lambda file, path: with_program(file, path, first_node(target="torch.ops.aten.from_file.default")),
            r"^a program must call registered operators, not aten::from_file: import the package it is from$",
        ),
        (
            lambda file, path: with_program(file, path, first_node(target="torch.ops.mylib.foo.default")),
            r"^a program must call registered operators, not mylib::foo: import the package it is from$",
        ),
        (
            lambda file, path: with_program(file, path, first_node(target="torch.hub.load")),
            r"^a program must call torch's operators, not torch\.hub\.load$",
        ),
        (
            lambda file, path: with_program(file, path, first_node(inputs=[])),
            r"must hold a program whose operators fit: RuntimeError: aten::conv2d\(\) is missing value",
        ),
        (
            lambda file, path: with_program(file, path, lambda program: program["graph_module"].clear()),
            r"must hold a program whose operators fit: KeyError: 'graph'$",
        ),
    ],
)
def test_files_that_cannot_be_read(file: Path, tmp_path: Path, make: Callable[[Path, Path], Any], message: str) -> None:
    path = tmp_path / "altered.pt2"
    make(file, path)
    with pytest.raises(NetworkError, match=message):
        from_export(path)


def test_files_of_older_versions(tmp_path: Path) -> None:
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(NetworkError, match=r"wrote, as older versions of torch write it: export it anew$"):
        from_export(path)


class Mark:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_of_a_file_is_unpickled_or_evaluated(file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"

    def change(name: str, content: bytes) -> bytes:
        if "/weights/weight" in name or "sample_inputs" in name or "/constants/tensor" in name:
            return pickle.dumps(Mark(mark))
        if name.endswith(".json"):
            return content.replace(b"Symbol('", code.encode() + b" or Symbol('")
        return content

    poisoned = altered(file, tmp_path / "poisoned.pt2", change)
    assert str(from_export(poisoned, "outer")) == str(from_export(file, "outer"))
    assert not mark.exists()


def mutate(value: Any, chance: random.Random) -> Any:
    """The value with something in it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.95:
        key = chance.choice(list(value))
        return {**value, key: mutate(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.95:
        place = chance.randrange(len(value))
        return [*value[:place], mutate(value[place], chance), *value[place + 1 :]]
    return chance.choice([None, -1, 0, 10**12, 2.5, "x", "torch.ops.aten.relu.default", [], {}, {"as_int": -5}, True])


def test_altered_programs_are_read_or_refused(file: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    refused = 0
    for _ in range(150):
        path = altered(
            file,
            tmp_path / "m.pt2",
            lambda name, content: (
                json.dumps(mutate(json.loads(content), chance)).encode()
                if name.endswith(("model.json", "outer.json"))
                else content
            ),
        )
        try:
            from_export(path)
        except NetworkError:
            refused += 1
    assert 10 < refused < 150
