"""A compiled network as an object: what it costs, its values on the simulated processor, its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.options import Measured, Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.errors import WeightsError
from tilework.frontend.resolve import resolve
from tilework.frontend.weight_files import load, seeded, shipped
from tilework.isa.container import load_program, save
from tilework.isa.program import Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import FLOATING_BYTES, INPUT, Graph, Tensor
from tilework.network.weights import Weights
from tilework.simulator.cycle import Result, simulate
from tilework.simulator.functional import Interpreter

Array = npt.NDArray[Any]
LayerDone = Callable[[int, int], None]


@dataclass(frozen=True)
class Executable:
    """A program with its machine, and, if it was compiled here, how, and from which graph and weights."""

    program: Program
    compilation: Compilation | None = field(default=None, repr=False)
    source: tuple[Graph, Weights] | None = field(default=None, repr=False)

    @cached_property
    def cost(self) -> Result:
        """Exact cycles, traffic and energy of one inference; they don't depend on values."""
        return simulate(self.program)

    @cached_property
    def _interpreter(self) -> Interpreter:
        return Interpreter(self.program)

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """What `run` takes: the network's inputs; of a program from a file the program's own."""
        if self.source is not None:
            return self.source[0].inputs
        return tuple(Tensor(port.name, port.shape, role=INPUT) for port in self.program.inputs)

    def run(self, *inputs: Array, progress: LayerDone | None = None, **named: Array) -> dict[str, Array]:
        """The outputs by name for inputs in the network's order or by name, in their logical shapes.

        Inputs are rounded to the dtypes that the program keeps them in; what the processor computes comes as float32,
        or as int32 if it is kept as that. The host does its part before and after. Raises SimulationError or
        NetworkError for inputs that are missing or have another shape.
        """
        given: dict[str, Array] = dict(zip((t.name for t in self.inputs), inputs, strict=False)) | named
        if self.compilation is None or not self.compilation.host.operations or self.source is None:
            return self._run_program(given, progress)
        host, weights = self.compilation.host, self.compilation.weights
        values = host.prepare(self.source[0], given, weights)
        values |= self._run_program({t.name: values[t.name] for t in host.device.inputs}, progress)
        return host.finish(values, self.source[0].outputs, weights)

    def _run_program(self, given: dict[str, Array], progress: LayerDone | None) -> dict[str, Array]:
        done = 0

        def layer_done(_: object) -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, len(self.program.layers))

        return self._interpreter.run(given, layer_done)

    def reference(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The same outputs from ONNX Runtime, from the network as it was before compilation.

        Raises WeightsError for an executable read from a file, which holds no network.
        """
        from tilework.frontend.onnx_runtime import run_onnx

        if self.source is None:
            raise WeightsError("a check with ONNX Runtime needs a network, not a .tile file, which holds none; name it")
        return run_onnx(*self.source, inputs)

    def save(self, path: str | Path) -> None:
        """Write the program as a `.tile` file, whole or not at all."""
        save(self.program, path)

    def to_dict(self) -> dict[str, Any]:
        """The cost as JSON-able data, with the names of the network and the machine."""
        return {"network": self.program.name, "machine": self.program.machine.name, **self.cost.to_dict()}

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per layer; raises MissingPackageError without pandas."""
        return self.cost.to_dataframe()

    def __str__(self) -> str:
        return f"{self.program.name} on {self.program.machine.name}\n\n{self.cost}"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def find_weights(graph: Graph, spec: str, file: str | Path | None = None, seed: int | None = None) -> Weights:
    """The user's weights from a file, else those of an ONNX file or shipped with the zoo, else seeded random ones."""
    if file is not None:
        return load(file, graph)
    if spec.endswith(".onnx") and seed is None:
        from tilework.frontend.from_onnx import from_onnx

        return from_onnx(spec, shapes={tensor.name: tensor.shape for tensor in graph.inputs})[1]
    found = shipped(spec) if seed is None else None
    return seeded(graph, seed or 0) if found is None else found


def compile_network(
    network: str | Graph,
    machine: str | Path | Machine = "dlp-s",
    weights: Weights | str | Path | None = None,
    *,
    seed: int | None = None,
    dtype: str | None = None,
    cores: int | None = None,
    split: str = "auto",
    fused: bool = True,
    progress: LayerDone | None = None,
) -> Executable:
    """Compile a network (a graph, or what the command line takes for one) for a processor.

    Without weights those shipped with Tilework are used, else random ones from `seed`. `dtype` is that of all numbers
    in the program's memories: float32, if the processor has it, unless said otherwise. The first `cores` of the
    processor's work, or all; `split` says what they share: "data" the inputs of a batch, "model" the outputs of each
    layer (channels, rows of pixels, heads), "auto" for each layer what is faster by estimate. Without `fused` each
    operation's result goes through DRAM, to see what fusion saves. Raises NetworkError, WeightsError, MachineError or
    CompileError for what can't be read or doesn't fit the processor.
    """
    graph = resolve(network) if isinstance(network, str) else network
    target = machine if isinstance(machine, Machine) else load_machine(machine)
    if not isinstance(weights, Weights):
        weights = find_weights(graph, network if isinstance(network, str) else "", weights, seed)
    options = Options(dtype=dtype, cores=cores, split=split, fused=fused)
    compilation = compile_graph(graph, weights, target, options, progress, measure)
    return Executable(compilation.program, compilation, (graph, weights))


def measure(program: Program) -> Measured:
    """What the simulator finds that a program costs."""
    cost = simulate(program)
    return Measured(cost.cycles, cost.dram_bytes, cost.energy_joules)


def load_executable(path: str | Path, machine: str | None = None) -> Executable:
    """An executable from a `.tile` file; raises ProgramError for one foreign, altered or for another machine."""
    return Executable(load_program(path, machine))


def random_inputs(target: Program | Executable, seed: int = 0) -> dict[str, Array]:
    """Values for every input, the same for the same seed: uniform in 0..1; whole numbers below the size of the table
    that they look up, else 0 or 1."""
    generator = np.random.default_rng(seed)
    executable = Executable(target) if isinstance(target, Program) else target
    return {tensor.name: _random(executable, tensor, generator) for tensor in executable.inputs}


def _random(executable: Executable, tensor: Tensor, generator: np.random.Generator) -> Array:
    if tensor.dtype in FLOATING_BYTES:
        return generator.random(tensor.shape, dtype=np.float32)
    tables = [
        graph.tensors[node.inputs[1]].shape[0]
        for graph in (executable.source or ())[:1]
        for node in graph.nodes
        if node.label == "embedding" and node.inputs[0] == tensor.name
    ]
    return generator.integers(0, min(tables, default=2), tensor.shape).astype(tensor.dtype)
