"""Lowering once what stands many times in a network: equal parts differ only in the addresses of their tensors.

The code is lowered for tensors that lie far apart, so that each DRAM address tells which tensor it belongs to, and is
then moved to where the tensors are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from tilework.compiler.ahead import Home, ending, plain_home
from tilework.compiler.chain_lower import lower_chain
from tilework.compiler.chain_part import ChainPart, pieces_of
from tilework.compiler.layout import Ring
from tilework.compiler.lower import Code, lower
from tilework.compiler.split import Part
from tilework.compiler.stock import Stock
from tilework.isa.instruction import Descriptor, Instruction, Operand

FAR = 1 << 60  # beyond the end of any tensor


@dataclass(frozen=True)
class _Template:
    """Code over numbered tensors."""

    code: Code

    @cached_property
    def moved(self) -> list[int]:
        """The places of the steps that name a tensor's address."""
        return [place for place, instruction in enumerate(self.code.steps) if _is_far(instruction)]

    def at(self, bases: list[int]) -> Code:
        """The code with tensors in their own places."""
        steps = list(self.code.steps)
        for place in self.moved:
            steps[place] = _moved(steps[place], bases)
        ahead = self.code.ahead.items()
        moved = {i: [_moved(e, bases) if _is_far(e) else e for e in loads] for i, loads in ahead}
        return Code(steps, moved, self.code.last)


@dataclass
class Relocator:
    """Lowers parts; of equal ones only the first."""

    known: dict[object, _Template] = field(default_factory=dict)

    def code(
        self,
        part: Part,
        home: Home | None,
        plain: dict[str, int],
        packed: dict[int, int],
        ring: Ring | None,
        stocks: tuple[Stock, ...] = (),
    ) -> Code:
        """What `lower_part` gives for the part with its tensors at these addresses."""
        shapes = part.group.shape, *(piece.group.shape for piece in pieces_of(part))
        names, count = part.group.names, _buffers(part)
        far = tuple(replace(each, address=(len(names) + count + n) * FAR) for n, each in enumerate(stocks, 1))
        key = shapes, part.tiling.choice, ring, home and home.choice, far
        template = self.known.get(key)
        if template is None:
            template = self.known[key] = _template(part, home, names, ring, far)
        bases = [*(plain.get(name, 0) for name in names), *(packed.get(i, 0) for i in range(count))]
        return template.at([*bases, *(each.address for each in stocks)])


def lower_part(
    part: Part,
    home: Home | None,
    plain: dict[str, int],
    packed: dict[int, int],
    ring: Ring | None = None,
    stocks: tuple[Stock, ...] = (),
) -> Code:
    """The instructions of a part, be it one of a group or a chain, with its buffers in a home."""
    assert home is not None
    if isinstance(part, ChainPart):
        nram, wram = home.bases
        layouts = part.layouts_at((nram, wram)) if any(home.bases) else part.layouts
        return lower_chain(layouts, plain, packed, part.own, frozenset(home.early))
    return lower(part, home, plain, packed, ring, stocks)


def whole_code(
    part: Part,
    plain: dict[str, int],
    packed: dict[int, int],
    ring: Ring | None = None,
    stocks: tuple[Stock, ...] = (),
) -> list[Instruction]:
    """The instructions of a part by itself, ending in a sync."""
    code = lower_part(part, plain_home(part), plain, packed, ring, stocks)
    return [*code.steps, *ending(part, None, {}), *code.last, Instruction("sync")]


def _buffers(part: Part) -> int:
    return sum(len(piece.tiling.plan.buffers) for piece in pieces_of(part))


def _template(
    part: Part, home: Home | None, names: tuple[str, ...], ring: Ring | None, stocks: tuple[Stock, ...]
) -> _Template:
    far = {name: number * FAR for number, name in enumerate(names, 1)}
    packed = {i: (len(names) + 1 + i) * FAR for i in range(_buffers(part))}
    return _Template(lower_part(part, home, far, packed, ring, stocks))


def _is_far(instruction: Instruction) -> bool:
    return instruction.descriptor is not None and any(o.base >= FAR for o in instruction.descriptor.operands)


def _moved(instruction: Instruction, bases: list[int]) -> Instruction:
    descriptor = instruction.descriptor
    assert descriptor is not None
    target, (source,) = descriptor.destination, descriptor.sources
    assert isinstance(source, Operand)
    if source.base >= FAR:
        source = _at(source, bases)
    else:
        target = _at(target, bases)
    return Instruction(instruction.mnemonic, Descriptor(descriptor.extents, target, (source,)))


def _at(operand: Operand, bases: list[int]) -> Operand:
    """An operand off the core, which has no ring, at its tensor's own place."""
    tensor, offset = divmod(operand.base, FAR)
    base, kept = bases[tensor - 1] + offset, operand.kept
    return Operand(operand.memory, base, operand.strides, operand.steps, dtype=operand.dtype, kept=kept)
