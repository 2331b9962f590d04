"""Measured times of a network's layers beside their bounds and, on a machine that was measured, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import Any

from tilework.cost.count import count
from tilework.cost.kinds import kind_of
from tilework.cost.levels import LevelBound, hierarchy
from tilework.cost.limits import rate_dtype
from tilework.cost.record import total
from tilework.machine.accelerator import Accelerator, Reached
from tilework.network.graph import Graph
from tilework.plain import columns, dataframe, percent, quantity, shorten


@dataclass(frozen=True)
class Timed:
    """Layers that ran as one, and the seconds that they took in each run."""

    layers: tuple[str, ...]
    runs: tuple[float, ...]


@dataclass(frozen=True)
class Part:
    """Layers that ran as one: measured, at least, and as layers of their kind usually run here, in seconds.

    `seconds` is the runs' median, `fastest_seconds` what other work on the machine disturbed least.
    """

    layers: tuple[str, ...]
    operation: str
    kind: str
    seconds: float
    fastest_seconds: float
    operations: int
    bound: LevelBound
    predicted_seconds: float | None

    @property
    def name(self) -> str:
        """Its main layer, and how many others it has."""
        return self.layers[0] if len(self.layers) == 1 else f"{self.layers[0]} +{len(self.layers) - 1}"

    @property
    def operations_per_second(self) -> float:
        return self.operations / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.layers[0],
            "layers": list(self.layers),
            "operation": self.operation,
            "kind": self.kind,
            "seconds": self.seconds,
            "fastest_seconds": self.fastest_seconds,
            "bound_seconds": self.bound.seconds,
            "bound_by": self.bound.bound_by,
            "predicted_seconds": self.predicted_seconds,
            "operations": self.operations,
            "operations_per_second": self.operations_per_second,
        }


@dataclass(frozen=True)
class Measured:
    """A network's time on this machine. `runs` are whole runs; `untimed` layers took no operator of their own.

    `seconds` is the runs' median, `worked` what processors worked in each: with one thread it is less where other
    programs had the processor. The parts are timed in other runs, with a profiler, which takes time itself: what
    `between_seconds` says is left of whole runs, and is below 0 where the profiler's part is larger.
    """

    network: str
    runtime: str
    threads: int
    machine: Accelerator
    dtype: str
    runs: tuple[float, ...]
    parts: tuple[Part, ...]
    worked: tuple[float, ...] = ()
    untimed: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return median(self.runs)

    @property
    def processor_seconds(self) -> float:
        """The median of what processors worked in a run, of all threads together."""
        return median(self.worked) if self.worked else self.seconds

    @property
    def layer_seconds(self) -> float:
        return sum(part.seconds for part in self.parts)

    @property
    def between_seconds(self) -> float:
        return self.seconds - self.layer_seconds

    @property
    def bound_seconds(self) -> float:
        return sum(part.bound.seconds for part in self.parts)

    @property
    def predicted_seconds(self) -> float | None:
        """None where the machine's file doesn't say what layers reach."""
        known = [part.predicted_seconds for part in self.parts if part.predicted_seconds is not None]
        return sum(known) if len(known) == len(self.parts) else None

    def seconds_by(self, key: str) -> dict[str, float]:
        """The parts' seconds by "kind" or "operation", the longest first."""
        found: dict[str, float] = {}
        for part in self.parts:
            found[getattr(part, key)] = found.get(getattr(part, key), 0.0) + part.seconds
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, Any]:
        """JSON's view, as `tilework measure --json` prints it."""
        return {
            "network": self.network,
            "runtime": self.runtime,
            "threads": self.threads,
            "machine": self.machine.name,
            "dtype": self.dtype,
            "seconds": self.seconds,
            "fastest_seconds": min(self.runs),
            "processor_seconds": self.processor_seconds,
            "runs": list(self.runs),
            "layer_seconds": self.layer_seconds,
            "between_seconds": self.between_seconds,
            "bound_seconds": self.bound_seconds,
            "predicted_seconds": self.predicted_seconds,
            "operations": sum(part.operations for part in self.parts),
            "seconds_by_kind": self.seconds_by("kind"),
            "untimed": list(self.untimed),
            "layers": [part.to_dict() for part in self.parts],
        }

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per part; raises MissingPackageError without pandas."""
        rows = [part.to_dict() | {"layers": " ".join(part.layers)} for part in self.parts]
        return dataframe(rows, list(rows[0]) if rows else [])

    def __str__(self) -> str:
        return table(self, top=None)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def measured(
    graph: Graph,
    machine: Accelerator,
    timed: Sequence[Timed],
    runs: Sequence[float],
    runtime: str,
    threads: int,
    dtype: str = "float32",
) -> Measured:
    """Times with the bound and the prediction of each part. Raises MachineError without the machine's peak in the
    dtype or its bandwidth."""
    chosen = rate_dtype(machine, dtype)
    groups = [one.layers for one in timed]
    bounds = hierarchy(graph, machine, chosen, groups).bounds
    nodes = {node.name: node for node in graph.nodes}
    rows = {row.name: row for row in count(graph).rows}
    parts = []
    for one, bound in zip(timed, bounds, strict=True):
        own = [nodes[name] for name in one.layers]
        main = max(own, key=lambda node: rows[node.name].macs)
        kind, work = kind_of(graph, own), total(rows[node.name] for node in own).other_operations
        names = (main.name, *(name for name in one.layers if name != main.name))
        expected = predicted(machine.reached, bound, kind, work) if _fits(machine.reached, runtime, threads) else None
        times = median(one.runs), min(one.runs)
        parts.append(Part(names, main.label, kind, *times, bound.operations, bound, expected))
    return Measured(graph.name, runtime, threads, machine, chosen, tuple(runs), tuple(parts))


def _fits(reached: Reached | None, runtime: str, threads: int) -> bool:
    """Whether what was measured of single layers was the same runtime, of any version, with as many threads."""
    if reached is None:
        return False
    return (reached.runtime.rpartition(" ")[0], reached.threads) == (runtime.rpartition(" ")[0], threads)


def predicted(reached: Reached | None, bound: LevelBound, kind: str, work: dict[str, int]) -> float | None:
    """The time of layers of a kind by what such layers reach; None where that isn't known."""
    if reached is None or kind not in reached.share:
        return None
    functions = sum(number / reached.rate[name] for name, number in work.items() if name in reached.rate)
    return reached.overhead_seconds + bound.seconds / reached.share[kind] + functions


