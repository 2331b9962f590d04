"""Programs as `.tile` files: a zip of manifest.json, code.bin, descriptors.bin and weights.bin, in this order.

Equal programs give equal bytes. Weights are stored uncompressed at a multiple of 64 bytes, so that they can be mapped
into memory; the others are deflated. The manifest holds the length and the SHA-256 of each of them.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from tilework.errors import MachineError, ProgramError
from tilework.files import replacing
from tilework.isa.encode import decode, encode
from tilework.isa.manifest import Member, Members, check_program, read_manifest, read_program, write_manifest
from tilework.isa.program import Program
from tilework.isa.stored import StoredWeights, data_offset

MEMBERS = ("manifest.json", "code.bin", "descriptors.bin", "weights.bin")
LIMITS = {"manifest.json": 1 << 26, "code.bin": 1 << 28, "descriptors.bin": 1 << 30}
_CHUNK = 1 << 24
_DEFLATE_LIMIT = 1032  # no deflated data grows by more
_ALIGNMENT = 64
_ZIP64 = 20
_BROKEN = (BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ValueError, OverflowError, OSError)

Bytes = npt.NDArray[np.uint8]


def save(program: Program, path: str | Path) -> None:
    """Write the program to a file, which appears whole or not at all.

    Raises ProgramError for a program that is not well formed, OutputError for a path that cannot be written.
    """
    check_program(program)
    code, descriptors = encode(program.streams)
    weights = _weights_of(program)
    members = Members(_member(code), _member(descriptors), _member(weights))
    contents = (write_manifest(program, members), code, descriptors)
    for name, content in zip(MEMBERS, contents, strict=False):
        if len(content) > LIMITS[name]:
            raise ProgramError(f"{name} must have at most {LIMITS[name]} bytes, not {len(content)}; use more loops")
    with replacing(path) as file, ZipFile(file, "w") as archive:
        for name, content in zip(MEMBERS, contents, strict=False):
            archive.writestr(_info(name, ZIP_DEFLATED), content, compresslevel=6)
        _write_weights(archive, file, weights)


def load_program(path: str | Path, machine: str | None = None) -> Program:
    """The program in a file, checked; its weights stay on disk and are checked when they are first asked for.

    Raises ProgramError, one sentence with the file's name, for a file that `save` did not write as it is, and for a
    program that was made for another machine than the one named.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            program = _load(path, file)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ProgramError, MachineError) as error:
        raise ProgramError(f"{path}: {error}") from None
    made = program.machine.name
    if machine and machine != made:
        raise ProgramError(f"{path} was compiled for {made}, not for {machine}; compile it again for {machine}")
    return program


def _load(path: Path, file: BinaryIO) -> Program:
    try:
        with ZipFile(file) as archive:
            infos = _infos(archive)
            manifest = read_manifest(_read(archive, infos[0]))
            records = {"code.bin": manifest.members.code, "descriptors.bin": manifest.members.descriptors}
            code, descriptors = (
                _verified(_read(archive, info), records[info.filename], info.filename) for info in infos[1:3]
            )
        offset = data_offset(file, infos[3])
    except _BROKEN as error:
        raise _foreign(file, error) from None
    weights = manifest.members.weights
    if not infos[3].file_size == weights.length == manifest.weight_bytes:
        raise ProgramError(
            f"weights.bin must have the {manifest.weight_bytes} bytes that its manifest says, "
            f"not {infos[3].file_size}; compile again"
        )
    program = read_program(manifest, decode(code, descriptors, manifest.streams))
    return replace(program, weights=StoredWeights(path, offset, weights.length, weights.sha256))


def _infos(archive: ZipFile) -> list[ZipInfo]:
    infos = archive.infolist()
    names = tuple(info.filename for info in infos)
    if names != MEMBERS:
        raise ProgramError(
            f"must be a Tilework program with {', '.join(MEMBERS)}, not a zip with {_listed(names)}; compile again"
        )
    for info in infos:
        stored = info.filename == "weights.bin"
        if info.flag_bits & 1 or info.compress_type != (ZIP_STORED if stored else ZIP_DEFLATED):
            raise ProgramError(f"{info.filename} must be packed as Tilework packs it, and is not; compile again")
        limit = info.compress_size if stored else min(LIMITS[info.filename], info.compress_size * _DEFLATE_LIMIT)
        if info.file_size > limit:
            raise ProgramError(f"{info.filename} must have at most {limit} bytes, not {info.file_size}; compile again")
    return infos


def _listed(names: tuple[str, ...]) -> str:
    cut = [name if len(name) <= 40 else f"{name[:39]}…" for name in names]
    return ", ".join(cut[:4]) + (", …" if len(cut) > 4 else "") if cut else "nothing in it"


def _read(archive: ZipFile, info: ZipInfo) -> bytes:
    data = archive.read(info)
    if len(data) != info.file_size:
        raise BadZipFile("a member is cut short")
    return data


def _verified(data: bytes, member: Member, name: str) -> bytes:
    if _member(data) != member:
        raise ProgramError(f"{name} must be what the manifest says by length and SHA-256, and is not; compile again")
    return data


def _foreign(file: BinaryIO, error: Exception) -> ProgramError:
    file.seek(0)
    head = file.read(8)
    if head[:4] == b"PK\x03\x04":
        return ProgramError(f"must be a whole Tilework program, not one cut short or altered ({error}); copy it again")
    return ProgramError(
        f"must be a Tilework program, a zip, not a file that begins with {head!r}; "
        "make one with 'tilework compile NETWORK --for MACHINE -o FILE.tile'"
    )


def _unreadable(path: Path, error: OSError) -> ProgramError:
    reason = error.strerror or type(error).__name__
    return ProgramError(f"{path} must be a file that can be read, not one with '{reason}'; check the path")


def _weights_of(program: Program) -> memoryview:
    weights = program.weights() if program.weight_bytes else np.zeros(0, np.uint8)
    flat = np.ascontiguousarray(weights).reshape(-1).view(np.uint8)
    if flat.nbytes != program.weight_bytes:
        raise ProgramError(f"weights must have weight_bytes, {program.weight_bytes}, not {flat.nbytes}; compile again")
    return flat.data


def _member(data: bytes | memoryview) -> Member:
    return Member(len(data), hashlib.sha256(data).hexdigest())


def _info(name: str, method: int) -> ZipInfo:
    info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = method, 3, 0o644 << 16
    return info


def _write_weights(archive: ZipFile, file: BinaryIO, weights: memoryview) -> None:
    info = _info(MEMBERS[3], ZIP_STORED)
    info.file_size = len(weights)
    header = file.tell() + 30 + len(info.filename) + _ZIP64 + 6
    # Android's alignment field (0xD935): the alignment, then zeros as padding.
    padding = bytes(-header % _ALIGNMENT)
    info.extra = struct.pack("<HHH", 0xD935, 2 + len(padding), _ALIGNMENT) + padding
    with archive.open(info, "w", force_zip64=True) as member:
        for start in range(0, len(weights), _CHUNK):
            member.write(weights[start : start + _CHUNK])
