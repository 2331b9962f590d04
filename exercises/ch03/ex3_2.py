"""3.2: multiplications, additions and all other operations of AlexNet, VGG19 and ResNet152."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tilework as tw

TITLE = "Multiplications, additions and other operations of AlexNet, VGG19 and ResNet152"
QUESTION = """
How many multiplications and how many additions does one picture cost in AlexNet, VGG19 and ResNet152, kind of
layer by kind of layer and in total? And what becomes of exponentials, divisions and comparisons, which are
neither? How many are all of these for N pictures of H x W pixels? `tilework exercise 3.2 --network NETWORK` answers
the same for any network.
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
first and the last channels. Hardware mostly does that work, and it is counted here; the table without products
with padding zeros leaves it out.

A formula is exact for the sizes that it names. VGG19 ends in an average over windows that are of one size only
where the last images are multiples of 7, so its additions have a formula for multiples of 32 * 7 = 224; at 224
itself each window is a single value, which needs no multiplication by 1 / size, so its multiplications have one
for larger pictures.
"""

NETWORKS = ("alexnet", "vgg19", "resnet152")
ARITHMETIC = ("multiplications", "additions")
OTHERS = ("comparison", "division", "exp", "sqrt", "power")


def answer(networks: Iterable[str] = NETWORKS) -> dict[str, Any]:
    """For each network a record by kind of layer and in total, the totals without padding zeros, and formulas."""
    return {name: _network(name, tw.load(name)) for name in networks}


def _network(name: str, graph: tw.Graph) -> dict[str, Any]:
    counted = tw.count(graph)
    kinds = [{"operation": row.operation, "layers": row.layers, **_record(row)} for row in counted.by("operation")]
    inside = _record(tw.count(graph, padding_zeros=False).total)
    total = _record(counted.total)
    found = _formulas(name, graph.inputs[0].shape)
    return {
        "kinds": [kind for kind in kinds if any(kind.get(key) for key in total)],
        "total": total,
        "without_padding": {key: inside[key] for key in ARITHMETIC},
        "formulas": {key: [str(found[key]), str(found[key].domain)] for key in total if key in found},
    }


def _record(row: Any) -> dict[str, int]:
    return {key: getattr(row, key) for key in ARITHMETIC} | dict.fromkeys(OTHERS, 0) | row.other_operations


def _formulas(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """For N inputs, pictures of H x W if the network takes others than its usual ones."""
    try:
        return tw.formulas(name, (*shape[1:-2], "H", "W"), batch="N").totals
    except tw.NetworkError:
        return tw.formulas(name, batch="N").totals


def text(answer: dict[str, Any]) -> str:
    """A table per network, one that compares with and without padding zeros, and the formulas."""
    parts = []
    for name, network in answer.items():
        total = {"operation": "total", "layers": sum(kind["layers"] for kind in network["kinds"]), **network["total"]}
        names = ("layers", *(key for key in network["total"] if key in (*ARITHMETIC, *OTHERS) or network["total"][key]))
        rows = [_cells(row, names) for row in (*network["kinds"], total)]
        parts += [f"{name}:", tw.table(("kind of layer", *names), rows)]
    formulas = [
        (name, key, *formula) for name, network in answer.items() for key, formula in network["formulas"].items()
    ]
    parts += ["Without products with padding zeros:", _padding(answer)]
    return "\n\n".join(
        (*parts, "As formulas:", tw.table(("network", "number", "formula", "valid for"), formulas, left=4))
    )


def _cells(row: dict[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    return (row["operation"], *(f"{row[key]:,}" if row.get(key) else "-" for key in names))


def _padding(answer: dict[str, Any]) -> str:
    rows = []
    for name, network in answer.items():
        all_of_them, inside = network["total"]["multiplications"], network["without_padding"]["multiplications"]
        change = f"{inside / all_of_them - 1:+.1%}" if all_of_them else "-"
        cells = (*(f"{network['without_padding'][key]:,}" for key in ARITHMETIC), change)
        rows.append((name, *cells))
    return tw.table(("network", *ARITHMETIC, "difference"), rows)
