"""How another tool's total for a network comes about, layer by layer, beside the exact one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tilework.cost.convention_rules import Rule, Tool
from tilework.cost.convention_steps import ATTENTION, Step, steps
from tilework.cost.convention_tools import CALLS, CAPTURED, TOOLS
from tilework.cost.count import Count
from tilework.cost.record import Row
from tilework.errors import NetworkError
from tilework.network.graph import Graph
from tilework.plain import columns

CONVENTIONS = tuple(TOOLS)
UNUSED = "no output depends on it, and the trace leaves it out"
POOLED = "counts where it is written as adaptive pooling"
OTHERWISE = "less where another class or a function is called"
HEAD = ("Layer", "Operation", "Exact", "Theirs", "Difference", "Why")
REASON_HEAD = ("Why", "Operation", "Reason", "Layers", "Difference")


@dataclass(frozen=True)
class Line:
    """A layer, or all layers with one reason: the exact number, the tool's, and what the tool adds besides where the
    layer is written in another way than the graph can tell; `why` is empty where the two agree."""

    name: str
    operation: str
    exact: int
    theirs: int
    perhaps: int = 0
    why: str = ""
    layers: int = 1

    @property
    def difference(self) -> int:
        """Theirs less exact."""
        return self.theirs - self.exact

    def to_dict(self) -> dict[str, Any]:
        """JSON's view."""
        numbers = {"exact": self.exact, "theirs": self.theirs, "perhaps": self.perhaps, "difference": self.difference}
        return {"name": self.name, "operation": self.operation, "layers": self.layers, **numbers, "why": self.why}

    def numbers(self) -> tuple[str, str, str]:
        """Exact, theirs and the difference as text, from what to what where it isn't known."""
        theirs, difference = f"{self.theirs:,}", _signed(self.difference)
        if self.perhaps:
            theirs += f" to {self.theirs + self.perhaps:,}"
            difference += f" to {_signed(self.difference + self.perhaps)}"
        return f"{self.exact:,}", theirs, difference


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


@dataclass(frozen=True)
class Explanation:
    """A network by another tool's convention: a line per layer that either counts, and the same by reason.

    Prints as a table, also as Markdown, and converts to a dict.
    """

    network: str
    tool: Tool
    lines: tuple[Line, ...]

    @cached_property
    def total(self) -> Line:
        """The sums; `theirs` is the tool's own total, or the least that it can be where `perhaps` isn't 0."""
        return _sum(Line("total", "", 0, 0), self.lines)

    @cached_property
    def reasons(self) -> tuple[Line, ...]:
        """The layers that differ, together where operation and reason are the same; the largest difference first."""
        groups: dict[tuple[str, str], list[Line]] = {}
        for line in self.lines:
            if line.difference or line.perhaps:
                groups.setdefault((line.operation, line.why), []).append(line)
        made = [_sum(replace(lines[0], name=lines[0].operation), lines) for lines in groups.values()]
        return tuple(sorted(made, key=lambda line: -max(abs(line.difference), abs(line.difference + line.perhaps))))

    def to_dict(self) -> dict[str, Any]:
        """The tool, `totals`, `layers` and `reasons`, as `tilework count --convention TOOL --json` prints them."""
        head = {"network": self.network, "tool": self.tool.name, "version": self.tool.version, "unit": self.tool.unit}
        total = {key: value for key, value in self.total.to_dict().items() if isinstance(value, int)}
        parts = {"layers": self.lines, "reasons": self.reasons}
        return {**head, "totals": total, **{key: [line.to_dict() for line in part] for key, part in parts.items()}}

    def __str__(self) -> str:
        tables = [columns(HEAD, self._layers(), 2)]
        tables += [columns(REASON_HEAD, self._reasons(), 3)] if self.reasons else []
        return "\n\n".join((*tables, "\n".join(self._summary())))

    def to_markdown(self) -> str:
        """The same in GitHub's Markdown."""
        tables = [_markdown(HEAD, self._layers())]
        tables += [_markdown(REASON_HEAD, self._reasons())] if self.reasons else []
        return "\n\n".join((*tables, "\n".join(f"- {line}" for line in self._summary()))) + "\n"

    def _layers(self) -> list[tuple[str, ...]]:
        """The cells under HEAD; the last is the number of the reason."""
        numbers = {(line.operation, line.why): str(place) for place, line in enumerate(self.reasons, 1)}
        cells = [
            (line.name, line.operation, *line.numbers(), numbers.get((line.operation, line.why), ""))
            for line in self.lines
        ]
        return [*cells, ("total", "", *self.total.numbers(), "")]

    def _reasons(self) -> list[tuple[str, ...]]:
        """The cells under REASON_HEAD."""
        lines = enumerate(self.reasons, 1)
        return [(str(place), line.operation, line.why, f"{line.layers:,}", line.numbers()[2]) for place, line in lines]

    def _summary(self) -> list[str]:
        """The totals in words."""
        exact, theirs, difference = self.total.numbers()
        whole = self.total.exact or 1
        shares = [self.total.difference / whole, (self.total.difference + self.total.perhaps) / whole]
        share = " to ".join(dict.fromkeys(f"{part:+.3%}" for part in shares))
        said = f"{self.tool.name} {self.tool.version} counts {theirs} {self.tool.unit}; exact are {exact}"
        lines = [f"{said}: {difference} ({share})." if any(shares) else f"{said}, the same."]
        return [*lines, self.tool.note] if self.tool.note else lines


