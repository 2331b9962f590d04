"""What a compiled network's file says about it in JSON, beside its instructions and weights."""

from __future__ import annotations

from math import prod
from typing import Any

import msgspec

from tilework import __version__
from tilework.errors import NetworkError, ProgramError
from tilework.isa.bundle import Bundle, HostPart, Step, check_bundle
from tilework.isa.instruction import DTYPES
from tilework.isa.program import FORMAT_VERSION, Header, Layer, Port, Program, Stream
from tilework.isa.validate import check_streams
from tilework.machine.convert import from_dict, to_dict
from tilework.machine.machine import Machine
from tilework.machine.units import shown
from tilework.network.graph import INPUT, Graph, Tensor
from tilework.network.graph_text import parse_graph, print_graph

FORMAT = "tilework-program"


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the file: its length in bytes and its SHA-256 in hexadecimal."""

    length: int
    sha256: str


class Members(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=lambda name: f"{name}.bin"):
    code: Member
    descriptors: Member
    weights: Member


class Outside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input of the network."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class ProgramStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="program", tag_field="runs"):
    """A program but for its instructions and weights, and for what it shares with the others."""

    streams: tuple[Header, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Layer, ...]
    host_operations: tuple[str, ...]
    weight_bytes: int
    dram_bytes: int


class HostStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="host", tag_field="runs"):
    """The host's work as the text of a graph; the values of its weights lie in weights.bin in their order there."""

    graph: str
    operations: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON document. `compiler` is Tilework's version that wrote the file; the rest is as in Bundle and Program."""

    format: str
    version: int
    compiler: str
    name: str
    machine: dict[str, Any]
    inputs: tuple[Outside, ...]
    outputs: tuple[str, ...]
    steps: tuple[ProgramStep | HostStep, ...]
    facts: dict[str, Any]
    members: Members


def write_manifest(bundle: Bundle, members: Members) -> bytes:
    """The JSON text of the manifest. Raises ProgramError if `facts` or names are nothing that JSON can hold."""
    manifest = _manifest(bundle, members)
    try:
        raw = msgspec.json.encode(manifest)
        same = msgspec.json.decode(raw, type=Manifest) == manifest
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise ProgramError(f"a program must hold plain JSON values, not one with '{error}'; change it") from None
    if not same:
        raise ProgramError(
            "a program's facts must be texts, numbers, lists and dictionaries that JSON gives back as they were, "
            f"not {shown(bundle.facts)}; change them"
        )
    return msgspec.json.format(raw, indent=1)


def _manifest(bundle: Bundle, members: Members) -> Manifest:
    return Manifest(
        FORMAT,
        FORMAT_VERSION,
        __version__,
        bundle.name,
        to_dict(bundle.machine),
        tuple(Outside(tensor.name, tensor.shape, tensor.dtype) for tensor in bundle.inputs),
        bundle.outputs,
        tuple(map(_step, bundle.steps)),
        bundle.facts,
        members,
    )


def _step(step: Step) -> ProgramStep | HostStep:
    if isinstance(step, HostPart):
        return HostStep(print_graph(step.graph), step.operations)
    return ProgramStep(
        tuple(stream.header for stream in step.streams),
        step.inputs,
        step.outputs,
        step.layers,
        step.host_operations,
        step.weight_bytes,
        step.dram_bytes,
    )


def read_manifest(raw: bytes) -> Manifest:
    """The manifest of this JSON text; raises ProgramError that begins with what must hold."""
    head = _decode(raw, dict[str, Any])
    if head.get("format") != FORMAT:
        raise ProgramError(f"its format must be '{FORMAT}', not {shown(head.get('format'))}; compile again")
    version = head.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProgramError(f"its version must be a number of 1 or more, not {shown(version)}; compile again")
    if version > FORMAT_VERSION:
        raise ProgramError(
            f"its version must be at most {FORMAT_VERSION}, not {version}; update Tilework, or compile with this one"
        )
    if version < FORMAT_VERSION:
        raise ProgramError(f"its version must be {FORMAT_VERSION}, not {version}, which is older; compile again")
    manifest: Manifest = _decode(raw, Manifest)
    return manifest


