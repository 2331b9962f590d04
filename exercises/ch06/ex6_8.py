"""6.8: how busy inner-product units are on AlexNet, as their number grows and the on-chip bandwidth doesn't."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import tilework as tw

TITLE = "Inner-product units on AlexNet at 12.8 GB/s: utilisation against their number"
QUESTION = """
On-chip memory gives a processor 12.8 GB/s. It computes AlexNet with inner-product units: each multiplies a
vector of neurons by a vector of weights and adds up the products, in one cycle. How does the utilisation of
the units change as their number grows?
"""
NOTICE = """
The assumption about weights decides. If a weight is read again for every output that needs it, each product
brings a word of its own, and no number of units does more than 6.4 products a cycle: utilisation falls as one
over their number. If each unit keeps its filter's weights, they are read once, and the neurons, which all units
share, are what passes the port: more units then cost no more bandwidth until there are as many as filters.

So convolutions keep several hundred multipliers busy, at 12.8 bytes a cycle. Fully connected layers do not:
each of their weights is used once, whoever keeps it. They are 8 % of AlexNet's products and soon nearly all
of its time.

A long vector needs its neurons at once. Units of 16 want 16 words a cycle where 6.4 come, so that even one of
them is busy 40 % at best; units of 4 wait for nothing. What they have in common is the slope at the end.
"""

BANDWIDTH, CLOCK, WORD = 12.8e9, 1e9, 2  # bytes per second, hertz, bytes of a float16
SYNAPSES = (4, 16)  # the length of a unit's vectors; DianNao's is 16
UNITS = tuple(2**exponent for exponent in range(11))
LAYERS = ("convolutions", "fully connected", "network")
WEIGHTS = {"read again for every output": False, "kept beside the units": True}


def answer() -> dict[str, Any]:
    """Utilisation of the units by their length, their number, the layers and what becomes of the weights.

    Each layer takes the longer of its units' cycles and the cycles in which its words pass the port: for P outputs per
    filter, K filters of S weights, n units of T products, P ceil(K/n) ceil(S/T) cycles; P ceil(K/n) S neurons, which
    the units share; K S weights, times P if they are read again; P K results.
    """
    words_per_cycle = Fraction(BANDWIDTH) / Fraction(CLOCK) / WORD
    products = tw.products(tw.load("alexnet"))
    curves = [
        {
            "synapses": synapses,
            "weights": weights,
            "layers": layers,
            "utilisation": [
                tw.utilisation(_of(layers, products), _unit(units, synapses), words_per_cycle, weights_kept=kept).share
                for units in UNITS
            ],
        }
        for synapses in SYNAPSES
        for layers in LAYERS
        for weights, kept in WEIGHTS.items()
    ]
    return {"words_per_cycle": float(words_per_cycle), "units": list(UNITS), "curves": curves}


def _of(layers: str, products: Any) -> Any:
    """Fully connected layers are those with one row: each weight is used once."""
    wanted = {"convolutions": (False,), "fully connected": (True,), "network": (False, True)}[layers]
    return [product for product in products if (product.rows == 1) in wanted]


def _unit(units: int, synapses: int) -> tw.InnerProductArray:
    return tw.InnerProductArray(
        neurons=units, synapses=synapses, pipeline_cycles=0, rates={"float16": 1}, energy_per_mac_joules={}
    )


def text(answer: dict[str, Any]) -> str:
    """A table of utilisations for each length."""
    parts = [f"The port passes {answer['words_per_cycle']:g} words of {WORD} bytes a cycle of {CLOCK / 1e9:g} GHz."]
    for synapses in SYNAPSES:
        curves = {(c["layers"], c["weights"]): c["utilisation"] for c in answer["curves"] if c["synapses"] == synapses}
        head = ("units", "multipliers", *(f"{layers}, {weights.split()[0]}" for layers, weights in curves))
        rows = [
            (f"{n:,}", f"{n * synapses:,}", *(f"{curve[place]:.2%}" for curve in curves.values()))
            for place, n in enumerate(answer["units"])
        ]
        parts += [f"Units of {synapses} products; weights are read again for every output, or kept:"]
        parts += [tw.table(head, rows, left=0)]
    return "\n\n".join(parts)


def draw(answer: dict[str, Any], path: str) -> None:
    """The curves, a panel for each assumption about weights."""
    panels = {
        f"weights {weights}": {
            f"{curve['layers']}, {curve['synapses']} products": list(
                zip(answer["units"], curve["utilisation"], strict=True)
            )
            for curve in answer["curves"]
            if curve["weights"] == weights and curve["layers"] != "fully connected"
        }
        for weights in WEIGHTS
    }
    tw.draw_utilisation(panels, path, title=TITLE, units="inner-product units")
