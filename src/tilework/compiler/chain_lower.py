"""From a chain to instructions: its steps, equal ones as a hardware loop, with tokens between the units."""

from __future__ import annotations

from collections.abc import Sequence

from tilework.compiler.chain_beats import ENOUGH, Beat, Run, ahead, period, walk
from tilework.compiler.chain_memory import Layout
from tilework.compiler.chain_order import Edge, Item, order
from tilework.compiler.chain_pieces import LOAD, MAIN, REST, Piece, Pieces, pieces
from tilework.compiler.lower import Code
from tilework.errors import CompileError
from tilework.isa.instruction import MAX_TOKENS, Instruction


def lower_chain(
    layouts: Sequence[Layout],
    plain: dict[str, int],
    packed: dict[int, int],
    own: bool,
    early: frozenset[int] = frozenset(),
) -> Code:
    """The instructions of a chain's strips; the weights stay from the first to the last, unless each strip has its
    `own`. Then one follows the other step by step if they are alike; else there is a sync between any two.

    `plain` gives the DRAM address of each tensor, `packed` that of each packed buffer, the stages' buffers numbered one
    after another. Of what the first strip's stages load once, numbered alike, those in `early` come before. Raises
    CompileError where it needs too many tokens or an instruction too many loops.
    """
    alike = own and all(layout.geometry == layouts[0].geometry for layout in layouts)
    walks = [list(layouts)] if alike else [[layout] for layout in layouts]
    first = _Walk(walks[0], plain, packed, own, True, early)
    steps, last = first.code()
    for strips in walks[1:]:
        code = _Walk(strips, plain, packed, own, own).code()
        steps += [*last, Instruction("sync"), *code[0]]
        last = code[1]
    return Code(steps, first.ahead, last)


