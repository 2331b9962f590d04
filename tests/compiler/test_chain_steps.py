"""The steps of a chain: each row once, and when it is needed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.chain import assemble
from tilework.compiler.chain_beats import walk
from tilework.compiler.chain_memory import Layout
from tilework.compiler.chain_steps import Planner
from tilework.compiler.fuse import fuse
from tilework.network.graph_text import parse_graph

TEXT = """graph g
input x float32[1,2,{rows},5]
parameter w float32[2,2,{first},1]
parameter v float32[2,2,{second},1]
y = conv2d(x, w, stride=[{s},1], padding=[{p},0])
z = conv2d(y, v, stride=[{t},1], padding=[{q},0])
output z
"""


def test_a_hand_worked_chain() -> None:
    """Two 3x1 windows, padding 1, on 5 rows, one row a step: each step needs one row more of both."""
    chain = assemble(fuse(parse_graph(TEXT.format(rows=5, first=3, second=3, s=1, p=1, t=1, q=1))))
    assert chain is not None
    steps = Planner(chain, 1, 1).steps()
    assert [step.work[0].get(0) for step in steps] == [(0, 2), (2, 3), (3, 4), (4, 5), None]
    assert [step.fresh[0].get("x") for step in steps] == [(-1, 3), (3, 4), (4, 5), (5, 6), None]
    assert [step.base["y"] for step in steps] == [-1, 0, 1, 2, 3]
    (found,) = walk([Layout(chain, 1, 1)])
    numbers = [[entry.step.number for (entry,) in run.beats if entry] for run in found]
    assert numbers == [[0], [1, 2], [3], [4]]
    assert Layout(chain, 1, 1).rows == {"y": 3, "z": 1, "x": 4}


@settings(max_examples=100, derandomize=True, deadline=None)
@given(data=st.data())
def test_each_row_once_and_in_time(data: Any) -> None:
    """Against the rows that the windows' arithmetic names."""
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    sizes = {"rows": draw(3, 12), "first": draw(1, 3), "second": draw(1, 3)}
    sizes |= {"s": draw(1, 3), "p": draw(0, 2), "t": draw(1, 3), "q": draw(0, 2)}
    made = (sizes["rows"] + 2 * sizes["p"] - sizes["first"]) // sizes["s"] + 1
    if made + 2 * sizes["q"] < sizes["second"]:
        return
    chain = assemble(fuse(parse_graph(TEXT.format(**sizes))))
    assert chain is not None
    layout = Layout(chain, draw(1, 4), draw(1, 3))
    held: set[int] = set()
    done: list[int] = []
    for step in layout.steps:
        assert all(row >= step.base["y"] for row in held)
        for work in step.work:
            done += range(*work.get(0, (0, 0)))
            held |= set(range(*work.get(0, (0, 0))))
            for row in range(*work.get(1, (0, 0))):
                start = sizes["t"] * row - sizes["q"]
                assert {r for r in range(start, start + sizes["second"]) if 0 <= r < made} <= held
        assert all(row - step.base["y"] < layout.rows["y"] for row in held)
        kept = step.base["y"] + step.shift.get("y", 0)
        held = {row for row in held if row >= kept}
    assert done == list(range(len(done)))
