"""What bounds a layer's time on a machine: its peak in a dtype, or a bandwidth."""

from __future__ import annotations

from tilework.cost.traffic import BYTES
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator

COMPUTE, MEMORY, NOTHING = "compute", "memory", "nothing"


def rate_dtype(machine: Accelerator, dtype: str | None) -> str:
    """The dtype asked for, or the machine's main one. Raises MachineError where its peak isn't known."""
    known = [one for one in machine.peak if one in BYTES]
    if dtype is None and known:
        return known[0]
    if dtype not in known:
        what = f"in {dtype}" if dtype else "in a dtype that it is stated for"
        choice = f"choose one of {', '.join(known)}" if known else "choose another machine"
        raise MachineError(f"a roofline needs a machine's peak {what}, and {machine.name}'s isn't known; {choice}")
    return dtype


def known_bandwidth(machine: Accelerator, what: str = "a roofline") -> float:
    """In bytes per second, for what needs it. Raises MachineError where it isn't known."""
    bandwidth = machine.memory.bandwidth_bytes_per_second
    if not bandwidth:
        raise MachineError(
            f"{what} needs a machine's bandwidth, and {machine.name}'s isn't known; choose another machine"
        )
    return bandwidth
