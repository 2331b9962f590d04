"""The gradient of an operation, from the gradients of its nests; by hand for what runs on the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from tilework.network.cover import Region, region
from tilework.network.general import UNKNOWN
from tilework.network.gradient_nests import forward_reads, gradient_nests, gradient_of, in_order, primal
from tilework.network.host import WORK, Work
from tilework.network.nest import CONTRACTION, COPY, Access, Nest
from tilework.network.operations import OPERATIONS, Expansion, Shape, expand


def _nothing(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """What arrives is looked up or put elsewhere; nothing is computed."""
    return {}


def _each(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """What arrives for each element of the output is added to a place of the input, or of a running sum."""
    return {"addition": prod(output)}


def _bag(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """What arrives at a bag is added to the row of each of its members."""
    return {"addition": prod(inputs[0]) * output[-1]}


def _taps(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """The transposed map: as many products as forward, each added to a place of the input."""
    products = WORK["interpolate"](inputs, output)["multiplication"]
    return {"multiplication": products, "addition": max(0, products - prod(inputs[0]))}


_FLAT = ("argmax", "argmin", "bincount", "bitwise", "constant", "isin", "nms", "nonzero", "random", "searchsorted")

HOST_GRADIENTS: dict[str, Work | None] = {  # None: nothing passes; what is in WORK alone counts as unknown
    **dict.fromkeys(_FLAT),
    **dict.fromkeys(("scatter", "scatter_add", "sort", "topk"), _nothing),
    **dict.fromkeys(("cummax", "cumsum", "embedding", "expert", "gather", "roi_pool"), _each),
    "embedding_bag": _bag,
    "fft": WORK["fft"],
    "fft_real": WORK["fft_real"],
    "interpolate": _taps,
}


@dataclass(frozen=True)
class OperationGradient:
    """What an operation does with the gradient that arrives, over its placeholder names.

    `nests` in order, `contractions` those of them that come from a contraction; `reads` the tensors of the forward pass
    that they read; `gives` for each input that gets a gradient the regions of it that are written, one per nest.
    An input in `passes` gets places of what arrives as they are, so its gradient may share the memory. `work` is the
    host's. `temporaries` are the gradients, and what else is made, between the nests: name and shape.
    """

    gives: Mapping[str, tuple[Region, ...]]
    nests: tuple[Nest, ...] = ()
    contractions: frozenset[int] = frozenset()
    reads: tuple[str, ...] = ()
    passes: frozenset[str] = frozenset()
    work: tuple[tuple[str, int], ...] = ()
    temporaries: tuple[tuple[str, Shape], ...] = ()


@lru_cache(maxsize=4096)
def operation_gradient(
    name: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...], wanted: tuple[str, ...]
) -> OperationGradient:
    """The gradient of an operation with respect to the inputs `wanted`, by placeholder."""
    expansion = expand(name, shapes, attributes)
    if expansion.is_alias:
        return OperationGradient({wanted[0]: (None,)}, passes=frozenset(wanted))
    placeholders = OPERATIONS[name].placeholders(len(shapes))
    if expansion.on_host:
        return _host_gradient(name, shapes, dict(attributes), expansion, placeholders, wanted)
    tensors = dict(zip(placeholders, shapes, strict=True)) | dict(expansion.temporaries) | {"o": expansion.shape}
    stated = [(nest, False) for nest in expansion.gradient]
    made = _needed(stated or _derived(expansion, wanted, tensors), {gradient_of(placeholder) for placeholder in wanted})
    made = _without_copies(made, {"o", *wanted}, tensors)
    nests = tuple(in_order(nest for nest, _ in made))
    gives = {name: regions for name in wanted if (regions := _regions(nests, gradient_of(name), tensors[name]))}
    written = dict.fromkeys(nest.output.tensor for nest in nests)
    return OperationGradient(
        gives,
        nests,
        frozenset(place for place, (_, contraction) in enumerate(made) if contraction),
        forward_reads(nests),
        frozenset(name for name in gives if _passes(nests, gradient_of(name), gives[name])),
        temporaries=tuple((t, tensors[primal(t)]) for t in written if t not in map(gradient_of, gives)),
    )


def _derived(expansion: Expansion, wanted: Sequence[str], tensors: Mapping[str, Shape]) -> list[tuple[Nest, bool]]:
    """The gradient nests of all nests, the last first, each with whether it comes from a contraction."""
    depends = set(wanted)
    for nest in expansion.nests:
        if any(access.tensor in depends for access in nest.reads):
            depends.add(nest.output.tensor)
    made: list[tuple[Nest, bool]] = []
    arrived = {gradient_of("o")}
    for nest in reversed(expansion.nests):
        if gradient_of(nest.output.tensor) in arrived:
            found = gradient_nests(nest, depends, tensors)
            arrived.update(one.output.tensor for one in found)
            made += [(one, nest.kind == CONTRACTION) for one in found]
    return made


def _needed(made: Sequence[tuple[Nest, bool]], wanted: set[str]) -> list[tuple[Nest, bool]]:
    """Those nests on which a wanted gradient depends."""
    kept, read = [], set(wanted)
    for nest, contraction in reversed(made):
        if nest.output.tensor in read:
            kept.append((nest, contraction))
            read.update(access.tensor for access in nest.reads)
    return kept[::-1]


def _without_copies(
    made: Sequence[tuple[Nest, bool]], kept: Collection[str], tensors: Mapping[str, Shape]
) -> list[tuple[Nest, bool]]:
    """Without the temporaries that are mere copies of a gradient, as of the one that arrives behind a bias."""
    writers = Counter(nest.output.tensor for nest, _ in made)
    same: dict[str, str] = {}
    left = []
    for nest, contraction in made:
        nest, name = nest.rename(same), nest.output.tensor
        if writers[name] == 1 and primal(name) not in kept and _is_copy(nest, tensors):
            same[name] = nest.reads[0].tensor
        else:
            left.append((nest, contraction))
    return left


def _is_copy(nest: Nest, tensors: Mapping[str, Shape]) -> bool:
    """Whether a nest gives a tensor the value of another one of its shape."""
    if nest.kind != COPY or not isinstance(nest.body, Access):
        return False
    shape = tensors[primal(nest.output.tensor)]
    alike = nest.body.index == nest.output.index and tensors[primal(nest.body.tensor)] == shape
    return alike and region(nest.output, nest.extents, shape) is None


def _regions(nests: Sequence[Nest], name: str, shape: Shape) -> tuple[Region, ...]:
    return tuple(region(nest.output, nest.extents, shape) for nest in nests if nest.output.tensor == name)


def _passes(nests: Sequence[Nest], name: str, regions: tuple[Region, ...]) -> bool:
    """Whether a gradient consists of places of the one that arrives, each once."""
    if regions != (None,):
        return False
    nest = next(nest for nest in nests if nest.output.tensor == name)
    return nest.kind == COPY and isinstance(nest.body, Access) and nest.body.tensor == gradient_of("o")


def _host_gradient(
    name: str,
    shapes: tuple[Shape, ...],
    attributes: Mapping[str, Any],
    expansion: Expansion,
    placeholders: Sequence[str],
    wanted: Sequence[str],
) -> OperationGradient:
    """Every wanted input gets a gradient; the others, such as indices, are read. Of an unknown operation all are."""
    gives: dict[str, tuple[Region, ...]] = dict.fromkeys(wanted, (None,))
    what = attributes.get("what", "")
    if name == UNKNOWN or what not in HOST_GRADIENTS:
        return OperationGradient(gives, reads=tuple(placeholders), work=((UNKNOWN, 1),))
    rule = HOST_GRADIENTS[what]
    if rule is None:
        return OperationGradient({})
    work = tuple((kind, number) for kind, number in rule(shapes, expansion.shape).items() if number)
    return OperationGradient(gives, reads=tuple(p for p in placeholders if p not in wanted), work=work)
