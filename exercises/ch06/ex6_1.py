"""6.1: what a deep learning processor has that the neural chips of the 1980s had not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tilework as tw

TITLE = "What a deep learning processor has that the chips of the 1980s had not"
QUESTION = """
There were chips for neural networks in the 1980s already. What does a deep learning processor of today have that they
had not, and what is each of these things worth?
"""
NOTICE = """
Intel's ETANN of 1989 had a multiplier for each of its 10,240 weights, which lay in it as charges, and did two billion
of its connections a second: as many as this processor would with 2 of its 256 multipliers. Its speed was not the
limit. A network had to fit. LeNet-5's weights would fill seven of these chips, and as each of its connections needs a
multiplier of its own there, 41. AlexNet would need tens of thousands, wired in the way in which its layers are.

A processor uses the same multipliers for one part of a network after the other. So it needs memories on chip for what
it uses again, a channel to a large memory, and instructions, which make it fit for networks that nobody knew when it
was built. The second table takes these things away again, one at a time, and says what that costs in cycles.

Half of the memory on chip costs LeNet-5 a third, since its layers don't all stay there any more, and nothing where the
tiles are small enough as they are. Without queues, which let it load while it computes, most is lost where both take
equally long. Without 63 of the vector unit's 64 lanes all that isn't a product gets slow: activations, pooling,
normalisation. The early chips had one activation, and it was part of the hardware.
"""
SYNAPSES, CONNECTIONS_PER_SECOND = 10_240, 2e9
SOURCE = (
    "M. Holler et al., An electrically trainable artificial neural network (ETANN) with 10240 floating gate synapses, "
    "IJCNN 1989; WikiChip, Intel ETANN: 64 neurons, 2,000 million connections per second"
)
MACHINE = "dlp-s"
NETWORKS, SIMULATED = ("mlp", "lenet5", "alexnet"), ("mlp", "lenet5", "encoder")


def answer(simulated: tuple[str, ...] = SIMULATED) -> dict[str, Any]:
    """Chips and seconds that networks would need in 1989, and cycles of today's processor without what is new in it."""
    return {
        "source": SOURCE,
        "synapses": SYNAPSES,
        "connections_per_second": CONNECTIONS_PER_SECOND,
        "networks": [_in_1989(name) for name in NETWORKS],
        "machine": MACHINE,
        "without": [_without(name) for name in simulated],
    }


def _in_1989(name: str) -> dict[str, Any]:
    total = tw.count(name).total
    return {
        "network": name,
        "parameters": total.parameters,
        "connections": total.macs,
        "chips_for_weights": -(-total.parameters // SYNAPSES),
        "chips_for_connections": -(-total.macs // SYNAPSES),
        "seconds_of_one_chip": total.macs / CONNECTIONS_PER_SECOND,
    }


def _without(name: str) -> dict[str, Any]:
    machine = tw.load_machine(MACHINE)
    program = tw.compile(name, machine).program
    smaller = replace(machine, nram=_half(machine.nram), wram=_half(machine.wram))
    slower = replace(machine, vector=replace(machine.vector, lanes=1))
    return {
        "network": name,
        "whole": tw.simulate(program).cycles,
        "queues": tw.out_of_order(program, 1).cycles,
        "half of the memory": tw.compile(name, smaller).cost.cycles,
        "63 of 64 lanes": tw.compile(name, slower).cost.cycles,
    }


def _half(memory: Any) -> Any:
    return replace(memory, capacity_bytes=memory.capacity_bytes // 2)


def text(answer: dict[str, Any]) -> str:
    """What 1989 would have needed, and what today's processor loses."""
    then = [
        (
            one["network"],
            *(f"{one[key]:,}" for key in ("parameters", "connections", "chips_for_weights", "chips_for_connections")),
            f"{1e3 * one['seconds_of_one_chip']:,.3f} ms",
        )
        for one in answer["networks"]
    ]
    parts = [key for key in answer["without"][0] if key not in ("network", "whole")]
    now = [
        (one["network"], f"{one['whole']:,}", *(f"{one[part] / one['whole']:.2f}" for part in parts))
        for one in answer["without"]
    ]
    head = ("network", "weights", "connections", "chips for weights", "for connections", "time of one chip's rate")
    return "\n\n".join(
        (
            f"A chip of 1989 with {answer['synapses']:,} synapses ({answer['source']}):",
            tw.table(head, then),
            f"{answer['machine']}: cycles, and times as many without a part of it:",
            tw.table(("network", "cycles", *parts), now),
        )
    )
