"""How much memory a network takes, at inference and in training: docs/memory.md says what is counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tilework.cost.checkpoint import Segment, recompute, segments
from tilework.cost.count import count, stored_bytes
from tilework.cost.liveness import INPUTS, LOSS, Moment, Storages, backward, forward, live_bytes
from tilework.cost.record import Record, total
from tilework.errors import NetworkError
from tilework.network.blocks import Blocks, flat
from tilework.network.gradient import GradientPlan, gradient_plan
from tilework.network.graph import BUFFER, DTYPE_BYTES, Graph
from tilework.plain import columns, dataframe

STATE_BYTES = DTYPE_BYTES["float32"]
OPTIMISERS: dict[str, int] = {  # float32 numbers that each remembers for each parameter
    "sgd": 0,
    "momentum": 1,
    "adagrad": 1,
    "rmsprop": 1,
    "adam": 2,
    "adamw": 2,
}


@dataclass(frozen=True, slots=True)
class Live:
    """The bytes of activations, and of their gradients, in memory while a node is at work in a phase."""

    phase: str
    node: str
    bytes: int

    def __str__(self) -> str:
        return self.node if self.node in (INPUTS, LOSS) else f"{self.phase} of {self.node}"


@dataclass(frozen=True)
class Memory:
    """Bytes. `inference` and `training` are timelines of what changes while the network runs: values, temporaries,
    gradients of values. What stays all the time stands apart: parameters, buffers and, in training, gradients of the
    parameters, the optimiser's state and the float32 `master` weights.

    `activation_bytes` is the sum of all values, `saved_bytes` what the forward pass leaves to the backward pass;
    `recomputed` what checkpointing computes twice, in so many `segments`.
    """

    network: str
    dtype: str | None
    optimizer: str
    parameter_bytes: int
    buffer_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    master_bytes: int
    activation_bytes: int
    saved_bytes: int
    segments: int
    recomputed: Record
    inference: tuple[Live, ...]
    training: tuple[Live, ...]

    @property
    def inference_peak(self) -> Live:
        """The moment at which inference needs the most memory, the first of them."""
        return max(self.inference, key=lambda live: live.bytes)

    @property
    def training_peak(self) -> Live:
        """The moment at which a training step needs the most memory, the first of them."""
        return max(self.training, key=lambda live: live.bytes)

    @property
    def inference_bytes(self) -> int:
        """All that inference needs at its peak."""
        return self.parameter_bytes + self.buffer_bytes + self.inference_peak.bytes

    @property
    def training_bytes(self) -> int:
        """All that a training step needs at its peak."""
        kept = self.gradient_bytes + self.optimizer_bytes + self.master_bytes
        return self.parameter_bytes + self.buffer_bytes + kept + self.training_peak.bytes

    def to_dict(self) -> dict[str, Any]:
        """The numbers for JSON, without the timelines."""
        names = ("parameter", "buffer", "gradient", "optimizer", "master", "activation", "saved")
        head = {"network": self.network, "dtype": self.dtype, "optimizer": self.optimizer}
        sizes = {f"{name}_bytes": getattr(self, f"{name}_bytes") for name in names}
        peaks = {
            f"{name}_{what}": value
            for name, peak in (("inference_peak", self.inference_peak), ("training_peak", self.training_peak))
            for what, value in (("bytes", peak.bytes), ("at", str(peak)))
        }
        sums = {"inference_bytes": self.inference_bytes, "training_bytes": self.training_bytes}
        return {**head, **sizes, **peaks, **sums, "segments": self.segments, "recomputed_macs": self.recomputed.macs}

    def to_dataframe(self) -> Any:
        """The timelines as a pandas DataFrame, a line per moment; raises MissingPackageError without pandas."""
        passes = (("inference", self.inference), ("training", self.training))
        rows = [
            {"pass": name, "phase": live.phase, "node": live.node, "bytes": live.bytes}
            for name, timeline in passes
            for live in timeline
        ]
        return dataframe(rows, ["pass", "phase", "node", "bytes"])

    def __str__(self) -> str:
        peak, top = self.inference_peak, self.training_peak
        table = [
            ("parameters", self.parameter_bytes, self.parameter_bytes),
            ("buffers", self.buffer_bytes, self.buffer_bytes),
            ("gradients of the parameters", 0, self.gradient_bytes),
            (f"optimiser state ({self.optimizer})", 0, self.optimizer_bytes),
            ("float32 master weights", 0, self.master_bytes),
            ("activations and their gradients at the peak", peak.bytes, top.bytes),
            ("total", self.inference_bytes, self.training_bytes),
        ]
        cells = [[name, _shown(inference), _shown(training)] for name, inference, training in table]
        cells.append(["the peak is at", str(peak), str(top)])
        below = [
            f"All activations together take {_shown(self.activation_bytes)}, "
            f"of which {_shown(self.saved_bytes)} are kept for the backward pass."
        ]
        if self.segments:
            below.append(f"Checkpointing in {self.segments:,} segments computes {self.recomputed.macs:,} MACs again.")
        stored = f", stored as {self.dtype}" if self.dtype else ""
        return "\n".join([columns([f"{self.network}{stored}", "inference", "training"], cells), "", *below])


def _shown(size: int) -> str:
    return (f"{size:,} B" if size < 1e4 else f"{size:,} B = {size / 1e6:,.2f} MB") if size else "--"


def memory(
    graph: Graph | Blocks,
    dtype: str | None = None,
    optimizer: str = "adam",
    checkpoint: str | int | None = None,
    master: bool = False,
) -> Memory:
    """The memory that inference and a training step take, from the lifetimes of the tensors in the graph's order.

    `dtype` is what floating-point tensors are stored as (None: each tensor's own); the optimiser's state is float32,
    and with `master` so is a second copy of the parameters, for mixed precision. `checkpoint` computes activations
    again instead of keeping them: by modules N levels deep, or "blocks" (see `cost.checkpoint.segments`).
    Raises NetworkError for an unknown dtype, optimiser or checkpoint.
    """
    if dtype is not None and dtype not in DTYPE_BYTES:
        raise NetworkError(f"the dtype must be one of {', '.join(DTYPE_BYTES)}, not {dtype!r}")
    if optimizer not in OPTIMISERS:
        raise NetworkError(f"the optimiser must be one of {', '.join(OPTIMISERS)}, not {optimizer!r}")
    graph = flat(graph)
    plan = gradient_plan(graph)
    lean = Storages(graph, dtype)
    return Memory(
        network=graph.name,
        dtype=dtype,
        optimizer=optimizer,
        activation_bytes=sum(lean.sizes[node.name] for node in graph.nodes if node.name in lean.sizes),
        inference=_timeline(list(forward(lean)), lean),
        **_constant(plan, dtype, OPTIMISERS[optimizer], master),
        **_training(plan, dtype, () if checkpoint is None else segments(graph, checkpoint)),
    )


def _constant(plan: GradientPlan, dtype: str | None, states: int, master: bool) -> dict[str, Any]:
    """What `Memory` says of what stays; an optimiser holds `states` numbers for each parameter that has a gradient."""
    tensors = plan.graph.tensors
    trained = [tensors[name] for name in {name for step in plan.steps for name, _ in step.gives}]
    trained = [tensor for tensor in trained if tensor.is_weight]
    elements = sum(tensor.elements for tensor in trained)
    weights = plan.graph.weights
    return {
        "parameter_bytes": sum(stored_bytes(tensor, dtype) for tensor in weights if tensor.role != BUFFER),
        "buffer_bytes": sum(stored_bytes(tensor, dtype) for tensor in weights if tensor.role == BUFFER),
        "gradient_bytes": sum(stored_bytes(tensor, dtype) for tensor in trained),
        "optimizer_bytes": STATE_BYTES * states * elements,
        "master_bytes": STATE_BYTES * elements if master else 0,
    }


def _training(plan: GradientPlan, dtype: str | None, parts: Sequence[Segment]) -> dict[str, Any]:
    """What `Memory` says of the two passes of a training step, segments of the network being computed again."""
    storages = Storages(plan.graph, dtype, {name for step in plan.steps for name in step.reads})
    first = list(forward(storages))
    then, repeated = recompute(plan, storages, parts, backward(storages, plan))
    made = {storage for moment in first for storage in moment.touches}
    read = {storage for moment in then for storage in moment.touches}
    return {
        "saved_bytes": sum(storages.sizes[name] for name in made & read),
        "segments": len(parts),
        "recomputed": _work(plan.graph, {node.name for node in repeated}),
        "training": _timeline([*first, *then], storages),
    }


def _work(graph: Graph, names: Collection[str]) -> Record:
    return total(row for row in count(graph).rows if row.name in names) if names else Record()


def _timeline(moments: Sequence[Moment], storages: Storages) -> tuple[Live, ...]:
    sizes = live_bytes(moments, storages.sizes, set(storages.read(storages.graph.outputs)))
    return tuple(Live(m.phase, m.node, size) for m, size in zip(moments, sizes, strict=True))
