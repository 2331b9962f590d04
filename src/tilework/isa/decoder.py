"""The state diagrams of control, which fetches, decodes and issues, and of a unit, derived from the instruction table.

Each row of the table takes a path through the states that its form, its unit and its fields ask for; the diagram is
what all paths make together. So an instruction that is added to the table shows up by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tilework.isa.table import OPCODES, Opcode

STATES = {  # and what happens in them
    "fetch": "read the word at the present place",
    "decode": "find the opcode's row in the table",
    "illegal": "no such opcode: stop with an error",
    "descriptor": "read the record that the payload names",
    "registers": "read the registers that the instruction and its operands name",
    "addresses": "add base, steps times the loops' counters, and register",
    "place": "wait until the queue has a free place",
    "issue": "put the instruction into the queue",
    "drain": "wait until all queues are empty and all units idle",
    "meet": "wait until every stream of the scope is here",
    "element": "read or write one element of NRAM",
    "write": "write the result's register",
    "loop": "open a loop, its counter at 0",
    "repeat": "next iteration: back to the loop's body, or leave the loop",
    "jump": "go to the target, if the condition holds",
    "halt": "the stream has ended",
    "head": "take the queue's oldest entry when the unit is idle",
    "token": "wait until the token is above 0, then take 1",
    "post": "add 1 to the token",
    "channel": "wait until the DRAM channel and an SRAM port are free, as needed",
    "work": "be busy for the instruction's cycles",
    "next": "the next instruction",
}


@dataclass(frozen=True, slots=True)
class Diagram:
    """Transitions (from, to) of one machine in a fixed order, each with the mnemonics that take it."""

    name: str
    transitions: dict[tuple[str, str], tuple[str, ...]]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(state for edge in self.transitions for state in edge))

    def label(self, edge: tuple[str, str]) -> str:
        """Which instructions take the transition: a form stands for all of its instructions; "" where all go on."""
        names = self.transitions[edge]
        leaving = {name for (start, _), others in self.transitions.items() if start == edge[0] for name in others}
        return "" if set(names) == leaving else ", ".join(_shortened(names))


def control_diagram() -> Diagram:
    """From fetching a word to the next, for every instruction."""
    diagram = _diagram("control", control_path, tuple(OPCODES.values()))
    return Diagram(diagram.name, diagram.transitions | {("decode", "illegal"): ("other",)})


def unit_diagram() -> Diagram:
    """What a unit does with the entries of its queue."""
    return _diagram("unit", unit_path, tuple(row for row in OPCODES.values() if row.unit != "control"))


def control_path(opcode: Opcode) -> tuple[str, ...]:
    """The states of control for an instruction, in order."""
    fields, path = set(opcode.fields), ["fetch", "decode"]
    if opcode.has_descriptor:
        path.append("descriptor")
    if opcode.has_descriptor or "scalars" in fields or opcode.form == "branch":
        path.append("registers")
    if opcode.has_descriptor:
        path.append("addresses")
    path += ["drain"] * opcode.drains + ["meet"] * ("scope" in fields) + ["element"] * ("element" in fields)
    return (*path, *_end_of(opcode))


def _end_of(opcode: Opcode) -> tuple[str, ...]:
    if opcode.unit != "control":
        return "place", "issue", "next"
    if opcode.mnemonic == "end":
        return ("halt",)
    if "count" in opcode.fields:
        return "loop", "next"
    if "target" in opcode.fields:
        return "jump", "next"
    if opcode.fields[:1] == ("register",):
        return "write", "next"
    return ("next",) if opcode.drains else ("repeat", "next")


def unit_path(opcode: Opcode) -> tuple[str, ...]:
    """The states of a unit for an instruction of its queue, in order."""
    if opcode.form == "token":
        return "head", "token" if opcode.mnemonic == "wait" else "post", "next"
    return ("head", "channel", "work", "next") if opcode.form == "move" else ("head", "work", "next")


def _diagram(name: str, path: Callable[[Opcode], tuple[str, ...]], rows: tuple[Opcode, ...]) -> Diagram:
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        states = path(row)
        for edge in pairwise(states):
            found.setdefault(edge, []).append(row.mnemonic)
    order = list(STATES)
    return Diagram(name, {edge: tuple(found[edge]) for edge in sorted(found, key=lambda e: tuple(map(order.index, e)))})


def _shortened(names: tuple[str, ...]) -> list[str]:
    """Mnemonics, or the name of a form if more than three of it, which are all, are there."""
    forms: dict[str, list[str]] = {}
    for name in names:
        forms.setdefault(OPCODES[name].form if name in OPCODES else name, []).append(name)
    return [part for form, members in forms.items() for part in ([form] if len(members) > 3 else members)]


def diagram_text() -> str:
    """Both diagrams as a list: a state, what happens in it, and where each instruction goes from it."""
    lines: list[str] = []
    for diagram in (control_diagram(), unit_diagram()):
        lines += [f"{diagram.name}:", ""]
        for state in diagram.states:
            lines.append(f"  {state}: {STATES[state]}")
            for edge in diagram.transitions:
                if edge[0] == state:
                    lines.append(f"    -> {edge[1]:12s}{diagram.label(edge)}".rstrip())
        lines.append("")
    return "\n".join(lines)


def diagram_dot() -> str:
    """Both diagrams in Graphviz' language."""
    lines = ["digraph decoder {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for diagram in (control_diagram(), unit_diagram()):
        lines += [f"  subgraph cluster_{diagram.name} {{", f'    label="{diagram.name}";']
        lines += [f'    {diagram.name}_{s} [label="{s}", tooltip="{STATES[s]}"];' for s in diagram.states]
        lines += [
            f'    {diagram.name}_{start} -> {diagram.name}_{stop} [label="{diagram.label((start, stop))}"];'
            for start, stop in diagram.transitions
        ]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])