def _decode(raw: bytes, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=wanted)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProgramError(
            f"its manifest must be one that Tilework writes, not with '{error}'; compile again"
        ) from None


def read_bundle(manifest: Manifest, streams: tuple[Stream, ...]) -> Bundle:
    """The network without its weights. Raises MachineError or ProgramError if its parts contradict each other."""
    machine = from_dict(manifest.machine, "its machine")
    left = list(streams)
    steps: list[Step] = []
    for step in manifest.steps:
        if isinstance(step, HostStep):
            steps.append(HostPart(_graph(step.graph), step.operations))
        else:
            steps.append(_program(manifest, step, machine, left[: len(step.streams)]))
            del left[: len(step.streams)]
    try:
        inputs = tuple(Tensor(port.name, port.shape, port.dtype, INPUT) for port in manifest.inputs)
    except NetworkError as error:
        raise ProgramError(f"{error}; compile again") from None
    bundle = Bundle(inputs, manifest.outputs, tuple(steps))
    check_bundle(bundle)
    return bundle


def _graph(text: str) -> Graph:
    try:
        return parse_graph(text)
    except (NetworkError, RecursionError, OverflowError) as error:
        raise ProgramError(
            f"its host's work must be a graph that Tilework prints, not with '{error}'; compile again"
        ) from None


def _program(manifest: Manifest, step: ProgramStep, machine: Machine, streams: list[Stream]) -> Program:
    check_streams(tuple(streams), machine)
    program = Program.of(
        manifest.name,
        machine,
        streams,
        inputs=step.inputs,
        outputs=step.outputs,
        layers=step.layers,
        host_operations=step.host_operations,
        weight_bytes=step.weight_bytes,
        dram_bytes=step.dram_bytes,
        facts=manifest.facts,
    )
    check_program(program)
    return program


def check_program(program: Program) -> None:
    """Raise ProgramError unless sizes, ports and layers fit each other and the machine (not the instructions)."""
    capacity = program.machine.dram.capacity_bytes
    if not 0 <= program.weight_bytes <= program.dram_bytes <= capacity:
        raise ProgramError(
            f"its sizes must be 0 <= weight_bytes <= dram_bytes <= {capacity}, the machine's DRAM, "
            f"not {program.weight_bytes} and {program.dram_bytes}; compile for another machine"
        )
    for kind, ports, first in (("input", program.inputs, program.weight_bytes), ("output", program.outputs, 0)):
        if len({port.name for port in ports}) < len(ports):
            raise ProgramError(f"its {kind}s must have different names, not {[p.name for p in ports]}; rename them")
        for port in ports:
            _check_port(kind, port, first, program.dram_bytes)
    for layer in program.layers:
        _check_layer(layer, program.streams)
    check_streams(program.streams, program.machine)


def _check_layer(layer: Layer, streams: tuple[Stream, ...]) -> None:
    who = f"its layer {shown(layer.name)}"
    if len(layer.ranges) != len(streams):
        raise ProgramError(
            f"{who} must lie in each of the {len(streams)} streams, not in {len(layer.ranges)}; compile again"
        )
    for (first, last), stream in zip(layer.ranges, streams, strict=True):
        if not 0 <= first <= last <= len(stream.instructions):
            raise ProgramError(
                f"{who} must lie in the {len(stream.instructions)} instructions of {stream.name}, "
                f"not in [{first}, {last}); compile again"
            )


def _check_port(kind: str, port: Port, first: int, last: int) -> None:
    who = f"its {kind} {shown(port.name)}"
    if sorted(port.order) != list(range(len(port.shape))) or min(port.shape, default=1) < 1:
        raise ProgramError(
            f"{who} must have sizes of 1 or more and an order of its axes, not {port.shape}, {port.order}; correct it"
        )
    if port.dtype not in DTYPES:
        raise ProgramError(f"{who} must have a dtype, one of {', '.join(DTYPES)}, not {shown(port.dtype)}; correct it")
    unit = DTYPES[port.dtype]
    size = unit * prod(port.shape)
    if port.address % unit or not first <= port.address <= last - size:
        raise ProgramError(
            f"{who} must lie at a multiple of {unit} in bytes {first} to {last} of DRAM, "
            f"not {size} bytes at {port.address}; move it"
        )
