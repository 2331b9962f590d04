"""Machines and accelerators from TOML files and from the catalogues, and back to TOML."""

from __future__ import annotations

import hashlib
import json
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator, accelerator_of
from tilework.machine.accelerator_file import KIND, accelerator_from_dict, accelerator_to_dict
from tilework.machine.convert import from_dict, to_dict
from tilework.machine.machine import Machine
from tilework.machine.toml import parse_toml, read_toml, write_toml
from tilework.machine.units import shown

MACHINES, ACCELERATORS = "catalogue", "accelerators"  # the folders of the catalogues


def machine_names() -> tuple[str, ...]:
    """The names of the machines that come with Tilework, sorted."""
    return _names(MACHINES)


def accelerator_names() -> tuple[str, ...]:
    """The names of the accelerators whose published figures come with Tilework, sorted."""
    return _names(ACCELERATORS)


def load_machine(name_or_path: str | Path) -> Machine:
    """The machine of that name in the catalogue, or that a TOML file describes.

    Raises MachineError: one sentence with the file, the key, what it must be, what it is, and what to do.
    """
    if _unknown(name_or_path):
        raise MachineError(
            f"a machine must be one of {', '.join(machine_names())} or a path that ends in .toml, not "
            f"{shown(str(name_or_path))}; 'tilework machines' lists the names"
        )
    found = load_either(name_or_path)
    if isinstance(found, Accelerator):
        raise MachineError(
            f"a machine to compile for or to simulate must be described in full, unlike the accelerator {found.name}, "
            f"of which only peaks are known; 'tilework machines --kind dlp' lists those that are"
        )
    return found


def load_accelerator(machine: str | Path | Machine | Accelerator) -> Accelerator:
    """As `load_either`; a machine that is described in full as its peaks alone.

    Raises MachineError: one sentence with the file, the key, what it must be, what it is, and what to do.
    """
    found = load_either(machine)
    return found if isinstance(found, Accelerator) else accelerator_of(found)


def load_either(machine: str | Path | Machine | Accelerator) -> Machine | Accelerator:
    """The machine or the accelerator of that name, or in that TOML file, or itself. Raises MachineError."""
    if isinstance(machine, Machine | Accelerator):
        return machine
    text = str(machine)
    if _unknown(machine):
        near = get_close_matches(text, (*machine_names(), *accelerator_names()), 1)
        hint = f"did you mean '{near[0]}'?" if near else "'tilework machines' lists the names"
        raise MachineError(
            f"a machine must be a name in the catalogue or a path that ends in .toml, not {shown(text)}; {hint}"
        )
    for folder in (MACHINES, ACCELERATORS):
        if text in _names(folder):
            resource = files("tilework.machine").joinpath(folder, f"{text}.toml")
            return _either(resource.read_text("utf-8"), f"{text}.toml")
    return _either(read_toml(Path(machine)), text)


def from_toml(text: str, where: str = "machine") -> Machine:
    """The machine that a TOML text describes; `where` names the file in errors. Raises MachineError."""
    return from_dict(parse_toml(text, where), where)


def to_toml(machine: Machine | Accelerator) -> str:
    """TOML that is read back to an equal machine or accelerator."""
    return write_toml(to_dict(machine) if isinstance(machine, Machine) else accelerator_to_dict(machine))


def machine_hash(machine: Machine) -> str:
    """SHA-256, in hexadecimal, of the JSON of `to_dict`: equal machines, and only these, have equal hashes."""
    canonical = json.dumps(to_dict(machine), separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _names(folder: str) -> tuple[str, ...]:
    entries = files("tilework.machine").joinpath(folder).iterdir()
    return tuple(sorted(entry.name[:-5] for entry in entries if entry.name.endswith(".toml")))


def _unknown(name_or_path: str | Path) -> bool:
    path = Path(name_or_path)
    return not (
        path.suffix == ".toml" or str(name_or_path) in (*machine_names(), *accelerator_names()) or path.is_file()
    )


def _either(text: str, where: str) -> Machine | Accelerator:
    data = parse_toml(text, where)
    if data.get("kind", KIND) != KIND:
        raise MachineError(
            f"{where}: kind must be '{KIND}', or left out for a machine that is described in full, not "
            f"{shown(data['kind'])}; correct it"
        )
    return accelerator_from_dict(data, where) if "kind" in data else from_dict(data, where)
