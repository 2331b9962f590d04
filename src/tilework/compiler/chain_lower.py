"""From a chain to instructions: its steps, equal ones as a hardware loop, with tokens between the units."""

from __future__ import annotations

from collections.abc import Sequence

from tilework.compiler.chain_memory import Layout, whole
from tilework.compiler.chain_order import Edge, Item, order
from tilework.compiler.chain_pieces import MAIN, REST, Piece, Pieces, pieces
from tilework.compiler.chain_steps import Run, Step
from tilework.compiler.lower import Lowering
from tilework.errors import CompileError
from tilework.isa.instruction import MAX_TOKENS, Instruction

ENOUGH = 6


def lower_chain(
    layouts: Sequence[Layout], plain: dict[str, int], packed: dict[int, int], own: bool
) -> list[Instruction]:
    """The instructions of a chain's strips, with a sync between any two; the weights stay from the first to the last,
    unless each strip has its `own`.

    `plain` gives the DRAM address of each tensor, `packed` that of each packed buffer, the stages' buffers numbered one
    after another. Raises CompileError where it needs too many tokens or an instruction too many loops.
    """
    strips = []
    for number, layout in enumerate(layouts):
        before = number * sum(len(stage.plan.buffers) for stage in layout.chain.stages)
        mine = {index - before: address for index, address in packed.items()} if own else packed
        strips.append(_Strip(layout, plain, mine, own or number == 0).code())
    first, *others = strips
    return [*first, *(instruction for code in others for instruction in (Instruction("sync"), *code))]


class _Strip:
    def __init__(self, layout: Layout, plain: dict[str, int], packed: dict[int, int], first: bool) -> None:
        self.layout, self.chain, self.plain, self.packed = layout, layout.chain, plain, packed
        self.pieces, self.does = pieces(layout), Pieces(layout, plain)
        self.edges = self._order()
        stages = range(len(self.chain.stages))
        self.arrivals = [(place, unit) for place in stages for unit in layout.resident_units(place)] if first else []
        if len(self.edges) + len(self.arrivals) > MAX_TOKENS:
            raise CompileError(
                f"a chain of {len(stages)} groups must need at most {MAX_TOKENS} tokens; make it shorter"
            )
        self.out: list[Instruction] = []

    def _order(self) -> list[Edge]:
        """From a few steps of each run, as many as it has or as can differ in what came before them."""
        steps: list[Step] = []
        for run in self.layout.runs:
            steps += self.layout.steps[run.step.number :][: min(run.count, ENOUGH - run.count % 2)]
        steps += steps[:ENOUGH] if self.chain.repeats > 1 else []
        known: dict[object, list[Item]] = {}
        for step in steps:
            if step.number not in known:
                known[step.number] = [self.does.item(piece, step) for piece in self.pieces]
        return order([known[step.number] for step in steps])

    def code(self) -> list[Instruction]:
        for token, edge in enumerate(self.edges):
            self.signal("post", self.pieces[edge.source].unit, token, edge.later)
        if self.chain.repeats > 1:
            for place in dict(self.arrivals):
                self.bring(place)
            for token, (_, unit) in enumerate(self.arrivals, len(self.edges)):
                self.signal("wait", unit, token)
            self.out.append(Instruction("loop", count=self.chain.repeats))
        for run in self.layout.runs:
            self.run(run)
        if self.chain.repeats > 1:
            self.out.append(Instruction("endloop"))
        for token, edge in enumerate(self.edges):
            self.signal("wait", self.pieces[edge.target].unit, token, edge.later)
        return self.out

    def signal(self, mnemonic: str, unit: str, token: int, times: int = 1) -> None:
        self.out += [Instruction(mnemonic, unit=unit, token=token)] * times

    def run(self, run: Run) -> None:
        """A step, or a loop of equal ones; in the first step each stage's weights come just before its first work."""
        loops = [False] * (self.chain.repeats > 1) + [True] * (run.count > 1)
        if run.count > 1:
            self.out.append(Instruction("loop", count=run.count))
        seen: set[tuple[int, str]] = set()
        for number, piece in enumerate(self.pieces):
            if run.first and self.chain.repeats == 1:
                self.arrive(piece, seen)
            for token, edge in enumerate(self.edges):
                if edge.target == number:
                    self.signal("wait", piece.unit, token)
            self.out += self.does.code(piece, run.step, loops)
            for token, edge in enumerate(self.edges):
                if edge.source == number:
                    self.signal("post", piece.unit, token)
        if run.count > 1:
            self.out.append(Instruction("endloop"))

    def arrive(self, piece: Piece, seen: set[tuple[int, str]]) -> None:
        """What a stage loads once, before its first piece; each unit waits for it before its own first piece."""
        place = self.chain.bands[piece.band].made_by
        if place is None or place not in dict(self.arrivals) or piece.kind not in (MAIN, REST):
            return
        if not any(stage == place for stage, _ in seen):
            self.bring(place)
        if (place, piece.unit) in self.arrivals and (place, piece.unit) not in seen:
            self.signal("wait", piece.unit, len(self.edges) + self.arrivals.index((place, piece.unit)))
        seen.add((place, piece.unit))

    def bring(self, place: int) -> None:
        """Load what a stage loads once, and tell the units that use it."""
        first = sum(len(stage.plan.buffers) for stage in self.chain.stages[:place])
        stage, frames = self.chain.stages[place], self.layout.resident[place]
        packed = {index: self.packed.get(first + index, 0) for index in frames}
        loader = Lowering(stage.group, whole(stage.plan), list(frames.values()), self.plain, packed)
        for frame in frames.values():
            loader.load(frame, ())
        self.out += loader.out
        for token, (stage_of, _) in enumerate(self.arrivals, len(self.edges)):
            if stage_of == place:
                self.signal("post", "load", token)
