"""Networks from torch.export: a program in memory, or the `.pt2` file of one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node

from tilework.errors import NetworkError
from tilework.frontend.from_torch.export_file import replay_file
from tilework.frontend.from_torch.replay import INLINED, Replay, Stack
from tilework.network.blocks import Blocks
from tilework.network.graph import BUFFER, FROZEN, INPUT, PARAMETER, Graph


def from_export(program: ExportedProgram | str | os.PathLike[str], name: str | None = None) -> Graph:
    """The network of an exported program; see `export_blocks`."""
    return export_blocks(program, name).graph()


def export_blocks(program: ExportedProgram | str | os.PathLike[str], name: str | None = None) -> Blocks:
    """The network of what `torch.export.export` returned or `torch.export.save` wrote, as blocks.

    Sizes that vary have those of the example with which it was exported. Of a file, only the program is read, no
    weight, and nothing is unpickled. Raises NetworkError for another kind of file, one of another version or cut
    short, and for operators that are not registered here.
    """
    if isinstance(program, str | os.PathLike):
        return replay_file(Path(program), name or Path(program).stem)
    if not isinstance(program, ExportedProgram):
        kind = type(program).__name__
        raise NetworkError(f"an exported program must be what torch.export.export returns, not {kind}")
    replay = Replay(_stack(node) for node in program.graph.nodes)
    inputs = _sources(program, replay)
    try:
        with replay.recording():
            outputs = _Interpreter(program.graph_module, replay).run(*inputs)
    except NetworkError:
        raise
    except Exception as error:
        raise NetworkError(f"the exported program must run on its example's shapes, and fails: {error}") from error
    return replay.blocks(name or "exported", outputs)


def _sources(program: ExportedProgram, replay: Replay) -> list[Any]:
    """The arguments of the program's graph, in order."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    held = {**program.constants, **program.state_dict}
    known: dict[int, torch.Tensor] = {}
    arguments: list[Any] = []
    for spec in program.graph_signature.input_specs:
        value = nodes[spec.arg.name].meta.get("val") if spec.arg.name in nodes else None
        if not isinstance(value, torch.Tensor):
            arguments.append(getattr(spec.arg, "value", None) if value is None else _number(value))
        elif spec.kind == InputKind.USER_INPUT:
            arguments.append(replay.source(spec.arg.name, _hollow(value), INPUT))
        elif spec.kind == InputKind.CONSTANT_TENSOR:
            arguments.append(held[str(spec.target)])
        else:
            tensor = held[str(spec.target)]
            role = BUFFER if spec.kind == InputKind.BUFFER else PARAMETER if tensor.requires_grad else FROZEN
            if id(tensor) not in known:
                known[id(tensor)] = replay.source(str(spec.target), tensor, role)
            arguments.append(known[id(tensor)])
    return arguments


def _hollow(example: torch.Tensor) -> torch.Tensor:
    """A tensor of the example's sizes, where sizes that vary are numbers."""
    sizes, strides = ([_number(size) for size in dims] for dims in (example.shape, example.stride()))
    return torch.empty_strided(sizes, strides, dtype=example.dtype, device="meta")


def _number(size: Any) -> Any:
    if isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool):
        hint = size.node.hint
        if hint is None:
            raise NetworkError(f"the size {size} must have an example: export the program with example inputs")
        return hint
    return size


def _stack(node: Node) -> Stack:
    """The module calls that a node stands in."""
    calls = node.meta.get("nn_module_stack") or {}
    return [(key, re.sub(r"@\d+", "", path)) for key, (path, _) in calls.items() if path]


class _Interpreter(Interpreter):
    """Runs a program's graph through a replay; graphs within it that only set a mode are run in place."""

    def __init__(self, module: torch.nn.Module, replay: Replay) -> None:
        super().__init__(module)
        self.replay = replay

    def run_node(self, n: Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        args, keywords = self.fetch_args_kwargs_from_env(n)
        name = getattr(n.target, "__name__", "")
        if name in INLINED:
            graph = INLINED[name]
            return _Interpreter(args[graph], self.replay).run(*args[graph + 1 :])
        return self.replay.call(cast("Callable[..., Any]", n.target), _stack(n), args, keywords)
