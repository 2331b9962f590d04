"""Which networks compile for which machines: wholly, with work for the host (which), or not (why).

    python benchmarks/coverage.py [zoo] [blocks] [light] [operators] [torchvision] [machines] [--all] [--quick]

zoo, blocks (LSTM, GRU, attention, transformer blocks from torch), light (the models that the package onnx ships),
operators (its tests of single operators) and torchvision's models at small sizes are compiled for dlp-s and simulated;
those of few multiply-accumulates also run, and their values are compared with what the package recorded, else with
NumPy's for the graph before it was compiled. machines is every network of the zoo on every machine, compiled (as
int8 where the machine has nothing else) and simulated. Prints a Markdown table of what isn't compiled wholly or differs
(with --all of everything) and a summary.
--quick takes every eighth. Nothing here passes or fails.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
import warnings
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import tilework as tw
from tilework.errors import TileworkError
from tilework.network.weights import Weights

RUN_MACS = 3e7  # above them a network is simulated and not run
SECONDS = 300  # for one network
TOLERANCE = 1e-4  # of the largest output
OPERATOR_TESTS = Path(__file__).parents[1] / "tests" / "frontend" / "test_from_onnx_operators.py"


@dataclass(frozen=True)
class Case:
    """A network and, if there are some, inputs and outputs for it."""

    graph: tw.Graph
    weights: Weights | None = None
    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    machine: str = "dlp-s"


Cases = Iterator[tuple[str, Callable[[], Case]]]


@dataclass(frozen=True)
class Outcome:
    """What came of a network: `how` is wholly, with the host, the host's alone, refused, differs, late or fails."""

    name: str
    how: str
    what: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"| {self.name} | {self.how} | {self.what.replace('|', '/')} | {self.seconds:.1f} |"


def look_at(name: str, make: Callable[[], Case]) -> Outcome:
    """Compile, simulate and, if it is small, run a network."""
    begun = perf_counter()
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        how, what = _judged(make())
    except TileworkError as error:
        how = "the host's alone" if "must have a node for the processor" in str(error) else "refused"
        what = str(error)
    except TimeoutError:
        how, what = "late", f"after {SECONDS} s"
    except Exception as error:
        how, what = "fails", f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.alarm(0)
    return Outcome(name, how, what, perf_counter() - begun)


def _late(*_: object) -> None:
    raise TimeoutError


def _judged(case: Case) -> tuple[str, str]:
    floats = set(tw.load_machine(case.machine).matrix.rates) - {"int8"}
    executable = tw.compile(case.graph, case.machine, case.weights, dtype=None if floats else "int8")
    assert executable.cost.cycles >= 0
    operations = [line for line in executable.bundle.host_operations if not line.startswith("reorder ")]
    parts = len(executable.bundle.programs)
    how = "with the host" if operations else "wholly"
    what = "; ".join(dict.fromkeys(_kind(line) for line in operations))
    if operations:
        what = f"{len(operations)} of {len(case.graph.nodes)} nodes, {parts} programs: {what}"
    if case.machine == "dlp-s" and tw.count(case.graph).total.macs <= RUN_MACS and _has_values(case.graph):
        error = _largest_error(case, executable)
        if not error <= TOLERANCE:
            return "differs", f"by {error:.2g} of the largest output; {what}"
    return how, what


def _kind(line: str) -> str:
    """An operation of the host without the name of its node."""
    head, _, reason = line.partition(": ")
    return f"{head.split()[0]} {reason}"


def _has_values(graph: tw.Graph) -> bool:
    return not any(node.operation == "unknown" or node.label == "random" for node in graph.nodes)


def _largest_error(case: Case, executable: tw.Executable) -> float:
    inputs = dict(case.inputs or tw.random_inputs(executable))
    expected = case.outputs
    if expected is None:
        from tilework.compiler.host import evaluate

        weights = case.weights if case.weights is not None else tw.find_weights(case.graph, "")
        expected = evaluate(case.graph, weights, inputs)
    found, largest = executable.run(**inputs), 0.0
    for name, values in expected.items():
        wanted, ours = np.asarray(values, float), np.asarray(found[name], float)
        finite = np.isfinite(wanted)
        if not np.array_equal(np.nan_to_num(wanted[~finite]), np.nan_to_num(ours[~finite])):
            return float("inf")
        scale = max(1e-30, float(np.abs(wanted[finite]).max(initial=0.0)))
        largest = max(largest, float(np.abs(ours[finite] - wanted[finite]).max(initial=0.0)) / scale)
    return largest


def zoo() -> Cases:
    """Every network of the zoo."""
    from tilework.frontend.zoo import NETWORKS, network

    for name in NETWORKS:
        yield name, lambda name=name: Case(network(name))


def machines() -> Cases:
    """Every network of the zoo on every machine."""
    from tilework.frontend.zoo import NETWORKS, network
    from tilework.machine.load import machine_names

    for machine in machine_names():
        for name in NETWORKS:
            yield f"{name} on {machine}", lambda name=name, machine=machine: Case(network(name), machine=machine)


