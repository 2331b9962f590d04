"""Lists of tensors, known by the names of their members, and values that may be missing."""

from __future__ import annotations

from tilework.frontend.from_onnx.site import Site, operator


def _members(s: Site, place: int = 0) -> list[str]:
    found = s.importer.sequences.get(s.inputs[place])
    if found is None:
        s.unsupported()
    return found


def _keep(s: Site, members: list[str]) -> None:
    s.importer.sequences[s.outputs[0]] = members


def _position(s: Site, place: int, count: int, default: int) -> int:
    """A place in a list, from the end where below 0."""
    position = int(s.scalar(place, "the position", default))
    if not -count <= position < max(count, 1):
        s.fail(f"the position must be one of {count}, not {position}")
    return position % count if count else 0


@operator("SequenceEmpty")
def _empty(s: Site) -> None:
    _keep(s, [])


@operator("SequenceConstruct")
def _construct(s: Site) -> None:
    _keep(s, list(s.inputs))


@operator("SequenceAt")
def _at(s: Site) -> None:
    members = _members(s)
    if not members:
        s.fail("its list must have a member")
    s.same(members[_position(s, 1, len(members), 0)])


@operator("SequenceInsert")
def _insert(s: Site) -> None:
    members = list(_members(s))
    members.insert(_position(s, 2, len(members) + 1, len(members)) if s.given(2) else len(members), s.inputs[1])
    _keep(s, members)


@operator("SequenceErase")
def _erase(s: Site) -> None:
    members = list(_members(s))
    if not members:
        s.fail("its list must have a member")
    del members[_position(s, 1, len(members), len(members) - 1)]
    _keep(s, members)


@operator("SequenceLength")
def _length(s: Site) -> None:
    s.state([len(_members(s))], "int64", ())


@operator("ConcatFromSequence")
def _concat(s: Site) -> None:
    members = _members(s)
    shapes = [s.importer.shape(name) for name in members]
    if not members:
        s.fail("its list must have a member")
    new = bool(s.integer("new_axis", 0))
    axis = s.axis(s.integer("axis", 0), len(shapes[0]) + new)
    values = [s.importer.reference(name) for name in members]
    if new:
        values = [
            s.reshaped(v, (*n[:axis], 1, *n[axis:]), f"row{i}")
            for i, (v, n) in enumerate(zip(values, shapes, strict=True))
        ]
    s.emit("concat", *values, axis=axis)


@operator("SplitToSequence")
def _split(s: Site) -> None:
    """Into parts of given sizes, into equal ones, or place by place."""
    own = s.shape()
    axis = s.axis(s.integer("axis", 0), len(own))
    size = own[axis]
    if not s.given(1):
        parts = [1] * size
    elif s.shape(1):
        parts = list(s.integers(1, "the parts"))
    else:
        step = int(s.scalar(1, "the size", 1))
        if step < 1:
            s.fail(f"the size of a part must be at least 1, not {step}")
        parts = [min(step, size - start) for start in range(0, size, step)]
    if sum(parts) != size or min(parts) < 1 or len(parts) > 1 << 12:
        s.fail(f"its parts must make up the {size} places of axis {axis}, not {parts[:8]}")
    members, start = [], 0
    for number, part in enumerate(parts):
        value = s.emit("slice", s.reference(0), to=f"part{number}", axis=axis, start=start, size=part)
        whole = (*own[:axis], *own[axis + 1 :])
        squeezed = not s.given(1) and not s.integer("keepdims", 1)
        members.append(s.emit("reshape", value, to=f"place{number}", shape=whole) if squeezed else value)
        start += part
    _keep(s, members)


@operator("Optional", "OptionalGetElement")
def _optional(s: Site) -> None:
    if not s.inputs:
        s.unsupported()
    name = s.inputs[0]
    if name in s.importer.sequences:
        _keep(s, s.importer.sequences[name])
    else:
        s.same(name)


@operator("OptionalHasElement")
def _has_element(s: Site) -> None:
    s.state([bool(s.inputs)], "bool", ())
