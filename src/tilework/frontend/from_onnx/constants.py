"""Constants of an ONNX model: where their numbers lie and what is done to them, read only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from struct import pack, unpack
from typing import TYPE_CHECKING, Any

from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.frontend.from_onnx.messages import SparseTensor, Tensor
from tilework.network.operations import Shape
from tilework.wire import Damaged, Span, count_varints, varints

if TYPE_CHECKING:
    from tilework.network.weights import Array

# By ONNX's number of a dtype: our name for it, bits, `struct`'s code where it has one, and the field that holds the
# values where raw_data does not. Numbers of 4 bits or less, of which we have none, count as those of 8 bits that can
# hold them.
DTYPES: dict[int, tuple[str, int, str, str]] = {
    1: ("float32", 32, "f", "float_data"),
    2: ("uint8", 8, "B", "int32_data"),
    3: ("int8", 8, "b", "int32_data"),
    4: ("uint16", 16, "H", "int32_data"),
    5: ("int16", 16, "h", "int32_data"),
    6: ("int32", 32, "i", "int32_data"),
    7: ("int64", 64, "q", "int64_data"),
    9: ("bool", 8, "?", "int32_data"),
    10: ("float16", 16, "e", "int32_data"),
    11: ("float64", 64, "d", "double_data"),
    12: ("uint32", 32, "I", "uint64_data"),
    13: ("uint64", 64, "Q", "uint64_data"),
    14: ("complex64", 64, "", "float_data"),
    15: ("complex128", 128, "", "double_data"),
    16: ("bfloat16", 16, "", "int32_data"),
    17: ("float8_e4m3fn", 8, "", "int32_data"),
    18: ("float8_e4m3fn", 8, "", "int32_data"),
    19: ("float8_e5m2", 8, "", "int32_data"),
    20: ("float8_e5m2", 8, "", "int32_data"),
    21: ("uint8", 4, "", "int32_data"),
    22: ("int8", 4, "", "int32_data"),
    23: ("float8_e4m3fn", 4, "", "int32_data"),
    24: ("float8_e5m2", 8, "", "int32_data"),
    25: ("uint8", 2, "", "int32_data"),
    26: ("int8", 2, "", "int32_data"),
}
NUMBERS: dict[str, int] = {name: number for number, (name, *_) in reversed(DTYPES.items()) if number <= 20}
STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "reshape": lambda array, shape: array.reshape(shape),
    "transpose": lambda array, order: array.transpose(order),
    "scale": lambda array, factor: array * array.dtype.type(factor),
    "broadcast": lambda array, shape: _broadcast(array, shape),
}
AXES_LIMIT = 8
READ_LIMIT = 1 << 32  # elements of a constant that is computed; no such one comes from a file
COUNTED_LIMIT = 1 << 16  # bytes of integers of many lengths that are counted while the model is read
EXTERNAL = 1  # the location of a tensor's numbers in another file


@dataclass(frozen=True)
class Constant:
    """A constant tensor: its name in the file, its shape and dtype after `steps`, and how to read it before them.

    `derived` marks numbers that the model works out, which nobody trains. `items` gives the numbers as a flat list
    without NumPy where that is possible.
    """

    name: str
    shape: Shape
    dtype: str
    read: Callable[[], Array] = field(compare=False, repr=False)
    steps: tuple[tuple[str, Any], ...] = ()
    derived: bool = False
    items: Callable[[], list[Any]] | None = field(default=None, compare=False, repr=False)

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def trained(self) -> bool:
        """Whether it may be a parameter: floating point, or quantised to 8 bits."""
        return not self.derived and (self.dtype.startswith(("float", "bfloat", "complex")) or self.dtype.endswith("t8"))

    def value(self) -> Array:
        """The numbers, read and worked out anew each time; raises WeightsError where a file of them is unfit."""
        import numpy as np

        if (self.steps or self.derived) and self.elements > READ_LIMIT:
            raise WeightsError(f"{self.name} must have at most {READ_LIMIT:,} elements, not {self.elements:,}")
        array = self.read()
        for step, argument in self.steps:
            array = STEPS[step](array, argument)
        return np.asarray(array, order="C")

    def numbers(self) -> list[Any]:
        """The numbers of a small constant in row-major order."""
        if self.items and all(step == "reshape" for step, _ in self.steps):
            return self.items()
        values: list[Any] = self.value().reshape(-1).tolist()
        return values

    def reshaped(self, shape: Shape) -> Constant:
        return self if shape == self.shape else self._after("reshape", shape, shape)

    def transposed(self, order: Sequence[int]) -> Constant:
        return self._after("transpose", tuple(order), tuple(self.shape[axis] for axis in order))

    def scaled(self, factor: float) -> Constant:
        return self if factor == 1 else self._after("scale", factor, self.shape)

    def expanded(self, shape: Shape) -> Constant:
        return self if shape == self.shape else self._after("broadcast", shape, shape)

    def _after(self, step: str, argument: Any, shape: Shape) -> Constant:
        return replace(self, shape=shape, steps=(*self.steps, (step, argument)))


def _broadcast(array: Array, shape: Shape) -> Any:
    import numpy as np

    return np.broadcast_to(array, shape)


def listed(name: str, items: Sequence[Any], dtype: str, shape: Shape | None = None, derived: bool = True) -> Constant:
    """A constant of a few numbers; one axis unless a shape is given."""

    def read() -> Array:
        import numpy as np

        try:
            return np.array(items, numpy_dtype(dtype)).reshape(own)
        except OverflowError:  # the size of a tensor may be anything
            raise WeightsError(f"the numbers of {name} must fit {dtype}") from None

    own = (len(items),) if shape is None else shape
    return Constant(name, own, dtype, read, derived=derived, items=lambda: list(items))


def computed(name: str, array: Array) -> Constant:
    """A constant whose numbers have been worked out."""
    return Constant(name, array.shape, str(array.dtype).removesuffix("uz"), lambda: array, derived=True)


def nothing(name: str, dtype: str, shape: Shape) -> Constant:
    """A constant without elements."""
    return listed(name, (), dtype, shape)


def filled(name: str, shape: Shape, value: Constant) -> Constant:
    """One number at every place; the array is only made when it is asked for."""
    return replace(value.reshaped(()), name=name).expanded(shape)


def numpy_dtype(name: str) -> Any:
    """NumPy's dtype, or that of an extension of it, by our name; raises MissingPackageError without the extension."""
    import numpy as np

    if DTYPES[NUMBERS[name]][2] or name.startswith("complex"):
        return np.dtype(name)
    return np.dtype(_onnx().helper.tensor_dtype_to_np_dtype(NUMBERS[name]))


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingPackageError("values of this dtype need the package onnx: pip install 'tilework[onnx]'") from None
    return onnx


