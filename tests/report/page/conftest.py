"""Networks and pages that the tests of a page share."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.network.graph import Graph, GraphBuilder
from tilework.report.page.subject import Subject, subject_of
from tilework.report.page.write import write

HOSTILE = "</script><img src=x onerror=alert(1)>"
MODULE = "<svg onload=alert(2)>"


def residual(name: str = "residual", first: str = "conv1") -> Graph:
    """A convolution with its batch normalisation, two blocks with a skip, a classifier."""
    b = GraphBuilder(name)
    x = b.node(first, "conv2d", b.input("x", (1, 3, 16, 16)), b.weight("w0", (8, 3, 3, 3)), padding=(1, 1), module="")
    names = ("scale", "shift", "mean", "variance")
    x = b.node("bn1", "batch_norm", x, *(b.weight(f"bn1.{one}", (8,)) for one in names))
    for block in (0, 1):
        module = f"{MODULE}.{block}"
        y = b.node(
            f"{module}.conv", "conv2d", x, b.weight(f"w{block + 1}", (8, 8, 3, 3)), padding=(1, 1), module=module
        )
        y = b.node(f"{module}.relu", "relu", y, module=module)
        x = b.node(f"{module}.add", "add", x, y, module=module)
    x = b.node("flat", "flatten", x)
    return b.graph(b.node("fc", "linear", x, b.weight("fc.weight", (10, 2048)), b.weight("fc.bias", (10,))))


def chain(nodes: int) -> Graph:
    """So many layers, four to a block, a thousand to a stage."""
    b = GraphBuilder("chain")
    x = b.input("x", (1, 8, 8, 8))
    for number in range(nodes // 4):
        module = f"stage{number // 250}.block{number % 250}"
        y = b.node(f"{module}.conv", "conv2d", x, b.weight(f"{module}.w", (8, 8, 3, 3)), padding=(1, 1))
        y = b.node(f"{module}.tanh", "tanh", b.node(f"{module}.relu", "relu", y))
        x = b.node(f"{module}.add", "add", x, y)
    return b.graph(x)


def unpacked(page: str) -> dict[str, Any]:
    """The islands of a page by name."""
    found = re.findall(r'<script type="text/plain" id="(\w+)">([A-Za-z0-9+/=]*)</script>', page)
    return {name: json.loads(gzip.decompress(b64decode(text))) for name, text in found}


@pytest.fixture(scope="session")
def hostile() -> Subject:
    """A network with hostile names on four cores, and two machines beside it."""
    return subject_of(residual(HOSTILE, HOSTILE), "dlp-m4", ("dlp-s", "t4"), fused=False)


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Subject], Path]:
    """Writes a subject's page, each only once."""
    known: dict[int, tuple[Subject, Path]] = {}

    def written(subject: Subject) -> Path:
        if id(subject) not in known:
            path = tmp_path_factory.mktemp("page") / "page.html"
            write(subject, path)
            known[id(subject)] = subject, path
        return known[id(subject)][1]

    return written
