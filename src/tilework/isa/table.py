"""The instruction table: every instruction's code, unit, fields, meaning and cycles, each stated once.

The simulator's `execute` and `timing`, the assembler, the encoder, the random programs, the decoder's diagram, the
help of `tilework isa` and the tables of docs/processor.md follow it.
"""

from __future__ import annotations

from dataclasses import dataclass

FORMS: dict[str, tuple[str, ...]] = {  # what follows the mnemonic in assembly: fields and marks
    "none": (),
    "count": ("count",),
    "token": ("unit", "token"),
    "scope": ("scope",),
    "jump": ("target",),
    "branch": ("register", ",", "target"),
    "register": ("register",),
    "scalar": ("register", "=", "scalars"),
    "sload": ("register", "=", "element"),
    "sstore": ("element", "=", "register"),
    "fill": ("nest",),
    "move": ("nest",),
    "contract": ("nest", "accumulate"),
    "vector": ("nest",),
    "reduce": ("nest", "accumulate"),
}

Places = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Opcode:
    """One row. `form` is one of FORMS; `unit` says which queue it goes to, "any" that the instruction names it.

    `core` and `mover` give, for the destination and each source, the memories that it may lie in for a stream of that
    role ("#" is a constant, "r" a register); None says that the role has no such instruction. `function` is the scalar
    function that is applied, by its name in network.functions where it is there. One that `drains` is executed by
    control when all queues are empty and all units idle.
    """

    mnemonic: str
    code: int
    unit: str
    form: str
    meaning: str
    cycles: str
    example: str
    function: str | None = None
    core: Places | None = ()
    mover: Places | None = ()
    drains: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        return FORMS[self.form]

    @property
    def has_descriptor(self) -> bool:
        return "nest" in self.fields or "element" in self.fields

    @property
    def sources(self) -> int:
        """How many sources it has."""
        return len(self.core or self.mover or ((),)) - 1

    @property
    def operations(self) -> int:
        """What a lane of the vector unit does in each iteration: of a sum of products a product and a sum, of a clip
        two comparisons."""
        return self.sources if self.form == "reduce" or self.function == "clip" else 1

    def places(self, role: str) -> Places | None:
        """Where its operands may lie in a stream of this role; None if the role has no such instruction."""
        return self.core if role == "core" else self.mover


_ON_CHIP = ("nram", "wram")
_ANYWHERE = ("dram", "sram", *_ON_CHIP)
_VECTOR_CYCLES = "ceil(iterations / lanes) * rate({}) * conflicts + pipeline"
_MOVE_CYCLES = "latencies + longest occupation"


def _control(
    code: int, mnemonic: str, form: str, operands: str, meaning: str, cycles: str = "1", drains: bool = False
) -> Opcode:
    example = f"{mnemonic} {operands}".rstrip()
    return Opcode(mnemonic, code, "control", form, meaning, cycles, example, drains=drains)


def _order(code: int, mnemonic: str, meaning: str) -> Opcode:
    return Opcode(mnemonic, code, "any", "token", meaning, "0", f"{mnemonic} load 3")


def _move(
    code: int, mnemonic: str, unit: str, meaning: str, operands: str, core: Places | None, mover: Places | None
) -> Opcode:
    example = f"{mnemonic} <8, 16> {operands}"
    return Opcode(mnemonic, code, unit, "move", meaning, _MOVE_CYCLES, example, None, core, mover)


def _elementwise(code: int, mnemonic: str, function: str, expression: str, sources: int = 2) -> Opcode:
    places = (("nram",), *(("nram", "#"),) * sources)
    example = f"{mnemonic} <32> nram 0x0 {{4}} = nram 0x80 {{4}}" + ", #1" * (sources - 1)
    cycles = _VECTOR_CYCLES.format(function)
    named = None if function == "copy" else function
    return Opcode(mnemonic, code, "vector", "vector", f"d[j] = {expression}", cycles, example, named, places, None)


def _reduce(code: int, mnemonic: str, function: str, word: str) -> Opcode:
    meaning = f"d[j] = {word} of a[j] over the loops whose stride in d is 0; with += also of d's old value"
    example = f"{mnemonic} <8, 16> nram 0x0 {{4, 0}} = nram 0x80 {{64, 4}}"
    cycles, places = _VECTOR_CYCLES.format(function), (("nram",), ("nram",))
    return Opcode(mnemonic, code, "vector", "reduce", meaning, cycles, example, function, places, None)


