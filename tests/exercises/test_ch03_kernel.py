"""Exercise 3.5: the formulas against loops that are counted one by one, and the numbers by hand."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tilework as tw
from tilework.commands.exercise import exercise_files, load_exercise

Answer = dict[str, Any]
PIXELS, IMAGES = 3 * 227 * 227, 1_281_167


def by_loops(images: int, pixels: int, vectors: int, classes: int) -> dict[str, int]:
    """What a program does that adds up each sum from its first term on."""
    done = dict.fromkeys(("macs", "multiplications", "additions", "exp", "comparison"), 0)
    for _ in range(images):
        done["multiplications"] += pixels  # squares of the image
        done["additions"] += pixels - 1
        for _ in range(vectors):
            done["macs"] += pixels
            done["multiplications"] += pixels + 2  # and times 2 and the width
            done["additions"] += pixels - 1 + 2
            done["exp"] += 1
        for _ in range(classes):
            done["macs"] += vectors
            done["multiplications"] += vectors
            done["additions"] += vectors - 1 + 1  # and the offset
        done["comparison"] += classes - 1
    return done


@pytest.mark.parametrize("sizes", [(1, 5, 4, 3), (2, 7, 3, 2), (3, 2, 9, 4)])
def test_formulas_are_those_of_loops(answer_to: Callable[[str], Answer], sizes: tuple[int, int, int, int]) -> None:
    formulas = answer_to("3.5")["formulas"]
    names = dict(zip("NDSK", sizes, strict=True))
    expected = by_loops(*sizes)
    for name, text in formulas.items():
        # a polynomial such as N*D*S + N*S*K - N, term by term
        terms = text.replace(" - ", " + -").split(" + ")
        value = sum(int(np.prod([_factor(part, names) for part in term.split("*")])) for term in terms)
        assert value == expected[name], name


def _factor(part: str, names: dict[str, int]) -> int:
    sign, bare = (-1, part[1:]) if part.startswith("-") else (1, part)
    return sign * (names[bare] if bare in names else int(bare))


def test_the_graph_is_the_kernel_machine() -> None:
    machine = runpy.run_path(str(exercise_files()["3.5"]))["machine"]
    rng = np.random.default_rng(5)
    x, v, alpha, b = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 6), (4, 6), (3, 4), (3,)))
    graph = machine(2, 6, 4, 3)
    values = tw.execute(graph, {}, {"x": x, "v": v, "norms": (v * v).sum(1), "alpha": alpha, "b": b})
    distances = ((x[:, None] - v[None]) ** 2).sum(2)
    scores = np.exp(-0.01 * distances) @ alpha.T + b
    np.testing.assert_allclose(next(iter(values.values())), scores.max(1), rtol=1e-5)


def test_numbers_by_hand(answer_to: Callable[[str], Answer]) -> None:
    answer = answer_to("3.5")
    whole = answer["machines"][0]
    assert whole["macs"] == PIXELS * IMAGES + 1000 * IMAGES == 199_332_930_029
    assert whole["exp"] == IMAGES
    assert whole["times_the_network"] == pytest.approx(199_332_930_029 / 724_406_816)
    assert [one["support_vectors"] for one in answer["machines"]] == [1_281_167, 128_117, 12_812]
    assert answer["network"]["macs"] == 724_406_816
    training = answer["training"]
    assert training["kernel_macs"] == PIXELS * IMAGES * (IMAGES + 1) // 2
    assert training["network_macs"] == 90 * IMAGES * (724_406_816 + 1_343_398_432)
    assert "275 times" in load_exercise("3.5").text(answer)
