"""From a graph to groups: which nests share a tile, so that what lies between them stays on chip.

An elementwise nest joins the group that makes its operand, and so does a pooling whose windows tile its input
without overlap: then its loops are a split of the group's loops and nothing is computed twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from tilework.compiler.group import Group, restrict
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, COPY, ELEMENTWISE, REDUCTION, Access, Affine, Nest, map_accesses

MAX_NESTS = 16  # of a group: each may bring operands, which share the scratchpad and the tokens


@dataclass(frozen=True)
class _Statement:
    node: Node
    nest: Nest


def fuse(graph: Graph) -> tuple[Group, ...]:
    """The groups of a graph, in an order in which they can run."""
    statements, tensors = _statements(graph)
    reads = Counter(a.tensor for s in statements for a in s.nest.reads) + Counter(graph.outputs)
    writes = Counter(s.nest.output.tensor for s in statements)
    passing = {name for name, times in writes.items() if times == reads[name] == 1}
    groups: list[Group] = []
    made_by: dict[str, int] = {}
    for statement in statements:
        place = _joins(statement, groups, made_by, passing)
        if place is None:
            place = len(groups)
            groups.append(_start(statement, tensors))
        else:
            groups[place] = _join(groups[place], statement, tensors)
        made_by[statement.nest.output.tensor] = place
    return tuple(groups)


def _statements(graph: Graph) -> tuple[list[_Statement], dict[str, Tensor]]:
    """Every nest of the graph, reshapes absorbed into the contractions that read them or made copies."""
    tensors = dict(graph.tensors)
    aliases: dict[str, str] = {}
    statements: list[_Statement] = []
    wanted = _must_exist(graph)
    for node in graph.nodes:
        tensors |= {t.name: t for t in graph.temporaries(node)}
        if graph.expansion(node).is_alias:
            if node.name in wanted:
                statements.append(_Statement(node, _copy(tensors, node)))
            else:
                aliases[node.name] = aliases.get(node.inputs[0], node.inputs[0])
            continue
        statements += [_Statement(node, _absorb(nest, aliases, tensors)) for nest in graph.nests(node)]
    return statements, tensors


def _must_exist(graph: Graph) -> set[str]:
    """Aliases that must be made as tensors: outputs, and those that not only contractions read along whole loops.

    A contraction absorbs one alias: two would have to be split alike.
    """
    aliases = {n.name for n in graph.nodes if graph.expansion(n).is_alias}
    wanted = aliases & set(graph.outputs)
    for node in graph.nodes:
        read = aliases & set(node.inputs)
        for name in read:
            reads = [(n, a) for n in graph.nests(node) for a in n.reads if a.tensor == name]
            absorbed = reads and len(read) == 1 and all(_splits(n, a, graph.tensors[name]) for n, a in reads)
            if not absorbed:
                wanted.add(name)
    return wanted


def _splits(nest: Nest, access: Access, tensor: Tensor) -> bool:
    """Whether each axis of the access is a whole loop of its own, so that it can be split into the axes behind it."""
    whole = all(
        len(axis.terms) == 1 and axis == Affine(((axis.terms[0][0], 1),)) and nest.extents[axis.terms[0][0]] == size
        for axis, size in zip(access.index, tensor.shape, strict=True)
    )
    return nest.kind == CONTRACTION and whole


def _copy(tensors: dict[str, Tensor], node: Node) -> Nest:
    """The nest that moves a reshape's input, element by element in row-major order."""
    source, target = tensors[node.inputs[0]], tensors[node.name]
    loops = tuple((f"i{axis}", size) for axis, size in enumerate(source.shape))
    index = tuple(Affine(((name, 1),)) for name, _ in loops)
    return Nest(loops, Access(node.name, _row_major(source, target)), "=", Access(source.name, index))


def _row_major(source: Tensor, target: Tensor) -> tuple[Affine, ...]:
    """The target's index in terms of loops i0, i1, … over the source, where the target only merges source axes."""
    axes: list[list[int]] = []
    place = 0
    for size in target.shape:
        taken = [place]
        while prod(source.shape[a] for a in taken) < size:
            taken.append(taken[-1] + 1)
        place = taken[-1] + 1
        axes.append(taken)
    axes[-1] += range(place, len(source.shape))
    return tuple(Affine(tuple((f"i{a}", prod(source.shape[a + 1 : t[-1] + 1])) for a in t)) for t in axes)


def _absorb(nest: Nest, aliases: dict[str, str], tensors: dict[str, Tensor]) -> Nest:
    """The nest reading what stands behind an alias: the loop over a merged axis is split into the source's axes."""
    for access in nest.reads:
        if access.tensor in aliases:
            source, merged = tensors[aliases[access.tensor]], tensors[access.tensor]
            nest = _split_loops(nest, access, source, merged)
    return nest


def _split_loops(nest: Nest, access: Access, source: Tensor, merged: Tensor) -> Nest:
    axes = _row_major(source, merged)
    values: dict[str, Affine] = {}
    loops: list[tuple[str, int]] = []
    names: dict[int, str] = {}
    by_loop = {axis.terms[0][0]: inner for axis, inner in zip(access.index, axes, strict=True)}
    for name, extent in nest.loops:
        inner = by_loop.get(name)
        if inner is None or len(inner.terms) == 1:
            names |= {int(inner.terms[0][0][1:]): name} if inner else {}
            loops.append((name, extent))
            continue
        parts = [(int(part[1:]), coefficient) for part, coefficient in inner.terms]
        names |= {axis: f"{name}{axis}" for axis, _ in parts}
        loops += [(names[axis], source.shape[axis]) for axis, _ in parts]
        values[name] = Affine(tuple((names[axis], coefficient) for axis, coefficient in parts))
    split = nest.substitute(values, tuple(loops))
    old = next(a for a in split.reads if a.tensor == access.tensor)
    index = tuple(Affine(((names[axis], 1),)) for axis in range(len(source.shape)))
    return _replace(split, old, Access(source.name, index))


