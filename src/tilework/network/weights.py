"""Values of a network's weights: a mapping from tensor name to array, made only when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tilework.errors import WeightsError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
else:
    Array = Any  # so that whoever only names weights need not wait for NumPy


class Weights(Mapping[str, Array]):
    """Arrays by name, each made anew by its own function at every read, so that nobody holds all of them.

    `origin` says in a few words where they come from ("seeded random (seed 0)", a file's name): it is shown to users.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Array]], origin: str) -> None:
        self.makers, self.origin = dict(makers), origin

    def __getitem__(self, name: str) -> Array:
        if name not in self.makers:
            raise WeightsError(f"the weights ({self.origin}) must hold {name}, which they lack")
        return self.makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)
