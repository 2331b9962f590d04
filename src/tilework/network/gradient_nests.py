"""The gradient of a nest as nests: the loops and maps are the nest's own, the roles of the tensors change.

The gradient that arrives at a tensor `t` is called `d:t`. A write outside a tensor is dropped, so the zeros read in a
convolution's padding need no care; a place that a nest does not write gets no gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tilework.errors import NetworkError
from tilework.network.derivative import ZERO, adjoints, chosen, over
from tilework.network.extent import image_size
from tilework.network.nest import CONTRACTION, Access, Apply, Expression, Nest, accesses

Shape = tuple[int, ...]
ARRIVING, TIES, SHARE = "d:", "ties:", "share:"
MARKS = (ARRIVING, TIES, SHARE)


def gradient_of(tensor: str) -> str:
    """The name of the gradient with respect to a tensor."""
    return ARRIVING + tensor


def primal(name: str) -> str:
    """The tensor whose shape (and, of a gradient, whose name) this one has: `x` for `d:x`, `ties:x` and `x`."""
    return next((name.removeprefix(mark) for mark in MARKS if name.startswith(mark)), name)


def gradient_nests(nest: Nest, wanted: Collection[str], shapes: Mapping[str, Shape]) -> tuple[Nest, ...]:
    """The nests that make or add to `d:t` of each tensor t in `wanted` that the nest reads, from `d:o` of its output o.

    A contraction gives contractions of as many MACs. Elsewhere the body's derivative stands behind the gradient that
    arrives, with `=` where no place is written twice and += where a sum is needed, as over the axes that a broadcast
    operand lacks; a tensor's second nest adds. Of the places that share a maximum each gets an equal part, which takes
    the temporaries `ties:o` (how many they are) and `share:o` of o's shape. Nests that would be 0 are left out.
    Raises NetworkError where the nest reads its own output.
    """
    if nest.output.tensor in {access.tensor for access in nest.reads}:
        raise NetworkError(f"a nest must not read its own output to have a gradient: {nest}")
    if not any(access.tensor in wanted for access in nest.reads):
        return ()
    inside = _lies_inside(nest.output, nest.extents, shapes[nest.output.tensor])
    arriving = Access(gradient_of(nest.output.tensor), nest.output.index, None if inside else 0.0)
    before: tuple[Nest, ...] = ()
    passed: Expression = arriving
    if nest.update in ("max=", "min="):
        before, passed = _shared(nest, arriving)
    values = (nest.output, None) if nest.update == "=" and inside else (None,)
    ways = [adjoints(nest.body, wanted, passed, value) for value in values]
    made = min(([_gather(nest, *one) for one in found.items()] for found in ways), key=_reads)
    return tuple(in_order((*before, *made))) if made else ()


def _reads(nests: Sequence[Nest]) -> int:
    """How many tensors the forward pass must keep; where the output saves none, it isn't read."""
    return len(forward_reads(nests))


def in_order(nests: Iterable[Nest], held: Collection[str] = ()) -> Iterator[Nest]:
    """The nests, those after the first that write a gradient, and those of gradients already held, adding to it."""
    written = set(held)
    for nest in nests:
        name = nest.output.tensor
        adds = name in written and nest.update == "="
        yield Nest(nest.loops, nest.output, "+=", nest.body) if adds else nest
        written.add(name)


def _gather(nest: Nest, access: Access, body: Expression) -> Nest:
    output = Access(gradient_of(access.tensor), access.index)
    once = nest.kind != CONTRACTION and image_size(output, nest.extents) == nest.iterations
    return Nest(nest.loops, output, "=" if once else "+=", body)


def _shared(nest: Nest, arriving: Access) -> tuple[tuple[Nest, ...], Expression]:
    """The nests that divide what arrives at an extreme by the number of its places, and what each iteration passes."""
    name = nest.output.tensor
    pad = arriving.pad
    extreme, ties, share = (Access(mark + name, nest.output.index, pad) for mark in ("", TIES, SHARE))
    holds = Apply("equal", (nest.body, extreme))
    count = Nest(nest.loops, Access(ties.tensor, ties.index), "+=", holds)
    part = Nest(nest.parallel_loops, Access(share.tensor, share.index), "=", over(arriving, ties))
    return (count, part), chosen(holds, share, ZERO)


def _lies_inside(access: Access, extents: Mapping[str, int], shape: Shape) -> bool:
    bounds = (axis.bounds(extents) for axis in access.index)
    return all(low >= 0 and high < size for (low, high), size in zip(bounds, shape, strict=True))


def forward_reads(nests: Sequence[Nest]) -> tuple[str, ...]:
    """The tensors of the forward pass that the nests read, each once."""
    names = dict.fromkeys(access.tensor for nest in nests for access in accesses(nest.body))
    return tuple(name for name in names if primal(name) == name)
