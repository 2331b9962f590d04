"""Methods that change parameters along their gradients, in place over the vectors of all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Any

import numpy as np

from tilework.errors import TrainingError
from tilework.train import precondition
from tilework.train.parameters import Array, Parameters

PIECE = 1 << 14  # numbers that are updated at once, so that a few vectors of them stay in the cache


@dataclass
class Piece:
    """A part of the vectors: the parameters `w`, their gradients `g`, the method's own vectors and two for its use."""

    w: Array
    g: Array
    own: tuple[Array, ...]
    free: tuple[Array, Array]


Rule = Callable[[Piece, float, Mapping[str, Any], int], None]  # (piece, rate, settings, number of the step from 1)


@dataclass(frozen=True)
class Method:
    """How a method updates: the `rule` of its vectors, of which it keeps `own`; `matrix` is that of parameters with
    several axes, if those have another. `settings` are the defaults of what a user may set."""

    rule: Rule
    own: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    matrix: Callable[[Mapping[str, Any], tuple[int, int]], precondition.MatrixRule] | None = None


class Optimiser:
    """A method of OPTIMISERS at work on parameters. `update(rate)` makes a step from the gradients that lie there.

    `settings` are the method's own (its defaults are in OPTIMISERS). Raises TrainingError for a method that there is
    not, a setting that it has not, and a rate that is no positive number.
    """

    def __init__(self, method: str, parameters: Parameters, **settings: Any) -> None:
        if method not in OPTIMISERS:
            raise TrainingError(f"the optimiser must be one of {', '.join(OPTIMISERS)}, not {method!r}")
        self.method, self.parameters, self.steps = OPTIMISERS[method], parameters, 0
        for name in settings:
            if name not in self.method.settings:
                known = ", ".join(self.method.settings) or "nothing"
                raise TrainingError(f"{method} can be given {known}, not {name}; leave it out")
        self.settings = {**self.method.settings, **settings}
        self.own = {name: np.zeros_like(parameters.values) for name in self.method.own}
        self._free = (np.empty(PIECE, np.float32), np.empty(PIECE, np.float32))
        self._matrices: dict[str, precondition.MatrixRule] = {}
        if self.method.matrix:
            several = {name: array for name, array in parameters.arrays.items() if array.ndim > 1}
            shapes = {name: (len(array), array.size // len(array)) for name, array in several.items()}
            self._matrices = {name: self.method.matrix(self.settings, shape) for name, shape in shapes.items()}

    def update(self, rate: float) -> None:
        """Change the parameters in place, by a step of this learning rate."""
        if not (isfinite(rate) and rate >= 0):
            raise TrainingError(f"the learning rate must be a number of at least 0, not {rate}")
        self.steps += 1
        for start, stop in self._places():
            self._update_vectors(start, stop, rate)
        for name, rule in self._matrices.items():
            array, slope = self.parameters.arrays[name], self.parameters.slopes[name]
            rule.update(array.reshape(len(array), -1), slope.reshape(len(array), -1), rate, self.steps)

    def _places(self) -> Iterator[tuple[int, int]]:
        """Where the vectors hold numbers that the rule of vectors updates."""
        start = stop = 0
        for name, array in self.parameters.arrays.items():
            if name in self._matrices:
                yield start, stop
                start = stop = stop + array.size
            else:
                stop += array.size
        yield start, stop

    def _update_vectors(self, start: int, stop: int, rate: float) -> None:
        for first in range(start, stop, PIECE):
            place = slice(first, min(first + PIECE, stop))
            size = place.stop - first
            own = tuple(vector[place] for vector in self.own.values())
            values, gradients = self.parameters.values[place], self.parameters.gradients[place]
            piece = Piece(values, gradients, own, (self._free[0][:size], self._free[1][:size]))
            self.method.rule(piece, rate, self.settings, self.steps)

    def state(self) -> dict[str, Array]:
        """Everything that a continuation needs, by name; `steps` is the number of steps made."""
        matrices = {
            f"{key}:{name}": value for name, rule in self._matrices.items() for key, value in rule.state.items()
        }
        return {"steps": np.array(self.steps), **self.own, **matrices}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a state that an optimiser of the same method and parameters gave."""
        expected = self.state()
        if state.keys() != expected.keys():
            raise TrainingError(f"the optimiser's state must hold {', '.join(expected)}, not {', '.join(state)}")
        self.steps = int(state["steps"])
        for name, vector in self.own.items():
            vector[...] = state[name]
        for name, rule in self._matrices.items():
            for key, value in rule.state.items():
                value[...] = state[f"{key}:{name}"]


def _sgd(p: Piece, rate: float, s: Mapping[str, Any], step: int) -> None:
    """w -= rate * (g + decay w)."""
    np.multiply(_decayed(p, s), rate, out=p.free[0])
    np.subtract(p.w, p.free[0], out=p.w)


def _decayed(p: Piece, s: Mapping[str, Any]) -> Array:
    """The gradient with that of decay / 2 |w|^2."""
    if not s["decay"]:
        return p.g
    np.multiply(p.w, s["decay"], out=p.free[1])
    return np.add(p.g, p.free[1], out=p.free[1])


def _momentum(p: Piece, rate: float, s: Mapping[str, Any], step: int) -> None:
    """v = momentum v + g; w -= rate v (Polyak 1964)."""
    slope, (velocity,) = _decayed(p, s), p.own
    np.multiply(velocity, s["momentum"], out=velocity)
    np.add(velocity, slope, out=velocity)
    np.multiply(velocity, rate, out=p.free[0])
    np.subtract(p.w, p.free[0], out=p.w)


def _nesterov(p: Piece, rate: float, s: Mapping[str, Any], step: int) -> None:
    """v = momentum v + g; w -= rate (g + momentum v), in the form of Sutskever et al. 2013."""
    slope, (velocity,) = _decayed(p, s), p.own
    np.multiply(velocity, s["momentum"], out=velocity)
    np.add(velocity, slope, out=velocity)
    np.multiply(velocity, s["momentum"], out=p.free[0])
    np.add(p.free[0], slope, out=p.free[0])
    np.multiply(p.free[0], rate, out=p.free[0])
    np.subtract(p.w, p.free[0], out=p.w)


def _rmsprop(p: Piece, rate: float, s: Mapping[str, Any], step: int) -> None:
    """v = beta v + (1 - beta) g^2; w -= rate g / (sqrt(v) + epsilon) (Tieleman and Hinton 2012)."""
    slope, (squares,) = _decayed(p, s), p.own
    _follow(squares, np.multiply(slope, slope, out=p.free[0]), s["beta"])
    np.sqrt(squares, out=p.free[0])
    np.add(p.free[0], s["epsilon"], out=p.free[0])
    np.divide(slope, p.free[0], out=p.free[0])
    np.multiply(p.free[0], rate, out=p.free[0])
    np.subtract(p.w, p.free[0], out=p.w)


def _adam(p: Piece, rate: float, s: Mapping[str, Any], step: int) -> None:
    """Kingma and Ba 2015, algorithm 1, with the order of section 2; `decay` as for sgd."""
    _adaptive(p, _decayed(p, s), rate, s, step)


def _adamw(p: Piece, rate: float, s: Mapping[str, Any], step: int) -> None:
    """Adam whose weights shrink apart from the gradient (Loshchilov and Hutter 2019, algorithm 2)."""
    np.multiply(p.w, 1 - rate * s["decay"], out=p.w)
    _adaptive(p, p.g, rate, s, step)


def _adaptive(p: Piece, slope: Array, rate: float, s: Mapping[str, Any], step: int) -> None:
    mean, squares = p.own
    np.multiply(slope, slope, out=p.free[0])
    _follow(squares, p.free[0], s["beta2"])
    _follow(mean, np.multiply(slope, 1, out=p.free[0]), s["beta1"])
    whole = sqrt(1 - s["beta2"] ** step)
    np.sqrt(squares, out=p.free[0])
    np.add(p.free[0], s["epsilon"] * whole, out=p.free[0])
    np.divide(mean, p.free[0], out=p.free[0])
    np.multiply(p.free[0], rate * whole / (1 - s["beta1"] ** step), out=p.free[0])
    np.subtract(p.w, p.free[0], out=p.w)


def _follow(average: Array, value: Array, beta: float) -> None:
    """average = beta average + (1 - beta) value; `value` is used up."""
    np.multiply(average, beta, out=average)
    np.multiply(value, 1 - beta, out=value)
    np.add(average, value, out=average)


ADAM: Mapping[str, Any] = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "decay": 0.0}

OPTIMISERS: dict[str, Method] = {
    "sgd": Method(_sgd, settings={"decay": 0.0}),
    "momentum": Method(_momentum, ("velocity",), {"momentum": 0.9, "decay": 0.0}),
    "nesterov": Method(_nesterov, ("velocity",), {"momentum": 0.9, "decay": 0.0}),
    "rmsprop": Method(_rmsprop, ("squares",), {"beta": 0.99, "epsilon": 1e-8, "decay": 0.0}),
    "adam": Method(_adam, ("mean", "squares"), ADAM),
    "adamw": Method(_adamw, ("mean", "squares"), {**ADAM, "decay": 0.01}),
    "muon": Method(_adamw, ("mean", "squares"), {**ADAM, "momentum": 0.95, "rounds": 5}, precondition.Muon),
    "shampoo": Method(
        _adamw,
        ("mean", "squares"),
        {**ADAM, "momentum": 0.9, "memory": 0.95, "damping": 1e-4, "every": 20},
        precondition.Shampoo,
    ),
}
