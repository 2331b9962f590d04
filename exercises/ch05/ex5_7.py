"""5.7: four ways to compute a convolution: direct, as a matrix product, by Winograd's algorithm and by FFT."""

from __future__ import annotations

from math import log2
from typing import Any

import tilework as tw

TITLE = "Four ways to compute a convolution: direct, im2col, Winograd, FFT"
QUESTION = """
Frameworks compute a convolution directly, as one matrix product (im2col), by Winograd's algorithm or by Fourier
transforms. How many operations does each take, and how long, for kernels of 3 x 3?
"""
NOTICE = """
The first two compute the same products. im2col copies each input up to nine times, so that the convolution
becomes one large product for a library that is good at those; on a processor whose loads can follow the
kernel's index the copies cost time and memory, and save nothing.

Winograd's F(2x2, 3x3) takes 16 products for four outputs where 36 stand in the sum, and pays with additions
before and after: 32 for each tile of each input channel, 24 for each tile of each output channel. They are
shared by all channels of the other side, so that it pays where both are many. Here the products become 2.25
times fewer, yet the transformed tensors, four times the input's size and more, have to be moved: without fusing
all of it a processor gains less, or nothing.

An FFT's products don't depend on the kernel's size: one for each frequency, half of them by symmetry, of four
real products each. By this count it is ahead even here, as its transforms too are shared by all channels, and
further ahead with larger kernels. But complex numbers in strides fit no matrix unit, and small sizes no fast
transform, so that frameworks take it for large kernels alone. It and Winograd round differently, which the last
column shows.
"""

CHANNELS, FILTERS, SIZE, MACHINE = 32, 32, 16, "dlp-s"
INPUT, WEIGHT = (1, CHANNELS, SIZE, SIZE), (FILTERS, CHANNELS, 3, 3)
TILES = SIZE // 2
ROWS = ("{0} - {2}", "{1} + {2}", "{2} - {1}", "{1} - {3}")  # Lavin and Gray 2016, section 4.1: the rows of B^T,
SUMS = ("{0}", "0.5 * ({0} + {1} + {2})", "0.5 * ({0} - {1} + {2})", "{2}")  # of G
OUTPUTS = ("{0} + {1} + {2}", "{1} - {2} - {3}")  # and of A^T


def _source() -> tuple[tw.GraphBuilder, str, str]:
    builder = tw.GraphBuilder("convolution")
    return builder, builder.input("x", INPUT), builder.weight("w", WEIGHT)


def direct() -> tw.Graph:
    """One contraction of seven loops."""
    builder, x, w = _source()
    return builder.graph(builder.node("o", "conv2d", x, w, padding=(1, 1)))


def im2col() -> tw.Graph:
    """The windows side by side, and a matrix product."""
    builder, x, w = _source()
    loops = f"c<{CHANNELS} r<3 s<3 p<{SIZE} q<{SIZE}"
    body = f"{loops}: o[c,r,s,p,q] = x0[0,c,p+r-1,q+s-1 | 0]"
    windows = builder.node("windows", "nests", x, body=body, shape=(CHANNELS, 3, 3, SIZE, SIZE))
    columns = builder.node("columns", "reshape", windows, shape=(CHANNELS * 9, SIZE * SIZE))
    rows = builder.node("rows", "reshape", w, shape=(FILTERS, CHANNELS * 9))
    product = builder.node("product", "matmul", rows, columns)
    return builder.graph(builder.node("o", "reshape", product, shape=(1, FILTERS, SIZE, SIZE)))


def winograd() -> tw.Graph:
    """Input, weights and outputs transformed along rows and then along columns, products between them."""
    builder, x, w = _source()
    inside, tiles = f"c<{CHANNELS}", f"p<{TILES} q<{TILES}"
    sides = CHANNELS, TILES, TILES
    v = [f"x0[0,c,2*p{a - 1:+d},2*q+b-1 | 0]" for a in range(4)]
    rows = _transformed(builder, "rows", x, f"{inside} {tiles} b<4", "c,p,q,{0},b", ROWS, v, (*sides, 4, 4))
    v = [f"x0[c,p,q,i,{b}]" for b in range(4)]
    inputs = _transformed(builder, "inputs", rows, f"{inside} {tiles} i<4", "c,p,q,i,{0}", ROWS, v, (*sides, 4, 4))
    u = [f"x0[k,c,{r},s]" for r in range(3)]
    pair = f"k<{FILTERS} {inside}"
    half = _transformed(builder, "half", w, f"{pair} s<3", "k,c,{0},s", SUMS, u, (FILTERS, CHANNELS, 4, 3))
    u = [f"x0[k,c,i,{s}]" for s in range(3)]
    weights = _transformed(builder, "weights", half, f"{pair} i<4", "k,c,i,{0}", SUMS, u, (FILTERS, CHANNELS, 4, 4))
    body = f"{pair} {tiles} i<4 j<4: o[k,p,q,i,j] += x0[k,c,i,j] * x1[c,p,q,i,j]"
    shape = (FILTERS, TILES, TILES, 4, 4)
    products = builder.node("products", "nests", weights, inputs, body=body, shape=shape)
    outer, m = f"k<{FILTERS} {tiles}", [f"x0[k,p,q,{i},j]" for i in range(4)]
    outputs = _transformed(builder, "outputs", products, f"{outer} j<4", "k,p,q,{0},j", OUTPUTS, m, (*shape[:3], 2, 4))
    m = [f"x0[k,p,q,a,{j}]" for j in range(4)]
    place = "0,k,2*p+a,2*q+{0}"
    last = _transformed(builder, "o", outputs, f"{outer} a<2", place, OUTPUTS, m, (1, FILTERS, SIZE, SIZE))
    return builder.graph(last)


