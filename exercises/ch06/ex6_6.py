"""6.6: the decoder of the instruction set: its state diagram, made from the instruction table."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "The decoder: its state diagram, generated from the instruction table"
QUESTION = """
Design the decoder of your instruction set: draw its state diagram, from fetching a word to the next one, so
that every instruction takes its way through it.
"""
NOTICE = """
The diagram isn't drawn by hand. Each row of the instruction table says which form the instruction has, which
fields and which unit; its way through the states follows from these, and the diagram is what all ways make
together. Who adds an instruction gets its states without touching the decoder, as in hardware: a decoder that
looks at a few bits of the opcode rather than at each opcode.

Most instructions share one way: read the descriptor, add up the addresses, wait for a place in the queue,
issue. That is why control can issue one in each cycle; the states are the stages of a pipeline. What stops it
is `place`, when a queue is full, and `drain`, when it must wait for all units.

The units have a diagram of their own, and a queue between them and control. Without the queue both diagrams
would be one, and control would wait in `work`.
"""


def answer() -> dict[str, Any]:
    """The transitions of both diagrams with the instructions that take them, and each instruction's way."""
    return {
        "diagrams": {
            diagram.name: [
                {"from": start, "to": stop, "instructions": list(names)}
                for (start, stop), names in diagram.transitions.items()
            ]
            for diagram in (tw.control_diagram(), tw.unit_diagram())
        },
        "ways": {name: list(tw.control_path(opcode)) for name, opcode in tw.OPCODES.items()},
        "text": tw.diagram_text(),
    }


def text(answer: dict[str, Any]) -> str:
    """Both diagrams as lists of transitions, then how many instructions go each way."""
    ways: dict[str, list[str]] = {}
    for name, states in answer["ways"].items():
        ways.setdefault(" > ".join(states), []).append(name)
    rows = [(way, str(len(names)), names[0]) for way, names in sorted(ways.items(), key=lambda item: -len(item[1]))]
    table = tw.table(("way of control", "instructions", "such as"), rows, left=1)
    return f"{answer['text'].rstrip()}\n\n{table}"


def draw(answer: dict[str, Any], path: str) -> None:
    """The diagrams as .svg, .dot or .txt."""
    tw.write_diagram(path)
