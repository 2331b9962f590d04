"""A simulated program's costs as text: the totals, the units and a line per layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilework.plain import columns, dataframe, percent, quantity, shorten

if TYPE_CHECKING:
    from tilework.simulator.cycle import LayerTime, Result

FIELDS = ("name", "operation", "start", "end", "cycles", "bound_cycles", "macs", "dram_bytes")
UNITS = ("load", "store", "matrix", "vector", "channel")


def totals(cost: Result, inferences: int = 1) -> str:
    """A few lines: time beside its bound, units, traffic beside its bound, energy by part."""
    several = "" if inferences == 1 else f" each; {inferences} inferences {quantity(inferences * cost.seconds, 's')}"
    units = " · ".join(f"{unit} {percent(cost.units[unit])}" for unit in UNITS)
    parts = " · ".join(f"{part} {quantity(joules, 'J')}" for part, joules in cost.energy.items())
    rows = [
        ("cycles", f"{cost.cycles:,} = {quantity(cost.seconds, 's')}{several}"),
        ("MACs", f"{cost.macs:,}, {percent(cost.utilisation)} of the matrix unit's peak"),
        ("busy", units),
        ("DRAM bytes", f"{cost.dram_bytes:,}{_share(cost.dram_bytes, cost.compulsory_bytes)}"),
        ("energy", f"{quantity(cost.energy_joules, 'J')} ({parts})"),
        ("instructions", f"{cost.instructions:,} executed"),
    ]
    if cost.bound_cycles:
        ratio = f"{cost.cycles / cost.bound_cycles:.3f}, the bound is {cost.bound_cycles:,.0f} cycles"
        rows.insert(1, ("achieved / bound", ratio))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _share(moved: int, compulsory: int) -> str:
    return f", {moved / compulsory:.3f} of the compulsory {compulsory:,}" if compulsory else ""


def layers(cost: Result) -> str:
    """A table with a line per layer."""
    head = ("layer", "operation", "cycles", "bound", "ratio", "MACs", "DRAM bytes", "matrix", "vector", "channel")
    return columns(head, [_layer(layer) for layer in cost.layers], left=2)


def _layer(layer: LayerTime) -> tuple[str, ...]:
    shares = (percent(layer.busy_cycles[unit] / max(1, layer.cycles)) for unit in ("matrix", "vector", "channel"))
    ratio = f"{layer.cycles / layer.bound_cycles:.2f}" if layer.bound_cycles else "-"
    return (
        shorten(layer.name, 32),
        shorten(layer.operation, 32),
        f"{layer.cycles:,}",
        f"{layer.bound_cycles:,.0f}",
        ratio,
        f"{layer.macs:,}",
        f"{layer.dram_bytes:,}",
        *shares,
    )


def everything(cost: Result) -> str:
    """The totals and, for a program that has layers, the table of them."""
    return "\n\n".join([totals(cost), *([layers(cost)] if cost.layers else [])])


def frame(cost: Result) -> Any:
    """A pandas DataFrame with a row per layer; raises MissingPackageError without pandas."""
    rows = [
        {name: getattr(layer, name) for name in FIELDS} | {unit: layer.busy_cycles[unit] for unit in UNITS}
        for layer in cost.layers
    ]
    return dataframe(rows, (*FIELDS, *UNITS))
