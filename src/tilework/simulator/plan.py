"""A program decoded for the engine: what each instruction of each stream does in time, as lists of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from tilework.errors import SimulationError
from tilework.isa.instruction import Instruction
from tilework.isa.program import Layer, Program, Stream
from tilework.isa.table import OPCODES
from tilework.isa.validate import check_streams
from tilework.machine.machine import Dram, Machine
from tilework.simulator.scalar import Flow, control_flow
from tilework.simulator.structure import Structure, analyse, queue_of
from tilework.simulator.timing import Cost, timing

MAX_INSTRUCTIONS = 2 * 10**7
WORK, TRANSFER, WAIT, POST, STEP, LOOP, ENDLOOP, JUMP, BRANCH, DRAIN, BARRIER, END = range(12)
_KINDS = {"wait": WAIT, "post": POST, "loop": LOOP, "endloop": ENDLOOP, "jump": JUMP, "jumpif": BRANCH}
_KINDS |= {"jumpifnot": BRANCH, "sync": DRAIN, "sload": DRAIN, "sstore": DRAIN, "barrier": BARRIER, "end": END}


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream: an entry per instruction in each list.

    `number` is a loop's count, a jump's target, the place of a token in `tokens`. `takes` are the shared resources that
    a transfer needs, and for how many cycles: 0 is the DRAM channel, 1 + n the SRAM ports of cluster n. `starts` are
    the first instructions of layers.
    """

    stream: Stream
    structure: Structure
    flow: Flow
    costs: list[Cost]
    queue: list[int]
    kind: list[int]
    number: list[int]
    takes: list[tuple[tuple[int, int], ...]]
    foldable: list[bool]
    tokens: list[int]
    starts: tuple[int, ...]
    depth: int

    @classmethod
    def of(cls, stream: Stream, machine: Machine, starts: tuple[int, ...], flow: Flow | None, limit: int) -> StreamPlan:
        """`flow` is the way that control takes, if it is known already.

        Raises ProgramError for a stream that isn't well formed, SimulationError for one that has no end.
        """
        instructions = stream.instructions
        structure = analyse(instructions, stream.role)
        costs = _costs(stream, machine)
        tokens = sorted({i.token for i in instructions if i.mnemonic in ("wait", "post")})
        dense = {token: place for place, token in enumerate(tokens)}
        return cls(
            stream,
            structure,
            flow=flow or control_flow(stream, structure, limit=limit),
            costs=costs,
            queue=[queue_of(instruction) for instruction in instructions],
            kind=[_kind(instruction, cost) for instruction, cost in zip(instructions, costs, strict=True)],
            number=[
                dense[i.token] if OPCODES[i.mnemonic].form == "token" else i.count or i.target for i in instructions
            ],
            takes=[_takes(cost, stream.cluster) for cost in costs],
            foldable=_foldable(instructions, structure),
            tokens=tokens,
            starts=starts,
            depth=machine.control.queue_depth,
        )

    def issue_cycles(self, place: int) -> int:
        """The cycles that the instruction takes of control."""
        return 0 if self.kind[place] in (ENDLOOP, END) else 1


@dataclass(frozen=True, slots=True)
class Plan:
    """All streams of a program, the DRAM, and the ports of each cluster's SRAM."""

    streams: tuple[StreamPlan, ...]
    dram: Dram
    clusters: int
    sram_ports: int

    @classmethod
    def of(
        cls, program: Program, flows: Sequence[Flow] | None = None, max_instructions: int = MAX_INSTRUCTIONS
    ) -> Plan:
        """`flows` gives the way that each stream's control takes, where it depends on data.

        Raises ProgramError for a program that isn't well formed or doesn't fit its machine.
        """
        machine, streams = program.machine, program.streams
        check_streams(streams, machine)
        known: Sequence[Flow | None] = flows or [None] * len(streams)
        each = zip(streams, _starts(program), known, strict=True)
        return cls(
            tuple(StreamPlan.of(stream, machine, starts, flow, max_instructions) for stream, starts, flow in each),
            machine.dram,
            machine.clusters,
            machine.sram.ports if machine.sram else 0,
        )


def _costs(stream: Stream, machine: Machine) -> list[Cost]:
    known: dict[int, Cost] = {}  # by the instruction, since a program repeats few of them often
    for place, instruction in enumerate(stream.instructions):
        if id(instruction) not in known:
            try:
                known[id(instruction)] = timing(instruction, machine)
            except SimulationError as error:
                raise SimulationError(f"{stream.where(place)}: {error}") from None
    return [known[id(instruction)] for instruction in stream.instructions]


def ranges(layer: Layer, streams: int) -> tuple[tuple[int, int], ...]:
    """The layer's instructions [first, last) in each stream; none in those that it does not speak of."""
    return (*layer.ranges, *((0, 0),) * (streams - len(layer.ranges)))


def _starts(program: Program) -> list[tuple[int, ...]]:
    """For each stream, where its layers begin."""
    size = len(program.streams)
    of_layers = [ranges(layer, size) for layer in program.layers]
    return [tuple(sorted({of_layer[stream][0] for of_layer in of_layers})) for stream in range(size)]


def _kind(instruction: Instruction, cost: Cost) -> int:
    if cost.channel_cycles or cost.sram_cycles:
        return TRANSFER
    kind = _KINDS.get(instruction.mnemonic)
    if kind is not None:
        return kind
    return STEP if OPCODES[instruction.mnemonic].unit == "control" else WORK


def _takes(cost: Cost, cluster: int) -> tuple[tuple[int, int], ...]:
    both = ((0, cost.channel_cycles), (1 + cluster, cost.sram_cycles))
    return tuple((resource, cycles) for resource, cycles in both if cycles)


def _foldable(instructions: Sequence[Instruction], structure: Structure) -> list[bool]:
    """Whether the instruction is an endloop of a loop without jumps."""
    jumps = list(accumulate((OPCODES[i.mnemonic].form in ("jump", "branch") for i in instructions), initial=0))
    return [
        i.mnemonic == "endloop" and jumps[place] == jumps[structure.partner[place]]
        for place, i in enumerate(instructions)
    ]
