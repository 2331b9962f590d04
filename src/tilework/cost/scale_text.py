"""Times on many devices as text."""

from __future__ import annotations

from collections.abc import Sequence

from tilework.cost.links import Devices
from tilework.cost.passes import DECODE, PREFILL, Pass
from tilework.cost.serving import Serving
from tilework.cost.stages import Rates
from tilework.cost.training_time import TrainingTime, speed_ups
from tilework.machine.accelerator import rate_unit
from tilework.plain import columns, percent, quantity

HEAD = ("pass", "time", "compute", "memory", "links", "most of it")
TITLES = {PREFILL: "prefill (first token)", DECODE: "decode (each token)"}


def serving_text(found: Serving) -> str:
    """A table of passes, and what they amount to."""
    rows = [_pass_row(one) for one in found.passes.values()]
    return "\n\n".join((columns(HEAD, rows), "\n".join((*_where(found.rates, found.devices), *_answers(found)))))


def _pass_row(one: Pass) -> tuple[str, ...]:
    time = one.time
    parts = (one.period, time.compute, time.memory, one.link_seconds)
    return (TITLES.get(one.name, one.name), *(quantity(part, "s") for part in parts), time.bound_by())


def _where(rates: Rates, devices: Devices) -> list[str]:
    machine, dtype = rates.machine, rates.dtype
    peak = quantity(machine.peak[dtype], rate_unit(dtype))
    bandwidth = quantity(machine.memory.bandwidth_bytes_per_second or 0, "B/s")
    used = f", of which {percent(rates.compute, 0)} and {percent(rates.memory, 0)} are used"
    each = f"{machine.name} in {dtype}: {peak} and {bandwidth}{used if min(rates.compute, rates.memory) < 1 else ''}"
    if devices.number == 1:
        return [f"One {each}"]
    degrees = f"tensor {devices.tensor} x pipeline {devices.pipeline} x data {devices.data}"
    lines = [f"{devices.number} devices ({degrees}), each {each}, {quantity(devices.link, 'B/s')} to the next"]
    if devices.node and devices.number > devices.node:
        lines += [f"In nodes of {devices.node}, with {quantity(devices.network, 'B/s')} between nodes"]
    return lines


def _answers(found: Serving) -> list[str]:
    unit = "tokens" if found.generated else "answers"
    lines = [
        f"{found.network}: {found.in_flight} at a time, {found.tokens_per_second_per_request:,.4g} {unit}/s each, "
        f"{found.rate:,.4g} {unit}/s in all"
    ]
    if found.generated:
        lines += [
            f"A prompt of {found.prompt} tokens and {found.generated} more take "
            f"{quantity(found.request_seconds, 's')}: {found.per_second:,.4g} tokens/s in all, prompts included",
            f"{quantity(found.cache_bytes_per_token, 'B')} are kept of each token",
        ]
    lines += [_memory_line(found)]
    if found.joules_per_token is not None:
        million = found.joules_per_token / 3.6
        lines += [f"{found.joules_per_token:,.4g} J for one of the {unit}, {million:,.4g} kWh for a million"]
    if found.price_per_million is not None:
        lines += [f"A million {unit} cost {found.price_per_million:,.4g} at {found.price:g} an hour for each device"]
    if found.last.whole:
        lines += [f"In full on each device: {_some(found.last.whole)}"]
    return lines


def _memory_line(found: Serving) -> str:
    capacity, largest = found.rates.machine.memory.capacity_bytes, found.largest_batch
    line = f"The fullest device holds {quantity(found.memory_bytes, 'B')}"
    return line if capacity is None else f"{line} of {quantity(capacity, 'B')}; the largest batch is {largest}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def training_text(found: TrainingTime) -> str:
    """What the step's time goes to, and a device's memory."""
    times = [(name, quantity(part, "s"), percent(part / found.seconds)) for name, part in found.parts().items()]
    times += [("the step", quantity(found.seconds, "s"), percent(1.0))]
    full = found.fullest
    held = {
        "weights": full.weight_bytes,
        "gradients": full.gradient_bytes,
        f"optimiser's state ({found.optimizer})": full.optimiser_bytes,
        "activations": full.activation_bytes,
        "the fullest device": found.memory_bytes,
    }
    memory = [(name, quantity(size, "B")) for name, size in held.items()]
    head = (found.network, "time", "share")
    return "\n\n".join((columns(head, times), columns(("memory", "bytes"), memory), "\n".join(_step_lines(found))))


def _step_lines(found: TrainingTime) -> list[str]:
    hidden = found.all_reduce_seconds - found.exposed_seconds
    lines = [
        *_where(found.rates, found.devices),
        f"{found.batch} inputs a step, {found.micro_batch} at a time: {found.rate:,.4g} inputs/s, "
        f"{percent(found.utilisation)} of the peak",
    ]
    if found.all_reduce_seconds:
        lines += [
            f"Gradients are added up in {quantity(found.all_reduce_seconds, 's')}, of which "
            f"{quantity(max(hidden, 0.0), 's')} behind the backward pass"
        ]
    return lines


def curve_text(found: Sequence[TrainingTime]) -> str:
    """One row for each number of devices."""
    head = ("devices", "batch", "time", "inputs/s", "speed-up", "efficiency", "not hidden", "memory", "fits")
    rows = [
        (
            f"{one.devices.number}",
            f"{one.batch}",
            quantity(one.seconds, "s"),
            f"{one.rate:,.4g}",
            f"{times:,.4g}",
            percent(times / one.devices.number),
            quantity(one.exposed_seconds, "s"),
            quantity(one.memory_bytes, "B"),
            _fits(one),
        )
        for one, times in zip(found, speed_ups(found), strict=True)
    ]
    return columns(head, rows)


def serving_curve_text(found: Sequence[Serving]) -> str:
    """One row for each number of devices that share the layers."""
    names = list(found[0].passes)
    head = ("devices", *(TITLES.get(name, name) for name in names), "links", "per second", "speed-up", "memory", "fits")
    rows = [
        (
            f"{one.devices.number}",
            *(quantity(each.period, "s") for each in one.passes.values()),
            percent(one.last.link_seconds / one.last.seconds),
            f"{one.rate:,.4g}",
            f"{times:,.4g}",
            quantity(one.memory_bytes, "B"),
            _fits(one),
        )
        for one, times in zip(found, speed_ups(found), strict=True)
    ]
    return columns(head, rows)


def _fits(one: Serving | TrainingTime) -> str:
    capacity = one.rates.machine.memory.capacity_bytes
    return "-" if capacity is None else "yes" if one.memory_bytes <= capacity else "no"
