"""From graphs to groups: text in, text out, each group checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tilework.compiler.fuse import MAX_NESTS, fuse
from tilework.compiler.group import Group
from tilework.executable import compile_network, random_inputs
from tilework.network.graph import GraphBuilder
from tilework.network.graph_text import parse_graph


def groups(nodes: str) -> tuple[Group, ...]:
    return fuse(parse_graph(f"graph g\n{nodes}"))


def text(nodes: str) -> str:
    return "".join(map(str, groups(nodes)))


def together(nodes: str) -> list[str]:
    """The nodes of each group."""
    return ["+".join(group.nodes) for group in groups(nodes)]


def test_bias_relu_and_pooling_join_a_convolution() -> None:
    """The rows p become windows p_p of rows p_r, the columns q likewise; the window's loops reduce in the last nest."""
    nodes = """input x float32[1,3,10,10]
parameter w float32[8,3,3,3]
parameter b float32[8]
conv = conv2d(x, w, b, padding=[1,1])
act = relu(conv)
pool = max_pool2d(act)
output pool
"""
    loops, index = "n<1 g<1 k<8 p_p<5 p_r<2 q_q<5 q_s<2", "n,8*g+k,2*p_p+p_r,2*q_q+q_s"
    assert text(nodes) == (
        "group conv (conv2d+relu+max_pool2d)\n"
        f"  {loops} c<3 r<3 s<3: conv:t[{index}] += "
        "x[n,3*g+c,2*p_p+p_r+r-1,2*q_q+q_s+s-1 | 0] * w[8*g+k,c,r,s]\n"
        f"  {loops}: conv[{index}] = conv:t[{index}] + b[8*g+k]\n"
        f"  {loops}: act[{index}] = max(conv[{index}], 0)\n"
        f"  {loops}: pool[n,8*g+k,p_p,q_q] max= act[{index} | -inf]\n"
    )
    (group,) = groups(nodes)
    assert group.macs == 8 * 10 * 10 * 3 * 3 * 3
    assert group.compulsory_bytes == 4 * (3 * 10 * 10 + 8 * 3 * 3 * 3 + 8 + 8 * 5 * 5)
    assert group.local == {"conv:t", "conv", "act"}


def test_a_row_that_pooling_drops_is_not_computed() -> None:
    nodes = """input x float32[1,2,5,7]
parameter w float32[3,2,1,1]
y = conv2d(x, w)
p = max_pool2d(y)
output p
"""
    (group,) = groups(nodes)
    assert group.macs == 3 * 4 * 6 * 2  # of 3 * 5 * 7 * 2
    assert group.compulsory_bytes == 4 * (2 * 4 * 6 + 3 * 2 + 3 * 2 * 3)


def test_pooling_twice_splits_the_loops_twice() -> None:
    nodes = """input x float32[1,1,9,8]
r = relu(x)
p = max_pool2d(r)
q = avg_pool2d(p, kernel=[2,1], stride=[2,1])
output q
"""
    loops, index = "a<1 b<1 c_p_p<2 c_p_r<2 c_r<2 d_q_q<4 d_q_s<1 d_s<2", "a,b,4*c_p_p+2*c_p_r+c_r,2*d_q_q+2*d_q_s+d_s"
    outer, inner = "a<1 b<1 c_p_p<2 d_q_q<4", "a,b,2*c_p_p+c_p_r,d_q_q+d_q_s"
    assert text(nodes) == (
        "group r (relu+max_pool2d+avg_pool2d)\n"
        f"  {loops}: r[{index}] = max(x[{index}], 0)\n"
        f"  {loops}: p[{inner}] max= r[{index} | -inf]\n"
        f"  a<1 b<1 c_p_p<2 c_p_r<2 d_q_q<4 d_q_s<1: q:t[a,b,c_p_p,d_q_q] += p[{inner} | 0]\n"
        f"  {outer}: q[a,b,c_p_p,d_q_q] = q:t[a,b,c_p_p,d_q_q] * 0.5\n"
    )


@pytest.mark.parametrize(
    ("pool", "joins"),
    [
        ("kernel=[2,2], stride=[2,2]", True),
        ("kernel=[3,1], stride=[3,1]", True),
        ("kernel=[7,9], stride=[7,9]", True),
        ("kernel=[1,1], stride=[1,1]", True),
        ("kernel=[3,3], stride=[2,2]", False),
        ("kernel=[2,2], stride=[1,2]", False),
        ("kernel=[2,2], stride=[3,2]", False),
        ("kernel=[2,2], stride=[2,2], padding=[1,0]", False),
        ("kernel=[2,2], stride=[2,2], dilation=[2,1]", False),
        ("kernel=[2,2], stride=[2,2], ceil=true", False),
    ],
)
def test_windows_join_where_they_lie_side_by_side_inside_the_tensor(pool: str, joins: bool) -> None:
    nodes = f"input x float32[1,2,7,9]\nr = relu(x)\np = max_pool2d(r, {pool})\noutput p\n"
    assert together(nodes) == (["r+p"] if joins else ["r", "p"])