def _products(code: int, mnemonic: str) -> Opcode:
    meaning = "d[j] = the sum of a[j] * b[j] over the loops whose stride in d is 0; with += also of d's old value"
    example = f"{mnemonic} <8, 16> nram 0x0 {{4, 0}} = nram 0x80 {{64, 4}}, nram 0x400 {{0, 4}}"
    cycles, places = _VECTOR_CYCLES.format("mul"), (("nram",),) * 3
    return Opcode(mnemonic, code, "vector", "reduce", meaning, cycles, example, "mul", places, None)


def _scalar(code: int, function: str, expression: str, sources: int = 2) -> Opcode:
    places = (("r",), *(("r",),) * (sources - 1), ("r", "#"))
    mnemonic, named = f"s{function}", None if function == "copy" else function
    example = f"{mnemonic} r1 = {'r2, ' * (sources - 1)}#5"
    return Opcode(mnemonic, code, "control", "scalar", f"rd = {expression}", "1", example, named, places, places)


def _element(code: int, mnemonic: str, example: str, meaning: str, places: Places) -> Opcode:
    return Opcode(mnemonic, code, "control", mnemonic, meaning, "1", f"{mnemonic} {example}", None, places, None, True)


_ROWS = (
    _control(0x00, "end", "none", "", "the program ends when every queue has drained", "0", True),
    _control(0x01, "loop", "count", "14", "run what follows, up to its endloop, `count` times"),
    _control(0x02, "endloop", "none", "", "next iteration of the innermost loop, or leave it", "0"),
    _control(0x03, "sync", "none", "", "issue nothing more before every queue has drained", drains=True),
    _control(
        *(0x04, "barrier", "scope", "cluster", "sync, then go on when every stream of the scope is at its barrier"),
        drains=True,
    ),
    _control(0x05, "jump", "jump", "again", "go on at the label"),
    _control(0x06, "jumpif", "branch", "r1, again", "go on at the label if ra is not 0"),
    _control(0x07, "jumpifnot", "branch", "r1, again", "go on at the label if ra is 0"),
    _order(0x08, "wait", "the unit's queue stops until the token is above 0, then 1 is taken from it"),
    _order(0x09, "post", "when the unit's queue gets here, add 1 to the token"),
    _move(
        *(0x10, "load", "load", "d[j] = a[j]; towards the units: into NRAM or WRAM; a mover's: into SRAM"),
        "nram 0x0 {64, 4} = dram 0x100+512*i0 {64, 4}",
        core=(_ON_CHIP, _ANYWHERE),
        mover=(("sram",), ("dram", "sram")),
    ),
    _move(
        *(0x11, "store", "store", "d[j] = a[j]; away from the units: out of NRAM or WRAM; a mover's: SRAM to DRAM"),
        "dram 0x100+512*i0 {64, 4} = nram 0x0 {64, 4}",
        core=(("dram", "sram"), _ON_CHIP),
        mover=(("dram",), ("sram",)),
    ),
    Opcode(
        *("fill", 0x12, "load", "fill", "d[j] = constant; d on chip", _MOVE_CYCLES),
        "fill <32> nram 0x0 {4} = #0",
        core=(_ON_CHIP, ("#",)),
        mover=(("sram",), ("#",)),
    ),
    _move(
        *(0x13, "cast", "cast", "d[j] = a[j] in every core of the cluster, at the same address; a mover's: from SRAM"),
        "wram 0x0 {64, 4} = sram 0x100+512*i0 {64, 4}",
        core=None,
        mover=(_ON_CHIP, ("sram",)),
    ),
    Opcode(
        *("contract", 0x20, "matrix", "contract"),
        "d[j] = sum of a[j] * b[j] over the loops whose stride in d is 0; with += added to d; a in NRAM, b in WRAM",
        "steps(rows, columns, summed) + pipeline",
        "contract <8, 16> nram 0x0 {4, 0} += nram 0x20 {64, 4} * wram 0x0 {0, 4}",
        core=(("nram",), ("nram",), ("wram",)),
        mover=None,
    ),
    _elementwise(0x30, "vcopy", "copy", "a[j]", 1),
    _elementwise(0x31, "vadd", "add", "a[j] + b[j]"),
    _elementwise(0x32, "vsub", "sub", "a[j] - b[j]"),
    _elementwise(0x33, "vmul", "mul", "a[j] * b[j]"),
    _elementwise(0x34, "vdiv", "div", "a[j] / b[j]"),
    _elementwise(0x35, "vmax", "max", "the larger of a[j] and b[j]"),
    _elementwise(0x36, "vmin", "min", "the smaller of a[j] and b[j]"),
    _elementwise(0x37, "vpow", "pow", "a[j] to the power b[j]"),
    _elementwise(0x38, "vexp", "exp", "e to the power a[j]", 1),
    _elementwise(0x39, "vlog", "log", "natural logarithm of a[j]", 1),
    _elementwise(0x3A, "vsqrt", "sqrt", "square root of a[j]", 1),
    _elementwise(0x3B, "vtanh", "tanh", "hyperbolic tangent of a[j]", 1),
    _elementwise(0x3C, "verf", "erf", "error function of a[j]", 1),
    _elementwise(0x3D, "vsin", "sin", "sine of a[j], in radians", 1),
    _elementwise(0x3E, "vcos", "cos", "cosine of a[j], in radians", 1),
    _elementwise(0x3F, "vabs", "abs", "a[j] without its sign", 1),
    _reduce(0x40, "rsum", "add", "the sum"),
    _reduce(0x41, "rmax", "max", "the largest"),
    _reduce(0x42, "rmin", "min", "the smallest"),
    _products(0x43, "rdot"),
    _elementwise(0x50, "vfloor", "floor", "the largest whole number not above a[j]", 1),
    _elementwise(0x51, "vround", "round", "the whole number nearest to a[j], the even one of two", 1),
    _elementwise(0x52, "vless", "less", "1 if a[j] < b[j], else 0"),
    _elementwise(0x53, "vequal", "equal", "1 if a[j] = b[j], else 0"),
    _elementwise(0x54, "vand", "and", "1 if neither a[j] nor b[j] is 0, else 0"),
    _elementwise(0x55, "vor", "or", "0 if a[j] and b[j] are 0, else 1"),
    _elementwise(0x56, "vnot", "not", "1 if a[j] is 0, else 0", 1),
    _elementwise(0x57, "vrecip", "reciprocal", "1 / a[j]", 1),
    _elementwise(0x58, "vsigmoid", "sigmoid", "1 / (1 + e to the power -a[j])", 1),
    _elementwise(0x59, "vwhere", "where", "b[j] where a[j] is not 0; elsewhere d[j] stays"),
    _elementwise(0x5A, "vclip", "clip", "min(max(a[j], 0), b[j])"),
    _scalar(0x60, "copy", "ra", 1),
    _scalar(0x61, "add", "ra + rb"),
    _scalar(0x62, "sub", "ra - rb"),
    _scalar(0x63, "mul", "ra * rb"),
    _scalar(0x64, "div", "ra / rb towards 0; -1 if rb is 0"),
    _scalar(0x65, "rem", "ra - (ra / rb) * rb; ra if rb is 0"),
    _scalar(0x66, "min", "the smaller of ra and rb"),
    _scalar(0x67, "max", "the larger of ra and rb"),
    _scalar(0x68, "and", "ra and rb, bit by bit"),
    _scalar(0x69, "or", "ra or rb, bit by bit"),
    _scalar(0x6A, "xor", "ra exclusive or rb, bit by bit"),
    _scalar(0x6B, "shl", "ra shifted left by rb modulo 32"),
    _scalar(0x6C, "shr", "ra shifted right by rb modulo 32, its sign kept"),
    _scalar(0x6D, "less", "1 if ra < rb, else 0"),
    _scalar(0x6E, "equal", "1 if ra = rb, else 0"),
    _element(0x70, "sload", "r1 = nram 0x40+4*i0", "sync, then rd = the element towards 0", (("r",), ("nram",))),
    _element(0x71, "sstore", "nram 0x40+4*i0 = r1", "sync, then the element = ra", (("nram",), ("r",))),
    _control(0x72, "rank", "register", "r1", "rd = the core's number in its cluster; a mover's: 0"),
    _control(0x73, "cluster", "register", "r1", "rd = the number of its cluster"),
)

OPCODES: dict[str, Opcode] = {row.mnemonic: row for row in _ROWS}
BY_CODE: dict[int, Opcode] = {row.code: row for row in _ROWS}
VECTOR_OF: dict[str, Opcode] = {row.function: row for row in _ROWS if row.form == "vector" and row.function}
REDUCE_OF: dict[str, Opcode] = {row.function: row for row in _ROWS if row.form == "reduce" and row.function}