def explain(graph: Graph, count: Count, tool: str, modules: Mapping[str, str] | None = None) -> Explanation:
    """What `tool`, one of CONVENTIONS, adds to its total for each node of a graph, beside the graph's exact `count`.

    `modules` gives the class of each module by its path; without it, classes are guessed from names, and where the
    guess matters the line says from what to what the number can be. Raises NetworkError for another tool, and for a
    count of something else than this graph's nodes with padding zeros.
    """
    if tool not in TOOLS:
        raise NetworkError(f"the convention must be one of {', '.join(TOOLS)}, not {tool!r}")
    rows = count.rows[: len(graph.nodes)]
    if [row.name for row in rows] != [node.name for node in graph.nodes]:
        raise NetworkError(f"{tool}'s convention needs a count by layer, not of groups of layers")
    if not count.padding_zeros:
        raise NetworkError(f"{tool}'s convention must be compared with padding zeros counted, not left out")
    known = TOOLS[tool]
    found = steps(graph, (row.macs for row in rows), modules)
    batch = graph.inputs[0].shape[0] if known.per_image and graph.inputs and graph.inputs[0].shape else 1
    lines = (_line(known, step, row, batch) for step, row in zip(found, rows, strict=True))
    return Explanation(graph.name, known, tuple(line for line in lines if line.exact or line.theirs or line.perhaps))


def _line(tool: Tool, step: Step, row: Row, batch: int) -> Line:
    """A node's line; where it isn't known which module or function is called, from the least to the most."""
    if tool.used_only and not step.used:
        return Line(row.name, row.operation, tool.exact(row), 0, why=UNUSED)
    lines = [_certain(tool, step, row, batch)]
    if not step.certain:
        others = (replace(step, module=name, leaf=False, weights={}) for name in ("", *CAPTURED.get(step.module, ())))
        lines += [_certain(tool, other, row, batch) for other in others]
    least, most = min(line.theirs for line in lines), max(line.theirs + line.perhaps for line in lines)
    why = lines[0].why
    if len(lines) > 1 and least < most:
        why = f"{why}; {OTHERWISE}" if why else OTHERWISE
    return replace(lines[0], theirs=least, perhaps=most - least, why=why)


def _certain(tool: Tool, step: Step, row: Row, batch: int) -> Line:
    hook, function = _hook(tool, step), _function(tool, step)
    theirs = perhaps = 0
    reasons = []
    if hook is not None:
        theirs = hook.number(step) // batch
        reasons.append(hook.reason(step))
    if function is not None:
        number, doubt = function.number(step), _doubt(function, step)
        theirs, perhaps = (theirs, number) if doubt else (theirs + number, 0)
        reasons += [function.reason(step), *filter(None, (doubt,))]
    exact = tool.exact(row)
    why = _together(reasons) or tool.unseen
    if batch > 1 and hook is not None:
        why += f"; the module's part is that of one in the batch of {batch}"
    return Line(row.name, row.operation, exact, theirs, perhaps, why if theirs != exact or perhaps else "")


def _doubt(rule: Rule, step: Step) -> str:
    """On what it depends whether a function's rule holds; a module of torch.nn leaves no doubt."""
    if step.module in CALLS:
        return ""
    return rule.perhaps or (POOLED if step.operation != step.node.label else "")


def _together(reasons: Iterable[str]) -> str:
    """The reasons, each once; the same twice is that of a module and of the function which it calls."""
    given = [reason for reason in reasons if reason]
    if len(given) == 2 and given[0] == given[1]:
        return f"{given[0]}, twice: by the module and by the function it calls"
    return "; ".join(dict.fromkeys(given))


def _hook(tool: Tool, step: Step) -> Rule | None:
    """The rule for the module whose call this step stands for."""
    if tool.leaves is not None:
        return tool.leaves if step.leaf and step.first and step.weights else None
    return tool.modules.get(step.module) if step.first or step.module == ATTENTION else None


def _function(tool: Tool, step: Step) -> Rule | None:
    """The rule for the function that is called here: a module of torch.nn calls its own once."""
    if step.module in CALLS and not tool.operators:
        return tool.functions.get(CALLS[step.module]) if step.first else None
    return tool.functions.get(step.operation)


def _sum(head: Line, lines: Sequence[Line]) -> Line:
    """The line `head` with the sums of the lines' numbers."""
    sums = {key: sum(getattr(line, key) for line in lines) for key in ("exact", "theirs", "perhaps", "layers")}
    return replace(head, **sums)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---" if name in ("Layer", "Operation", "Reason") else "---:" for name in head]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (head, rule, *rows)
    )
