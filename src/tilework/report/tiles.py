"""Tilings as pictures: the output's tiles in the order of computation, and what is held in the first steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tilework.compiler.loops import Box, Schedule, Step
from tilework.errors import OutputError
from tilework.network.nest import Access
from tilework.report.picture import COLOURS, INK, SOFT, picture

# Pixels, at 100 to the inch.
LEFT, ORDER, NAMES, COLUMN, TITLE, HEAD, PANEL, GAP = 30, 400, 70, 120, 90, 46, 84, 10
MOST_STEPS, MOST_PLANES = 4096, 4
LETTER = 6.5  # the width of a letter
EMPTY, STAYS, ARRIVES = "#eceff2", COLOURS[0], COLOURS[1]
FIRST, LAST = (0xE4, 0xEE, 0xF8), (0x2A, 0x55, 0x8C)  # the colours of the first and the last tile


@dataclass(frozen=True)
class Frame:
    """A rectangle of the picture: its left and upper edge, its size."""

    left: float
    top: float
    width: float
    height: float


def draw_tiles(schedules: Sequence[Schedule], path: str | Path, *, steps: int = 8, title: str = "") -> None:
    """A row for each schedule: the output's tiles, numbered by the steps that compute them, and the first steps.

    Each step shows of each operand the part that is held, and whether it has just come. Two axes are drawn; along a
    third that is cut, planes stand side by side, the first ones. Raises OutputError for another ending than .svg and
    .png, and for a schedule of more than 4096 steps.
    """
    for schedule in schedules:
        if schedule.tiles > MOST_STEPS:
            raise OutputError(
                f"a picture must show at most {MOST_STEPS} steps, not the {schedule.tiles} of {schedule.name}; "
                f"choose larger tiles"
            )
    row = HEAD + 3 * (PANEL + GAP) + 20
    width, height = LEFT + ORDER + NAMES + COLUMN * steps + LEFT, TITLE + row * len(schedules)
    with picture(path, width, height) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(LEFT, 30, title, size=15, weight="bold", color=INK)
        _legend(axes, LEFT + ORDER + NAMES)
        for number, schedule in enumerate(schedules):
            top = TITLE + row * number
            axes.text(LEFT, top + 14, str(schedule), size=10, weight="bold", color=INK)
            _order(axes, schedule, Frame(LEFT, top + HEAD, ORDER - 2 * GAP, 3 * (PANEL + GAP)))
            _steps(axes, schedule, LEFT + ORDER, top, steps)


def _legend(axes: Any, left: float) -> None:
    for place, (colour, text) in enumerate(((ARRIVES, "comes in this step"), (STAYS, "is there from before"))):
        _rectangle(axes, Frame(left + 190 * place, 59, 14, 14), colour)
        axes.text(left + 190 * place + 22, 70, text, size=9, color=INK)


def _order(axes: Any, schedule: Schedule, frame: Frame) -> None:
    """The output's tiles, each in the colour of its first step and with the numbers of its steps."""
    output, schedule = schedule.operands[0], replace(schedule, levels=())
    computed: dict[Box, list[int]] = {}
    for number, step in enumerate(schedule.steps(), 1):
        computed.setdefault(schedule.part(output, step), []).append(number)
    firsts = sorted(numbers[0] for numbers in computed.values())
    planes = Planes(schedule, output)
    for box, numbers in computed.items():
        share = firsts.index(numbers[0]) / max(1, len(firsts) - 1)
        for place in planes.places(box, frame):
            _rectangle(axes, place, _between(share))
            _label(axes, place, numbers, "white" if share > 0.5 else INK)
    _captions(axes, planes, frame)


def _between(share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(FIRST, LAST, strict=True))


def _label(axes: Any, place: Frame, numbers: list[int], colour: str) -> None:
    """As many of the numbers as there is room for."""
    shown = ", ".join(map(str, numbers))
    if len(shown) * LETTER > place.width and len(numbers) > 1:
        shown = f"{numbers[0]}…{numbers[-1]}"
    if len(shown) * LETTER <= place.width and place.height >= 10:
        middle = place.left + place.width / 2, place.top + place.height / 2
        axes.text(*middle, shown, size=8, color=colour, ha="center", va="center_baseline")


def _captions(axes: Any, planes: Planes, frame: Frame) -> None:
    bottom = frame.top + planes.unit(frame) * planes.rows + 14
    for number, slab in enumerate(planes.slabs[:MOST_PLANES]):
        left = planes.left(number, frame)
        axes.text(left, bottom, planes.caption(slab), size=8, color=SOFT)
    if len(planes.slabs) > MOST_PLANES:
        more = f"and {len(planes.slabs) - MOST_PLANES} planes more"
        axes.text(frame.left, bottom + 14, more, size=8, color=SOFT)


