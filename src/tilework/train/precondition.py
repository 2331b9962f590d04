"""Updates of whole matrices: Muon, and Shampoo with the size of step of a plain gradient."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any, Protocol

import numpy as np

from tilework.train.parameters import Array

QUINTIC = (3.4445, -4.7750, 2.0315)  # of X -> aX + b(XX')X + c(XX')^2 X: Jordan et al. 2024, "Muon"
LIKE_ADAM = 0.2  # the root mean square of an update of Adam; Liu et al. 2025, arXiv:2502.16982, section 2.2


class MatrixRule(Protocol):
    """Updates one matrix in place; `state` holds what it keeps from step to step."""

    state: dict[str, Array]

    def update(self, values: Array, slope: Array, rate: float, step: int) -> None:
        """Change `values` [rows, columns] along the gradient `slope`; steps count from 1."""


class Muon:
    """Momentum whose matrix is made nearly orthogonal by rounds of Newton and Schulz (Jordan et al. 2024)."""

    def __init__(self, settings: Mapping[str, Any], shape: tuple[int, int]) -> None:
        self.settings, self.state = settings, {"velocity": np.zeros(shape, np.float32)}

    def update(self, values: Array, slope: Array, rate: float, step: int) -> None:
        """The update has the root mean square 0.2, whatever the matrix's shape."""
        s = self.settings
        velocity = self.state["velocity"]
        velocity *= s["momentum"]
        velocity += slope
        direction = orthogonal(slope + s["momentum"] * velocity, s["rounds"])
        values *= 1 - rate * s["decay"]
        values -= np.float32(rate * LIKE_ADAM * sqrt(max(values.shape))) * direction


def orthogonal(matrix: Array, rounds: int) -> Array:
    """The matrix with its singular values drawn towards 1, into about 0.7 to 1.2 after five rounds."""
    a, b, c = map(np.float32, QUINTIC)
    turned = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if turned else matrix
    x = x / (np.linalg.norm(x) + np.float32(1e-7))
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return np.asarray(x.T if turned else x)


class Shampoo:
    """L^(-1/4) G R^(-1/4) of the momentum G, as long as G (Gupta et al. 2018, algorithm 1; length: Anil et al. 2020).

    L and R are averages of G G' and G' G that forget; their roots are computed anew every few steps.
    """

    def __init__(self, settings: Mapping[str, Any], shape: tuple[int, int]) -> None:
        self.settings, self.state = settings, {"velocity": np.zeros(shape, np.float32)}
        for side, size in zip(("left", "right"), shape, strict=True):
            self.state[side] = np.zeros((size, size), np.float32)
            self.state[f"{side} root"] = np.eye(size, dtype=np.float32)

    def update(self, values: Array, slope: Array, rate: float, step: int) -> None:
        """The step has the length of that of the momentum method."""
        s = self.settings
        velocity = self.state["velocity"]
        velocity *= s["momentum"]
        velocity += slope
        for side, square in (("left", slope @ slope.T), ("right", slope.T @ slope)):
            average = self.state[side]
            average *= s["memory"]
            average += (1 - s["memory"]) * square
            if (step - 1) % s["every"] == 0:
                self.state[f"{side} root"][...] = inverse_fourth_root(average, s["damping"])
        direction = self.state["left root"] @ velocity @ self.state["right root"]
        length = np.linalg.norm(velocity) / (np.linalg.norm(direction) + 1e-30)
        values *= 1 - rate * s["decay"]
        values -= np.float32(rate * length) * direction


def inverse_fourth_root(square: Array, damping: float) -> Array:
    """(A + d I)^(-1/4) of a symmetric matrix without negative eigenvalues; d is `damping` times the largest one."""
    values, vectors = np.linalg.eigh(square)
    raised = np.maximum(values, 0) + damping * max(float(values[-1]), 1e-30)
    return np.asarray((vectors * raised**-0.25) @ vectors.T, np.float32)
