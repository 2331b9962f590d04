"""Code from a tiling written by hand, compared as text."""

from __future__ import annotations

from textwrap import dedent

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.fuse import fuse
from tilework.compiler.relocate import whole_code
from tilework.compiler.split import Part
from tilework.compiler.tile import Tiling
from tilework.isa.assembly import parse_program, print_program
from tilework.isa.instruction import Instruction
from tilework.network.graph_text import parse_graph


def code(
    nodes: str, tiles: dict[str, int], parallel: int, levels: tuple[int, ...], slots: tuple[int, ...], **addresses: int
) -> str:
    """The group's code; the tensor of each address is stored whole, and a weight of a matrix is packed at 0x1000."""
    (group,) = fuse(parse_graph(f"graph g\n{nodes}"))
    plan = plan_buffers(group)
    tiling = Tiling(tuple(tiles), tiles, parallel, levels, slots, 0.0, 1, plan)
    packed = {index: 0x1000 for index, buffer in enumerate(plan.buffers) if buffer.packed}
    instructions = whole_code(Part(group, tiling), addresses, packed)
    text = print_program((*instructions, Instruction("end")))
    assert parse_program(text) == (*instructions, Instruction("end"))
    return text


def test_ragged_tiles() -> None:
    """5 columns in tiles of 2, 2 and 1: a loop over two tiles, then the last."""
    got = code("input x float32[5]\ny = relu(x)\noutput y\n", {"a": 2}, 1, (1, 1), (1, 1), x=0x100, y=0x200)
    assert got == dedent("""\
        post load 0
        post vector 2
        loop 2
          wait load 0
          load <2> nram 0x0 {4} = dram 0x100+8*i0 {4}
          post load 1
          wait vector 1
          wait vector 2
          vmax <2> nram 0x8 {4} = nram 0x0 {4}, #0
          post vector 0
          post vector 3
          wait store 3
          store <2> dram 0x200+8*i0 {4} = nram 0x8 {4}
          post store 2
        endloop
        wait load 0
        load <1> nram 0x0 {4} = dram 0x110 {4}
        post load 1
        wait vector 1
        wait vector 2
        vmax <1> nram 0x8 {4} = nram 0x0 {4}, #0
        post vector 0
        post vector 3
        wait store 3
        store <1> dram 0x210 {4} = nram 0x8 {4}
        post store 2
        wait load 0
        wait vector 2
        sync
        end
    """)


def test_two_slots_are_a_ring() -> None:
    """6 rows of 4: tile t lies in slot t mod 2, at 0 or 16 and, behind x's two slots, at 32 or 48."""
    got = code("input x float32[6,4]\ny = relu(x)\noutput y\n", {"a": 1, "b": 4}, 2, (2, 2), (2, 2), x=0, y=0x100)
    assert got == dedent("""\
        post load 0
        post load 0
        post vector 2
        post vector 2
        loop 6
          wait load 0
          load <4> nram 0x0+(16*i0) mod 32 {4} = dram 0x0+16*i0 {4}
          post load 1
          wait vector 1
          wait vector 2
          vmax <4> nram 0x20+(16*i0) mod 32 {4} = nram 0x0+(16*i0) mod 32 {4}, #0
          post vector 0
          post vector 3
          wait store 3
          store <4> dram 0x100+16*i0 {4} = nram 0x20+(16*i0) mod 32 {4}
          post store 2
        endloop
        wait load 0
        wait load 0
        wait vector 2
        wait vector 2
        sync
        end
    """)


def test_a_cut_reduction_sets_first_and_then_adds() -> None:
    """2 rows of 7 features by 3 filters, features cut into 3, 3 and 1; the weight is packed tile by tile."""
    nodes = "input x float32[2,7]\nparameter w float32[3,7]\nparameter b float32[3]\ny = linear(x, w, b)\noutput y\n"
    got = code(nodes, {"c": 3}, 0, (1, 1, 0, 0), (1, 1, 1, 1), x=0, b=0x80, y=0x100)
    computing = [line for line in got.splitlines() if line.split()[0] not in ("wait", "post")]
    assert computing == [
        "load <3> nram 0x18 {4} = dram 0x80 {4}",
        "load <2, 3> nram 0x0 {12, 4} = dram 0x0 {28, 4}",
        "load <9> wram 0x0 {4} = dram 0x1000 {4}",
        "contract <2, 3, 3> nram 0x24 {12, 4, 0} = nram 0x0 {12, 0, 4} * wram 0x0 {0, 12, 4}",
        "load <2, 3> nram 0x0 {12, 4} = dram 0xc {28, 4}",
        "load <9> wram 0x0 {4} = dram 0x1024 {4}",
        "contract <2, 3, 3> nram 0x24 {12, 4, 0} += nram 0x0 {12, 0, 4} * wram 0x0 {0, 12, 4}",
        "load <2> nram 0x0 {12} = dram 0x18 {28}",
        "load <3> wram 0x0 {4} = dram 0x1048 {4}",
        "contract <2, 3> nram 0x24 {12, 4} += nram 0x0 {12, 0} * wram 0x0 {0, 4}",
        "vadd <2, 3> nram 0x24 {12, 4} = nram 0x24 {12, 4}, nram 0x18 {0, 4}",
        "store <6> dram 0x100 {4} = nram 0x24 {4}",
        "sync",
        "end",
    ]


