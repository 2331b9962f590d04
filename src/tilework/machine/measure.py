"""What the machine at hand reaches: matrix products in each dtype, and a triad over memory, as STREAM has it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from tilework.errors import MachineError, MissingPackageError
from tilework.machine.accelerator import Accelerator, Memory

DEVICES = ("cpu", "cuda")
RUNS = 5
SECONDS = 0.05  # that a product should take at least, so that its start doesn't count
LARGEST = 8192  # rows of the largest product
TRIAD_BYTES = 1 << 28  # of each of the triad's three arrays, more than a cache holds


def measure(device: str = "cpu", triad_bytes: int = TRIAD_BYTES) -> Accelerator:
    """This machine's processor, or its first GPU ("cuda"), as an accelerator whose peaks are measured.

    The rate of a dtype is the median of several products of square matrices, the bandwidth that of several triads
    a = b + s c (J. McCalpin, STREAM, 1995), which count three arrays. Float64 and float32 are NumPy's on a processor;
    the 16-bit dtypes need torch. Raises MachineError without a GPU, MissingPackageError where one needs torch.
    """
    torch: Any = import_module("torch") if find_spec("torch") else None
    if device == "cuda" and torch is None:
        raise MissingPackageError("to measure a GPU needs the package torch; install it: pip install torch")
    if device == "cuda" and not torch.cuda.is_available():
        raise MachineError("a GPU to measure must be there, but torch finds none; measure the processor instead")
    peak = _numpy_peaks() if device == "cpu" else {}
    peak |= _torch_peaks(torch, device) if torch else {}
    bandwidth = _torch_bandwidth(torch, device, triad_bytes) if torch else _numpy_bandwidth(triad_bytes)
    used = f"NumPy {np.__version__}" + (f" and torch {torch.__version__}" if torch else "")
    return Accelerator(
        name="measured" if device == "cpu" else "measured-gpu",
        description=_description(torch, device),
        peak={dtype: float(f"{rate:.4g}") for dtype, rate in peak.items()},
        memory=Memory(bandwidth_bytes_per_second=float(f"{bandwidth:.4g}")),
        sources={f"measured on {date.today().isoformat()} with {used}": "peak, memory"},
    )


def _description(torch: Any, device: str) -> str:
    return str(torch.cuda.get_device_name()) if device == "cuda" else platform.processor() or platform.machine()


def _numpy_peaks() -> dict[str, float]:
    def product(dtype: str) -> Callable[[int], Callable[[], object]]:
        def prepared(rows: int) -> Callable[[], object]:
            a, b = (np.random.default_rng(seed).standard_normal((rows, rows)).astype(dtype) for seed in (1, 2))
            out = np.empty_like(a)
            return lambda: np.matmul(a, b, out=out)

        return prepared

    return {dtype: _rate(product(dtype)) for dtype in ("float32", "float64")}


def _torch_peaks(torch: Any, device: str) -> dict[str, float]:
    def product(dtype: str) -> Callable[[int], Callable[[], object]]:
        def prepared(rows: int) -> Callable[[], object]:
            a, b = (torch.rand((rows, rows), device=device).to(getattr(torch, dtype)) for _ in range(2))
            out = torch.empty_like(a)
            return _finished(torch, device, lambda: torch.matmul(a, b, out=out))

        return prepared

    full = ("float32", "float64") if device == "cuda" else ()
    return {dtype: _rate(product(dtype)) for dtype in (*full, "bfloat16", "float16")}


def _torch_bandwidth(torch: Any, device: str, size: int) -> float:
    a, b, c = (torch.ones(size // 4, device=device) for _ in range(3))
    return 3 * size / _seconds(_finished(torch, device, lambda: torch.add(b, c, alpha=3.0, out=a)))


def _numpy_bandwidth(size: int) -> float:
    """In two passes, over five arrays: NumPy has no fused multiply-add."""
    a, b, c = (np.ones(size // 4, np.float32) for _ in range(3))
    return 5 * size / _seconds(lambda: np.add(np.multiply(c, np.float32(3), out=a), b, out=a))


def _finished(torch: Any, device: str, work: Callable[[], object]) -> Callable[[], object]:
    """The work with the wait for its end, where it runs apart."""
    return (lambda: (work(), torch.cuda.synchronize())) if device == "cuda" else work


def _rate(prepared: Callable[[int], Callable[[], object]]) -> float:
    """Operations per second of products of matrices that are large enough."""
    rows = 256
    while True:
        seconds = _seconds(prepared(rows))
        if seconds >= SECONDS or rows == LARGEST:
            return float(2 * rows**3 / seconds)
        rows *= 2


def _seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(RUNS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)
