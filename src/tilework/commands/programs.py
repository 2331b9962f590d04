"""Programs from the files that a user names: executables, assembly text, the tile language."""

from __future__ import annotations

from pathlib import Path

from tilework.errors import ProgramError
from tilework.isa.assembly import parse_text
from tilework.isa.bundle import Bundle
from tilework.isa.container import load_bundle
from tilework.isa.program import Program
from tilework.machine.load import load_machine

TEXT_BYTES = 1 << 28  # of DRAM, all 0, where the values of assembly text decide its time


def read_bundle(file: str, machine: str | None) -> Bundle:
    """An executable (.tile), or assembly text for a machine (dlp-s if none is named).

    Raises ProgramError, AssemblyError or MachineError for what can't be read.
    """
    if file.endswith(".tile"):
        return load_bundle(file, machine)
    text = read_text(file, "a .tile file or assembly text")
    on = load_machine(machine or "dlp-s")
    program = Program.of(Path(file).stem, on, parse_text(text), dram_bytes=min(on.dram.capacity_bytes, TEXT_BYTES))
    return Bundle.of(program)


def read_text(file: str, what: str) -> str:
    """A file's text. Raises ProgramError where it is none."""
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{file} must be {what} that can be read: {error}") from None
