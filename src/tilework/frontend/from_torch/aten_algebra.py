"""ATen's operators on complex numbers, Fourier transforms and equations, all of them work for the host."""

from __future__ import annotations

from typing import Any

from tilework.frontend.from_torch.aten_support import host
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten


@aten("complex", "polar")
def complex_numbers(c: Lowering, first: Value, second: Value) -> None:
    """Complex numbers of real and imaginary parts, or of sizes and angles."""
    host(c, "polar" if "polar" in c.call.operator else "gather", first, second)


@aten("linalg_solve_triangular")
def solve_triangular(
    c: Lowering, a: Value, b: Value, upper: bool, left: bool = True, unitriangular: bool = False
) -> None:
    """Solutions of triangular equations by substitution."""
    host(c, "solve_unitriangular" if unitriangular else "solve_triangular", a, b)


@aten("linalg_inv_ex")
def inverse(c: Lowering, a: Value, *_: Any, **__: Any) -> None:
    """The inverse of each matrix."""
    host(c, "inverse", a)


@aten("linalg_cholesky_ex")
def cholesky(c: Lowering, a: Value, *_: Any, **__: Any) -> None:
    """The Cholesky factor of each matrix."""
    host(c, "cholesky", a)


@aten("_fft_c2c", "_fft_r2c", "_fft_c2r")
def fft(c: Lowering, x: Value, dim: tuple[int, ...], *_: Any) -> None:
    """Fourier transforms along axes, one after the other; of real numbers half the work along the last."""
    kind = c.call.operator.split(".")[1]
    result = c.result
    value, axes = x, [axis % len(x.shape) for axis in dim]
    for axis in axes if kind == "_fft_c2r" else reversed(axes):
        real = axis == axes[-1] and kind != "_fft_c2c"
        size = result.shape[axis]
        order = (*(a for a in range(len(x.shape)) if a != axis), axis)
        shape = tuple(size if a == axis else value.shape[a] for a in order)
        dtype = result.dtype if kind != "_fft_c2r" or real else x.dtype
        row = c.emit("host", c.view(value, order), what="fft_real" if real else "fft", shape=shape, dtype=dtype)
        value = c.view(row, tuple(order.index(a) for a in range(len(order))))
    c.set(value)


@aten("_conj", "_conj_physical")
def conjugate(c: Lowering, x: Value) -> None:
    """Imaginary parts with the other sign."""
    host(c, "complex_conj" if x.dtype.startswith("complex") else "gather", x)


@aten("angle")
def angle(c: Lowering, x: Value) -> None:
    """The angle of complex numbers."""
    host(c, "angle", x)
