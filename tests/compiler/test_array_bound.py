"""The bound for a matrix unit's shape: no more than the best program of a tiny contraction, found by trying all, and
than compiled programs take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product

import pytest

from tilework.compiler.array_bound import array_cycles
from tilework.compiler.group import Group
from tilework.compiler.loops import group_of
from tilework.compiler.pipeline import compile_graph
from tilework.compiler.split import Part, Work
from tilework.compiler.tile import tile
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.machine.matrix import ConvolutionCore, InnerProductArray, MatrixUnit, ScalarMacArray, SystolicArray
from tilework.network.extent import sums_inside
from tilework.network.graph import Tensor
from tilework.network.graph_text import parse_graph
from tilework.network.nest import Nest
from tilework.network.text import parse_nest
from tilework.simulator.cycle import simulate

COMMON = {"pipeline_cycles": 2, "energy_per_mac_joules": {"float32": 1.0}, "rates": {"float32": 1}}
MATRIX = "i<{0} j<{1} k<{2}: o[i,j] += x[i,k] * w[k,j]"
DEPTHWISE = "c<{0} p<{1} r<{2}: o[c,p] += x[c,p+r-1 | 0] * w[c,r]"
WINDOW = "j<{0} p<{1} r<{2}: o[j,p] += x[p+r-1 | 0] * w[j,r]"


def tensors_of(nest: Nest) -> dict[str, Tensor]:
    sizes = {a.tensor: tuple(axis.bounds(nest.extents)[1] + 1 for axis in a.index) for a in (nest.output, *nest.reads)}
    if "p" in nest.extents:
        sizes["x"] = (*sizes["x"][:-1], nest.extents["p"])  # as many places as outputs: both ends are padded
    return {
        name: Tensor(name, shape, "float32", "parameter" if name == "w" else "value") for name, shape in sizes.items()
    }


def group(text: str) -> Group:
    nest = parse_nest(text)
    return group_of(nest, tensors_of(nest))


def products_of(group: Group) -> set[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """All products inside the tensors: the output's place, the input's and the weight's."""
    found = set()
    for point in product(*(range(n) for _, n in group.loops)):
        at = dict(zip(group.extents, point, strict=True))
        places = [tuple(axis.at(at) for axis in a.index) for a in (group.output, *group.main.reads)]
        shapes = [group.tensors[a.tensor].shape for a in (group.output, *group.main.reads)]
        if all(
            0 <= n < size
            for place, shape in zip(places, shapes, strict=True)
            for n, size in zip(place, shape, strict=True)
        ):
            found.add((places[0], places[1], places[2]))
    return found


def fewest(group: Group, neurons: int, synapses: int) -> int:
    """The fewest steps of an inner-product array: in each it takes some elements of one operand, and for some outputs
    any products with these. Breadth first over what is done."""
    everything = sorted(products_of(group))
    steps = set()
    for side in (1, 2):
        elements, outputs = {p[side] for p in everything}, {p[0] for p in everything}
        for vector in combinations(sorted(elements), min(synapses, len(elements))):
            for some in combinations(sorted(outputs), min(neurons, len(outputs))):
                steps.add(sum(1 << n for n, p in enumerate(everything) if p[side] in vector and p[0] in some))
    whole, reached, count = (1 << len(everything)) - 1, {0}, 0
    while whole not in reached:
        reached, count = {done | step for done in reached for step in steps}, count + 1
    return count


@pytest.mark.parametrize("shape", [MATRIX.format(*s) for s in ((1, 3, 3), (2, 3, 1), (3, 1, 3), (2, 2, 3), (1, 4, 3))])
@pytest.mark.parametrize("sides", [(2, 2), (1, 2), (3, 2), (2, 3)])
def test_no_order_of_a_small_product_is_quicker(
    shape: str, sides: tuple[int, int], small: Callable[..., Machine]
) -> None:
    check_fewest(group(shape), sides, small(1 << 12, 1 << 12))


