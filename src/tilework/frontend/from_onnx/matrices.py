"""The ONNX operators that multiply matrices."""

from __future__ import annotations

from math import prod
from typing import Any

from tilework.frontend.from_onnx.constants import Constant
from tilework.frontend.from_onnx.pointwise import number
from tilework.frontend.from_onnx.site import Site, operator
from tilework.network.operations import Shape


@operator("Gemm")
def _gemm(s: Site) -> None:
    """alpha A' B' + beta C; a constant alpha or beta goes into constant weights and biases."""
    alpha, beta = s.number("alpha", 1.0), s.number("beta", 1.0)
    if len(s.shape(0)) != 2 or len(s.shape(1)) != 2:
        s.fail(f"both matrices must have 2 axes, not the shapes {list(s.shape(0))} and {list(s.shape(1))}")
    turned, transposed = bool(s.integer("transA", 0)), bool(s.integer("transB", 0))
    weight = s.known(1)
    x = s.reference(0)
    if weight is not None:
        x = s.emit("transpose", x, to="transposed", order=(1, 0)) if turned else x
        _linear(s, x, weight.scaled(alpha), transposed, beta)
        return
    biased = s.given(2) and beta != 0
    to = "product" if biased else ""
    product = _scaled(s, alpha, to, x, s.reference(1), transpose_x=turned, transpose_y=transposed)
    if biased:
        _biased(s, product, beta)


def _scaled(s: Site, factor: float, to: str, *inputs: str, **attributes: Any) -> str:
    """factor * x @ y."""
    if factor == 1:
        return s.emit("matmul", *inputs, to=to, **attributes)
    product = s.emit("matmul", *inputs, to="unscaled", **attributes)
    return s.pointwise("scale", f"x0 * {number(s, factor)}", product, to=to)


def _biased(s: Site, product: str, beta: float) -> None:
    found = s.known(2)
    if found is not None and found.elements > 1:
        s.emit("add", product, s.importer.weight(found.scaled(beta)))
    elif beta == 1:
        s.emit("add", product, s.operand(2))
    else:
        s.pointwise("add", f"x0 + {number(s, beta)} * x1", product, s.operand(2))


def _linear(s: Site, x: str, weight: Constant, transposed: bool, beta: float = 1.0) -> None:
    """x W^T + b, where a bias that isn't one number per output is added by a node of its own."""
    name = s.importer.weight(weight if transposed else weight.transposed((1, 0)))
    features = weight.shape[0 if transposed else 1]
    bias = s.known(2)
    if not s.given(2) or not beta:
        s.emit("linear", x, name)
    elif bias is not None and bias.shape in ((features,), (1, features)):
        s.emit("linear", x, name, s.importer.weight(bias.reshaped((features,)).scaled(beta)))
    else:
        _biased(s, s.emit("linear", x, name, to="product"), beta)


@operator("MatMul")
def _matmul(s: Site) -> None:
    """As numpy.matmul; by a constant matrix it is a linear layer."""
    weight = s.known(1)
    if weight is not None and len(weight.shape) == 2 and s.shape(0) and s.known(0) is None:
        s.emit("linear", s.reference(0), s.importer.weight(weight.transposed((1, 0))))
    else:
        product(s, s.reference(0), s.reference(1))


def product(s: Site, x: str, y: str, dtype: str = "", to: str = "") -> str:
    """x @ y as numpy.matmul: vectors are rows on the left and columns on the right, and lose that axis again."""
    a, b = s.importer.shape_read(x), s.importer.shape_read(y)
    if not a or not b:
        s.fail(f"it must multiply tensors with axes, not the shapes {list(a)} and {list(b)}")
    x = s.reshaped(x, (1, *a), "row") if len(a) == 1 else x
    y = s.reshaped(y, (*b, 1), "column") if len(b) == 1 else y
    if min(len(a), len(b)) > 1:
        return s.emit("matmul", x, y, dtype=dtype, to=to)
    whole = s.emit("matmul", x, y, dtype=dtype, to="product")
    shape = s.importer.shape_read(whole)
    shape = shape[:-1] if len(b) == 1 else shape
    shape = (*shape[: -1 if len(b) == 1 else -2], *shape[len(shape) - (len(b) > 1) :]) if len(a) == 1 else shape
    return s.emit("reshape", whole, to=to, shape=shape)


