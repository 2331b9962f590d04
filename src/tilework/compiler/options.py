"""What a user may choose about a compilation, and how a compiler that doesn't simulate learns what a program costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tilework.errors import CompileError
from tilework.isa.program import Program
from tilework.machine.machine import Machine

EVERY = "*"  # in place of a layer's name: all layers that are not named
SPLITS = ("auto", "data", "model")
OBJECTIVES = ("time", "traffic", "energy", "edp")


@dataclass(frozen=True)
class Options:
    """Choices with their defaults.

    `dtype` is that of all numbers in the program's memories: the machine's own, unless said otherwise; with int8 that
    of the products' operands, and of what lies in DRAM (`quantise_plan` says which tensors stay float32). The first
    `cores` of the machine's work, all if none are named; `split` says what they share: "data" the inputs of a batch,
    "model" the outputs of each layer (channels, rows of pixels, heads), "auto" for each layer what is faster, which may
    be parts of its sums. Unless `fused`, each node reads its operands from DRAM and writes its result there.
    `objective` says what is least of each layer: "time" (and of tilings that take 2 % more at most the bytes to and
    from DRAM), "traffic", these bytes, "energy", or "edp", the product of energy and time. `prune` gives, by a layer's
    name or for all others by "*", the share of its weights that goes.
    """

    dtype: str | None = None
    cores: int | None = None
    split: str = "auto"
    fused: bool = True
    objective: str = "time"
    prune: Mapping[str, float] = field(default_factory=dict)

    def check(self, machine: Machine) -> None:
        """Raises CompileError for a choice that the machine or the compiler doesn't have."""
        most = machine.clusters * machine.cores
        if self.cores is not None and not 1 <= self.cores <= most:
            raise CompileError(f"cores must be from 1 to the {most} of {machine.name}, not {self.cores}; correct it")
        if self.split not in SPLITS:
            raise CompileError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}; correct it")
        if self.objective not in OBJECTIVES:
            raise CompileError(f"objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}; correct it")
        for name, share in self.prune.items():
            if not 0 <= share < 1:
                raise CompileError(f"the share to prune of {name} must be from 0 to below 1, not {share:g}; correct it")

    def cores_of(self, machine: Machine) -> int:
        """How many cores work."""
        return self.cores or machine.clusters * machine.cores


class Measured(NamedTuple):
    """What a program costs, exactly: cycles, bytes to and from DRAM, joules."""

    cycles: float
    dram_bytes: int
    energy_joules: float


Measure = Callable[[Program], Measured]
