"""A product of matrices that is to be mapped on a machine, and the machine's figures in whole ticks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from tilework.compiler.map_side import Side
from tilework.errors import CompileError
from tilework.machine.machine import Machine

SKIPS = ("none", "weights", "inputs", "both")  # whose zeros the multipliers leave out
DTYPES = {"fp32": ("float32", 4), "fp16": ("float16", 2), "bf16": ("bfloat16", 2), "int8": ("int8", 1)}
SUM_BYTES = 4  # of a sum on chip: float32, or int32 for int8
MAX_SIZE = 1_000_000


@dataclass(frozen=True, slots=True)
class Layer:
    """What makes a layer more than a product of its rows, summed places and columns.

    There are `groups` such products. Each summed place stands for `depth` multiply-accumulates of every output, such as
    those of a window. The sides say what inputs the rows need, and what weights the columns. Pointwise work afterwards
    reads `fixed` numbers, such as biases, and `added` ones for each output. `touched` are the numbers that exist in
    DRAM, however often a tile needs them: inputs, weights, all others that are read, outputs.
    """

    input_side: Side
    weight_side: Side
    groups: int
    depth: int
    fixed: int
    added: int
    touched: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """Outputs `rows` x `columns` from inputs `rows` x `summed` and weights `summed` x `columns`, all in DRAM.

    The shares say how much is left of the operands' volume after compression, and so, of which numbers other than 0
    are taken to be left. `layer` says what more there is to a layer of a network. Raises CompileError for sizes, dtypes
    and shares that cannot be.
    """

    rows: int
    summed: int
    columns: int
    dtype: str = "fp32"
    input_share: Fraction = Fraction(1)
    weight_share: Fraction = Fraction(1)
    skip: str = "none"
    layer: Layer | None = None

    def __post_init__(self) -> None:
        for size in (self.rows, self.summed, self.columns):
            if not 1 <= size <= MAX_SIZE:
                raise CompileError(f"a size must be between 1 and {MAX_SIZE:,}, not {size}; take another product")
        if self.dtype not in DTYPES:
            raise CompileError(f"a dtype must be one of {', '.join(DTYPES)}, not {self.dtype!r}; take one of these")
        if self.skip not in SKIPS:
            raise CompileError(f"zeros are skipped of {', '.join(SKIPS)}, not of {self.skip!r}; take one of these")
        for share in (self.input_share, self.weight_share):
            if not 0 < share <= 1:
                raise CompileError(f"a share must be above 0 and at most 1, not {share}; write it as 0.25 or 1/4")

    @property
    def input_bytes(self) -> Fraction:
        """Of an input in DRAM and on chip, compressed, on average."""
        return DTYPES[self.dtype][1] * self.input_share

    @property
    def weight_bytes(self) -> Fraction:
        return DTYPES[self.dtype][1] * self.weight_share

    @property
    def output_bytes(self) -> int:
        """Of an output in DRAM: int8 operands give int32."""
        return SUM_BYTES if self.dtype == "int8" else DTYPES[self.dtype][1]

    @property
    def done(self) -> Fraction:
        """The share of the multiply-accumulates that is really done."""
        inputs = self.input_share if self.skip in ("inputs", "both") else Fraction(1)
        return inputs * (self.weight_share if self.skip in ("weights", "both") else Fraction(1))

    @property
    def groups(self) -> int:
        """How many products there are."""
        return self.layer.groups if self.layer else 1

    @property
    def sides(self) -> tuple[Side, Side]:
        """Of the rows and of the columns."""
        return (self.layer.input_side, self.layer.weight_side) if self.layer else (Side(self.rows), Side(self.columns))

    @property
    def work(self) -> Fraction:
        """Multiply-accumulates of an output for each summed place."""
        return self.done * (self.layer.depth if self.layer else 1)

    @property
    def added_bytes(self) -> int:
        """What pointwise work reads for each output."""
        return self.layer.added * DTYPES[self.dtype][1] if self.layer else 0

    @property
    def fixed_bytes(self) -> int:
        """What pointwise work reads in all that doesn't go with outputs."""
        return self.layer.fixed * DTYPES[self.dtype][1] if self.layer else 0

    @property
    def macs(self) -> int:
        return whole(self.groups * self.rows * self.summed * self.columns * self.work)

    @property
    def compulsory_bytes(self) -> int:
        """Each operand in once, each output out once."""
        others = self.layer.touched[2] * DTYPES[self.dtype][1] if self.layer else 0
        return sum(self.operand_bytes) + others + self.stored_bytes

    @property
    def operand_bytes(self) -> tuple[int, int]:
        """Of all inputs and of all weights."""
        inputs, weights = self.rows * self.summed, self.summed * self.columns
        if self.layer:
            inputs, weights = self.layer.touched[:2]
        return whole(inputs * self.input_bytes), whole(weights * self.weight_bytes)

    @property
    def stored_bytes(self) -> int:
        """Of all outputs."""
        return (self.layer.touched[3] if self.layer else self.rows * self.columns) * self.output_bytes


class Figures:
    """What the tile language knows of a machine: ticks per byte and per multiply-accumulate, cores, bytes on chip.

    A tick is a cycle / `cycle`, of which all of these take whole numbers; docs/tile-language.md has the rules. `shares`
    says that operands reach the cores of a cluster through its SRAM, by its mover. A program may leave clusters alone:
    `clusters` are those that it uses, `whole` says that these are all. Where they do the groups of a layer in equal
    `lots`, each by some clusters, these and their cores are those of one lot, and all lots share the channel.
    """

    def __init__(self, machine: Machine, dtype: str, clusters: int, lots: int = 1) -> None:
        name = DTYPES[dtype][0]
        if name not in machine.matrix.rates:
            there = [short for short, (long, _) in DTYPES.items() if long in machine.matrix.rates]
            raise CompileError(f"the dtype on {machine.name} must be {' or '.join(there)}, not {dtype}; write --dtype")
        clock = Fraction(machine.clock_hz)
        channel = clock / Fraction(machine.dram.bandwidth_bytes_per_second)
        sram = clock / Fraction(machine.sram.bandwidth_bytes_per_second) if machine.sram else Fraction(0)
        mac = Fraction(1, machine.macs_per_cycle(name))
        self.cycle = lcm(*(cost.denominator for cost in (channel, sram, mac)))
        self.byte, self.cast, self.mac = (int(cost * self.cycle) for cost in (channel, sram, mac))
        self.channel, self.lots, self.whole = self.byte * lots, lots, clusters == machine.clusters
        self.mover = max(self.channel, self.cast)
        self.clusters, self.cores = clusters // lots, clusters // lots * machine.cores
        self.all_cores = machine.clusters * machine.cores
        self.shares = machine.sram is not None and machine.cores > 1
        self.nram, self.wram = machine.nram.capacity_bytes, machine.wram.capacity_bytes
        self.sram = machine.sram.capacity_bytes if machine.sram else 0
        self.tick_seconds = 1 / (clock * self.cycle)

    def bound(self, problem: Problem) -> Fraction:
        """Ticks that no program can beat: max(multiply-accumulates / peak, compulsory bytes / bandwidth)."""
        return max(Fraction(problem.macs * self.mac, self.all_cores), Fraction(problem.compulsory_bytes * self.byte))


def whole(amount: Fraction | int) -> int:
    """The least whole number that is no smaller."""
    return -(-amount.numerator // amount.denominator)
