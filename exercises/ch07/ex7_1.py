"""7.1: accelerators on the market, by their peaks, memories and power."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Accelerators on the market: peak, bandwidth, memory and power, each with its source"
QUESTION = """
Which deep learning accelerators are on the market, from embedded to data centre, and what are their peaks in each
dtype, their memory's bandwidth and capacity, and their power? Where is each figure from?
"""
NOTICE = """
A peak says little without its dtype and without whether zeros are counted: the figures of one and the same B200 reach
from 40 to 18,000 T operations a second. Dense and at float16, all devices still span nearly four powers of ten.

Along a line of one maker's devices the peak has grown ten times as much as the bandwidth, so that a byte has to be used
for ten times as many operations before the peak is the bound. Devices that keep everything on chip have the opposite
shape: bandwidth to spare, and little room.

Operations for each joule depend on the dtype and on the year more than on the size: an embedded module of 60 W is no
better than a card of 700 W of its time, only smaller.
"""

LINE = ("p100-sxm2", "v100-sxm2", "a100-80gb", "h100-sxm", "b200")  # NVIDIA's of the data centre, at float16


def answer() -> dict[str, Any]:
    """The figures of each accelerator, and how NVIDIA's line grew; None is what isn't published."""
    devices = [_device(tw.load_accelerator(name)) for name in tw.accelerator_names()]
    line = [tw.load_accelerator(name) for name in LINE]
    return {"devices": devices, "line": [_step(one, line[0]) for one in line]}


def _device(one: tw.Accelerator) -> dict[str, Any]:
    peak = one.peak[one.dtype] if one.dtype else None
    return {
        "name": one.name,
        "maker": one.maker,
        "year": one.year,
        "dtype": one.dtype,
        "peak_operations_per_second": one.peak,
        "sparse_peak_operations_per_second": one.sparse_peak,
        "bandwidth_bytes_per_second": one.memory.bandwidth_bytes_per_second,
        "memory": one.memory.kind,
        "memory_bytes": one.memory.capacity_bytes,
        "power_watts": one.power_watts,
        "operations_per_byte": one.intensity(one.dtype) if one.dtype else None,
        "operations_per_joule": peak / one.power_watts if peak and one.power_watts else None,
        "sources": one.sources,
        "unchecked": one.unchecked,
    }


def _step(one: tw.Accelerator, first: tw.Accelerator) -> dict[str, Any]:
    bandwidth = (one.memory.bandwidth_bytes_per_second or 0) / (first.memory.bandwidth_bytes_per_second or 1)
    return {
        "name": one.name,
        "year": one.year,
        "peak_times": one.peak["float16"] / first.peak["float16"],
        "bandwidth_times": bandwidth,
        "operations_per_byte": one.intensity("float16"),
    }


def draw(answer: dict[str, Any], path: str) -> None:
    """Peak against bandwidth."""
    tw.draw_market([tw.load_accelerator(one["name"]) for one in answer["devices"]], path)


def text(answer: dict[str, Any]) -> str:
    """The devices by peak, how one line grew, and how much is known."""
    devices = sorted(answer["devices"], key=lambda one: -(one["peak_operations_per_second"].get(one["dtype"]) or 0))
    head = ("accelerator", "maker", "year", "dtype", "T/s", "GB/s", "GB", "W", "op/B", "G op/J")
    line = tw.table(
        ("NVIDIA, float16", "year", "peak, times", "bandwidth, times", "op/B"),
        [
            (
                one["name"],
                f"{one['year']}",
                *(_short(one[key]) for key in ("peak_times", "bandwidth_times")),
                _short(one["operations_per_byte"]),
            )
            for one in answer["line"]
        ],
    )
    figures = sum(len(one["peak_operations_per_second"]) for one in devices)
    makers = len({one["maker"] for one in devices})
    return "\n\n".join(
        (
            tw.table(head, [_row(one) for one in devices], left=2),
            "Dense peak at the main dtype; - is not published. Every figure with its source: tilework machines NAME",
            line,
            f"{len(devices)} devices of {makers} makers with {figures} dense peaks.",
        )
    )


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    scaled = (
        (one["peak_operations_per_second"].get(one["dtype"]), 1e12),
        (one["bandwidth_bytes_per_second"], 1e9),
        (one["memory_bytes"], 1e9),
        (one["power_watts"], 1),
        (one["operations_per_byte"], 1),
        (one["operations_per_joule"], 1e9),
    )
    cells = (_short(value / scale if value else None) for value, scale in scaled)
    return (one["name"], one["maker"], f"{one['year']}", one["dtype"] or "-", *cells)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
