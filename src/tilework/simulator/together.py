"""The cost of several programs that run one after another, as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from tilework.simulator.cycle import Result
from tilework.simulator.dram import DramTime


def together(results: Sequence[Result]) -> Result:
    """The programs' cycles, bytes, energy and layers one after another; between them the processor takes no time.

    Shares of the time are means over all cycles, and those of peaks are of the cores of the program with most of them.
    """
    if len(results) == 1:
        return results[0]
    cycles, cores = sum(result.cycles for result in results), max(result.cores for result in results)
    taken = max(1, cycles)
    layers, start = [], 0
    for result in results:
        layers += [replace(layer, start=layer.start + start, end=layer.end + start) for layer in result.layers]
        start += result.cycles
    return Result(
        cycles=cycles,
        seconds=sum(result.seconds for result in results),
        bound_cycles=sum(result.bound_cycles for result in results),
        bound_seconds=sum(result.bound_seconds for result in results),
        array_bound_cycles=sum(result.array_bound_cycles for result in results),
        cores=cores,
        busy_cycles=_added(result.busy_cycles for result in results),
        units=_added({unit: share * r.cycles / taken for unit, share in r.units.items()} for r in results),
        streams=_added(result.streams for result in results),
        dram_bytes=sum(result.dram_bytes for result in results),
        sram_bytes=sum(result.sram_bytes for result in results),
        compulsory_bytes=sum(result.compulsory_bytes for result in results),
        dram_bytes_bound=sum(result.dram_bytes_bound for result in results),
        macs=sum(result.macs for result in results),
        vector_operations=sum(result.vector_operations for result in results),
        utilisation=sum(r.utilisation * r.cores * r.cycles for r in results) / (cores * taken),
        energy=_added(result.energy for result in results),
        instructions=sum(result.instructions for result in results),
        instruction_counts=_added(result.instruction_counts for result in results),
        instruction_cycles=_added(result.instruction_cycles for result in results),
        layers=tuple(layers),
        dram_time=_dram_time([result.dram_time for result in results if result.dram_time]),
    )


def _dram_time(times: Sequence[DramTime]) -> DramTime | None:
    return DramTime(**_added(asdict(time) for time in times)) if times else None


def _added(mappings: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """The sums by key, and by the keys of what is a mapping itself."""
    total: dict[Any, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            if isinstance(value, Mapping):
                total[key] = _added([total.get(key, {}), value])
            else:
                total[key] = total.get(key, 0) + value
    return total
