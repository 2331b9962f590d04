"""Schedules as Python, run by a Python of its own, against the nest's own execution."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tilework.compiler.loop_code import loop_code
from tilework.compiler.loops import Schedule, input_stationary, output_stationary, weight_stationary
from tilework.errors import CompileError
from tilework.network.execute import run_nest
from tilework.network.graph import GraphBuilder, Tensor
from tilework.network.nest import Nest
from tilework.network.text import parse_nest

MAIN = """
import sys
import numpy as np

values = dict(np.load(sys.argv[1]))
for number, function in enumerate(FUNCTIONS):
    arrays = [values[f"{number}:{place}"] for place in range(function.__code__.co_argcount)]
    lists = [array.tolist() for array in arrays]
    function(*arrays)
    if arrays[0].ndim:
        function(*lists)
    values[f"{number}:0"], values[f"{number}:lists"] = arrays[0], np.array(lists[0])
np.savez(sys.argv[1], **values)
"""


def operands(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {
        name: Tensor(name, shape, "float64", "parameter" if name == "w" else "value") for name, shape in shapes.items()
    }


def run(schedules: Sequence[Schedule], folder: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each schedule what its code gives with arrays and with lists, and what the nest gives."""
    generator, values, wanted, source = np.random.default_rng(7), {}, [], []
    for number, schedule in enumerate(schedules):
        names = list(dict.fromkeys(access.tensor for access in schedule.operands))
        arrays = {name: generator.integers(-8, 8, schedule.tensors[name].shape).astype(np.float64) for name in names}
        values |= {f"{number}:{place}": arrays[name].copy() for place, name in enumerate(names)}
        wanted.append(run_nest(schedule.nest, arrays, {}, np.float64))
        source.append(loop_code(schedule).replace("def contraction(", f"def contraction{number}("))
    functions = ", ".join(f"contraction{number}" for number in range(len(schedules)))
    (folder / "loops.py").write_text("\n".join(source) + f"\nFUNCTIONS = [{functions}]\n" + MAIN, "utf-8")
    np.savez(folder / "values.npz", **values)
    ran = subprocess.run(
        [sys.executable, folder / "loops.py", folder / "values.npz"], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    given = dict(np.load(folder / "values.npz"))
    return [(given[f"{n}:0"], given[f"{n}:lists"], one) for n, one in enumerate(wanted)]


def random_nests(generator: np.random.Generator) -> list[tuple[Nest, dict[str, Tensor]]]:
    """Convolutions along one and two axes, grouped, strided and padded, and linear layers."""
    found = []
    for number in range(12):
        groups, c, k, kernel, stride, n = generator.integers(1, 4, 6).tolist()
        axes, padding = 1 + number % 2, int(generator.integers(0, 3))
        shapes = {
            "x": (n, groups * c, *generator.integers(3, 7, axes).tolist()),
            "w": (groups * k, c, *[min(kernel, 2 if axes == 2 else 3)] * axes),
        }
        builder = GraphBuilder("convolution")
        sources = builder.input("x", shapes["x"]), builder.weight("w", shapes["w"])
        pair = {"stride": (stride,) * axes, "padding": (padding,) * axes, "groups": groups}
        graph = builder.graph(builder.node("o", f"conv{axes}d", *sources, **pair))
        (nest,) = graph.nests(graph.nodes[0])
        found.append((nest, operands({**shapes, "o": graph.tensors["o"].shape})))
    for _ in range(4):
        n, k, c = generator.integers(1, 9, 3).tolist()
        nest = parse_nest(f"n<{n} k<{k} c<{c}: o[n,k] += x[n,c] * w[k,c]")
        found.append((nest, operands({"x": (n, c), "w": (k, c), "o": (n, k)})))
    return found


def test_code_gives_the_nests_values(tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    schedules = []
    for nest, tensors in random_nests(generator):
        for make in (output_stationary, weight_stationary, input_stationary):
            tiled = [loop for loop in nest.extents if generator.random() < 0.6]
            sizes = {loop: int(generator.integers(1, nest.extents[loop] + 1)) for loop in tiled}
            schedules.append(make(nest, tensors, sizes))
    assert sum(nest.nest.extents[loop] % size > 0 for nest in schedules for loop, size in nest.sizes.items()) > 10
    for (array, lists, wanted), schedule in zip(run(schedules, tmp_path), schedules, strict=True):
        np.testing.assert_array_equal(array, wanted, err_msg=str(schedule.nest))
        np.testing.assert_array_equal(lists, wanted)


def odd(text: str, **shapes: tuple[int, ...]) -> Schedule:
    nest = parse_nest(text)
    return Schedule("odd\none", nest, operands(shapes), (nest.loops[0][0],), {nest.loops[0][0]: 2})


ODD = [
    odd("i<5: o[] += x[i] * w[i]", o=(), x=(5,), w=(5,)),
    odd("i<5 range<3 class<2: o[i] += x[range+i-1 | 0] * w[class,range]", o=(5,), x=(4,), w=(2, 3)),
    odd("i<5 i0<3: o[i] += x[i0-i | 2.5] * x[i-i0 | -1]", o=(5,), x=(4,)),
    odd('i<5 j<2: "1 a"[i-1] += "1_a"[i,j] * "\\"\\"\\"\\n"[j]', **{"1 a": (3,), "1_a": (5, 2), '"""\n': (2,)}),
    odd("i<5 r<3: o[i] += x[i+r | 0] * w[i-r | 3]", o=(5,), x=(6,), w=(5,)),
    odd("i<4 x<3: o[3-i] += x[2*x+i] * w[x]", o=(4,), x=(9,), w=(3,)),
]


def test_names_and_indices_that_python_would_not_take_as_they_are(tmp_path: Path) -> None:
    """Keywords, names of functions and tensors like loops, writes outside, no axes, one tensor read twice."""
    for schedule, (array, lists, wanted) in zip(ODD, run(ODD, tmp_path), strict=True):
        np.testing.assert_array_equal(array, wanted, err_msg=loop_code(schedule))
        if wanted.ndim:
            np.testing.assert_array_equal(lists, wanted)


def test_the_text() -> None:
    nest = parse_nest("n<1 k<6 p<5 c<2 r<3: o[n,k,p] += x[n,c,p+r-1 | 0] * w[k,c,r]")
    tensors = operands({"x": (1, 2, 5), "w": (6, 2, 3), "o": (1, 6, 5)})
    assert (
        loop_code(weight_stationary(nest, tensors, {"k": 3, "p": 2}))
        == """\
def contraction(o, x, w):
    # weight stationary: n<1 k<6 p<5 c<2 r<3: o[n,k,p] += x[n,c,p+r-1 | 0] * w[k,c,r]
    for k0 in range(0, 6, 3):
        # hold a part of w
        for p0 in range(0, 5, 2):
            # hold a part of o and x
            for k in range(k0, k0 + 3):
                for p in range(p0, min(p0 + 2, 5)):
                    for c in range(2):
                        for r in range(3):
                            x_inside = 0 <= p + r - 1 < 5
                            x_value = x[0][c][p + r - 1] if x_inside else 0
                            o[0][k][p] += x_value * w[k][c][r]
"""
    )


def test_as_many_loops_as_python_takes() -> None:
    loops = [f"l{number}" for number in range(11)]
    index = ",".join(loops)
    nest = parse_nest(f"{' '.join(f'{loop}<2' for loop in loops)}: o[{index}] += x[{index}] * w[l0]")
    tensors = operands({"o": (2,) * 11, "x": (2,) * 11, "w": (2,)})
    compile(loop_code(output_stationary(nest, tensors, dict.fromkeys(loops[:9], 1))), "loops", "exec")
    with pytest.raises(CompileError) as raised:
        loop_code(output_stationary(nest, tensors, dict.fromkeys(loops[:10], 1)))
    assert str(raised.value) == (
        "Python must not get more than 20 loops inside one another, and this schedule has 21; tile fewer loops"
    )
