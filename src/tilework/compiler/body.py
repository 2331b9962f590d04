"""A nest's scalar body as a sequence of vector instructions on whole tiles."""

from __future__ import annotations

from dataclasses import dataclass

from tilework.errors import CompileError
from tilework.isa.table import OPCODES, REDUCE_OF, VECTOR_OF
from tilework.network.functions import UPDATES
from tilework.network.nest import CONTRACTION, Access, Apply, Constant, Expression, Nest


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


@dataclass(frozen=True)
class _Call:
    """An instruction and what it is applied to; `vwhere` has a third argument, for the places that it leaves."""

    mnemonic: str
    arguments: tuple[_Value, ...]


_Value = Access | Constant | _Call


def steps(nest: Nest) -> tuple[Step, ...]:
    """The instructions of a vector nest, in order; a reduction comes last and reads one access or temporary.

    Subexpressions go to temporaries. What is written to the output is no operand of equal index of a later step, so
    that the output may share its tile with such an operand.
    """
    writer = _Writer(nest)
    if nest.update == "=":
        writer.root(_value(nest.body))
    else:
        writer.reduce(_value(nest.body))
    return tuple(writer.steps)


def scratch_count(nest: Nest) -> int:
    """How many temporary tiles the nest's body needs."""
    found = [s.target.index for s in steps(nest) if isinstance(s.target, Scratch)]
    return max(found, default=-1) + 1


def functions(nest: Nest) -> tuple[str, ...]:
    """The functions that the nest's instructions apply, one per instruction; `copy` for a plain move."""
    return tuple(OPCODES[step.mnemonic].function or "copy" for step in steps(nest))


def _value(expression: Expression) -> _Value:
    """The expression in the processor's functions, which include 1/x, 1/(1+exp(-x)), powers below 0, min(max(x, 0), y)
    and a choice in place."""
    if not isinstance(expression, Apply):
        return expression
    if expression.function == "div":
        return _division(*expression.arguments)
    if expression.function == "min":
        return _least(*expression.arguments)
    mnemonic = "vwhere" if expression.function == "select" else VECTOR_OF[expression.function].mnemonic
    return _Call(mnemonic, tuple(map(_value, expression.arguments)))


def _division(dividend: Expression, divisor: Expression) -> _Value:
    is_one = dividend == Constant(1.0)
    inverse = _inverse_power(divisor)
    if inverse is not None:
        return inverse if is_one else _Call("vmul", (_value(dividend), inverse))
    negated = _negated_exponent(divisor)
    if negated is not None:
        sigmoid = _Call("vsigmoid", (_value(negated),))
        return sigmoid if is_one else _Call("vmul", (_value(dividend), sigmoid))
    if is_one:
        return _Call("vrecip", (_value(divisor),))
    return _Call("vdiv", (_value(dividend), _value(divisor)))


def _inverse_power(expression: Expression) -> _Call | None:
    """1 / expression, if that is a power with a constant exponent: such a power takes no longer, a division does."""
    if isinstance(expression, Apply) and expression.function == "pow":
        base, exponent = expression.arguments
        if isinstance(exponent, Constant):
            return _Call("vpow", (_value(base), Constant(-exponent.value)))
    return None


def _least(one: Expression, other: Expression) -> _Value:
    for within, most in ((one, other), (other, one)):
        if isinstance(within, Apply) and within.function == "max" and Constant(0.0) in within.arguments:
            value = within.arguments[within.arguments[0] == Constant(0.0)]
            return _Call("vclip", (_value(value), _value(most)))
    return _Call("vmin", (_value(one), _value(other)))


def _negated_exponent(expression: Expression) -> Expression | None:
    """The a of 1 + exp(0 - a), else None."""
    one, zero = Constant(1.0), Constant(0.0)
    if isinstance(expression, Apply) and expression.function == "add" and one in expression.arguments:
        power = expression.arguments[expression.arguments[0] == one]
        if isinstance(power, Apply) and power.function == "exp":
            (exponent,) = power.arguments
            if isinstance(exponent, Apply) and exponent.function == "sub" and exponent.arguments[0] == zero:
                return exponent.arguments[1]
    return None


class _Writer:
    def __init__(self, nest: Nest) -> None:
        self.nest = nest
        self.steps: list[Step] = []
        self.free: list[int] = []
        self.made = 0
        simple = nest.kind == CONTRACTION or isinstance(nest.body, Access)
        if nest.update != "=" and not simple and len(set(nest.reads)) != 1:
            raise CompileError(
                f"the body of a reduction must read one tensor at one index to run on the processor, not {nest}; "
                "split it into an elementwise nest and a reduction"
            )

    def root(self, body: _Value) -> None:
        if not isinstance(body, _Call):
            self.write("vcopy", None, body)
            return
        sources = [self.operand(argument) for argument in body.arguments]
        if body.mnemonic != "vwhere":
            self.write(body.mnemonic, None, *sources)
        elif any(isinstance(s, Access) and s.index == self.nest.output.index for s in sources[:2]):
            self.write("vcopy", None, self.choose(*sources))
        else:
            self.write("vcopy", None, sources[2])
            self.write("vwhere", None, *sources[:2])

    def reduce(self, body: _Value) -> None:
        """The statement's last instruction: a sum of products is one, if both operands are tensors."""
        products = self.nest.update == "+=" and isinstance(body, _Call) and body.mnemonic == "vmul"
        if products and isinstance(body, _Call) and not any(isinstance(each, Constant) for each in body.arguments):
            self.write("rdot", None, *map(self.operand, body.arguments))
        else:
            function = UPDATES[self.nest.update].function or ""
            self.write(REDUCE_OF[function].mnemonic, None, self.operand(body))

    def operand(self, value: _Value) -> Source:
        """What holds a value: itself if it is a leaf, else a temporary."""
        if not isinstance(value, _Call):
            return value
        sources = [self.operand(argument) for argument in value.arguments]
        if value.mnemonic == "vwhere":
            return self.choose(*sources)
        self.release(sources)
        target = self.temporary()
        self.write(value.mnemonic, target, *sources)
        return target

    def choose(self, condition: Source, chosen: Source, other: Source) -> Scratch:
        """A temporary that holds `chosen` where the condition does, and else what `other` holds."""
        if isinstance(other, Scratch):
            target = other
        else:
            target = self.temporary()
            self.write("vcopy", target, other)
        self.write("vwhere", target, condition, chosen)
        self.release([condition, chosen])
        return target

    def write(self, mnemonic: str, target: Scratch | None, *sources: Source) -> None:
        self.steps.append(Step(mnemonic, target, sources))

    def temporary(self) -> Scratch:
        """A tile that no value needs now."""
        if self.free:
            return Scratch(self.free.pop())
        self.made += 1
        return Scratch(self.made - 1)

    def release(self, sources: list[Source]) -> None:
        self.free += [source.index for source in sources if isinstance(source, Scratch)]
