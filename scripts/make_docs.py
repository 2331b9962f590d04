"""Write the tables of the documentation that follow from the code, between markers in the Markdown files.

python scripts/make_docs.py            rewrite docs/*.md
python scripts/make_docs.py --check    exit 1 if a file would change
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from msgspec.structs import FieldInfo
from msgspec.structs import fields as struct_fields

from tilework.isa.manual import row_of
from tilework.isa.table import OPCODES
from tilework.machine.accelerator import accelerator_of, rate_unit
from tilework.machine.accelerator_file import AcceleratorFile
from tilework.machine.energy import ENERGIES, SCRATCHPADS, energy_table
from tilework.machine.load import accelerator_names, load_accelerator, load_machine, machine_names
from tilework.machine.machine import Machine
from tilework.machine.schema import MATRIX_SECTIONS, MachineFile, MatrixSection, Section, keys_of, types_of
from tilework.machine.units import SIZE, print_quantity
from tilework.plain import quantity
from tilework.validation.table import validate

DOCS = Path(__file__).resolve().parent.parent / "docs"


def instruction_table() -> str:
    """One row for each instruction."""
    head = ("mnemonic", "code", "queue", "fields", "meaning", "cycles")
    rows = [(f"`{mnemonic}`", *cells) for mnemonic, *cells in map(row_of, OPCODES.values())]
    return markdown(head, rows)


def markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def machine_keys() -> str:
    """One row for each key of a machine's file."""
    rows = [row for key in types_of(MachineFile) for row in rows_of_key(key)]
    return markdown(("key", "value", "default", "meaning"), rows)


def rows_of_key(key: str) -> Iterator[tuple[str, ...]]:
    """The rows of a key at the top: one, or those of the table that it names."""
    kind = types_of(MachineFile)[key]
    section = (*get_args(kind), kind)[0]
    if key == "matrix":
        yield "`[matrix] kind`", f"one of {', '.join(MATRIX_SECTIONS)}", "", "the shape of the array"
        yield from section_rows("[matrix] ", MatrixSection)
        for name, own in MATRIX_SECTIONS.items():
            yield from section_rows("[matrix] ", own, f"{name}: ", keys_of(MatrixSection).keys())
    elif issubclass(section, Section):
        yield from section_rows(f"[{key}] ", section)
    else:
        yield from section_rows("", MachineFile, "", types_of(MachineFile).keys() - {key})


def section_rows(
    place: str, section: type[Section], prefix: str = "", without: Collection[str] = ()
) -> Iterator[tuple[str, ...]]:
    hints = get_type_hints(section, include_extras=True)
    for field in struct_fields(section):
        key = field.encode_name
        if key in without:
            continue
        inner = (*get_args(types_of(section)[key]), types_of(section)[key])[0]
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from section_rows(place.replace("]", f".{key}]"), inner)
        else:
            (meaning,) = (meta.description for meta in hints[field.name].__metadata__)
            yield f"`{place}{key}`", value_of(types_of(section)[key]), default_of(field), prefix + meaning


def accelerator_keys() -> str:
    """One row for each key of an accelerator's file."""
    rows: list[tuple[str, ...]] = []
    for key, kind in types_of(AcceleratorFile).items():
        section = (*get_args(kind), kind)[0]
        if issubclass(section, Section):
            rows += section_rows(f"[{key}] ", section)
        else:
            rows += section_rows("", AcceleratorFile, "", types_of(AcceleratorFile).keys() - {key})
    return markdown(("key", "value", "meaning"), [(key, value, meaning) for key, value, _default, meaning in rows])


def accelerators() -> str:
    """One row for each accelerator that comes with Tilework."""
    head = ("accelerator", "maker", "what it is", "year", "dense peak", "memory", "bandwidth")
    return markdown(head, [accelerator_row(name) for name in accelerator_names()])


