"""The program: instructions, where its inputs, outputs and weights lie in DRAM, and what it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.instruction import Instruction
from tilework.machine.machine import Machine

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Port:
    """A float32 tensor that goes in or comes out: its logical `shape`, stored in DRAM at `address`, axes in `order`.

    `order` lists the logical axes, outermost first: (0, 2, 3, 1) stores an N,C,H,W tensor with channels contiguous.
    """

    name: str
    shape: tuple[int, ...]
    address: int
    order: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """The instructions [first, last) that compute the nodes `name`, and the bounds of that work.

    `macs` are the contraction's; `compulsory_bytes` are every external input, weight and output once.
    """

    name: str
    operation: str
    first: int
    last: int
    macs: int
    compulsory_bytes: int


def no_weights() -> npt.NDArray[np.uint8]:
    return np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Program:
    """What the compiler makes and the simulator runs.

    DRAM holds the packed weights in [0, weight_bytes), then activations up to `dram_bytes`. `weights` gives the packed
    weights' bytes when they are needed. `facts` are other things to show: the network's hash, where weights come from.
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
    weights: Callable[[], npt.NDArray[np.uint8]] = field(default=no_weights, repr=False, compare=False)
