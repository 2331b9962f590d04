"""How long a network's answers take on devices that work together, how many a second there are, and what they cost.

A language model reads its prompt in one pass (prefill) and then makes one token a pass (decode), before each of which
it reads all weights and what it keeps of earlier tokens: the inputs of the decoding graph. Any other network has one
pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from tilework.cost.links import Devices
from tilework.cost.passes import DECODE, PREFILL, Pass
from tilework.cost.stages import Rates, described
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator
from tilework.plain import dataframe, quantity


@dataclass(frozen=True)
class Serving:
    """A network's answers on devices; `batch` are those of one pass, and every stage is at work on another batch.

    `generated` tokens follow a prompt of `prompt` tokens; both are 0 where the network is no language model.
    `cached` tokens stand before the one that the decoding pass makes. `watts` and `price` are of one device, `price`
    for an hour.
    """

    network: str
    rates: Rates
    devices: Devices
    batch: int
    passes: Mapping[str, Pass]
    prompt: int = 0
    generated: int = 0
    watts: float | None = None
    price: float | None = None
    cached: int = 0

    @property
    def last(self) -> Pass:
        """The pass that answers: decode, or the only one."""
        return self.passes.get(DECODE) or next(iter(self.passes.values()))

    @property
    def in_flight(self) -> int:
        """Answers at work at once, on all devices."""
        return self.batch * self.devices.pipeline * self.devices.data

    @property
    def tokens_per_second_per_request(self) -> float:
        """Of a language model, while it decodes; of another network its answers."""
        return 1 / self.last.period

    @property
    def rate(self) -> float:
        """Tokens a second of all requests while they decode; answers a second of another network."""
        return self.in_flight / self.last.period

    @property
    def request_seconds(self) -> float:
        """From a prompt to its last token."""
        first = self.passes[PREFILL].period if PREFILL in self.passes else 0.0
        return first + max(self.generated - 1, 0) * self.last.period if self.generated else self.last.period

    @property
    def per_second(self) -> float:
        """Tokens a second of all requests, the time for their prompts included; or answers."""
        return self.in_flight * max(self.generated, 1) / self.request_seconds

    @property
    def cache_bytes_per_token(self) -> float:
        """What is kept of a token, on all devices together, read off the inputs of the decoding graph."""
        return self.last.cache_bytes / (self.batch * self.cached) if self.cached else 0.0

    @property
    def memory_bytes(self) -> float:
        """Of the fullest device: weights, what is kept of the tokens of all batches in flight, and activations."""
        stages = self.last.stages
        return max(s.weight_bytes + len(stages) * s.cache_bytes for s in stages) + self.last.activation_bytes

    @property
    def largest_batch(self) -> int | None:
        """The largest `batch` for which a device's memory is enough; None where its size isn't known."""
        capacity = self.rates.machine.memory.capacity_bytes
        if capacity is None:
            return None
        stages, activations = self.last.stages, self.last.activation_bytes
        each = ((len(stages) * s.cache_bytes + activations) / self.batch for s in stages)
        found = ((capacity - s.weight_bytes) / size for s, size in zip(stages, each, strict=True) if size)
        return max(0, int(min(found, default=0)))

    @property
    def joules_per_token(self) -> float | None:
        """Of all devices at the given power."""
        return None if self.watts is None else self.watts * self.devices.number / self.per_second

    @property
    def price_per_million(self) -> float | None:
        """Of a million tokens (or answers), in the unit of the given price."""
        return None if self.price is None else self.price / 3600 * self.devices.number / self.per_second * 1e6

    def parts(self) -> dict[str, float]:
        """Seconds of the pass that answers."""
        return {"layers": self.last.seconds - self.last.link_seconds, "links": self.last.link_seconds}

    def checked(self, wanted: bool = True) -> Serving:
        """The same, if a device's memory holds it; raises MachineError with the number of devices that would."""
        capacity = self.rates.machine.memory.capacity_bytes
        if wanted and capacity is not None and self.memory_bytes > capacity:
            raise too_large(self.network, self.rates.machine, self.memory_bytes, self.devices, "--tensor or --pipeline")
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON's view; seconds, bytes and bytes per second."""
        machine = self.rates.machine
        return {
            **described(self.network, self.rates, self.devices, self.batch),
            "requests_in_flight": self.in_flight,
            "prompt_tokens": self.prompt,
            "generated_tokens": self.generated,
            "passes": [one.to_dict() for one in self.passes.values()],
            "tokens_per_second_per_request": self.tokens_per_second_per_request,
            "decode_per_second": self.rate,
            "request_seconds": self.request_seconds,
            "per_second": self.per_second,
            "cache_bytes_per_token": self.cache_bytes_per_token,
            "memory_bytes": self.memory_bytes,
            "memory_capacity_bytes": machine.memory.capacity_bytes,
            "largest_batch": self.largest_batch,
            "joules_per_token": self.joules_per_token,
            "price_per_million": self.price_per_million,
            "whole_on_each_device": list(self.last.whole),
        }

    def to_dataframe(self) -> Any:
        """A line for each stage of each pass; raises MissingPackageError without pandas."""
        rows = [row for one in self.passes.values() for row in one.rows()]
        return dataframe(rows, list(rows[0]))

    def __str__(self) -> str:
        from tilework.cost.scale_text import serving_text

        return serving_text(self)


def too_large(network: str, machine: Accelerator, needed: float, devices: Devices, how: str) -> MachineError:
    """The error for a device that is too small."""
    capacity = machine.memory.capacity_bytes or 1
    least = ceil(needed * devices.tensor * devices.pipeline / capacity)
    return MachineError(
        f"each device must hold its part of {network} in the {quantity(capacity, 'B')} of {machine.name}, not "
        f"{quantity(needed, 'B')}; share it among at least {least} devices with {how}"
    )
