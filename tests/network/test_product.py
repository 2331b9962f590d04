"""Contractions as products of matrices."""

from __future__ import annotations

from tilework.cost.count import count
from tilework.frontend.resolve import resolve
from tilework.network.graph import GraphBuilder
from tilework.network.product import Product, products


def test_alexnets_layers() -> None:
    """55, 27 and 13 places a side; filters and weights per group, of which conv2, conv4 and conv5 have two."""
    assert products(resolve("alexnet")) == (
        Product("conv1", 1, 55 * 55, 96, 11 * 11 * 3),
        Product("conv2", 2, 27 * 27, 128, 5 * 5 * 48),
        Product("conv3", 1, 13 * 13, 384, 3 * 3 * 256),
        Product("conv4", 2, 13 * 13, 192, 3 * 3 * 192),
        Product("conv5", 2, 13 * 13, 128, 3 * 3 * 192),
        Product("fc6", 1, 1, 4096, 9216),
        Product("fc7", 1, 1, 4096, 4096),
        Product("fc8", 1, 1, 1000, 4096),
    )


def test_macs_are_those_that_are_counted() -> None:
    for name in ("alexnet", "resnet18", "lenet5"):
        graph = resolve(name)
        assert sum(product.macs for product in products(graph)) == count(graph).total.macs


def test_products_of_matrices_in_batches() -> None:
    g = GraphBuilder("g")
    out = g.node("y", "matmul", g.input("a", (2, 3, 5, 7)), g.input("b", (3, 7, 11)))
    assert products(g.graph(out)) == (Product("y", 3, 2 * 5, 11, 7),)
