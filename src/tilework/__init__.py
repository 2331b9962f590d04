"""Tilework: hand it a neural network, and it tells what the network costs, compiles it and runs it.

The names below are imported when they are first used, so that `import tilework` costs nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tilework.cost.count import count as count
    from tilework.executable import compile_network as compile
    from tilework.executable import load_executable as load_executable
    from tilework.frontend.resolve import resolve as load
    from tilework.network.graph import Graph as Graph
    from tilework.simulator.cycle import simulate as simulate

__version__ = "0.1.0"

_EXPORTS = {  # name: where it is
    "Graph": "tilework.network.graph:Graph",
    "compile": "tilework.executable:compile_network",
    "count": "tilework.cost.count:count",
    "load": "tilework.frontend.resolve:resolve",
    "load_executable": "tilework.executable:load_executable",
    "simulate": "tilework.simulator.cycle:simulate",
}

__all__ = ["Graph", "__version__", "compile", "count", "load", "load_executable", "simulate"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _EXPORTS:
        raise AttributeError(f"module 'tilework' has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
