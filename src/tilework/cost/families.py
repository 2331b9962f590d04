"""Families of operations, each with the colour that pages and pictures give it."""

from __future__ import annotations

from tilework.cost.record import MODULE, Row
from tilework.cost.view import OTHERS
from tilework.network.general import UNKNOWN
from tilework.network.host import WORK

FAMILIES: dict[str, str] = {  # told apart also by those who see few colours: Paul Tol's bright and muted schemes
    "convolution": "#4477aa",
    "matrix product": "#44aa99",
    "normalisation": "#ccbb44",
    "pooling": "#66ccee",
    "elementwise": "#aa4499",
    "data movement": "#999999",
    "on the host": "#ee8866",
    "unknown": "#cc3311",
    "several": "#8899aa",
}


def family(row: Row) -> str:
    """The key of FAMILIES that a row belongs to, read off its operation's name and what it counts."""
    if row.operation in (MODULE, OTHERS):
        return "several"
    if row.other_operations.get(UNKNOWN):
        return "unknown"
    if row.operation in WORK:
        return "on the host"
    if row.operation.startswith("conv"):
        return "convolution"
    if row.macs:
        return "matrix product"
    named = {"norm": "normalisation", "softmax": "normalisation", "pool": "pooling"}
    by_name = next((name for part, name in named.items() if part in row.operation), None)
    computes = row.multiplications or row.additions or row.other_operations
    return by_name or ("elementwise" if computes else "data movement")
