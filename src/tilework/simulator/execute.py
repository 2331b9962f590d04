"""The meaning of every instruction that moves or computes, stated once, on views of its operands.

A view holds an operand's elements as they are stored, one axis per inner loop. An action takes the destination and the
sources; a constant comes as float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.blocks import expanded
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.numbers import from_float32, to_float32
from tilework.isa.table import OPCODES, Opcode
from tilework.network import kernels, scalars
from tilework.network.functions import FUNCTIONS
from tilework.simulator.structure import descriptor_of

Action = Callable[..., Any]
Array = npt.NDArray[Any]
_ZERO, _ONE = np.float32(0), np.float32(1)


def action(instruction: Instruction) -> Action | None:
    """What the instruction does to views of its operands; None for those of control."""
    opcode = OPCODES[instruction.mnemonic]
    meaning = MEANING.get(opcode.form)
    if meaning is None:
        return None
    descriptor = descriptor_of(instruction)
    return _expanding(descriptor, meaning(opcode, descriptor, instruction.accumulate))


def _expanding(descriptor: Descriptor, act: Action) -> Action:
    """The action on what the last source stands for, if it is compressed."""
    last = descriptor.operands[-1]
    if not last.kept:
        return act
    return lambda destination, *sources: act(
        destination, *sources[:-1], expanded(sources[-1], last, descriptor.extents)
    )


def constant(source: Immediate) -> np.float32:
    """An immediate as the processor holds it."""
    return np.float32(source.value)


def _reciprocal(a: Any, out: Array) -> Any:
    return np.divide(_ONE, a, out=out)


def _sigmoid(a: Any, out: Array) -> Any:
    return np.divide(_ONE, np.add(_ONE, np.exp(np.negative(a))), out=out)


def _erf(a: Any, out: Array) -> Any:
    out[...] = scalars.erf(a)


def _clip(a: Any, b: Any, out: Array) -> Any:
    return np.minimum(np.maximum(a, _ZERO), b, out=out)


_OWN: dict[str, Action] = {"reciprocal": _reciprocal, "sigmoid": _sigmoid, "erf": _erf, "clip": _clip}


def vector_function(name: str | None) -> Action:
    """The scalar function of a vector instruction, on float32, with its result in `out`; None is a copy."""
    if name is None:
        return lambda a, out: np.copyto(out, a)
    found: Action = _OWN.get(name) or getattr(np, FUNCTIONS[name].numpy)
    return found


def _move(opcode: Opcode, descriptor: Descriptor, accumulate: bool) -> Action:
    return np.copyto


def _fill(opcode: Opcode, descriptor: Descriptor, accumulate: bool) -> Action:
    dtype = descriptor.destination.dtype
    return lambda destination, value: np.copyto(destination, from_float32(value, dtype))


def _vector(opcode: Opcode, descriptor: Descriptor, accumulate: bool) -> Action:
    if opcode.function == "where":
        return _where(descriptor)
    function = vector_function(opcode.function)
    if not _all_float32(descriptor):
        return _converting(descriptor, function)
    if len(descriptor.sources) == 1:
        return lambda destination, a: function(a, out=destination)
    return lambda destination, a, b: function(a, b, out=destination)


def _where(descriptor: Descriptor) -> Action:
    dtype, (read_a, read_b) = descriptor.destination.dtype, map(_reader, descriptor.sources)

    def where(destination: Array, a: Any, b: Any) -> None:
        np.copyto(destination, from_float32(read_b(b), dtype), where=np.not_equal(read_a(a), 0))

    return where


def _converting(descriptor: Descriptor, function: Action) -> Action:
    dtype, reads = descriptor.destination.dtype, [_reader(source) for source in descriptor.sources]

    def convert(destination: Array, *sources: Any) -> None:
        result = np.empty(destination.shape, np.float32)
        function(*[read(source) for read, source in zip(reads, sources, strict=True)], out=result)
        destination[...] = from_float32(result, dtype)

    return convert


def _contract(opcode: Opcode, descriptor: Descriptor, accumulate: bool) -> Action:
    dtypes = {operand.dtype for operand in descriptor.operands}
    if "int8" in dtypes:
        return partial(_contract_integers, accumulate=accumulate)
    if "bfloat16" in dtypes:
        return _summing(descriptor, partial(kernels.contract, accumulate=False), np.add, accumulate)
    return partial(kernels.contract, accumulate=accumulate)


def _contract_integers(destination: Array, a: Array, b: Array, accumulate: bool) -> None:
    """Sums in 32 bits, modulo 2**32: exact ones in 64 bits, cut when they are written."""
    result = _like(destination, np.int64)
    kernels.contract(result, a, b, accumulate=False)
    if accumulate:
        np.add(_once(result), _once(destination), out=_once(result))
    np.copyto(_once(destination), _once(result), casting="unsafe")


def _reduce(opcode: Opcode, descriptor: Descriptor, accumulate: bool) -> Action:
    assert opcode.function is not None
    if opcode.sources == 2:
        if _all_float32(descriptor):
            return partial(kernels.contract, accumulate=accumulate)
        return _summing(descriptor, partial(kernels.contract, accumulate=False), np.add, accumulate)
    ufunc: np.ufunc = getattr(np, FUNCTIONS[opcode.function].numpy)
    if _all_float32(descriptor):
        return partial(kernels.reduce, ufunc=ufunc, accumulate=accumulate)
    return _summing(descriptor, partial(kernels.reduce, ufunc=ufunc, accumulate=False), ufunc, accumulate)


def _summing(descriptor: Descriptor, compute: Action, ufunc: np.ufunc, accumulate: bool) -> Action:
    """`compute` on float32 values; its result, with the destination's old value if need be, is rounded once."""
    dtype, reads = descriptor.destination.dtype, [_reader(source) for source in descriptor.sources]

    def convert(destination: Array, *sources: Array) -> None:
        result, target = _like(destination, np.float32), _once(destination)
        compute(result, *[read(source) for read, source in zip(reads, sources, strict=True)])
        values = _once(result)
        if accumulate:
            ufunc(values, to_float32(target, dtype), out=values)
        target[...] = from_float32(values, dtype)

    return convert


def _all_float32(descriptor: Descriptor) -> bool:
    return all(operand.dtype == "float32" for operand in descriptor.operands)


def _reader(source: Operand | Immediate) -> Action:
    """From an operand's view to float32 values of the same shape; loops that don't move it are not copied."""
    if isinstance(source, Immediate) or source.dtype == "float32":
        return lambda view: view
    dtype = source.dtype
    return lambda view: np.broadcast_to(to_float32(_once(view), dtype), view.shape)


def _once(view: Array) -> Array:
    """The view with an extent of 1 for each axis whose stride is 0."""
    index = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in view.strides)
    once: Array = view[index]
    return once


def _like(view: Array, dtype: npt.DTypeLike) -> Array:
    """A new array of zeros with the view's shape, and like it a stride of 0 where the view has one."""
    shape = tuple(1 if stride == 0 else extent for extent, stride in zip(view.shape, view.strides, strict=True))
    new = np.zeros(shape, dtype)
    strides = tuple(0 if old == 0 else stride for stride, old in zip(new.strides, view.strides, strict=True))
    return np.ndarray(view.shape, dtype, new, 0, strides)


MEANING: dict[str, Callable[[Opcode, Descriptor, bool], Action]] = {
    "move": _move,
    "fill": _fill,
    "contract": _contract,
    "vector": _vector,
    "reduce": _reduce,
}