@pytest.mark.parametrize("shape", [DEPTHWISE.format(2, 2, 3), DEPTHWISE.format(3, 1, 3), WINDOW.format(2, 3, 2)])
@pytest.mark.parametrize("sides", [(2, 2), (4, 2), (2, 3)])
def test_nor_one_of_a_window_s(shape: str, sides: tuple[int, int], small: Callable[..., Machine]) -> None:
    check_fewest(group(shape), sides, small(1 << 12, 1 << 12))


def check_fewest(group: Group, sides: tuple[int, int], machine: Machine) -> None:
    unit = InnerProductArray(neurons=sides[0], synapses=sides[1], **COMMON)  # type: ignore[arg-type]
    bound = bound_of(group, replace(machine, matrix=unit))
    assert 0 < bound <= fewest(group, *sides)


def bound_of(group: Group, machine: Machine) -> float:
    return array_cycles(Work(group, (), (Part(group, tile(group, machine)),)), machine)


def test_sums_inside_are_counted_one_by_one() -> None:
    for text in (DEPTHWISE.format(2, 5, 3), WINDOW.format(3, 4, 4), MATRIX.format(2, 3, 4)):
        each = Counter(output for output, _, _ in products_of(group(text)))
        shapes = {name: tensor.shape for name, tensor in tensors_of(parse_nest(text)).items()}
        assert sums_inside(parse_nest(text), shapes) == Counter(each.values())


UNITS: dict[str, MatrixUnit] = {
    "inner product": InnerProductArray(neurons=4, synapses=4, **COMMON),  # type: ignore[arg-type]
    "scalar": ScalarMacArray(macs=12, **COMMON),  # type: ignore[arg-type]
    "convolution core": ConvolutionCore(macs=18, atom=4, winograd=False, **COMMON),  # type: ignore[arg-type]
    **{
        dataflow: SystolicArray(array_rows=4, array_columns=3, dataflow=dataflow, **COMMON)  # type: ignore[arg-type]
        for dataflow in ("weight-stationary", "output-stationary", "input-stationary")
    },
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_no_tiling_of_a_product_is_quicker(unit: MatrixUnit) -> None:
    """Products cut into equal parts, either operand in the rows."""
    for m, n, k in product((1, 3, 4, 7), (1, 4, 6), (2, 4, 9)):
        bound = unit.least({k: m * n}, "float32", max(m, n))
        for rows, columns in ((m, n), (n, m)):
            for a, b, c in product(range(1, rows + 1), range(1, columns + 1), range(1, k + 1)):
                parts = product(cuts(rows, a), cuts(columns, b), cuts(k, c))
                assert bound <= sum(unit.steps(*part) for part in parts)


def cuts(extent: int, size: int) -> list[int]:
    return [min(size, extent - start) for start in range(0, extent, size)]


def test_by_hand() -> None:
    """16 by 16: 24 channels are summed in 2 passes, for 24 filters 1.5 groups of neurons; a swap makes the most of
    these. Of a vector by a matrix either operand is read once for each sum, so one neuron or 16 work."""
    unit = load_machine("dlp-s").matrix
    assert unit.least({24: 100 * 24}, "float32", 100) == 100 * 24 * 2 / 16
    assert unit.least({24: 100 * 24}, "float16", 100) == 100 * 24 / 16
    assert unit.least({16: 12}, "float32", 1) == 12
    assert unit.least({16: 12}, "float32", 3) == 4


def test_it_is_between_the_bound_and_the_time_of_a_network() -> None:
    graph = parse_graph(
        "graph g\ninput x float32[1,24,12,12]\nparameter w float32[96,24,1,1]\nparameter d float32[96,1,3,3]\n"
        "y = conv2d(x, w)\nz = conv2d(y, d, groups=96, padding=[1,1])\noutput z\n"
    )
    cost = simulate(compile_graph(graph, seeded(graph), load_machine("dlp-s")).program)
    assert cost.bound_cycles < cost.array_bound_cycles <= cost.cycles
    for layer in cost.layers:
        assert layer.mac_cycles <= layer.array_cycles <= layer.array_bound_cycles <= layer.cycles
    assert cost.layers[0].array_bound_cycles == 144 * 96 * 2 / 16 > cost.layers[0].bound_cycles
    assert cost.to_dict()["array_bound_cycles"] == cost.array_bound_cycles
