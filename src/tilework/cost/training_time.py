"""A training step's time on devices: what each part takes, and how it changes with their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tilework.cost.links import Devices
from tilework.cost.serving import Serving, too_large
from tilework.cost.stages import Rates, described
from tilework.cost.step_time import TrainingStage, stages_of
from tilework.errors import MachineError
from tilework.network.graph import Graph
from tilework.plain import dataframe


@dataclass(frozen=True)
class TrainingTime:
    """A training step of `batch` inputs, `micro_batch` of them at a time on each copy of the network."""

    network: str
    rates: Rates
    devices: Devices
    batch: int
    micro_batch: int
    optimizer: str
    recompute: bool
    stages: tuple[TrainingStage, ...]

    @property
    def micro_batches(self) -> int:
        """That go through the pipeline of each copy."""
        return self.batch // (self.devices.data * self.micro_batch)

    @property
    def ideal_seconds(self) -> float:
        """Of the forward and backward passes on a pipeline whose stages never wait."""
        return self.micro_batches * sum(stage.seconds for stage in self.stages) / len(self.stages)

    @property
    def passes_seconds(self) -> float:
        """Of all forward and backward passes, waiting for others' included."""
        seconds = [stage.seconds for stage in self.stages]
        return sum(seconds) + (self.micro_batches - 1) * max(seconds)

    @property
    def bubble_seconds(self) -> float:
        """In which a device waits for the others of its pipeline, on average."""
        return self.passes_seconds - self.ideal_seconds

    @property
    def all_reduce_seconds(self) -> float:
        """Of adding up the gradients over the copies of the network."""
        return max(stage.all_reduce_seconds for stage in self.stages)

    @property
    def exposed_seconds(self) -> float:
        """The part of that after the backward pass, which nothing hides."""
        return max(stage.exposed_seconds for stage in self.stages)

    @property
    def optimiser_seconds(self) -> float:
        return max(stage.optimiser_seconds for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Of the step."""
        return self.passes_seconds + self.exposed_seconds + self.optimiser_seconds

    @property
    def operations(self) -> float:
        """Of the step, on all devices: two for each multiply-accumulate; what is computed again isn't counted twice."""
        once = sum(stage.forward.operations + stage.backward.operations for stage in self.stages)
        return once * self.devices.tensor * self.devices.data * self.micro_batches

    @property
    def utilisation(self) -> float:
        """The operations' share of what the devices' peaks allow in the step's time (MFU)."""
        peak = self.rates.machine.peak[self.rates.dtype]
        return self.operations / (self.devices.number * peak * self.seconds)

    @property
    def rate(self) -> float:
        """Inputs a second."""
        return self.batch / self.seconds

    @property
    def memory_bytes(self) -> float:
        """Of the fullest device."""
        return max(stage.memory_bytes for stage in self.stages)

    @property
    def fullest(self) -> TrainingStage:
        """The stage that takes most memory."""
        return max(self.stages, key=lambda stage: stage.memory_bytes)

    def parts(self) -> dict[str, float]:
        """Seconds that add up to the step's; `passes` are of layers alone."""
        links = self.micro_batches * sum(_links(stage) for stage in self.stages) / len(self.stages)
        forward = self.micro_batches * sum(s.forward_seconds for s in self.stages) / len(self.stages)
        exchanged = self.micro_batches * sum(s.forward.links + s.send_seconds for s in self.stages) / len(self.stages)
        return {
            "forward": forward - exchanged,
            "backward": self.ideal_seconds - forward - (links - exchanged),
            "links within the network": links,
            "pipeline's bubble": self.bubble_seconds,
            "gradients' all-reduce, not hidden": self.exposed_seconds,
            "optimiser": self.optimiser_seconds,
        }

    def checked(self, wanted: bool = True) -> TrainingTime:
        """The same, if a device's memory holds it; raises MachineError with the number of devices that would."""
        capacity = self.rates.machine.memory.capacity_bytes
        if wanted and capacity is not None and self.memory_bytes > capacity:
            how = "--tensor or --pipeline, or use --recompute or a smaller --micro-batch"
            raise too_large(self.network, self.rates.machine, self.memory_bytes, self.devices, how)
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON's view; seconds, bytes and bytes per second."""
        machine, full = self.rates.machine, self.fullest
        return {
            **described(self.network, self.rates, self.devices, self.batch),
            "micro_batch": self.micro_batch,
            "micro_batches": self.micro_batches,
            "optimizer": self.optimizer,
            "recompute": self.recompute,
            "seconds": self.seconds,
            "parts_seconds": self.parts(),
            "all_reduce_seconds": self.all_reduce_seconds,
            "inputs_per_second": self.rate,
            "operations": self.operations,
            "utilisation": self.utilisation,
            "memory_bytes": self.memory_bytes,
            "weight_bytes": full.weight_bytes,
            "gradient_bytes": full.gradient_bytes,
            "optimiser_bytes": full.optimiser_bytes,
            "activation_bytes": full.activation_bytes,
            "memory_capacity_bytes": machine.memory.capacity_bytes,
            "stages": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One for each stage."""
        return [
            {
                "first": stage.first,
                "last": stage.last,
                "forward_seconds": stage.forward_seconds,
                "backward_seconds": stage.backward_seconds,
                "link_seconds": _links(stage),
                "parameters": stage.parameters,
                "memory_bytes": stage.memory_bytes,
            }
            for stage in self.stages
        ]

    def to_dataframe(self) -> Any:
        """A line for each stage; raises MissingPackageError without pandas."""
        rows = self.rows()
        return dataframe(rows, list(rows[0]))

    def __str__(self) -> str:
        from tilework.cost.scale_text import training_text

        return training_text(self)


def _links(stage: TrainingStage) -> float:
    """Within a micro-batch, forward, again and backward."""
    return stage.forward.links + stage.again.links + stage.backward.links + 2 * stage.send_seconds


def training_time(
    graph_of: Callable[[int], Graph],
    rates: Rates,
    devices: Devices,
    batch: int,
    micro_batch: int | None = None,
    optimizer: str = "adam",
    recompute: bool = False,
    overlap: bool = True,
) -> TrainingTime:
    """A step of `batch` inputs; `graph_of` gives the network for a micro-batch.

    Without `micro_batch` it is 1 in a pipeline, else what each copy of the network gets of the batch. Weights of fewer
    than 32 bits are trained beside a float32 copy. With `recompute` each block's activations are computed once more
    in the backward pass; without `overlap` gradients are added up after it.
    Raises MachineError for a batch that doesn't divide, and what `stages_of` raises.
    """
    micro = _micro_batch(batch, micro_batch, devices)
    graph = graph_of(micro)
    stages = stages_of(graph, rates, devices, batch // (devices.data * micro), optimizer, recompute, overlap)
    return TrainingTime(graph.name, rates, devices, batch, micro, optimizer, recompute, stages)


def _micro_batch(batch: int, micro_batch: int | None, devices: Devices) -> int:
    micro = micro_batch or (1 if devices.pipeline > 1 else max(1, batch // devices.data))
    if micro < 1 or batch < 1 or batch % (devices.data * micro):
        raise MachineError(
            f"the batch must be a multiple of data x micro-batch = {devices.data * micro}, not {batch}; choose such as "
            f"{max(1, batch // (devices.data * micro)) * devices.data * micro}"
        )
    return micro


def speed_ups(found: Sequence[TrainingTime] | Sequence[Serving]) -> list[float]:
    """How many times as much a second as the first, times its number of devices: the number itself is the ideal."""
    first = found[0]
    return [one.rate / first.rate * first.devices.number for one in found]