def stored(proto: Tensor, name: str, path: Path | None) -> Constant:
    """The constant that a tensor holds or, in a file beside the model at `path`, points to.

    Raises NetworkError for what no tensor can be: negative sizes, strings, too few or too many numbers, a file outside.
    """
    shape = checked_shape(name, proto.dims)
    if proto.data_type not in DTYPES:
        raise NetworkError(f"constant {name} must hold numbers, not ONNX's type {proto.data_type}")
    dtype, bits, code, field_name = DTYPES[proto.data_type]
    wanted = -(-prod(shape) * bits // 8)
    if proto.data_location == EXTERNAL:
        read = _external(proto, name, wanted, path)
    elif proto.raw_data is not None:
        read = partial(_whole, proto.raw_data, name, wanted)
        if proto.raw_data.size != wanted:
            _wrong(name, shape, wanted, "bytes", proto.raw_data.size)
    else:
        read = partial(_typed, proto.data_type, getattr(proto, field_name), name, wanted)
        _check_count(name, shape, proto.data_type, getattr(proto, field_name))
    items = partial(_unpacked, read, code) if code else None
    return Constant(name, shape, dtype, partial(_array, proto.data_type, read, shape), items=items)


def checked_shape(name: str, dims: Sequence[int]) -> Shape:
    """Sizes as a shape; raises NetworkError where they are too many or negative."""
    if len(dims) > AXES_LIMIT or any(size < 0 for size in dims):
        raise NetworkError(f"constant {name} must have at most {AXES_LIMIT} axes, none negative, not {list(dims)}")
    return tuple(dims)


def _wrong(name: str, shape: Shape, wanted: int, unit: str, held: int) -> None:
    raise NetworkError(f"constant {name} of shape {list(shape)} must hold {wanted} {unit}, not {held}")


def _check_count(name: str, shape: Shape, number: int, spans: Sequence[Span]) -> None:
    """Raises NetworkError where the typed numbers are too few or too many, as far as that costs little."""
    _, bits, _, field_name = DTYPES[number]
    size = sum(span.size for span in spans)
    wanted = -(-prod(shape) * bits // 8) if bits < 8 else prod(shape) * (2 if number in (14, 15) else 1)
    if field_name == "float_data":
        held = size // 4
    elif field_name == "double_data":
        held = size // 8
    elif size > COUNTED_LIMIT and size >= wanted:
        return
    else:
        held = count_varints(b"".join(span.read() for span in spans)) if size <= COUNTED_LIMIT else size
    if held != wanted:
        _wrong(name, shape, wanted, "numbers", held)


def _whole(span: Span, name: str, wanted: int) -> bytes:
    try:
        raw = span.read()
    except OSError as error:
        raise WeightsError(f"the model's file, which holds {name}, must be readable: {error.strerror}") from None
    if len(raw) != wanted:
        raise WeightsError(f"the model's file must hold {wanted} bytes for {name}, not {len(raw)}: it has changed")
    return raw


def _typed(number: int, spans: Sequence[Span], name: str, wanted: int) -> bytes:
    """The bytes that raw_data would hold."""
    _, bits, code, field_name = DTYPES[number]
    data = b"".join(_whole(span, name, span.size) for span in spans)
    if field_name in ("float_data", "double_data"):
        return data
    try:
        values = varints(data)
    except Damaged:
        raise WeightsError(f"the numbers of {name} must be whole; the file is damaged") from None
    width = max(8, bits)
    mask = (1 << width) - 1
    raw = b"".join((value & mask).to_bytes(width // 8, "little") for value in values)
    low, high = (0, mask) if code in ("B", "H", "I", "Q", "?", "e", "") else (-(mask // 2) - 1, mask // 2)
    if len(raw) != wanted or (any(not low <= value <= high for value in values) and code != "Q"):
        raise WeightsError(f"the numbers of {name} must fit its dtype, ONNX's type {number}")
    return raw


def _unpacked(read: Callable[[], bytes], code: str) -> list[Any]:
    raw = read()
    return list(unpack(f"<{len(raw) // len(pack(f'<{code}', 0))}{code}", raw))


def _array(number: int, read: Callable[[], bytes], shape: Shape) -> Array:
    import numpy as np

    name, bits, code, _ = DTYPES[number]
    raw = read()
    if code or number in (14, 15):
        return np.frombuffer(raw, np.dtype(name).newbyteorder("<")).astype(name, copy=False).reshape(shape)
    onnx = _onnx()
    array: Array = onnx.numpy_helper.to_array(onnx.TensorProto(dims=shape, data_type=number, raw_data=raw))
    return array.astype(name) if bits < 8 and name in ("int8", "uint8") else array


def sparse(name: str, proto: SparseTensor, path: Path | None) -> Constant:
    """A sparse constant: its numbers and their places become a dense array when somebody asks."""
    shape = checked_shape(name, proto.dims)
    values, places = stored(proto.values or Tensor(), name, path), stored(proto.indices or Tensor(), name, path)

    def read() -> Array:
        import numpy as np

        numbers, index = values.value(), places.value()
        if prod(shape) > READ_LIMIT:
            raise WeightsError(f"{name} must have at most {READ_LIMIT:,} elements, not {prod(shape):,}")
        array: Array = np.zeros(shape, numbers.dtype)
        try:
            if index.ndim == 1:
                array.reshape(-1)[index] = numbers
            else:
                array[tuple(index.T)] = numbers
        except (IndexError, ValueError):
            raise WeightsError(f"the places of the sparse constant {name} must lie in {list(shape)}") from None
        return array

    return Constant(name, shape, values.dtype, read)


def _external(proto: Tensor, name: str, wanted: int, path: Path | None) -> Callable[[], bytes]:
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    windows, posix = PureWindowsPath(location), PurePosixPath(location)
    if not location or "\0" in location or windows.drive or windows.root or posix.root or ".." in windows.parts:
        raise NetworkError(f"the numbers of {name} must lie in a file of the model's own folder, not in {location!r}")
    if path is None:
        raise NetworkError(f"the numbers of {name} lie in the file {location!r}: give the model's path, not a model")
    offset, length = _bytes(entries.get("offset", "0")), _bytes(entries.get("length", ""))
    if offset is None or length not in (None, wanted):
        raise NetworkError(f"{name} must take {wanted} bytes of the file {location!r}, not {length} from {offset} on")
    return partial(_read_external, name, path.parent, location, offset, wanted)


def _bytes(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _read_external(name: str, folder: Path, location: str, offset: int, length: int) -> bytes:
    path = folder / location
    if not path.resolve().is_relative_to(folder.resolve()):
        raise WeightsError(f"the numbers of {name} must lie in the model's own folder, which {path} leads out of")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read(length)
    except OSError as error:
        raise WeightsError(f"{path}, which holds the numbers of {name}, must be readable: {error.strerror}") from None
    if len(raw) != length:
        raise WeightsError(f"{path} must hold {length} bytes for {name} from {offset} on, not {len(raw)}")
    return raw
