"""Tilework: hand it a neural network, and it tells what the network costs, compiles it and runs it.

The names below are imported when they are first used, so that `import tilework` costs nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tilework.cost.count import count as count
    from tilework.frontend.resolve import resolve as load
    from tilework.network.graph import Graph as Graph

__version__ = "0.1.0"

_EXPORTS = {  # name: where it is
    "Graph": "tilework.network.graph:Graph",
    "count": "tilework.cost.count:count",
    "load": "tilework.frontend.resolve:resolve",
}

__all__ = ["Graph", "__version__", "count", "load"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _EXPORTS:
        raise AttributeError(f"module 'tilework' has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
