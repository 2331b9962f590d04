"""The floats of 16 bits: float16, which NumPy has, and bfloat16, which the package ml_dtypes adds to it."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import numpy.typing as npt

from tilework.errors import MissingPackageError

HALVES = ("float16", "bfloat16")


def is_half(dtype: npt.DTypeLike) -> bool:
    return np.dtype(dtype).name in HALVES


def is_inexact(dtype: npt.DTypeLike) -> bool:
    """Whether a dtype holds real or complex numbers; NumPy counts an added one among neither."""
    return np.dtype(dtype).kind in "fc" or is_half(dtype)


def add_bfloat16() -> None:
    """Let NumPy know bfloat16; raises MissingPackageError without ml_dtypes."""
    try:
        import_module("ml_dtypes")
    except ImportError:
        raise MissingPackageError(
            "values of bfloat16 need the package ml_dtypes: pip install 'tilework[train]'"
        ) from None
