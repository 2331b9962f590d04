"""The costs of whatever stands for a network: a name, a file, a graph, a torch module."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tilework.cost.count import Count
from tilework.cost.count import count as count_graph
from tilework.cost.record import LAYER
from tilework.errors import NetworkError
from tilework.frontend.request import Asked, Request, Size, request
from tilework.frontend.resolve import GraphSource, Source, open_source
from tilework.network.blocks import Blocks, flat
from tilework.network.graph import Graph

if TYPE_CHECKING:
    from tilework.cost.formula import Formulas
    from tilework.cost.memory import Memory
    from tilework.cost.roofline import Roofline
    from tilework.cost.serving import Serving
    from tilework.cost.training_time import TrainingTime

USUAL = 16  # where nothing tells a symbol's usual size


def count(
    network: Any,
    *inputs: Any,
    batch: int | None = None,
    phase: str = "",
    dtype: str | None = None,
    padding_zeros: bool = True,
    backward: bool = False,
    reuse: bool = True,
    **named: Any,
) -> Count:
    """What a network holds and does, row by row and in total.

    `network` is what the command line takes, a Graph, or a torch module. `inputs` are shapes, for a torch module also
    tensors; `named` are the same by name. `batch` and `phase` (prefill or decode, of a language model) are those of
    the command line, `dtype` and `padding_zeros` those of `cost.count`. `backward` adds the cost of the gradient.
    Repeated blocks of a torch module are read once unless `reuse` is False.
    Raises NetworkError for what is no network and for inputs that it cannot take.
    """
    found = _graph(network, inputs, named, batch, phase, reuse)
    return count_graph(found, dtype=dtype, padding_zeros=padding_zeros, backward=backward)


def load(
    network: Any, *inputs: Any, batch: int | None = None, phase: str = "", reuse: bool = True, **named: Any
) -> Graph:
    """The graph of what `count` takes."""
    return flat(_graph(network, inputs, named, batch, phase, reuse))


def formulas(
    network: Any,
    *inputs: Any,
    batch: Size | None = None,
    phase: str = "",
    dtype: str | None = None,
    padding_zeros: bool = True,
    backward: bool = False,
    by: str = LAYER,
    depth: int | None = None,
    sizes: Mapping[str, int] | None = None,
    **named: Any,
) -> Formulas:
    """The counts as polynomials of the symbols that stand for sizes, such as batch="N" and inputs (3, "H", "W").

    `by` and `depth` group the rows as `Count.by` does. `sizes` says about what size a symbol usually has where the
    network doesn't tell. Raises what `count` raises, and NetworkError where there is no symbol or no polynomial.
    """
    options = {"dtype": dtype, "padding_zeros": padding_zeros, "backward": backward}
    asked = _request(inputs, named, batch, phase)
    return formulas_of(_source(network), asked, options, by, depth, sizes or {})


def formulas_of(
    source: Source,
    asked: Request,
    options: Mapping[str, Any],
    by: str = LAYER,
    depth: int | None = None,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> Formulas:
    """`formulas` for a network that is open already; `options` are those of `cost.count`."""
    from tilework.cost.formula import formulas as fit

    if not asked.symbols:
        raise NetworkError("formulas need a symbol for a size, such as --batch N or --input 3,H,W")

    def count_at(values: Mapping[str, int]) -> Count:
        return count_graph(source.at(asked.at(values)), **options).grouped(by, depth)

    usual = source.usual(asked)
    return fit(count_at, {name: sizes.get(name, usual.get(name, USUAL)) for name in asked.symbols})


def memory(
    network: Any,
    *inputs: Any,
    batch: int | None = None,
    phase: str = "",
    dtype: str | None = None,
    optimizer: str = "adam",
    checkpoint: str | int | None = None,
    master: bool = False,
    **named: Any,
) -> Memory:
    """The bytes that a network takes for inference and for training; see `cost.memory`."""
    from tilework.cost.memory import memory as measure

    graph = load(network, *inputs, batch=batch, phase=phase, **named)
    return measure(graph, dtype, optimizer, checkpoint, master)


def roofline(
    network: Any,
    machine: Any,
    *inputs: Any,
    dtype: str | None = None,
    batch: int | None = None,
    phase: str = "",
    **named: Any,
) -> Roofline:
    """The least time of a network on a machine, by its peak and bandwidth alone; see `cost.roofline`.

    `machine` is a name that `tilework machines` lists, a path to a TOML file, an Accelerator or a Machine; the rest is
    what `count` takes. Raises what these raise, and MachineError where the machine's peak or bandwidth isn't known.
    """
    from tilework.cost.roofline import roofline as bound
    from tilework.machine.load import load_either

    return bound(load(network, *inputs, batch=batch, phase=phase, **named), load_either(machine), dtype)


def scale(
    network: Any,
    machine: Any,
    *inputs: Any,
    batch: int = 1,
    generate: int = 128,
    watts: float | None = None,
    price_per_hour: float | None = None,
    check: bool = True,
    **setup: Any,
) -> Serving:
    """How long answers take on devices that work together, how many a second there are, and what they cost.

    `network`, `machine` and `inputs` are those of `roofline`, `setup` the fields of `cost.setup.Setup` (devices,
    tensor, pipeline, data, link_bandwidth, dtype, compute_utilisation …). A language model given as hf:CONFIG reads a
    prompt and then makes `generate` tokens, each as if it stood in their middle. `watts` and `price_per_hour` are of
    one device. Raises MachineError for a setup that can't be; unless `check` is False, also where a device's memory is
    too small.
    """
    return serving_curve(
        network,
        machine,
        *inputs,
        batch=batch,
        generate=generate,
        watts=watts,
        price_per_hour=price_per_hour,
        check=check,
        **setup,
    )[0]


def serving_curve(
    network: Any,
    machine: Any,
    *inputs: Any,
    over: Sequence[int] = (),
    batch: int = 1,
    generate: int = 128,
    watts: float | None = None,
    price_per_hour: float | None = None,
    check: bool = True,
    **setup: Any,
) -> tuple[Serving, ...]:
    """`scale` with the layers shared by each of the numbers of devices in `over`, the network being read once."""
    from tilework.cost.passes import DECODE, FORWARD, PREFILL, one_pass
    from tilework.cost.serving import Serving
    from tilework.cost.setup import Setup
    from tilework.machine.load import load_accelerator

    if generate < 1 or batch < 1:
        raise NetworkError("a batch and the tokens to generate must be at least 1; correct --batch or --generate")
    known = load_accelerator(machine)
    setups = [Setup(**setup | {"tensor": n, "devices": None}) for n in over] or [Setup(**setup)]
    where = [(one.rates(known), one.over(known)) for one in setups]
    source, asked = _source(network), _request(inputs, {}, batch, "")
    graph, later, prompt = _prompted(source, asked, generate)
    graphs = {FORWARD: graph} if later is None else {PREFILL: graph, DECODE: flat(later)}
    tokens = {"prompt": prompt, "generated": generate, "cached": prompt + generate // 2} if later else {}
    return tuple(
        Serving(
            graph.name,
            rates,
            devices,
            batch,
            {name: one_pass(name, one, rates, devices) for name, one in graphs.items()},
            **tokens,
            watts=watts,
            price=price_per_hour,
        ).checked(check)
        for rates, devices in where
    )


def _prompted(source: Source, asked: Request, generate: int) -> tuple[Graph, Graph | Blocks | None, int]:
    """The graph of a prompt, that of the token in the middle of the answer (None: no language model), and how many
    tokens the prompt has."""
    graph = flat(source.at(asked))
    prompt = next((t.shape[-1] for t in graph.inputs if t.dtype == "int64" and t.shape), 0)
    others = tuple(item for item in asked.inputs if item.name != "seq")
    middle = Asked("seq", (prompt + generate // 2,))
    return graph, source.decoding(replace(asked, inputs=(*others, middle))), prompt


def scale_training(
    network: Any,
    machine: Any,
    *inputs: Any,
    batch: int,
    micro_batch: int | None = None,
    optimizer: str = "adam",
    recompute: bool = False,
    overlap: bool = True,
    check: bool = True,
    **setup: Any,
) -> TrainingTime:
    """How long a training step of `batch` inputs takes on devices that work together; see `cost.training_time`.

    `network`, `machine`, `inputs`, `setup` and `check` are those of `scale`, and so is what is raised.
    """
    return training_curve(
        network,
        machine,
        *inputs,
        batch=batch,
        micro_batch=micro_batch,
        optimizer=optimizer,
        recompute=recompute,
        overlap=overlap,
        check=check,
        **setup,
    )[0]


def training_curve(
    network: Any,
    machine: Any,
    *inputs: Any,
    batch: int,
    over: Sequence[int] = (),
    weak: bool = False,
    check: bool = True,
    micro_batch: int | None = None,
    optimizer: str = "adam",
    recompute: bool = False,
    overlap: bool = True,
    **setup: Any,
) -> tuple[TrainingTime, ...]:
    """`scale_training` on each of the numbers of devices in `over`, more copies of the network on more of them.

    The batch stays the same (strong scaling), or with `weak` grows with the devices from what it is on the first.
    """
    from tilework.cost.setup import Setup
    from tilework.cost.training_time import training_time
    from tilework.machine.load import load_accelerator

    known, source, graphs = load_accelerator(machine), _source(network), dict[int, Graph]()
    setups = [Setup(**setup | {"devices": n, "data": None}) for n in over] or [Setup(**setup)]

    def graph_of(size: int) -> Graph:
        if size not in graphs:
            graphs[size] = flat(source.at(_request(inputs, {}, size, "")))
        return graphs[size]

    found = []
    for one in setups:
        rates, devices = one.rates(known), one.over(known)
        whole = batch * devices.number // (over[0] if weak and over else devices.number)
        micro = min(micro_batch, max(1, whole // devices.data)) if micro_batch and over else micro_batch
        step = training_time(graph_of, rates, devices, whole, micro, optimizer, recompute, overlap)
        found.append(step.checked(check))
    return tuple(found)


def _graph(
    network: Any, inputs: tuple[Any, ...], named: Mapping[str, Any], batch: int | None, phase: str, reuse: bool
) -> Graph | Blocks:
    if _is_module(network) and batch is None and not phase:
        from tilework.frontend.from_torch import trace_blocks

        return trace_blocks(network, *inputs, reuse=reuse, **named)
    return _source(network).at(replace(_request(inputs, named, batch, phase), reuse=reuse))


def _request(inputs: tuple[Any, ...], named: Mapping[str, Any], batch: Size | None, phase: str) -> Request:
    by_name = (f"{name}={','.join(map(str, getattr(shape, 'shape', shape)))}" for name, shape in named.items())
    return request(batch, [*(getattr(value, "shape", value) for value in inputs), *by_name], phase)


def _source(network: Any) -> Source:
    if isinstance(network, str | os.PathLike):
        return open_source(os.fspath(network))
    if isinstance(network, Graph):
        return GraphSource(network)
    if _is_module(network):
        from tilework.frontend.from_torch.callables import ModuleSource

        return ModuleSource(network)
    raise NetworkError(
        f"a network must be a name, a file, a Graph or a torch module, not {type(network).__name__}; see tilework.count"
    )


def torch_module(network: Any) -> Any:
    """The torch module that a network is, or that a Python callable makes; raises NetworkError for another network."""
    source = None if _is_module(network) else _source(network)
    module = network if source is None else getattr(source, "module", None)
    if module is None:
        raise NetworkError(
            "a network that torch measures must be a torch module, such as py:MODULE:CALLABLE; measure others with "
            "ONNX Runtime"
        )
    return module


def _is_module(network: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(network, torch.nn.Module)
