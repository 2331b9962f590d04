"""`tw.check_gradient`: two gradients that agree where the derivative is right, and don't where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tilework as tw
from tilework.errors import NetworkError
from tilework.frontend.zoo import network
from tilework.network.operation import OPERATIONS, expand


@pytest.fixture
def wrong() -> Iterator[None]:
    """An operation that states the gradient of another one."""

    @tw.operation("x")
    def wrong(s: dict[str, tuple[int, ...]]) -> tw.Expansion:
        (size,) = s["x"]
        forward = tw.parse_nest(f"a<{size}: o[a] = x[a] * x[a]")
        return tw.Expansion((size,), (forward,), gradient=(tw.parse_nest(f"a<{size}: d:x[a] = d:o[a] * x[a]"),))

    yield
    del OPERATIONS["wrong"]
    expand.cache_clear()


def test_a_networks_gradients() -> None:
    graph = network("mlp", 2, sizes=(4, 3, 3, 2))
    generator = np.random.default_rng(0)
    shapes = {t.name: t.shape for t in graph.sources} | {"targets": (2, 2)}
    values = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    found = tw.check_gradient(graph, values, "cross_entropy")
    assert found.keys() == {t.name for t in graph.weights}
    for derived, differences in found.values():
        assert derived.dtype == differences.dtype == np.float64
        assert derived.any()
        np.testing.assert_allclose(derived, differences, rtol=1e-6, atol=1e-8)
    assert values["x"].dtype == np.float32


def test_what_is_wrong_shows(wrong: None) -> None:
    g = tw.GraphBuilder("net")
    graph = g.graph(g.node("y", "wrong", g.input("x", (3,))))
    x = np.array([1.0, 2.0, 3.0])
    derived, differences = tw.check_gradient(graph, {"x": x}, wanted=["x"])["x"]
    np.testing.assert_array_equal(derived, x)
    np.testing.assert_allclose(differences, 2 * x, rtol=1e-8)


def test_a_value_that_is_missing() -> None:
    g = tw.GraphBuilder("net")
    graph = g.graph(g.node("y", "tanh", g.input("x", (3,))))
    with pytest.raises(NetworkError) as caught:
        tw.check_gradient(graph, {}, wanted=["x"])
    assert str(caught.value) == "the values must hold x, which they lack"