def _replace(nest: Nest, old: Access, new: Access) -> Nest:
    return Nest(nest.loops, nest.output, nest.update, map_accesses(nest.body, {old: new}))


def _start(statement: _Statement, tensors: dict[str, Tensor]) -> Group:
    nest = statement.nest
    touched = {nest.output.tensor, *(a.tensor for a in nest.reads)}
    return Group(
        (statement.node.name,), statement.node.operation, nest.loops, (nest,), {t: tensors[t] for t in touched}
    )


def _joins(statement: _Statement, groups: list[Group], made_by: dict[str, int], passing: set[str]) -> int | None:
    """The group that a nest may join: the last that makes an operand of it.

    The operand must be `passing`: made by that group alone and read by this nest alone.
    """
    nest = statement.nest
    makers = [(made_by[a.tensor], a) for a in nest.reads if a.tensor in made_by]
    if not makers:
        return None
    place, access = max(makers, key=lambda maker: maker[0])
    group = groups[place]
    if group.output.tensor != access.tensor or access.tensor not in passing or len(group.nests) == MAX_NESTS:
        return None
    return place if _is_pointwise(nest, access) or _is_window(nest, access, group) else None


def _is_pointwise(nest: Nest, access: Access) -> bool:
    return nest.kind in (ELEMENTWISE, COPY) and access.index == nest.output.index and _own_loops(nest.output)


def _own_loops(access: Access) -> bool:
    """Whether each axis is a loop of its own, from 0 in steps of 1."""
    names = [axis.terms[0][0] for axis in access.index if len(axis.terms) == 1 and axis.terms[0][1] == 1]
    return len(set(names)) == len(access.index) and all(axis.offset == 0 for axis in access.index)


def _is_window(nest: Nest, access: Access, group: Group) -> bool:
    """Whether a reduction's windows lie side by side, inside the tensor, and the group can be split along them."""
    if nest.kind != REDUCTION or nest.body != access or not _own_loops(nest.output):
        return False
    shape = group.tensors[access.tensor].shape
    for axis, made, size in zip(access.index, group.output.index, shape, strict=True):
        low, high = axis.bounds(nest.extents)
        if low < 0 or high >= size or axis.offset:
            return False
        if len(axis.terms) > 1 and not (_side_by_side(nest, axis) and made == Affine(((made.terms[0][0], 1),))):
            return False
    return True


def _side_by_side(nest: Nest, axis: Affine) -> bool:
    (_, stride), (inner, step) = axis.terms[0], axis.terms[1]
    return len(axis.terms) == 2 and step == 1 and stride == nest.extents[inner]


def _join(group: Group, statement: _Statement, tensors: dict[str, Tensor]) -> Group:
    nest = statement.nest
    access = next(a for a in nest.reads if a.tensor == group.output.tensor)
    group, nest = _split_windows(group, nest, access)
    access = next(a for a in nest.reads if a.tensor == group.output.tensor)
    values = {}
    for axis, made in zip(access.index, group.output.index, strict=True):
        if len(axis.terms) == 1:
            values[axis.terms[0][0]] = made
    used = {name for value in values.values() for name, _ in value.terms} | (nest.extents.keys() - values.keys())
    joined = nest.substitute(values, restrict(group.loops, used))
    nodes = group.nodes if statement.node.name in group.nodes else (*group.nodes, statement.node.name)
    label = group.operation if nodes == group.nodes else f"{group.operation}+{statement.node.operation}"
    touched = {joined.output.tensor, *(a.tensor for a in joined.reads)}
    return Group(nodes, label, group.loops, (*group.nests, joined), group.tensors | {t: tensors[t] for t in touched})


def _split_windows(group: Group, nest: Nest, access: Access) -> tuple[Group, Nest]:
    """Split each loop of the group that a window covers into a loop over windows and one inside the window."""
    for axis, made in zip(access.index, group.output.index, strict=True):
        if len(axis.terms) < 2:
            continue
        (outer, stride), (inner, _) = axis.terms
        old = made.terms[0][0]
        names = (f"{old}_{outer}", f"{old}_{inner}")
        sizes = (nest.extents[outer], nest.extents[inner])
        split = {old: Affine(((names[0], stride), (names[1], 1)))}
        loops: list[tuple[str, int]] = []
        for loop in group.loops:
            loops += zip(names, sizes, strict=True) if loop[0] == old else [loop]
        group = _substitute(group, split, tuple(loops))
        renames = {outer: Affine(((names[0], 1),)), inner: Affine(((names[1], 1),))}
        swap = {outer: names[0], inner: names[1]}
        nest = nest.substitute(renames, tuple((swap.get(n, n), e) for n, e in nest.loops))
    return group, nest


def _substitute(group: Group, values: dict[str, Affine], loops: tuple[tuple[str, int], ...]) -> Group:
    nests = []
    for nest in group.nests:
        used = {n for a in (nest.output, *nest.reads) for axis in a.index for n, _ in axis.substitute(values).terms}
        kept = used | {n for n, _ in nest.loops if n not in values}
        nests.append(nest.substitute(values, restrict(loops, kept)))
    return Group(group.nodes, group.operation, loops, tuple(nests), group.tensors)
