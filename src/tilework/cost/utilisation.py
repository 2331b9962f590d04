"""How busy a matrix unit is on given layers if all that it reads and writes comes through an on-chip port of a width.

Each product of matrices (network/product.py: G groups of R by S times S by C) takes the longer of two times, since the
port works while the multipliers do: the unit's own cycles, and the words that pass the port over the words per cycle.

  neurons   an inner-product array reads S of them for each row and each pass over `neurons` columns: G R ceil(C/n) S.
            Scalar MACs own outputs in the order of rows, then columns. Those at the same row share what they read: S
            neurons for each row in each of the ceil(RC/n) turns of n outputs, G (ceil(RC/n) + R - ceil(RC/lcm(n,C))) S.
  weights   each weight for each row that it multiplies, G R C S; or, if they are kept beside the multipliers, G C S.
  results   each output once, G R C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from tilework.machine.matrix import InnerProductArray, ScalarMacArray
from tilework.network.product import Product


@dataclass(frozen=True, slots=True)
class Utilisation:
    """`share` of the multipliers' cycles in which they do useful work; `compute_cycles` is the unit's part of them."""

    multipliers: int
    macs: int
    words: int
    compute_cycles: int
    cycles: Fraction

    @property
    def share(self) -> float:
        return float(self.macs / (self.multipliers * self.cycles))


def utilisation(
    products: Sequence[Product],
    unit: InnerProductArray | ScalarMacArray,
    words_per_cycle: Fraction,
    *,
    weights_kept: bool,
) -> Utilisation:
    """The products one after the other, at a rate of 1 and without the pipeline."""
    work = [(_steps(product, unit), _words(product, unit, weights_kept)) for product in products]
    return Utilisation(
        multipliers=unit.multipliers,
        macs=sum(product.macs for product in products),
        words=sum(words for _, words in work),
        compute_cycles=sum(steps for steps, _ in work),
        cycles=sum((max(Fraction(steps), words / words_per_cycle) for steps, words in work), Fraction(0)),
    )


def _steps(product: Product, unit: InnerProductArray | ScalarMacArray) -> int:
    return product.groups * int(unit.steps(product.rows, product.columns, product.summed))


def _words(product: Product, unit: InnerProductArray | ScalarMacArray, weights_kept: bool) -> int:
    weights = product.columns * product.summed * (1 if weights_kept else product.rows)
    return product.groups * (_neurons(product, unit) + weights + product.rows * product.columns)


def _neurons(product: Product, unit: InnerProductArray | ScalarMacArray) -> int:
    if isinstance(unit, InnerProductArray):
        return product.rows * -(-product.columns // unit.neurons) * product.summed
    outputs = product.rows * product.columns
    together = -(-outputs // lcm(unit.macs, product.columns))  # turns that begin where a row does
    return (-(-outputs // unit.macs) + product.rows - together) * product.summed
