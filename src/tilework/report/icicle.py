"""A picture of where a network's cost is: modules from the top down, each as wide as its share of a quantity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilework.cost.characters import shortened, visible
from tilework.cost.count import Count
from tilework.cost.families import FAMILIES, family
from tilework.cost.record import Record
from tilework.cost.table_text import share_text
from tilework.cost.tree import DEEPEST, Branch, tree
from tilework.cost.view import QUANTITIES, quantity_of
from tilework.errors import NetworkError
from tilework.plain import quantity as with_prefix
from tilework.report.picture import INK, SOFT, picture, picture_suffix

# Pixels, at 100 to the inch.
WIDTH, MARGIN, TITLE, LEGEND = 1600, 40, 92, 34
SPAN = WIDTH - 2 * MARGIN
MODULE_HEIGHT, LAYER_HEIGHT = 34, 240
THIN = 1.5  # what is narrower is drawn together with its neighbours of that kind
EDGED = 4.0  # what is narrower has no white edge
PADDING = 6
LONGEST = 48  # characters of a name

GREYS = ("#d5dbe2", "#e2e7ec", "#edf0f3")  # modules, by level


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, from the top left; what it shows and how much of the whole that is.

    `what` is a layer's operation, and "" for a module.
    """

    left: float
    top: float
    width: float
    height: float
    label: str
    what: str
    share: float
    colour: str


def icicle(
    count: Count, path: str | Path, quantity: str = "macs", depth: int | None = None, everything: bool = False
) -> None:
    """Draw the modules and layers of a count, as wide as their shares of `quantity`, into an .svg or .png file.

    `depth` is the number of levels below the network to draw; `everything` draws repeated blocks one by one. The same
    count gives the same bytes. Raises OutputError for another ending and a path that can't be written, NetworkError
    for an unknown quantity, one of which the network has none, and a depth below 1, and MissingPackageError without
    matplotlib.
    """
    picture_suffix(path)
    if depth is not None and depth < 1:
        raise NetworkError(f"the depth must be at least 1, not {depth}")
    of = quantity_of(quantity).of
    if not of(count.total):
        name = QUANTITIES[quantity].name
        raise NetworkError(
            f"a picture shows shares of the {name}, and {count.network} has none; choose another quantity"
        )
    _draw(count, quantity, tree(count, fold=not everything), depth, path)


def _levels(branch: Branch, depth: int) -> int:
    """How many levels of modules are drawn as such, the network's own among them."""
    inner = (child for child in branch.children if child.children and depth > 1)
    return 1 + max((_levels(child, depth - 1) for child in inner), default=0)


def boxes(root: Branch, of: Callable[[Record], int], depth: int | None = None) -> list[Box]:
    """The rectangles, modules before what lies in them; the lowest reach down to the picture's end."""
    found: list[Box] = []
    deepest = DEEPEST if depth is None else depth
    bottom = TITLE + _levels(root, deepest) * MODULE_HEIGHT + LAYER_HEIGHT
    whole = of(root.row)

    def place(branch: Branch, left: float, above: int, level: int) -> None:
        times = above * branch.times
        top = TITLE + level * MODULE_HEIGHT
        share = times * of(branch.row) / whole
        lowest = not branch.children or level == deepest
        height = bottom - top if lowest else MODULE_HEIGHT
        colour = FAMILIES[_main_family([branch], of)] if lowest else GREYS[min(level, len(GREYS) - 1)]
        what = visible(branch.row.operation) if lowest else ""
        found.append(Box(left, top, share * SPAN, height, _label(branch, times), what, share, colour))
        if not lowest:
            below(branch, left, times, level + 1)

    def below(branch: Branch, left: float, times: int, level: int) -> None:
        shares = [(times * child.times * of(child.row) / whole, child) for child in branch.children]
        thin = [(share, child) for share, child in shares if 0 < share * SPAN < THIN]
        for share, child in shares:
            if share * SPAN >= THIN or (share and len(thin) == 1):
                place(child, left, times, level)
                left += share * SPAN
        if len(thin) > 1:
            top, rest = TITLE + level * MODULE_HEIGHT, sum(share for share, _ in thin)
            colour = FAMILIES[_main_family([child for _, child in thin], of)]
            found.append(Box(left, top, rest * SPAN, bottom - top, f"{len(thin):,} others", "others", rest, colour))

    place(root, MARGIN, 1, 0)
    return found


def _main_family(branches: Iterable[Branch], of: Callable[[Record], int]) -> str:
    return max(_families(branches, of).items(), key=lambda item: item[1])[0]


def _families(branches: Iterable[Branch], of: Callable[[Record], int]) -> dict[str, int]:
    """How much of the quantity each family has in these branches."""
    parts: dict[str, int] = {}
    for branch in branches:
        for inner, times in branch.walk():
            if not inner.children:
                name = family(inner.row)
                parts[name] = parts.get(name, 0) + times * of(inner.row)
    return parts


