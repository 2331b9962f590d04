"""The program's text for a page: nests, groups, tilings, instructions; equal lines are kept once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from tilework.compiler.split import Work
from tilework.cost.characters import visible
from tilework.isa.instruction import Instruction
from tilework.isa.program import Program
from tilework.report.page.subject import Subject
from tilework.simulator.plan import ranges


class Lines:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    @property
    def texts(self) -> list[str]:
        return list(self.numbers)


def nests(subject: Subject) -> dict[str, Any]:
    """For each node the lines of its nests, for each layer those of its nests and of its tiling."""
    lines = Lines()
    graph, compilation = subject.graph, subject.executable.compilation if subject.executable else None
    layers = compilation.layers if compilation else ()
    return {
        "nodes": [[lines.number(visible(str(nest))) for nest in graph.nests(node)] for node in graph.nodes],
        "groups": [[lines.number(visible(str(n))) for work in works for n in work.group.nests] for works in layers],
        "tilings": [lines.number(visible(" | then ".join(map(_tiling, works)))) for works in layers],
        "lines": lines.texts,
    }


def _tiling(work: Work) -> str:
    return str(work).strip().partition(": ")[2]


def streams(programs: Sequence[Program]) -> list[tuple[int, str, int, int]]:
    """Each stream of each program: the program's number, the stream's name, and its instructions [first, last) when
    those of all are counted through."""
    each = [(n, s.name, len(s.instructions)) for n, program in enumerate(programs) for s in program.streams]
    ends = accumulate(length for *_, length in each)
    return [(n, name, end - length, end) for (n, name, length), end in zip(each, ends, strict=True)]


def layer_ranges(programs: Sequence[Program]) -> list[list[tuple[int, int]]]:
    """For each layer of each program its instructions [first, last) in each of the streams, all counted through."""
    found, start = [], 0
    for program in programs:
        firsts = [start, *accumulate((len(s.instructions) for s in program.streams), initial=start)][1:]
        for layer in program.layers:
            parts = zip(firsts, ranges(layer, len(program.streams)), strict=False)
            found.append([(offset + first, offset + last) for offset, (first, last) in parts if first < last])
        start = firsts[-1]
    return found


def instructions(programs: Sequence[Program], shown: Iterable[int] | None = None) -> dict[str, Any]:
    """The instructions of all streams, counted through; outside of the layers `shown` their mnemonics alone."""
    spans = layer_ranges(programs)
    every = [i for program in programs for stream in program.streams for i in stream.instructions]
    full = bytearray(b"\1" if shown is None else b"\0") * len(every)
    chosen = range(len(spans)) if shown is None else sorted(shown)
    for first, last in (span for layer in chosen for span in spans[layer]):
        full[first:last] = b"\1" * (last - first)
    lines, known = Lines(), dict[tuple[int, int], int]()
    numbers = [_numbered(i, whole, lines, known) for i, whole in zip(every, full, strict=True)]
    return {
        "streams": streams(programs),
        "spans": spans,
        "shown": list(chosen),
        "instructions": numbers,
        "lines": lines.texts,
    }


def _numbered(instruction: Instruction, whole: int, lines: Lines, known: dict[tuple[int, int], int]) -> int:
    key = id(instruction), whole
    if key not in known:
        known[key] = lines.number(str(instruction) if whole else instruction.mnemonic)
    return known[key]
