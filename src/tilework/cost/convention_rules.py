"""The rules by which other tools count: what one adds for an operation, as a number derived from shapes, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

from tilework.cost.convention_steps import RECURRENT, Step
from tilework.cost.record import RANDOM, Record
from tilework.network.general import UNKNOWN

Number = Callable[[Step], int]
GATES = {module: gates for gates, module in RECURRENT.items()}
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


@dataclass(frozen=True)
class Rule:
    """What is added for a step, and why it differs from the exact number where it does.

    `perhaps` says on what it depends, beyond what a graph tells, whether the rule holds for a function.
    """

    number: Number
    why: str | Callable[[Step], str] = ""
    perhaps: str = ""

    def reason(self, step: Step) -> str:
        """Why the number differs."""
        return self.why if isinstance(self.why, str) else self.why(step)


@dataclass(frozen=True)
class Tool:
    """A tool: the version whose source its rules restate, its unit, and what is exact in that unit.

    Rules under a class of torch.nn hold for a call of such a module (tools that hook modules), rules under the name of
    a function wherever that is called (tools that trace or replace functions); a tool that has both adds both.
    `leaves` holds for every module that has none within; `unseen` says why all else counts as nothing. A tool that
    sees `operators` knows nothing of modules and their functions, one with `used_only` nothing that no output depends
    on. With `per_image` the modules' part is divided by the batch.
    """

    name: str
    version: str
    unit: str
    exact: Callable[[Record], int]
    unseen: str
    modules: Mapping[str, Rule] = field(default_factory=dict)
    functions: Mapping[str, Rule] = field(default_factory=dict)
    leaves: Rule | None = None
    operators: bool = False
    used_only: bool = False
    per_image: bool = False
    note: str = ""


def operations(record: Record) -> int:
    """All scalar operations that are known."""
    others = sum(n for kind, n in record.other_operations.items() if kind not in (RANDOM, UNKNOWN))
    return record.multiplications + record.additions + others


def macs(step: Step) -> int:
    """One for each product that is summed."""
    return step.macs


def two_each(step: Step) -> int:
    """Two for each product that is summed."""
    return 2 * step.macs


def read(step: Step) -> int:
    """One for each element of the input."""
    return step.read


def elements(step: Step) -> int:
    """One for each element of the output."""
    return step.elements


def affine(with_scale: int, without: int) -> Number:
    """So many for each element that is normalised, with and without parameters."""

    def number(step: Step) -> int:
        scaled = step.weights if step.leaf else len(step.operands) > 1
        return step.read * (with_scale if scaled else without)

    return number


def resized(interpolated: int) -> Number:
    """So many for each element of an image made larger by interpolation, one by repetition."""
    return lambda step: step.elements * (interpolated if step.operation == "interpolate" else 1)


def resized_places(step: Step) -> int:
    """_upsample_flops_compute: the elements of the input where a scale is given, as modules do, else the places."""
    return step.read if step.module else prod(step.o[2:])


def product(factor: int) -> Number:
    """Elements of the first operand times columns of the second: batches that only the second has are forgotten."""

    def number(step: Step) -> int:
        rows, columns = step.operands[0], step.operands[1]
        return factor * prod(rows) * columns[-2 if step.attribute("transpose_y", False) else -1]

    return number


def local_response(step: Step) -> int:
    """torch's local_response_norm: a product, pooling over channels padded by the window less one, a product, a sum."""
    size: int = step.attribute("size", 5)
    return 3 * step.read + step.read // step.x[1] * (step.x[1] + size - 1)


def addmm(factor: int) -> Number:
    """Products, and each element of the bias once, however many rows it is added to."""
    return lambda step: factor * step.macs + (step.o[-1] if "bias" in step.weights else 0)


# torchinfo: layer_info.LayerInfo.calculate_macs, over named_parameters() of each module that has none within it.


def by_parameters(step: Step) -> int:
    """Parameters times the batch, of a convolution times the positions, of a recurrent layer times the steps."""
    positions = prod((*step.o[:1], *step.o[2:]))
    total = 0
    for name, shape in step.weights.items():
        if name in ("weight", "bias"):
            total += prod(shape) * (positions if _is_convolution(step) else step.o[0] if step.o else 1)
        elif "weight" in name or "bias" in name:
            total += prod(shape) * prod(step.x[:2])
    return total