@operator("com.microsoft::FusedMatMul")
def _fused_matmul(s: Site) -> None:
    if s.integer("transBatchA", 0) or s.integer("transBatchB", 0):
        s.unsupported()
    turned = {"transpose_x": bool(s.integer("transA", 0)), "transpose_y": bool(s.integer("transB", 0))}
    _scaled(s, s.number("alpha", 1.0), "", s.reference(0), s.reference(1), **turned)


@operator("Einsum")
def _einsum(s: Site) -> None:
    """Operand after operand: axes that nothing needs any more are summed, the rest is a product of matrices."""
    terms, result = _equation(s)
    sizes: dict[str, int] = {}
    for place, term in enumerate(terms):
        sizes |= dict(zip(term, s.shape(place), strict=True))
    if any(
        sizes[name] != size for place, term in enumerate(terms) for name, size in zip(term, s.shape(place), strict=True)
    ):
        s.fail("an index must have one size in all operands")
    value, own = s.reference(0), terms[0]
    for place in range(1, len(terms)):
        later = set(result).union(*terms[place + 1 :])
        value, own = _contracted(s, (value, own), (s.reference(place), terms[place]), later, sizes, place)
    value, own = _summed(s, value, own, set(result), "sum")
    value = _ordered(s, value, own, result, "ordered")
    s.same(value)


def _equation(s: Site) -> tuple[list[str], str]:
    """The operands' indices and the result's, a letter an axis; the dots' axes are capital letters not in use."""
    text = s.text("equation", "").replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(s.inputs):
        s.fail(f"the equation must have {len(s.inputs)} operands, not {text!r}")
    free = [chr(code) for code in range(ord("A"), ord("Z") + 1) if chr(code) not in text]
    dots = max((len(s.shape(i)) - len(t) + 3 for i, t in enumerate(terms) if "..." in t), default=0)
    if dots < 0 or dots > len(free):
        s.fail(f"the equation must fit its operands, which {text!r} does not")
    names = "".join(free[:dots])
    whole = []
    for place, term in enumerate(terms):
        count = len(s.shape(place)) - len(term) + 3
        term = term.replace("...", names[len(names) - max(count, 0) :])
        if len(term) != len(s.shape(place)) or (not term.isalpha() and term):
            s.fail(f"the equation must name the axes of its operands, which {text!r} does not")
        if len(set(term)) < len(term):
            s.unsupported()
        whole.append(term)
    every = "".join(whole)
    implied = names + "".join(sorted(name for name in set(every) - set(names) if every.count(name) == 1))
    result = right.replace("...", names) if arrow else implied
    if not set(result) <= set(every) or len(set(result)) < len(result):
        s.fail(f"the equation must give different indices of its operands, which {text!r} does not")
    return whole, result


Operand = tuple[str, str]  # a value and its indices


def _contracted(s: Site, x: Operand, y: Operand, later: set[str], sizes: dict[str, int], place: int) -> Operand:
    """The product of two operands, summed over the indices that nothing later needs."""
    a, left = _summed(s, *x, later | set(y[1]), f"left{place}")
    b, right = _summed(s, *y, later | set(left), f"right{place}")
    both = [name for name in left if name in right]
    batch, summed = [n for n in both if n in later], [n for n in both if n not in later]
    rows, columns = [n for n in left if n not in both], [n for n in right if n not in both]

    def size(names: list[str]) -> int:
        return prod(sizes[name] for name in names)

    leading = tuple(sizes[name] for name in batch)
    a = _ordered(s, a, left, "".join(batch + rows + summed), f"rows{place}")
    a = s.reshaped(a, (*leading, size(rows), size(summed)), f"left_matrix{place}")
    b = _ordered(s, b, right, "".join(batch + summed + columns), f"columns{place}")
    b = s.reshaped(b, (*leading, size(summed), size(columns)), f"right_matrix{place}")
    shape: Shape = (*leading, *(sizes[n] for n in rows), *(sizes[n] for n in columns))
    value = s.emit("matmul" if summed else "mul", a, b, to=f"product{place}")
    return s.reshaped(value, shape, f"whole{place}"), "".join(batch + rows + columns)


def _summed(s: Site, value: str, own: str, needed: set[str], to: str) -> Operand:
    axes = tuple(axis for axis, name in enumerate(own) if name not in needed)
    if axes:
        value = s.emit("reduce", value, to=to, axes=axes)
    return value, "".join(name for name in own if name in needed)


def _ordered(s: Site, value: str, own: str, wanted: str, to: str) -> str:
    order = tuple(own.index(name) for name in wanted)
    return value if order == tuple(range(len(own))) else s.emit("transpose", value, to=to, order=order)