def _transformed(
    builder: tw.GraphBuilder,
    name: str,
    source: str,
    loops: str,
    place: str,
    rows: tuple[str, ...],
    reads: list[str],
    shape: tuple[int, ...],
) -> str:
    """A node with a nest for each row of a transform."""
    nests = (f"{loops}: o[{place.format(number)}] = {row.format(*reads)}" for number, row in enumerate(rows))
    return builder.node(name, "nests", source, body="; ".join(nests), shape=shape, what=f"transform of {source}")


def answer() -> dict[str, Any]:
    """For each way its operations, its time on a processor, and how far its values are from float64's."""
    import numpy as np

    generator = np.random.default_rng(0)
    values = {"x": generator.standard_normal(INPUT), "w": generator.standard_normal(WEIGHT)}
    exact = _by_fft(values["x"], values["w"])
    arrays = {name: value.astype(np.float32) for name, value in values.items()}
    ways = [_read(way.__name__, way(), arrays, exact) for way in (direct, im2col, winograd)]
    found = _by_fft(arrays["x"], arrays["w"])
    ways.append({"name": "fft", **_fft_work(), "cycles": None, "off": float(np.abs(found - exact).max())})
    return {"input": list(INPUT), "weight": list(WEIGHT), "machine": MACHINE, "ways": ways}


def _read(name: str, graph: tw.Graph, arrays: dict[str, Any], exact: Any) -> dict[str, Any]:
    """Counts without what weights alone decide, which is computed once for all inputs."""
    import numpy as np

    rows = [row for row in tw.count(graph).rows if row.name not in ("half", "weights")]
    executable = tw.compile(graph, MACHINE, {"w": arrays["w"]})
    return {
        "name": name,
        "multiplications": sum(row.multiplications for row in rows),
        "additions": sum(row.additions for row in rows),
        "cycles": executable.cost.cycles,
        "off": float(np.abs(executable.run(x=arrays["x"])["o"] - exact).max()),
    }


def _by_fft(x: Any, w: Any) -> Any:
    """A product for each frequency; a sum of products x[p+r-1] w[r] is a convolution with the kernel turned round."""
    import numpy as np

    size = (SIZE + 2, SIZE + 2)
    image, kernel = np.fft.rfft2(x[0], size), np.fft.rfft2(w[:, :, ::-1, ::-1], size)
    return np.fft.irfft2(np.einsum("chw,kchw->khw", image, kernel), size)[None, :, 1 : SIZE + 1, 1 : SIZE + 1]


def _fft_work() -> dict[str, int]:
    """A real transform of n values takes n log2 n products and 1.5 n log2 n sums (half of radix 2's complex ones)."""
    n, frequencies = (SIZE + 2) ** 2, (SIZE + 2) * (SIZE // 2 + 2)
    transforms, pairs = (CHANNELS + FILTERS) * n * log2(n), CHANNELS * FILTERS * frequencies
    sums = 2 * pairs + 2 * FILTERS * (CHANNELS - 1) * frequencies
    return {"multiplications": round(transforms) + 4 * pairs, "additions": round(1.5 * transforms) + sums}


def text(answer: dict[str, Any]) -> str:
    """A line for each way."""
    first = answer["ways"][0]
    rows = [
        (
            *(way["name"], f"{way['multiplications']:,}", f"{way['additions']:,}"),
            f"{first['multiplications'] / way['multiplications']:.2f}",
            "by NumPy" if way["cycles"] is None else f"{way['cycles']:,}",
            f"{way['off']:.0e}",
        )
        for way in answer["ways"]
    ]
    heads = ("way", "multiplications", "additions", "times fewer", f"cycles on {answer['machine']}", "off by")
    sizes = " x ".join(map(str, answer["input"])), " x ".join(map(str, answer["weight"]))
    return "\n\n".join(
        (
            f"An input of {sizes[0]}, kernels of {sizes[1]}, padding 1:",
            tw.table(heads, rows, left=1),
            "Transforms of the weights are left out: they are computed once. `off by` is the distance from float64.",
        )
    )
