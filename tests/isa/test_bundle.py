"""Networks with host work as files: they come back, run without a framework, and are refused when altered."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from tilework.errors import ProgramError, TileworkError
from tilework.executable import Executable, compile_network, load_executable
from tilework.frontend.weight_files import seeded
from tilework.isa.bundle import HostPart
from tilework.isa.container import load_bundle
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph

TEXT = """graph net
input ids int64[2,5]
parameter table float32[7,4]
parameter w float32[3,4]
parameter small float16[5,2]
parameter v float32[3,2]
e = host(ids, table, what="embedding", shape=[2,5,4]) as float32
y = linear(e, w)
r = pointwise(y, body="min(max(round(x0 + 2), 0), 4)")
i = pointwise(r, body="x0", what="cast") as int64
f = host(i, small, what="embedding", shape=[2,5,3,2]) as float32
z = linear(f, v)
output z
output r
output ids
"""
GRAPH = parse_graph(TEXT)
IDS = np.random.default_rng(0).integers(0, 7, (2, 5))


@pytest.fixture(scope="module")
def built() -> Executable:
    return compile_network(GRAPH, "dlp-s")


@pytest.fixture
def path(tmp_path: Path, built: Executable) -> Path:
    built.save(tmp_path / "net.tile")
    return tmp_path / "net.tile"


def error_of(action: Callable[[], object]) -> str:
    with pytest.raises(ProgramError) as caught:
        action()
    return str(caught.value)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The file with another manifest, in a zip that is itself sound."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            method = zipfile.ZIP_STORED if name == "weights.bin" else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, method)


def test_host_work_comes_back(path: Path, built: Executable, tmp_path: Path) -> None:
    loaded = load_bundle(path)
    assert loaded == built.bundle
    assert [type(step).__name__ for step in loaded.steps] == ["HostPart", "Program", "HostPart", "Program"]
    assert loaded.inputs == GRAPH.inputs
    assert loaded.outputs == ("z", "r", "ids")
    weights = seeded(GRAPH)
    first, second = loaded.host_parts
    np.testing.assert_array_equal(first.weights["table"], weights["table"])
    np.testing.assert_array_equal(second.weights["small"], weights["small"].astype(np.float32))
    assert first.weights["table"].ctypes.data % 64 == 0
    Executable(loaded).save(tmp_path / "again.tile")
    compile_network(GRAPH, "dlp-s").save(tmp_path / "twice.tile")
    assert (tmp_path / "again.tile").read_bytes() == (tmp_path / "twice.tile").read_bytes() == path.read_bytes()


def test_its_values_are_those_of_the_whole_network(path: Path) -> None:
    expected = execute(GRAPH.replace(GRAPH.sources, GRAPH.nodes, ("z", "r")), _float16(GRAPH), {"ids": IDS})
    loaded = load_executable(path)
    for _ in range(2):
        found = loaded.run(ids=IDS)
        assert found.keys() == {"z", "r", "ids"}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(found["ids"], IDS)


def _float16(graph: Any) -> dict[str, Any]:
    weights = seeded(graph)
    return {tensor.name: weights[tensor.name].astype(tensor.dtype) for tensor in graph.weights}


def test_it_runs_without_torch_and_onnx(path: Path, built: Executable, tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", IDS)
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'onnx', 'onnxruntime'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from tilework.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, "run", str(path), "--input", str(tmp_path / "ids.npy"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    found = np.array(record["outputs"][0]["z"], np.float32)
    np.testing.assert_array_equal(found, built.run(ids=IDS)["z"])
    assert record["host_operations"] == list(built.bundle.host_operations)
    assert record["host_bytes"] == built.bundle.host_bytes == 4 * (2 * 5 * 4 + 2 * 5 * 3 * 2)


def test_the_manifest_says_compiler_network_and_machine(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    from hashlib import sha256

    from tilework import __version__

    assert manifest["compiler"] == __version__
    assert manifest["facts"]["network_sha256"] == sha256(str(GRAPH).encode()).hexdigest()
    assert manifest["machine"]["name"] == "dlp-s"


def test_another_machine_is_refused(path: Path) -> None:
    assert error_of(lambda: load_executable(path, "dlp-m4")) == (
        f"{path} was compiled for dlp-s, not for dlp-m4; compile it again for dlp-m4"
    )


def test_a_file_of_several_programs_is_not_one(path: Path) -> None:
    assert error_of(lambda: load_bundle(path).program) == (
        "network net must be one program for this, not 2 with the host's work between them; "
        "run it, or take its `programs`"
    )


def _steps(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["steps"][2].update(changes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            _steps(graph="graph g\noutput x\n"),
            "its host's work must be a graph that Tilework prints, not with "
            "'output x of network g is not defined by any node or input'; compile again",
        ),
        (
            _steps(graph="import os"),
            "its host's work must be a graph that Tilework prints, not with 'line 1 of a graph must be a graph, input, "
            "parameter, buffer, node or output: 'import os''; compile again",
        ),
        (
            _steps(graph="graph g\ninput r float32[2,5,3]\nf = relu(r)\noutput f\n"),
            "'f' must be there as [2, 5, 3, 2] when it is taken, and is [2, 5, 3]; compile again",
        ),
        (
            _steps(graph="graph g\ninput q float32[2]\nf = relu(q)\noutput f\n"),
            "'q' must be there as [2] when it is taken, and is not there; compile again",
        ),
        (
            lambda manifest: manifest.update(steps=manifest["steps"][:1]),
            "the streams must share the {words} words among them, not []; compile again",
        ),
        (
            lambda manifest: manifest.update(outputs=["nothing"]),
            "'nothing' must be there as [] when it is taken, and is not there; compile again",
        ),
        (
            lambda manifest: manifest["inputs"][0].update(dtype="int65"),
            "tensor ids: the dtype must be one of float32, float16, bfloat16, float64, float8_e4m3fn, float8_e5m2, "
            "int8, int32, int64, int16, uint8, uint16, uint32, uint64, bool, complex64, complex128, not 'int65'; "
            "compile again",
        ),
        (
            lambda manifest: manifest["steps"][0].update(
                graph=manifest["steps"][0]["graph"].replace("float32[7,4]", "float32[9,4]")
            ),
            "weights.bin must have the {more} bytes that its manifest says, not {bytes}; compile again",
        ),
    ],
)
def test_altered_networks_are_refused(path: Path, change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    found = {"words": sizes["code.bin"] // 8, "bytes": sizes["weights.bin"], "more": sizes["weights.bin"] + 64}
    rewrite(path, change)
    assert error_of(lambda: load_bundle(path)) == f"{path}: {sentence.format(**found)}"


def test_a_network_of_the_host_alone_is_refused(path: Path) -> None:
    import tilework.isa.bundle as bundle

    part = HostPart(parse_graph("graph g\ninput x float32[2]\ny = relu(x)\noutput y\n"))
    assert error_of(lambda: bundle.check_bundle(bundle.Bundle(part.graph.inputs, ("y",), (part,)))) == (
        "its steps must have a program among them; compile again"
    )


def test_altered_texts_run_or_give_an_error_of_one_sentence(path: Path) -> None:
    """As much as the sizes of the weights and the programs' ports allow: nothing else than our own errors comes."""
    random, whole = Random(2), path.read_bytes()

    def alter(manifest: dict[str, Any]) -> None:
        step = manifest["steps"][random.choice((0, 2))]
        text = list(step["graph"])
        for _ in range(random.randint(1, 3)):
            place = random.randrange(len(text))
            text[place] = random.choice(
                ["", "(", ")", "[", '"', "\\", "-", "0", "9", "\n", ",", "=", "x", text[place] * 2]
            )
        step["graph"] = "".join(text)

    ran = 0
    for _ in range(150):
        path.write_bytes(whole)
        rewrite(path, alter)
        try:
            load_executable(path).run(ids=IDS)
            ran += 1
        except TileworkError:
            pass
    assert 0 < ran < 100
