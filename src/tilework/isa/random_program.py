"""Random programs, made from the instruction table: well formed, inside the machine's memories, and free of deadlock.

Every token is posted by one unit and waited for by one, every wait has its post before it in program order, and all are
taken at the end: so the oldest instruction that is not done can always go on, whatever the depth of the queues. Inside
a stream, instructions that share bytes are not ordered on purpose, except by `sync` here and there.

The streams of a program go from barrier to barrier together. In between, a half of each memory that they share is only
read, and of the other half each stream writes a part that is its own; at the next barrier these change places. A
mover's casts go to a part of the cores' memories that cores leave alone or only read, in turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt

from tilework.isa.instruction import DTYPES, SCOPES, Instruction
from tilework.isa.numbers import from_float32
from tilework.isa.program import Port, Program, Stream
from tilework.isa.random_operand import Region
from tilework.isa.random_stream import Areas, Item, Maker, placed
from tilework.isa.random_stream import Options as Options
from tilework.machine.machine import Machine

_ROTATIONS = 8


def random_program(seed: int, machine: Machine, options: Options | None = None) -> Program:
    """The program of that seed, the same on every machine with these processors, memories and dtypes.

    Its one input `x` and its one output `y` are all of DRAM above the weights, which are random numbers; they are
    float32 unless the options allow only another dtype.
    """
    options, random = options or Options(), Random(seed)
    layout = _Layout(machine, options, _choose(random, machine, options))
    lower, upper = layout.dram
    dtype = options.dtypes[0] if len(options.dtypes) == 1 else "float32"
    shape = (upper.size // DTYPES[dtype],)
    return Program.of(
        f"random-{seed}",
        machine,
        _streams(random, layout),
        inputs=(Port("x", shape, lower.stop, (0,), dtype),),
        outputs=(Port("y", shape, lower.stop, (0,), dtype),),
        weight_bytes=lower.stop,
        dram_bytes=upper.stop,
        weights=lambda: _weights(seed, lower.stop, dtype),
    )


def _weights(seed: int, size: int, dtype: str) -> npt.NDArray[np.uint8]:
    values = np.random.default_rng(seed).standard_normal(size // DTYPES[dtype], np.float32)
    return from_float32(values * 16 if dtype in ("int8", "int32") else values, dtype).view(np.uint8)


def _choose(random: Random, machine: Machine, options: Options) -> list[Stream]:
    """Which processors get a stream: core 0 of cluster 0 and some of the others, in a program's order."""
    clusters = range(machine.clusters)
    others = [Stream((), "core", cluster, core) for cluster in clusters for core in range(machine.cores)][1:]
    if machine.sram is not None:
        others += [Stream((), "mover", cluster) for cluster in clusters]
    kept = random.sample(others, random.randint(0, min(options.streams - 1, len(others))))
    return [Stream(()), *sorted(kept, key=lambda stream: stream.order)]


class _Layout:
    """Who may use which bytes of each memory in a phase; a phase is named by two numbers that barriers change."""

    def __init__(self, machine: Machine, options: Options, streams: list[Stream]) -> None:
        self.machine, self.options, self.streams = machine, options, streams
        self.dram = Region(0, min(options.dram_bytes, machine.dram.capacity_bytes)).parts(2)

    def areas(self, stream: Stream, chip: int, cluster: int) -> dict[str, Areas]:
        """The areas of a stream: `chip` says who has which part of the DRAM, `cluster` of a cluster's memories."""
        lower, upper = self.dram
        areas = {"dram": _share(upper, self.streams.index(stream), len(self.streams), chip, (lower,))}
        if self.machine.sram is not None:
            near = [other for other in self.streams if other.cluster == stream.cluster]
            whole = Region(0, self.machine.sram.capacity_bytes // 4 * 4)
            areas["sram"] = _share(whole, near.index(stream), len(near), cluster, ())
        casts = any(other.role == "mover" and other.cluster == stream.cluster for other in self.streams)
        for memory, scratchpad in (("nram", self.machine.nram), ("wram", self.machine.wram)):
            parts = Region(0, scratchpad.capacity_bytes // 4 * 4).parts(3 if casts else 2)
            own, common = parts[:2], parts[2:]
            if stream.role == "core":
                areas[memory] = Areas(own if cluster % 2 else (*own, *common), own)
            elif cluster % 2:
                areas[memory] = Areas((), common)
        return areas


def _share(whole: Region, number: int, of: int, rotation: int, readable: tuple[Region, ...]) -> Areas:
    """What one of so many streams may read and write of a memory that they share."""
    if of == 1:
        parts = whole.parts(2) if not readable else (whole,)
        return Areas((*readable, *parts), parts)
    halves = whole.parts(2)
    written = halves[rotation % 2].parts(of)
    own = written[(number + rotation) % of : (number + rotation) % of + 1]
    return Areas((*readable, *halves[1 - rotation % 2 :][:1], *own), own)


def _streams(random: Random, layout: _Layout) -> tuple[Stream, ...]:
    makers = [Maker(random, layout.machine, layout.options, stream.role) for stream in layout.streams]
    for maker in makers:
        maker.begin()
    segments = random.randint(1, 3) if len(makers) > 1 or random.random() < 0.1 else 1
    chip = random.randrange(_ROTATIONS)
    share = max(1, layout.options.instructions // (2 * segments * len(makers))) if segments > 1 else 0
    for segment in range(segments):
        if segment:
            _everywhere(makers, Instruction("barrier", scope="chip"))
        chip = _segment(random, layout, makers, chip, share)
    return tuple(
        Stream(placed([*maker.items, Instruction("end")]), stream.role, stream.cluster, stream.index)
        for maker, stream in zip(makers, layout.streams, strict=True)
    )


def _segment(random: Random, layout: _Layout, makers: Sequence[Maker], chip: int, share: int) -> int:
    """Add one phase of all streams, or a few with barriers in between, perhaps in a loop that all have."""
    phases = random.randint(1, 3) if share else 1
    looped = bool(share) and layout.options.depth > 0 and random.random() < 0.4
    count = random.randint(1, layout.options.count)
    scope, cluster = random.choice(SCOPES), random.randrange(_ROTATIONS)
    if looped:
        _everywhere(makers, Instruction("loop", count=count))
    for phase in range(phases):
        for maker, stream in zip(makers, layout.streams, strict=True):
            maker.enter(layout.areas(stream, chip, cluster))
            maker.items += maker.block((count,) if looped else (), share or layout.options.instructions)
        if looped or phase < phases - 1:
            _everywhere(makers, Instruction("barrier", scope=scope))
        cluster, chip = cluster + 1, chip + (scope == "chip")
    if looped:
        _everywhere(makers, Instruction("endloop"))
    return chip + 1


def _everywhere(makers: Sequence[Maker], item: Item) -> None:
    for maker in makers:
        maker.items.append(item)
