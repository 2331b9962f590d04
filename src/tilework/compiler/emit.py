"""The instructions of nests whose operands lie in tiles on chip: one rule per kind of nest, none per operation."""

from __future__ import annotations

from dataclasses import replace

from tilework.compiler.body import Scratch, Source, steps
from tilework.compiler.buffers import contraction_operands, unit_of
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame, Place, dense_axes, merge
from tilework.compiler.pieces import loop_of
from tilework.compiler.tile import Tiling
from tilework.errors import CompileError
from tilework.isa.instruction import MAX_RANK, Descriptor, Immediate, Instruction, Operand
from tilework.network.nest import Access, Constant, Nest

Loops = list[tuple[int, ...]]  # each with its extent and a stride per operand


def instruction(
    name: str, mnemonic: str, loops: Loops, operands: list[Operand | Immediate], add: bool = False
) -> Instruction:
    """An instruction over merged loops; raises CompileError if too many are left, for the group with this name."""
    merged = merge(loops, len(operands))
    if len(merged) > MAX_RANK:
        raise CompileError(f"a tile of {name} must have at most {MAX_RANK} loops, not {len(merged)}")
    placed = [
        replace(o, strides=tuple(loop[1 + i] for loop in merged)) if isinstance(o, Operand) else o
        for i, o in enumerate(operands)
    ]
    target, *sources = placed
    assert isinstance(target, Operand)
    return Instruction(mnemonic, Descriptor(tuple(loop[0] for loop in merged), target, tuple(sources)), accumulate=add)


class Emitter:
    """Appends instructions on the tiles of a group's buffers to `out`; `frames` say where they lie."""

    def __init__(self, group: Group, tiling: Tiling, frames: list[Frame]) -> None:
        self.group, self.tiling, self.plan, self.frames = group, tiling, tiling.plan, frames
        self.out: list[Instruction] = []

    def emit(self, mnemonic: str, loops: Loops, operands: list[Operand | Immediate], add: bool) -> None:
        self.out.append(instruction(self.group.name, mnemonic, loops, operands, add))

    def nest(self, number: int, place: Place) -> None:
        nest = self.group.nests[number]
        sizes = self.group.extents | {loop_of(self.tiling.order[d]): run.size for d, run in enumerate(place)}
        again = number == 0 and any(not run.begins for run in self.reducing(place))
        if unit_of(self.group, number) == "matrix":
            self.contraction(nest, place, sizes, again)
        else:
            self.vector(number, nest, place, sizes, again)

    def reducing(self, place: Place) -> Place:
        """The runs of the loops that reduce."""
        return place[self.tiling.parallel : len(self.tiling.order) - self.tiling.pieces]

    def contraction(self, nest: Nest, place: Place, sizes: dict[str, int], again: bool) -> None:
        a, b = (self.frames[self.plan.reads[0, access]] for access in contraction_operands(self.group))
        frames = [self.frames[self.plan.writes[0]], a, b]
        near = a.strides(place)
        summed = sorted((n for n, _ in nest.reduction_loops), key=lambda n: -abs(near.get(n, 0)))
        names = [n for n, _ in nest.parallel_loops] + summed
        loops = [(sizes[n], *(f.strides(place).get(n, 0) for f in frames)) for n in names]
        sums = frames[0].operand(place, (), dtype=self.group.tensors[nest.output.tensor].dtype)
        kept = self.group.blocks.kept if self.group.blocks.skipped else 0
        weight = replace(b.operand(place, ()), kept=kept)
        self.emit("contract", list(loops), [sums, a.operand(place, ()), weight], again)

    def vector(self, number: int, nest: Nest, place: Place, sizes: dict[str, int], again: bool) -> None:
        *before, last = steps(nest)
        over_box = nest.update != "=" and bool(before)
        for step in before:
            operands = (step.target or nest.output, *step.sources)
            if over_box:
                self.box_step(step.mnemonic, number, place, operands)
            else:
                self.vector_step(step.mnemonic, number, nest, place, sizes, operands, False)
        self.vector_step(last.mnemonic, number, nest, place, sizes, (nest.output, *last.sources), again)

    def frame_of(self, number: int, source: Source, is_target: bool = False) -> tuple[Frame, int, str]:
        """The buffer that holds an operand of a nest, how many bytes in, and as which dtype."""
        if isinstance(source, Scratch):
            frame = self.frames[self.plan.scratch[number]]
            return frame, source.index * frame.tile_bytes, frame.buffer.dtype
        assert isinstance(source, Access)
        held = self.plan.writes[number] if is_target else self.plan.reads[number, source]
        return self.frames[held], 0, self.group.tensors[source.tensor].dtype

    def vector_step(
        self,
        mnemonic: str,
        number: int,
        nest: Nest,
        place: Place,
        sizes: dict[str, int],
        operands: tuple[Source, ...],
        again: bool,
    ) -> None:
        loops: list[tuple[int, ...]] = [(sizes[n],) for n, _ in nest.loops]
        placed: list[Operand | Immediate] = []
        for position, source in enumerate(operands):
            if isinstance(source, Constant):
                placed.append(Immediate(source.value))
                loops = [(*loop, 0) for loop in loops]
                continue
            frame, offset, dtype = self.frame_of(number, source, position == 0)
            strides = frame.strides(place)
            loops = [(*loop, strides.get(n, 0)) for loop, (n, _) in zip(loops, nest.loops, strict=True)]
            placed.append(frame.operand(place, (), offset, dtype))
        self.emit(mnemonic, self.ordered(loops), placed, again)

    @staticmethod
    def ordered(loops: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Loops with long steps first, so that neighbours merge and the vector unit's lanes take what lies in a row, in
        the target and in the sources."""
        return sorted(loops, key=lambda loop: (-max(map(abs, loop[1:])), -abs(loop[1])))

    def box_step(self, mnemonic: str, number: int, place: Place, operands: tuple[Source, ...]) -> None:
        """One instruction on the whole box that a reduction reads, halo and padding included."""
        box = self.frames[self.plan.scratch[number]]
        loops: list[tuple[int, ...]] = [(extent,) for extent, _, _ in dense_axes(box, box.sizes(box.current(place)))]
        placed: list[Operand | Immediate] = []
        for position, source in enumerate(operands):
            if isinstance(source, Constant):
                placed.append(Immediate(source.value))
                loops = [(*loop, 0) for loop in loops]
                continue
            frame, offset, dtype = self.frame_of(number, source, position == 0 and not isinstance(source, Scratch))
            strides = [chip for _, chip, _ in dense_axes(frame, frame.sizes(frame.ranges))]
            loops = [(*loop, stride) for loop, stride in zip(loops, strides, strict=True)]
            placed.append(frame.operand(place, (), offset, dtype))
        self.emit(mnemonic, loops, placed, False)
