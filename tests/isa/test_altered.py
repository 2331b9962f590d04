"""Program files whose zip is sound but whose members are not what `save` wrote."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.errors import ProgramError
from tilework.isa import container
from tilework.isa.container import load_bundle, save
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import Options
from tilework.machine.load import load_machine

PROGRAM = random_program(5, load_machine("dlp-s"), Options(dram_bytes=1 << 10))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(PROGRAM, tmp_path / "net.tile")
    return tmp_path / "net.tile"


def error_of(action: Callable[[], object]) -> str:
    with pytest.raises(ProgramError) as caught:
        action()
    return str(caught.value)


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], weights: int = zipfile.ZIP_STORED) -> None:
    """The file again with other members, in a zip that is itself sound."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data, weights if name == "weights.bin" else zipfile.ZIP_DEFLATED)


def with_manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | changes).encode()

    return change


def with_step(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    """Other values in the manifest's only step, the program's; its steps take what it takes and give what it gives."""

    def change(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["steps"][0] |= changes
        members["manifest.json"] = json.dumps(manifest).encode()

    return change


def member(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: data})


MANIFEST = "its manifest must be one that Tilework writes, not with '{}'; compile again"
STREAM = {"role": "core", "cluster": 0, "index": 0, "length": len(PROGRAM.instructions)}
PORT = {"name": "x", "shape": [4], "address": 512, "order": [0]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_manifest(version=5), "its version must be at most 4, not 5; update Tilework, or compile with this one"),
        (with_manifest(version=3), "its version must be 4, not 3, which is older; compile again"),
        (with_manifest(version="1"), "its version must be a number of 1 or more, not '1'; compile again"),
        (with_manifest(format="other"), "its format must be 'tilework-program', not 'other'; compile again"),
        (with_manifest(extra=1), MANIFEST.format("Object contains unknown field `extra`")),
        (with_manifest(name=3), MANIFEST.format("Expected `str`, got `int` - at `$.name`")),
        (with_manifest(inputs=[{}]), MANIFEST.format("Object missing required field `name` - at `$.inputs[0]`")),
        (member("manifest.json", b"{"), MANIFEST.format("Input data was truncated")),
        (
            with_manifest(machine={"name": "x"}),
            "its machine: the key clock must be there, but is missing; add it, as in clock = '1 GHz'",
        ),
        (
            with_step(dram_bytes=0),
            "its sizes must be 0 <= weight_bytes <= dram_bytes <= 17179869184, the machine's DRAM, not 512 and 0; "
            "compile for another machine",
        ),
        (
            with_step(inputs=[PORT, PORT]),
            "its inputs must have different names, not ['x', 'x']; rename them",
        ),
        (
            with_step(inputs=[PORT | {"address": 508}]),
            "its input 'x' must lie at a multiple of 4 in bytes 512 to 1024 of DRAM, not 16 bytes at 508; move it",
        ),
        (
            with_step(outputs=[PORT | {"address": 1012}]),
            "its output 'x' must lie at a multiple of 4 in bytes 0 to 1024 of DRAM, not 16 bytes at 1012; move it",
        ),
        (
            with_step(outputs=[PORT | {"order": [1]}]),
            "its output 'x' must have sizes of 1 or more and an order of its axes, not (4,), (1,); correct it",
        ),
        (
            with_step(layers=[{"name": "a", "operation": "", "first": 3, "last": 2, "macs": 0, "compulsory_bytes": 0}]),
            f"its layer 'a' must lie in the {len(PROGRAM.instructions)} instructions of core 0 0, not in [3, 2); "
            "compile again",
        ),
        (
            with_step(
                layers=[
                    {"name": "a", "operation": "", "first": 0, "last": 2, "macs": 0, "compulsory_bytes": 0}
                    | {"others": [[0, 1]]}
                ]
            ),
            "its layer 'a' must lie in each of the 1 streams, not in 2; compile again",
        ),
        (
            with_step(outputs=[PORT | {"dtype": "int4"}]),
            "its output 'x' must have a dtype, one of float32, float16, bfloat16, int8, int32, not 'int4'; correct it",
        ),
        (
            with_step(outputs=[PORT | {"address": 1017, "dtype": "float16"}]),
            "its output 'x' must lie at a multiple of 2 in bytes 0 to 1024 of DRAM, not 8 bytes at 1017; move it",
        ),
        (
            with_step(streams=[]),
            f"the streams must share the {len(PROGRAM.instructions)} words among them, not []; compile again",
        ),
        (
            with_step(streams=[STREAM | {"index": 1}]),
            "a program's streams must be core 0 0, then other cores, then movers, each once and by their numbers, "
            "not core 0 1; put them in order",
        ),
        (
            with_step(weight_bytes=0),
            "weights.bin must have the 0 bytes that its manifest says, not 512; compile again",
        ),
        (
            member("code.bin", bytes(8)),
            "code.bin must be what the manifest says by length and SHA-256, and is not; compile again",
        ),
        (
            member("descriptors.bin", b""),
            "descriptors.bin must be what the manifest says by length and SHA-256, and is not; compile again",
        ),
    ],
)
def test_altered_members_are_refused(path: Path, change: Callable[[dict[str, bytes]], None], sentence: str) -> None:
    rewrite(path, change)
    assert error_of(lambda: load_bundle(path).program) == f"{path}: {sentence}"


def test_altered_weights_are_refused_when_they_are_asked_for(path: Path) -> None:
    rewrite(path, member("weights.bin", bytes(PROGRAM.weight_bytes)))
    loaded = load_bundle(path).program
    assert error_of(loaded.weights) == (
        f"{path}: weights.bin must have the SHA-256 that the manifest says, and has not; compile again"
    )


def test_weights_whose_file_is_gone(path: Path) -> None:
    loaded = load_bundle(path).program
    path.unlink()
    assert error_of(loaded.weights).startswith(f"{path} must stay where it was, with its weights, not be gone (")


def test_compressed_weights_are_refused(path: Path) -> None:
    rewrite(path, lambda members: None, zipfile.ZIP_DEFLATED)
    assert error_of(lambda: load_bundle(path).program) == (
        f"{path}: weights.bin must be packed as Tilework packs it, and is not; compile again"
    )


def test_zip_bombs_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(container.LIMITS, "code.bin", 1 << 10)
    rewrite(path, member("code.bin", bytes(1 << 20)))
    assert error_of(lambda: load_bundle(path).program) == (
        f"{path}: code.bin must have at most 1024 bytes, not 1048576; compile again"
    )


def test_deep_json_is_refused(path: Path) -> None:
    rewrite(path, member("manifest.json", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"))
    assert error_of(lambda: load_bundle(path).program).startswith(
        f"{path}: its manifest must be one that Tilework writes"
    )
