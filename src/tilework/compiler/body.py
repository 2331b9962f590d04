"""A nest's scalar body as a sequence of vector instructions on whole tiles."""

from __future__ import annotations

from dataclasses import dataclass

from tilework.errors import CompileError
from tilework.isa.table import REDUCE_OF, VECTOR_OF
from tilework.network.functions import UPDATES
from tilework.network.nest import CONTRACTION, Access, Apply, Constant, Expression, Nest, applications


@dataclass(frozen=True)
class Scratch:
    """The i-th temporary tile of a body."""

    index: int


Source = Access | Constant | Scratch


@dataclass(frozen=True)
class Step:
    """One vector instruction on a tile; a `target` of None is the nest's output."""

    mnemonic: str
    target: Scratch | None
    sources: tuple[Source, ...]


def steps(nest: Nest) -> tuple[Step, ...]:
    """The instructions of a vector nest, in order; a reduction comes last and reads one access or temporary.

    Subexpressions go to temporaries and only the last instruction writes the output, so that the output may share its
    tile with the operand of equal index.
    """
    writer = _Writer(nest)
    if nest.update == "=":
        writer.root(nest.body)
    else:
        source = writer.operand(nest.body)
        function = UPDATES[nest.update].function or ""
        writer.steps.append(Step(REDUCE_OF[function].mnemonic, None, (source,)))
    return tuple(writer.steps)


def scratch_count(nest: Nest) -> int:
    """How many temporary tiles the nest's body needs."""
    if nest.kind == CONTRACTION:
        return 0
    found = [s.target.index for s in steps(nest) if isinstance(s.target, Scratch)]
    return max(found, default=-1) + 1


def functions(nest: Nest) -> tuple[str, ...]:
    """The functions that the nest's instructions apply, one per instruction; `copy` for a plain move."""
    if nest.update == "=":
        return tuple(applications(nest.body)) or ("copy",)
    return (*applications(nest.body), UPDATES[nest.update].function or "copy")


class _Writer:
    def __init__(self, nest: Nest) -> None:
        self.steps: list[Step] = []
        self.free: list[int] = []
        self.made = 0
        if nest.update != "=" and not isinstance(nest.body, Access) and len(set(nest.reads)) != 1:
            raise CompileError(
                f"the body of a reduction must read one tensor at one index to run on the processor, not {nest}; "
                "split it into an elementwise nest and a reduction"
            )

    def root(self, body: Expression) -> None:
        if isinstance(body, Apply):
            sources = tuple(self.operand(a) for a in body.arguments)
            self.steps.append(Step(VECTOR_OF[body.function].mnemonic, None, sources))
        else:
            self.steps.append(Step("vcopy", None, (body,)))

    def operand(self, expression: Expression) -> Source:
        """What holds the value of an expression: itself if it is a leaf, else a temporary."""
        if not isinstance(expression, Apply):
            return expression
        sources = tuple(self.operand(a) for a in expression.arguments)
        for source in sources:
            if isinstance(source, Scratch):
                self.free.append(source.index)
        target = Scratch(self.free.pop() if self.free else self._new())
        self.steps.append(Step(VECTOR_OF[expression.function].mnemonic, target, sources))
        return target

    def _new(self) -> int:
        self.made += 1
        return self.made - 1
