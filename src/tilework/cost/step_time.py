"""The time of a training step on devices that work together, what of it is serial, and the memory that it takes.

A batch is divided among `data` copies of the network, and there into micro-batches that go through the pipeline one
behind the other: with p stages and m micro-batches of which the slowest stage takes t the pipeline takes the sum of all
stages and (m-1) t, so that (p-1)/(m+p-1) of the time is its bubble where all stages take the same (D. Narayanan et
al., Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM, SC 2021, section 2.2).
Gradients are added up over the copies while the last micro-batch's backward pass goes on, in messages of `BUCKET`
bytes (S. Li et al., PyTorch Distributed, VLDB 2020); the optimiser begins when they are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilework.cost.checkpoint import BLOCKS, segments
from tilework.cost.learning import backward_times, kept_bytes
from tilework.cost.links import Devices
from tilework.cost.memory import OPTIMISERS, STATE_BYTES
from tilework.cost.sharding import shard
from tilework.cost.stages import Rates, Split, Time, crossing, cuts, forward_times, split, total
from tilework.cost.traffic import BYTES, element_bytes
from tilework.errors import MachineError
from tilework.network.gradient import GradientPlan, gradient_plan
from tilework.network.graph import Graph

BUCKET = 25 * 2**20
DTYPES = ("float64", "float32", "tfloat32", "float16", "bfloat16")


@dataclass(frozen=True)
class TrainingStage:
    """A stage of the pipeline on one device: times of a micro-batch forward, forward once more, and backward; bytes.

    `gradient_bytes` are those that are added up over the copies of the network, in `all_reduce_seconds`, of which
    `exposed_seconds` come after the backward pass. `kept_bytes` are a micro-batch's activations until its backward
    pass, `passing_bytes` what a block takes that is computed once more.
    """

    first: str
    last: str
    forward: Time
    again: Time
    backward: Time
    send_seconds: float
    fused: bool
    parameters: float
    weight_bytes: float
    gradient_bytes: float
    optimiser_bytes: float
    optimiser_seconds: float
    all_reduce_seconds: float
    exposed_seconds: float
    kept_bytes: float
    passing_bytes: float
    in_flight: int

    @property
    def forward_seconds(self) -> float:
        return self.forward.seconds(self.fused) + self.send_seconds

    @property
    def backward_seconds(self) -> float:
        return self.again.seconds(self.fused) + self.backward.seconds(self.fused) + self.send_seconds

    @property
    def seconds(self) -> float:
        """Of a micro-batch."""
        return self.forward_seconds + self.backward_seconds

    @property
    def activation_bytes(self) -> float:
        """Of the micro-batches whose backward pass is still to come."""
        return self.in_flight * self.kept_bytes + self.passing_bytes

    @property
    def memory_bytes(self) -> float:
        return self.weight_bytes + self.gradient_bytes + self.optimiser_bytes + self.activation_bytes


def stages_of(
    graph: Graph, rates: Rates, devices: Devices, micro_batches: int, optimizer: str, again: bool, overlap: bool
) -> tuple[TrainingStage, ...]:
    """The stages that train a graph, whose batch is a micro-batch.

    Raises MachineError for a dtype that nothing is trained in, for an unknown optimiser, and for a graph without
    weights to train or with too few layers.
    """
    if rates.dtype not in DTYPES:
        raise MachineError(f"training needs a dtype of {', '.join(DTYPES)}, not {rates.dtype}; choose one with --dtype")
    if optimizer not in OPTIMISERS:
        raise MachineError(f"the optimiser must be one of {', '.join(OPTIMISERS)}, not {optimizer}; choose one")
    plan = gradient_plan(graph)
    if not plan.steps:
        raise MachineError(f"training needs a network with weights, and {graph.name} has none; choose another")
    builder = _Builder(split(graph, shard(graph, devices.tensor)), plan, rates, devices, optimizer, overlap)
    return builder.stages(micro_batches, again)


class _Builder:
    """Everything that the stages of one network share."""

    def __init__(
        self, work: Split, plan: GradientPlan, rates: Rates, devices: Devices, optimizer: str, overlap: bool
    ) -> None:
        self.work, self.plan, self.rates, self.devices = work, plan, rates, devices
        self.states, self.overlap = OPTIMISERS[optimizer], overlap
        self.forward = forward_times(work, rates, devices)
        self.backward = backward_times(work, plan, rates, devices)
        self.trained = _last_steps(plan)

    def stages(self, micro_batches: int, again: bool) -> tuple[TrainingStage, ...]:
        """The pipeline's stages, balanced by what a micro-batch takes forward and backward."""
        graph, fused = self.work.graph, self.rates.fused
        twice = {node.name for part in segments(graph, BLOCKS) for node in part} if again else set()
        repeated = [
            time if node.name in twice else Time() for node, time in zip(graph.nodes, self.forward, strict=True)
        ]
        back = [self.backward.get(node.name, Time()) for node in graph.nodes]
        seconds = [sum(t.seconds(fused) for t in times) for times in zip(self.forward, repeated, back, strict=True)]
        kept, passing = kept_bytes(self.work, self.plan, self.rates.dtype, again)
        parts = cuts(graph, seconds, self.devices.pipeline)
        sends = [*crossing(self.work, self.rates.dtype), 0.0]
        return tuple(
            self.stage(part, repeated, kept, passing, sends[part.stop], min(micro_batches, len(parts) - place))
            for place, part in enumerate(parts)
        )

    def stage(
        self, part: range, repeated: list[Time], kept: Mapping[str, float], passing: float, send: float, in_flight: int
    ) -> TrainingStage:
        """One stage."""
        graph, rates, devices = self.work.graph, self.rates, self.devices
        nodes = [graph.nodes[i] for i in part]
        names = {node.name for node in nodes}
        weights, gradients, parameters = self._weights(names, {name for node in nodes for name in node.inputs})
        states = (STATE_BYTES * self.states + (4 if self._has_master else 0)) * parameters
        inputs = {name for node in nodes for name in node.inputs} - {node.name for node in graph.nodes}
        backward = {
            step.node.name: self.backward[step.node.name] for step in self.plan.steps if step.node.name in names
        }
        after = self._after(backward)
        return TrainingStage(
            nodes[0].name,
            nodes[-1].name,
            total(self.forward[i] for i in part),
            total(repeated[i] for i in part),
            total(backward.values()),
            devices.send(send),
            rates.fused,
            parameters,
            weights,
            gradients,
            states,
            self._optimiser_bytes * parameters / rates.bytes,
            sum(devices.across(size) for _, size in _buckets(self._ready(backward))),
            after,
            sum(kept.get(name, 0.0) for name in names | inputs),
            passing,
            in_flight,
        )

    @property
    def _has_master(self) -> bool:
        return BYTES[self.rates.dtype] < STATE_BYTES

    @property
    def _optimiser_bytes(self) -> float:
        """What the optimiser moves for a parameter: it reads the gradient, reads and writes what it remembers and the
        float32 weight, and where that is a copy it writes the narrow one too."""
        narrow = BYTES[self.rates.dtype]
        weight = 2 * STATE_BYTES + narrow if self._has_master else 2 * narrow
        return narrow + weight + 2 * STATE_BYTES * self.states

    def _weights(self, nodes: set[str], read: set[str]) -> tuple[float, float, float]:
        """A device's bytes of the weights that nodes read, of gradients, and how many parameters it trains."""
        tensors, sharding, dtype = self.work.graph.tensors, self.work.sharding, self.rates.dtype
        held = [tensors[name] for name in read if tensors[name].is_weight]
        weights = sum(t.elements * sharding.share(t) * element_bytes(t, dtype) for t in held)
        trained = [tensors[name] for name, node in self.trained.items() if node in nodes]
        parameters = sum(t.elements * sharding.share(t) for t in trained)
        gradients = sum(t.elements * sharding.share(t) * element_bytes(t, dtype) for t in trained)
        return weights, gradients, parameters

    def _ready(self, backward: Mapping[str, Time]) -> list[tuple[float, float]]:
        """When the gradients of a stage's weights are there, from its backward pass's beginning, and their bytes."""
        tensors, sharding = self.work.graph.tensors, self.work.sharding
        by_node: dict[str, float] = {}
        for name, node in self.trained.items():
            size = (
                tensors[name].elements * sharding.share(tensors[name]) * element_bytes(tensors[name], self.rates.dtype)
            )
            by_node[node] = by_node.get(node, 0.0) + size
        now, found = 0.0, []
        for node, time in backward.items():
            now += time.seconds(self.rates.fused)
            if node in by_node:
                found.append((now, by_node[node]))
        return found

    def _after(self, backward: Mapping[str, Time]) -> float:
        """How long the all-reduce of gradients goes on after the backward pass."""
        end = sum(time.seconds(self.rates.fused) for time in backward.values())
        free = 0.0
        for ready, size in _buckets(self._ready(backward)):
            free = max(free, ready if self.overlap else end) + self.devices.across(size)
        return max(0.0, free - end)


def _last_steps(plan: GradientPlan) -> dict[str, str]:
    """The node whose step completes the gradient of each weight, by the weight's name."""
    tensors = plan.graph.tensors
    return {name: step.node.name for step in plan.steps for name, _ in step.gives if tensors[name].is_weight}


def _buckets(ready: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Gradients in messages of BUCKET bytes or more, each when its last part is there."""
    found: list[tuple[float, float]] = []
    size = when = 0.0
    for when, part in ready:
        size += part
        if size >= BUCKET:
            found.append((when, size))
            size = 0.0
    return [*found, (when, size)] if size else found
