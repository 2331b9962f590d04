"""The instruction table: every instruction's code, unit, fields, meaning and cycles, each stated once.

The simulator's `execute` and `timing`, the assembler, the encoder and the tables of docs/processor.md follow it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Opcode:
    """One row. `form` names the fields: none, count, token, fill, move, contract, vector or reduce.

    `function` is the scalar function of network.functions that a vector instruction applies.
    """

    mnemonic: str
    code: int
    unit: str
    form: str
    meaning: str
    cycles: str
    function: str | None = None

    @property
    def has_descriptor(self) -> bool:
        return self.form in ("fill", "move", "contract", "vector", "reduce")


_VECTOR_CYCLES = "ceil(iterations / lanes) * rate({}) + pipeline"


def _elementwise(code: int, mnemonic: str, function: str, expression: str) -> Opcode:
    meaning = f"d[j] = {expression}"
    return Opcode(mnemonic, code, "vector", "vector", meaning, _VECTOR_CYCLES.format(function), function)


def _reduce(code: int, mnemonic: str, function: str, word: str) -> Opcode:
    meaning = f"d[j] = {word} of a[j] over the loops whose stride in d is 0; with += also of d's old value"
    return Opcode(mnemonic, code, "vector", "reduce", meaning, _VECTOR_CYCLES.format(function), function)


_ROWS = (
    Opcode("end", 0x00, "control", "none", "the program ends when every queue has drained", "0"),
    Opcode("loop", 0x01, "control", "count", "run what follows, up to its endloop, `count` times", "1"),
    Opcode("endloop", 0x02, "control", "none", "next iteration of the innermost loop, or leave it", "0"),
    Opcode("sync", 0x03, "control", "none", "issue nothing more before every queue has drained", "1"),
    Opcode(
        "wait", 0x08, "any", "token", "the unit's queue stops until the token is above 0, then 1 is taken from it", "0"
    ),
    Opcode("post", 0x09, "any", "token", "when the unit's queue gets here, add 1 to the token", "0"),
    Opcode("load", 0x10, "load", "move", "d[j] = a[j]; a in DRAM, d on chip", "latency + ceil(bytes / width)"),
    Opcode("store", 0x11, "store", "move", "d[j] = a[j]; a on chip, d in DRAM", "latency + ceil(bytes / width)"),
    Opcode(
        "fill",
        0x12,
        "load",
        "fill",
        "d[j] = constant; d on chip; does not use the DRAM channel",
        "ceil(bytes / fill width)",
    ),
    Opcode(
        "contract",
        0x20,
        "matrix",
        "contract",
        "d[j] = sum of a[j] * b[j] over the loops whose stride in d is 0; with += added to d; a in NRAM, b in WRAM",
        "rows * ceil(columns / neurons) * ceil(summed / synapses) + pipeline",
    ),
    Opcode("vcopy", 0x30, "vector", "vector", "d[j] = a[j]", _VECTOR_CYCLES.format("copy"), None),
    _elementwise(0x31, "vadd", "add", "a[j] + b[j]"),
    _elementwise(0x32, "vsub", "sub", "a[j] - b[j]"),
    _elementwise(0x33, "vmul", "mul", "a[j] * b[j]"),
    _elementwise(0x34, "vdiv", "div", "a[j] / b[j]"),
    _elementwise(0x35, "vmax", "max", "the larger of a[j] and b[j]"),
    _elementwise(0x36, "vmin", "min", "the smaller of a[j] and b[j]"),
    _elementwise(0x37, "vpow", "pow", "a[j] to the power b[j]"),
    _elementwise(0x38, "vexp", "exp", "e to the power a[j]"),
    _elementwise(0x39, "vlog", "log", "natural logarithm of a[j]"),
    _elementwise(0x3A, "vsqrt", "sqrt", "square root of a[j]"),
    _elementwise(0x3B, "vtanh", "tanh", "hyperbolic tangent of a[j]"),
    _reduce(0x40, "rsum", "add", "the sum"),
    _reduce(0x41, "rmax", "max", "the largest"),
    _reduce(0x42, "rmin", "min", "the smallest"),
)

OPCODES: dict[str, Opcode] = {row.mnemonic: row for row in _ROWS}
BY_CODE: dict[int, Opcode] = {row.code: row for row in _ROWS}
VECTOR_OF: dict[str, Opcode] = {row.function: row for row in _ROWS if row.form == "vector" and row.function}
REDUCE_OF: dict[str, Opcode] = {row.function: row for row in _ROWS if row.form == "reduce" and row.function}
