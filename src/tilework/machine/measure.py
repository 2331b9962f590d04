"""What the machine at hand reaches: matrix products in each dtype, and a triad over memory, as STREAM has it.

Times are the best of several short runs, and on a processor what it worked if that is less than what passed: a peak is
what can be reached, also while other work is on the machine.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from tilework.errors import MachineError, MissingPackageError
from tilework.machine.accelerator import Accelerator, Memory

DEVICES = ("cpu", "cuda")
RUNS = 15
SECONDS = 0.005  # that a product should take at least, so that its start doesn't count
LARGEST = 8192  # rows of the largest product
TRIAD_BYTES = 1 << 27  # of each of the triad's three arrays, more than a cache holds
CACHES = "/sys/devices/system/cpu/cpu0/cache"  # where Linux says how large they are


def measure(device: str = "cpu", threads: int | None = None, triad_bytes: int = TRIAD_BYTES) -> Accelerator:
    """This machine's processor, or its first GPU ("cuda"), as an accelerator whose peaks are measured.

    The rate of a dtype is that of the fastest of several products of square matrices, the bandwidth that of the
    fastest triad a = b + s c (J. McCalpin, STREAM, 1995), which counts three arrays. With torch both have so many
    `threads`, without it as many as NumPy takes, which has no 16-bit products. What is on chip is the largest cache,
    where the system says its size, and the triad in a quarter of it. Raises MachineError without a GPU,
    MissingPackageError where one needs torch.
    """
    torch: Any = import_module("torch") if find_spec("torch") else None
    if device == "cuda" and torch is None:
        raise MissingPackageError("to measure a GPU needs the package torch; install it: pip install torch")
    if device == "cuda" and not torch.cuda.is_available():
        raise MachineError("a GPU to measure must be there, but torch finds none; measure the processor instead")
    with _threads(torch, threads):
        peak = _torch_peaks(torch, device) if torch else _numpy_peaks()
        bandwidth = _bandwidth(torch, device, triad_bytes)
        on_chip = _cache(torch) if device == "cpu" else Memory()
    used = f"torch {torch.__version__}" if torch else f"NumPy {np.__version__}"
    return Accelerator(
        name="measured" if device == "cpu" else "measured-gpu",
        description=_description(torch, device),
        peak={dtype: float(f"{rate:.4g}") for dtype, rate in peak.items()},
        memory=Memory(bandwidth_bytes_per_second=float(f"{bandwidth:.4g}")),
        on_chip=on_chip,
        sources={
            f"measured on {date.today().isoformat()} with {used}": "peak, memory"
            + ", on_chip.bandwidth" * bool(on_chip.capacity_bytes),
            **({"the operating system": "on_chip.capacity"} if on_chip.capacity_bytes else {}),
        },
    )


@contextmanager
def _threads(torch: Any, threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads() if torch else 0
    if torch and threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


def _cache(torch: Any) -> Memory:
    """The largest cache that the first processor uses; nothing where the system doesn't say."""
    size = max(map(_cache_bytes, Path(CACHES).glob("index*/size")), default=0)
    if not size:
        return Memory()
    return Memory("cache", size, float(f"{_bandwidth(torch, 'cpu', size // 12):.4g}"))


def _cache_bytes(path: Path) -> int:
    text = path.read_text("ascii").strip()
    return int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[text[-1]]


def _bandwidth(torch: Any, device: str, size: int) -> float:
    return _torch_bandwidth(torch, device, size) if torch else _numpy_bandwidth(size)


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

    here = device == "cpu"
    return {dtype: _rate(product(dtype), here) for dtype in ("float32", "float64", "bfloat16", "float16")}


def _torch_bandwidth(torch: Any, device: str, size: int) -> float:
    a, b, c = (torch.ones(size // 4, device=device) for _ in range(3))
    triad = _finished(torch, device, lambda: torch.add(b, c, alpha=3.0, out=a))
    return 3 * size / _seconds(triad, device == "cpu")


def _numpy_bandwidth(size: int) -> float:
    """In two passes, over five arrays: NumPy has no fused multiply-add."""
    a, b, c = (np.ones(size // 4, np.float32) for _ in range(3))
    return 5 * size / _seconds(lambda: np.add(np.multiply(c, np.float32(3), out=a), b, out=a))


def _finished(torch: Any, device: str, work: Callable[[], object]) -> Callable[[], object]:
    """The work with the wait for its end, where it runs apart."""
    return (lambda: (work(), torch.cuda.synchronize())) if device == "cuda" else work


def _rate(prepared: Callable[[int], Callable[[], object]], here: bool = True) -> float:
    """Operations per second of products of matrices that are large enough."""
    rows = 256
    while True:
        seconds = _seconds(prepared(rows), here)
        if seconds >= SECONDS or rows == LARGEST:
            return float(2 * rows**3 / seconds)
        rows *= 2


def _seconds(work: Callable[[], object], here: bool = True) -> float:
    """Of the fastest run; of work `here`, not on a GPU, what all threads worked, if that is less."""
    work()
    times = []
    for _ in range(RUNS):
        start, worked = perf_counter(), process_time()
        work()
        passed, worked = perf_counter() - start, process_time() - worked
        times.append(min(passed, worked) if here else passed)
    return min(times)
