"""The cycle simulator's speed, as one Markdown table: instructions one by one, loops folded, whole networks.

    python benchmarks/simulator.py

One process, one thread. Plain and folded simulation are timed in turns; shown are medians. Nothing here passes or
fails but that both give the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from time import perf_counter

import tilework
from tilework.isa.assembly import parse_program
from tilework.isa.program import Program, Stream
from tilework.machine.load import load_machine
from tilework.simulator.cycle import simulate

TURNS = 5
PIPELINE = """
loop {count}
load <16> nram 0x0 {{4}} = dram 0x0 {{4}}
post load 0
wait vector 0
vmax <16> nram 0x40 {{4}} = nram 0x0 {{4}}, #0
endloop
end
"""
NETWORKS = ("resnet50", "vgg19")


def timed(action: Callable[[], object]) -> float:
    begun = perf_counter()
    action()
    return perf_counter() - begun


def pipeline(cores: int, count: int) -> Program:
    """Each core loads and computes in a loop; all of them contend for the DRAM channel."""
    instructions = parse_program(PIPELINE.format(count=count))
    streams = [Stream(instructions, index=core) for core in range(cores)]
    return Program.of("pipeline", replace(load_machine("dlp-m4"), cores=cores), streams, dram_bytes=4096)


def rates() -> Iterator[str]:
    for cores in (1, 4):
        program = pipeline(cores, 100_000 // cores)
        executed = simulate(program).instructions
        rate = median(executed / timed(lambda p=program: simulate(p, fold=False)) for _ in range(TURNS))
        yield f"| plain simulation, {cores} core{'s' * (cores > 1)} | {rate:,.0f} instructions/s | ≥ 300,000 |"


def folding() -> Iterator[str]:
    for name in NETWORKS:
        program = tilework.compile(name, "dlp-s", seed=0).program
        assert simulate(program) == simulate(program, fold=False)
        pairs = [
            (timed(lambda p=program: simulate(p, fold=False)), timed(lambda p=program: simulate(p)))
            for _ in range(TURNS)
        ]
        plain, folded = (median(times) for times in zip(*pairs, strict=True))
        ratio = median(slow / fast for slow, fast in pairs)
        cost = simulate(program)
        executed = f"{cost.instructions:,} instructions, {cost.cycles:,} cycles"
        yield f"| {name} on dlp-s ({executed}): plain | {plain:.3f} s | |"
        yield f"| {name} on dlp-s: loops folded | {folded:.3f} s, {ratio:.1f}× faster | |"


def main() -> None:
    print("| What | Measured | Goal |")
    print("| --- | ---: | ---: |")
    for row in (*rates(), *folding()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
