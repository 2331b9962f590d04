"""Subgraphs: If, Loop and Scan written out, round by round.

What cannot be known before the network runs is taken once and followed by a node `unknown` that bears its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilework.frontend.from_onnx.constants import computed, listed, nothing
from tilework.frontend.from_onnx.messages import Graph
from tilework.frontend.from_onnx.site import SMALL, Site, operator
from tilework.network.nest import CONTRACTION
from tilework.network.operations import expand

WRITTEN_LIMIT = 100_000  # nodes of a loop that is written out
ENDLESS = 1_000  # rounds of a loop that ends by a condition alone
WHILE = 2**31 - 1  # from here on a number of rounds says that there is none


@operator("If")
def _if(s: Site) -> None:
    """The branch that a constant condition takes, else the one with more MACs, named as unknown."""
    branches = [s.graph("then_branch"), s.graph("else_branch")]
    condition = _truth(s, s.inputs[0])
    if condition is not None:
        _outputs(s, s.importer.inline(s, branches[0 if condition else 1], {}), certain=True)
    else:
        taken = max(branches, key=lambda branch: _trial(s, branch))  # the first where they are equal
        _outputs(s, s.importer.inline(s, taken, {}), certain=False)


def _truth(s: Site, name: str) -> bool | None:
    """What a condition is, where that is known; one left out always holds."""
    if not name:
        return True
    found = s.importer.constants.get(name)
    return None if found is None or found.elements != 1 else bool(found.numbers()[0])


def _trial(s: Site, branch: Graph) -> int:
    """The MACs of a branch, which is read and forgotten."""
    with s.importer.trial() as nodes:
        s.importer.inline(s, branch, {})
        macs = 0
        for node in nodes():
            nests = expand(node.operation, tuple(map(s.importer.shape_read, node.inputs)), node.attributes).nests
            macs += sum(nest.iterations for nest in nests if nest.kind == CONTRACTION)
    return macs


def _outputs(s: Site, names: Sequence[str], certain: bool) -> None:
    """The outputs are these values or, where not certain, values of their shapes that depend on them."""
    importer = s.importer
    if len(names) < len(s.outputs):
        s.fail(f"its subgraph must have {len(s.outputs)} outputs, not {len(names)}")
    wanted = [place for place in range(len(s.outputs)) if s.wanted(place)]
    for part, place in enumerate(wanted):
        name = names[place]
        if certain or name in importer.sequences or 0 in importer.shape(name):
            s.same(name, place)
        else:
            value = importer.reference(name)
            s.emit("unknown", value, out=place, what=s.operator, shape=importer.shape_read(value), part=part)


@operator("Loop")
def _loop(s: Site) -> None:
    """Round after round while the number of rounds and the condition are known; else one, named as unknown."""
    body, inputs = s.graph("body"), [*s.inputs, "", ""][: max(2, len(s.inputs))]
    formal, carried = [info.name for info in body.input], len(inputs) - 2
    if len(formal) != carried + 2 or len(body.output) < carried + 1:
        s.fail(f"its body must take {carried + 2} values and give at least {carried + 1}")
    limit = _limit(s, inputs[0])
    certain = limit is not None and limit * len(body.node) <= WRITTEN_LIMIT
    most = limit if limit is not None and certain else ENDLESS if _endless(s, *inputs[:2]) else 1
    state, members = inputs[1:], list[list[str]]()
    for number in range(most):
        truth = _truth(s, state[0])
        if truth is False or (truth is None and number):
            certain = truth is False
            break
        certain &= truth is not None
        given = dict(zip(formal[2:], state[1:], strict=True))
        given[formal[0]] = _constant(s, number, "int64", f"round{number}")
        given[formal[1]] = state[0] or _constant(s, True, "bool", "always")
        results = s.importer.inline(s, body, given)
        condition = results[0] if inputs[1] else ""
        state = [condition, *results[1 : carried + 1]]
        members.append(results[carried + 1 :])
        if truth is None:
            break
    certain |= _truth(s, state[0]) is False
    rows = [
        _stacked(s, [member[place] for member in members], 0, carried + place)
        for place in range(len(body.output) - carried - 1)
    ]
    _outputs(s, [*state[1:], *rows], certain)


def _limit(s: Site, name: str) -> int | None:
    """The most rounds; None where there is no such number, or the network computes it."""
    found = s.importer.constants.get(name) if name else None
    if found is None or found.elements != 1:
        return None
    rounds = int(found.numbers()[0])
    return rounds if rounds < WHILE else None


def _endless(s: Site, limit: str, condition: str) -> bool:
    """Whether only a condition ends the loop."""
    found = s.importer.constants.get(limit)
    return bool(condition) and (not limit or (found is not None and found.numbers()[0] >= WHILE))


def _constant(s: Site, value: int, dtype: str, to: str) -> str:
    name = s.importer.new(f"{s.name}:{to}")
    s.importer.constants[name] = listed(name, [value], dtype, ())
    return name


def _stacked(s: Site, names: Sequence[str], axis: int, out: int) -> str:
    """Values of each round behind one another along a new axis; the name of the whole."""
    importer = s.importer
    found = [importer.constants.get(name) for name in names]
    if not names:
        name = s.importer.new(f"{s.name}:rows{out}")
        importer.constants[name] = nothing(name, "float32", (0,))
        return name
    if all(constant is not None and constant.elements * len(names) <= SMALL for constant in found):
        import numpy as np

        name = importer.new(f"{s.name}:rows{out}")
        importer.constants[name] = computed(name, np.stack([c.value() for c in found if c is not None], axis))
        return name
    shape = importer.shape(names[0])
    axis = s.axis(axis, len(shape) + 1)
    parts = []
    for number, name in enumerate(names):
        own = importer.shape(name)
        parts.append(s.reshaped(importer.reference(name), (*own[:axis], 1, *own[axis:]), f"row{out}_{number}"))
    return parts[0] if len(parts) == 1 else s.emit("concat", *parts, to=f"rows{out}", axis=axis)


@operator("Scan")
def _scan(s: Site) -> None:
    """A round for each place along the scanned axes; where these are too many to write out, one, named as unknown."""
    body, scanned = s.graph("body"), s.integer("num_scan_inputs", 0)
    carried = len(s.inputs) - scanned
    if s.opset < 9:
        s.unsupported()
    if scanned < 1 or carried < 0 or len(body.input) != len(s.inputs) or len(body.output) < carried:
        s.fail(f"its body must take {len(s.inputs)} values, the last {scanned} of them scanned")
    axes = s.ints("scan_input_axes") or (0,) * scanned
    turned = s.ints("scan_input_directions") or (0,) * scanned
    if len(axes) != scanned or len(turned) != scanned:
        s.fail(f"it must have an axis and a direction for each of {scanned} scanned inputs")
    axes = tuple(s.axis(axis, len(s.shape(carried + place))) for place, axis in enumerate(axes))
    length = min(s.shape(carried + place)[axis] for place, axis in enumerate(axes))
    certain = length * len(body.node) <= WRITTEN_LIMIT
    state, members = s.inputs[:carried], list[list[str]]()
    for number in range(length if certain else 1):
        given = dict(zip([info.name for info in body.input], state, strict=False))
        for place, axis in enumerate(axes):
            source = length - 1 - number if turned[place] else number
            given[body.input[carried + place].name] = _row(s, carried + place, axis, source, number)
        results = s.importer.inline(s, body, given)
        state, row = results[:carried], results[carried:]
        members.append(row)
    _outputs(s, [*state, *_scanned(s, members, carried)], certain)


def _row(s: Site, place: int, axis: int, source: int, number: int) -> str:
    """One place of a scanned input."""
    own = s.shape(place)
    value = s.emit("slice", s.reference(place), to=f"slice{place}_{number}", axis=axis, start=source, size=1)
    return s.emit("reshape", value, to=f"scanned{place}_{number}", shape=(*own[:axis], *own[axis + 1 :]))


def _scanned(s: Site, members: list[list[str]], carried: int) -> list[str]:
    count = len(members[0]) if members else 0
    axes, turned = s.ints("scan_output_axes") or (0,) * count, s.ints("scan_output_directions") or (0,) * count
    if len(axes) != count or len(turned) != count:
        s.fail(f"it must have an axis and a direction for each of {count} outputs")
    rows = []
    for place in range(count):
        names = [member[place] for member in members]
        rows.append(_stacked(s, names[::-1] if turned[place] else names, axes[place], carried + place))
    return rows
