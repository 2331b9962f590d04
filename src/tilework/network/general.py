"""Operations that cover whole families: reductions over axes, work for the host, and what nobody has stated yet."""

from __future__ import annotations

from math import prod

from tilework.network.host import WORK
from tilework.network.nest import Nest
from tilework.network.operation import Expansion, Shape, Shapes, averaged, loops_over, operation, require
from tilework.network.text import parse_nest

UNKNOWN = "unknown"


@operation("x")
def reduce(
    s: Shapes, what: str = "sum", axes: tuple[int, ...] = (), keep: bool = False, update: str = "+=", mean: bool = False
) -> Expansion:
    """Sum, maximum or minimum over some axes of x, as `update` says; with `mean` divided by the number of places.

    The axes are counted from the front, each given once, and none means all of them; `keep` leaves them with size 1.
    """
    x = s["x"]
    gone = set(axes or range(len(x)))
    require(
        len(gone) == len(axes or x) and gone <= set(range(len(x))),
        f"{what} must run along different axes of the shape {list(x)}, not {list(axes)}",
    )
    require(update in ("+=", "max=", "min="), f"reduce must update by +=, max= or min=, not {update!r}")
    require(update == "+=" or not mean, "only a sum can become a mean")
    shape = tuple(1 if axis in gone else size for axis, size in enumerate(x))
    shape = shape if keep else tuple(size for axis, size in enumerate(x) if axis not in gone)
    first, target = _reduction(x, gone, keep, update)
    if not mean:
        return Expansion(shape, (first,))
    loops, index = target
    divide = parse_nest(f"{loops}: o[{index}] = {averaged(f't[{index}]', prod(x[axis] for axis in gone))}")
    return Expansion(shape, (first.rename({"o": "t"}), divide), (("t", shape),))


def _reduction(x: Shape, gone: set[int], keep: bool, update: str) -> tuple[Nest, tuple[str, str]]:
    """The nest, and the loops and index of its output."""
    loops, index = loops_over(x)
    names = index.split(",") if index else []
    left = [name for axis, name in enumerate(names) if axis not in gone]
    place = ",".join("0" if axis in gone else name for axis, name in enumerate(names)) if keep else ",".join(left)
    outer = " ".join(f"{name}<{x[names.index(name)]}" for name in left)
    return parse_nest(f"{loops}: o[{place}] {update} x[{index}]"), (outer, place)


@operation("x*?")
def nests(s: Shapes, what: str = "", body: str = "", shape: tuple[int, ...] = ()) -> Expansion:
    """Any nests over the inputs x0, x1, … that make a tensor o of this shape.

    `body` has them as text, a `;` between two. Where none of them writes, o is 0 (with max= and min= the identity).
    `what` is the name that tables show.
    """
    require(all(size > 0 for size in shape), f"nests must make positive sizes, not {list(shape)}")
    made = tuple(map(parse_nest, body.split(";")))
    for nest in made:
        fits = nest.output.tensor == "o" and len(nest.output.index) == len(shape)
        fits = fits and all(len(read.index) == len(s.get(read.tensor, ())) and read.tensor in s for read in nest.reads)
        require(fits, f"nests must make o of {', '.join(s)}, with an index for each axis, which this does not: {nest}")
        for read in nest.reads:
            bounds = (axis.bounds(nest.extents) for axis in read.index)
            inside = all(low >= 0 and high < n for (low, high), n in zip(bounds, s[read.tensor], strict=True))
            require(inside or read.pad is not None, f"a read outside {read.tensor} must have a pad value in {nest}")
    return Expansion(shape, made)


@operation("x*?")
def host(
    s: Shapes,
    what: str = "",
    shape: tuple[int, ...] = (),
    part: int = 0,
    sequence: tuple[int, ...] = (),
    how: str = "",
) -> Expansion:
    """Work that isn't affine and runs on the host: a row of `network.host.WORK`, whose value has this shape.

    `shape` is the largest where it depends on values. An operation with several results is a node for each `part`;
    the work is that of part 0. A constant of one axis may be an arithmetic `sequence`: its first number and its step.
    `how` names the rule that gives the value, with its numbers, for those that have one (`network.host_rules`).
    """
    require(what in WORK, f"the host's work must be one of {', '.join(WORK)}, not {what!r}")
    require(all(size > 0 for size in shape), f"{what} must give positive sizes, not {list(shape)}")
    fits = not sequence or (what == "constant" and len(shape) == 1 and len(sequence) == 2)
    require(fits, f"a sequence must be the first number and the step of a constant of one axis, not {list(sequence)}")
    work = {} if part else WORK[what](tuple(s.values()), shape)
    return Expansion(shape, work=tuple((kind, number) for kind, number in work.items() if number))


@operation("x*?")
def unknown(s: Shapes, what: str = "", shape: tuple[int, ...] = (), part: int = 0) -> Expansion:
    """An operation that no table states: its value has this shape, and what it computes is not known."""
    require(bool(what), "an unknown operation must say what it is called")
    require(all(size > 0 for size in shape), f"{what} must give positive sizes, not {list(shape)}")
    return Expansion(shape, work=() if part else ((UNKNOWN, 1),))
