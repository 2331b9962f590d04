"""The tokens of a chain order every conflict, and few do."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.chain_order import Edge, Item, order


def test_three_units_hand_a_buffer_on() -> None:
    """Load writes it, matrix reads it and writes another, vector reads that; all again in each step."""
    step = (
        Item("load", (), (("x", 0, 4),)),
        Item("matrix", (("x", 0, 4),), (("y", 0, 2),)),
        Item("vector", (("y", 0, 2),), ()),
    )
    edges = {(edge.source, edge.target, edge.later) for edge in order([step] * 4)}
    assert edges == {(0, 1, 0), (1, 2, 0), (1, 0, 1), (2, 1, 1)}


def test_two_buffers_in_turn_are_waited_for_two_steps_later() -> None:
    steps = [
        (Item("load", (), (("x", slot, slot + 1),)), Item("matrix", (("x", slot, slot + 1),), ()))
        for slot in (0, 1, 0, 1, 0, 1)
    ]
    assert set(order(steps)) == {Edge(0, 1, 0), Edge(1, 0, 2)}


def test_what_follows_from_another_token_needs_none() -> None:
    """Vector has seen the load's rows, since it waits for matrix, which waited for load."""
    step = (
        Item("load", (), (("x", 0, 1),)),
        Item("matrix", (("x", 0, 1),), (("y", 0, 1),)),
        Item("vector", (("x", 0, 1), ("y", 0, 1)), ()),
    )
    assert Edge(0, 2, 0) not in order([step] * 4)
    assert Edge(1, 2, 0) in order([step] * 4)


SPAN = st.tuples(st.sampled_from("xy"), st.integers(0, 3), st.integers(1, 2)).map(lambda s: (s[0], s[1], s[1] + s[2]))
SPANS = st.lists(SPAN, max_size=2).map(tuple)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_all_conflicts_are_ordered(data: Any) -> None:
    """By each unit's own order and the tokens, followed from item to item."""
    units = data.draw(st.lists(st.sampled_from(("load", "matrix", "vector")), min_size=2, max_size=5))
    steps = [
        [Item(unit, data.draw(SPANS), data.draw(SPANS)) for unit in units] for _ in range(data.draw(st.integers(1, 5)))
    ]
    flat = [item for step in steps for item in step]
    before = _before(units, order(steps), len(steps))
    for i, j in product(range(len(flat)), repeat=2):
        if i < j and _conflict(flat[i], flat[j]):
            assert i in before[j], f"{i} {j}"


def _before(units: list[str], edges: list[Edge], steps: int) -> list[set[int]]:
    """For each item all that must have ended when it begins; an item's place says when it ends in its unit."""
    count = len(units)
    found: list[set[int]] = []
    for number in range(count * steps):
        direct = {i for i in range(number) if units[i % count] == units[number % count]}
        step, item = divmod(number, count)
        direct |= {(step - e.later) * count + e.source for e in edges if e.target == item and step >= e.later}
        found.append(direct.union(*(found[i] for i in direct)))
    return found


def _conflict(one: Item, other: Item) -> bool:
    def meet(a: Any, b: Any) -> bool:
        return any(s[0] == t[0] and s[1] < t[2] and t[1] < s[2] for s in a for t in b)

    return meet(one.writes, other.reads + other.writes) or meet(one.reads, other.writes)
