"""One instruction explained: what it means, its operands now, its cycles and why so many, where it is and what for."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tilework.debug.look import Tile
from tilework.debug.session import Session
from tilework.debug.trace import UnitTrace
from tilework.debug.waiting import StreamState, UnitState, cycles_text
from tilework.debug.working import working
from tilework.errors import DebugError, SimulationError
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.table import OPCODES
from tilework.simulator.hazards import find_hazards

WRITERS = 1000  # how far back to look for tiles
_TILE_MEANINGS = {
    "move": "bytes go from one memory to another; those from and to DRAM take turns on the channel",
    "cast": "bytes go from the SRAM into a memory of every core of the cluster",
    "compute": "multiply-accumulates, at the peak rate of their dtype",
    "sync": "what follows begins when all before it has finished",
    "barrier": "a sync, and all processors of the cluster meet here",
    "loop": "what follows, up to its endloop, so many times; it takes no time",
    "endloop": "the next round of the innermost loop; it takes no time",
    "end": "the program has ended when all is done",
}


def explain(session: Session, place: int | None = None) -> dict[str, Any]:
    """About the instruction at a place of the stream looked at, or about that at which control stands: as JSON."""
    state = session.streams()[session.focus]
    at = state.place if place is None else place
    trace = session.trace
    record: dict[str, Any] = {
        "stream": trace.name,
        "number": trace.numbers[at],
        "instruction": trace.code[at].strip(),
        "layer": trace.layers[at],
    }
    if session.values is None:
        record["meaning"] = _TILE_MEANINGS[trace.code[at].split()[0]]
        record["cycles"] = _lasted(session, at)
    else:
        instruction = session.values.program.streams[session.focus].instructions[at]
        record["meaning"] = OPCODES[instruction.mnemonic].meaning
        record["cycles"] = working(instruction, session.machine)
        record["operands"] = _operands(session, instruction, at)
    passed = bisect_left(trace.cycles, session.now)
    record["issued"] = trace.places[:passed].count(at)
    record["where"] = _where(session, state, at)
    return record


def unit_place(session: Session, name: str) -> int | None:
    """The place of what a unit works on or has to begin next, None if it is idle; DebugError for one not there."""
    state = session.streams()[session.focus]
    unit = next((unit for unit in state.units if unit.name == name), None)
    if unit is None:
        names = ", ".join(unit.name for unit in state.units)
        raise DebugError(f"a unit of {state.name} must be one of {names}, not {name!r}")
    return next(iter(unit.queue), None) if unit.working is None else unit.working


def text_of(record: dict[str, Any]) -> str:
    """An explanation as lines."""
    layer = f" of {record['layer']}" if record["layer"] else ""
    lines = [
        f"{record['stream']}, instruction {record['number']}{layer}: {record['instruction']}",
        f"  meaning   {record['meaning']}",
        f"  cycles    {record['cycles']}",
    ]
    lines += [f"  {operand['name']:<9} {operand['text']}" for operand in record.get("operands", ())]
    lines.append(f"  issued    {record['issued']} {'time' if record['issued'] == 1 else 'times'} so far")
    lines += [f"  {'now' if not number else '':<9} {line}" for number, line in enumerate(record["where"])]
    return "\n".join(lines)


def written(session: Session, most: int) -> list[tuple[Tile, str]]:
    """The tiles that were written last, the latest first, each with the instruction that wrote it; a place once.

    Raises DebugError for a program in the tile language.
    """
    look = session.look()
    look.register(0)
    assert session.values is not None
    found: dict[tuple[str, int, str], tuple[Tile, str]] = {}
    for stream, order in session.values.last_writers(WRITERS):
        trace = session.recording.streams[stream]
        place = trace.places[order]
        tile = replace(look, stream=stream, _state=None).operand(place, "d", order)
        who = f"{trace.name}, {trace.numbers[place]} {trace.code[place].split()[0]}"
        found.setdefault((tile.memory, tile.address, "" if tile.memory == "dram" else trace.name), (tile, who))
        if len(found) == most:
            break
    return list(found.values())


def hazards(session: Session) -> list[str]:
    """The sentences of `find_hazards`: which instructions share bytes and did not run in order."""
    if session.values is None:
        raise DebugError("hazards are of programs of instructions, not of the tile language, which has no addresses")
    return [str(found) for found in find_hazards(session.values.program, inputs=session.values.inputs)]


def _operands(session: Session, instruction: Instruction, place: int) -> list[dict[str, str]]:
    found = []
    descriptor = instruction.descriptor
    look = session.look()
    for letter, operand in zip(
        "dab", (descriptor.destination, *descriptor.sources) if descriptor else (), strict=False
    ):
        if not isinstance(operand, Operand):
            found.append({"name": letter, "text": f"the constant {operand.value:g}"})
            continue
        try:
            title = look.operand(place, letter).title.partition(" = ")[2]
        except (DebugError, SimulationError) as error:
            title = str(error)
        found.append({"name": letter, "text": title})
    return found


def _where(session: Session, state: StreamState, place: int) -> list[str]:
    """Where the instruction is now: at control, in queues, at work; each with what it waits for."""
    found = []
    if state.place == place and not state.ended:
        found.append(f"control stands here: it {state.why or _passes(session, place)}")
    for unit, trace in zip(state.units, session.trace.units, strict=True):
        if unit.working == place:
            found.append(f"{unit.name} works on it, from cycle {cycles_text(unit.since)} to {cycles_text(unit.until)}")
        found += [_queued(session, unit, trace, number) for number, one in enumerate(unit.queue) if one == place]
    if not found:
        yet = "again" if place in session.trace.places[: bisect_left(session.trace.cycles, session.now)] else "yet"
        found.append(f"control has not come to it {yet}" if _comes(session, place) else "it is not executed any more")
    return found


def _passes(session: Session, place: int) -> str:
    unit = next((unit for unit in session.trace.units if place in unit.places[:1] or place in unit.places), None)
    return f"goes into the queue of {unit.name} in this cycle" if unit else "is passed in this cycle"


def _queued(session: Session, unit: UnitState, trace: UnitTrace, number: int) -> str:
    """An entry of a queue, with why the first does not begin; of the others, what is before them."""
    size = f"{number + 1} of {len(unit.queue)} in the queue of {unit.name}"
    if number == 0 and unit.working is None:
        return f"{size}: it {unit.why}"
    first = unit.queue[0] if unit.working is None else unit.working
    before = f"behind {session.trace.numbers[first]} {session.trace.code[first].split()[0]}"
    doing = f"{before}, which waits" if unit.working is None else f"{before}, at work until {cycles_text(unit.until)}"
    start = trace.starts[trace.waiting(session.now)[number]]
    known = start <= session.recording.horizon
    return f"{size}: {doing}" + (f"; it begins in cycle {cycles_text(start)}" if known else "")


def _comes(session: Session, place: int) -> bool:
    trace = session.trace
    return session.recording.end is None or place in trace.places[bisect_left(trace.cycles, session.now) :]


def _lasted(session: Session, place: int) -> str:
    """How long a step of the tile language takes, and from what: bytes and rates divide exactly."""
    for unit in session.trace.units:
        if place in unit.places:
            number = unit.places.index(place)
            cycles = Fraction(unit.ends[number] - unit.starts[number])
            return f"{session.trace.code[place].split()[-1]} {_rate(session, place, unit.name)} = {cycles_text(cycles)}"
    return "no time of its own = 0"


def _rate(session: Session, place: int, unit: str) -> str:
    machine, words = session.machine, session.trace.code[place].split()
    if unit == "channel":
        return f"over the DRAM channel at {machine.dram_bytes_per_cycle:g} bytes a cycle"
    if unit == "compute":
        names = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}
        return f"MACs at {machine.macs_per_cycle(names[words[1]])} a cycle"
    width = machine.sram.bandwidth_bytes_per_second / machine.clock_hz if machine.sram else 0
    return f"over a port of the SRAM at {width:g} bytes a cycle"
