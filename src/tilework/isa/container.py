"""Compiled networks as `.tile` files: a zip of manifest.json, code.bin, descriptors.bin and weights.bin, in this order.

Equal networks give equal bytes. code.bin has the words of all programs, descriptors.bin their common descriptors.
weights.bin has the packed weights of each program and then the weights of the host's graphs in the order of their
texts, each as it lies in memory and at a multiple of 64 bytes. It is stored uncompressed at such a multiple, so that
it can be mapped into memory; the others are deflated. The manifest holds the length and the SHA-256 of each of them.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from tilework.errors import MachineError, ProgramError
from tilework.files import replacing
from tilework.isa.bundle import Bundle, HostPart, Step, check_bundle
from tilework.isa.encode import decode, encode
from tilework.isa.manifest import (
    Member,
    Members,
    ProgramStep,
    check_program,
    read_bundle,
    read_manifest,
    write_manifest,
)
from tilework.isa.program import Program
from tilework.isa.stored import StoredPart, StoredWeights, data_offset
from tilework.network.graph import Tensor
from tilework.network.weights import Weights

MEMBERS = ("manifest.json", "code.bin", "descriptors.bin", "weights.bin")
LIMITS = {"manifest.json": 1 << 26, "code.bin": 1 << 28, "descriptors.bin": 1 << 30}
_CHUNK = 1 << 24
_DEFLATE_LIMIT = 1032  # no deflated data grows by more
_ALIGNMENT = 64
_ZIP64 = 20
_BROKEN = (BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ValueError, OverflowError, OSError)

Bytes = npt.NDArray[np.uint8]


def save(network: Program | Bundle, path: str | Path) -> None:
    """Write a network, or a program that is one, to a file, which appears whole or not at all.

    Raises ProgramError for a program that is not well formed, OutputError for a path that cannot be written.
    """
    for program in (network,) if isinstance(network, Program) else network.programs:
        check_program(program)
    bundle = Bundle.of(network) if isinstance(network, Program) else network
    check_bundle(bundle)
    code, descriptors = encode([stream for program in bundle.programs for stream in program.streams])
    weights = [piece for step in bundle.steps for piece in _weights_of(step)]
    members = Members(_member(code), _member(descriptors), _member_of(weights))
    contents = (write_manifest(bundle, members), code, descriptors)
    for name, content in zip(MEMBERS, contents, strict=False):
        if len(content) > LIMITS[name]:
            raise ProgramError(f"{name} must have at most {LIMITS[name]} bytes, not {len(content)}; use more loops")
    with replacing(path) as file, ZipFile(file, "w") as archive:
        for name, content in zip(MEMBERS, contents, strict=False):
            archive.writestr(_info(name, ZIP_DEFLATED), content, compresslevel=6)
        _write_weights(archive, file, weights, members.weights.length)


def load_bundle(path: str | Path, machine: str | None = None) -> Bundle:
    """The network in a file, checked; its weights stay on disk and are checked when they are first asked for.

    Raises ProgramError, one sentence with the file's name, for a file that `save` did not write as it is, and for a
    network that was compiled for another machine than the one named.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            bundle = _load(path, file)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ProgramError, MachineError) as error:
        raise ProgramError(f"{path}: {error}") from None
    made = bundle.machine.name
    if machine and machine != made:
        raise ProgramError(f"{path} was compiled for {made}, not for {machine}; compile it again for {machine}")
    return bundle


def _load(path: Path, file: BinaryIO) -> Bundle:
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
    headers = [header for step in manifest.steps if isinstance(step, ProgramStep) for header in step.streams]
    bundle = read_bundle(manifest, decode(code, descriptors, headers))
    places = _places(bundle)
    length = places[-1].end
    if not infos[3].file_size == manifest.members.weights.length == length:
        raise ProgramError(
            f"weights.bin must have the {length} bytes that its manifest says, not {infos[3].file_size}; compile again"
        )
    whole = StoredWeights(path, offset, length, manifest.members.weights.sha256)
    return replace(bundle, steps=tuple(_with_weights(step, whole, places) for step in bundle.steps))


@dataclass(frozen=True)
class _Place:
    """Where in weights.bin the weights of a program lie, or a weight of the host's, a tensor."""

    step: Step
    start: int
    length: int
    tensor: Tensor | None = None

    @property
    def end(self) -> int:
        return self.start + self.length


def _places(bundle: Bundle) -> list[_Place]:
    found: list[_Place] = []
    for step in bundle.steps:
        for length, tensor in _sizes(step):
            start = found[-1].end + -found[-1].end % _ALIGNMENT if found else 0
            found.append(_Place(step, start, length, tensor))
    return found


def _sizes(step: Step) -> list[tuple[int, Tensor | None]]:
    if isinstance(step, Program):
        return [(step.weight_bytes, None)]
    return [(tensor.size_bytes, tensor) for tensor in step.graph.weights]


def _with_weights(step: Step, whole: StoredWeights, places: list[_Place]) -> Step:
    ours = [(place.tensor, StoredPart(whole, place.start, place.length)) for place in places if place.step is step]
    if isinstance(step, Program):
        return replace(step, weights=ours[0][1])
    makers = {tensor.name: partial(_array, stored, tensor) for tensor, stored in ours if tensor}
    return replace(step, weights=Weights(makers, str(whole.path)))


def _array(stored: StoredPart, tensor: Tensor) -> npt.NDArray[np.generic]:
    return stored().view(tensor.dtype).reshape(tensor.shape)


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


def _weights_of(step: Step) -> Iterator[Bytes]:
    """What lies in weights.bin for a step, piece by piece."""
    if isinstance(step, HostPart):
        for tensor in step.graph.weights:
            yield _flat(step.weights[tensor.name], tensor.size_bytes, tensor.name)
    else:
        weights = step.weights() if step.weight_bytes else np.zeros(0, np.uint8)
        yield _flat(weights, step.weight_bytes, "weight_bytes")


def _flat(values: npt.NDArray[np.generic], length: int, what: str) -> Bytes:
    flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    if flat.nbytes != length:
        raise ProgramError(f"weights must have {what}, {length}, not {flat.nbytes}; compile again")
    return flat


def _member(data: bytes) -> Member:
    return Member(len(data), hashlib.sha256(data).hexdigest())


def _member_of(pieces: list[Bytes]) -> Member:
    digest, length = hashlib.sha256(), 0
    for data in _chunks(pieces):
        digest.update(data)
        length += len(data)
    return Member(length, digest.hexdigest())


def _chunks(pieces: list[Bytes]) -> Iterator[memoryview]:
    """The bytes of weights.bin, a part at a time."""
    length = 0
    for piece in pieces:
        yield memoryview(bytes(-length % _ALIGNMENT))
        length += -length % _ALIGNMENT + piece.nbytes
        for start in range(0, piece.nbytes, _CHUNK):
            yield piece.data[start : start + _CHUNK]


def _info(name: str, method: int) -> ZipInfo:
    info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = method, 3, 0o644 << 16
    return info


def _write_weights(archive: ZipFile, file: BinaryIO, pieces: list[Bytes], length: int) -> None:
    info = _info(MEMBERS[3], ZIP_STORED)
    info.file_size = length
    header = file.tell() + 30 + len(info.filename) + _ZIP64 + 6
    # Android's alignment field (0xD935): the alignment, then zeros as padding.
    padding = bytes(-header % _ALIGNMENT)
    info.extra = struct.pack("<HHH", 0xD935, 2 + len(padding), _ALIGNMENT) + padding
    with archive.open(info, "w", force_zip64=True) as member:
        for data in _chunks(pieces):
            member.write(data)