def test_what_is_read_twice_is_stored() -> None:
    """r is read by the second convolution and by the addition; s only by the last relu."""
    nodes = """input x float32[1,4,6,6]
parameter w float32[4,4,3,3]
a = conv2d(x, w, padding=[1,1])
r = relu(a)
c = conv2d(r, w, padding=[1,1])
s = add(c, r)
o = relu(s)
output o
"""
    loops, index = "n<1 g<1 k<4 p<6 q<6", "n,4*g+k,p,q"
    inner = "n,4*g+c,p+r-1,q+s-1 | 0"
    assert text(nodes) == (
        "group a (conv2d+relu)\n"
        f"  {loops} c<4 r<3 s<3: a[{index}] += x[{inner}] * w[4*g+k,c,r,s]\n"
        f"  {loops}: r[{index}] = max(a[{index}], 0)\n"
        "group c (conv2d+add+relu)\n"
        f"  {loops} c<4 r<3 s<3: c[{index}] += r[{inner}] * w[4*g+k,c,r,s]\n"
        f"  {loops}: s[{index}] = c[{index}] + r[{index}]\n"
        f"  {loops}: o[{index}] = max(s[{index}], 0)\n"
    )
    elements = 4 * 6 * 6
    assert [group.compulsory_bytes for group in groups(nodes)] == [4 * (elements + 144 + elements)] * 2


def test_an_output_is_stored_though_it_is_read() -> None:
    assert together("input x float32[3]\na = relu(x)\nb = relu(a)\noutput a\noutput b\n") == ["a", "b"]


def test_a_tensor_added_to_itself_is_stored() -> None:
    assert together("input x float32[3]\na = relu(x)\nb = add(a, a)\noutput b\n") == ["a", "b"]


def test_an_addition_joins_the_later_of_its_operands() -> None:
    nodes = "input x float32[3]\ninput y float32[3]\na = relu(x)\nb = relu(y)\nc = add(b, a)\nd = add(a, c)\noutput d\n"
    assert together(nodes) == ["a", "b+c+d"]


def test_a_nest_that_needs_a_later_group_does_not_join_an_earlier_one() -> None:
    nodes = """input x float32[3,4]
a = relu(x)
s = softmax(x)
b = add(a, s)
output b
"""
    assert together(nodes) == ["a+s+b"], "all of them go over the same rows"


def test_softmax_is_one_group_over_rows() -> None:
    assert text("input x float32[2,10]\ns = softmax(x)\noutput s\n") == (
        "group s (softmax)\n  a<2 b<10: s:m[a] max= x[a,b]\n"
        "  a<2 b<10: s:t[a,b] = exp(x[a,b] - s:m[a])\n"
        "  a<2 b<10: s:z[a] += s:t[a,b]\n"
        "  a<2 b<10: s[a,b] = s:t[a,b] / s:z[a]\n"
    )


ATTENTION = """input q float32[4,6,8]
input k float32[4,6,8]
s = matmul(q, k, transpose_y=true)
p = softmax(s)
output p
"""


def test_rows_join_a_contraction_where_that_is_worth_it() -> None:
    asked: list[tuple[str, ...]] = []

    def worth(both: Group, apart: tuple[Group, Group]) -> bool:
        asked.append((both.operation, *(group.operation for group in apart)))
        return len(asked) == 1

    graph = parse_graph(f"graph g\n{ATTENTION}")
    assert [group.operation for group in fuse(graph, worth=worth)] == ["matmul+softmax"]
    assert [group.operation for group in fuse(graph, worth=worth)] == ["matmul", "softmax"]
    assert [group.operation for group in fuse(graph)] == ["matmul", "softmax"]
    assert asked == [("matmul+softmax", "matmul", "softmax")] * 2


def test_what_is_read_elsewhere_too_ends_a_block() -> None:
    """The maximum leaves the chip, since another node wants it: what reads it again is a block of its own."""
    nodes = """input x float32[3,4]
m = reduce(x, update="max=", axes=[1], keep=true)
d = pointwise(x, m, what="sub", body="x0 - x1")
s = reduce(d, update="+=", axes=[1], keep=true)
y = div(d, s)
output m
output y
"""
    assert together(nodes) == ["m", "d+s+y"]


def test_nothing_joins_a_tensor_that_several_nests_make() -> None:
    """Uneven adaptive pooling writes one row of its output at a time; relu needs all of them."""
    nodes = "input x float32[1,2,5,2]\na = adaptive_avg_pool2d(x, output=[3,2])\nr = relu(a)\noutput r\n"
    found = groups(nodes)
    assert [group.operation for group in found] == ["adaptive_avg_pool2d"] * 6 + ["relu"]
    assert [group.output.tensor for group in found] == ["a:t", "a"] * 3 + ["r"]
    row = 2 * 2  # elements: 2 channels of 2 columns; windows of 2, 3 and 2 rows give one each
    elements = [3 * row, 2 * row, 4 * row, 2 * row, 3 * row, 2 * row, 3 * row + 3 * row]
    assert [group.compulsory_bytes for group in found] == [4 * number for number in elements]


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("pad(x, before=[0,0], after=[1,0], value=2.0)", ("y", "z")),
        ("pad(x, before=[0,0], after=[-1,0])", ("z",)),
        ("slice(x, axis=1, size=2)", ("z",)),
    ],
)
def test_what_changes_the_size_joins_nothing(step: str, after: tuple[str, ...]) -> None:
    """It reads its operand at the index that it writes, and yet goes beyond it or leaves a part. A part is a view."""
    found = groups(f"input a float32[3,4]\nx = relu(a)\ny = {step}\nz = relu(y)\noutput z\n")
    assert [group.nodes for group in found] == [("x",), after]


