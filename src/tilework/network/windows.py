"""Windows along the spatial axes of a tensor: how many fit, where they lie, and the indices that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tilework.network.operation import require

POSITIONS, TAPS = "pqu", "rsv"  # the loops over windows and over the places in one, an axis each


def positions(size: int, kernel: int, stride: int, padding: int, dilation: int, extra: int, ceil: bool = False) -> int:
    """The number of windows along an axis with `padding` before, `padding + extra` behind.

    With `ceil` a last one may hang over the end, if it begins before the padding there, as in torch.
    """
    require(min(kernel, stride, dilation) >= 1, "kernel, stride and dilation must be at least 1")
    least = min(padding, padding + extra)
    require(least >= 0, f"the padding must be at least 0, not {least}")
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * padding + extra - reach
    count = (-(-room // stride) if ceil else room // stride) + 1
    require(
        count >= 1,
        f"a window of {reach} must fit into {size} + 2*{padding}{f' + {extra}' if extra else ''} padded positions",
    )
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    return count


@dataclass(frozen=True)
class Run:
    """Windows side by side, each `step` behind the one before: `first` is the number of the first, which begins at
    `start`; each has `places`, `apart` from one another."""

    first: int
    windows: int
    start: int
    step: int
    places: int
    apart: int = 1


def loops(names: str, extents: Sequence[int]) -> str:
    """`p<4 q<5`."""
    return " ".join(f"{name}<{extent}" for name, extent in zip(names, extents, strict=False))


def taps(runs: Sequence[Run]) -> str:
    """The places that windows cover: `2*p+r-1,q+s+3`."""
    axes = zip(POSITIONS, TAPS, runs, strict=False)
    return ",".join(f"{run.step}*{p}+{run.apart}*{r}{run.start:+d}" for p, r, run in axes)


def targets(runs: Sequence[Run]) -> str:
    """The windows' own numbers: `p,q+3`."""
    return ",".join(f"{p}{run.first:+d}" for p, run in zip(POSITIONS, runs, strict=False))


def adaptive_runs(size: int, windows: int) -> list[Run]:
    """The windows that cover an axis evenly, number i of n being [floor(i*size/n), ceil((i+1)*size/n))."""
    require(windows >= 1, f"adaptive pooling must give at least one position along each axis, not {windows}")
    runs: list[Run] = []
    for i in range(windows):
        start = i * size // windows
        places = -(-(i + 1) * size // windows) - start
        if runs and (run := _extended(runs[-1], start, places)):
            runs[-1] = run
        else:
            runs.append(Run(i, 1, start, places, places))
    return runs


def _extended(run: Run, start: int, places: int) -> Run | None:
    """The run and one window more, if that goes on as the run does."""
    step = start - run.start if run.windows == 1 else run.step
    goes_on = places == run.places and start == run.start + run.windows * step
    return replace(run, windows=run.windows + 1, step=step) if goes_on else None


def counted_runs(windows: Run, low: int, high: int) -> list[Run]:
    """Runs of a run's windows with equally many places within low..high-1; raises NetworkError where one has none."""
    starts = [windows.start + windows.step * window for window in range(windows.windows)]
    counts = [min(start + windows.places, high) - max(start, low) for start in starts]
    runs, first = [], 0
    for count, same in groupby(counts):
        length = len(list(same))
        require(count > 0, f"each window must have a place inside its {high} positions; use less padding")
        runs.append(Run(first, length, 0, 0, count))
        first += length
    return runs
