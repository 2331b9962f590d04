"""Altered words, descriptors, containers and assembly text: a program or one sentence, never anything else.

python benchmarks/fuzz_isa.py --cases 10000 --seed 0

Prints how many cases gave a program and how many an error, and ends with exit code 1 at the first that gave neither,
naming its seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from tilework.errors import AssemblyError, ProgramError
from tilework.isa.assembly import parse_text, print_streams
from tilework.isa.container import load_bundle, save
from tilework.isa.encode import decode, encode
from tilework.isa.program import Program
from tilework.isa.random_program import Options, random_program
from tilework.isa.table import OPCODES
from tilework.machine.load import load_machine

MACHINES = [load_machine(name) for name in ("dlp-s", "dlp-m4", "dlp-m16")]
WORDS = [
    *OPCODES,
    "nram",
    "wram",
    "dram",
    "sram",
    ".int8",
    "r3",
    "i0",
    "i7",
    "mod",
    "#1",
    "#inf",
    "L3:",
    ".core",
    "<4>",
]


def altered(random: Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, or cut short, or a part repeated."""
    raw = bytearray(data)
    for _ in range(random.randint(1, 3)):
        if raw:
            raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
    if random.random() < 0.1:
        del raw[random.randrange(len(raw) + 1) :]
    if random.random() < 0.1:
        start = random.randrange(len(raw) + 1)
        raw[start:start] = raw[start : start + random.randint(0, 64)]
    return bytes(raw)


def codes(random: Random, program: Program) -> None:
    """Decode altered words or descriptors; what they encode must come back."""
    code, descriptors = encode(program.streams)
    changes_code = random.random() < 0.5
    code, descriptors = (altered(random, code), descriptors) if changes_code else (code, altered(random, descriptors))
    headers = [stream.header for stream in program.streams]
    streams = decode(code, descriptors, headers)
    assert decode(*encode(streams), headers) == streams


def container(random: Random, program: Program) -> None:
    """Load an altered file, its weights too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tile"
        save(program, path)
        path.write_bytes(altered(random, path.read_bytes()))
        load_bundle(path).program.weights()


def text(random: Random, program: Program) -> None:
    """Parse lines of a program with words and characters changed, or of words that stand anywhere."""
    lines = print_streams(program.streams).split("\n")
    for _ in range(random.randint(1, 2)):
        number = random.randrange(len(lines))
        words = lines[number].split(" ")
        words[random.randrange(len(words))] = random.choice([*WORDS, chr(random.randrange(0x250)), ""])
        lines[number] = " ".join(random.sample(words, len(words)) if random.random() < 0.2 else words)
    streams = parse_text("\n".join(lines))
    assert parse_text(print_streams(streams)) == streams


def attempt(case: Callable[[Random, Program], None], seed: int) -> str:
    """What a case came to: a program, or an error with its place."""
    random = Random(seed)
    program = random_program(seed, random.choice(MACHINES), Options(instructions=8, dram_bytes=1 << 8))
    try:
        case(random, program)
    except (AssemblyError, ProgramError) as error:
        sentence = str(error)
    else:
        return "program"
    if "\n" in sentence or (case is text and not sentence.startswith("line ")):
        raise ValueError(f"an error must be one sentence with its place, not {sentence!r}")
    return "error"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for case in (codes, container, text):
        found: Counter[str] = Counter()
        for seed in range(options.seed, options.seed + options.cases // 3):
            try:
                found[attempt(case, seed)] += 1
            except Exception as error:
                print(f"{case.__name__}, seed {seed}: {type(error).__name__}: {error}", file=sys.stderr)
                return 1
        print(f"{case.__name__}: {found['program']} programs, {found['error']} errors")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
