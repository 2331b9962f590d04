"""The way to cut a sequence into chains is the best of all ways."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

from tilework.compiler.chain_search import _shortest
from tilework.compiler.options import Measured


def test_the_best_of_all_ways_to_cut() -> None:
    for seed in range(20):
        drawn, count = Random(seed), 6
        spans = [(i, j) for i in range(count) for j in range(i + 1, count + 1) if j == i + 1 or drawn.random() < 0.5]
        costs = {span: Measured(drawn.randint(1, 100), 0, 0.0) for span in spans}
        found = _shortest(costs, lambda cost: cost.cycles, count)
        ways = [
            list(zip((0, *cuts), (*cuts, count), strict=True))
            for size in range(count)
            for cuts in combinations(range(1, count), size)
        ]
        totals = [sum(costs[span].cycles for span in way) for way in ways if all(span in costs for span in way)]
        assert sum(costs[span].cycles for span in found) == min(totals)
        assert found[0][0] == 0
        assert all(one[1] == two[0] for one, two in pairwise(found))
