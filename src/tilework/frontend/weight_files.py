"""Weights of a graph: seeded random ones, those of a file, and those that Tilework ships."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from math import prod, sqrt
from pathlib import Path
from typing import IO, Any

import numpy as np

from tilework.errors import MissingPackageError, TileworkError, WeightsError
from tilework.frontend.zoo import network
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.operations import OPERATIONS, Shape
from tilework.network.weights import Array, Weights

Range = tuple[float, float]

SHIPPED = {"lenet5": "lenet5_mnist.npz"}

SMALL: Range = (-0.1, 0.1)
AROUND_ONE: Range = (0.5, 1.5)
# What a batch normalisation in front of an addition may scale by, so that 50 residual blocks don't overflow.
ADDED_TO_IDENTITY: Range = (0.05, 0.15)
ADDED_TO_PROJECTION: Range = (0.5, 0.9)


def package(module: str, extra: str, purpose: str) -> Any:
    """An optional package, imported; raises MissingPackageError that says which extra of Tilework installs it."""
    try:
        return import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise MissingPackageError(f"{purpose} needs the package {name}: pip install 'tilework[{extra}]'") from None


def seeded(graph: Graph, seed: int = 0) -> Weights:
    """Random float32 weights that depend on the seed and on each tensor's own name, and on nothing else.

    Weights of contractions are uniform with variance 2 / fan_in (He et al. 2015, arXiv:1502.01852, equation 10);
    biases and means are small, variances and scales lie in 0.5..1.5, so that no normalisation is the identity.
    """
    scales = _scales_before_additions(graph)
    ranges: dict[str, Range] = {}
    for node in graph.nodes:
        for placeholder, name in zip(
            OPERATIONS[node.operation].placeholders(len(node.inputs)), node.inputs, strict=True
        ):
            ranges.setdefault(name, _range(node, placeholder, graph.tensors[name].shape, scales))
    makers = {t.name: partial(_draw, t, ranges.get(t.name, SMALL), seed) for t in graph.weights}
    return Weights(makers, f"seeded random (seed {seed})")


def _range(node: Node, placeholder: str, shape: Shape, scales: Mapping[str, Range]) -> Range:
    if placeholder == "w" and len(shape) >= 2:
        bound = sqrt(6 / prod(shape[1:]))
        return -bound, bound
    if node.operation == "batch_norm" and placeholder in ("g", "v"):
        return scales.get(node.name, AROUND_ONE) if placeholder == "g" else AROUND_ONE
    scales_alone = node.operation == "nests" and node.label == "batch_norm" and len(node.inputs) == 2
    return AROUND_ONE if scales_alone else SMALL  # a batch normalisation taken apart: g / sqrt(v + epsilon)


def _scales_before_additions(graph: Graph) -> dict[str, Range]:
    """By name, the scales of those batch normalisations whose values an `add` reads."""
    normalised = {node.name for node in graph.nodes if node.operation == "batch_norm"}
    scales: dict[str, Range] = {}
    for node in graph.nodes:
        if node.operation == "add":
            both = normalised.issuperset(node.inputs)
            scales |= dict.fromkeys(node.inputs, ADDED_TO_PROJECTION if both else ADDED_TO_IDENTITY)
    return scales


def _draw(tensor: Tensor, bounds: Range, seed: int) -> Array:
    words = np.frombuffer(sha256(f"{seed}:{tensor.name}".encode()).digest(), "<u4").tolist()
    values = np.random.Generator(np.random.PCG64(words)).random(tensor.shape, dtype=np.float32)
    values *= bounds[1] - bounds[0]
    values += bounds[0]
    return values


@dataclass(frozen=True)
class _Stored:
    """A tensor in a file, not yet read."""

    shape: Shape
    dtype: str
    numeric: bool
    read: Callable[[], Array]


def load(path: str | Path, graph: Graph) -> Weights:
    """The weights of a graph from a `.npz`, `.safetensors`, `.pt` or `.pth` file, each read anew as float32 when asked.

    Names and shapes must be the graph's; torchvision's `num_batches_tracked` is passed over. Pickled code is never
    run. Raises WeightsError for a file that is missing, unreadable or does not fit, and MissingPackageError.
    """
    path = Path(path)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise WeightsError(f"a weight file's name must end in {', '.join(FORMATS)}, which {path.name} does not")
    if not path.is_file():
        raise WeightsError(f"the weight file {path} must exist and be a file")
    with _reading(path):
        stored = file_format.read(path)
    _check(stored, graph, path.name)
    return Weights({t.name: partial(_float32, path, t.name, stored[t.name]) for t in graph.weights}, path.name)


def given(arrays: Mapping[str, Array], graph: Graph) -> Weights:
    """The weights of a graph from arrays by name, as float32; raises WeightsError where they do not fit."""
    stored = {
        name: _Stored(array.shape, str(array.dtype), array.dtype.kind in "fiu", partial(np.asarray, array))
        for name, array in arrays.items()
    }
    _check(stored, graph, "the arrays given")
    makers = {t.name: partial(np.asarray, arrays[t.name], dtype=np.float32, order="C") for t in graph.weights}
    return Weights(makers, "arrays")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever the readers of foreign files raise into one sentence."""
    try:
        yield
    except TileworkError:
        raise
    except PermissionError:
        raise WeightsError(f"the weight file {path} must be readable, but permission is denied") from None
    except Exception as error:
        kind = FORMATS[path.suffix.lower()].description
        raise WeightsError(f"{path.name} must be {kind}; it is cut short, damaged or something else") from error


