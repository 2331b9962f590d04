"""A simulated program's costs as text: the totals, a line per stream if there are several, and a line per layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilework.plain import columns, dataframe, percent, quantity, shorten

if TYPE_CHECKING:
    from tilework.simulator.cycle import Result
    from tilework.simulator.layer_time import LayerTime

FIELDS = (
    *("name", "operation", "start", "end", "cycles", "bound_cycles", "array_bound_cycles"),
    *("macs", "dram_bytes", "dram_bytes_bound"),
)


def totals(cost: Result, inferences: int = 1) -> str:
    """A few lines: time beside its bound, units, traffic beside its bound, energy by part."""
    several = "" if inferences == 1 else f" each; {inferences} inferences {quantity(inferences * cost.seconds, 's')}"
    units = " · ".join(f"{unit} {percent(cost.units[unit])}" for unit in shown(cost))
    parts = " · ".join(
        f"{part} {quantity(joules, 'J')}" for part, joules in cost.energy.items() if part in _parts(cost)
    )
    peak = "the matrix unit's peak" if cost.cores == 1 else f"the peak of {cost.cores} cores"
    rows = [
        ("cycles", f"{cost.cycles:,} = {quantity(cost.seconds, 's')}{several}"),
        ("MACs", f"{cost.macs:,}, {percent(cost.utilisation)} of {peak}"),
        ("busy", units),
        ("DRAM bytes", f"{cost.dram_bytes:,}{_share(cost.dram_bytes, cost.dram_bytes_bound)}"),
        *_dram_rows(cost),
        ("energy", f"{quantity(cost.energy_joules, 'J')} ({parts})"),
        ("instructions", f"{cost.instructions:,} executed"),
    ]
    if cost.bound_cycles:
        ratio = f"{cost.cycles / cost.bound_cycles:.3f}, the bound is {cost.bound_cycles:,.0f} cycles"
        rows.insert(1, ("achieved / bound", ratio))
        if cost.array_bound_cycles > cost.bound_cycles:
            array = f"{cost.cycles / cost.array_bound_cycles:.3f}, with a matrix unit of this shape"
            rows.insert(2, ("", f"{array} it is {cost.array_bound_cycles:,.0f} cycles"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _dram_rows(cost: Result) -> list[tuple[str, str]]:
    """A line on rows and refreshes, where the DRAM isn't ideal."""
    time = cost.dram_time
    if time is None:
        return []
    bursts = time.row_hits + time.row_misses
    rows = f"{time.row_misses:,} of {bursts:,} bursts open a row, {time.miss_cycles:,} cycles; " if bursts else ""
    return [("DRAM rows" if rows else "DRAM", f"{rows}refresh {time.refresh_cycles:,} cycles")]


def shown(cost: Result) -> list[str]:
    """The units of which tables speak: all that the machine has but control."""
    return [unit for unit in cost.busy_cycles if unit != "control"]


def _parts(cost: Result) -> list[str]:
    """The parts of the energy, SRAM only where there is one."""
    return [part for part in cost.energy if part != "sram" or part in cost.busy_cycles]


def _share(moved: int, bound: int) -> str:
    return f", {moved / bound:.3f} of the bound {bound:,}" if bound else ""


def streams(cost: Result) -> str:
    """A table with a line per stream: for how much of the program's time each of its units is busy."""
    names = list(dict.fromkeys(unit for busy in cost.streams.values() for unit in busy))
    rows = [
        (stream, *(percent(busy[unit] / max(1, cost.cycles)) if unit in busy else "-" for unit in names))
        for stream, busy in cost.streams.items()
    ]
    return columns(("stream", *names), rows)


def layers(cost: Result) -> str:
    """A table with a line per layer; the matrix and vector units' shares are those of all cores."""
    head = ("layer", "operation", "cycles", "bound", "ratio", "array", "MACs", "DRAM bytes", "bound")
    return columns((*head, "matrix", "vector", "channel"), [_layer(layer, cost.cores) for layer in cost.layers], left=2)


def _layer(layer: LayerTime, cores: int) -> tuple[str, ...]:
    units = (("matrix", cores), ("vector", cores), ("channel", 1))
    shares = (percent(layer.busy_cycles[unit] / max(1, number * layer.cycles)) for unit, number in units)
    ratio = f"{layer.cycles / layer.bound_cycles:.2f}" if layer.bound_cycles else "-"
    return (
        shorten(layer.name, 32),
        shorten(layer.operation, 32),
        f"{layer.cycles:,}",
        f"{layer.bound_cycles:,.0f}",
        ratio,
        f"{layer.array_bound_cycles:,.0f}",
        f"{layer.macs:,}",
        f"{layer.dram_bytes:,}",
        f"{layer.dram_bytes_bound:,}",
        *shares,
    )


def histogram(cost: Result) -> str:
    """A table with a line per mnemonic: how many executions took how many cycles, by powers of ten."""
    taken = {name: cycles for name, cycles in cost.instruction_cycles.items() if any(cycles)}
    digits = max((len(str(max(cycles))) for cycles in taken.values()), default=1)
    heads = ("0", *(f"{10**n:,} to {10 ** (n + 1) - 1:,}" for n in range(digits)))
    rows = []
    for name, cycles in taken.items():
        counts = [0] * len(heads)
        for number, times in cycles.items():
            counts[len(str(number)) if number else 0] += times
        rows.append((name, *(f"{count:,}" if count else "-" for count in counts), f"{max(cycles):,}"))
    return columns(("cycles", *heads, "longest"), rows)


def everything(cost: Result) -> str:
    """The totals, the streams if there are several and, for a program that has layers, the table of them."""
    parts = [totals(cost)]
    if len(cost.streams) > 1:
        parts.append(streams(cost))
    if cost.layers:
        parts.append(layers(cost))
    return "\n\n".join(parts)


def frame(cost: Result) -> Any:
    """A pandas DataFrame with a row per layer; raises MissingPackageError without pandas."""
    units = shown(cost)
    rows = [
        {name: getattr(layer, name) for name in FIELDS} | {unit: layer.busy_cycles[unit] for unit in units}
        for layer in cost.layers
    ]
    return dataframe(rows, (*FIELDS, *units))
