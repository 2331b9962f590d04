"""6.9: how busy scalar multiply-accumulate units are on AlexNet, as their number grows and the bandwidth doesn't."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import tilework as tw

TITLE = "Scalar MAC units on AlexNet at 12.8 GB/s: utilisation against their number"
QUESTION = """
The same as 6.8 with scalar multiply-accumulate units: each owns an output, takes one neuron and one weight a
cycle and adds their product to its sum until the output is done. On-chip memory gives 12.8 GB/s. How does the
utilisation of the units on AlexNet change as their number grows?
"""
NOTICE = """
Units that work on the same place of the image share its neuron, so that n of them need one neuron and n
weights a cycle. At 6.4 words a cycle five are fed and the sixth is not: from there on, utilisation falls as
one over their number if weights are read again for every output.

If each unit keeps its weights, only the shared neuron passes the port, and one word a cycle is enough for
hundreds of units. For convolutions the curve stays at 100 %, until the units are more than the filters of a
layer and several places have to be read at once. The fully connected layers use each weight once and gain
nothing: with 256 units they take more than three quarters of the time, for 8 % of the products.

No number of units fits badly. An output is a whole unit's work, so a unit idles only in the last turn of a
layer, where inner-product units also idle on filters and on products that don't fill them (6.8). What scalar
units pay for it are the sums, one register and one adder for each multiplier.
"""

BANDWIDTH, CLOCK, WORD = 12.8e9, 1e9, 2  # bytes per second, hertz, bytes of a float16
UNITS = (1, 2, 3, 4, 5, 6, 8, *(2**exponent for exponent in range(4, 13)))
LAYERS = ("convolutions", "fully connected", "network")
WEIGHTS = {"read again for every output": False, "kept in the units": True}


def answer() -> dict[str, Any]:
    """Utilisation of the units by their number, the layers and what becomes of the weights.

    Each layer takes the longer of its units' cycles and the cycles in which its words pass the port: for P outputs per
    filter, K filters of S weights, n units, ceil(PK/n) S cycles; S neurons for each place that a turn of n outputs
    touches, (ceil(PK/n) + P - ceil(PK/lcm(n,K))) S in all; K S weights, times P if they are read again; P K results.
    """
    words_per_cycle = Fraction(BANDWIDTH) / Fraction(CLOCK) / WORD
    products = tw.products(tw.load("alexnet"))
    curves = [
        {
            "weights": weights,
            "layers": layers,
            "utilisation": [
                tw.utilisation(_of(layers, products), _unit(units), words_per_cycle, weights_kept=kept).share
                for units in UNITS
            ],
        }
        for layers in LAYERS
        for weights, kept in WEIGHTS.items()
    ]
    return {"words_per_cycle": float(words_per_cycle), "units": list(UNITS), "curves": curves}


def _of(layers: str, products: Any) -> Any:
    """Fully connected layers are those with one row: each weight is used once."""
    wanted = {"convolutions": (False,), "fully connected": (True,), "network": (False, True)}[layers]
    return [product for product in products if (product.rows == 1) in wanted]


def _unit(units: int) -> tw.ScalarMacArray:
    return tw.ScalarMacArray(macs=units, pipeline_cycles=0, rates={"float16": 1}, energy_per_mac_joules={})


def text(answer: dict[str, Any]) -> str:
    """A table of utilisations."""
    curves = {(c["layers"], c["weights"]): c["utilisation"] for c in answer["curves"]}
    head = ("units", *(f"{layers}, {weights.split()[0]}" for layers, weights in curves))
    rows = [
        (f"{n:,}", *(f"{curve[place]:.2%}" for curve in curves.values())) for place, n in enumerate(answer["units"])
    ]
    port = f"The port passes {answer['words_per_cycle']:g} words of {WORD} bytes a cycle of {CLOCK / 1e9:g} GHz."
    return f"{port} Weights are read again for every output, or kept:\n\n{tw.table(head, rows, left=0)}"


def draw(answer: dict[str, Any], path: str) -> None:
    """The curves, a panel for each assumption about weights."""
    panels = {
        f"weights {weights}": {
            curve["layers"]: list(zip(answer["units"], curve["utilisation"], strict=True))
            for curve in answer["curves"]
            if curve["weights"] == weights
        }
        for weights in WEIGHTS
    }
    tw.draw_utilisation(panels, path, title=TITLE, units="scalar MAC units")
