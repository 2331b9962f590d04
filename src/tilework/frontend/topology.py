"""Topology files: SCALE-Sim's CSV, of convolutions or of matrix products, with columns of our own after its own.

The header decides. `Layer, M, N, K,` begins a file of matrix products; in every other one the first eight columns are
the name, the height and width of the image and of the filter, the channels, the filters and the stride, whatever they
are called. docs/systolic.md has the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tilework.errors import NetworkError
from tilework.network.topology import LayerShape

CONVOLUTION = ("ifmap height", "ifmap width", "filter height", "filter width", "channels", "num filter", "strides")
PRODUCT = ("m", "n", "k")
OPTIONAL = ("stride width", "sparsity", "padding", "batch", "pool", "pool strides")
SYNONYMS = {
    "batch size": "batch",
    "stride w": "stride width",
    "sparsity ratio": "sparsity",
    "pool stride": "pool strides",
}
DEPTHWISE = "DP"  # in a name: one convolution for every channel

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_RATIO = re.compile(r"\d+:\d+", re.ASCII)
_MOST_CHANNELS = 1 << 16
_MAX_FILE_BYTES = 1 << 24


def read_topology(path: str | Path) -> tuple[LayerShape, ...]:
    """The layers of a file. Raises NetworkError: one sentence with the file, the line and what to do."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NetworkError(f"{path} must be a topology in CSV that can be read: {error}") from None
    if len(text) > _MAX_FILE_BYTES:
        raise NetworkError(f"{path} must be a topology of at most 16 MiB, but is larger; check the path")
    return parse_topology(text, str(path))


def parse_topology(text: str, where: str = "topology") -> tuple[LayerShape, ...]:
    """The layers of a text; `where` names the file in errors. Raises NetworkError."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(", \t\r\ufeff\xa0")]
    layers: list[LayerShape] = []
    columns: list[str] = []
    separator = ","
    for number, line in lines:
        try:
            if not columns:
                separator = "," if "," in line else "\t"
                columns = _header(_fields(line, separator))
            else:
                layers += _layers(_row(_fields(line, separator), columns))
        except NetworkError as error:
            raise NetworkError(f"{where}, line {number}: {error}") from None
    if not layers:
        raise NetworkError(f"{where} must hold a header and at least one layer; write one line per layer below it")
    return tuple(layers)


def print_topology(layers: Sequence[LayerShape]) -> str:
    """Text that `parse_topology` reads back to equal layers, with the optional columns that one of them needs."""
    rows = [_written(layer) for layer in layers]
    needed = [key for key in OPTIONAL if any(key in row for row in rows)]
    head = ("Layer name", *(key.title().replace("Ifmap", "IFMAP") for key in (*CONVOLUTION, *needed)))
    body = [(row["name"], *(row.get(key, "") for key in (*CONVOLUTION, *needed))) for row in rows]
    return "".join(", ".join(map(str, line)) + ",\n" for line in (head, *body))


def _written(layer: LayerShape) -> dict[str, object]:
    sizes = (*layer.image, *layer.kernel, layer.channels, layer.filters, layer.strides[0])
    row: dict[str, object] = {"name": layer.name, **dict(zip(CONVOLUTION, sizes, strict=True))}
    if layer.strides[1] != layer.strides[0]:
        row["stride width"] = layer.strides[1]
    if layer.padding is not None:
        row["padding"] = layer.padding
    if layer.batch != 1:
        row["batch"] = layer.batch
    if layer.pool is not None:
        row["pool"], row["pool strides"] = layer.pool
    return row


def _fields(line: str, separator: str) -> list[str]:
    fields = [field.strip() for field in line.lstrip("\ufeff").split(separator)]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _header(names: list[str]) -> list[str]:
    """The keys of the columns after the name."""
    given = [" ".join(name.lower().split()) for name in names[1:]]
    if any(_NUMBER.fullmatch(name) for name in given):
        raise NetworkError("the first line must name the columns, not be a layer; write the header above it")
    own = PRODUCT if tuple(given[:3]) == PRODUCT else CONVOLUTION
    if len(given) < len(own):
        raise NetworkError(
            f"the header must name the layer and M, N, K, or the layer and {len(CONVOLUTION)} sizes "
            f"({', '.join(CONVOLUTION)}), not {len(names)} columns"
        )
    return [*own, *_optional(given[len(own) :])]


def _optional(names: list[str]) -> Iterator[str]:
    for name in names:
        if not name:
            return  # what stands after an empty column is notes
        key = SYNONYMS.get(name, name)
        if key not in OPTIONAL:
            known = ", ".join(OPTIONAL)
            raise NetworkError(
                f"a column after the strides must be one of {known}, not {name!r}; put notes after an empty column"
            )
        yield key


def _row(fields: list[str], columns: list[str]) -> dict[str, str]:
    """The line's fields by key; a stride or a ratio may stand at its end without a name in the header."""
    name, *values = fields
    own = len(PRODUCT) if columns[0] == PRODUCT[0] else len(CONVOLUTION)
    if not name:
        raise NetworkError("a layer must have a name; write it into the first column")
    if len(values) < own:
        raise NetworkError(f"a layer must have a name and {own} numbers, not {len(values)}")
    row = dict(zip(columns, values, strict=False))
    beyond = values[len(columns) :]
    if beyond and beyond[0] and not beyond[0].startswith("#"):
        key = "sparsity" if ":" in beyond[0] else "stride width"
        if len(beyond) > 1 or key in columns or (key == "stride width" and own == len(PRODUCT)):
            raise NetworkError(f"a layer must have a name and at most {len(columns)} values, not {len(values)}")
        row[key] = beyond[0]
    return {"name": name} | {key: value for key, value in row.items() if value or key in columns[:own]}