def moving(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.split()[0] in ("loop", "endloop", "fill", "load")]


def test_padding_is_filled_on_chip() -> None:
    """A 3x3 window at a time over 3x3 pixels with a border of 1, two channels, channels last.

    In DRAM a pixel has 8 bytes and a row 24; in the box of 3x3 pixels too. The middle window is whole.
    """
    nodes = "input x float32[1,2,3,3]\ny = max_pool2d(x, kernel=[3,3], stride=[1,1], padding=[1,1])\noutput y\n"
    got = moving(code(nodes, {"p": 1, "q": 1}, 2, (2, 2), (1, 1), x=0, y=0x100))
    assert got[:9] == [
        "fill <6> nram 0x0 {4} = #-inf",
        "fill <2, 2> nram 0x18 {24, 4} = #-inf",
        "load <2, 4> nram 0x20 {24, 4} = dram 0x0 {24, 4}",
        "fill <6> nram 0x0 {4} = #-inf",
        "load <12> nram 0x18 {4} = dram 0x0 {4}",
        "fill <6> nram 0x0 {4} = #-inf",
        "fill <2, 2> nram 0x28 {24, 4} = #-inf",
        "load <2, 4> nram 0x18 {24, 4} = dram 0x8 {24, 4}",
        "fill <3, 2> nram 0x0 {24, 4} = #-inf",
    ]
    assert got[10:11] == ["load <18> nram 0x0 {4} = dram 0x0 {4}"]


def test_a_tile_that_lies_wholly_in_the_padding_loads_nothing() -> None:
    """One pixel with a border of 2: of five columns one is the pixel, of five rows too; the other pairs are loops."""
    nodes = "input x float32[1,1,1,1]\nparameter w float32[1,1,1,1]\ny = conv2d(x, w, padding=[2,2])\noutput y\n"
    got = moving(code(nodes, {"p": 1, "q": 1}, 2, (2, 0, 2), (1, 1, 1), x=0, y=0x100))
    assert [line for line in got if line.startswith("load")] == [
        "load <1> wram 0x0 {4} = dram 0x1000 {4}",
        "load <1> nram 0x0 {4} = dram 0x0 {4}",
    ]
    assert got.count("fill <1> nram 0x0 {4} = #0") == 8
    assert got.count("loop 2") == 2 + 3 * 2


def test_gaps_in_a_tile_of_a_flattened_tensor_are_not_stored() -> None:
    """2 channels of 3x1 pixels, two pixels at a time: elements 0, 1 and 3, 4, then 2 and 5."""
    nodes = "input x float32[1,2,3,1]\ny = flatten(x)\noutput y\n"
    got = code(nodes, {"i0": 2, "i1": 2}, 2, (2, 2), (1, 1), x=0, y=0x100)
    assert [line for line in got.splitlines() if line.startswith("store")] == [
        "store <2, 2> dram 0x100 {12, 4} = nram 0x10 {12, 4}",
        "store <2> dram 0x108 {12} = nram 0x10 {12}",
    ]


def test_neighbouring_loops_become_one() -> None:
    """4 filters of a 1x1 convolution over 3x3 pixels: one loop over all pixels, one over what is summed."""
    nodes = "input x float32[1,8,3,3]\nparameter w float32[4,8,1,1]\ny = conv2d(x, w)\nr = relu(y)\noutput r\n"
    got = code(nodes, {}, 0, (0, 0, 0), (1, 1, 1), x=0, r=0x200)
    assert "contract <4, 9, 8> nram 0x120 {4, 16, 0} = nram 0x0 {0, 32, 4} * wram 0x0 {32, 0, 4}\n" in got
    assert "vmax <36> nram 0x120 {4} = nram 0x120 {4}, #0\n" in got
    assert "store <36> dram 0x200 {4} = nram 0x120 {4}\n" in got
