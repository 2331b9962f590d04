"""From the file that a user names to a network's inputs: a picture by what the network takes, or an array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import click
import numpy as np

from tilework.compiler.dtype import INT8
from tilework.errors import ImageError
from tilework.executable import Array, Executable, random_inputs
from tilework.network.graph import FLOATING_BYTES, Graph, Tensor


@dataclass(frozen=True)
class Reading:
    """One dict of inputs per inference, and where they come from in a few words; `digits` if they are handwriting."""

    inputs: list[dict[str, Array]]
    origin: str
    digits: bool = False


def read_inputs(executable: Executable, file: str | None) -> Reading:
    """The inputs from a file; seeded random ones without it.

    Raises ImageError where the file cannot be read or isn't what the network takes.
    """
    if file is None:
        return Reading([random_inputs(executable)], "uniform random numbers (seed 0)")
    if len(executable.inputs) != 1:
        raise ImageError(f"--input needs a network of one input, not {len(executable.inputs)}; leave it out")
    port = executable.inputs[0]
    if Path(file).suffix in (".npy", ".npz"):
        return Reading([{port.name: _array(file, port)}], file)
    return _picture(file, port)


def calibrated(graph: Graph, choices: dict[str, Any]) -> dict[str, Any]:
    """The choices about a compilation with the samples in place of their file; a warning where int8 has none.

    Raises ImageError where the file cannot be read or isn't what the network takes, or where nothing is quantised.
    """
    file, narrow = choices.get("calibration"), choices.get("dtype") == INT8
    if file is None:
        if narrow:
            click.echo("warning: without --calibrate int8 fits random numbers, not the network's own inputs", err=True)
        return choices
    if not narrow:
        raise ImageError("--calibrate goes with --dtype int8, which alone needs it; leave it out")
    if len(graph.inputs) != 1:
        raise ImageError(f"--calibrate needs a network of one input, not {len(graph.inputs)}; leave it out")
    port = graph.inputs[0]
    if Path(file).suffix in (".npy", ".npz"):
        return {**choices, "calibration": _array(file, port, many=True)}
    return {**choices, "calibration": _picture(file, port).inputs}


def _array(file: str, port: Tensor, many: bool = False) -> Array:
    """An input from a file of arrays, or any number of them in a row."""
    try:
        loaded = np.load(file, allow_pickle=False)
        values = np.asarray(loaded[port.name] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded)
    except KeyError:
        raise ImageError(f"{file} must hold an array called {port.name}; save it under that name") from None
    except (OSError, ValueError, EOFError, BadZipFile):
        raise ImageError(f"{file} must be a readable array file (.npy or .npz of numbers); save it anew") from None
    fits = values.shape == port.shape or (many and values.ndim and values.shape[1:] == port.shape[1:])
    if not fits or values.dtype.kind not in "fiub":
        came = f"{values.dtype} {list(values.shape)}"
        raise ImageError(f"{file} must hold numbers of the shape {list(port.shape)}, not {came}")
    return values.astype(np.float32 if port.dtype in FLOATING_BYTES else port.dtype)


def _picture(file: str, port: Tensor) -> Reading:
    from tilework.frontend.images import digits
    from tilework.pixels import photograph

    if len(port.shape) == 4 and port.shape[1:] == (1, 28, 28):
        found = digits(file)
        batch = port.shape[0]
        padding = np.zeros((-len(found) % batch, *found.shape[1:]), np.float32)
        groups = np.concatenate([found, padding]).reshape(-1, *port.shape)
        return Reading([{port.name: group} for group in groups], file, digits=batch == 1)
    if len(port.shape) == 4 and port.shape[1] == 3 and port.shape[2] == port.shape[3]:
        picture = photograph(file, port.shape[2])
        return Reading([{port.name: np.repeat(picture, port.shape[0], axis=0)}], file)
    raise ImageError(
        f"a picture needs a network whose input is [N,1,28,28] or [N,3,S,S], not {list(port.shape)}; use .npy"
    )
