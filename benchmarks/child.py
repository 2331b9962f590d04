"""One measurement in a process of its own, printed as JSON: `python child.py compile|infer|memory NETWORK RUNS`.

run.py starts it, with single-threaded BLAS. Each function imports what it measures and no more.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilework.isa.program import Program
    from tilework.network.graph import Graph

MACHINE = "dlp-s"


def seconds(function: Any, *arguments: Any) -> float:
    start = perf_counter()
    function(*arguments)
    return perf_counter() - start


def compiled(name: str) -> tuple[Graph, Program]:
    from tilework.compiler.pipeline import compile_graph
    from tilework.frontend.weight_files import seeded
    from tilework.frontend.zoo import network
    from tilework.machine.load import load_machine

    graph = network(name)
    return graph, compile_graph(graph, seeded(graph), load_machine(MACHINE)).program


def packed(program: Program) -> Program:
    """The program with its weights made already."""
    weights = program.weights()
    return replace(program, weights=lambda: weights)


def inputs(graph: Graph) -> dict[str, Any]:
    import numpy as np

    generator = np.random.default_rng(0)
    return {tensor.name: generator.random(tensor.shape, np.float32) for tensor in graph.inputs}


def session(graph: Graph) -> Any:
    """ONNX Runtime, ready to run the network with seeded weights in one thread."""
    import onnxruntime

    from tilework.frontend.to_onnx import save_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with TemporaryDirectory() as folder:
        save_onnx(graph, Path(folder) / "model.onnx")
        return onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])


def compile_and_simulate(name: str, runs: int) -> dict[str, Any]:
    """From an empty Python to the cycles, imports included; then ONNX Runtime's time for one inference."""
    start = perf_counter()
    from tilework.simulator.cycle import simulate

    graph, program = compiled(name)
    result = simulate(program)
    ours = perf_counter() - start
    runtime, values = session(graph), inputs(graph)
    theirs = [seconds(runtime.run, None, values) for _ in range(runs + 1)][1:]
    return {"ours": ours, "theirs": median(theirs), "cycles": result.cycles, "bound_cycles": result.bound_cycles}


def infer(name: str, runs: int) -> dict[str, Any]:
    """Pairs of the functional simulator's time and ONNX Runtime's, after a pair that warms up, and their difference."""
    from tilework.simulator.functional import run

    graph, program = compiled(name)
    program, runtime, values = packed(program), session(graph), inputs(graph)
    outputs = run(program, values)
    expected = zip(graph.outputs, runtime.run(None, values), strict=True)
    errors = [abs(outputs[output] - theirs).max() for output, theirs in expected]
    pairs = [(seconds(run, program, values), seconds(runtime.run, None, values)) for _ in range(runs)]
    return {"pairs": pairs, "max_abs_error": float(max(errors))}


def memory(name: str, runs: int) -> dict[str, Any]:
    """Compile and run once; run.py looks at the process from outside."""
    from tilework.simulator.functional import run

    graph, program = compiled(name)
    run(packed(program), inputs(graph))
    weights = sum(tensor.size_bytes for tensor in graph.weights)
    return {"bytes": weights + sum(graph.tensors[node.name].size_bytes for node in graph.nodes)}


TASKS = {"compile": compile_and_simulate, "infer": infer, "memory": memory}

if __name__ == "__main__":
    task, network_name, count = sys.argv[1:]
    print(json.dumps(TASKS[task](network_name, int(count))))
