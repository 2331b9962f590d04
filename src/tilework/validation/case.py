"""One published figure beside ours, and where the topologies are that come with Tilework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilework.frontend.topology import read_topology
from tilework.network.topology import LayerShape

NEAR = 0.1  # how far from 1 a ratio may be without a reason

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "examples", _PACKAGE.parents[1] / "examples")  # in a wheel, in the repository


@dataclass(frozen=True, slots=True)
class Case:
    """A figure that somebody published or measured, and ours for the same work, both in `unit`.

    `reason` says why the ratio isn't near 1; `accounted` is our figure when what the reason names is added to it, where
    that can be computed.
    """

    case: str
    quantity: str
    unit: str
    published: float
    ours: float
    source: str
    reason: str = ""
    accounted: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.published

    @property
    def near(self) -> bool:
        """Whether ours is within a tenth of theirs."""
        return abs(self.ratio - 1) <= NEAR

    @property
    def accounted_ratio(self) -> float | None:
        return None if self.accounted is None else self.accounted / self.published

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework validate --json`."""
        return {
            "case": self.case,
            "quantity": self.quantity,
            "unit": self.unit,
            "published": self.published,
            "ours": self.ours,
            "ratio": self.ratio,
            "source": self.source,
            "reason": self.reason,
            "accounted": self.accounted,
            "accounted_ratio": self.accounted_ratio,
        }


def topology(name: str) -> Sequence[LayerShape]:
    """The layers of a file among the examples."""
    return read_topology(next(place for place in _PLACES if place.is_dir()) / name)