class _Walk:
    """The code of strips whose bands lie in the same places; `loads` says whether they load what stays."""

    def __init__(
        self,
        layouts: Sequence[Layout],
        plain: dict[str, int],
        packed: dict[int, int],
        own: bool,
        loads: bool,
        before: frozenset[int] = frozenset(),
    ) -> None:
        self.before, self.ahead = before, dict[int, list[Instruction]]()
        self.layouts, self.repeats = layouts, layouts[0].chain.repeats
        self.pieces = pieces(layouts[0])
        self.does = [Pieces(layout, plain, packed, own) for layout in layouts]
        self.runs, self.period = walk(layouts), period(layouts[0])
        first = layouts[0]
        self.early = ahead(self.runs[0], max(first.lags.values())) if first.copies > 1 and self.repeats == 1 else {}
        self.edges = self._order()
        stages = range(len(layouts[0].chain.stages) if loads else 0)
        self.holds = [(place, unit) for place in stages for unit in layouts[0].resident_units(place)]
        if len(self.edges) + 2 * len(self.holds) > MAX_TOKENS:
            raise CompileError(
                f"a chain of {len(layouts[0].chain.stages)} groups must need at most {MAX_TOKENS} tokens; "
                "make it shorter"
            )
        self.out: list[Instruction] = []

    def _order(self) -> list[Edge]:
        """From a few beats of each run, as many as it has or as can differ in what came before them."""
        beats: list[Beat] = []
        for runs in self.runs:
            once = [beat for run in runs if run.strip < ENOUGH for beat in run.sample(self.period)]
            beats += once + once[: 2 * ENOUGH * (self.repeats > 1)]
        keys = [tuple(entry and entry.key for entry in beat) for beat in beats]
        known = {key: [self.item(piece, beat) for piece in self.pieces] for key, beat in zip(keys, beats, strict=True)}
        return order([known[key] for key in keys])

    def item(self, piece: Piece, beat: Beat) -> Item:
        entry = beat[piece.lag]
        return self.does[entry.strip].item(piece, entry.step) if entry else Item(piece.unit)

    def code(self) -> tuple[list[Instruction], list[Instruction]]:
        """The instructions, and the waits for all tokens that follow them."""
        for token, edge in enumerate(self.edges):
            self.signal("post", self.pieces[edge.source].unit, token, edge.later)
        for strip, runs in enumerate(self.runs):
            if self.repeats > 1:
                self.repeat(strip, runs)
            for number, run in enumerate(runs if self.repeats == 1 else ()):
                self.run(run, self.early.get(number))
        steps, self.out = self.out, []
        for token, edge in enumerate(self.edges):
            self.signal("wait", self.pieces[edge.target].unit, token, edge.later)
        return steps, self.out

    def signal(self, mnemonic: str, unit: str, token: int, times: int = 1) -> None:
        self.out += [Instruction(mnemonic, unit=unit, token=token)] * times

    def repeat(self, strip: int, runs: Sequence[Run]) -> None:
        """A strip for each place along the first axis, between its loads of what stays and the last use of that."""
        self.bring(strip)
        for place, unit in self.holds:
            self.arrive(place, unit)
        self.out.append(Instruction("loop", count=self.repeats))
        for run in runs:
            self.run(run)
        self.out.append(Instruction("endloop"))
        for place, unit in self.holds:
            self.leave(place, unit, strip)

    def run(self, run: Run, coming: int | None = None) -> None:
        """A beat, or a loop of equal ones, and the loads for a strip that is `coming`: after the first piece but loads,
        so that control is not held up by a full queue, or after the loop, or after the loads of an earlier strip."""
        beat, count = run.beats[0], len(run.beats)
        loops = [False] * (self.repeats > 1) + [True] * (count > 1)
        if count > 1:
            self.out.append(Instruction("loop", count=count))
        amid = count == 1 and not any(e and e.begins and e.strip not in self.early.values() for e in beat)
        for number, piece in enumerate(self.pieces):
            entry = beat[piece.lag]
            if entry and entry.begins:
                self.begin(number, entry.strip)
            for token, edge in enumerate(self.edges):
                if edge.target == number:
                    self.signal("wait", piece.unit, token)
            if entry:
                self.out += self.does[entry.strip].code(piece, entry.step, loops)
            for token, edge in enumerate(self.edges):
                if edge.source == number:
                    self.signal("post", piece.unit, token)
            if entry and entry.ends:
                self.end(number, entry.strip)
            if coming is not None and amid and piece.kind != LOAD:
                self.bring(coming)
                coming = None
        if count > 1:
            self.out.append(Instruction("endloop"))
        if coming is not None:
            self.bring(coming)

    def bring(self, strip: int) -> None:
        """Load all that stays for a strip."""
        for place in dict(self.holds):
            self.hold(place, strip)

    def begin(self, number: int, strip: int) -> None:
        """What a stage loads once, before its first piece, unless it came while another strip was computed; each unit
        waits for it before its own first piece."""
        place, unit, users = self.users(number)
        if users and users[0] == number and strip not in self.early.values():
            self.hold(place, strip)
        if number == next((n for n in users if self.pieces[n].unit == unit), None):
            self.arrive(place, unit)

    def end(self, number: int, strip: int) -> None:
        """After a unit's last piece of a strip for a stage another strip's weights may come."""
        place, unit, users = self.users(number)
        if number == max((n for n in users if self.pieces[n].unit == unit), default=None):
            self.leave(place, unit, strip)

    def users(self, number: int) -> tuple[int, str, list[int]]:
        """A piece's stage and unit, and the stage's pieces that use what it loads once; none for a load."""
        bands, piece = self.layouts[0].chain.bands, self.pieces[number]
        place = bands[piece.band].made_by
        if place is None:
            return -1, piece.unit, []
        same = [n for n, p in enumerate(self.pieces) if p.band == piece.band and p.kind in (MAIN, REST)]
        return place, piece.unit, [n for n in same if (place, self.pieces[n].unit) in self.holds]

    def hold(self, place: int, strip: int) -> None:
        """Load what a stage loads once, and tell the units that use it."""
        layout, first = self.layouts[strip], len(self.edges)
        tokens = [first + n for n, (stage, _) in enumerate(self.holds) if stage == place]
        for token in tokens if strip >= layout.copies else ():
            self.signal("wait", "load", token + len(self.holds))
        number = sum(map(len, layout.resident[:place]))
        for index, loads in enumerate(self.does[strip].hold(place), number):
            if strip == 0 and index in self.before:
                self.ahead[index] = loads
            else:
                self.out += loads
        for token in tokens:
            self.signal("post", "load", token)

    def arrive(self, place: int, unit: str) -> None:
        self.signal("wait", unit, len(self.edges) + self.holds.index((place, unit)))

    def leave(self, place: int, unit: str, strip: int) -> None:
        if strip + self.layouts[strip].copies < len(self.layouts):
            self.signal("post", unit, len(self.edges) + len(self.holds) + self.holds.index((place, unit)))
