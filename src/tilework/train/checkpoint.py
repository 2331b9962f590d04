"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file that is whole or absent.

The file is NumPy's .npz: arrays, and the rest as JSON in the bytes of the array `state`. Nothing in it is code.
"""

from __future__ import annotations

import io
import json
import sys
import zlib
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tilework import __version__
from tilework.errors import TrainingError
from tilework.files import replacing
from tilework.network.graph_text import print_graph
from tilework.train.fit import Record, Training
from tilework.train.parameters import Array
from tilework.train.recipe import recipe_hash

FORM = 1  # of the file, raised when older readers can't read it
STATE, PARAMETERS, OPTIMISER, BUFFER, BEST = "state", "parameters", "optimiser:", "buffer:", "best:"
ORDER, LOSSES = "order", "losses"  # of the examples
KEPT = "kept"  # bits: which parameters pruning left
DAMAGED = (BadZipFile, zlib.error, ValueError, KeyError, EOFError, NotImplementedError, MemoryError, RecursionError)


def save_checkpoint(training: Training, path: str | Path) -> None:
    """Write a checkpoint; what stood there before stays until the new one is complete.

    Raises OutputError where it can't be written, as on a full disk, and TrainingError where a parameter isn't finite:
    the old checkpoint is then the last good one.
    """
    if not np.isfinite(training.parameters.values).all():
        raise TrainingError(f"every parameter of a checkpoint must be finite, and at step {training.steps} one was not")
    state = {
        "form": FORM,
        "identity": identity(training),
        "versions": {"tilework": __version__, "numpy": np.__version__, "python": sys.version.split()[0]},
        "epoch": training.epoch,
        "place": training.place,
        "steps": training.steps,
        "losses": training.losses,
        "seconds": training.seconds,
        "history": [asdict(record) for record in training.history],
        "generator": training.generator.bit_generator.state,
        "scaling": training.scaling.state() if training.scaling else None,
    }
    packed = io.BytesIO()
    arrays = {STATE: np.frombuffer(json.dumps(state).encode(), np.uint8), **_arrays(training)}
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    with replacing(path) as file:
        file.write(packed.getbuffer())


def resume(training: Training, path: str | Path) -> None:
    """Bring a training that has made no step to where a checkpoint of the same recipe, seed and data is.

    Raises TrainingError for a file that is damaged, of another form, or of another training.
    """
    state, arrays = _read(Path(path))
    if state["identity"] != identity(training):
        raise TrainingError(
            f"{path} must be of this recipe, seed and data to go on with, and is of others; leave out --resume and "
            "choose another folder"
        )
    try:
        _restore(training, state, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} must be a whole checkpoint, not one with '{error}'; start anew") from None


def identity(training: Training) -> str:
    """SHA-256 of what decides every number of a training: recipe, seed, graph, and the data's source and labels."""
    parts = (
        recipe_hash(training.recipe),
        str(training.seed),
        print_graph(training.graph),
        training.data.source,
        sha256(training.data.train.labels.tobytes()).hexdigest(),
    )
    return sha256("\0".join(parts).encode()).hexdigest()


def _arrays(training: Training) -> dict[str, Array]:
    return {
        PARAMETERS: training.parameters.values,
        **({ORDER: training.order, LOSSES: training.last_losses} if training.recipe.focus < 1 else {}),
        **({KEPT: np.packbits(training.pruner.kept != 0)} if training.pruner else {}),
        **{BUFFER + name: array for name, array in training.parameters.buffers.items()},
        **{OPTIMISER + name: array for name, array in training.optimiser.state().items()},
        **{BEST + name: array for name, array in training.best.items()},
    }


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state: dict[str, Any] = json.loads(arrays.pop(STATE).tobytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TrainingError(f"{path} must be a checkpoint that can be read, not one with '{reason}'") from None
    except DAMAGED:
        raise TrainingError(
            f"{path} must be a whole checkpoint, and is damaged or something else; start anew"
        ) from None
    if state.get("form") != FORM:
        raise TrainingError(f"{path} must be a checkpoint of form {FORM}, not {state.get('form')}; start anew")
    return state, arrays


def _restore(training: Training, state: dict[str, Any], arrays: dict[str, Array]) -> None:
    _copy(training.parameters.values, arrays[PARAMETERS])
    for name, buffer in training.parameters.buffers.items():
        _copy(buffer, arrays[BUFFER + name])
    training.optimiser.restore(_named(arrays, OPTIMISER))
    if training.recipe.focus < 1:
        training.order = arrays[ORDER]
        _copy(training.last_losses, arrays[LOSSES])
    if training.pruner:
        kept = training.pruner.kept
        _copy(kept, np.unpackbits(arrays[KEPT], count=kept.size).astype(kept.dtype))
    training.best = _named(arrays, BEST)
    training.generator.bit_generator.state = state["generator"]
    if training.scaling:
        training.scaling.restore(state["scaling"])
    training.history = [Record(**record) for record in state["history"]]
    training.epoch, training.place, training.steps = state["epoch"], state["place"], state["steps"]
    training.losses, training.seconds = state["losses"], state["seconds"]


def _named(arrays: dict[str, Array], mark: str) -> dict[str, Array]:
    return {name.removeprefix(mark): array for name, array in arrays.items() if name.startswith(mark)}


def _copy(to: Array, values: Array) -> None:
    if to.shape != values.shape or to.dtype != values.dtype:
        raise ValueError(f"{values.dtype}{[*values.shape]} in the place of {to.dtype}{[*to.shape]}")
    to[...] = values


class Checkpoints:
    """Keeps the checkpoint of a training up to date: `stepped` after every step writes one if `seconds` have passed."""

    def __init__(self, path: str | Path, seconds: float = 10.0) -> None:
        self.path, self.seconds, self._written = Path(path), seconds, monotonic()

    def stepped(self, training: Training) -> None:
        """Write a checkpoint if it is time, or if the training is at its end."""
        if training.finished or monotonic() - self._written >= self.seconds:
            save_checkpoint(training, self.path)
            self._written = monotonic()
