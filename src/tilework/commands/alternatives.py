"""The options of `tilework simulate` that time a program on another kind of core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tilework.errors import MachineError, ProgramError
from tilework.isa.program import Program
from tilework.machine.units import SIZE, parse_quantity
from tilework.simulator.cache import Cache, CacheTime, with_cache
from tilework.simulator.issue import WindowTime, out_of_order


def parse_cache(text: str) -> Cache:
    """A cache from SIZE, SIZE/LINE or SIZE/LINE/WAYS, such as 96KiB/64/8; raises SimulationError and ProgramError."""
    size, *rest = text.split("/")
    try:
        numbers = [int(part) for part in rest]
        if len(numbers) > 2:
            raise ValueError
        return Cache(int(parse_quantity(SIZE, size)), *numbers)
    except (ValueError, MachineError):
        raise ProgramError(
            f"a cache must be given as size/line/ways, as in 96KiB/64/8, not as {text!r}; write it so"
        ) from None


def other_cores(
    programs: Sequence[Program], cycles: int, window: int | None, cache: Cache | None
) -> tuple[dict[str, Any], list[str]]:
    """What `--window` and `--cache` print, as JSON and as text; `cycles` are those of the machine as it is."""
    record: dict[str, Any] = {}
    parts: list[str] = []
    if window is not None:
        found = out_of_order(_sole(programs), window)
        record["window"] = found.to_dict()
        parts.append(_window_text(found, cycles))
    if cache is not None:
        fetched = with_cache(_sole(programs), cache)
        record["cache"] = fetched.to_dict()
        parts.append(_cache_text(fetched, cycles))
    return record, parts


def _sole(programs: Sequence[Program]) -> Program:
    if len(programs) != 1:
        raise ProgramError(
            f"--window and --cache go with one program, not with {len(programs)} and the host between; leave them out"
        )
    return programs[0]


def _window_text(found: WindowTime, cycles: int) -> str:
    plural = "s, out of order" if found.window > 1 else ", one after another"
    return (
        f"with a window of {found.window} instruction{plural}: {found.cycles:,} cycles, "
        f"{found.cycles / max(1, cycles):.2f} times those of the queues"
    )


def _cache_text(found: CacheTime, cycles: int) -> str:
    cache = found.cache
    return (
        f"with a cache of {cache.size_bytes:,} bytes ({cache.ways} ways, lines of {cache.line_bytes} bytes, "
        f"{cache.tag_bits} more bits each) in place of NRAM and WRAM:\n"
        f"  {found.lookups:,} lookups, {100 * found.hit_rate:.1f} % of them hits; "
        f"{found.dram_bytes:,} bytes from and to DRAM\n"
        f"  {found.cycles:,} cycles, {found.cycles / max(1, cycles):.2f} times those of the scratchpads; "
        f"at least {found.least_cycles:,} however early lines are fetched"
    )


window_option = click.option(
    "--window",
    type=int,
    metavar="N",
    help="Time it too if instructions started out of order within a window of N; 1 is one after another.",
)
cache_option = click.option(
    "--cache", metavar="SIZE/LINE/WAYS", help="Time it too with a cache in place of the memories on chip: 96KiB/64/8."
)
