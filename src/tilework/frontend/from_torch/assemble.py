"""From what a trace saw to blocks of Tilework's operations."""

from __future__ import annotations

from itertools import count

from tilework.frontend.from_torch.calls import Call, Frame, Repeat, Value, values_in
from tilework.frontend.from_torch.lowering import Lowering
from tilework.network.blocks import Block, Blocks, Copy
from tilework.network.graph import INPUT, Tensor


def assemble(name: str, root: Frame, sources: dict[int, Tensor], last: int) -> Blocks:
    """Lower every frame of a trace once. `last` is the highest number that the trace gave to a Value.

    Raises NetworkError, naming operator and module, where a call can't be stated.
    """
    inputs = {number: tensor for number, tensor in sources.items() if tensor.role == INPUT}
    assembler = _Assembler({number for number, tensor in sources.items() if tensor.is_weight}, _used(root), last)
    if not root.outputs:  # nothing is given back, or something that hides it
        root.outputs = _unread(root)
    block = assembler.block(root)
    outputs = tuple(value.id for value in root.outputs if not value.is_empty)
    return Blocks(name, {**inputs, **sources}, block, assembler.aliases, outputs)


class _Assembler:
    def __init__(self, weights: set[int], used: set[int], last: int) -> None:
        self.weights, self.used, self.numbers = weights, used, count(last + 1)
        self.aliases: dict[int, int] = {}
        self.blocks: dict[int, Block] = {}

    def block(self, frame: Frame) -> Block:
        """The block of a frame; a frame that is repeated has one."""
        if id(frame) not in self.blocks:
            context = Lowering(frame.path, self.weights, self.used, self.numbers)
            self.blocks[id(frame)] = Block(frame.path, frame.leaf, context.parts)
            for step in frame.steps:
                self.step(step, context)
            context.flush(value for value in frame.outputs if not value.is_empty)
            self.aliases |= context.names()
        return self.blocks[id(frame)]

    def step(self, step: Call | Frame | Repeat, context: Lowering) -> None:
        if isinstance(step, Call):
            context.lower(step)
        elif isinstance(step, Frame):
            context.flush(step.outside().values())
            context.parts.append(self.block(step))
        else:
            context.flush(step.outside.values())
            outside = {number: value.id for number, value in step.outside.items() if not value.is_empty}
            outputs = {value.id: number for value, number in step.outputs.items()}
            context.parts.append(Copy(self.block(step.frame), step.path, outside, outputs))


def _unread(root: Frame) -> tuple[Value, ...]:
    """What operators gave that nothing reads."""
    made: dict[int, Value] = {}
    read: set[int] = set()
    left = [root]
    while left:
        for step in left.pop().steps:
            if isinstance(step, Call):
                made |= {value.id: value for value in step.results if value is not None}
                read.update(value.id for value in step.tensors)
            elif isinstance(step, Frame):
                left.append(step)
            else:
                made |= {value.id: value for value in step.outputs}
                read.update(value.id for value in step.outside.values())
    return tuple(value for number, value in sorted(made.items()) if number not in read)


def _used(frame: Frame) -> set[int]:
    """The numbers of the Values that some call reads or some module call gives back."""
    used: set[int] = set()
    left, seen = [frame], set()
    while left:
        frame = left.pop()
        if id(frame) in seen:
            continue
        seen.add(id(frame))
        used.update(value.id for value in frame.outputs)
        for step in frame.steps:
            if isinstance(step, Call):
                used.update(value.id for value in values_in(step[1:3]))
            elif isinstance(step, Frame):
                left.append(step)
            else:
                used.update(value.id for value in step.outside.values())
                left.append(step.frame)
    return used
