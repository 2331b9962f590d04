"""`tw.write_report`: a network from layers to cycles as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tilework import __version__
from tilework.cost.characters import visible
from tilework.errors import OutputError
from tilework.files import replacing
from tilework.machine.accelerator import Accelerator
from tilework.machine.machine import Machine
from tilework.report.page.document import island, page
from tilework.report.page.layers import families, layer_columns, network_columns, roof_columns
from tilework.report.page.program import instructions, nests
from tilework.report.page.storage import memory
from tilework.report.page.subject import Subject, subject_of
from tilework.report.page.summary import summary
from tilework.report.page.timeline import EVENTS, record, timeline
from tilework.simulator.cycle import simulate

MOST_BYTES = 5_800_000  # of a page


@dataclass(frozen=True)
class Report:
    """A page that was written. `cycles` is None where nothing was simulated, and `missing` then says why; of the
    program's layers so many have their `programs` in it, and of the events `events_shown` are there one by one."""

    path: str
    bytes: int
    network: str
    machine: str
    layers: int
    cycles: int | None
    missing: str
    programs: int
    events: int
    events_shown: int

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework report --json`."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.path}: {self.network} on {self.machine}, {self.layers:,} layers, {self.bytes:,} bytes"


def write_report(
    network: Any,
    machine: str | Path | Machine | Accelerator,
    path: str | Path,
    *,
    beside: Sequence[str | Path | Machine | Accelerator] = (),
    **choices: Any,
) -> Report:
    """Write a page about a network on a machine, and on its roofline other machines `beside` it.

    `network` is what `tw.count` takes, for other inputs what `tw.load` gives; `choices` are those of `tw.compile`. For
    an accelerator of which only peaks are known, and for a network that the machine can't run, the parts about the run
    say so in place of numbers. Raises OutputError for a path that doesn't end in .html or can't be written, and what
    `tw.load` and `tw.compile` raise, but for a network that the machine can't run.
    """
    check_ending(path)
    return write(subject_of(network, machine, beside, **choices), path)


def check_ending(path: str | Path) -> None:
    """Raise OutputError unless a file's name ends in .html."""
    if Path(path).suffix.lower() != ".html":
        raise OutputError(f"a page's name must end in .html, unlike {str(path)!r}")


def write(subject: Subject, path: str | Path) -> Report:
    """Write the page, thinned until it is small enough: fewer events one by one, fewer layers with their program."""
    islands = {"network": island(_network(subject)), "text": island(nests(subject))}
    events, shown = {"events": 0, "shown": 0}, 0
    if subject.cost and subject.executable and subject.cost.layers:
        programs = subject.executable.bundle.programs
        recording = record(programs, [simulate(program).cycles for program in programs])
        room = MOST_BYTES - len(_page(subject, islands))
        events, islands["events"] = _largest(lambda most: timeline(programs, recording, most), EVENTS, room // 2)
        slowest = sorted(range(len(subject.cost.layers)), key=lambda n: -_cycles_of(subject, n))
        room -= len(islands["events"])
        code, islands["code"] = _largest(lambda most: instructions(programs, slowest[:most]), len(slowest), room)
        shown = len(code["shown"])
    text = _page(subject, islands).encode("utf-8", "backslashreplace")
    with replacing(path) as file:
        file.write(text)
    return Report(
        path=str(path),
        bytes=len(text),
        network=subject.graph.name,
        machine=subject.machine.name,
        layers=len(subject.graph.nodes),
        cycles=subject.cost.cycles if subject.cost else None,
        missing=subject.missing,
        programs=shown,
        events=events["events"],
        events_shown=events["shown"],
    )


def _largest(make: Callable[[int], dict[str, Any]], most: int, room: int) -> tuple[dict[str, Any], str]:
    """What is made of the largest number, halved as often as needed, that fits into the room as an island."""
    while True:
        value = make(most)
        text = island(value)
        if len(text) <= room or not most:
            return value, text
        most //= 2


def _cycles_of(subject: Subject, layer: int) -> int:
    return subject.cost.layers[layer].cycles if subject.cost else 0


def _network(subject: Subject) -> dict[str, Any]:
    """What the table and the charts need, without the program and its events."""
    nodes = network_columns(subject)
    return {
        "name": visible(subject.graph.name),
        "clock": subject.machine.clock_hz if isinstance(subject.machine, Machine) else 0,
        "cycles": subject.cost.cycles if subject.cost else 0,
        "missing": visible(subject.missing),
        "no_roof": visible(subject.no_roof),
        "families": families(nodes["family"]),
        "nodes": nodes,
        "roofs": [roof_columns(roof) for roof in subject.roofs],
        "layers": layer_columns(subject),
        "memory": memory(subject),
    }


def _page(subject: Subject, islands: Mapping[str, str]) -> str:
    made = f"Made by Tilework {__version__}: tilework report."
    name, machine = visible(subject.graph.name), visible(subject.machine.name)
    return page(name, machine, summary(subject), islands, made)
