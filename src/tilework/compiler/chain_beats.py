"""How a chain's strips are walked: in beats, each of which has a step for every lag, or none at the two ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import lcm
from typing import NamedTuple

from tilework.compiler.chain_memory import Layout
from tilework.compiler.chain_steps import Step

EARLY = 1
ENOUGH = 5  # beats of a run, after which nothing new can come before one


class Entry(NamedTuple):
    """A step of a strip; `begins` and `ends` say whether it is the first and the last, unless the strip is repeated."""

    strip: int
    step: Step
    begins: bool
    ends: bool

    @property
    def key(self) -> tuple[int, int]:
        """Of no other entry."""
        return self.strip, self.step.number


Beat = tuple[Entry | None, ...]  # by lag


@dataclass(frozen=True)
class Run:
    """Beats with equal code."""

    beats: tuple[Beat, ...]

    @property
    def strip(self) -> int:
        """The first strip that it belongs to."""
        return min(entry.strip for entry in self.beats[0] if entry)

    def sample(self, period: int) -> tuple[Beat, ...]:
        """As many as can differ in what came before them, so that those behind have the same buffers' turn as ever."""
        return self.beats[: ENOUGH + (len(self.beats) - ENOUGH) % period]


def walk(layouts: Sequence[Layout]) -> list[tuple[Run, ...]]:
    """The runs of strips one after another, all in one, or, where a chain is repeated, those of each strip; then each
    repetition ends with its last step's last stage."""
    late, repeats = max(layouts[0].lags.values()), layouts[0].chain.repeats
    entries = [
        [Entry(n, s, s is x.steps[0] and repeats == 1, s is x.steps[-1] and repeats == 1) for s in x.steps]
        for n, x in enumerate(layouts)
    ]
    if repeats == 1:
        entries = [[entry for strip in entries for entry in strip]]
    return [_runs(_beats(several, late)) for several in entries]


def ahead(runs: Sequence[Run], late: int) -> dict[int, int]:
    """In which run the weights of a strip come whose place the last strip but one had: about EARLY beats before the
    strip, when the other has ended. Strips are left out that are too short for that."""
    ends = list(accumulate(len(run.beats) for run in runs))
    begins = [
        end - len(run.beats) for end, run in zip(ends, runs, strict=True) if (entry := run.beats[0][0]) and entry.begins
    ]
    found = {}
    for strip, (before, begin) in enumerate(pairwise(begins), 1):
        places = [n for n, end in enumerate(ends) if before + late <= end - len(runs[n].beats) and end <= begin]
        if places:
            found[max([n for n in places if ends[n] <= begin - EARLY] or places[:1])] = strip
    return found


def period(layout: Layout) -> int:
    """Steps after which all buffers have had their turn."""
    return lcm(*layout.slots.values())


def _beats(entries: Sequence[Entry], late: int) -> list[Beat]:
    count = len(entries)
    return [
        tuple(entries[n - lag] if 0 <= n - lag < count else None for lag in range(late + 1))
        for n in range(count + late)
    ]


def _runs(beats: Sequence[Beat]) -> tuple[Run, ...]:
    found: list[list[Beat]] = []
    last: object = None
    for beat in beats:
        code = [entry and (entry.strip, entry.begins, entry.ends, entry.step.signature) for entry in beat]
        if code == last:
            found[-1].append(beat)
        else:
            found.append([beat])
        last = code
    return tuple(Run(tuple(run)) for run in found)
