"""What isn't affine and so runs on the host: the scalar operations that each kind of it takes, written by hand.

A row's function takes the inputs' shapes and the output's and returns numbers by kind, in the columns of the counts.
Orders of growth are those of the usual algorithm: comparison sorting for sorts, a heap for the k largest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, log2, prod

Shape = tuple[int, ...]
Work = Callable[[Sequence[Shape], Shape], Mapping[str, int]]


def _nothing(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """Places are looked up and copied; nothing is computed."""
    return {}


def _sort(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """n log2 n comparisons for each row of the last axis."""
    n = inputs[0][-1] if inputs and inputs[0] else 1
    return {"comparison": prod(inputs[0]) * ceil(log2(n)) if n > 1 else 0}


def _topk(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """Each element is compared with the least of the k in the heap and may sink log2 k levels."""
    return {"comparison": prod(inputs[0]) * (1 + ceil(log2(output[-1])))}


def _each(kind: str, number: int = 1) -> Work:
    """`number` operations of a kind for each element of the output."""
    return lambda inputs, output: {kind: number * prod(output)}


def _each_read(kind: str) -> Work:
    """One operation of a kind for each element of the first input."""
    return lambda inputs, output: {kind: prod(inputs[0]) if inputs else 0}


def _taps(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """A weighted mean of the two neighbours along each axis that changes its size; 2 axes where that is not told."""
    changed = sum(a != b for a, b in zip(inputs[0], output, strict=True)) if len(inputs[0]) == len(output) else 2
    places = 2 ** max(1, changed)
    return {"multiplication": places * prod(output), "addition": (places - 1) * prod(output)}


def _bilinear(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """Four neighbours, weighted, for each output."""
    return {"multiplication": 4 * prod(output), "addition": 3 * prod(output)}


def _suppression(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """Each box kept (at most the output's rows) meets every box of its image once: the overlap over the union."""
    pairs = output[0] * inputs[0][-2] if len(inputs[0]) > 1 else output[0]
    return {"comparison": 7 * pairs, "addition": 4 * pairs, "multiplication": pairs, "division": pairs}


def _boxes(inputs: Sequence[Shape], output: Shape) -> int:
    """What it takes to reduce whole images, for each box and channel, to its parts."""
    return output[0] * output[1] * prod(inputs[0][2:]) - prod(output)


def _fft(inputs: Sequence[Shape], output: Shape, halves: int = 2) -> Mapping[str, int]:
    """n/2 log2 n butterflies for each row of n complex numbers (Cooley and Tukey 1965, radix 2), each a complex product
    (4 multiplications, 2 additions) and 2 complex sums; of real numbers half of that."""
    n = max(inputs[0][-1], output[-1])
    each = ceil(n * log2(n)) * halves // 2
    rows = prod(output[:-1])
    return {"multiplication": 2 * each * rows, "addition": 3 * each * rows}


def _triangular(inputs: Sequence[Shape], output: Shape, unit: bool = False) -> Mapping[str, int]:
    """n (n-1) / 2 products and differences and n divisions for each column of the right-hand side."""
    n = inputs[0][-1]
    columns = prod(output) // n
    steps = columns * n * (n - 1) // 2
    return {"multiplication": steps, "addition": steps, "division": 0 if unit else columns * n}


def _inverse(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """Gauss and Jordan's elimination in place: n pivots, each scaling a row and taking it from the n-1 others."""
    n = inputs[0][-1]
    matrices = prod(inputs[0]) // (n * n)
    each = {"multiplication": n**3 - n, "addition": n * (n - 1) ** 2, "division": n}
    return {kind: matrices * number for kind, number in each.items()}


def _cholesky(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """n roots, n (n-1) / 2 divisions, (n^3 - n) / 6 products and as many differences (Golub and Van Loan, 4.2)."""
    n = inputs[0][-1]
    matrices = prod(inputs[0]) // (n * n)
    products = (n**3 - n) // 6
    each = {"multiplication": products, "addition": products, "division": n * (n - 1) // 2, "sqrt": n}
    return {kind: matrices * number for kind, number in each.items()}


def _distances(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
    """A difference, its square and its share of the sum for each pair and feature, and a root for each pair."""
    pairs, features = prod(output), inputs[0][-1]
    return {"multiplication": pairs * features, "addition": pairs * (2 * features - 1), "sqrt": pairs}


def _antialiased(width: int) -> Work:
    """Weighted means along the last axis, then along the one before: each of 2 ceil(width/2 * shrinkage) + 1 places."""

    def work(inputs: Sequence[Shape], output: Shape) -> Mapping[str, int]:
        down, across = (2 * ceil(width / 2 * max(inputs[0][axis] / output[axis], 1)) + 1 for axis in (-2, -1))
        first, second = prod(inputs[0][:-1]) * output[-1], prod(output)
        products = first * across + second * down
        return {"multiplication": products, "addition": products - first - second}

    return work


def _each_of(**kinds: int) -> Work:
    """Several kinds of operations for each element of the output."""
    return lambda inputs, output: {kind: number * prod(output) for kind, number in kinds.items()}


def _each_last(kind: str) -> Work:
    """One operation of a kind for each element of the last input."""
    return lambda inputs, output: {kind: prod(inputs[-1])}


WORK: dict[str, Work] = {
    "embedding": _nothing,
    "recurrence": _nothing,  # states of all steps, which the steps themselves compute
    "bitwise": _each("logic"),
    "arc": _each("trigonometric"),
    "product": _each_read("multiplication"),
    "interpolate": _taps,
    "grid_sample": _bilinear,
    "roi_align": _bilinear,
    "roi_pool": lambda inputs, output: {"comparison": _boxes(inputs, output)},
    "nms": _suppression,
    "gather": _nothing,
    "constant": _nothing,
    "scatter": _nothing,
    "scatter_add": lambda inputs, output: {"addition": prod(inputs[-1])},
    "nonzero": _each_read("comparison"),
    "sort": _sort,
    "topk": _topk,
    "argmax": _each_read("comparison"),
    "cumsum": _each_read("addition"),
    "random": _each("random"),
    "angle": _each("trigonometric"),
    "argmin": _each_read("comparison"),
    "bicubic": _each_of(multiplication=20, addition=15),  # 4 rows of 4 neighbours, then the 4 sums
    "bicubic_antialiased": _antialiased(4),
    "bilinear_antialiased": _antialiased(2),
    "bincount": _each_read("addition"),
    "cholesky": _cholesky,
    "complex_abs": _each_of(multiplication=2, addition=1, sqrt=1),
    "complex_add": _each("addition", 2),
    "complex_add_real": _each("addition"),
    "complex_conj": _each("addition"),
    "complex_div": _each_of(multiplication=6, addition=3, division=2),  # times the conjugate, over the square
    "complex_div_real": _each("division", 2),
    "complex_exp": _each_of(exp=1, trigonometric=2, multiplication=2),
    "complex_mul": _each_of(multiplication=4, addition=2),
    "complex_mul_real": _each("multiplication", 2),
    "complex_neg": _each("addition", 2),
    "complex_sub": _each("addition", 2),
    "complex_sub_real": _each("addition"),
    "complex_sum": lambda inputs, output: {"addition": 2 * (prod(inputs[0]) - prod(output))},
    "cummax": _each_read("comparison"),
    "cumprod": _each_read("multiplication"),
    "distances": _distances,
    "embedding_bag": lambda inputs, output: {"addition": prod(inputs[0]) * output[-1] - prod(output)},
    "expert": _nothing,
    "fft": _fft,
    "fft_real": lambda inputs, output: _fft(inputs, output, 1),
    "grid_sample_3d": _each_of(multiplication=8, addition=7),
    "inverse": _inverse,
    "isin": lambda inputs, output: {"comparison": prod(map(prod, inputs))},
    "logcumsumexp": _each_of(exp=1, log=1, addition=3, comparison=1),  # max + log(1 + exp(min - max))
    "ps_roi_pool": lambda inputs, output: {"addition": _boxes(inputs, output), "division": prod(output)},
    "polar": _each_of(trigonometric=2, multiplication=2),
    "scatter_max": _each_last("comparison"),
    "scatter_mul": _each_last("multiplication"),
    "searchsorted": lambda inputs, output: {"comparison": prod(output) * ceil(log2(inputs[0][-1] + 1))},
    "solve_triangular": _triangular,
    "solve_unitriangular": lambda inputs, output: _triangular(inputs, output, unit=True),
}
