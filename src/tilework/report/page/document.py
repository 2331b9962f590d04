"""One HTML file from its parts: styles, libraries, scripts, and the data, compressed.

The data lie in islands, JSON compressed with gzip and written in base64, so that no name of a user's can end an island
or a script. The page's policy lets only these scripts run, by their hashes, and lets nothing be loaded from anywhere.
"""

from __future__ import annotations

import gzip
import json
import tomllib
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

STYLES = ("page.css", "table.css", "panel.css")
SCRIPTS = (
    "base.js",
    "selection.js",
    "table.js",
    "treemap.js",
    "roofline.js",
    "memory.js",
    "events.js",
    "timeline.js",
    "folding.js",
    "graph.js",
    "panel.js",
    "main.js",
)


def island(value: Any) -> str:
    """JSON-able data as compressed text of letters, digits, `+`, `/` and `=`; the same data give the same text."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def page(network: str, machine: str, summary: str, islands: Mapping[str, str], made: str) -> str:
    """The document. `summary` is HTML, the other texts are not."""
    scripts = [_library_text(name) for name in libraries()] + [_own("\n".join(map(_static, SCRIPTS)))]
    tags = "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in islands.items())
    return Template(_static("page.html")).substitute(
        policy=_policy(scripts),
        title=escape(f"{network} on {machine}"),
        style="\n".join(map(_static, STYLES)),
        network=escape(network),
        machine=escape(machine),
        summary=summary,
        made=f"{escape(made)} {_credits()}",
        islands=tags,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


@cache
def libraries() -> dict[str, dict[str, str]]:
    """The table of the libraries in the page: package, version, licence, and the hashes of their files."""
    return tomllib.loads(_data("vendor/libraries.toml"))


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"


def _own(text: str) -> str:
    return f'\n"use strict";\n(() => {{\n{text}}})();\n'


def _library_text(name: str) -> str:
    licence = _data(f"vendor/{name}.LICENSE").replace("*/", "* /")
    return f"/*\n{licence}*/\n{_data(f'vendor/{name}.min.js')}"


def _credits() -> str:
    named = (
        f'<a href="{row["homepage"]}">{row["package"]}</a> {row["version"]} ({row["licence"]})'
        for row in libraries().values()
    )
    return f"Drawn with {' and '.join(named)}."


def _static(name: str) -> str:
    return _data(f"static/{name}")


@cache
def _data(path: str) -> str:
    return files("tilework.report.page").joinpath(path).read_text("utf-8")
