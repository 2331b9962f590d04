"""The decoder's state diagrams as a drawing: states in layers from left to right, few crossings, text of SVG.

Layers are by the longest path from the first state; an edge over several layers passes through points between them,
which are ordered and placed like states (Sugiyama et al., 1981).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

from tilework.errors import OutputError
from tilework.files import replacing
from tilework.isa.decoder import STATES, Diagram, control_diagram, diagram_dot, diagram_text, unit_diagram

_WIDTH, _HEIGHT = 92, 34  # of a state
_GAP, _ROW, _POINT = 172, 66, 32  # between layers; between states of a layer; between points that edges pass
_LETTERS, _LINE = 26, 11  # of a label
_MARGIN, _TITLE = 24, 26
_SWEEPS = 24
_STYLE = (
    "text{font:12px sans-serif;text-anchor:middle}"
    ".l{font-size:10px;text-anchor:end;paint-order:stroke;stroke:#fff;stroke-width:4px}"
    ".t{font-size:15px;font-weight:bold;text-anchor:start}rect{fill:#eef3fa;stroke:#345}path{fill:none;stroke:#678}"
)

Edge = tuple[str, str]


@dataclass
class _Layout:
    """Where the states and the points of long edges lie; `routes` are what each edge passes, its ends included."""

    layers: list[list[str]]
    routes: dict[Edge, list[str]]
    x: dict[str, float] = field(default_factory=dict)
    y: dict[str, float] = field(default_factory=dict)


def diagram_svg() -> str:
    """Both diagrams, control above a unit, as an SVG document."""
    parts, top, width = [], 0.0, 0.0
    for diagram in (control_diagram(), unit_diagram()):
        layout = _layout(diagram)
        low, high = min(layout.y.values()), max(layout.y.values())
        shift = top + _TITLE + _MARGIN + _HEIGHT - low
        layout.y = {name: y + shift for name, y in layout.y.items()}
        parts += [f'<text class="t" x="{_MARGIN}" y="{top + _MARGIN + 6:.0f}">{diagram.name}</text>']
        parts += _drawn(diagram, layout)
        top, width = shift + high + _HEIGHT, max(width, *layout.x.values())
    size = f"{width + _WIDTH / 2 + _MARGIN:.0f} {top + _MARGIN:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{size.split()[0]}">'
    arrow = (
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" style="fill:#678;stroke:none"/></marker></defs>'
    )
    ground = '<rect width="100%" height="100%" style="fill:#fff;stroke:none"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", arrow, ground, *parts, "</svg>", ""])


def _layout(diagram: Diagram) -> _Layout:
    layout = _layers(diagram)
    near = _neighbours(layout)
    for sweep in range(_SWEEPS):
        _order(layout, near, forward=sweep % 2 == 0)
    for number, layer in enumerate(layout.layers):
        for name in layer:
            layout.x[name] = _MARGIN + _WIDTH / 2 + number * (_WIDTH + _GAP)
    for layer in layout.layers:
        layout.y |= _spread(layer, dict.fromkeys(layer, 0.0))
    for sweep in range(_SWEEPS):
        for layer in layout.layers[:: 1 if sweep % 2 else -1]:
            wanted = {
                name: sum(layout.y[other] for other in near[name]) / len(near[name]) if near[name] else 0.0
                for name in layer
            }
            layout.y |= _spread(layer, wanted)
    return layout


def _layers(diagram: Diagram) -> _Layout:
    """States by the longest path to them, and a point in every layer that an edge passes."""
    depth = dict.fromkeys(diagram.states, 0)
    for _ in diagram.states:
        for start, stop in diagram.transitions:
            depth[stop] = max(depth[stop], depth[start] + 1)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for state, layer in depth.items():
        layers[layer].append(state)
    routes = {}
    for start, stop in diagram.transitions:
        points = [f"{start} {stop} {layer}" for layer in range(depth[start] + 1, depth[stop])]
        for layer, point in enumerate(points, depth[start] + 1):
            layers[layer].append(point)
        routes[start, stop] = [start, *points, stop]
    return _Layout(layers, routes)


def _neighbours(layout: _Layout) -> dict[str, list[str]]:
    near = defaultdict(list)
    for route in layout.routes.values():
        for start, stop in pairwise(route):
            near[start].append(stop)
            near[stop].append(start)
    return near


def _order(layout: _Layout, near: dict[str, list[str]], forward: bool) -> None:
    """Sort each layer by the mean place of its neighbours in the layer before, or behind."""
    layers = layout.layers if forward else layout.layers[::-1]
    for fixed, layer in pairwise(layers):
        place = {name: number / max(1, len(fixed) - 1) for number, name in enumerate(fixed)}
        own = {name: number / max(1, len(layer) - 1) for number, name in enumerate(layer)}

        def mean(name: str, place: dict[str, float] = place, own: dict[str, float] = own) -> float:
            found = [place[other] for other in near[name] if other in place]
            return sum(found) / len(found) if found else own[name]

        layer.sort(key=mean)


def _spread(layer: list[str], wanted: dict[str, float]) -> dict[str, float]:
    """Places as near to the wanted ones as the order and the distances allow: runs that would overlap are moved."""
    offsets, total = [0.0], 0.0
    for upper, lower in pairwise(layer):
        total += (_ROW if upper in STATES or lower in STATES else _POINT) * 0.5
        total += (_ROW if upper in STATES and lower in STATES else _POINT) * 0.5
        offsets.append(total)
    runs: list[list[float]] = []  # of each run: the sum of its wanted places without their offsets, and its length
    for name, offset in zip(layer, offsets, strict=True):
        runs.append([wanted[name] - offset, 1])
        while len(runs) > 1 and runs[-2][0] / runs[-2][1] > runs[-1][0] / runs[-1][1]:
            last = runs.pop()
            runs[-1] = [runs[-1][0] + last[0], runs[-1][1] + last[1]]
    places = [start / length for start, length in runs for _ in range(int(length))]
    return {name: place + offset for name, place, offset in zip(layer, places, offsets, strict=True)}


def _drawn(diagram: Diagram, layout: _Layout) -> list[str]:
    paths, labels = [], []
    for edge, route in layout.routes.items():
        paths.append(_path(route, layout))
        if label := diagram.label(edge):
            labels += _label(label, layout, route)
    boxes = [
        f'<g><title>{escape(STATES[state])}</title><rect x="{layout.x[state] - _WIDTH / 2:.0f}" '
        f'y="{layout.y[state] - _HEIGHT / 2:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="9"/>'
        f'<text x="{layout.x[state]:.0f}" y="{layout.y[state] + 4:.0f}">{state}</text></g>'
        for state in diagram.states
    ]
    return [*paths, *labels, *boxes]


def _path(route: list[str], layout: _Layout) -> str:
    """A curve from the right side of the first state to the left side of the last."""
    points = [(layout.x[name], layout.y[name]) for name in route]
    start, stop = (points[0][0] + _WIDTH / 2, points[0][1]), (points[-1][0] - _WIDTH / 2, points[-1][1])
    text = f"M{start[0]:.0f} {start[1]:.0f}"
    for (x0, y0), (x1, y1) in pairwise([start, *points[1:-1], stop]):
        bend = x0 + (x1 - x0) * 0.25
        text += f"C{bend:.0f} {y0:.0f} {bend:.0f} {y1:.0f} {x1:.0f} {y1:.0f}"
    return f'<path d="{text}" marker-end="url(#a)"/>'


def _label(label: str, layout: _Layout, route: list[str]) -> list[str]:
    """The label's lines above the end of the edge's first stretch, where edges from one state have parted."""
    lines = wrap(label, _LETTERS)
    x = layout.x[route[1]] - (_WIDTH / 2 + 10 if len(route) == 2 else 0)
    y = layout.y[route[1]] - 4 - _LINE * (len(lines) - 1)
    return [
        f'<text class="l" x="{x:.0f}" y="{y + _LINE * number:.0f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]


_FORMATS = {".svg": diagram_svg, ".dot": diagram_dot, ".txt": diagram_text}


def write_diagram(path: str | Path) -> None:
    """Write both diagrams to a file: .svg, .dot (Graphviz) or .txt.

    Raises OutputError for another ending and a path that can't be written.
    """
    make = _FORMATS.get(Path(path).suffix)
    if make is None:
        raise OutputError(f"{path} must end with {', '.join(_FORMATS)}, to say in which format it is; rename it")
    with replacing(path) as file:
        file.write(make().encode())
