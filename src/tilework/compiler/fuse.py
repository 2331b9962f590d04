"""From a graph to groups: which nests share a tile, so that what lies between them stays on chip.

An elementwise nest joins the group that makes its operand, and so does a pooling whose windows tile its input
without overlap: then its loops are a split of the group's loops and nothing is computed twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tilework.compiler.group import Group, restrict
from tilework.compiler.reshape import absorb, absorbs, copies
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import COPY, ELEMENTWISE, REDUCTION, Access, Affine, Nest

MAX_NESTS = 16  # of a group: each may bring operands, which share the scratchpad and the tokens


@dataclass(frozen=True)
class _Statement:
    node: Node
    nest: Nest


def fuse(graph: Graph, across: bool = True) -> tuple[Group, ...]:
    """The groups of a graph, in an order in which they can run; unless `across`, only nests of one node share any."""
    statements, tensors = _statements(graph)
    reads = Counter(a.tensor for s in statements for a in s.nest.reads) + Counter(graph.outputs)
    writes = Counter(s.nest.output.tensor for s in statements)
    passing = {name for name, times in writes.items() if times == reads[name] == 1}
    groups: list[Group] = []
    made_by: dict[str, int] = {}
    for statement in statements:
        place = _joins(statement, groups, made_by, passing)
        if place is None or not (across or groups[place].name == statement.node.name):
            place = len(groups)
            groups.append(_start(statement, tensors))
        else:
            groups[place] = _join(groups[place], statement, tensors)
        made_by[statement.nest.output.tensor] = place
    return tuple(groups)


def _statements(graph: Graph) -> tuple[list[_Statement], dict[str, Tensor]]:
    """Every nest of the graph, reshapes absorbed into the contractions that read them or made copies."""
    tensors = dict(graph.tensors)
    aliases = {n.name: n.inputs[0] for n in graph.nodes if graph.expansion(n).is_alias}
    wanted = _must_exist(graph, aliases)
    statements: list[_Statement] = []
    for node in graph.nodes:
        tensors |= {t.name: t for t in graph.temporaries(node)}
        if node.name in wanted:
            nests, between = copies(tensors[node.inputs[0]], tensors[node.name])
            tensors |= {t.name: t for t in between}
            statements += [_Statement(node, nest) for nest in nests]
        elif node.name not in aliases:
            absorbed = set(node.inputs) & (aliases.keys() - wanted)
            statements += [_Statement(node, _absorb(nest, absorbed, aliases, tensors)) for nest in graph.nests(node)]
    return statements, tensors


def _must_exist(graph: Graph, aliases: dict[str, str]) -> set[str]:
    """Aliases that must be made as tensors: outputs, and those that something reads and cannot absorb.

    A contraction absorbs one alias that it reads once: two reads would have to be split alike.
    """
    wanted = aliases.keys() & set(graph.outputs)
    for node in graph.nodes:
        read = aliases.keys() & set(node.inputs)
        for name in read:
            reads = [(n, a) for n in graph.nests(node) for a in n.reads if a.tensor == name]
            shapes = graph.tensors[aliases[name]].shape, graph.tensors[name].shape
            if len(reads) != 1 or len(read) > 1 or not absorbs(*reads[0], *shapes):
                wanted.add(name)
    return wanted


def _absorb(nest: Nest, absorbed: set[str], aliases: dict[str, str], tensors: dict[str, Tensor]) -> Nest:
    for access in nest.reads:
        if access.tensor in absorbed:
            nest = absorb(nest, access, tensors[aliases[access.tensor]], tensors[access.tensor].shape)
    return nest


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
    return place if _is_pointwise(nest, access, group) or _is_window(nest, access, group) else None


def _is_pointwise(nest: Nest, access: Access, group: Group) -> bool:
    """Whether a nest goes through the whole of an operand, place by place."""
    if nest.kind not in (ELEMENTWISE, COPY) or access.index != nest.output.index or not _own_loops(nest.output):
        return False
    shape = group.tensors[access.tensor].shape
    return all(axis.bounds(nest.extents) == (0, size - 1) for axis, size in zip(access.index, shape, strict=True))


def _own_loops(access: Access) -> bool:
    """Whether each axis is a loop of its own."""
    return all(_is_loop(axis) for axis in access.index) and len(access.loops()) == len(access.index)


def _is_loop(axis: Affine) -> bool:
    """Whether an index is one loop, from 0 in steps of 1."""
    return axis == Affine(((axis.terms[0][0], 1),)) if axis.terms else False


def _is_window(nest: Nest, access: Access, group: Group) -> bool:
    """Whether a reduction's windows lie side by side, inside the tensor, and the group can be split along them."""
    if nest.kind != REDUCTION or nest.body != access or not _own_loops(nest.output):
        return False
    if nest.output.loops() - access.loops():  # the same window again
        return False
    shape = group.tensors[access.tensor].shape
    for axis, made, size in zip(access.index, group.output.index, shape, strict=True):
        low, high = axis.bounds(nest.extents)
        if low < 0 or high >= size or axis.offset:
            return False
        if len(axis.terms) > 1 and not (_is_loop(made) and _side_by_side(nest, axis)):
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
