"""How `tilework machines` shows machines: as a list, side by side, and one alone; and each as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tilework.machine.accelerator import Accelerator, accelerator_of, rate_unit
from tilework.machine.accelerator_file import accelerator_to_dict
from tilework.machine.convert import to_dict
from tilework.machine.energy import NODE, area_estimate
from tilework.machine.load import machine_hash
from tilework.machine.machine import Machine
from tilework.machine.units import POWER, SIZE, print_quantity
from tilework.plain import columns, quantity, shorten

NONE = "-"
WHAT = 31  # characters of what a machine is, in the list


def view(machine: Machine | Accelerator) -> Accelerator:
    """What is known of every machine: its peaks, memories and power."""
    return accelerator_of(machine) if isinstance(machine, Machine) else machine


def kind_of(machine: Machine | Accelerator) -> str:
    return "dlp" if isinstance(machine, Machine) else "accelerator"


def catalogue(found: Sequence[Machine | Accelerator], dtype: str | None) -> str:
    """One row a machine, at its main dtype if none is asked for."""
    head = ("machine", "what it is", "year", "power", "memory", "bandwidth", "dtype", "peak", "op/B")
    rows = [_row(view(machine), dtype or view(machine).dtype) for machine in found]
    more = (
        "Peaks are dense and of the whole device, a multiply-accumulate being two operations; op/B is where the",
        "roofline bends. What isn't published is left out. The other figures, and the sources: tilework machines NAME",
    )
    return "\n".join((columns(head, rows, left=2), "", *more))


def _row(one: Accelerator, dtype: str | None) -> tuple[str, ...]:
    texts = _memory_texts(one)
    if dtype is None or dtype not in one.peak:
        return (one.name, shorten(one.description, WHAT), _year(one), _power(one), *texts, NONE, NONE, NONE)
    peak = quantity(one.peak[dtype], rate_unit(dtype))
    return (one.name, shorten(one.description, WHAT), _year(one), _power(one), *texts, dtype, peak, _knee(one, dtype))


def _memory_texts(one: Accelerator) -> tuple[str, str]:
    size, bandwidth = one.memory.capacity_bytes, one.memory.bandwidth_bytes_per_second
    return (print_quantity(SIZE, size) if size else NONE, quantity(bandwidth, "B/s") if bandwidth else NONE)


def _year(one: Accelerator) -> str:
    return str(one.year or NONE)


def _power(one: Accelerator) -> str:
    return print_quantity(POWER, one.power_watts) if one.power_watts else NONE


def _knee(one: Accelerator, dtype: str) -> str:
    knee = one.intensity(dtype)
    return NONE if knee is None else f"{knee:,.0f}" if knee >= 100 else f"{knee:.3g}"


def comparison(found: Sequence[Machine | Accelerator]) -> str:
    """One column a machine, one row a figure; rows that none of them has are left out."""
    views = [view(machine) for machine in found]
    rows = [row for row in _rows(views) if any(cell != NONE for cell in row[1:])]
    return columns(("", *(one.name for one in views)), rows)


def _rows(views: Sequence[Accelerator]) -> Iterator[tuple[str, ...]]:
    yield ("maker", *(one.maker or NONE for one in views))
    yield ("year", *map(_year, views))
    yield ("process", *(one.process or NONE for one in views))
    yield ("power", *map(_power, views))
    for name, tables in (("peak", [one.peak for one in views]), ("sparse", [one.sparse_peak for one in views])):
        for dtype in dict.fromkeys(dtype for table in tables for dtype in table):
            unit = rate_unit(dtype)
            yield (f"{name}, {dtype}", *(quantity(t[dtype], unit) if dtype in t else NONE for t in tables))
    yield ("memory", *(one.memory.kind or NONE for one in views))
    yield ("capacity", *(_memory_texts(one)[0] for one in views))
    yield ("bandwidth", *(_memory_texts(one)[1] for one in views))
    chips = [one.on_chip for one in views]
    yield ("on chip", *(print_quantity(SIZE, chip.capacity_bytes) if chip.capacity_bytes else NONE for chip in chips))
    links = [one.link.bandwidth_bytes_per_second for one in views]
    yield ("links", *(quantity(link, "B/s") if link else NONE for link in links))
    for dtype in dict.fromkeys(dtype for one in views for dtype in one.peak):
        yield (f"op/B, {dtype}", *(_knee(one, dtype) for one in views))


def summary(machine: Machine | Accelerator, node: int | None = None) -> tuple[str, ...]:
    """What one machine is, in a few lines, its area estimated at a process node."""
    one = view(machine)
    rates = [f"{quantity(rate, rate_unit(dtype))} in {dtype}" for dtype, rate in one.peak.items()]
    bandwidth, knees = one.memory.bandwidth_bytes_per_second, one.dtype and one.intensity(one.dtype)
    lines = [f"{one.name}: {' '.join(filter(None, (one.maker, one.description)))}"]
    lines += _multipliers(machine) if isinstance(machine, Machine) else []
    lines += [f"Peak: {', '.join(rates)} (a MAC is 2)"] if rates else []
    lines += _memories(machine) if isinstance(machine, Machine) else []
    if bandwidth and knees:
        where = "off chip" if isinstance(machine, Machine) else f"of {one.memory.kind or 'memory'}"
        lines += [
            f"{quantity(bandwidth, 'B/s')} {where}: the roofline bends at {knees:.4g} {one.dtype} operations a byte"
        ]
    return (*lines, *(_area(machine, node) if isinstance(machine, Machine) else ()))


def _area(machine: Machine, node: int | None) -> Iterator[str]:
    area = area_estimate(machine, node or NODE)
    yield (
        f"Area: an estimate of {area.total:.3g} mm² at {area.node} nm for MACs, vector lanes and memory cells alone; "
        "chips take about four times that"
    )


def _multipliers(machine: Machine) -> list[str]:
    clusters = "One cluster" if machine.clusters == 1 else f"{machine.clusters} clusters"
    cores = f"{clusters} of {machine.cores} core{'s' * (machine.cores > 1)}, each core with"
    cores = cores if machine.clusters * machine.cores > 1 else "One core with"
    return [f"{cores} {machine.matrix.multipliers:,} multipliers ({machine.matrix.kind})"]


def _memories(machine: Machine) -> list[str]:
    sizes = {name: print_quantity(SIZE, size) for name, size in _sizes(machine).items()}
    sram = f", SRAM {sizes['sram']} in each cluster" if machine.sram else ""
    return [f"NRAM {sizes['nram']} and WRAM {sizes['wram']} in each core{sram}, DRAM {sizes['dram']}"]


def _sizes(machine: Machine) -> dict[str, int]:
    memories = {"nram": machine.nram, "wram": machine.wram, "sram": machine.sram, "dram": machine.dram}
    return {name: memory.capacity_bytes for name, memory in memories.items() if memory is not None}


def entry(machine: Machine | Accelerator, details: bool, node: int | None = None) -> dict[str, Any]:
    """A machine as JSON; its whole file and the estimate of its area at a node too, if `details`."""
    one = view(machine)
    common = {
        "name": one.name,
        "kind": kind_of(machine),
        "description": one.description,
        "peak_operations_per_second": one.peak,
        "bandwidth_bytes_per_second": one.memory.bandwidth_bytes_per_second,
        "sources": [f"{title}: {keys}" if keys else title for title, keys in one.sources.items()],
    }
    return {
        **common,
        **(_of_machine(machine, details, node) if isinstance(machine, Machine) else _of_accelerator(machine, details)),
    }


def _of_machine(machine: Machine, details: bool, node: int | None) -> dict[str, Any]:
    own = {
        "matrix_unit": machine.matrix.kind,
        "clusters": machine.clusters,
        "cores": machine.cores,
        "memory_bytes": _sizes(machine),
    }
    if not details:
        return own
    area = area_estimate(machine, node or NODE)
    estimated = {"area_estimate_mm2": area.to_dict(), "area_node_nm": area.node}
    return {**own, **estimated, "sha256": machine_hash(machine), "machine": to_dict(machine)}


def _of_accelerator(one: Accelerator, details: bool) -> dict[str, Any]:
    own = {
        "maker": one.maker,
        "year": one.year,
        "process": one.process,
        "power_watts": one.power_watts,
        "sparse_peak_operations_per_second": one.sparse_peak,
        "memory_bytes": one.memory.capacity_bytes,
        "on_chip_bytes": one.on_chip.capacity_bytes,
        "link_bytes_per_second": one.link.bandwidth_bytes_per_second,
        "unchecked": [key for key in one.unchecked.split(", ") if key],
    }
    return {**own, "machine": accelerator_to_dict(one)} if details else own
