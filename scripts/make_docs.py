"""Write the tables of the documentation that follow from the code, between markers in the Markdown files.

python scripts/make_docs.py            rewrite docs/*.md
python scripts/make_docs.py --check    exit 1 if a file would change
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tilework.isa.table import OPCODES, Opcode
from tilework.network.functions import FUNCTIONS

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIELDS = {
    "none": "",
    "count": "count",
    "token": "queue, token",
    "fill": "d = constant",
    "move": "d = a",
    "contract": "d = a * b or d += a * b",
    "reduce": "d = a or d += a",
}


def instruction_table() -> str:
    """One row for each instruction."""
    head = ("mnemonic", "code", "queue", "fields", "meaning", "cycles")
    rows = [
        (f"`{row.mnemonic}`", f"0x{row.code:02X}", row.unit, fields(row), row.meaning, row.cycles)
        for row in OPCODES.values()
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def fields(opcode: Opcode) -> str:
    if opcode.form == "vector":
        arity = FUNCTIONS[opcode.function].arity if opcode.function else 1
        return "d = a, b" if arity == 2 else "d = a"
    return FIELDS[opcode.form]


TABLES: dict[str, Callable[[], str]] = {"instructions": instruction_table}


def regenerate(text: str) -> str:
    """The text with the tables between its markers made anew."""
    for name, table in TABLES.items():
        start, end = f"<!-- table:{name} -->", f"<!-- end of table:{name} -->"
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
