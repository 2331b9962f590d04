"""The `.pt2` files of torch.export, read without torch's own reader.

That one unpickles what it finds, evaluates expressions, loads all weights, and calls whatever the file names. Here
only the program is read, which is JSON. It may call only torch's registered operators, all on tensors without elements.
"""

from __future__ import annotations

import json
import operator
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tilework.errors import NetworkError
from tilework.frontend.from_torch.replay import INLINED, Replay, Stack
from tilework.network.blocks import Blocks
from tilework.network.graph import BUFFER, FROZEN, INPUT, PARAMETER

VERSION = 8  # of the program's format
PROGRAM = re.compile(r"[^/]+/models/[^/]+\.json")
OPERATOR = re.compile(r"torch\.ops\.([A-Za-z]\w*)\.([A-Za-z_]\w*)\.([A-Za-z]\w*)")
FORBIDDEN = {"aten::from_file"}  # it opens files
ARITHMETIC = "add sub mul floordiv truediv mod pow neg eq ne lt le gt ge getitem"
ON_SIZES = "sym_max sym_min sym_float sym_int sym_not sym_ite"
NUMBERS: dict[str, Callable[..., Any]] = {
    **{f"_operator.{name}": getattr(operator, name) for name in ARITHMETIC.split()},
    **{f"torch.{name}": getattr(torch, name) for name in ON_SIZES.split()},
}
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    9: torch.complex32,
    10: torch.complex64,
    11: torch.complex128,
    12: torch.bool,
    13: torch.bfloat16,
    28: torch.uint16,
    29: torch.float8_e4m3fn,
    30: torch.float8_e5m2,
    31: torch.float8_e4m3fnuz,
    32: torch.float8_e5m2fnuz,
    34: torch.uint32,
    35: torch.uint64,
}
FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format}

Json = Mapping[str, Any]


def replay_file(path: Path, name: str) -> Blocks:
    """The network of a `.pt2` file, as blocks. Raises NetworkError where the file isn't one that can be read."""
    program, weights = _read(path)
    try:
        replay = Replay(map(_stack, program["graph_module"]["graph"]["nodes"]), limit=-1)
        with replay.recording():
            outputs = _Program(program["graph_module"], weights, replay).run()
        return replay.blocks(name, outputs)
    except NetworkError:
        raise
    except Exception as error:  # whatever an altered file leads to
        why = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        raise NetworkError(f"{path} must hold a program whose operators fit: {why}") from error


