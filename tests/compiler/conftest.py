"""Random networks and machines for the compiler's tests, and what they all do with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest

from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.errors import CompileError, NetworkError
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Control, Dram, Machine, Scratchpad, VectorUnit
from tilework.machine.matrix import InnerProductArray
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import OPERATIONS, Shape, expand

Array = npt.NDArray[Any]

MACHINE = Machine(
    name="tiny",
    description="small enough for everything to be tiled",
    sources=(),
    clock_hz=1e9,
    dram=Dram(capacity_bytes=1 << 24, bandwidth_bytes_per_second=16e9, latency_cycles=3, energy_per_byte_joules=1.0),
    nram=Scratchpad(capacity_bytes=4096, energy_per_byte_joules=1.0),
    wram=Scratchpad(capacity_bytes=4096, energy_per_byte_joules=1.0),
    matrix=InnerProductArray(
        neurons=4,
        synapses=4,
        pipeline_cycles=2,
        energy_per_mac_joules={"float32": 1.0},
        rates={"float32": 1},
    ),
    vector=VectorUnit(lanes=8, pipeline_cycles=3, energy_per_operation_joules=1.0, cycles={"exp": 4, "pow": 8}),
    control=Control(queue_depth=4),
)


class Choose(Protocol):
    """A source of choices: Hypothesis, or Python's `random` for long runs by hand."""

    def integer(self, low: int, high: int) -> int: ...


def one_of(choose: Choose, options: Sequence[Any]) -> Any:
    return options[choose.integer(0, len(options) - 1)]


def resized(machine: Machine, nram: int, wram: int) -> Machine:
    return replace(
        machine, nram=replace(machine.nram, capacity_bytes=nram), wram=replace(machine.wram, capacity_bytes=wram)
    )


def random_machine(choose: Choose) -> Machine:
    dram = replace(
        MACHINE.dram,
        bandwidth_bytes_per_second=one_of(choose, (1e9, 3e9, 16e9, 7e10)),
        latency_cycles=one_of(choose, (0, 1, 7, 30)),
    )
    matrix = replace(
        MACHINE.matrix,
        neurons=choose.integer(1, 16),
        synapses=choose.integer(1, 16),
        pipeline_cycles=choose.integer(0, 8),
    )
    vector = replace(MACHINE.vector, lanes=choose.integer(1, 16), pipeline_cycles=choose.integer(0, 8))
    control = Control(queue_depth=one_of(choose, (1, 2, 3, 4, 8, 16)))
    machine = replace(MACHINE, dram=dram, matrix=matrix, vector=vector, control=control)
    return resized(machine, 4 * choose.integer(16, 2048), 4 * choose.integer(4, 2048))


