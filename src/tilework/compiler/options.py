"""What a user may choose about a compilation, and how a compiler that doesn't simulate learns what a program costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tilework.errors import CompileError
from tilework.isa.program import Program
from tilework.machine.machine import Machine

SPLITS = ("auto", "data", "model")


@dataclass(frozen=True)
class Options:
    """Choices with their defaults.

    `dtype` is that of all numbers in the program's memories: the machine's own, unless said otherwise. The first
    `cores` of the machine's work, all if none are named; `split` says what they share: "data" the inputs of a batch,
    "model" the outputs of each layer (channels, rows of pixels, heads), "auto" for each layer what is faster. Unless
    `fused`, each node reads its operands from DRAM and writes its result there.
    """

    dtype: str | None = None
    cores: int | None = None
    split: str = "auto"
    fused: bool = True

    def check(self, machine: Machine) -> None:
        """Raises CompileError for a choice that the machine or the compiler doesn't have."""
        most = machine.clusters * machine.cores
        if self.cores is not None and not 1 <= self.cores <= most:
            raise CompileError(f"cores must be from 1 to the {most} of {machine.name}, not {self.cores}; correct it")
        if self.split not in SPLITS:
            raise CompileError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}; correct it")

    def cores_of(self, machine: Machine) -> int:
        """How many cores work."""
        return self.cores or machine.clusters * machine.cores


class Measured(NamedTuple):
    """What a program costs, exactly: cycles, bytes to and from DRAM, joules."""

    cycles: float
    dram_bytes: int
    energy_joules: float


Measure = Callable[[Program], Measured]