def _read(path: Path) -> tuple[Json, Json]:
    """The program, and what is said of its weights by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            found = [name for name in names if PROGRAM.fullmatch(name)]
            if len(found) != 1:
                older = ", as older versions of torch write it: export it anew" if _is_older(names) else ""
                raise NetworkError(f"{path} must hold one program that torch.export.save wrote{older}")
            program = _json(archive, found[0], path)
            root, _, model = found[0].removesuffix(".json").partition("/models/")
            config = f"{root}/data/weights/{model}_weights_config.json"
            weights = _json(archive, config, path)["config"] if config in names else {}
            major = program["schema_version"]["major"]
    except NetworkError:
        raise
    except OSError as error:
        raise NetworkError(f"{path} must be a file that can be read: {error.strerror or error}") from None
    except Exception as error:  # whatever an altered file leads to
        raise NetworkError(f"{path} must be a whole .pt2 file, as torch.export.save writes it: {error}") from None
    if major != VERSION:
        raise NetworkError(f"{path} must have a program of version {VERSION}, not {major}: export it anew")
    return program, weights


def _is_older(names: list[str]) -> bool:
    return "serialized_exported_program.json" in names


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> Json:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
        raise NetworkError(f"{path} must hold {name} uncompressed, as torch.export.save writes it")
    content: Json = json.loads(archive.read(info))
    if not isinstance(content, dict):
        raise NetworkError(f"{path} must hold a JSON object as {name}")
    return content


def _stack(node: Json) -> Stack:
    """The module calls that a node stands in."""
    calls = [call.split(",") for call in node["metadata"].get("nn_module_stack", "").split(";")]
    return [(c[0], re.sub(r"@\d+", "", c[1])) for c in calls if len(c) > 2 and c[1] and not c[1].startswith("_empty")]


class _Program:
    """A program in JSON, run by a replay."""

    def __init__(self, module: Json, weights: Json, replay: Replay) -> None:
        self.graph, self.signature, self.weights, self.replay = module["graph"], module["signature"], weights, replay

    def run(self) -> Any:
        values: dict[str, Any] = {}
        known: dict[Any, torch.Tensor] = {}
        for spec in self.signature["input_specs"]:
            self.source(spec, values, known)
        return self.run_graph(self.graph, values)

    def source(self, spec: Json, values: dict[str, Any], known: dict[Any, torch.Tensor]) -> None:
        """Take up one argument of the program."""
        (kind, content), *_ = spec.items()
        if kind == "user_input":
            ((form, argument),) = content["arg"].items()
            if form == "as_tensor":
                name = argument["name"]
                values[name] = self.replay.source(name, self.hollow(self.graph, name), INPUT)
            elif form == "as_sym_int":
                values[argument["as_name"]] = _size(self.graph["sym_int_values"][argument["as_name"]])
        elif kind in ("parameter", "buffer"):
            name = content["arg"]["name"]
            stored = self.weights.get(content[f"{kind}_name"], {})
            meta = stored.get("tensor_meta") or self.graph["tensor_values"][name]
            place = (stored.get("path_name", name), str(meta["sizes"]), str(meta["storage_offset"]))
            if place not in known:
                role = BUFFER if kind == "buffer" else PARAMETER if meta["requires_grad"] else FROZEN
                tensor = self.hollow(self.graph, name).requires_grad_(role == PARAMETER)
                known[place] = self.replay.source(content[f"{kind}_name"], tensor, role)
            values[name] = known[place]
        elif kind == "tensor_constant":
            values[content["arg"]["name"]] = self.hollow(self.graph, content["arg"]["name"])
        elif kind != "constant_input":
            raise NetworkError(f"a program must take tensors and numbers, not a {kind}")

    def hollow(self, graph: Json, name: str) -> torch.Tensor:
        """A tensor as the graph says it was in the example."""
        meta = graph["tensor_values"][name]
        sizes, strides = (tuple(map(_size, meta[key])) for key in ("sizes", "strides"))
        with torch._C._DisableTorchDispatch():
            return torch.empty_strided(sizes, strides, dtype=DTYPES[meta["dtype"]], device="meta")

    def run_graph(self, graph: Json, values: dict[str, Any]) -> list[Any]:
        for node in graph["nodes"]:
            self.run_node(node, values)
        return [_value(output, values) for output in graph["outputs"]]

    def run_node(self, node: Json, values: dict[str, Any]) -> None:
        arguments = [(given["name"], given.get("kind"), given["arg"]) for given in node["inputs"]]
        target = node["target"]
        name = target.removeprefix("torch.ops.higher_order.")
        if name in INLINED:
            place = INLINED[name]
            inner = arguments[place][2]["as_graph"]["graph"]
            names = map(_name, inner["inputs"])
            given = [_value(argument, values) for _, _, argument in arguments[place + 1 :]]
            results: Any = self.run_graph(inner, dict(zip(names, given, strict=True)))
        else:
            function = _function(target)
            by_name = isinstance(function, torch._ops.OpOverload)
            keywords = {name: _value(argument, values) for name, kind, argument in arguments if by_name and kind == 2}
            args = [_value(argument, values) for _, kind, argument in arguments if not (by_name and kind == 2)]
            results = self.replay.call(function, _stack(node), args, keywords)
        _assign(node["outputs"], results, values)


def _function(target: str) -> Callable[..., Any]:
    """What a node may call: a registered operator, or arithmetic on numbers."""
    if target in NUMBERS:
        return NUMBERS[target]
    match = OPERATOR.fullmatch(target)
    if match is None or match[1] == "higher_order":
        raise NetworkError(f"a program must call torch's operators, not {target}")
    space, name, overload = match.groups()
    qualified = f"{space}::{name}" + ("" if overload == "default" else f".{overload}")
    if f"{space}::{name}" in FORBIDDEN or not _is_registered(qualified):
        raise NetworkError(f"a program must call registered operators, not {qualified}: import the package it is from")
    function: Callable[..., Any] = getattr(getattr(getattr(torch.ops, space), name), overload)
    return function


def _is_registered(qualified: str) -> bool:
    name, _, overload = qualified.partition(".")
    try:
        torch._C._dispatch_find_schema_or_throw(name, overload)
    except RuntimeError:
        return False
    return True


def _size(size: Json) -> Any:
    """A size of the example."""
    if "as_int" in size:
        return size["as_int"]
    hint = size["as_expr"].get("hint")
    if not hint:
        raise NetworkError(f"the size {size['as_expr']['expr_str']} must have an example: export with example inputs")
    return next(iter(hint.values()))


def _value(argument: Json, values: Mapping[str, Any]) -> Any:
    """What an argument stands for: a value by name, or what is written there."""
    ((form, content),) = argument.items()
    if form == "as_none":
        return None
    if form in ("as_tensor", "as_custom_obj"):
        return values[content["name"]]
    if form == "as_tensors":
        return [values[part["name"]] for part in content]
    if form == "as_optional_tensors":
        return [_value(part, values) for part in content]
    if form == "as_optional_tensor":
        return _value(content, values)
    if form == "as_nested_tensors":
        return [[values[part["name"]] for part in row] for row in content]
    if form in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return values[content["as_name"]] if "as_name" in content else next(iter(content.values()))
    if form in ("as_sym_ints", "as_sym_floats", "as_sym_bools"):
        return [_value({form.removesuffix("s"): part}, values) for part in content]
    return _constant(form, content)


def _constant(form: str, content: Any) -> Any:
    if form == "as_scalar_type":
        return DTYPES[content]
    if form == "as_memory_format":
        return FORMATS[content]
    if form == "as_device":
        return torch.device("meta")
    if form == "as_layout":
        return torch.strided
    if form == "as_complex":
        return complex(content["real"], content["imag"])
    if form in ("as_graph", "as_operator", "as_string_to_argument"):
        raise NetworkError(f"a program must give operators tensors and numbers, not {form.removeprefix('as_')}")
    return content


def _assign(outputs: list[Json], results: Any, values: dict[str, Any]) -> None:
    """Name an operator's results."""
    whole = [results] if len(outputs) == 1 and "as_tensors" not in outputs[0] else results
    if len(outputs) == 1 and "as_tensors" in outputs[0]:
        outputs = [{"as_tensor": part} for part in outputs[0]["as_tensors"]]
    if len(outputs) == 1 and isinstance(whole[0], list | tuple) and len(whole[0]) == 1:
        whole = whole[0]  # a graph's one result
    for output, result in zip(outputs, whole, strict=True):
        if "as_optional_tensor" in output:
            output = output["as_optional_tensor"]
        if "as_none" not in output:
            values[_name(output)] = result


def _name(argument: Json) -> str:
    """What a tensor or a size is called."""
    ((form, content),) = argument.items()
    name: str = content["name" if form == "as_tensor" else "as_name"]
    return name
