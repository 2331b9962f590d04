"""Nests that add into overlapping places, as transposed convolutions do, as nests that gather what each place needs.

Along an axis of the output, `o[S*p+D*r+c] += x[p] * w[r]` adds to a place for every pair of p and r that meet in it.
The places S*q+a, one phase a of S, meet only the taps r with S dividing D*r+c-a, which lie evenly, and with each of
them one p. So each phase is a convolution of its own, `o[S*q+a] += x[q+e+f*t] * w[last-step*t]`, over its taps from the
last to the first (where D is below 0 from the first to the last); one that no tap meets is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, Access, Affine, Constant, Nest, map_accesses
from tilework.network.operation import Shape
from tilework.network.views import distinct


def nests_of(graph: Graph, node: Node) -> tuple[Nest, ...]:
    """A node's nests; of those that add into overlapping places, one for each phase."""
    nests = graph.nests(node)
    if all(nest.update != "+=" for nest in nests):
        return nests
    tensors = {**graph.tensors, **{tensor.name: tensor for tensor in graph.temporaries(node)}}
    found: list[Nest] = []
    for nest in nests:
        alone = sum(other.output.tensor == nest.output.tensor for other in nests) == 1
        found += gathered(nest, tensors) if alone else [nest]
    return tuple(found)


def gathered(nest: Nest, tensors: Mapping[str, Tensor]) -> tuple[Nest, ...]:
    """The nest itself if it writes each place of its output once, or isn't of the form above."""
    if not (nest.update == "+=" and (nest.kind == CONTRACTION or isinstance(nest.body, Access))):
        return (nest,)
    if writes_once([nest], tensors[nest.output.tensor]):
        return (nest,)
    phases: tuple[Nest, ...] = (nest,)
    for axis in range(len(nest.output.index)):
        phases = tuple(part for phase in phases for part in _phases(phase, axis, tensors))
    return phases


def writes_once(nests: Sequence[Nest], tensor: Tensor) -> bool:
    """Whether nests write all places of a tensor, none of them outside it or in two iterations."""
    for nest in nests:
        inside = all(i.within(nest.extents, size) for i, size in zip(nest.output.index, tensor.shape, strict=True))
        if not (inside and distinct(nest.output, nest.parallel_loops)):
            return False
    return sum(prod(extent for _, extent in nest.parallel_loops) for nest in nests) == tensor.elements


def _phases(nest: Nest, axis: int, tensors: Mapping[str, Tensor]) -> tuple[Nest, ...]:
    """A nest for each phase of an axis of the output; the nest itself where the axis is covered or of another form."""
    index, shape = nest.output.index[axis], tensors[nest.output.tensor].shape
    if nest.update != "+=" or len(index.terms) > 2 or _covers(nest, index, shape[axis]):
        return (nest,)
    for place, stride in index.terms:
        taps = [term for term in index.terms if term[0] != place]
        if stride > 0 and (source := _source(nest, place, taps, tensors)):
            return tuple(_phase(nest, axis, source, place, taps, a, shape) for a in range(min(stride, shape[axis])))
    return (nest,)


def _covers(nest: Nest, index: Affine, size: int) -> bool:
    """Whether an index of the output takes each value below `size` once."""
    whole = Access("", (index,))
    loops = [loop for loop in nest.loops if loop[0] in whole.loops()]
    inside = index.bounds(nest.extents) == (0, size - 1)
    return inside and distinct(whole, loops) and prod(extent for _, extent in loops) == size


def _source(nest: Nest, place: str, taps: list[tuple[str, int]], tensors: Mapping[str, Tensor]) -> Access | None:
    """The operand that a loop goes through from end to end, if only that reads by it and one axis is written by it."""
    loop = Affine(((place, 1),))
    readers = [access for access in nest.reads if place in access.loops()]
    written = [axis for axis in nest.output.index if {place, *(name for name, _ in taps)} & {n for n, _ in axis.terms}]
    if len(readers) != 1 or len(written) != 1 or readers[0].pad not in (None, 0):
        return None
    (access,) = readers
    sizes = [size for axis, size in zip(access.index, tensors[access.tensor].shape, strict=True) if axis == loop]
    alone = sum(place in (name for name, _ in axis.terms) for axis in access.index) == 1
    return access if alone and sizes == [nest.extents[place]] else None


def _phase(
    nest: Nest, axis: int, source: Access, place: str, taps: list[tuple[str, int]], a: int, shape: Shape
) -> Nest:
    """The nest of the places stride*q+a of an axis."""
    index = nest.output.index[axis]
    stride, (tap, dilation) = index.coefficient(place), taps[0] if taps else ("", 0)
    met = [r for r in range(nest.extents.get(tap, 1)) if (dilation * r + index.offset - a) % stride == 0]
    extents = {**nest.extents, place: -(-(shape[axis] - a) // stride), tap: len(met)}
    if not met:
        return _zero(nest, axis, Affine(((place, stride),), a), extents, shape)
    begin, end = (met[-1], met[0]) if dilation > 0 else (met[0], met[-1])
    step = (end - begin) // (len(met) - 1) if len(met) > 1 else 0
    turned = Affine(((tap, step),) if step else (), begin)
    first = (a - index.offset - dilation * begin) // stride
    forwards = Affine(((place, 1), (tap, -dilation * step // stride)) if step else ((place, 1),), first)
    loops = tuple((name, extents[name]) for name, _ in nest.loops if name != tap or step)
    moved = nest.substitute({place: forwards, tap: turned}, loops)
    read = source.substitute({place: forwards, tap: turned})
    return Nest(loops, moved.output, "+=", map_accesses(moved.body, {read: Access(read.tensor, read.index, 0.0)}))


def _zero(nest: Nest, axis: int, places: Affine, extents: Mapping[str, int], shape: Shape) -> Nest:
    """0 in these places of an axis, everywhere along the later axes and in the nest's places along the earlier."""
    index, loops = [*nest.output.index[:axis], places], dict(extents)
    for later, size in zip(nest.output.index[axis + 1 :], shape[axis + 1 :], strict=True):
        index.append(Affine(((later.terms[0][0], 1),)))
        loops[later.terms[0][0]] = size
    output = Access(nest.output.tensor, tuple(index))
    kept = tuple((name, loops[name]) for name, _ in nest.loops if name in output.loops())
    return Nest(kept, output, "=", Constant(0.0))
