"""Instructions and the descriptors they name: the program is the outer loops, a descriptor is the inner nest.

An instruction is one 64-bit word. Those that move or compute name a descriptor: the extents of up to 8 inner loops and,
for each operand, a dtype and an affine address: a base, a step for each hardware loop around the instruction, a stride
for each inner loop and perhaps a register. All addresses, steps and strides are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

MAX_RANK = 8
MAX_LOOPS = 6
MAX_TOKENS = 256
MAX_REGISTERS = 32
MEMORIES = ("dram", "nram", "wram", "sram")
UNITS = ("control", "load", "store", "matrix", "vector", "cast")
QUEUES = UNITS[1:]  # of the units that have one, in the order in which a cycle scans them
DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int32": 4}  # and the bytes of an element
ELEMENT_BYTES = DTYPES["float32"]
SCOPES = ("cluster", "chip")  # whose streams a barrier brings together


@dataclass(frozen=True, slots=True)
class Operand:
    """Where an operand's elements lie.

    Element (j0, j1, …) of the inner nest, in iteration (i0, i1, …) of the hardware loops, outermost first, lies at
    `base + A + sum(strides[k] * jk)`, where `A = phase + sum(steps[d] * id)`, taken modulo `wrap` if `wrap` is not 0
    (a ring of buffers). `steps` may be shorter than the loops around the instruction; missing steps are 0, and zeros
    at its end are dropped, so that operands that mean the same compare equal. If a `register` is named, the bytes that
    it holds are added to the base. Of a compressed operand each block of 16 elements has only `kept` in memory (see
    `blocks`); its strides are those of the elements as if all were there.
    """

    memory: str
    base: int
    strides: tuple[int, ...]
    steps: tuple[int, ...] = ()
    phase: int = 0
    wrap: int = 0
    dtype: str = "float32"
    register: int | None = None
    kept: int = 0

    def __post_init__(self) -> None:
        steps = self.steps
        if steps and steps[-1] == 0:
            kept = max((depth for depth, step in enumerate(steps, 1) if step), default=0)
            object.__setattr__(self, "steps", steps[:kept])

    @property
    def element_bytes(self) -> int:
        return DTYPES[self.dtype]

    def address(self, counters: tuple[int, ...] | list[int]) -> int:
        """The address of element (0, 0, …) in the given iteration of the hardware loops, outermost first.

        What a register adds is left out.
        """
        offset = self.phase
        for step, counter in zip(self.steps, counters, strict=False):
            offset += step * counter
        return self.base + (offset % self.wrap if self.wrap else offset)


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant in place of an operand."""

    value: float


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The inner nest of an instruction: extents of its loops, the destination and up to two sources.

    A loop for which the destination's stride is 0 reduces.
    """

    extents: tuple[int, ...]
    destination: Operand
    sources: tuple[Operand | Immediate, ...] = ()

    @property
    def iterations(self) -> int:
        return prod(self.extents)

    @property
    def operands(self) -> tuple[Operand, ...]:
        return (self.destination, *[s for s in self.sources if isinstance(s, Operand)])


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its mnemonic and the fields that its row of the table names, the others at their defaults.

    `registers` are those that the instruction names, its result first; `constant` stands in place of the last source.
    `target` is the place of the instruction that a jump goes to.
    """

    mnemonic: str
    descriptor: Descriptor | None = None
    accumulate: bool = False
    count: int = 0
    unit: str = "control"
    token: int = 0
    registers: tuple[int, ...] = ()
    constant: int | None = None
    target: int = 0
    scope: str = ""

    def __str__(self) -> str:
        from tilework.isa.assembly import print_instruction

        return print_instruction(self)
