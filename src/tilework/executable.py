"""A compiled network as an object: what it costs, its values on the simulated processor, its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.calibrate import Samples, samples_of
from tilework.compiler.dtype import INT8
from tilework.compiler.options import Measured, Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.errors import NetworkError, WeightsError
from tilework.frontend.resolve import resolve
from tilework.frontend.weight_files import given, load, seeded, shipped
from tilework.isa.bundle import Bundle, HostPart, reads
from tilework.isa.container import load_bundle, save
from tilework.isa.program import Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import FLOATING_BYTES, Graph, Tensor
from tilework.network.weights import Weights
from tilework.simulator.cycle import Result, simulate
from tilework.simulator.functional import Interpreter
from tilework.simulator.together import together

Array = npt.NDArray[Any]
LayerDone = Callable[[int, int], None]


@dataclass(frozen=True)
class Executable:
    """A compiled network, or a program that is one, and, if it was compiled here, how, and from which graph and
    weights."""

    network: Program | Bundle
    compilation: Compilation | None = field(default=None, repr=False)
    source: tuple[Graph, Weights] | None = field(default=None, repr=False)

    @cached_property
    def bundle(self) -> Bundle:
        """The programs, and the host's work before, between and after them."""
        return Bundle.of(self.network) if isinstance(self.network, Program) else self.network

    @property
    def program(self) -> Program:
        """The only program. Raises ProgramError where there are several."""
        return self.bundle.program

    @cached_property
    def cost(self) -> Result:
        """Exact cycles, traffic and energy of one inference; they don't depend on values. The host's time isn't in."""
        return together([simulate(program) for program in self.bundle.programs])

    @cached_property
    def _interpreters(self) -> dict[int, Interpreter]:
        return {id(program): Interpreter(program) for program in self.bundle.programs}

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What `run` takes."""
        return self.bundle.inputs

    def run(self, *inputs: Array, progress: LayerDone | None = None, **named: Array) -> dict[str, Array]:
        """The outputs by name for inputs in the network's order or by name, in their logical shapes.

        Inputs are rounded to the dtypes that the program keeps them in; what the processor computes comes as float32,
        or as int32 if it is kept as that. The host does its part in NumPy. Where it has no rule for a value, that may
        be given instead, by name, with what else the rest needs. Raises SimulationError or NetworkError for inputs
        that are missing or have another shape.
        """
        given: dict[str, Array] = dict(zip((t.name for t in self.inputs), inputs, strict=False)) | named
        values, done = dict(given), _counted(sum(len(program.layers) for program in self.bundle.programs), progress)
        for step in self.bundle.needed(given):
            taken = {name: values[name] for name in reads(step)}
            values |= _host_values(step, taken) if isinstance(step, HostPart) else self._run(step, taken, done)
        return {name: values[name] for name in self.bundle.outputs}

    def taken_by(self, program: Program, given: Mapping[str, Array]) -> dict[str, Array]:
        """What one of the network's programs takes when the network runs on these inputs; the steps before it are run.

        Raises NetworkError or SimulationError as `run` does.
        """
        values = dict(given)
        for step in self.bundle.needed(values):
            taken = {name: values[name] for name in reads(step)}
            if step is program:
                return taken
            values |= _host_values(step, taken) if isinstance(step, HostPart) else self._run(step, taken, _ignored)
        raise NetworkError(f"the program must be one that {self.bundle.name} needs for these inputs; take another")

    def _run(self, program: Program, taken: dict[str, Array], done: Callable[[object], None]) -> dict[str, Array]:
        return self._interpreters[id(program)].run(taken, done)

    def reference(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The same outputs from ONNX Runtime, from the network as it was before compilation.

        Raises WeightsError for an executable read from a file, which holds no network.
        """
        from tilework.frontend.onnx_runtime import run_onnx

        if self.source is None:
            raise WeightsError("a check with ONNX Runtime needs a network, not a .tile file, which holds none; name it")
        return run_onnx(*self.source, inputs)

    def save(self, path: str | Path) -> None:
        """Write the network as a `.tile` file, whole or not at all."""
        save(self.bundle, path)

    def to_dict(self) -> dict[str, Any]:
        """The cost as JSON-able data, with the names of the network and the machine."""
        names = {"network": self.bundle.name, "machine": self.bundle.machine.name}
        return {**names, "host_bytes": self.bundle.host_bytes, **self.cost.to_dict()}

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per layer; raises MissingPackageError without pandas."""
        return self.cost.to_dataframe()

    def __str__(self) -> str:
        return f"{self.bundle.name} on {self.bundle.machine.name}\n\n{self.cost}"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _ignored(_: object) -> None:
    return None


def _counted(total: int, progress: LayerDone | None) -> Callable[[object], None]:
    done = 0

    def layer_done(_: object) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    return layer_done


def _host_values(part: HostPart, taken: dict[str, Array]) -> dict[str, Array]:
    try:
        return part.run(taken)
    except NetworkError as error:
        names = ", ".join(part.makes)
        raise NetworkError(f"{error}; give the values of {names} in place of what only they need") from None


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
    weights: Mapping[str, Array] | str | Path | None = None,
    *,
    seed: int | None = None,
    dtype: str | None = None,
    cores: int | None = None,
    split: str = "auto",
    fused: bool = True,
    objective: str = "time",
    prune: Mapping[str, float] | None = None,
    calibration: Array | Sequence[Array | Mapping[str, Array]] | None = None,
    progress: LayerDone | None = None,
) -> Executable:
    """Compile a network (a graph, or what the command line takes for one) for a processor.

    `weights` are arrays by name or a file. Without them those shipped with Tilework are used, else random ones from
    `seed`. `dtype` is that of all numbers in the program's memories: float32, if the processor has it, unless said
    otherwise. The first `cores` of the processor's work, or all; `split` says what they share: "data" the inputs of a
    batch, "model" the outputs of each layer (channels, rows of pixels, heads), "auto" for each layer what is faster by
    estimate, which may be parts of its sums (docs/tiling.md). Without `fused` each operation's result goes through
    DRAM, to see what fusion saves. `objective` is what is to be least of each layer: "time", "traffic" (bytes to and
    from DRAM), "energy" or "edp" (energy times time). `prune` gives, by a layer's name or for all others by "*", the
    share of its weights that goes, the smallest of each 16; see docs/sparsity.md. For int8 `calibration` are samples of
    the network's inputs, any number of them in an array, or several arrays or mappings from input to array; without
    them one of random numbers. Raises NetworkError, WeightsError, MachineError or CompileError for what can't be read
    or doesn't fit the processor.
    """
    graph = resolve(network) if isinstance(network, str) else network
    target = machine if isinstance(machine, Machine) else load_machine(machine)
    if not isinstance(weights, Mapping):
        weights = find_weights(graph, network if isinstance(network, str) else "", weights, seed)
    elif not isinstance(weights, Weights):
        weights = given(weights, graph)
    options = Options(dtype=dtype, cores=cores, split=split, fused=fused, objective=objective, prune=prune or {})
    samples = _samples(graph, calibration) if dtype == INT8 else None
    compilation = compile_graph(graph, weights, target, options, progress, measure, samples)
    return Executable(compilation.bundle, compilation, (graph, weights))


def random_values(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Values for every input of a graph, as `random_inputs` makes them."""
    generator = np.random.default_rng(seed)
    return {tensor.name: _random(tensor, [graph], generator) for tensor in graph.inputs}