def blocks() -> Cases:
    """Recurrent layers, attention and transformer blocks, as torch has them."""
    import torch
    from torch import nn

    from tilework.frontend.from_torch import from_torch

    made: dict[str, tuple[nn.Module, tuple[Any, ...]]] = {
        "LSTM": (nn.LSTM(16, 24, num_layers=2, batch_first=True), ((2, 5, 16),)),
        "LSTM, both directions": (nn.LSTM(16, 24, bidirectional=True), ((5, 2, 16),)),
        "GRU": (nn.GRU(16, 24, batch_first=True), ((2, 5, 16),)),
        "RNN": (nn.RNN(16, 24), ((5, 2, 16),)),
        "attention": (nn.MultiheadAttention(32, 4, batch_first=True), ((2, 6, 32),) * 3),
        "encoder block": (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), ((2, 6, 32),)),
        "encoder block, GELU, norm first": (
            nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", norm_first=True),
            ((6, 2, 32),),
        ),
        "decoder block": (nn.TransformerDecoderLayer(32, 4, 64), ((6, 2, 32), (7, 2, 32))),
        "transformer": (nn.Transformer(32, 4, 1, 1, 64, batch_first=True), ((2, 6, 32), (2, 7, 32))),
        "embedding and linear": (
            nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 4)),
            (torch.zeros(2, 5, dtype=torch.int64),),
        ),
        **{
            f"transposed convolution, kernel {k}, stride {s}, padding {p}": (
                nn.ConvTranspose2d(4, 6, k, s, p),
                ((1, 4, 5, 6),),
            )
            for k, s, p in ((2, 2, 0), (3, 2, 1), (4, 2, 1), (3, 1, 1), (1, 2, 0), (5, 3, 2))
        },
        **{
            f"upsampling, {mode}": (nn.Upsample(scale_factor=2, mode=mode), ((1, 3, 5, 5),))
            for mode in ("nearest", "bilinear")
        },
    }
    for name, (module, inputs) in made.items():
        yield name, lambda module=module, inputs=inputs: Case(from_torch(module, *inputs))


def light() -> Cases:
    """The light models that the package onnx ships."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    for path in sorted(folder.glob("*.onnx")):
        yield path.stem, lambda path=path: Case(*_imported(str(path)))


def _imported(path: str) -> tuple[tw.Graph, Weights]:
    from tilework.frontend.from_onnx import from_onnx

    return from_onnx(path)


def operators() -> Cases:
    """The package onnx's tests of single operators whose inputs are floats of fixed shape."""
    spec = importlib.util.spec_from_file_location("operators", OPERATOR_TESTS)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["operators"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for case in module.cases():
        if all(isinstance(v, np.ndarray) and v.dtype == np.float32 for v in (*case.inputs, *case.outputs)):
            yield case.name, lambda case=case: _operator(module, case)


def _operator(module: Any, case: Any) -> Case:
    graph, weights, given = module.read(case, known=False)
    inputs = {tensor.name: given[tensor.name] for tensor in graph.inputs}
    wanted = [values for values in case.outputs if values.size]
    shapes = [graph.tensors[name].shape for name in graph.outputs]
    same = shapes == [values.shape for values in wanted]
    return Case(graph, weights, inputs, dict(zip(graph.outputs, wanted, strict=True)) if same else None)


def torchvision() -> Cases:
    """torchvision's models at small sizes."""
    from torchvision_models import torchvision_models

    models = torchvision_models()
    for name in models.list_models():
        yield name, lambda name=name: _torchvision(models, name)


def _torchvision(models: Any, name: str) -> Case:
    import torch

    from tilework.frontend.from_torch import from_torch

    builder = models.get_model_builder(name)
    wanted = {"weights": None, "weights_backbone": None, "quantize": False, "init_weights": False}
    fixed = {key: value for key, value in wanted.items() if key in signature(builder).parameters}
    with torch.device("cpu" if "regnet" in name else "meta"):  # RegNet reads numbers of its tensors as it is built
        module = builder(**fixed)
    size = 96 if "inception" in name else 224 if "vit_" in name or "swin" in name or "maxvit" in name else 64
    if ".detection." in builder.__module__:
        return Case(from_torch(module, [torch.zeros(3, 64, 64)]))
    if ".video." in builder.__module__:
        side = 224 if name == "s3d" else max(size, 112)  # its last window is of 7 x 7 places
        return Case(from_torch(module, (1, 3, 16, side, side)))
    if ".optical_flow." in builder.__module__:
        return Case(from_torch(module, (1, 3, 128, 128), (1, 3, 128, 128)))
    return Case(from_torch(module, (1, 3, size, size)))


GROUPS: dict[str, Callable[[], Cases]] = {
    "zoo": zoo,
    "blocks": blocks,
    "light": light,
    "operators": operators,
    "torchvision": torchvision,
    "machines": machines,
}


def report(title: str, outcomes: Iterator[Outcome], everything: bool) -> Counter[str]:
    """Print a table, and how many came out how."""
    print(f"\n**{title}**\n\n| network | compiles | how | seconds |\n| --- | --- | --- | ---: |")
    tally: Counter[str] = Counter()
    for outcome in outcomes:
        tally[outcome.how] += 1
        if everything or outcome.how != "wholly":
            print(outcome, flush=True)
    summary = ", ".join(f"{number} {how}" for how, number in tally.most_common())
    print(f"\n{summary} of {tally.total()}", flush=True)
    return tally


def main() -> None:
    parser = ArgumentParser(description="Which networks compile for which machines.")
    parser.add_argument("groups", nargs="*", default=list(GROUPS))
    parser.add_argument("--quick", action="store_true", help="every eighth network")
    parser.add_argument("--all", action="store_true", help="show those that compile wholly too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for group in arguments.groups:
        cases = [*GROUPS[group]()][:: 8 if arguments.quick else 1]
        report(group, (look_at(name, make) for name, make in cases), arguments.all)


if __name__ == "__main__":
    main()