def test_windows_that_repeat_join_nothing() -> None:
    found = groups("input a float32[1,2,1,4]\nx = relu(a)\ny = adaptive_max_pool2d(x, output=[2,2])\noutput y\n")
    assert [group.nodes for group in found] == [("x",), ("y",)]


def test_a_window_over_an_axis_of_one_place_is_not_joined_to_a_reshape() -> None:
    """The copy writes that axis at the index 0, which is no loop to split."""
    nodes = "input x float32[1,1,5,3]\nr = reshape(x, shape=[5,3,1,1])\np = max_pool2d(r, kernel=[1,1], stride=[1,1])\n"
    assert together(nodes + "output p\noutput r\n") == ["r", "p"]


def test_flattening_is_absorbed_by_what_sums_over_it() -> None:
    nodes = "input x float32[2,3,4,5]\nparameter w float32[7,60]\nf = flatten(x)\ny = linear(f, w)\noutput y\n"
    assert text(nodes) == ("group y (linear)\n  n<2 k<7 c1<3 c2<4 c3<5: y[n,k] += x[n,c1,c2,c3] * w[k,20*c1+5*c2+c3]\n")


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("f = flatten(x)\noutput f", ["f"]),
        ("f = flatten(x)\nr = relu(f)\noutput r", ["f+r"]),
        ("f = flatten(x)\ny = linear(f, w)\noutput y\noutput f", ["f", "y"]),
        ("f = flatten(x)\nr = relu(f)\ny = linear(f, w)\noutput y\noutput r", ["f", "r", "y"]),
        ("f = flatten(x, start=2)\ng = flatten(f)\ny = linear(g, w)\noutput y", ["f", "y"]),
        ("f = flatten(x)\ng = flatten(v)\ny = linear(f, g)\noutput y", ["f", "g", "y"]),
        ("f = flatten(x)\ny = linear(f, f)\noutput y", ["f", "y"]),
    ],
    ids=["output", "not summed", "output and summed", "both", "flattened twice", "both operands", "twice one"],
)
def test_flattening_is_a_copy_elsewhere(nodes: str, expected: list[str]) -> None:
    sources = "input x float32[2,3,4,5]\nparameter w float32[7,60]\nparameter v float32[7,3,4,5]\n"
    assert together(f"{sources}{nodes}\n") == expected


def test_the_copy_of_a_reshape() -> None:
    assert text("input x float32[2,3,4,5]\nf = flatten(x, start=2)\noutput f\n") == (
        "group f (flatten)\n  i0<2 i1<3 i2<4 i3<5: f[i0,i1,5*i2+i3] = x[i0,i1,i2,i3]\n"
    )


def test_groups_end_where_too_many_nests_would_share_a_tile() -> None:
    builder = GraphBuilder("chain")
    last = builder.input("x", (2, 5))
    for number in range(2 * MAX_NESTS + 3):
        last = builder.node(f"s{number}", "add", last, builder.input(f"y{number}", (2, 5)))
    assert [len(group.nests) for group in fuse(builder.graph(last))] == [MAX_NESTS, MAX_NESTS, 3]


def test_unfused_only_nests_of_one_node_share_a_group() -> None:
    nodes = """input x float32[1,3,10,10]
parameter w float32[8,3,3,3]
parameter b float32[8]
conv = conv2d(x, w, b, padding=[1,1])
act = relu(conv)
pool = max_pool2d(act)
output pool
"""
    apart = fuse(parse_graph(f"graph g\n{nodes}"), across=False)
    assert [(group.nodes, len(group.nests)) for group in apart] == [(("conv",), 2), (("act",), 1), (("pool",), 1)]
    places = 8 * 10 * 10
    assert [group.compulsory_bytes for group in apart[1:]] == [4 * 2 * places, 4 * (places + places // 4)]


@pytest.mark.parametrize("network", ["lenet5", "mlp"])
def test_fusion_changes_no_value_and_saves_traffic(network: str) -> None:
    fused, apart = compile_network(network, seed=0), compile_network(network, seed=0, fused=False)
    inputs = random_inputs(fused)
    for name, values in apart.run(**inputs).items():
        np.testing.assert_allclose(fused.run(**inputs)[name], values, rtol=1e-5, atol=1e-7)
    assert fused.cost.dram_bytes < apart.cost.dram_bytes
    assert fused.cost.macs == pytest.approx(apart.cost.macs, rel=0.01)  # a small layer may be the vector unit's
