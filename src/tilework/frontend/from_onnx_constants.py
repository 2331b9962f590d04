"""Constants of an ONNX model: where their numbers lie and what is done to them, read only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.network.operations import Shape
from tilework.network.weights import Array

try:
    import onnx
    from onnx import TensorProto, numpy_helper
except ImportError:
    raise MissingPackageError("reading an ONNX file needs the package onnx: pip install 'tilework[onnx]'") from None

# By ONNX's number of a dtype: NumPy's name, bytes, and the field that holds the values where raw_data does not.
DTYPES: dict[int, tuple[str, int, str]] = {
    TensorProto.FLOAT: ("float32", 4, "float_data"),
    TensorProto.DOUBLE: ("float64", 8, "double_data"),
    TensorProto.FLOAT16: ("float16", 2, "int32_data"),
    TensorProto.BFLOAT16: ("bfloat16", 2, "int32_data"),
    TensorProto.BOOL: ("bool", 1, "int32_data"),
    TensorProto.INT8: ("int8", 1, "int32_data"),
    TensorProto.UINT8: ("uint8", 1, "int32_data"),
    TensorProto.INT32: ("int32", 4, "int32_data"),
    TensorProto.INT64: ("int64", 8, "int64_data"),
}
STEPS: dict[str, Callable[[Array, Any], Array]] = {
    "reshape": lambda array, shape: array.reshape(shape),
    "transpose": lambda array, order: array.transpose(order),
    "scale": lambda array, factor: array * array.dtype.type(factor),
}
AXES_LIMIT = 8


@dataclass(frozen=True)
class Constant:
    """A constant tensor: its name in the file, its shape and dtype after `steps`, and how to read it before them."""

    name: str
    shape: Shape
    dtype: str
    read: Callable[[], Array] = field(compare=False, repr=False)
    steps: tuple[tuple[str, Any], ...] = ()

    @property
    def elements(self) -> int:
        return prod(self.shape)

    def value(self) -> Array:
        """The numbers, read and worked out anew each time; raises WeightsError where a file of them is unfit."""
        array = self.read()
        for step, argument in self.steps:
            array = STEPS[step](array, argument)
        return np.asarray(array, order="C")

    def reshaped(self, shape: Shape) -> Constant:
        return self if shape == self.shape else self._after("reshape", shape, shape)

    def transposed(self, order: Sequence[int]) -> Constant:
        return self._after("transpose", tuple(order), tuple(self.shape[axis] for axis in order))

    def scaled(self, factor: float) -> Constant:
        return self if factor == 1 else self._after("scale", factor, self.shape)

    def _after(self, step: str, argument: Any, shape: Shape) -> Constant:
        return replace(self, shape=shape, steps=(*self.steps, (step, argument)))


def computed(name: str, value: Any, dtype: str) -> Constant:
    """A constant whose numbers are at hand."""
    array: Array = np.asarray(value, dtype)
    return Constant(name, array.shape, dtype, lambda: array)


def filled(name: str, shape: Shape, value: Constant) -> Constant:
    """One number at every place; the array is only made when it is asked for."""
    return Constant(name, shape, value.dtype, lambda: np.full(shape, value.value().reshape(())))


def stored(proto: onnx.TensorProto, name: str, folder: Path | None) -> Constant:
    """The constant that a TensorProto holds or, in a file within `folder`, points to.

    Raises NetworkError for what no tensor can be: negative sizes, strings, too few or too many numbers, a file outside.
    """
    shape = tuple(proto.dims)
    if len(shape) > AXES_LIMIT or any(size < 0 for size in shape):
        raise NetworkError(f"constant {name} must have at most {AXES_LIMIT} axes, none negative, not {list(shape)}")
    if proto.data_type not in DTYPES:
        known = ", ".join(dtype for dtype, _, _ in DTYPES.values())
        raise NetworkError(f"constant {name} must hold {known}, not ONNX's type {proto.data_type}")
    dtype, size, field_name = DTYPES[proto.data_type]
    if proto.data_location == TensorProto.EXTERNAL:
        return Constant(name, shape, dtype, _external(proto, name, shape, folder))
    raw = proto.HasField("raw_data")
    held = len(proto.raw_data) if raw else len(getattr(proto, field_name))
    if held != prod(shape) * (size if raw else 1):
        unit = "bytes" if raw else "numbers"
        wanted = prod(shape) * (size if raw else 1)
        raise NetworkError(f"constant {name} of shape {list(shape)} must hold {wanted} {unit}, not {held}")
    return Constant(name, shape, dtype, partial(_numbers, proto, name))


def _numbers(proto: onnx.TensorProto, name: str) -> Array:
    try:
        return numpy_helper.to_array(proto)
    except (OverflowError, ValueError):
        raise WeightsError(f"the numbers of {name} must fit its dtype, ONNX's type {proto.data_type}") from None


def _external(proto: onnx.TensorProto, name: str, shape: Shape, folder: Path | None) -> Callable[[], Array]:
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    windows, posix = PureWindowsPath(location), PurePosixPath(location)
    if not location or "\0" in location or windows.drive or windows.root or posix.root or ".." in windows.parts:
        raise NetworkError(f"the numbers of {name} must lie in a file of the model's own folder, not in {location!r}")
    if folder is None:
        raise NetworkError(f"the numbers of {name} lie in the file {location!r}: give the model's path, not a model")
    offset, length = _bytes(entries.get("offset", "0")), _bytes(entries.get("length", ""))
    _, size, _ = DTYPES[proto.data_type]
    wanted = prod(shape) * size
    if offset is None or length not in (None, wanted):
        raise NetworkError(f"{name} must take {wanted} bytes of the file {location!r}, not {length} from {offset} on")
    header = onnx.TensorProto(name=name, dims=shape, data_type=proto.data_type)
    return partial(_read_external, header, folder, location, offset, wanted)


def _bytes(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _read_external(header: onnx.TensorProto, folder: Path, location: str, offset: int, length: int) -> Array:
    path = folder / location
    if not path.resolve().is_relative_to(folder.resolve()):
        raise WeightsError(
            f"the numbers of {header.name} must lie in the model's own folder, which {path} leads out of"
        )
    try:
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read(length)
    except OSError as error:
        raise WeightsError(
            f"{path}, which holds the numbers of {header.name}, must be readable: {error.strerror}"
        ) from None
    if len(raw) != length:
        raise WeightsError(f"{path} must hold {length} bytes for {header.name} from {offset} on, not {len(raw)}")
    proto = onnx.TensorProto()
    proto.CopyFrom(header)
    proto.raw_data = raw
    return numpy_helper.to_array(proto)
