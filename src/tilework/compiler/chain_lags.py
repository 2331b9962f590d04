"""By how many steps each stage of a chain comes later than the loads of its rows.

A unit does its work in order. What it does for a stage would wait for another unit, and that for what the first one did
for an earlier stage just before, if the stage weren't a step late: then the unit has the earlier stage's next rows to
do meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilework.compiler.buffers import unit_of
from tilework.compiler.chain import Chain, Stage


def lags(chain: Chain) -> dict[str, int]:
    """The lag of each band: of the stage that makes it or of its loads. All are 0 where a band that is held whole would
    be used with different ones, since the next whole would overwrite it too soon."""
    readers = readers_of(chain)
    found: dict[str, int] = {}
    visited: list[set[str]] = []
    for place, stage in enumerate(chain.stages):
        makers = [band.made_by for name, band in chain.bands.items() if place in readers[name]]
        made = [maker for maker in makers if maker is not None]
        before = [(_lag(chain, found, maker), visited[maker], chain.stages[maker]) for maker in made]
        lag, units = _after(before, stage, _sends(chain))
        found[stage.group.output.tensor] = lag
        visited.append(units)
    for name, band in chain.bands.items():
        if band.made_by is None:
            found[name] = min(_lag(chain, found, place) for place in readers[name]) - _sends(chain)
    whole = [name for name, band in chain.bands.items() if band.axis is None]
    apart = any(_lag(chain, found, place) != found[name] for name in whole for place in readers[name])
    return dict.fromkeys(found, 0) if apart else found


def readers_of(chain: Chain) -> dict[str, list[int]]:
    """The stages that read each band."""
    views = [
        (buffer.access.tensor, place)
        for place, stage in enumerate(chain.stages)
        for buffer in stage.plan.buffers
        if buffer.loaded and not chain.stays(buffer)
    ]
    return {name: [place for other, place in views if other == name] for name in chain.bands}


def _lag(chain: Chain, found: dict[str, int], place: int) -> int:
    return found[chain.stages[place].group.output.tensor]


def _sends(chain: Chain) -> int:
    """1 if the load unit has something else to do for a chain, so that its loads must come a step sooner, else 0."""
    return int(any(stage.group.sends for stage in chain.stages))


def _after(makers: Sequence[tuple[int, set[str], Stage]], stage: Stage, first: int) -> tuple[int, set[str]]:
    """A stage's lag and the units that have done something on the way to its result since the lag began, which is the
    `first` lag for one that nothing of the chain comes before."""
    lag = max((lag for lag, _, _ in makers), default=first)
    latest = [(units, maker) for late, units, maker in makers if late == lag]
    visited = set().union(*(units for units, _ in latest)) or {"load"}
    own, last = _units(stage), {_units(maker)[-1] for _, maker in latest} or {"load"}
    again = visited - last if own[0] in last and len(last) == 1 else visited
    return (lag + 1, set(own)) if again & set(own) else (lag, visited | set(own))


def _units(stage: Stage) -> list[str]:
    """The units that do something for a stage, in order."""
    return list(dict.fromkeys(unit_of(stage.group, place) for place in range(len(stage.group.nests))))
