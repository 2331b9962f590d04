"""Matrix units: the shapes of array that a machine may have, and the cycles that each takes for a contraction.

A contraction is seen as a matrix product of `rows` by `summed` and `summed` by `columns`: a convolution's rows are its
output pixels, its columns the filters, and what is summed are the channels and the kernel's places. All formulas hold
for whole numbers and, element by element, for arrays of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

DATAFLOWS = ("weight-stationary", "output-stationary", "input-stationary")


@dataclass(frozen=True, kw_only=True)
class MatrixUnit:
    """What all kinds have.

    `rates` give, for each dtype that the unit multiplies, how many products of it one multiplier does in a cycle; they
    share one sum, so that a rate divides what is summed. `dtypes` are theirs in order; the first is the machine's own.
    With `zero_skipping` it takes compressed weights, and only what is kept of them is summed.
    """

    pipeline_cycles: int
    energy_per_mac_joules: dict[str, float] = field(hash=False)
    rates: dict[str, int] = field(hash=False)
    zero_skipping: bool = False
    dtypes: tuple[str, ...] = field(init=False, repr=False)  # dictionaries of another order compare equal, these do not
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtypes", tuple(self.rates))

    @property
    def multipliers(self) -> int:
        """Multipliers in the array: its multiply-accumulates per cycle at a rate of 1."""
        raise NotImplementedError

    @property
    def sides(self) -> tuple[int, int, int]:
        """How many rows, columns and summed places the array works on side by side."""
        raise NotImplementedError

    def readings(self, rows: Any, columns: Any) -> tuple[Any, Any]:
        """How often the unit reads each element of both operands: once for all columns or rows it has side by side."""
        return _ceil(columns, self.sides[1]), _ceil(rows, self.sides[0])

    def steps(self, rows: Any, columns: Any, summed: Any) -> Any:
        """Cycles from the first operand to the last result at a rate of 1, the pipeline left out."""
        raise NotImplementedError

    @property
    def serves(self) -> tuple[int, int]:
        """Of how many sums the array takes products in a cycle at most, and how many of each at a rate of 1."""
        raise NotImplementedError

    def least(self, sums: Mapping[int, int], dtype: str, shared: int) -> float:
        """Cycles that no program of contractions can beat, docs/bounds.md says why: by products how many `sums` there
        are. No element of an operand takes part in more than `shared` of them."""
        outputs, products = self.serves
        depth = products * self.rates[dtype]
        taken = sum(number * -(-each // depth) for each, number in sums.items())
        return taken / outputs

    def cycles(self, rows: Any, columns: Any, summed: Any, dtype: str) -> Any:
        """Cycles of one contraction of a dtype among `rates`, the pipeline included."""
        return self.steps(rows, columns, _ceil(summed, self.rates[dtype])) + self.pipeline_cycles


@dataclass(frozen=True, kw_only=True)
class InnerProductArray(MatrixUnit):
    """Each cycle, for one row, `neurons` sums of `synapses` products (DianNao's NFU, Chen et al., ASPLOS 2014)."""

    neurons: int
    synapses: int
    kind = "inner-product"

    @property
    def multipliers(self) -> int:
        return self.neurons * self.synapses

    @property
    def sides(self) -> tuple[int, int, int]:
        return 1, self.neurons, self.synapses

    @property
    def serves(self) -> tuple[int, int]:
        return self.neurons, self.synapses

    def least(self, sums: Mapping[int, int], dtype: str, shared: int) -> float:
        products = sum(number * each for each, number in sums.items())
        side_by_side = self.synapses * self.rates[dtype] * min(self.neurons, shared)
        return max(super().least(sums, dtype, shared), products / side_by_side)

    def steps(self, rows: Any, columns: Any, summed: Any) -> Any:
        return rows * _ceil(columns, self.neurons) * _ceil(summed, self.synapses)


@dataclass(frozen=True, kw_only=True)
class ScalarMacArray(MatrixUnit):
    """Each of `macs` multiply-accumulate units owns one output and takes one product a cycle until its sum is done."""

    macs: int
    kind = "scalar-mac"

    @property
    def multipliers(self) -> int:
        return self.macs

    @property
    def sides(self) -> tuple[int, int, int]:
        return self.macs, 1, 1

    @property
    def serves(self) -> tuple[int, int]:
        return self.macs, 1

    def steps(self, rows: Any, columns: Any, summed: Any) -> Any:
        return _ceil(rows * columns, self.macs) * summed


@dataclass(frozen=True, kw_only=True)
class SystolicArray(MatrixUnit):
    """`array_rows` by `array_columns` multipliers that pass operands on to their neighbours.

    A fold, what the array holds at a time, is filled, run through and drained before the next: SCALE-Sim's model
    (Samajdar et al., ISPASS 2020), whose compute cycles these formulas give.
    """

    array_rows: int
    array_columns: int
    dataflow: str
    kind = "systolic"

    @property
    def multipliers(self) -> int:
        return self.array_rows * self.array_columns

    @property
    def sides(self) -> tuple[int, int, int]:
        r, c = self.array_rows, self.array_columns
        return {DATAFLOWS[0]: (1, c, r), DATAFLOWS[1]: (r, c, 1), DATAFLOWS[2]: (c, 1, r)}[self.dataflow]

    def readings(self, rows: Any, columns: Any) -> tuple[Any, Any]:
        """What the array holds still it reads once."""
        first, second = super().readings(rows, columns)
        held = self.dataflow
        return 1 if held == DATAFLOWS[2] else first, 1 if held == DATAFLOWS[0] else second

    @property
    def serves(self) -> tuple[int, int]:
        r, c = self.array_rows, self.array_columns
        return (r * c, 1) if self.dataflow == "output-stationary" else (c, r)

    def least(self, sums: Mapping[int, int], dtype: str, shared: int) -> float:
        """Of what fills and drains the array, each sum of an output-stationary one bears its part in one fold, the
        others take it once."""
        r, c = self.array_rows, self.array_columns
        streamed, number = super().least(sums, dtype, shared), sum(n for products, n in sums.items() if products)
        if self.dataflow == "output-stationary":
            return streamed + number * (r + c - 2) / (r * c)
        return streamed + (2 * r + c - 2 if number else 0)

    def steps(self, rows: Any, columns: Any, summed: Any) -> Any:
        r, c = self.array_rows, self.array_columns
        if self.dataflow == "weight-stationary":
            return (2 * r + c + rows - 2) * _ceil(summed, r) * _ceil(columns, c)
        if self.dataflow == "output-stationary":
            return (summed + r + c - 2) * _ceil(rows, r) * _ceil(columns, c)
        return (2 * r + c + columns - 2) * _ceil(summed, r) * _ceil(rows, c)


@dataclass(frozen=True, kw_only=True)
class ConvolutionCore(MatrixUnit):
    """NVDLA's convolution core: `macs` multipliers over channels and filters, both in whole multiples of `atom`.

    A stride is folded into the channels. With `winograd`, 3 by 3 kernels of stride 1 take 2.25 times fewer cycles.
    Whole layers are counted by NVDLA's performance sheet (nvdla/hw, perf/), which lets a cycle end in a fraction.
    """

    macs: int
    atom: int
    winograd: bool
    kind = "convolution-core"

    @property
    def multipliers(self) -> int:
        return self.macs

    @property
    def sides(self) -> tuple[int, int, int]:
        return 1, self.atom, self.atom

    @property
    def serves(self) -> tuple[int, int]:
        return _ceil(self.macs, self.atom), self.atom

    def steps(self, rows: Any, columns: Any, summed: Any) -> Any:
        return _ceil(rows * self.whole(columns) * self.whole(summed), self.macs)

    def whole(self, number: Any) -> Any:
        """The least multiple of the atom that is not below the number."""
        return _ceil(number, self.atom) * self.atom


KINDS: dict[str, type[MatrixUnit]] = {
    kind.kind: kind for kind in (InnerProductArray, ScalarMacArray, SystolicArray, ConvolutionCore)
}


def _ceil(number: Any, divisor: int) -> Any:
    return -(-number // divisor)