def _check(stored: Mapping[str, _Stored], graph: Graph, file: str) -> None:
    for tensor in graph.weights:
        found, shape = stored.get(tensor.name), list(tensor.shape)
        if found is None:
            raise WeightsError(
                f"{file} must hold the tensor {tensor.name} of shape {shape} for network {graph.name}, but lacks it"
            )
        if not found.numeric:
            raise WeightsError(f"{tensor.name} in {file} must hold real numbers, not {found.dtype}")
        if found.shape != tensor.shape:
            raise WeightsError(f"{tensor.name} in {file} must have the shape {shape}, not {list(found.shape)}")
    wanted = {tensor.name for tensor in graph.weights}
    extra = [name for name in stored if name not in wanted and name.rpartition(".")[2] != "num_batches_tracked"]
    if extra:
        raise WeightsError(f"{file} must hold only tensors of network {graph.name}, which has none named {extra[0]}")


def _float32(path: Path, name: str, stored: _Stored) -> Array:
    with _reading(path):
        values = stored.read()
    try:
        with np.errstate(over="raise"):
            return np.asarray(values, dtype=np.float32, order="C")
    except FloatingPointError:
        raise WeightsError(f"every number of {name} in {path.name} must fit into float32") from None


def _npz(path: Path) -> dict[str, _Stored]:
    with zipfile.ZipFile(path) as archive:
        stored = {}
        for member in archive.namelist():
            with archive.open(member) as file:
                shape, dtype = _npy_header(file)
            read = partial(_npy, path, member)
            stored[member.removesuffix(".npy")] = _Stored(shape, dtype.name, dtype.kind in "fiu", read)
        return stored


def _npy_header(file: IO[bytes]) -> tuple[Shape, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _npy(path: Path, member: str) -> Array:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _safetensors(path: Path) -> dict[str, _Stored]:
    safe_open = package("safetensors", "torch", "reading a .safetensors file").safe_open
    stored = {}
    with safe_open(path, "numpy") as file:
        for name in file.keys():  # noqa: SIM118 (the file is no mapping)
            entry = file.get_slice(name)
            dtype = str(entry.get_dtype())
            numeric = dtype in ("BF16", "F16", "F32", "F64") or dtype[0] in "IU"
            stored[name] = _Stored(tuple(entry.get_shape()), dtype, numeric, partial(_safetensor, path, name, dtype))
    return stored


def _safetensor(path: Path, name: str, dtype: str) -> Array:
    if dtype == "BF16" and find_spec("ml_dtypes") is None:
        raise MissingPackageError("reading bfloat16 tensors needs the package ml_dtypes: pip install 'tilework[onnx]'")
    with package("safetensors", "torch", "reading a .safetensors file").safe_open(path, "numpy") as file:
        values: Array = file.get_tensor(name)
    return values


def _torch(path: Path) -> dict[str, _Stored]:
    torch = package("torch", "torch", f"reading a {path.suffix} file")
    mapped = zipfile.is_zipfile(path)  # files of before torch 1.6 cannot be mapped into memory
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    state = state.get("state_dict", state)
    return {name: _torch_entry(torch, value) for name, value in state.items()}


def _torch_entry(torch: Any, value: Any) -> _Stored:
    if not isinstance(value, torch.Tensor):
        return _Stored((), f"a {type(value).__name__}", False, lambda: np.empty(0))
    dtype = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided:
        dtype = "a sparse tensor"
    numeric = dtype.rstrip("0123456789") in ("bfloat", "float", "int", "uint")
    return _Stored(tuple(value.shape), dtype, numeric, partial(_torch_values, torch, value))


def _torch_values(torch: Any, tensor: Any) -> Array:
    known = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    values: Array = known.detach().numpy().copy()
    return values


@dataclass(frozen=True)
class _Format:
    description: str
    read: Callable[[Path], dict[str, _Stored]]


FORMATS: dict[str, _Format] = {
    ".npz": _Format("a NumPy archive of arrays (numpy.savez)", _npz),
    ".safetensors": _Format("a safetensors file", _safetensors),
    ".pt": _Format("a state dict saved by torch.save(model.state_dict(), …)", _torch),
    ".pth": _Format("a state dict saved by torch.save(model.state_dict(), …)", _torch),
}


def shipped(name: str) -> Weights | None:
    """The trained weights that come with Tilework for a network of the zoo, or None where there are none."""
    if name not in SHIPPED:
        return None
    weights = load(Path(__file__).with_name(SHIPPED[name]), network(name))
    return Weights(weights.makers, "trained on MNIST, shipped with Tilework")