def _samples(graph: Graph, given: Array | Sequence[Array | Mapping[str, Array]] | None) -> Samples:
    if given is not None:
        return samples_of(graph, given)
    return Samples([random_values(graph)], "uniform random numbers (seed 0)")


def measure(program: Program) -> Measured:
    """What the simulator finds that a program costs on an ideal DRAM, where loops fold."""
    cost = simulate(replace(program, machine=program.machine.with_ideal_dram()))
    return Measured(cost.cycles, cost.dram_bytes, cost.energy_joules)


def load_executable(path: str | Path, machine: str | None = None) -> Executable:
    """An executable from a `.tile` file; raises ProgramError for one foreign, altered or for another machine."""
    return Executable(load_bundle(path, machine))


def random_inputs(target: Program | Executable, seed: int = 0) -> dict[str, Array]:
    """Values for every input, the same for the same seed: uniform in 0..1; whole numbers below the size of the table
    that they look up, else 0 or 1."""
    generator = np.random.default_rng(seed)
    executable = Executable(target) if isinstance(target, Program) else target
    graphs = [part.graph for part in executable.bundle.host_parts]
    return {tensor.name: _random(tensor, graphs, generator) for tensor in executable.inputs}


def _random(tensor: Tensor, graphs: Sequence[Graph], generator: np.random.Generator) -> Array:
    if tensor.dtype in FLOATING_BYTES:
        return generator.random(tensor.shape, dtype=np.float32)
    tables = [
        graph.tensors[node.inputs[1]].shape[0]
        for graph in graphs
        for node in graph.nodes
        if node.label == "embedding" and node.inputs[0] == tensor.name
    ]
    return generator.integers(0, min(tables, default=2), tensor.shape).astype(tensor.dtype)
