"""3.5: the operations of a kernel SVM and of AlexNet for a data set of ImageNet's size."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Operations of a kernel SVM and of AlexNet for images of ImageNet's size"
QUESTION = """
How many operations does a support vector machine with a Gaussian kernel need to classify an image of ImageNet's size,
and how many does AlexNet? Give formulas and numbers, for one image and for training.
"""
NOTICE = """
A kernel machine compares an image with every support vector, and each comparison goes over all pixels: its cost
is N D S, which grows with the data set, as the support vectors are a part of it. With 1000 overlapping classes most
images end up as support vectors of some class. AlexNet has learned features instead: its cost depends on the network
alone. With every image a support vector the kernel machine takes 275 times the arithmetic of AlexNet for one
image; it would be the cheaper one only if fewer than 1 in 275 of the images were kept.

Training is another matter. The kernel between all pairs of images is D n(n+1)/2 multiply-accumulates, about half of
what 90 epochs of AlexNet take. But it grows with the square of the images, and n(n+1)/2 numbers are 3.3 TB in float32:
solvers keep some rows of it and compute others again, so that the real cost is many times as high.
"""
IMAGES, CLASSES, EPOCHS = 1_281_167, 1000, 90
SIDE = 227  # AlexNet's input
NETWORK = "alexnet"
SHARES = (1.0, 0.1, 0.01)
SYMBOLS = (("N", "D"), ("S", "D"), ("S",), ("K", "S"), ("K",))  # of `machine`'s inputs
COLUMNS = ("multiplications", "additions", "exp", "comparison")


def machine(images: int, pixels: int, vectors: int, classes: int) -> tw.Graph:
    """The scores of images [N,D] by K one-against-rest machines with S support vectors in common, and the best of them.

    exp(-g |x - v|^2) with |x - v|^2 = |x|^2 + |v|^2 - 2 x v; the |v|^2 are known from training.
    """
    g = tw.GraphBuilder("kernel svm")
    x, vector = g.input("x", (images, pixels)), g.input("v", (vectors, pixels))
    norms = g.input("norms", (vectors,))
    weights, offset = g.input("alpha", (classes, vectors)), g.input("b", (classes,))
    square = g.node("square", "pointwise", x, body="x0 * x0", what="square")
    own = g.node("norm", "reduce", square, axes=(1,), keep=True, update="+=", what="norm")
    products = g.node("products", "linear", x, vector)
    body = "exp(-0.01 * (x0 + x1 - 2 * x2))"
    kernel = g.node("kernel", "pointwise", own, norms, products, body=body, what="kernel")
    scores = g.node("scores", "linear", kernel, weights, offset)
    return g.graph(g.node("best", "reduce", scores, axes=(1,), keep=False, update="max=", what="best"))


def answer() -> dict[str, Any]:
    """The formulas, their numbers for some shares of support vectors, AlexNet's count, and both trainings."""
    pixels = 3 * SIDE * SIDE
    formulas = tw.formulas(machine(1, 4, 3, 2), *SYMBOLS)
    totals = {name: found for name, found in formulas.totals.items() if name in ("macs", *COLUMNS)}
    found = tw.count(NETWORK).total
    network = {
        "macs": found.macs,
        "multiplications": found.multiplications,
        "additions": found.additions,
        **{kind: found.other_operations.get(kind, 0) for kind in ("exp", "comparison")},
    }
    return {
        "pixels": pixels,
        "formulas": {name: str(one) for name, one in totals.items()},
        "machines": [_at(totals, share, pixels, network["macs"]) for share in SHARES],
        "network": {"name": NETWORK, "parameters": found.parameters, **network},
        "training": _training(pixels),
    }


def _at(totals: dict[str, Any], share: float, pixels: int, macs: int) -> dict[str, Any]:
    vectors = round(share * IMAGES)
    numbers = {name: one.at(N=1, D=pixels, S=vectors, K=CLASSES) for name, one in totals.items()}
    return {"share": share, "support_vectors": vectors, **numbers, "times_the_network": numbers["macs"] / macs}


def _training(pixels: int) -> dict[str, Any]:
    pairs = IMAGES * (IMAGES + 1) // 2
    step = tw.count(NETWORK, backward=True).total.macs
    return {
        "kernel_macs": pixels * pairs,
        "kernel_bytes": 4 * pairs,
        "network_macs_per_image": step,
        "network_macs": EPOCHS * IMAGES * step,
        "times": pixels * pairs / (EPOCHS * IMAGES * step),
    }


def text(answer: dict[str, Any]) -> str:
    """Formulas, one image, training."""
    formulas = [(name, found) for name, found in answer["formulas"].items()]
    rows = [(f"SVM, {one['support_vectors']:,} support vectors", one) for one in answer["machines"]]
    rows.append((answer["network"]["name"], answer["network"]))
    images = [(name, *(f"{row[kind]:,}" for kind in ("macs", *COLUMNS))) for name, row in rows]
    training, first = answer["training"], answer["machines"][0]
    break_even = first["support_vectors"] / first["times_the_network"]
    return "\n\n".join(
        (
            tw.table(("kernel SVM: N images of D numbers, S vectors, K classes", "operations"), formulas, left=2),
            tw.table(("one image", "multiply-accumulates", *COLUMNS), images),
            f"With every image a support vector: {first['times_the_network']:,.0f} times AlexNet's "
            f"multiply-accumulates;\nas many as AlexNet's with {break_even:,.0f} support vectors of {IMAGES:,} images.",
            f"Training: the kernel of all pairs takes {training['kernel_macs']:.3g} multiply-accumulates and "
            f"{training['kernel_bytes'] / 1e12:.2f} TB;\n{EPOCHS} epochs of AlexNet take "
            f"{training['network_macs']:.3g} ({training['network_macs_per_image']:,} an image, forward and backward), "
            f"{1 / training['times']:.2g} times as many.",
        )
    )
