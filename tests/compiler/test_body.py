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
        ("i<4 r<3: o[i] += x[i+r | 0]", ["rsum out <- x"], 0, ("add",)),
        ("i<4 r<3: o[i] max= x[i+r | -inf]", ["rmax out <- x"], 0, ("max",)),
        ("i<4 r<3: o[i] min= x[i,r]", ["rmin out <- x"], 0, ("min",)),
        (
            "i<4: o[i] = x[i] / pow(t[i] * 2 + 1, 0.75)",
            ["vmul t0 <- t, 2", "vadd t0 <- t0, 1", "vpow t0 <- t0, 0.75", "vdiv out <- x, t0"],
            1,
            ("div", "pow", "add", "mul"),
        ),
        (
            "i<4: o[i] = (a[i] + b[i]) * (a[i] - b[i])",
            ["vadd t0 <- a, b", "vsub t1 <- a, b", "vmul out <- t0, t1"],
            2,
            ("mul", "add", "sub"),
        ),
        (
            "i<4: o[i] = ((a[i] + 1) * (a[i] + 2)) / ((a[i] + 3) * (a[i] + 4))",
            [
                *("vadd t0 <- a, 1", "vadd t1 <- a, 2", "vmul t1 <- t0, t1"),
                *("vadd t0 <- a, 3", "vadd t2 <- a, 4", "vmul t2 <- t0, t2", "vdiv out <- t1, t2"),
            ],
            3,
            ("div", "mul", "add", "add", "mul", "add", "add"),
        ),
        ("i<4 r<3: o[i] += x[i+r | 0] * x[i+r | 0]", ["vmul t0 <- x, x", "rsum out <- t0"], 1, ("mul", "add")),
        ("i<4 r<3: o[i] max= exp(x[i,r])", ["vexp t0 <- x", "rmax out <- t0"], 1, ("exp", "max")),
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
