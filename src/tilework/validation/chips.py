"""Speed, power and area of whole chips: DianNao's, and NVDLA's area."""

from __future__ import annotations

from collections.abc import Iterator

from tilework.executable import compile_network
from tilework.machine.energy import AreaEstimate, area_estimate, at_node, energy_table
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import Graph, GraphBuilder
from tilework.validation.case import Case

NAME = "chips"
TITLE = "DianNao and NVDLA: speed, power and area"
ABOUT = """DianNao's figures are those of its layout at 65 nm, NVDLA's of a synthesis. Ours: power is the energy that
`tilework run` counts on chip, scaled to 65 nm and 1.1 V ([machines.md](machines.md#energies)), by the time; area is
`tilework machines`' estimate, multipliers, vector lanes and memory cells alone. The layer for the power is the paper's
CONV4, whose sizes were written down from memory: 32 × 32 places, kernels of 7 × 7, 16 channels to 512."""
DIANNAO = "T. Chen et al., DianNao, ASPLOS 2014, abstract"
PRIMER = "nvdla/doc, doc/primer.rst, Example Area and Performance with NVDLA"

NODE = 65  # of DianNao's layout
OPERATIONS = 256 + 16 * 15  # in a cycle, as the paper counts: products, and additions in the trees


def conv4() -> Graph:
    """One of the paper's layers."""
    g = GraphBuilder("CONV4")
    return g.graph(g.node("conv", "conv2d", g.input("x", (1, 16, 32, 32)), g.weight("w", (512, 16, 7, 7))))


def cases() -> Iterator[Case]:
    """DianNao's speed, power and area, and NVDLA's area at two nodes."""
    machine = at_node(load_machine("diannao"), NODE)
    yield _speed(machine)
    yield _power(machine)
    yield _area("DianNao at 65 nm", 3.02, area_estimate(machine, NODE, "int16"), DIANNAO)
    for node, published in ((28, 5.5), (16, 3.3)):
        found = area_estimate(load_machine("nvdla-full"), node)
        yield _area(f"NVDLA of 2048 MACs at {node} nm", published, found, PRIMER)


def _speed(machine: Machine) -> Case:
    ours = 2e-9 * machine.macs_per_cycle() * machine.clock_hz
    accounted = OPERATIONS * machine.clock_hz / 2**30
    reason = (
        f"we count 2 operations for each of 256 MACs; the paper's {OPERATIONS} are 256 products and 16 × 15 additions, "
        f"in units of 2^30: {accounted:.1f}"
    )
    return Case(NAME, "DianNao, peak", "GOP/s", 452, ours, DIANNAO, reason, accounted)


def _power(machine: Machine) -> Case:
    cost = compile_network(conv4(), machine).cost
    watts = {part: joules / cost.seconds for part, joules in cost.energy.items() if part != "dram"}
    fixed = energy_table(NODE, "int16").mac_joules / machine.matrix.energy_per_mac_joules["float16"]
    rest = sum(watts.values()) - watts["wram"] - (1 - fixed) * watts["matrix"]
    reason = (
        f"WRAM's reads are {1e3 * watts['wram']:,.0f} mW of it: the table prices a byte as in a cache with a port of "
        f"64 bits, but SB is read by whole rows of 512 bytes. The MACs are {1e3 * watts['matrix']:,.0f} mW in float16, "
        f"which stands for 16-bit fixed point; that takes {fixed:.2f} times as much. "
        f"In fixed point and without SB: {1e3 * rest:,.0f} mW"
    )
    return Case(NAME, "DianNao on CONV4", "mW", 485, 1e3 * sum(watts.values()), DIANNAO, reason, 1e3 * rest)


def _area(quantity: str, published: float, found: AreaEstimate, source: str) -> Case:
    reason = (
        f"an estimate from below: MACs {found.matrix:.2f}, vector lanes {found.vector:.2f}, memories "
        f"{found.memory:.2f} mm². The other {published - found.total:.2f} are what it leaves out: registers, control, "
        "wires, filler, and the wide ports of small memories"
    )
    return Case(NAME, f"{quantity}, area", "mm²", published, found.total, source, reason)
