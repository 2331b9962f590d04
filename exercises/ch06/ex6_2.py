"""6.2: what faster layers do for a whole network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tilework as tw

TITLE = "Convolutions ten times as fast, fully connected layers twice: how much faster is AlexNet?"
QUESTION = """
A processor makes convolutions 10 times as fast and fully connected layers twice as fast; all other layers take as long
as before. How much faster does it make AlexNet, with all layers counted, given a measured split of its time? And by its
operations alone?
"""
NOTICE = """
It is Amdahl's law with three parts: 1 / (c/10 + f/2 + r) for the shares c, f and r of the time. What isn't made faster
decides soon: however fast convolutions and fully connected layers become, the whole is at most 1/r times as fast.

By operations nine tenths are convolution, which promises a factor of more than 7. By the clock it isn't so: a fully
connected layer has few operations and many weights, which come from memory once each, and the local response
normalisation, hardly worth mentioning by operations, raises every element to a power.

A runtime computes a ReLU together with the layer before it, so that its time is in that layer's; counted, it stands
with the rest. Times are those of the fastest of 30 runs of each layer, which other work disturbs least.
"""
FACTORS = {"convolution": 10, "fully connected": 2, "rest": 1}
NETWORK, RUNS = "alexnet", 30


def answer(networks: Sequence[str] = (NETWORK,)) -> dict[str, Any]:
    """The split of each network's time, measured here with one thread, and of its operations; and the speed-ups."""
    return {"factors": FACTORS, "networks": [_network(network) for network in networks]}


def _network(network: str) -> dict[str, Any]:
    found = tw.measure(network, on="dlp-s", threads=1, runs=RUNS)  # of which only the measured times are used
    seconds = [(part.operation, part.fastest_seconds) for part in found.parts]
    rows = [(row.operation, _operations(row)) for row in tw.count(network).rows]
    return {
        "network": network,
        "runtime": found.runtime,
        "seconds": sum(time for _, time in seconds),
        "whole_seconds": min(found.runs),
        "processor_seconds": found.processor_seconds,
        "splits": [_split("measured time", seconds), _split("counted operations", rows)],
        "slowest": [
            {"layers": list(part.layers), "operation": part.operation, "seconds": part.fastest_seconds}
            for part in sorted(found.parts, key=lambda part: -part.fastest_seconds)[:6]
        ],
    }


def _operations(row: Any) -> int:
    """Multiplications, additions and all others alike, each one operation."""
    return int(row.multiplications + row.additions + sum(row.other_operations.values()))


def _split(what: str, amounts: Sequence[tuple[str, float]]) -> dict[str, Any]:
    parts = dict.fromkeys(FACTORS, 0.0)
    for operation, amount in amounts:
        parts[_kind(operation)] += amount
    whole = sum(parts.values())
    shares = {kind: amount / whole for kind, amount in parts.items()}
    return {
        "of": what,
        "shares": shares,
        "speed_up": speed_up(shares, FACTORS),
        "limit": 1 / shares["rest"] if shares["rest"] else None,
    }


def _kind(operation: str) -> str:
    named = {"conv2d": "convolution", "linear": "fully connected"}
    return named.get(operation, "rest")


def speed_up(shares: Mapping[str, float], factors: Mapping[str, float]) -> float:
    """G. Amdahl, Validity of the single processor approach to achieving large scale computing capabilities, 1967."""
    return 1 / sum(share / factors[kind] for kind, share in shares.items())


def text(answer: dict[str, Any]) -> str:
    """The shares, the speed-ups and the slowest layers."""
    factors = answer["factors"]
    parts = []
    for one in answer["networks"]:
        rows = [
            (
                split["of"],
                *(f"{100 * split['shares'][kind]:.1f} %" for kind in factors),
                f"{split['speed_up']:.2f}",
                f"{split['limit']:,.1f}" if split["limit"] else "-",
            )
            for split in one["splits"]
        ]
        kinds = [f"{kind} x{factor}" for kind, factor in factors.items()]
        slowest = [(" ".join(row["layers"]), row["operation"], f"{1e3 * row['seconds']:.2f}") for row in one["slowest"]]
        measured, counted = one["splits"]
        parts += [
            tw.table((one["network"], *kinds, "faster", "at most"), rows),
            tw.table(("slowest layers", "operation", "ms"), slowest, left=2),
            f"{one['runtime']}, one thread: {1e3 * one['seconds']:.1f} ms in the layers; the fastest whole run took "
            f"{1e3 * one['whole_seconds']:.1f} ms; in a usual one the processor worked "
            f"{1e3 * one['processor_seconds']:.1f} ms",
            f"{one['network']} becomes {measured['speed_up']:.2f} times as fast; its operations would promise "
            f"{counted['speed_up']:.2f}",
        ]
    return "\n\n".join(parts)
