"""The scalar functions of bodies on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.network.functions import FUNCTIONS
from tilework.network.halves import is_inexact

Array = npt.NDArray[Any]

EXACT = {"add", "sub", "mul", "abs"}  # integers give integers
ANYTHING = {"max", "min", "less", "equal", "and", "or", "not", "select"}  # truth values too are taken as they are

# W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969), as in SPECFUN's CALERF:
# erf(x) / x in x**2 up to 0.46875, and erfc(x) * exp(x**2) in x above; highest powers first.
_NEAR = 0.46875
_FAR = 6.0  # from here on erf rounds to 1
_ERF = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERFC = (
    (
        *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1),
        *(2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3),
        1.23033935479799725e3,
    ),
    (
        *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3),
        *(3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
    ),
)


def erf(x: npt.ArrayLike) -> Array:
    """The error function in float64, to about 1e-15 of its value."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    value: Array = np.array(np.copysign(np.where(np.isnan(x), x, 1.0), x))
    near, far = size <= _NEAR, (size > _NEAR) & (size < _FAR)
    part = x[near]
    square = part * part
    value[near] = part * np.polyval(_ERF[0], square) / np.polyval(_ERF[1], square)
    part = size[far]
    value[far] *= 1 - np.exp(-part * part) * np.polyval(_ERFC[0], part) / np.polyval(_ERFC[1], part)
    return value


def apply(name: str, arguments: list[Array | float], out: Array | None = None) -> Array | float:
    """A scalar function's value; written to `out`, of any dtype, if that is given.

    In arithmetic truth values are 0 and 1, and integers become float64 where the function gives fractions.
    """
    if name not in ANYTHING:
        arguments = [_number(argument, name in EXACT) for argument in arguments]
    function: Any = erf if name == "erf" else getattr(np, FUNCTIONS[name].numpy)
    if out is not None and isinstance(function, np.ufunc):
        return np.asarray(function(*arguments, out=out, casting="unsafe"))
    value = function(*arguments)
    if out is not None:
        out[...] = value
        return out
    return float(value) if all(isinstance(argument, float) for argument in arguments) else np.asarray(value)


def bound(name: str, arguments: list[Array | float], out: Array) -> Callable[[], Any]:
    """The call that does what `apply` does with `out`."""
    function = getattr(np, FUNCTIONS[name].numpy, None)
    arrays = [argument for argument in arguments if not isinstance(argument, float)]
    if name == "select" and (words := _words(arguments, out)):
        return partial(np.multiply, words[0], arguments[0], out=words[1])
    if not isinstance(function, np.ufunc) or not (name in ANYTHING or all(is_inexact(a.dtype) for a in arrays)):
        return partial(apply, name, arguments, out)
    return partial(function, *arguments, out=out, casting="unsafe")


def _words(arguments: list[Array | float], out: Array) -> tuple[Array, Array] | None:
    """What is selected, else 0, and `out` as integers: the truth value times the one is the other, infinite or not."""
    condition, value, other = arguments
    if isinstance(condition, float) or isinstance(value, float) or condition.dtype != bool:
        return None
    if not isinstance(other, float) or other:
        return None
    if value.dtype != out.dtype or value.dtype not in (np.float32, np.float64):
        return None
    word = np.int32 if value.dtype == np.float32 else np.int64
    return value.view(word), out.view(word)


def _number(argument: Array | float, exact: bool) -> Array | float:
    if isinstance(argument, float) or is_inexact(argument.dtype):
        return argument
    return (
        argument.astype(np.float64) if not exact else argument.astype(np.int64) if argument.dtype == bool else argument
    )
