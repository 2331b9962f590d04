"""From a graph to groups: which nests share a tile, so that what lies between them stays on chip.

An elementwise nest joins the group that makes its operand, and so does a pooling whose windows tile its input
without overlap: then its loops are a split of the group's loops and nothing is computed twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence

from tilework.compiler.group import Group, restrict
from tilework.compiler.renaming import Statement
from tilework.compiler.rows import Block, find_blocks
from tilework.compiler.statement import Statements, statements
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, COPY, ELEMENTWISE, REDUCTION, Access, Affine, Nest
from tilework.network.operation import Shape

Worth = Callable[[Group, tuple[Group, Group]], bool]
MAX_NESTS = 16  # of a group: each may bring operands, which share the scratchpad and the tokens


def fuse(graph: Graph, across: bool = True, worth: Worth | None = None) -> tuple[Group, ...]:
    """The groups of a graph, in an order in which they can run; unless `across`, only nests of one node share any."""
    return grouped(statements(graph, across), across, worth)


def grouped(given: Statements, across: bool = True, worth: Worth | None = None) -> tuple[Group, ...]:
    """The groups of a graph's nests.

    `worth` says whether a group of a contraction and of rows is better than the two apart; without it they are apart.
    """
    return _Fusion(given, across, worth).groups()


class _Fusion:
    def __init__(self, given: Statements, across: bool, worth: Worth | None) -> None:
        self.statements, self.tensors, self.across, self.worth = given.items, given.tensors, across, worth
        self.reads = Counter(a.tensor for s in given.items for a in s.nest.reads) + Counter(given.outputs)
        writes = Counter(s.nest.output.tensor for s in given.items)
        self.once = {name for name, times in writes.items() if times == 1}
        self.passing = {name for name in self.once if self.reads[name] == 1}
        self.blocks = {
            place: block for block in find_blocks(given.items, given.outputs, across) for place in block.places
        }
        self.found: list[Group] = []
        self.made_by: dict[str, int] = {}

    def groups(self) -> tuple[Group, ...]:
        for place, statement in enumerate(self.statements):
            block = self.blocks.get(place)
            if block is None:
                self.add(statement)
            elif place == block.places[-1]:
                self.add_block(block)
        return tuple(self.found)

    def add(self, statement: Statement) -> None:
        place = _joins(statement, self.found, self.made_by, self.passing)
        if place is None or not (self.across or self.found[place].name == statement.node.name):
            place = len(self.found)
            self.found.append(_start(statement, self.tensors))
        else:
            self.found[place] = _join(self.found[place], statement, self.tensors)
        self.made_by[statement.nest.output.tensor] = place

    def add_block(self, block: Block) -> None:
        """A block is a group, or goes on with the last one, if that makes what only the block reads."""
        nodes = [self.statements[place].node for place in block.places]
        alone = _block_group(block, nodes, self.tensors)
        place = len(self.found)
        if self.across and self.found:
            last = self.found[-1]
            both = self._both(last, alone)
            if both and (last.main.kind != CONTRACTION or (self.worth and self.worth(both, (last, alone)))):
                self.found.pop()
                alone, place = both, place - 1
        self.found.append(alone)
        self.made_by[alone.output.tensor] = place

    def _both(self, first: Group, then: Group) -> Group | None:
        name = first.output.tensor
        reads = [access for _, access in then.external_reads if access.tensor == name]
        times = sum(access.tensor == name for nest in then.nests for access in nest.reads)
        if len(set(reads)) != 1 or self.reads[name] != times or name not in self.once:
            return None
        shape = self.tensors[name].shape
        whole = all(axis.bounds(then.extents) == (0, n - 1) for axis, n in zip(reads[0].index, shape, strict=True))
        if len(first.nests) + len(then.nests) > MAX_NESTS or not whole or not _own_loops(reads[0]):
            return None
        return _after(first, then, reads[0])


def _start(statement: Statement, tensors: dict[str, Tensor]) -> Group:
    nest = statement.nest
    touched = {nest.output.tensor, *(a.tensor for a in nest.reads)}
    return Group((statement.node.name,), _label(statement.node), nest.loops, (nest,), {t: tensors[t] for t in touched})


def _label(node: Node) -> str:
    """What people call a node, without the sign that joins the labels of a group."""
    return node.label.replace("+", " ")


def _joins(statement: Statement, groups: list[Group], made_by: dict[str, int], passing: set[str]) -> int | None:
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
    whole = covers(nest, access, group.tensors[access.tensor].shape)
    return place if whole or _is_window(nest, access, group) else None


def covers(nest: Nest, access: Access, shape: Shape) -> bool:
    """Whether a nest goes through the whole of an operand of this shape, place by place."""
    if nest.kind not in (ELEMENTWISE, COPY) or not _own_loops(access) or access.loops() != nest.extents.keys():
        return False
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
        if axis.offset or not axis.within(nest.extents, size):
            return False
        if len(axis.terms) > 1 and not (_is_loop(made) and _side_by_side(nest, axis) and _is_free(made, group)):
            return False
    return True


def _is_free(index: Affine, group: Group) -> bool:
    """Whether no nest of a group needs all of a loop at once: a window may leave out its end."""
    return all(n in nest.output.loops() for n, _ in index.terms for nest in group.nests if n in nest.extents)


def _side_by_side(nest: Nest, axis: Affine) -> bool:
    (_, stride), (inner, step) = axis.terms[0], axis.terms[1]
    return len(axis.terms) == 2 and step == 1 and stride == nest.extents[inner]


def _block_group(block: Block, nodes: Sequence[Node], tensors: dict[str, Tensor]) -> Group:
    touched = {a.tensor for nest in block.nests for a in (nest.output, *nest.reads)}
    operations = {node.name: _label(node) for node in nodes}
    return Group(
        tuple(operations),
        "+".join(operations.values()),
        tuple(block.loops.items()),
        tuple(block.nests),
        {name: tensors[name] for name in touched},
    )


def _after(first: Group, then: Group, read: Access) -> Group:
    """Both groups as one: the loops by which the second reads the first's output become those that write it."""
    values = {axis.terms[0][0]: made for axis, made in zip(read.index, first.output.index, strict=True)}
    names: dict[str, str] = {}
    for name, _ in then.loops:
        if name not in values:
            names[name] = _fresh(name, {*first.extents, *names.values()})
    values |= {old: Affine(((new, 1),)) for old, new in names.items()}
    loops = (*first.loops, *((names[name], extent) for name, extent in then.loops if name in names))
    nests = []
    for nest in then.nests:
        used = {n for old, _ in nest.loops for n, _ in values[old].terms}
        nests.append(nest.substitute(values, restrict(loops, used)))
    operations = dict(zip(then.nodes, then.operation.split("+"), strict=True))
    operations |= dict(zip(first.nodes, first.operation.split("+"), strict=True))
    nodes = tuple(dict.fromkeys((*first.nodes, *then.nodes)))
    label = "+".join(operations[node] for node in nodes)
    return Group(nodes, label, loops, (*first.nests, *nests), first.tensors | then.tensors)


def _fresh(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _join(group: Group, statement: Statement, tensors: dict[str, Tensor]) -> Group:
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
    label = group.operation if nodes == group.nodes else f"{group.operation}+{_label(statement.node)}"
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
