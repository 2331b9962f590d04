"""What all pictures share: their style, and a file that appears whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

from tilework.errors import MissingPackageError, OutputError
from tilework.files import replacing

SUFFIXES = (".svg", ".png")
INK, SOFT = "#1d2329", "#69737d"
COLOURS = ("#3568a8", "#d9822b", "#3f8f5b", "#a4483e", "#7a5ba6", "#8a6d3b", "#4c9aa5", "#b05c8e", "#69737d")
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "svg.fonttype": "none",
    "svg.hashsalt": "tilework",
    "text.usetex": False,
    "text.parse_math": False,
}


def picture_suffix(path: str | Path) -> str:
    """The ending of a picture's name; raises OutputError for another than .svg and .png."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"a picture's name must end in {' or '.join(SUFFIXES)}, unlike {str(path)!r}")
    return suffix


@contextmanager
def picture(path: str | Path, width: float, height: float) -> Iterator[Any]:
    """A matplotlib Figure of that size in pixels, written to an .svg or .png file at the end.

    The same drawing gives the same bytes. Raises OutputError for another ending and a path that can't be written,
    MissingPackageError without matplotlib.
    """
    suffix = picture_suffix(path)
    try:
        matplotlib = import_module("matplotlib")
    except ImportError:
        raise MissingPackageError("a picture needs the package matplotlib: pip install 'tilework[plot]'") from None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out = io.BytesIO()
    with matplotlib.rc_context(STYLE), catch_warnings():
        filterwarnings("ignore", "Glyph .* missing")  # a name may be in any script
        figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(out, format=suffix[1:], dpi=200, metadata={"Date": None} if suffix == ".svg" else None)
    with replacing(path) as file:
        file.write(out.getvalue())
