"""Where a chain's bands, weights and temporary tiles lie on chip; nothing moves while the chain runs but rows."""

from __future__ import annotations

from typing import NamedTuple

from tilework.compiler.buffers import Buffer, Plan
from tilework.compiler.chain import Band, Chain, Stage
from tilework.compiler.chain_lags import lags, readers_of
from tilework.compiler.chain_steps import Planner, Rows, Step
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame
from tilework.compiler.tile import Tiling

WORD = 4  # bytes that each buffer's address is a multiple of


def whole(plan: Plan) -> Tiling:
    """A group in one tile."""
    levels, slots = (0,) * len(plan.buffers), (1,) * len(plan.buffers)
    return Tiling((), {}, 0, levels, slots, cycles=0.0, considered=0, plan=plan)


class Strip(NamedTuple):
    """Which strip of a chain it is, the number of its first step among those of all, what all load alike, and where in
    NRAM and WRAM all lie."""

    number: int = 0
    first: int = 0
    shared: frozenset[str] = frozenset()
    origin: tuple[int, int] = (0, 0)


ONLY = Strip()


class Layout:
    """A chain in steps of `turns` turns, of `height` rows of its output each, with the addresses on chip.

    A band has `slots` buffers that take turns from step to step, so that rows of the next step may come while those of
    this one are being read, or more where a reader's lag is larger than the maker's; with one there are no lags. What a
    stage loads once has a place for it, or several that take turns from strip to strip. With `most` only so many steps
    are looked at.
    """

    def __init__(
        self,
        chain: Chain,
        height: int,
        turns: int,
        slots: int = 1,
        copies: int = 1,
        strip: Strip = ONLY,
        most: int | None = None,
    ) -> None:
        self.chain, self.height, self.turns, self.copies, self.strip = chain, height, turns, copies, strip
        self.steps = Planner(chain, height, turns).steps(most)
        self.rows = _rows(self.steps)
        self.top = dict(zip(("nram", "wram"), strip.origin, strict=True))
        several = slots > 1 and (len(self.steps) > 1 or copies > 1)
        self.lags = lags(chain) if several else dict.fromkeys(chain.bands, 0)
        self.resident = [
            {i: self._resident(stage, i) for i, buffer in enumerate(stage.plan.buffers) if chain.stays(buffer)}
            for stage in chain.stages
        ]
        makers = {name: [] if band.made_by is None else [band.made_by] for name, band in chain.bands.items()}
        readers = {name: makers[name] + places for name, places in readers_of(chain).items()}
        self.late = {name: max(self.lag(place) for place in places) for name, places in readers.items()}
        self.slots = {
            name: max(slots, 1 + self.late[name] - self.lags[name])
            if several and band.axis is not None and not self.shares(name)
            else 1
            for name, band in chain.bands.items()
        }
        self.base = {n: self._take(chain.bands[n].memory, self.slots[n] * self.band_bytes(n)) for n in self.rows}
        self._parts: dict[tuple[int, int], Group] = {}
        self.tiles = [self._tiles(place) for place in range(len(chain.stages))]

    def shares(self, name: str) -> bool:
        """Whether the first strip loads all of a band, and the others find it there."""
        return len(self.steps) == 1 and name in self.strip.shared

    def lag(self, place: int) -> int:
        """Of a stage."""
        return self.lags[self.chain.stages[place].group.output.tensor]

    @property
    def geometry(self) -> object:
        """What strips have in common that one token can order."""
        rows = [(name, band.row_bytes, self.rows.get(name)) for name, band in self.chain.bands.items()]
        return self.base, self.slots, self.lags, rows, self.tiles, self.top

    def band_bytes(self, name: str) -> int:
        """Of one buffer of a band."""
        return self.rows[name] * self.chain.bands[name].row_bytes

    def _take(self, memory: str, size: int) -> int:
        base = self.top[memory]
        self.top[memory] = base + -(-size // WORD) * WORD
        return base

    def _resident(self, stage: Stage, index: int) -> Frame:
        frame = Frame(stage.group, whole(stage.plan), index)
        size = -(-frame.total_bytes // WORD) * WORD
        base = self._take(frame.buffer.memory, self.copies * size) + self.strip.number % self.copies * size
        return Frame(stage.group, frame.tiling, index, base)

    def _tiles(self, place: int) -> dict[int, tuple[int, int]]:
        """The base of each tile that a stage keeps from nest to nest and its bytes; one for each turn if two units
        share it."""
        stage, found = self.chain.stages[place], {}
        work = (high - low for step in self.steps for work in step.work for low, high in (work.get(place, (0, 0)),))
        most = max(1, *work)
        part, tiling = self.part(place, most), whole(stage.plan)
        for index, buffer in enumerate(stage.plan.buffers):
            if not (buffer.loaded or buffer.stored):
                size = -(-Frame(part, tiling, index).total_bytes // WORD) * WORD
                found[index] = self._take("nram", size * self.tiles_of(buffer)), size
        return found

    def tiles_of(self, buffer: Buffer) -> int:
        """How many tiles a stage keeps of what it computes on the way."""
        return self.turns if len(buffer.units) > 1 else 1

    def resident_units(self, place: int) -> list[str]:
        """The units that use what a stage loads once."""
        found = dict.fromkeys(unit for f in self.resident[place].values() for unit in f.buffer.units[1:])
        return list(found)

    def part(self, place: int, rows: int) -> Group:
        """A stage's group with so many rows."""
        if (place, rows) not in self._parts:
            self._parts[place, rows] = self.chain.stages[place].part(rows)
        return self._parts[place, rows]

    def frames(self, place: int, step: Step, turn: int) -> list[Frame]:
        """Where a stage's buffers lie for its rows in a turn of a step."""
        stage, rows = self.chain.stages[place], step.work[turn][place]
        part, tiling = self.part(place, rows[1] - rows[0]), whole(stage.plan)
        found = []
        for index, buffer in enumerate(stage.plan.buffers):
            if index in self.resident[place]:
                found.append(self.resident[place][index])
            elif index in self.tiles[place]:
                base, size = self.tiles[place][index]
                found.append(Frame(part, tiling, index, base + size * (turn % self.tiles_of(buffer))))
            else:
                band = self.chain.bands[buffer.access.tensor]
                base = self._in_band(stage, buffer, band, step, rows)
                found.append(Frame(part, tiling, index, base, band.sizes(self.rows[band.tensor.name])))
        return found

    def _in_band(self, stage: Stage, buffer: Buffer, band: Band, step: Step, rows: Rows) -> int:
        """The address of the lowest place of a band that an access names."""
        lows = [
            index.bounds(stage.group.extents)[0] + index.coefficient(stage.loop or "") * rows[0]
            for index in buffer.access.index
        ]
        starts = [step.base[band.tensor.name] if axis == band.axis else low for axis, (low, _) in enumerate(band.box)]
        skips = [low - start for low, start in zip(lows, starts, strict=True)]
        return self.address(band, step, skips)

    def address(self, band: Band, step: Step, skips: list[int]) -> int:
        """Of a place in a band's buffer for a step."""
        name = band.tensor.name
        start = self.base[name] + self.slot(name, step.number) * self.band_bytes(name)
        return start + sum(n * stride for n, stride in zip(skips, band.strides(self.rows[name]), strict=True))

    def slot(self, name: str, number: int) -> int:
        """Which of a band's buffers holds it in a step of this strip."""
        return (self.strip.first + number) % self.slots[name]

    def moves(self, name: str, step: Step) -> bool:
        """Whether rows of a band are moved at the end of a step."""
        return step.kept.get(name, 0) > 0 and (step.shift[name] > 0 or self.slots[name] > 1)


def _rows(steps: list[Step]) -> dict[str, int]:
    """The rows that each band's buffer must hold."""
    most: dict[str, int] = {}
    for step in steps:
        for fresh in step.fresh:
            for name, (_, row) in fresh.items():
                most[name] = max(most.get(name, 0), row - step.base[name])
    return most