def _layers(row: Mapping[str, str]) -> list[LayerShape]:
    if "sparsity" in row and not _RATIO.fullmatch(row["sparsity"]):
        raise NetworkError(f"the sparsity must be a ratio such as 2:4, not {row['sparsity']!r}")
    if "m" in row:
        rows, filters, channels = (_number(row, key) for key in PRODUCT)
        return [LayerShape(row["name"], (rows, 1), (1, 1), channels, filters, batch=_number(row, "batch", 1))]
    layer = _convolution(row)
    if DEPTHWISE not in layer.name:
        return [layer]
    if layer.channels > _MOST_CHANNELS:
        raise NetworkError(f"a depthwise layer must have at most {_MOST_CHANNELS:,} channels, not {layer.channels:,}")
    return [_channel(layer, place) for place in range(layer.channels)]


def _channel(layer: LayerShape, place: int) -> LayerShape:
    return replace(layer, name=f"{layer.name}Channel_{place}", channels=1)


def _convolution(row: Mapping[str, str]) -> LayerShape:
    height, width, kernel_height, kernel_width, channels, filters, stride = (_number(row, key) for key in CONVOLUTION)
    layer = LayerShape(
        name=row["name"],
        image=(height, width),
        kernel=(kernel_height, kernel_width),
        channels=channels,
        filters=filters,
        strides=(stride, _number(row, "stride width", stride)),
        padding=_number(row, "padding", least=0) if "padding" in row else None,
        batch=_number(row, "batch", 1),
        pool=(_number(row, "pool"), _number(row, "pool strides")) if {"pool", "pool strides"} & row.keys() else None,
    )
    _fits("filter", layer.kernel, "image", layer.image, 2 * (layer.padding or 0))
    if layer.pool:
        _fits("pool", (layer.pool[0], layer.pool[0]), "output", layer.output, 0)
    return layer


def _fits(what: str, size: tuple[int, int], into: str, room: tuple[int, int], around: int) -> None:
    for part, whole, axis in zip(size, room, ("high", "wide"), strict=True):
        if part > whole + around:
            raise NetworkError(
                f"the {what} must fit into the {into}, but is {part} {axis} and that is {whole + around}"
            )


def _number(row: Mapping[str, str], key: str, default: int | None = None, least: int = 1) -> int:
    text = row.get(key, "")
    if not text and default is not None:
        return default
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise NetworkError(f"{key} must be a whole number from {least} to 999,999,999, not {text!r}")
    return int(text)
