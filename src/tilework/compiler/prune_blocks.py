"""How a pruned weight is stored and multiplied: sizes for the tiler, the layout and the bounds.

A contraction's weight is seen as rows of what is summed for one output, with the `summed` places of a row in the order
in which the weight is packed. All formulas hold for whole numbers and, element by element, for arrays of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilework.isa.blocks import BLOCK, block_elements, multiplied


@dataclass(frozen=True)
class Blocks:
    """Of each 16 weights of a row `kept` are stored, each with its place; all and without places if `kept` is 0.

    `skipped`: they stay so in WRAM, for a matrix unit that skips zeros. Else they are expanded on the way there.
    """

    kept: int = 0
    skipped: bool = False

    def stored(self, outputs: Any, summed: Any, element_bytes: int) -> Any:
        """The elements that rows take in DRAM and SRAM; each row is in whole blocks."""
        size = block_elements(self.kept, element_bytes) if self.kept else 0
        return outputs * multiplied(summed, size)

    def held(self, outputs: Any, summed: Any, element_bytes: int) -> Any:
        """The elements that rows take in WRAM."""
        return self.stored(outputs, summed, element_bytes) if self.skipped else outputs * summed

    def products(self, summed: Any) -> Any:
        """How many products the matrix unit makes for a sum."""
        return multiplied(summed, self.kept) if self.skipped else summed

    def left(self, summed: int) -> int:
        """How many weights of a row are not pruned: of a last block that is cut short, all that it may keep."""
        whole, rest = divmod(summed, BLOCK)
        return whole * self.kept + min(rest, self.kept) if self.kept else summed


DENSE = Blocks()
