"""From what a trace saw to blocks of Tilework's operations."""

from __future__ import annotations

from itertools import count

from tilework.frontend.from_torch.calls import Call, Frame, Repeat, Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.network.blocks import Block, Blocks, Copy
from tilework.network.graph import INPUT, Tensor


def assemble(name: str, root: Frame, sources: dict[int, Tensor], last: int) -> Blocks:
    """Lower every frame of a trace once. `last` is the highest number that the trace gave to a Value.

    Raises NetworkError, naming operator and module, where a call can't be stated.
    """
    inputs = {number: tensor for number, tensor in sources.items() if tensor.role == INPUT}
    assembler = _Assembler({number for number, tensor in sources.items() if tensor.is_weight}, _Uses(root).used, last)
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


class _Uses:
    """Which Values something reads; what is read outside of the module call in which it arose becomes an output."""

    def __init__(self, root: Frame) -> None:
        self.used: set[int] = set()
        self.made: dict[int, tuple[Frame, ...]] = {}
        self.visit((root,))

    def visit(self, frames: tuple[Frame, ...]) -> None:
        """Go through the innermost of module calls that lie within each other."""
        for step in frames[-1].steps:
            if isinstance(step, Frame):
                self.visit((*frames, step))
                continue
            for value in step.tensors if isinstance(step, Call) else step.outside.values():
                self.read(value, frames)
            made = step.results if isinstance(step, Call) else step.outputs
            self.made.update((value.id, frames) for value in made if value is not None)
        for value in frames[-1].outputs:
            self.read(value, frames)

    def read(self, value: Value, frames: tuple[Frame, ...]) -> None:
        """A Value is read in the innermost of these module calls."""
        self.used.add(value.id)
        makers = self.made.get(value.id, frames)
        if makers is frames or makers[-1] in frames:
            return
        for frame in makers:
            if frame not in frames and value not in frame.outputs:
                frame.outputs += (value,)
