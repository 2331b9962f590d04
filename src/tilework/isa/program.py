"""The program: instructions, where its inputs, outputs and weights lie in DRAM, and what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.instruction import Instruction
from tilework.machine.machine import Machine

FORMAT_VERSION = 4
ROLES = ("core", "mover")


@dataclass(frozen=True)
class Port:
    """A tensor that goes in or comes out: its logical `shape`, stored in DRAM at `address`, axes in `order`.

    `order` lists the logical axes, outermost first: (0, 2, 3, 1) stores an N,C,H,W tensor with channels contiguous.
    What goes in is rounded to `dtype` and what comes out is given as float32, or as int32 where it is one.
    """

    name: str
    shape: tuple[int, ...]
    address: int
    order: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Layer:
    """The instructions [first, last) that compute the nodes `name`, and the bounds of that work.

    `macs` are the contraction's; `compulsory_bytes` are every external input, weight and output once.
    `communication_bytes` are what the memory on chip forces it to move at least, as far as that is known. `others` are
    the instructions of the program's other streams, [first, last) for each in their order. `skipped_macs` of the
    `macs` are those with pruned weights, where the matrix unit skips zeros. Of the compulsory bytes `ahead_bytes` are
    those that don't depend on the layer before, and so may come before it has ended. `array_cycles` are what the matrix
    unit of a single core would take at least for what it can do side by side.
    """

    name: str
    operation: str
    first: int
    last: int
    macs: int
    compulsory_bytes: int
    others: tuple[tuple[int, int], ...] = ()
    communication_bytes: int = 0
    skipped_macs: int = 0
    ahead_bytes: int = 0
    array_cycles: float = 0.0

    @property
    def dram_bytes_bound(self) -> int:
        """What no program can save that computes it by itself."""
        return max(self.compulsory_bytes, self.communication_bytes)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """[first, last) for each of the program's streams."""
        return ((self.first, self.last), *self.others)


@dataclass(frozen=True)
class Stream:
    """What one processor of the chip executes: a core, or the mover of a cluster, which serves the cluster's SRAM.

    `index` is the core's number in its cluster, 0 for a mover. `lines` are the numbers of the lines of the assembly
    text that the instructions were read from, `labels` the text's labels with their places; empty if there was none.
    """

    instructions: tuple[Instruction, ...]
    role: str = "core"
    cluster: int = 0
    index: int = 0
    lines: tuple[int, ...] = field(default=(), repr=False, compare=False)
    labels: tuple[tuple[str, int], ...] = field(default=(), repr=False, compare=False)

    @property
    def name(self) -> str:
        """As assembly names it: "core 0 2" is core 2 of cluster 0."""
        return f"core {self.cluster} {self.index}" if self.role == "core" else f"mover {self.cluster}"

    @property
    def header(self) -> Header:
        return Header(self.role, self.cluster, self.index, len(self.instructions))

    @property
    def order(self) -> tuple[int, int, int]:
        """Streams of a program stand in this order: the cores, cluster by cluster, then the movers."""
        return ROLES.index(self.role), self.cluster, self.index

    def where(self, place: int) -> str:
        """How an error names an instruction: by its line if it has one, else by its number and its stream."""
        if self.lines:
            return f"line {self.lines[place]}"
        return f"instruction {place}" if self.name == "core 0 0" else f"{self.name}, instruction {place}"


@dataclass(frozen=True)
class Header:
    """A stream but for its instructions, of which it says how many they are."""

    role: str
    cluster: int
    index: int
    length: int


def no_weights() -> npt.NDArray[np.uint8]:
    return np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Program:
    """What the compiler makes and the simulator runs.

    `instructions` are those of core 0 of cluster 0, `others` what the other cores and the movers execute. DRAM holds
    the packed weights in [0, weight_bytes), then activations up to `dram_bytes`. `weights` gives the packed weights'
    bytes when they are needed. `facts` are other things to show: the network's hash, where weights come from. `lines`
    and `labels` are those of `instructions` in the text that they were read from, if any.
    """

    name: str
    machine: Machine
    instructions: tuple[Instruction, ...]
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    layers: tuple[Layer, ...] = ()
    host_operations: tuple[str, ...] = ()
    weight_bytes: int = 0
    dram_bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    others: tuple[Stream, ...] = ()
    lines: tuple[int, ...] = field(default=(), repr=False, compare=False)
    labels: tuple[tuple[str, int], ...] = field(default=(), repr=False, compare=False)
    weights: Callable[[], npt.NDArray[np.uint8]] = field(default=no_weights, repr=False, compare=False)

    @classmethod
    def of(cls, name: str, machine: Machine, streams: Sequence[Stream], **fields: Any) -> Program:
        """The program of these streams, that of core 0 of cluster 0 first."""
        first, *others = streams
        texts: dict[str, Any] = {"lines": first.lines, "labels": first.labels}
        return cls(name, machine, first.instructions, others=tuple(others), **texts, **fields)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams, that of core 0 of cluster 0 first."""
        return (Stream(self.instructions, lines=self.lines, labels=self.labels), *self.others)
