"""How much of an exercise's work a program in the tile language does, whatever its order."""

from __future__ import annotations

from dataclasses import dataclass

from tilework.isa.tile_language import Compute, Loop, Move, Section, Statement
from tilework.mapping import MappedProduct
from tilework.plain import percent


@dataclass(frozen=True)
class Done:
    """A part of the work: how much of it a program does, of how much that there is, in words `what`."""

    what: str
    done: int
    wanted: int

    @property
    def times(self) -> float:
        return self.done / self.wanted

    def __str__(self) -> str:
        return f"{self.done:,} of {self.wanted:,}{f', {self.times:.4g} times' if self.done != self.wanted else ''}"


def work_done(program: tuple[Section, ...], best: MappedProduct) -> dict[str, Done]:
    """What the program computes, loads and stores of what there is. What comes through SRAM is for where it goes."""
    problem, flows = best.found.problem, _flows(program, best)
    inputs, weights = flows["dram", "nram"], flows["dram", "wram"]
    shared, wanted = flows["dram", "sram"], problem.operand_bytes
    if flows["sram", "nram"] and flows["sram", "wram"]:
        part = min(shared, max(0, wanted[1] - weights))
        inputs, weights = inputs + shared - part, weights + part
    elif flows["sram", "nram"]:
        inputs += shared
    else:
        weights += shared
    stored = flows["nram", "dram"] + flows["wram", "dram"] + flows["sram", "dram"]
    return {
        "macs": Done("MACs", flows["compute", ""], problem.macs),
        "inputs": Done("bytes of inputs", inputs, wanted[0]),
        "weights": Done("bytes of weights", weights, wanted[1]),
        "outputs": Done("bytes of outputs", stored, problem.stored_bytes),
    }


def _flows(program: tuple[Section, ...], best: MappedProduct) -> dict[tuple[str, str], int]:
    """Bytes from each memory to each, over all processors; and the multiply-accumulates. A cast counts once."""
    places = ("dram", "sram", "nram", "wram")
    flows = {(a, b): 0 for a in places for b in places} | {("compute", ""): 0}
    machine = best.machine
    for section in program:
        clusters = machine.clusters if section.cluster is None else 1
        cores = machine.cores if section.role == "core" and section.index is None else 1
        _add(flows, section.body, clusters * cores)
    return flows


def _add(flows: dict[tuple[str, str], int], statements: tuple[Statement, ...], times: int) -> None:
    for statement in statements:
        if isinstance(statement, Loop):
            _add(flows, statement.body, times * statement.count)
        elif isinstance(statement, Compute):
            flows["compute", ""] += times * statement.macs
        elif size := getattr(statement, "size", 0):
            source = statement.source if isinstance(statement, Move) else "sram"
            flows[source, getattr(statement, "destination", "")] += times * size


def wrong_amounts(work: dict[str, Done], loaded: int) -> list[str]:
    """What is too little or too much; `loaded` bytes come from DRAM in all."""
    macs, outputs, mistakes = work["macs"], work["outputs"], []
    if macs.done < macs.wanted:
        mistakes.append(
            f"the program must compute every product once, not {macs.done:,} of {macs.wanted:,} MACs; add the rest"
        )
    if macs.done > macs.wanted:
        more = f"{macs.done:,} MACs, {macs.done - macs.wanted:,} more than the {macs.wanted:,} there are"
        mistakes.append(f"the program must compute every product once, not {more}; leave them out")
    mistakes += _wrong_loads(work, loaded)
    if outputs.done != outputs.wanted:
        share = f"{percent(outputs.times)} of them, {outputs.done:,} of {outputs.wanted:,} bytes"
        advice = "store the rest" if outputs.done < outputs.wanted else "store each when it is complete"
        mistakes.append(f"the program must store every output exactly once, not {share}; {advice}")
    return mistakes


def _wrong_loads(work: dict[str, Done], loaded: int) -> list[str]:
    mistakes, least = [], work["inputs"].wanted + work["weights"].wanted
    for name in ("inputs", "weights"):
        if work[name].done < work[name].wanted:
            part = f"{work[name].done:,} of their {work[name].wanted:,} bytes, {percent(work[name].times)}"
            mistakes.append(f"the program must load all {name} at least once, not {part}; load the rest")
    if loaded < least and not mistakes:
        mistakes.append(
            f"the program must load all operands at least once, not {loaded:,} of {least:,} bytes; load the rest"
        )
    return mistakes


def wrong_dtypes(program: tuple[Section, ...]) -> list[str]:
    """The first computation that is not in fp32, as a list of at most one sentence."""
    wrong = [step for section in program for step in _computations(section.body) if step.dtype != "fp32"]
    return [f"line {step.line}: the numbers must be fp32, not {step.dtype}; write fp32" for step in wrong[:1]]


def _computations(statements: tuple[Statement, ...]) -> list[Compute]:
    found: list[Compute] = []
    for statement in statements:
        if isinstance(statement, Loop):
            found += _computations(statement.body)
        elif isinstance(statement, Compute):
            found.append(statement)
    return found