def _is_convolution(step: Step) -> bool:
    """torchinfo goes by the class's name; without one the operation says it."""
    return "Conv" in step.module if step.module != "?" else step.operation.startswith("conv")


def by_parameters_why(step: Step) -> str:
    """What makes `by_parameters` differ."""
    kind = step.operation
    if step.module in GATES:
        return "every parameter of all layers counts once for each step"
    if kind == "embedding":
        return "a look-up counts as a product with the whole table"
    if kind in TRANSPOSED:
        return "a transposed convolution counts at its output's positions, and its bias"
    if _is_convolution(step) != kind.startswith("conv"):
        return "its class is called a Conv: parameters count at every place behind axis 1"
    if kind == "linear" and len(step.o) > 2:
        return "parameters count once for each item of the batch, not at every position"
    return "bias, 1 for each output" if step.macs else "parameters count once for each item of the batch"


# ptflops: pytorch_ops.py. calflops: pytorch_ops.py.


def attention(step: Step) -> int:
    """multihead_attention_counter_hook: the products, their biases, the softmax, and the scaling of the queries."""
    if step.operation == "linear":
        return step.macs + step.bias + (step.read if step.first else 0)
    if step.operation == "add":  # torch adds the bias apart where the input isn't contiguous
        return step.elements if len(step.operands[1]) == 1 else 0
    return step.elements if step.operation == "softmax" else step.macs


def attention_why(step: Step) -> str:
    """What makes `attention` differ."""
    if step.operation == "linear":
        return "bias, 1 for each output, and the scaling of the queries" if step.first else "bias, 1 for each output"
    return "1 for each element" if step.operation in ("softmax", "add") else ""


def recurrent(factor: int, less: int) -> Number:
    """rnn_flops_counter_hook and what calflops made of it: of both directions the first stands for both."""

    def number(step: Step) -> int:
        forward = {name: prod(shape) for name, shape in step.weights.items() if not name.endswith("_reverse")}
        hidden = step.weights["weight_hh_l0"][1]
        layers = sum(name.startswith("weight_hh") for name in forward)
        gates = {"RNN": 1, "GRU": 7, "LSTM": 10}[step.module] * hidden - 2 * less * GATES[step.module] * hidden
        each = sum(n * (factor if name.startswith("weight") else 1) for name, n in forward.items()) + layers * gates
        return each * prod(step.x[:2]) * (2 if len(forward) < len(step.weights) else 1)

    return number


def transposed_twice_grouped(step: Step) -> int:
    """_conv_trans_flops_compute: groups divide twice, and the bias is for the output of a convolution."""
    weight, space = step.operands[1], step.x[2:]
    groups: int = step.attribute("groups", 1)
    products = 2 * prod(weight[2:]) * step.x[1] * (weight[1] // groups) * step.x[0] * prod(space)
    if not step.bias:
        return products
    each = (("stride", 1), ("padding", 0), ("dilation", 1))
    window = zip(space, weight[2:], *(step.attribute(name, (n,) * len(space)) for name, n in each), strict=True)
    positions: int = prod((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in window)
    return products + weight[1] * step.x[0] * positions


# thop: vision/basic_hooks.py, vision/calc_func.py and rnn_hooks.py.


def at_outputs(step: Step) -> int:
    """calculate_conv2d_flops: as for a convolution, at every position of the output."""
    groups: int = step.attribute("groups", 1)
    return step.elements * (step.x[1] // groups) * prod(step.operands[1][2:])


def adaptive(step: Step) -> int:
    """count_adap_avgpool: the window's size and a division for each output."""
    window = prod(before / after for before, after in zip(step.x[2:], step.o[2:], strict=True))
    return int((window + 1) * step.elements)


def softmax(step: Step) -> int:
    """count_softmax: an exponential, an addition and a division each, without the first addition of every row."""
    axis: int = step.attribute("axis", -1)
    size = step.x[axis]
    return step.read // size * (3 * size - 1)


def cells(step: Step) -> int:
    """count_rnn, count_gru, count_lstm: each cell's products, one more for each gate, biases, and the state's."""
    hidden = step.weights["weight_hh_l0"][1]
    number = sum(name.startswith("weight_hh") for name in step.weights)
    extra = GATES[step.module] * hidden + {"RNN": 0, "GRU": 4, "LSTM": 4}[step.module] * hidden
    return (sum(map(prod, step.weights.values())) + number * extra) * prod(step.x[:2])