def accelerator_row(name: str) -> tuple[str, ...]:
    one = load_accelerator(name)
    size, bandwidth = one.memory.capacity_bytes, one.memory.bandwidth_bytes_per_second
    return (
        f"`{name}`",
        one.maker,
        one.description,
        str(one.year),
        f"{quantity(one.peak[one.dtype], rate_unit(one.dtype))} {one.dtype}" if one.dtype else "",
        " ".join((*([print_quantity(SIZE, size)] if size else []), one.memory.kind)),
        quantity(bandwidth, "B/s") if bandwidth else "",
    )


def value_of(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    return "a list of texts" if get_origin(kind) is tuple else str((*get_args(kind), kind)[0].must)


def default_of(field: FieldInfo) -> str:
    made = {"ports": "cores + 1", "rates": "float32 = 1", "cycles": "empty", "description": "empty", "sources": "empty"}
    return "" if field.required else made.get(field.name, str(field.default))


def machines() -> str:
    """One row for each machine that comes with Tilework."""
    head = ("machine", "what it is", "matrix unit", "cores", "peak, operations/s", "NRAM, WRAM, SRAM", "DRAM")
    return markdown(head, [machine_row(load_machine(name)) for name in machine_names()])


def machine_row(m: Machine) -> tuple[str, ...]:
    sizes = [m.nram.capacity_bytes, m.wram.capacity_bytes, *([m.sram.capacity_bytes] if m.sram else [])]
    return (
        f"`{m.name}`",
        m.description,
        f"{m.matrix.kind}, {m.matrix.multipliers:,} multipliers",
        f"{m.clusters} × {m.cores}",
        ", ".join(f"{quantity(peak, '')} {dtype}" for dtype, peak in accelerator_of(m).peak.items()),
        ", ".join(print_quantity(SIZE, size) for size in sizes),
        f"{print_quantity(SIZE, m.dram.capacity_bytes)}, {quantity(m.dram.bandwidth_bytes_per_second, 'B/s')}",
    )


def energies() -> str:
    """What arithmetic and memories take at a few process nodes."""
    nodes = (65, 45, 28, 16, 7)
    tables = [{dtype: energy_table(node, dtype) for dtype in ENERGIES} for node in nodes]
    rows = [(f"MAC, {dtype}", *(quantity(table[dtype].mac_joules, "J") for table in tables)) for dtype in ENERGIES]
    for size, _ in SCRATCHPADS:
        cells = (quantity(table["int8"].byte_joules(size), "J") for table in tables)
        rows.append((f"a byte of {size >> 10} KiB", *cells))
    factors = (f"{table['int8'].factor:.3g} · {table['int8'].area_factor:.3g}" for table in tables)
    rows.append(("energy · area, by 45 nm's", *factors))
    return markdown(("what", *(f"{node} nm" for node in nodes)), rows)


TABLES: dict[str, Callable[[], str]] = {
    "instructions": instruction_table,
    "machine keys": machine_keys,
    "machines": machines,
    "energies": energies,
    "accelerator keys": accelerator_keys,
    "accelerators": accelerators,
    "validation": lambda: validate().to_markdown(),
}


def regenerate(text: str) -> str:
    """The text with the tables between its markers made anew."""
    for name, table in TABLES.items():
        start, end = f"<!-- table:{name} -->", f"<!-- end of table:{name} -->"
        if start in text:
            pattern = re.compile(f"{re.escape(start)}\n.*?{re.escape(end)}", re.DOTALL)
            made = f"{start}\n\n{table()}\n\n{end}"
            text = pattern.sub(lambda _, made=made: made, text)  # type: ignore[misc]
    return text


def main(arguments: list[str]) -> int:
    pages = {path: path.read_text("utf-8") for path in sorted(DOCS.glob("*.md"))}
    stale = [(path, new) for path, old in pages.items() if (new := regenerate(old)) != old]
    for path, new in stale:
        if "--check" in arguments:
            print(f"{path.name} is out of date; run python scripts/make_docs.py", file=sys.stderr)
        else:
            path.write_text(new, "utf-8")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
