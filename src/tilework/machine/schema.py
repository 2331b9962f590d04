"""The keys of a machine's TOML file, what each value must be and what it means."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, get_type_hints

from msgspec import Meta, Struct, field

from tilework.machine.leaves import (
    Bandwidth,
    Banks,
    Count,
    Cycles,
    Dataflow,
    DramSize,
    Energies,
    Energy,
    Frequency,
    FunctionCycles,
    Interval,
    Name,
    Rates,
    RowSize,
    ScratchpadSize,
    Several,
    Text,
    Width,
)

NAMES = {  # of fields, which have their unit in it, and as the file writes them, where the unit stands in the value
    "array_columns": "columns",
    "array_rows": "rows",
    "bandwidth_bytes_per_second": "bandwidth",
    "capacity_bytes": "capacity",
    "clock_hz": "clock",
    "energy_per_byte_joules": "energy_per_byte",
    "energy_per_mac_joules": "energy_per_mac",
    "energy_per_operation_joules": "energy_per_operation",
    "overhead_seconds": "overhead",
    "power_watts": "power",
    "size_bytes": "size",
}


class Section(Struct, forbid_unknown_fields=True, rename=NAMES):
    """A table of the file, with the fields of its data class; a description is the meaning that the manual prints."""

    example: ClassVar[str] = "a table"


class RowsSection(Section):
    size_bytes: Annotated[RowSize, Meta(description="of a row, in which bursts follow each other without delay")]
    banks: Annotated[Count, Meta(description="each has one row open; consecutive rows lie in consecutive banks")]
    miss_cycles: Annotated[Cycles, Meta(description="what a burst takes more if its row isn't the open one")]


class RefreshSection(Section):
    interval_cycles: Annotated[Interval, Meta(description="from the beginning of one refresh to that of the next")]
    duration_cycles: Annotated[Cycles, Meta(description="for which nothing is moved; all rows are closed")]


class DramSection(Section):
    capacity_bytes: Annotated[DramSize, Meta(description="what it holds")]
    bandwidth_bytes_per_second: Annotated[
        Bandwidth, Meta(description="of the one channel that loads and stores of all cores share")
    ]
    latency_cycles: Annotated[Cycles, Meta(description="what a transfer takes beyond its bytes' time on the channel")]
    energy_per_byte_joules: Annotated[Energy, Meta(description="of a byte that is read or written")]
    burst_bytes: Annotated[
        Count, Meta(description="each contiguous run of a transfer is rounded up to a multiple of it")
    ] = Count(1)
    rows: RowsSection | None = None
    refresh: RefreshSection | None = None


class ScratchpadSection(Section):
    capacity_bytes: Annotated[ScratchpadSize, Meta(description="what it holds")]
    energy_per_byte_joules: Annotated[Energy, Meta(description="of a byte that is read or written")]
    port_bytes_per_cycle: Annotated[
        Width, Meta(description="what the matrix or vector unit reads, and what it writes, in a cycle; 0: no limit")
    ] = Width(0)


class NramSection(ScratchpadSection):
    banks: Annotated[
        Banks, Meta(description="interleaved by 4 bytes; each serves one lane of the vector unit a cycle; 0: no limit")
    ] = Banks(0)


class SramSection(Section):
    capacity_bytes: Annotated[ScratchpadSize, Meta(description="what it holds")]
    bandwidth_bytes_per_second: Annotated[Bandwidth, Meta(description="of each core's own port, and of the mover's")]
    latency_cycles: Annotated[Cycles, Meta(description="what a transfer takes beyond its bytes' time on the port")]
    energy_per_byte_joules: Annotated[Energy, Meta(description="of a byte that is read or written")]
    ports: Annotated[
        Count | None, Meta(description="transfers at the same time; left out: one for each core and one for the mover")
    ] = None


class ChipSection(Section):
    clusters: Annotated[Several, Meta(description="that share the DRAM")] = Several(1)
    cores: Annotated[Several, Meta(description="in each cluster")] = Several(1)


class TransferSection(Section):
    bytes_per_cycle: Annotated[
        Width, Meta(description="of fills and of moves inside a core; 0: as the DRAM's bandwidth")
    ] = Width(0)


class MatrixSection(Section, tag_field="kind", kw_only=True):
    pipeline_cycles: Annotated[Cycles, Meta(description="of each contraction, once")]
    rates: Annotated[
        Rates, Meta(description="products that a multiplier makes in a cycle, by dtype; the machine's own dtype first")
    ] = field(default_factory=lambda: Rates(float32=1))
    energy_per_mac_joules: Annotated[Energies, Meta(description="one for each dtype of `rates`, or one for all")]
    zero_skipping: Annotated[
        bool, Meta(description="whether it takes compressed weights and spends no time on those left out")
    ] = False


class InnerProductSection(MatrixSection, tag="inner-product"):
    neurons: Annotated[Count, Meta(description="sums side by side")]
    synapses: Annotated[Count, Meta(description="products in each sum")]


class ScalarMacSection(MatrixSection, tag="scalar-mac"):
    macs: Annotated[Count, Meta(description="multiply-accumulate units, each with an output of its own")]


class SystolicSection(MatrixSection, tag="systolic"):
    array_rows: Annotated[Count, Meta(description="multipliers one below the other")]
    array_columns: Annotated[Count, Meta(description="multipliers side by side")]
    dataflow: Annotated[Dataflow, Meta(description="which operand stays in the array")]


class ConvolutionCoreSection(MatrixSection, tag="convolution-core"):
    macs: Annotated[Count, Meta(description="multipliers")]
    atom: Annotated[Count, Meta(description="channels and filters come in multiples of it")]
    winograd: Annotated[bool, Meta(description="whether 3 by 3 kernels of stride 1 take 2.25 times fewer cycles")]


class VectorSection(Section):
    lanes: Annotated[Count, Meta(description="elements side by side")]
    pipeline_cycles: Annotated[Cycles, Meta(description="of each instruction, once")]
    energy_per_operation_joules: Annotated[Energy, Meta(description="of one lane's cycle")]
    cycles: Annotated[
        FunctionCycles, Meta(description="of one group of lanes, by function; 1 for copies and those left out")
    ] = field(default_factory=FunctionCycles)


class ControlSection(Section):
    queue_depth: Annotated[Count, Meta(description="places in the queue of each unit")]


class MachineFile(Section, kw_only=True):
    name: Annotated[Name, Meta(description="how files, pages and errors call it")]
    description: Annotated[Text, Meta(description="what it is, in one line")] = Text("")
    sources: Annotated[tuple[Text, ...], Meta(description="where the figures come from")] = ()
    clock_hz: Annotated[Frequency, Meta(description="of everything on the chip")]
    chip: ChipSection = field(default_factory=ChipSection)
    dram: DramSection
    sram: SramSection | None = None
    nram: NramSection
    wram: ScratchpadSection
    transfer: TransferSection = field(default_factory=TransferSection)
    matrix: InnerProductSection | ScalarMacSection | SystolicSection | ConvolutionCoreSection
    vector: VectorSection
    control: ControlSection


MATRIX_SECTIONS: dict[str, type[MatrixSection]] = {
    str(section.__struct_config__.tag): section
    for section in (InnerProductSection, ScalarMacSection, SystolicSection, ConvolutionCoreSection)
}


def keys_of(section: type[Section]) -> dict[str, str]:
    """The keys of a section as the file writes them, each with the name of its field."""
    return dict(zip(section.__struct_encode_fields__, section.__struct_fields__, strict=True))


@cache
def types_of(section: type[Section]) -> dict[str, Any]:
    """The type of each key: a leaf, a section, `bool`, or a union of these and None."""
    hints = get_type_hints(section)
    return {key: hints[name] for key, name in keys_of(section).items()}