HEAD = ("layers", "operation", "time", "share", "at least", "predicted", "ratio", "reached")


def table(found: Measured, top: int | None) -> str:
    """A line for each part in the order of the network, or for the `top` slowest, and what they amount to."""
    shown = sorted(found.parts, key=lambda part: -part.seconds)[:top] if top else found.parts
    rows = [
        (
            shorten(part.name, 44),
            part.operation,
            quantity(part.seconds, "s"),
            percent(part.seconds / (found.layer_seconds or 1)),
            quantity(part.bound.seconds, "s"),
            "-" if part.predicted_seconds is None else quantity(part.predicted_seconds, "s"),
            _ratio(part.predicted_seconds, part.seconds),
            quantity(part.operations_per_second, "op/s") if part.operations else "-",
        )
        for part in shown
    ]
    return "\n\n".join((columns(HEAD, rows, left=2), "\n".join(_summary(found))))


def _ratio(predicted_seconds: float | None, seconds: float) -> str:
    return "-" if predicted_seconds is None or not seconds else f"{predicted_seconds / seconds:.2f}"


def _summary(found: Measured) -> list[str]:
    threads = f"{found.threads} thread{'s' * (found.threads > 1)}"
    worked = f"processors worked {quantity(found.processor_seconds, 's')} of it"
    times = f"median of {len(found.runs)}, the fastest {quantity(min(found.runs), 's')}; {worked}"
    whole = found.layer_seconds or 1
    kinds = ", ".join(f"{kind} {percent(seconds / whole)}" for kind, seconds in found.seconds_by("kind").items())
    lines = [
        f"{found.network} in {found.runtime} with {threads}: {quantity(found.seconds, 's')} ({times})",
        f"In the layers: {quantity(found.layer_seconds, 's')}; {kinds}",
        f"On {found.machine.name} in {found.dtype} it takes at least {quantity(found.bound_seconds, 's')}",
    ]
    if found.predicted_seconds is not None:
        ratio = _ratio(found.predicted_seconds, found.layer_seconds)
        lines += [f"Predicted for its layers: {quantity(found.predicted_seconds, 's')}, {ratio} of the measured time"]
    if found.untimed:
        lines += [f"Without an operator: {shorten(', '.join(found.untimed), 100)}"]
    return lines
