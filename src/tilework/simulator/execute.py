"""The meaning of every instruction, stated once, on views of its operands (float32, one axis per inner loop).

An action takes the destination and the sources.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tilework.isa.instruction import Immediate, Instruction
from tilework.isa.table import OPCODES, Opcode
from tilework.network import kernels
from tilework.network.functions import FUNCTIONS

Action = Callable[..., Any]


def action(instruction: Instruction) -> Action | None:
    """What the instruction does to views of its operands; None if it only orders others."""
    opcode = OPCODES[instruction.mnemonic]
    return MEANING[opcode.form](opcode, instruction)


def constant(source: Immediate) -> np.float32:
    """An immediate as the processor holds it."""
    return np.float32(source.value)


def ufunc(opcode: Opcode) -> np.ufunc:
    """NumPy's function for the scalar function of a vector instruction."""
    assert opcode.function is not None
    found: np.ufunc = getattr(np, FUNCTIONS[opcode.function].numpy)
    return found


def _order(opcode: Opcode, instruction: Instruction) -> None:
    return None


def _copy(opcode: Opcode, instruction: Instruction) -> Action:
    return np.copyto


def _contract(opcode: Opcode, instruction: Instruction) -> Action:
    return partial(kernels.contract, accumulate=instruction.accumulate)


def _vector(opcode: Opcode, instruction: Instruction) -> Action:
    if opcode.function is None:
        return np.copyto
    function = ufunc(opcode)
    if FUNCTIONS[opcode.function].arity == 1:
        return lambda destination, a: function(a, out=destination)
    return lambda destination, a, b: function(a, b, out=destination)


def _reduce(opcode: Opcode, instruction: Instruction) -> Action:
    return partial(kernels.reduce, ufunc=ufunc(opcode), accumulate=instruction.accumulate)


MEANING: dict[str, Callable[[Opcode, Instruction], Action | None]] = {
    "none": _order,
    "count": _order,
    "token": _order,
    "move": _copy,
    "fill": _copy,
    "contract": _contract,
    "vector": _vector,
    "reduce": _reduce,
}