class Drawing:
    """A network in the making: `values` are its tensors that are no weights, with their shapes."""

    def __init__(self, choose: Choose) -> None:
        self.choose, self.builder = choose, GraphBuilder("drawn")
        self.shapes: dict[str, Shape] = {}
        self.values: list[str] = []

    def integer(self, low: int, high: int) -> int:
        return self.choose.integer(low, high)

    def often(self) -> bool:
        return self.integer(0, 3) > 0

    def input(self) -> None:
        name = f"x{len(self.values)}"
        rank = one_of(self.choose, (4, 4, 4, 4, 2, 2, 1, 3, 5, 6, 8))
        most = 9 if rank <= 4 else 3
        shape = tuple(self.integer(1, 3) if axis == 0 else self.integer(1, most) for axis in range(rank))
        self.shapes[name] = shape
        self.values.append(self.builder.input(name, shape))

    def weight(self, shape: Shape, kind: str = "w") -> str:
        """A weight of this shape: mostly a new one, now and then one that is there already."""
        same = [n for n, s in self.shapes.items() if s == shape and n.startswith(kind)]
        if same and not self.often():
            return str(one_of(self.choose, same))
        name = f"{kind}{len(self.shapes)}"
        self.shapes[name] = shape
        return self.builder.weight(name, shape)

    def node(self, operation: str, *inputs: str, **attributes: Any) -> None:
        """Append a node, unless its shapes don't fit or its value would be large."""
        shapes = tuple(self.shapes[name] for name in inputs)
        try:
            shape = expand(operation, shapes, tuple(sorted(attributes.items()))).shape
        except NetworkError:
            return
        if np.prod(shape) <= 4096:
            name = f"{operation}{len(self.shapes)}"
            self.shapes[name] = shape
            self.values.append(self.builder.node(name, operation, *inputs, **attributes))

    def step(self) -> None:
        source = self.values[-1] if self.often() else str(one_of(self.choose, self.values))
        rank = len(self.shapes[source])
        known = STEPS if rank not in SPATIAL or self.often() else WINDOWS
        names = [n for n, ranks in known.items() if rank in ranks]
        getattr(self, one_of(self.choose, names))(source)

    def several(self, number: int, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.integer(low, high) for _ in range(number))

    def conv(self, source: str) -> None:
        """A convolution along all axes behind the channels."""
        d = len(self.shapes[source]) - 2
        channels = self.shapes[source][1]
        groups = one_of(self.choose, [g for g in range(1, channels + 1) if channels % g == 0])
        filters = groups * self.integer(1, 6)
        kernel, padding = self.several(d, 1, 4), self.several(d, 0, 4)
        inputs = [source, self.weight((filters, channels // groups, *kernel))]
        if self.often():
            inputs.append(self.weight((filters,)))
        stride, dilation = self.several(d, 1, 3), self.several(d, 1, 2)
        extra = (0,) * d if self.often() else self.several(d, -1, 2)
        attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "extra": extra}
        self.node(f"conv{d}d", *inputs, **attributes)

    def matmul(self, source: str) -> None:
        """With another value or a weight of its batch axes, or of none."""
        *batch, rows, columns = self.shapes[source]
        turned = self.integer(0, 1) == 1
        kept = batch[self.integer(0, len(batch)) :]
        inner = rows if turned else columns
        shapes = {n: self.shapes[n] for n in self.values if len(self.shapes[n]) == len(kept) + 2}
        same = [n for n, shape in shapes.items() if shape[:-2] == tuple(kept) and inner in shape[-2:]]
        if not same or self.often():
            same = [self.weight((*kept, *((inner, 4) if self.often() else (4, inner))))]
        other = str(one_of(self.choose, same))
        turn = self.shapes[other][-2] != inner
        self.node("matmul", source, other, transpose_x=turned, transpose_y=turn)

    def linear(self, source: str) -> None:
        features = self.shapes[source][-1]
        same = [n for n in self.values if len(self.shapes[n]) == 2 and self.shapes[n][1] == features and n != source]
        other = same and not self.often()
        weight = str(one_of(self.choose, same)) if other else self.weight((self.integer(1, 20), features))
        inputs = [source, weight]
        if self.often():
            inputs.append(self.weight((self.shapes[inputs[1]][0],)))
        self.node("linear", *inputs)

    def flat_weight(self, source: str) -> None:
        """A linear layer whose weight is the weight of a convolution, flattened."""
        _, *features = self.shapes[source]
        self.node("flatten", self.weight((self.integer(1, 4), *features)))
        weight = self.values.pop()
        self.node("flatten", source)
        self.node("linear", self.values[-1], weight)

    def max_pool(self, source: str) -> None:
        d = len(self.shapes[source]) - 2
        kernel = self.several(d, 1, 3)
        same = self.often()
        self.node(
            f"max_pool{d}d",
            source,
            kernel=kernel,
            stride=kernel if same else self.several(d, 1, 3),
            padding=(0,) * d if same else self.several(d, 0, 1),
            dilation=(1,) * d if same else self.several(d, 1, 2),
            ceil=not self.often(),
            extra=(0,) * d if same else self.several(d, 0, 1),
        )

    def avg_pool(self, source: str) -> None:
        d = len(self.shapes[source]) - 2
        kernel = self.several(d, 1, 3)
        same = self.often()
        self.node(
            f"avg_pool{d}d",
            source,
            kernel=kernel,
            stride=kernel if same else self.several(d, 1, 3),
            padding=(0,) * d if same else self.several(d, 0, 1),
            extra=(0,) * d if same else self.several(d, 0, 1),
            count_padding=self.often(),
            ceil=not self.often(),
            divisor=0 if self.often() else 3,
        )

    def adaptive_pool(self, source: str) -> None:
        d = len(self.shapes[source]) - 2
        kind = one_of(self.choose, ("avg", "max"))
        self.node(f"adaptive_{kind}_pool{d}d", source, output=self.several(d, 1, 3))

    def layer_norm(self, source: str) -> None:
        shape = self.shapes[source]
        last = self.integer(1, len(shape))
        weights = [self.weight(shape[-last:]) for _ in range(self.integer(0, 2))]
        self.node("layer_norm", source, *weights, axes=last, epsilon=0.1)

    def rms_norm(self, source: str) -> None:
        shape = self.shapes[source]
        last = self.integer(1, len(shape))
        weights = [self.weight(shape[-last:]) for _ in range(self.integer(0, 1))]
        self.node("rms_norm", source, *weights, axes=last, epsilon=0.1)

    def group_norm(self, source: str) -> None:
        channels = self.shapes[source][1]
        groups = one_of(self.choose, [g for g in range(1, channels + 1) if channels % g == 0])
        weights = [self.weight((channels,)) for _ in range(self.integer(0, 2))]
        self.node("group_norm", source, *weights, groups=groups, epsilon=0.1)

    def log_softmax(self, source: str) -> None:
        self.node("log_softmax", source, axis=self.integer(0, len(self.shapes[source]) - 1))

    def reduce(self, source: str) -> None:
        rank = len(self.shapes[source])
        axes = tuple(axis for axis in range(rank) if self.integer(0, 1))
        update = one_of(self.choose, ("+=", "max=", "min="))
        mean = update == "+=" and self.often()
        self.node("reduce", source, axes=axes, keep=not self.often(), update=update, mean=mean)

    def pointwise(self, source: str) -> None:
        body = one_of(
            self.choose,
            (
                *("x0 / (1 + exp(0 - x0))", "sqrt(x0 * x0 + 1) - min(x0, 0.5)", "0.25", "x0"),
                *("select(less(x0, 0), 0.5 * x0, 1)", "erf(x0) + 1 / (abs(x0) + 1)"),
            ),
        )
        self.node("pointwise", source, body=body)
        if not self.often():
            same = [name for name in self.values if self.shapes[name] == self.shapes[source]]
            other = str(one_of(self.choose, same))
            self.node("pointwise", source, other, self.values[-1], body="select(less(x0, x1), x1, x2)")

    def slice(self, source: str) -> None:
        shape = self.shapes[source]
        axis = self.integer(0, len(shape) - 1)
        start, step = self.integer(0, shape[axis] - 1), self.integer(1, 3)
        size = self.integer(1, 1 + (shape[axis] - 1 - start) // step)
        self.node("slice", source, axis=axis, start=start, step=step, size=size)

    def expand(self, source: str) -> None:
        shape = tuple(self.integer(2, 3) if size == 1 else size for size in self.shapes[source])
        self.node("expand", source, shape=shape if self.often() else (2, *shape))

    def pad(self, source: str) -> None:
        rank = len(self.shapes[source])
        before, after = self.several(rank, -1, 2), self.several(rank, -1, 2)
        if self.often():
            self.node("pad", source, before=before, after=after, value=one_of(self.choose, (0.0, -1.5)))
        else:
            mode = one_of(self.choose, ("edge", "wrap"))
            self.node("pad", source, before=tuple(map(abs, before)), after=tuple(map(abs, after)), mode=mode)

    def relu(self, source: str) -> None:
        self.node("relu", source)

    def dropout(self, source: str) -> None:
        self.node("dropout", source)

    def flatten(self, source: str) -> None:
        self.node("flatten", source, start=1 if self.often() else self.integer(0, 3))

    def softmax(self, source: str) -> None:
        self.node("softmax", source, axis=self.integer(-1, len(self.shapes[source]) - 1))

    def sigmoid(self, source: str) -> None:
        self.node("sigmoid", source)

    def tanh(self, source: str) -> None:
        self.node("tanh", source)

    def clip(self, source: str) -> None:
        self.node("clip", source, low=-0.5, high=0.25)

    def reshape(self, source: str) -> None:
        """Into another order of the same sizes, or of their prime factors."""
        sizes = list(self.shapes[source])
        if not self.often() and len(sizes) <= 4:
            sizes = [factor for size in sizes for factor in ((2, size // 2) if size % 2 == 0 else (size,))]
        turn = self.integer(0, len(sizes) - 1)
        self.node("reshape", source, shape=(*sizes[turn:], *sizes[:turn]))

    def transpose(self, source: str) -> None:
        rank = len(self.shapes[source])
        turn = self.integer(0, rank - 1)
        order = (*range(turn, rank), *range(turn))
        self.node("transpose", source, order=order if self.often() else order[::-1])

    def concat(self, source: str) -> None:
        axis = self.integer(0, len(self.shapes[source]) - 1)
        same = [n for n in self.values if self.shapes[n] == self.shapes[source]]
        others = [str(one_of(self.choose, same)) for _ in range(self.integer(0, 2))]
        self.node("concat", source, *others, axis=axis)

    def broadcast(self, operation: str, source: str, kind: str = "w") -> None:
        """With another value of this shape, or with a weight of some of its axes."""
        shape = self.shapes[source]
        same = [name for name in self.values if self.shapes[name] == shape]
        if kind == "w" and not self.often():
            self.node(operation, source, str(one_of(self.choose, same)))
            return
        kept = shape[self.integer(0, len(shape)) :]
        weight = self.weight(tuple(1 if not self.often() else size for size in kept), kind)
        inputs = (source, weight) if kind != "w" or self.often() else (weight, source)
        self.node(operation, *inputs)

    def sub(self, source: str) -> None:
        self.broadcast("sub", source)

    def mul(self, source: str) -> None:
        self.broadcast("mul", source)

    def div(self, source: str) -> None:
        self.broadcast("div", source, "variance")

    def local_response_norm(self, source: str) -> None:
        self.node("local_response_norm", source, size=self.integer(1, 6), alpha=0.5, beta=0.75, k=2.0)

    def batch_norm(self, source: str) -> None:
        channels = self.shapes[source][1:2]
        self.node("batch_norm", source, *(self.weight(channels, kind) for kind in ("w", "w", "w", "variance")))

    def add(self, source: str) -> None:
        self.broadcast("add", source)

    def graph(self) -> Graph:
        outputs = [self.values[-1]]
        outputs += [name for name in self.values[:-1] if self.integer(0, 7) == 0]
        return self.builder.graph(*outputs)


ANY = tuple(range(9))
SOME = ANY[1:]
SPATIAL = (3, 4, 5)
WINDOWS = {"conv": SPATIAL, "max_pool": SPATIAL, "avg_pool": SPATIAL, "adaptive_pool": SPATIAL}
STEPS: Mapping[str, Sequence[int]] = {
    **WINDOWS,
    "linear": SOME,
    "matmul": SOME[1:],
    "flat_weight": SOME[2:],
    "relu": ANY,
    "dropout": ANY,
    "flatten": SOME,
    "softmax": SOME,
    "log_softmax": SOME,
    "sigmoid": ANY,
    "tanh": ANY,
    "clip": ANY,
    "pointwise": ANY,
    "reduce": ANY,
    "reshape": SOME,
    "transpose": SOME,
    "concat": SOME,
    "slice": SOME,
    "expand": ANY,
    "pad": ANY,
    "sub": ANY,
    "mul": ANY,
    "div": ANY,
    "local_response_norm": (4,),
    "batch_norm": SOME[1:],
    "layer_norm": SOME,
    "rms_norm": SOME,
    "group_norm": SOME[1:],
    "add": ANY,
}
REFUSED = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "flip", "host", "nests", "unknown"}
DRAWN = {
    re.sub(r"[123]d$", "", re.sub(r"^adaptive_(avg|max)", "adaptive", name)) for name in OPERATIONS.keys() - REFUSED
}
assert STEPS.keys() >= DRAWN, "every operation is to be drawn"


def random_graph(choose: Choose) -> Graph:
    drawing = Drawing(choose)
    for _ in range(choose.integer(1, 2)):
        drawing.input()
    for _ in range(choose.integer(1, 7)):
        drawing.step()
    if drawing.values[-1].startswith("x"):
        drawing.node("relu", drawing.values[-1])
    return drawing.graph()


def compile_grown(graph: Graph, machine: Machine) -> Compilation:
    """Compile, with twice the scratchpads as long as they are too small."""
    while True:
        try:
            return compile_graph(graph, seeded(graph, 3), machine)
        except CompileError as error:
            if "for its smallest tile" not in str(error):
                raise
        machine = resized(machine, 2 * machine.nram.capacity_bytes, 2 * machine.wram.capacity_bytes)


def random_inputs(graph: Graph) -> dict[str, Array]:
    generator = np.random.default_rng(5)
    return {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}


class FromHypothesis:
    def __init__(self, data: Any) -> None:
        from hypothesis import strategies

        self.data, self.strategies = data, strategies

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(self.strategies.integers(low, high)))


@pytest.fixture(scope="session")
def draw() -> Callable[[Any], tuple[Graph, Compilation]]:
    """A random network, and what it is compiled to for a random machine, from Hypothesis's data."""

    def drawn(data: Any) -> tuple[Graph, Compilation]:
        choose = FromHypothesis(data)
        graph = random_graph(choose)
        return graph, compile_grown(graph, random_machine(choose))

    return drawn


@pytest.fixture(scope="session", name="compile_grown")
def compile_grown_fixture() -> Callable[[Graph, Machine], Compilation]:
    return compile_grown


@pytest.fixture(scope="session", name="random_inputs")
def random_inputs_fixture() -> Callable[[Graph], dict[str, Array]]:
    return random_inputs


@pytest.fixture(scope="session")
def small() -> Callable[..., Machine]:
    """A machine with scratchpads of these many bytes: NRAM, WRAM."""
    return lambda nram=MACHINE.nram.capacity_bytes, wram=MACHINE.wram.capacity_bytes: resized(MACHINE, nram, wram)
