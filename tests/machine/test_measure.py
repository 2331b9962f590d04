"""Measured machines: the arithmetic with a clock of our own, and one real, small measurement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tilework.errors import MachineError, MissingPackageError
from tilework.machine import measure as module
from tilework.machine.accelerator import Memory
from tilework.machine.accelerator_file import accelerator_from_dict
from tilework.machine.load import to_toml
from tilework.machine.measure import measure
from tilework.machine.toml import parse_toml

torch = pytest.importorskip("torch")


def ticking(seconds: list[float]) -> Iterator[float]:
    """Times at which runs that take so long begin and end."""
    for length in seconds:
        yield from (0.0, length)


def test_a_rate_is_of_the_fastest_and_of_a_product_that_takes_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNS", 4)
    clock = ticking([0.001] * 4 + [0.5, 0.07, 0.08, 0.09])
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(module, "process_time", lambda: float("inf"))  # nothing is less
    rows: list[int] = []

    def prepared(size: int) -> object:
        rows.append(size)
        return lambda: None

    assert module._rate(prepared) == pytest.approx(2 * 512**3 / 0.07)  # type: ignore[arg-type]
    assert rows == [256, 512]


def test_traffic_counts_three_arrays_and_five_without_a_fused_triad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_seconds", lambda work, *_: (work(), 0.5)[1])
    assert module._torch_bandwidth(torch, "cpu", 4096) == 3 * 4096 / 0.5
    assert module._numpy_bandwidth(4096) == 5 * 4096 / 0.5


def test_the_largest_cache_is_on_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place, size in enumerate(("32K", "1M", "2048K")):
        (tmp_path / f"index{place}").mkdir()
        (tmp_path / f"index{place}" / "size").write_text(size + "\n")
    monkeypatch.setattr(module, "CACHES", str(tmp_path))
    monkeypatch.setattr(module, "_seconds", lambda work, *_: (work(), 0.001)[1])
    size = (2 << 20) // 12
    assert module._cache(torch) == Memory("cache", 2 << 20, float(f"{3 * size / 0.001:.4g}"))
    monkeypatch.setattr(module, "CACHES", str(tmp_path / "none"))
    assert module._cache(torch) == Memory()


def test_this_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    before = torch.get_num_threads()
    one = measure(threads=before + 1, triad_bytes=1 << 20)
    assert torch.get_num_threads() == before
    assert list(one.peak) == ["float32", "float64", "bfloat16", "float16"]
    assert all(1e6 < rate < 1e15 for rate in one.peak.values())
    assert 1e7 < (one.memory.bandwidth_bytes_per_second or 0) < 1e14
    assert accelerator_from_dict(parse_toml(to_toml(one), "here")) == one
    assert f"torch {torch.__version__}" in next(iter(one.sources))


def test_without_torch_numpy_is_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    one = measure(triad_bytes=1 << 16)
    assert list(one.peak) == ["float32", "float64"]
    assert next(iter(one.sources)).endswith(f"NumPy {np.__version__}")
    with pytest.raises(MissingPackageError) as error:
        measure("cuda")
    assert str(error.value) == "to measure a GPU needs the package torch; install it: pip install torch"


def test_a_gpu_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError) as error:
        measure("cuda")
    assert str(error.value) == ("a GPU to measure must be there, but torch finds none; measure the processor instead")
