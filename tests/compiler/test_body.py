"""A nest's body as vector instructions, and how many temporary tiles they need."""

from __future__ import annotations

import pytest

from tilework.compiler.body import Scratch, Step, functions, scratch_count, steps
from tilework.errors import CompileError
from tilework.network.nest import Access, Constant
from tilework.network.text import parse_nest


def text(nest: str) -> list[str]:
    return [
        f"{step.mnemonic} {place(step)} <- {', '.join(map(source, step.sources))}" for step in steps(parse_nest(nest))
    ]


def place(step: Step) -> str:
    return "out" if step.target is None else f"t{step.target.index}"


def source(operand: Access | Constant | Scratch) -> str:
    if isinstance(operand, Access):
        return operand.tensor
    return f"{operand.value:g}" if isinstance(operand, Constant) else f"t{operand.index}"


@pytest.mark.parametrize(
    ("nest", "expected", "temporaries", "names"),
    [
        ("i<4: o[i] = x[i]", ["vcopy out <- x"], 0, ("copy",)),
        ("i<4: o[i] = 7", ["vcopy out <- 7"], 0, ("copy",)),
        ("i<4: o[i] = max(x[i], 0)", ["vmax out <- x, 0"], 0, ("max",)),
        ("i<4: o[i] = min(max(x[i], 0), 6)", ["vclip out <- x, 6"], 0, ("clip",)),
        ("i<4: o[i] = min(m[i], max(0, x[i] + 3))", ["vadd t0 <- x, 3", "vclip out <- t0, m"], 1, ("add", "clip")),
        ("i<4: o[i] = min(max(x[i], -1), 6)", ["vmax t0 <- x, -1", "vmin out <- t0, 6"], 1, ("max", "min")),
        ("i<4 r<3: o[i] += x[i+r | 0]", ["rsum out <- x"], 0, ("add",)),
        ("i<4 r<3: o[i] max= x[i+r | -inf]", ["rmax out <- x"], 0, ("max",)),
        ("i<4 r<3: o[i] min= x[i,r]", ["rmin out <- x"], 0, ("min",)),
        (
            "i<4: o[i] = x[i] / pow(t[i] * 2 + 1, 0.75)",
            ["vmul t0 <- t, 2", "vadd t0 <- t0, 1", "vpow t0 <- t0, -0.75", "vmul out <- x, t0"],
            1,
            ("mul", "add", "pow", "mul"),
        ),
        ("i<4: o[i] = 1 / pow(x[i], 3)", ["vpow out <- x, -3"], 0, ("pow",)),
        ("i<4: o[i] = x[i] / pow(2, x[i])", ["vpow t0 <- 2, x", "vdiv out <- x, t0"], 1, ("pow", "div")),
        (
            "i<4: o[i] = (a[i] + b[i]) * (a[i] - b[i])",
            ["vadd t0 <- a, b", "vsub t1 <- a, b", "vmul out <- t0, t1"],
            2,
            ("add", "sub", "mul"),
        ),
        (
            "i<4: o[i] = ((a[i] + 1) * (a[i] + 2)) / ((a[i] + 3) * (a[i] + 4))",
            [
                *("vadd t0 <- a, 1", "vadd t1 <- a, 2", "vmul t1 <- t0, t1"),
                *("vadd t0 <- a, 3", "vadd t2 <- a, 4", "vmul t2 <- t0, t2", "vdiv out <- t1, t2"),
            ],
            3,
            ("add", "add", "mul", "add", "add", "mul", "div"),
        ),
        ("i<4 r<3: o[i] += x[i+r | 0] * x[i+r | 0]", ["rdot out <- x, x"], 0, ("mul",)),
        ("i<4 r<3: o[i] += x[i,r] * w[r]", ["rdot out <- x, w"], 0, ("mul",)),
        ("i<4 r<3: o[i] += exp(x[i,r]) * x[i,r]", ["vexp t0 <- x", "rdot out <- t0, x"], 1, ("exp", "mul")),
        ("i<4 r<3: o[i] += x[i,r] * 2", ["vmul t0 <- x, 2", "rsum out <- t0"], 1, ("mul", "add")),
        ("i<4 r<3: o[i] max= x[i,r] * x[i,r]", ["vmul t0 <- x, x", "rmax out <- t0"], 1, ("mul", "max")),
        ("i<4 r<3: o[i] max= exp(x[i,r])", ["vexp t0 <- x", "rmax out <- t0"], 1, ("exp", "max")),
        ("i<4: o[i] = 1 / sqrt(x[i])", ["vsqrt t0 <- x", "vrecip out <- t0"], 1, ("sqrt", "reciprocal")),
        ("i<4: o[i] = 1 / (1 + exp(0 - x[i]))", ["vsigmoid out <- x"], 0, ("sigmoid",)),
        (
            "i<4: o[i] = x[i] / (exp(0 - (x[i] + 1)) + 1)",
            ["vadd t0 <- x, 1", "vsigmoid t0 <- t0", "vmul out <- x, t0"],
            1,
            ("add", "sigmoid", "mul"),
        ),
        (
            "i<4: o[i] = 2 / (1 + exp(1 - x[i]))",
            ["vsub t0 <- 1, x", "vexp t0 <- t0", "vadd t0 <- 1, t0", "vdiv out <- 2, t0"],
            1,
            ("sub", "exp", "add", "div"),
        ),
        (
            "i<4: o[i] = select(less(x[i], 0), 7, x[i])",
            ["vless t0 <- x, 0", "vcopy out <- x", "vwhere out <- t0, 7"],
            1,
            ("less", "copy", "where"),
        ),
        (  # out may lie where m or x does, and must not be written before they are read
            "i<4: o[i] = select(m[i], x[i], 0)",
            ["vcopy t0 <- 0", "vwhere t0 <- m, x", "vcopy out <- t0"],
            1,
            ("copy", "where", "copy"),
        ),
        (
            "i<4 j<2: o[i,j] = select(m[j], w[i], x[i,j])",
            ["vcopy out <- x", "vwhere out <- m, w"],
            0,
            ("copy", "where"),
        ),
        (
            "i<4: o[i] = exp(select(not(m[i]), x[i], sqrt(x[i])))",
            ["vnot t0 <- m", "vsqrt t1 <- x", "vwhere t1 <- t0, x", "vexp out <- t1"],
            2,
            ("not", "sqrt", "where", "exp"),
        ),
        (
            "i<4: o[i] = erf(select(m[i], exp(x[i]), 3)) * 2",
            ["vexp t0 <- x", "vcopy t1 <- 3", "vwhere t1 <- m, t0", "verf t1 <- t1", "vmul out <- t1, 2"],
            2,
            ("exp", "copy", "where", "erf", "mul"),
        ),
    ],
)
def test_steps(nest: str, expected: list[str], temporaries: int, names: tuple[str, ...]) -> None:
    assert text(nest) == expected
    assert scratch_count(parse_nest(nest)) == temporaries
    assert functions(parse_nest(nest)) == names


def test_a_contraction_needs_no_temporaries() -> None:
    assert scratch_count(parse_nest("i<4 r<3: o[i] += x[i,r] * w[r]")) == 0


@pytest.mark.parametrize(
    "nest", ["i<4 r<3: o[i] max= x[i,r] + y[r]", "i<4 r<3: o[i] max= x[i] + x[r]", "i<4 r<3: o[i] += x[i,r] * 2 + y[i]"]
)
def test_a_reduction_of_several_values_is_refused(nest: str) -> None:
    with pytest.raises(CompileError) as caught:
        steps(parse_nest(nest))
    assert str(caught.value) == (
        f"the body of a reduction must read one tensor at one index to run on the processor, not {nest}; "
        "split it into an elementwise nest and a reduction"
    )
