"""Late stages: a unit never waits for what depends on its own last work, if it has other rows to do."""

from __future__ import annotations

from dataclasses import replace

from tilework.compiler.chain import Chain, assemble
from tilework.compiler.chain_lags import lags
from tilework.compiler.chain_memory import Layout
from tilework.compiler.chain_send import with_copies
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.on_vector import on_vector
from tilework.network.graph_text import parse_graph

BLOCK = """graph g
input x float32[1,4,9,9]
parameter w float32[8,4,1,1]
parameter d float32[8,1,3,3]
parameter u float32[4,8,1,1]
a = conv2d(x, w)
r = relu(a)
e = conv2d(r, d, groups=8, padding=[1,1])
s = relu(e)
z = conv2d(s, u)
y = add(z, x)
output y
"""


def groups() -> tuple[Group, ...]:
    return fuse(parse_graph(BLOCK))


def chain_of(parts: tuple[Group, ...]) -> Chain:
    chain = assemble(parts)
    assert chain is not None
    return chain


def test_a_unit_that_comes_twice_makes_a_lag() -> None:
    """Matrix and vector unit three times in turn."""
    assert lags(chain_of(groups())) == {"r": 0, "s": 1, "y": 2, "x": 0}


def test_a_unit_that_goes_on_makes_none() -> None:
    """The depthwise layer on the vector unit follows the ReLU there."""
    first, second, _ = groups()
    lanes = on_vector(second)
    assert lanes is not None
    assert lags(chain_of((first, lanes))) == {"r": 0, "s": 0, "x": 0}


def test_loads_come_sooner_where_the_load_unit_copies() -> None:
    first, second, _ = groups()
    found = with_copies([first, replace(second, swapped=True)])
    assert [group.operation for group in found] == ["conv2d+relu", "copy", "conv2d+relu"]
    chain = chain_of(found)
    assert lags(chain) == {"x": 0, "r": 1, "r@wram": 2, "s": 2}
    assert {name: band.memory for name, band in chain.bands.items() if band.memory != "nram"} == {"r@wram": "wram"}


def test_what_is_loaded_by_a_swapped_group_alone_needs_no_copy() -> None:
    _, second, third = groups()
    found = with_copies([replace(second, swapped=True), third])
    assert [group.sends for group in found] == [False, False]
    assert chain_of(found).bands["r"].memory == "wram"


def test_a_band_is_kept_until_its_last_reader_has_it() -> None:
    """The residual's operand is read two steps after its rows came for the first layer."""
    layout = Layout(chain_of(groups()), 1, 1, 2)
    assert layout.slots == {"r": 2, "s": 2, "y": 2, "x": 3}
    assert set(Layout(chain_of(groups()), 1, 1).lags.values()) == {0}


def test_no_lags_around_what_is_held_whole() -> None:
    """A softmax along the rows needs all of a result at once; the next whole must not come before it is read."""
    text = "graph g\ninput x float32[6,5]\nparameter w float32[4,5]\nparameter v float32[3,4]\n"
    text += "y = linear(x, w)\nz = softmax(y, axis=0)\no = linear(z, v)\noutput o\n"
    chain = chain_of(fuse(parse_graph(text)))
    assert any(band.axis is None for band in chain.bands.values())
    assert set(lags(chain).values()) == {0}
