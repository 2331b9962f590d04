"""Program files: they come back, byte for byte the same, and nothing but what was saved is ever loaded."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilework.errors import OutputError, ProgramError
from tilework.isa import container
from tilework.isa.assembly import parse_text
from tilework.isa.container import MEMBERS, load_bundle, save
from tilework.isa.instruction import Instruction
from tilework.isa.manifest import Manifest, ProgramStep
from tilework.isa.program import Layer, Port, Program
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import Options
from tilework.machine.load import load_machine

DLP_S = load_machine("dlp-s")
PROGRAM = replace(
    random_program(5, DLP_S, Options(dram_bytes=1 << 10)),
    layers=(Layer("conv1", "conv2d", 0, 2, 3, 4),),
    host_operations=("nms",),
    facts={"network": "abc", "nested": [1, 0.1, None, {"größe": True}]},
)
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(PROGRAM, tmp_path / "net.tile")
    return tmp_path / "net.tile"


def error_of(action: Callable[[], object]) -> str:
    with pytest.raises((ProgramError, OutputError)) as caught:
        action()
    return str(caught.value)


@SAME_FOLDER
@given(st.integers(0, 1 << 32), st.sampled_from(["dlp-s", "dlp-m4", "dlp-m16"]))
def test_random_programs_come_back(tmp_path: Path, seed: int, machine: str) -> None:
    program = random_program(seed, load_machine(machine), Options(dram_bytes=1 << 8))
    save(program, tmp_path / "a.tile")
    loaded = load_bundle(tmp_path / "a.tile").program
    assert loaded == program
    np.testing.assert_array_equal(loaded.weights(), program.weights())
    save(loaded, tmp_path / "b.tile")
    assert (tmp_path / "a.tile").read_bytes() == (tmp_path / "b.tile").read_bytes()


def test_layers_in_all_streams_and_dtypes_come_back(tmp_path: Path) -> None:
    streams = parse_text("sync\nend\n.core 0 1\nend\n.mover 0\nbarrier chip\nend")
    program = Program.of(
        "p",
        load_machine("dlp-m4"),
        streams,
        inputs=(Port("x", (3,), 1, (0,), "int8"),),
        layers=(Layer("a", "b", 0, 1, 3, 4, ((0, 0), (0, 1))),),
        dram_bytes=4,
    )
    save(program, tmp_path / "a.tile")
    loaded = load_bundle(tmp_path / "a.tile").program
    assert loaded == program
    assert loaded.streams == streams
    assert loaded.layers[0].ranges == ((0, 1), (0, 0), (0, 1))


def test_everything_comes_back(path: Path) -> None:
    assert load_bundle(path).program == load_bundle(str(path)).program == PROGRAM
    shared = {"name", "machine", "facts"}
    assert shared < set(Manifest.__struct_fields__)
    others = {"instructions", "others", "lines", "labels", "weights"}
    assert set(ProgramStep.__struct_fields__) == {f.name for f in fields(Program)} - others - shared | {"streams"}


def test_the_file_is_a_plain_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert tuple(archive.namelist()) == MEMBERS
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["format"], manifest["version"], manifest["name"]) == ("tilework-program", 4, "random-5")
    assert manifest["machine"]["nram"]["capacity"] == "128 KiB"
    assert manifest["members"]["weights.bin"]["length"] == PROGRAM.weight_bytes


def test_weights_stay_on_disk_read_only_and_aligned(path: Path) -> None:
    weights = load_bundle(path).program.weights
    mapped = weights()
    assert isinstance(mapped, np.memmap)
    assert np.shares_memory(mapped, weights())
    assert not mapped.flags.writeable
    assert mapped.ctypes.data % 64 == 0
    np.testing.assert_array_equal(mapped, PROGRAM.weights())


def test_a_program_without_weights(tmp_path: Path) -> None:
    program = Program("empty", DLP_S, (Instruction("end"),))
    save(program, tmp_path / "a.tile")
    loaded = load_bundle(tmp_path / "a.tile").program
    assert loaded == program
    assert loaded.weights().size == 0
    assert not loaded.weights().flags.writeable


def test_a_loaded_program_can_be_saved_over_its_own_file(path: Path) -> None:
    before = path.read_bytes()
    loaded = load_bundle(path).program
    mapped = loaded.weights()
    save(replace(loaded, name="other"), path)
    np.testing.assert_array_equal(mapped, PROGRAM.weights())
    assert load_bundle(path).program.name == "other"
    save(loaded, path)
    assert path.read_bytes() == before


def loaded_or_refused(path: Path, data: bytes) -> bool:
    """Whether a file of these bytes loads; then it must be the program, and else the error must name the file."""
    path.write_bytes(data)
    sentence = ""
    try:
        loaded = load_bundle(path).program
        weights = loaded.weights()
    except ProgramError as error:
        sentence = str(error)
    if sentence:
        assert sentence.startswith(f"{path}: ")
        return False
    assert loaded == PROGRAM
    np.testing.assert_array_equal(weights, PROGRAM.weights())
    return True


def test_cut_files_are_refused(path: Path) -> None:
    data = path.read_bytes()
    assert not any(loaded_or_refused(path, data[:cut]) for cut in range(0, len(data), 97))
    assert loaded_or_refused(path, data)


def test_flipped_bits_give_an_equal_program_or_an_error(path: Path) -> None:
    random, data = Random(1), path.read_bytes()
    loaded = 0
    for _ in range(300):
        flipped = bytearray(data)
        for _ in range(random.choice((1, 1, 2, 8))):
            place = random.randrange(len(data)) if random.random() < 0.6 else len(data) - random.randint(1, 500)
            flipped[place] ^= 1 << random.randrange(8)
        loaded += loaded_or_refused(path, bytes(flipped))
    assert 0 < loaded < 100


WHOLE = "must be a whole Tilework program, not one cut short or altered ({}); copy it again"
FOREIGN = (
    "must be a Tilework program, a zip, not a file that begins with {}; "
    "make one with 'tilework compile NETWORK --for MACHINE -o FILE.tile'"
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", FOREIGN.format("b''")),
        (b"\x08\x07\x12\x04tf2onnx", FOREIGN.format(r"b'\x08\x07\x12\x04tf2o'")),
        (b"PK\x03\x04", WHOLE.format("File is not a zip file")),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.tile").write_bytes(content)
    assert error_of(lambda: load_bundle(tmp_path / "a.tile").program) == f"{tmp_path / 'a.tile'}: {sentence}"


def test_other_zips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tile"
    must = (
        f"{path}: must be a Tilework program with manifest.json, code.bin, descriptors.bin, weights.bin, not a zip with"
    )
    for names, came in (([], "nothing in it"), (["a", "b" * 50], f"a, {'b' * 39}…"), ([*"abcde"], "a, b, c, d, …")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        assert error_of(lambda: load_bundle(path).program) == f"{must} {came}; compile again"


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    must = "must be a file that can be read, not one with"
    missing = tmp_path / "no.tile"
    assert (
        error_of(lambda: load_bundle(missing).program)
        == f"{missing} {must} 'No such file or directory'; check the path"
    )
    assert error_of(lambda: load_bundle(tmp_path).program) == f"{tmp_path} {must} 'Is a directory'; check the path"


FACTS = (
    "a program's facts must be texts, numbers, lists and dictionaries that JSON gives back as they were, not {}; "
    "change them"
)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (replace(PROGRAM, facts={"a": (1,)}), FACTS.format("{'a': (1,)}")),
        (replace(PROGRAM, facts={"a": float("nan")}), FACTS.format("{'a': nan}")),
        (replace(PROGRAM, facts={"a": {1: "b"}}), FACTS.format("{'a': {1: 'b'}}")),
        (
            replace(PROGRAM, facts={"a": object}),
            "a program must hold plain JSON values, not one with 'Encoding objects of type type is unsupported'; "
            "change it",
        ),
        (
            replace(PROGRAM, weights=lambda: np.zeros(3, np.uint8)),
            "weights must have weight_bytes, 512, not 3; compile again",
        ),
        (
            replace(PROGRAM, dram_bytes=1 << 40),
            "its sizes must be 0 <= weight_bytes <= dram_bytes <= 17179869184, the machine's DRAM, "
            "not 512 and 1099511627776; compile for another machine",
        ),
        (replace(PROGRAM, inputs=(Port("x", (0,), 512, (0,)),)), None),
        (
            replace(PROGRAM, instructions=()),
            "its layer 'conv1' must lie in the 0 instructions of core 0 0, not in [0, 2); compile again",
        ),
        (
            replace(PROGRAM, instructions=(), layers=()),
            "instruction 0: a program must end with `end`, and this one does not; add it",
        ),
    ],
)
def test_programs_that_are_not_well_formed_are_not_saved(path: Path, program: Program, sentence: str | None) -> None:
    before = path.read_bytes()
    found = error_of(lambda: save(program, path))
    assert found == (sentence or found)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["net.tile"]


def test_too_much_code_is_not_saved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(container.LIMITS, "code.bin", 8)
    size = 8 * len(PROGRAM.instructions)
    assert error_of(lambda: save(PROGRAM, path)) == f"code.bin must have at most 8 bytes, not {size}; use more loops"


def test_a_failure_in_the_middle_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(container, "_write_weights", full)
    path = tmp_path / "a.tile"
    assert error_of(lambda: save(PROGRAM, path)) == (
        f"{path} must be a path that can be written, not one with 'No space left on device'; change it"
    )
    assert os.listdir(tmp_path) == []


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "a.tile"
    assert error_of(lambda: save(PROGRAM, path)) == (
        f"{path} must be a path that can be written, not one with 'No such file or directory'; change it"
    )
