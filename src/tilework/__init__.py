"""Tilework: hand it a neural network, and it tells what the network costs, compiles it and runs it.

The names below are imported when they are first used, so that `import tilework` costs nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tilework.cost.compare import compare as compare
    from tilework.cost.conventions import explain as explain
    from tilework.counting import count as count
    from tilework.counting import formulas as formulas
    from tilework.counting import load as load
    from tilework.counting import memory as memory
    from tilework.errors import NetworkError as NetworkError
    from tilework.executable import Executable as Executable
    from tilework.executable import compile_network as compile
    from tilework.executable import find_weights as find_weights
    from tilework.executable import load_executable as load_executable
    from tilework.executable import random_inputs as random_inputs
    from tilework.frontend.from_onnx import onnx_operator as onnx_operator
    from tilework.frontend.from_torch import torch_operator as torch_operator
    from tilework.frontend.images import digits as read_digits
    from tilework.isa.assembly import parse_program as parse_program
    from tilework.isa.instruction import Instruction as Instruction
    from tilework.isa.program import Layer as Layer
    from tilework.isa.program import Port as Port
    from tilework.isa.program import Program as Program
    from tilework.isa.table import OPCODES as OPCODES
    from tilework.machine.load import load_machine as load_machine
    from tilework.network.execute import execute as execute
    from tilework.network.graph import Graph as Graph
    from tilework.network.graph import GraphBuilder as GraphBuilder
    from tilework.network.graph_text import parse_graph as parse_graph
    from tilework.plain import columns as table
    from tilework.simulator.cycle import simulate as simulate
    from tilework.simulator.hazards import find_races as find_races
    from tilework.simulator.timeline import events as events
    from tilework.simulator.timeline import gantt as gantt

__version__ = "0.1.0"

_EXPORTS = {  # name: where it is
    "Executable": "tilework.executable:Executable",
    "Graph": "tilework.network.graph:Graph",
    "GraphBuilder": "tilework.network.graph:GraphBuilder",
    "Instruction": "tilework.isa.instruction:Instruction",
    "Layer": "tilework.isa.program:Layer",
    "NetworkError": "tilework.errors:NetworkError",
    "OPCODES": "tilework.isa.table:OPCODES",
    "Port": "tilework.isa.program:Port",
    "Program": "tilework.isa.program:Program",
    "compare": "tilework.cost.compare:compare",
    "compile": "tilework.executable:compile_network",
    "count": "tilework.counting:count",
    "events": "tilework.simulator.timeline:events",
    "execute": "tilework.network.execute:execute",
    "explain": "tilework.cost.conventions:explain",
    "find_races": "tilework.simulator.hazards:find_races",
    "find_weights": "tilework.executable:find_weights",
    "formulas": "tilework.counting:formulas",
    "gantt": "tilework.simulator.timeline:gantt",
    "load": "tilework.counting:load",
    "load_executable": "tilework.executable:load_executable",
    "load_machine": "tilework.machine.load:load_machine",
    "memory": "tilework.counting:memory",
    "onnx_operator": "tilework.frontend.from_onnx:onnx_operator",
    "parse_graph": "tilework.network.graph_text:parse_graph",
    "parse_program": "tilework.isa.assembly:parse_program",
    "random_inputs": "tilework.executable:random_inputs",
    "read_digits": "tilework.frontend.images:digits",
    "simulate": "tilework.simulator.cycle:simulate",
    "table": "tilework.plain:columns",
    "torch_operator": "tilework.frontend.from_torch:torch_operator",
}

__all__ = [
    "OPCODES",
    "Executable",
    "Graph",
    "GraphBuilder",
    "Instruction",
    "Layer",
    "NetworkError",
    "Port",
    "Program",
    "__version__",
    "compare",
    "compile",
    "count",
    "events",
    "execute",
    "explain",
    "find_races",
    "find_weights",
    "formulas",
    "gantt",
    "load",
    "load_executable",
    "load_machine",
    "memory",
    "onnx_operator",
    "parse_graph",
    "parse_program",
    "random_inputs",
    "read_digits",
    "simulate",
    "table",
    "torch_operator",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _EXPORTS:
        raise AttributeError(f"module 'tilework' has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
