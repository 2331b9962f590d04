"""3.2: multiplications, additions and all other operations of AlexNet, VGG19 and ResNet152."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Multiplications, additions and other operations of AlexNet, VGG19 and ResNet152"
QUESTION = """
How many multiplications and how many additions does one picture cost in AlexNet, VGG19 and ResNet152, kind of
layer by kind of layer and in total? And what becomes of exponentials, divisions and comparisons, which are
neither?
"""
NOTICE = """
Multiplications and additions are not the same number. A sum of R products takes R - 1 additions; with a bias
it takes R, as many as it has multiplications. ResNet152's convolutions have no bias and add less than they
multiply; its batch normalisations and shortcuts then add more than that difference.

What is neither has a column of its own. It is not turned into additions or multiplications, because its price
depends on the machine: a comparison is as cheap as an addition, a division or an exponential may take many
cycles. The powers are those of AlexNet's local response normalisation, the divisions in ResNet152 those of
batch normalisation, one per channel.

Convolutions and fully connected layers do more than 99 % of all operations: this is what accelerators are
built for.

At the edge of an image a window multiplies zeros of the padding, and so does AlexNet's normalisation at the
first and the last channels. Hardware mostly does that work, and it is counted here; the last table leaves it
out.
"""

NETWORKS = ("alexnet", "vgg19", "resnet152")
ARITHMETIC = ("multiplications", "additions")
OTHERS = ("comparison", "division", "exp", "sqrt", "power")


def answer() -> dict[str, Any]:
    """For each network a record by kind of layer and in total, and the totals without products with padding zeros."""
    return {name: _network(tw.load(name)) for name in NETWORKS}


def _network(graph: tw.Graph) -> dict[str, Any]:
    counted = tw.count(graph)
    kinds = [{"operation": row.operation, "layers": row.layers, **_record(row)} for row in counted.by("operation")]
    inside = _record(tw.count(graph, padding_zeros=False).total)
    return {
        "kinds": [kind for kind in kinds if any(kind[key] for key in (*ARITHMETIC, *OTHERS))],
        "total": _record(counted.total),
        "without_padding": {key: inside[key] for key in ARITHMETIC},
    }


def _record(row: Any) -> dict[str, int]:
    return {key: getattr(row, key) for key in ARITHMETIC} | {kind: row.other_operations.get(kind, 0) for kind in OTHERS}


def text(answer: dict[str, Any]) -> str:
    """A table per network, and one that compares with and without padding zeros."""
    parts = []
    for name, network in answer.items():
        total = {"operation": "total", "layers": sum(kind["layers"] for kind in network["kinds"]), **network["total"]}
        rows = [_cells(row) for row in (*network["kinds"], total)]
        parts += [f"{name}:", tw.table(("kind of layer", "layers", *ARITHMETIC, *OTHERS), rows)]
    return "\n\n".join((*parts, "Without products with padding zeros:", _padding(answer)))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["operation"], *(f"{row[key]:,}" if row[key] else "-" for key in ("layers", *ARITHMETIC, *OTHERS)))


def _padding(answer: dict[str, Any]) -> str:
    rows = []
    for name, network in answer.items():
        all_of_them, inside = network["total"]["multiplications"], network["without_padding"]["multiplications"]
        cells = (*(f"{network['without_padding'][key]:,}" for key in ARITHMETIC), f"{inside / all_of_them - 1:+.1%}")
        rows.append((name, *cells))
    return tw.table(("network", *ARITHMETIC, "difference"), rows)
