"""The head of a page as HTML, which needs no script: what a network costs and how near its bounds it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from tilework.cost.characters import visible
from tilework.cost.unstated import notes
from tilework.machine.accelerator import Accelerator
from tilework.machine.machine import Machine
from tilework.plain import percent, quantity
from tilework.report.page.subject import Subject
from tilework.simulator.cycle import Result

Fact = tuple[str, str, str]  # a name, a number, and what to know of it
LONGEST = 6  # layers of the program that the summary names


def summary(subject: Subject) -> str:
    """The facts, how busy the units are, the layers that take longest, and remarks."""
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in _facts(subject)
    )
    missing = f'<p class="why">{escape(f"It is not simulated: {subject.missing}.")}</p>' if subject.missing else ""
    meters = _meters(subject.cost) if subject.cost and subject.cost.cycles else ""
    said = "".join(f"<li>{escape(visible(remark))}</li>" for remark in _remarks(subject))
    return "\n".join(
        filter(None, (f'<dl class="facts">{facts}</dl>', missing, meters, f'<ul class="remarks">{said}</ul>'))
    )


def _facts(subject: Subject) -> Iterator[Fact]:
    if subject.cost:
        yield from _simulated(subject.cost)
    elif subject.roofs:
        first = subject.roofs[0]
        fused = f"{quantity(first.fused.seconds, 's')} with all layers fused"
        yield "least time", quantity(first.seconds, "s"), f"layer by layer, {first.dtype}; {fused}"
    total = subject.count.total
    others = sum(total.other_operations.values())
    yield "multiply-accumulates", quantity(total.macs, ""), f"{total.macs:,}; other operations {quantity(others, '')}"
    yield "parameters", quantity(total.parameters, ""), f"{total.parameters:,}, {quantity(total.parameter_bytes, 'B')}"
    yield "activations", quantity(total.activation_bytes, "B"), f"all of them together; {total.neurons:,} neurons"


def _simulated(cost: Result) -> Iterator[Fact]:
    beside = f"{cost.cycles / cost.bound_cycles:.3f} times its bound" if cost.bound_cycles else "its bound is 0"
    yield "time", quantity(cost.seconds, "s"), f"{cost.cycles:,} cycles"
    yield "least time", quantity(cost.bound_seconds, "s"), f"{cost.bound_cycles:,.0f} cycles; the run takes {beside}"
    peak = f"of the peak of {cost.cores} core{'s' * (cost.cores > 1)}"
    yield "utilisation", percent(cost.utilisation), peak
    ratio = f", {cost.dram_bytes / cost.dram_bytes_bound:.3f} times that" if cost.dram_bytes_bound else ""
    yield "DRAM traffic", quantity(cost.dram_bytes, "B"), f"at least {quantity(cost.dram_bytes_bound, 'B')}{ratio}"
    yield "energy", quantity(cost.energy_joules, "J"), f"{cost.instructions:,} instructions executed"


def _meters(cost: Result) -> str:
    units = [(unit, share, "") for unit, share in cost.units.items()]
    slowest = sorted(cost.layers, key=lambda layer: -layer.cycles)[:LONGEST]
    longest = [(visible(layer.name), layer.cycles / cost.cycles, layer.operation) for layer in slowest]
    return (
        f'<div class="below"><div><h3>How busy the units are</h3>{_bars(units)}</div>'
        f"<div><h3>The layers that take longest</h3>{_bars(longest)}</div></div>"
    )


def _bars(shares: Iterable[tuple[str, float, str]]) -> str:
    rows = (
        f'<span class="label" title="{escape(more)}">{escape(name)}</span>'
        f'<div class="meter"><i style="width:{100 * min(1.0, share):.2f}%"></i></div>'
        f"<span>{escape(percent(share))}</span>"
        for name, share, more in shares
    )
    return f'<div class="meters">{"".join(rows)}</div>'


def _remarks(subject: Subject) -> Iterator[str]:
    yield machine_text(subject.machine)
    for roof in subject.roofs[1:]:
        yield f"Beside it: {machine_text(roof.machine)} Least time in {roof.dtype}: {quantity(roof.seconds, 's')}."
    if subject.executable:
        facts: dict[str, Any] = subject.executable.bundle.facts
        yield f"Compiled with weights {facts['weights']}; {_host(subject.executable.bundle.host_operations)}."
        if subject.executable.bundle.host_parts:
            yield "The host's time is not known, and not in these numbers."
    yield from notes(subject.count)


def _host(operations: tuple[str, ...]) -> str:
    if not operations:
        return "nothing runs on the host"
    more = f" and {len(operations) - 3} more" if len(operations) > 3 else ""
    return f"on the host: {', '.join(operations[:3])}{more}"


def machine_text(machine: Machine | Accelerator) -> str:
    """A machine in a sentence: its memories and its rates, as far as they are known."""
    if isinstance(machine, Accelerator):
        peaks = ", ".join(f"{quantity(rate, 'op/s')} in {dtype}" for dtype, rate in machine.peak.items())
        bandwidth = machine.memory.bandwidth_bytes_per_second
        memory = quantity(bandwidth, "B/s") if bandwidth else "bandwidth unknown"
        return f"{machine.name}: {peaks or 'no peak known'}; {memory}."
    cores = machine.clusters * machine.cores
    rate = 2 * cores * machine.macs_per_cycle() * machine.clock_hz
    memories = [("NRAM", machine.nram), ("WRAM", machine.wram), ("SRAM", machine.sram)]
    chip = ", ".join(f"{name} {quantity(each.capacity_bytes, 'B')}" for name, each in memories if each)
    return (
        f"{machine.name}: {cores} core{'s' * (cores > 1)} at {quantity(machine.clock_hz, 'Hz')}, "
        f"{quantity(rate, 'op/s')} in {machine.dtype}, {chip}, "
        f"{quantity(machine.dram.bandwidth_bytes_per_second, 'B/s')} to DRAM."
    )