def _steps(axes: Any, schedule: Schedule, left: float, top: float, steps: int) -> None:
    """A column for each of the first steps, a row for each operand."""
    planes = {access: Planes(schedule, access) for access in schedule.operands}
    frames = {
        access: Frame(left + NAMES, top + HEAD + (PANEL + GAP) * row, COLUMN - 2 * GAP, PANEL)
        for row, access in enumerate(schedule.operands)
    }
    for access, frame in frames.items():
        axes.text(left + NAMES - GAP, frame.top + 16, access.tensor[:8], size=10, color=INK, ha="right")
        drawn = "axes " + ", ".join(map(str, planes[access].drawn))
        axes.text(left + NAMES - GAP, frame.top + 30, drawn, size=7, color=SOFT, ha="right")
    before: dict[Access, Step] = {}
    for number, step in enumerate(islice(schedule.steps(), steps)):
        shift = COLUMN * number
        axes.text(left + NAMES + shift, top + HEAD - 8, f"step {number + 1}", size=9, color=SOFT)
        for access, frame in frames.items():
            now = {loop: step[loop] for loop in schedule.cuts(access)}
            colour = STAYS if before.get(access) == now else ARRIVES
            before[access] = now
            here = Frame(frame.left + shift, frame.top, frame.width, frame.height)
            for place in planes[access].background(here):
                _rectangle(axes, place, EMPTY)
            for place in planes[access].places(schedule.part(access, step), here):
                _rectangle(axes, place, colour)


def _rectangle(axes: Any, place: Frame, colour: str) -> None:
    from matplotlib.patches import Rectangle

    shape = Rectangle((place.left, place.top), place.width, place.height, facecolor=colour, edgecolor="white", lw=0.8)
    axes.add_patch(shape)


class Planes:
    """How a tensor is drawn: two of its axes, in `slabs` side by side along the others that are cut."""

    def __init__(self, schedule: Schedule, access: Access) -> None:
        self.name, self.shape = access.tensor, schedule.tensors[access.tensor].shape
        cuts = set(schedule.cuts(access))
        cut = [n for n, axis in enumerate(access.index) if cuts & {name for name, _ in axis.terms}]
        free = sorted((n for n in range(len(self.shape)) if n not in cut), key=lambda n: -self.shape[n])
        self.drawn = sorted([*cut[-2:], *free[: max(0, 2 - len(cut))]])
        self.others = cut[:-2]
        boxes = (schedule.part(access, step) for step in schedule.steps()) if self.others else iter(())
        found = sorted({tuple(box[axis] for axis in self.others) for box in boxes})
        self.slabs: list[Box] = found or [()]

    @property
    def rows(self) -> int:
        return self.shape[self.drawn[0]] if len(self.drawn) > 1 else 1

    @property
    def columns(self) -> int:
        return self.shape[self.drawn[-1]] if self.drawn else 1

    def unit(self, frame: Frame) -> float:
        """Pixels for an element."""
        number = min(len(self.slabs), MOST_PLANES)
        return min((frame.width - GAP * (number - 1)) / number / self.columns, frame.height / self.rows)

    def left(self, number: int, frame: Frame) -> float:
        return frame.left + number * (self.unit(frame) * self.columns + GAP)

    def background(self, frame: Frame) -> Iterator[Frame]:
        """The planes whole."""
        unit = self.unit(frame)
        for number in range(min(len(self.slabs), MOST_PLANES)):
            yield Frame(self.left(number, frame), frame.top, unit * self.columns, unit * self.rows)

    def places(self, box: Box, frame: Frame) -> Iterator[Frame]:
        """Where a box of the tensor is seen: on the planes to which it belongs."""
        unit = self.unit(frame)
        spans = [box[axis] for axis in self.drawn]
        (top, bottom), (left, right) = [(0, 0)] * (2 - len(spans)) + spans
        if top > bottom or left > right:
            return
        own = tuple(box[axis] for axis in self.others)
        for number, slab in enumerate(self.slabs[:MOST_PLANES]):
            if own == slab:
                start = self.left(number, frame) + unit * left
                yield Frame(start, frame.top + unit * top, unit * (right - left + 1), unit * (bottom - top + 1))

    def caption(self, slab: Box) -> str:
        """A plane as Python's slice of the tensor."""
        spans = dict(zip(self.others, slab, strict=True))
        index = (f"{spans[n][0]}:{spans[n][1] + 1}" if n in spans else ":" for n in range(len(self.shape)))
        return f"{self.name}[{', '.join(index)}]"