def _label(branch: Branch, times: int) -> str:
    name = branch.label if branch.times == 1 else f"{branch.label} … {branch.last}"
    return shortened(f"{times:,} × {visible(name)}" if times > 1 else visible(name), LONGEST)


def _draw(count: Count, quantity: str, root: Branch, depth: int | None, path: str | Path) -> None:
    found = boxes(root, QUANTITIES[quantity].of, depth)
    bottom = max(box.top + box.height for box in found)
    height = bottom + 2 * LEGEND
    with picture(path, WIDTH, height) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        pen = Pen(axes, figure.canvas.get_renderer())
        _title(pen, count, quantity)
        pen.fill(found)
        for box in found:
            _write(pen, box)
        _legend(pen, root, quantity, bottom + LEGEND)


@dataclass(frozen=True)
class Pen:
    """Draws on axes whose unit is a pixel, and measures text."""

    axes: Any
    renderer: Any

    def fill(self, found: list[Box]) -> None:
        """All rectangles at once."""
        from matplotlib.collections import PolyCollection

        corners = [
            ((b.left, b.top), (right, b.top), (right, bottom), (b.left, bottom))
            for b in found
            for right, bottom in ((b.left + b.width, b.top + b.height),)
        ]
        edges = [0.8 if box.width >= EDGED else 0.0 for box in found]
        colours = [box.colour for box in found]
        self.axes.add_collection(
            PolyCollection(corners, facecolors=colours, edgecolors="white", linewidths=edges), autolim=False
        )

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        """A text at pixels from the top left; names are no mathematics."""
        self.axes.text(x, y, text, parse_math=False, **options)

    def width(self, text: str, size: float) -> float:
        """The text's width in pixels."""
        from matplotlib.font_manager import FontProperties

        found: float = self.renderer.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]
        return found


def _title(pen: Pen, count: Count, quantity: str) -> None:
    q = QUANTITIES[quantity]
    total = q.of(count.total)
    pen.text(MARGIN, 40, shortened(visible(count.network), 60), size=17, weight="bold", color=INK)
    amount = f"{total:,} {q.name} ({with_prefix(total, q.unit).rstrip()})"
    pen.text(WIDTH - MARGIN, 40, amount, size=13, color=INK, ha="right")
    said = f"From the top down: the network, its modules, their layers. The width is the share of the {q.name}."
    pen.text(MARGIN, 70, said, size=10, color=SOFT)


def _write(pen: Pen, box: Box) -> None:
    """The label, with its share or without, across the box or, in a narrow one, upwards; or nothing."""
    colour = _ink(box.colour)
    x, y = box.left + box.width / 2, box.top + box.height / 2
    for text, size, up in _choices(box):
        lines = text.split("\n")
        length = max(pen.width(line, size) for line in lines)
        thickness = len(lines) * size * 100 / 72 * 1.2
        across, along = (thickness, length + PADDING) if up else (length + PADDING, thickness)
        if across <= box.width and along <= box.height:
            rotation = 90 if up else 0
            pen.text(x, y, text, size=size, color=colour, ha="center", va="center", rotation=rotation, linespacing=1.3)
            return


def _choices(box: Box) -> Iterator[tuple[str, float, bool]]:
    """Texts, sizes and whether they run upwards, the best first."""
    label, share = box.label, share_text(box.share)
    if not box.what:
        yield f"{label} · {share}", 10.5, False
        yield label, 10.5, False
        yield label, 8.5, False
        return
    what = "" if box.what in label else box.what
    for size, up in ((10.5, False), (8.5, False), (9.5, True), (7.5, True)):
        gap = " · " if up else "\n"
        yield gap.join(filter(None, (label, what, share))), size, up
        yield f"{label}{gap}{share}", size, up
    yield label, 7.5, True


def _ink(colour: str) -> str:
    """Black or white, whichever is read more easily on a colour (relative luminance of WCAG 2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return INK if luminance > 0.22 else "#ffffff"


def _legend(pen: Pen, root: Branch, quantity: str, y: float) -> None:
    """The families that take part, the largest first."""
    of = QUANTITIES[quantity].of
    parts = {name: part for name, part in _families([root], of).items() if part}
    left = float(MARGIN)
    for name, part in sorted(parts.items(), key=lambda item: -item[1]):
        share = part / of(root.row)
        text = f"{name} {share_text(share)}"
        pen.text(left, y, "■", size=13, color=FAMILIES[name], va="center")
        pen.text(left + 20, y, text, size=10.5, color=INK, va="center")
        left += 20 + pen.width(text, 10.5) + 28
