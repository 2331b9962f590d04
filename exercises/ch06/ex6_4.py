"""6.4: when instruction-level parallelism helps a deep learning processor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tilework as tw

TITLE = "When instruction-level parallelism helps"
QUESTION = """
A deep learning processor has a queue for each of its units, so that a load, a matrix product and a vector operation
are under way at the same time. For which networks does that help, how much, and how deep must the queues be?
"""
NOTICE = """
Without queues the times of all units add up. With them the busiest unit's time is what remains, at best. So the gain
can't be more than the sum of the units' busy cycles over those of the busiest one, and that is the column to look at
first.

A perceptron for one image is loading nearly all of the time: its products take a tenth of that, and a tenth is what
there is to gain. In LeNet-5 loads take about as long as products, in MobileNet-V2 loads and the vector unit together,
and there queues are worth most.

AlexNet as a whole loads about as long as it multiplies, and gains next to nothing all the same. Its convolutions
multiply and hardly load; its fully connected layers, afterwards, load and hardly multiply. What could be done at the
same time is too far apart: the weights would have to lie on chip long before they are needed.

A queue must hold as many instructions as control has to run ahead: a tile's load, its tokens, and what the units do
with it. One entry helps little, since control stands at the first full queue; past 16 next to nothing is left to gain.
Parallelism costs nothing in the instruction set here: the compiler says by tokens what must wait for what.
"""
MACHINE = "dlp-s"
NETWORKS = ("mlp", "lenet5", "alexnet", "mobilenet_v2", "encoder", "lstm")
DEPTHS = (1, 2, 4, 8, 16, 64)


def answer(networks: tuple[str, ...] = NETWORKS) -> dict[str, Any]:
    """For each network the cycles of the same program one instruction after another, and with queues of each depth."""
    return {"machine": MACHINE, "networks": [_cycles(name) for name in networks]}


def _cycles(name: str) -> dict[str, Any]:
    program = tw.compile(name, MACHINE).program
    serial = tw.out_of_order(program, 1)
    return {
        "network": name,
        "instructions": serial.instructions,
        "busy_cycles": serial.busy_cycles,
        "most_parallel": serial.most_parallel,
        "serial_cycles": serial.cycles,
        "queue_cycles": {str(depth): tw.simulate(_with_queues(program, depth)).cycles for depth in DEPTHS},
    }


def _with_queues(program: tw.Program, depth: int) -> tw.Program:
    machine = program.machine
    return replace(program, machine=replace(machine, control=replace(machine.control, queue_depth=depth)))


def text(answer: dict[str, Any]) -> str:
    """Cycles by network and depth, and the gain beside what it could be at most."""
    depths = list(answer["networks"][0]["queue_cycles"])
    rows = []
    for one in answer["networks"]:
        queues = one["queue_cycles"]
        gain = one["serial_cycles"] / min(queues.values())
        figures = (f"{cycles:,}" for cycles in (one["serial_cycles"], *queues.values()))
        rows.append((one["network"], *figures, f"{gain:.2f}", f"{one['most_parallel']:.2f}"))
    head = ("network", "one by one", *(f"queues of {depth}" for depth in depths), "gain", "at most")
    return f"Cycles on {answer['machine']}, of the same programs:\n\n{tw.table(head, rows)}"
