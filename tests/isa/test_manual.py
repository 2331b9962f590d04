"""The manual made from the table, and what docs/processor.md says about Cambricon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tilework.isa.instruction import DTYPES, MEMORIES, SCOPES, UNITS
from tilework.isa.manual import entry, fields_of, page, table_text
from tilework.isa.table import BY_CODE, OPCODES

TEXT = (Path(__file__).parents[2] / "docs" / "processor.md").read_text("utf-8")
CAMBRICON = """JUMP CB VLOAD VSTORE VMOVE MLOAD MSTORE MMOVE SLOAD SSTORE SMOVE MMV VMM MMS OP MAM MSM
VAV VSV VMV VDV VAS VEXP VLOG IP RV VMAX VMIN VGT VE VAND VOR VNOT VGTM"""  # ISCA 2016; nine more are on scalars


def test_all_43_of_cambricon_are_mapped_to_instructions_that_exist() -> None:
    part = TEXT.partition("## Beside Cambricon")[2]
    rows = re.findall(r"^\| ([A-Z0-9][^|]*) \| [^|]* \| ([^|]*) \|$", part, re.MULTILINE)[1:]
    named = [name for names, _ in rows for name in names.split(", ")]
    assert sorted(name for name in named if name != "9 on scalars") == sorted(CAMBRICON.split())
    assert named.count("9 on scalars") == 1
    assert len(CAMBRICON.split()) + 9 == 43
    for _, ours in rows:
        assert set(re.findall(r"`(\w+)`", ours)) <= set(OPCODES)


def test_the_encoding_s_numbers_are_the_code_s() -> None:
    encoding = TEXT.partition("### Encoding")[2].partition("\n## ")[0]
    assert ", ".join(f"{n} {name}" for n, name in enumerate(DTYPES)) in encoding
    assert ", ".join(f"{n} {name.upper()}" for n, name in enumerate(MEMORIES, 1)) in encoding
    assert ", ".join(f"{n} {name}" for n, name in enumerate(UNITS) if n) in encoding
    assert f"the scope of `barrier` (0 {SCOPES[0]}, 1\n{SCOPES[1]})" in encoding
    assert len(BY_CODE) == len(OPCODES)


@pytest.mark.parametrize(
    ("mnemonic", "fields"),
    [
        ("end", ""),
        ("loop", "count"),
        ("wait", "queue, token"),
        ("barrier", "scope"),
        ("jump", "label"),
        ("jumpif", "ra, label"),
        ("rank", "rd"),
        ("scopy", "rd = ra"),
        ("sadd", "rd = ra, rb"),
        ("sload", "rd = a"),
        ("sstore", "d = ra"),
        ("fill", "d = constant"),
        ("load", "d = a"),
        ("contract", "d = a * b or d += a * b"),
        ("vadd", "d = a, b"),
        ("rsum", "d = a or d += a"),
        ("rdot", "d = a, b or d += a, b"),
    ],
)
def test_the_fields_of_an_instruction(mnemonic: str, fields: str) -> None:
    assert fields_of(OPCODES[mnemonic]) == fields


def test_a_page_has_all_about_an_instruction() -> None:
    assert page(OPCODES["cast"]) == (
        "cast\n"
        "  code     0x13\n"
        "  queue    cast\n"
        "  fields   d = a\n"
        "  meaning  d[j] = a[j] in every core of the cluster, at the same address; a mover's: from SRAM\n"
        "  cycles   latencies + longest occupation\n"
        "  example  cast <8, 16> wram 0x0 {64, 4} = sram 0x100+512*i0 {64, 4}\n"
        "  core's   no such instruction\n"
        "  mover's  d in nram or wram; a in sram"
    )
    assert entry(OPCODES["sync"])["places"] == {"core": (), "mover": ()}


def test_the_table_has_a_line_for_each() -> None:
    lines = table_text().splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(OPCODES)
