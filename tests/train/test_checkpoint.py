"""Trainings that are killed, run out of disk or diverge, and go on from their checkpoint as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tilework.errors import OutputError, TrainingError
from tilework.train.checkpoint import Checkpoints, resume, save_checkpoint
from tilework.train.fit import Training, fit
from tilework.training import open_training

resource = pytest.importorskip("resource", reason="only Unix limits the size of files")

RECIPE = """
title = "killed"
batch = 32
epochs = {epochs}
focus = {focus}
loss = "binary_cross_entropy"
initial = "xavier"
smoothing = 0.05
network = {{layers = [7, 24, 4], activation = "tanh", dropout = 0.1}}
data = {{kind = "adder", bits = 3, validation = 0.2}}
optimiser = {{method = "{method}", rate = 0.02}}
schedule = {{name = "one_cycle"}}
{more}
"""

CHILD = """
import sys
from tilework.train.checkpoint import Checkpoints, resume
from tilework.train.fit import fit
from tilework.training import open_training
recipe, checkpoint, going_on = sys.argv[1:]
training = open_training(recipe, seed=4)
if going_on == "yes":
    resume(training, checkpoint)
print("begun", flush=True)
fit(training, stepped=Checkpoints(checkpoint, seconds=0).stepped)
print("done", flush=True)
"""


PRUNED = "pruning = {first = 0.0, last = 0.8, every = 2}"
HALVED = 'precision = {dtype = "float16", scale = 1e6, every = 3}'


def recipe(folder: Path, method: str = "adam", epochs: int = 40, focus: float = 1.0, more: str = "") -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(method=method, epochs=epochs, focus=focus, more=more))
    return path


def whole(path: Path) -> Training:
    training = open_training(path, seed=4)
    fit(training)
    return training


def numbers(training: Training) -> list[Any]:
    """All that must be the same, bit by bit."""
    records = [msgspec.to_builtins({**record.to_dict(), "seconds": 0}) for record in training.history]
    arrays = {**training.parameters.weights, **training.weights, **training.optimiser.state()}
    return [training.steps, records, {name: array.tobytes() for name, array in arrays.items()}]


KINDS = [
    ("adam", 1.0, ""),
    ("muon", 1.0, ""),
    ("shampoo", 1.0, ""),
    ("nesterov", 0.9, ""),
    ("nesterov", 1.0, PRUNED),
    ("adam", 1.0, HALVED),
]


@pytest.mark.parametrize(("method", "focus", "more"), KINDS)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_it_goes_on_at_any_step_bit_by_bit(tmp_path: Path, method: str, focus: float, more: str, steps: int) -> None:
    path, checkpoint = recipe(tmp_path, method, epochs=5, focus=focus, more=more), tmp_path / "checkpoint.npz"
    first = open_training(path, seed=4)
    for _ in range(steps):
        first.advance()
    save_checkpoint(first, checkpoint)
    second = open_training(path, seed=4)
    resume(second, checkpoint)
    fit(second)
    assert numbers(second) == numbers(whole(path))


def start(path: Path, checkpoint: Path) -> subprocess.Popen[str]:
    arguments = [str(path), str(checkpoint), "yes" if checkpoint.exists() else "no"]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)


def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    path, checkpoint = recipe(tmp_path, epochs=60), tmp_path / "checkpoint.npz"
    generator = np.random.default_rng()
    killed = 0
    for attempt in range(9):
        with start(path, checkpoint) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            if attempt < 8:
                time.sleep(generator.uniform(0, 0.2))
                child.kill()
            child.wait()
            killed += child.returncode == -signal.SIGKILL
    assert child.returncode == 0
    assert killed >= 1
    training = open_training(path, seed=4)
    resume(training, checkpoint)
    assert training.finished
    assert numbers(training) == numbers(whole(path))


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    path, checkpoint = recipe(tmp_path, epochs=3), tmp_path / "checkpoint.npz"
    training = open_training(path, seed=4)
    training.advance()
    save_checkpoint(training, checkpoint)
    old = checkpoint.read_bytes()
    training.advance()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, before[1]))
    try:
        with pytest.raises(
            OutputError, match=r"checkpoint\.npz must be a path that can be written, not one with 'File"
        ):
            Checkpoints(checkpoint, seconds=0).stepped(training)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoint.read_bytes() == old
    assert sorted(tmp_path.iterdir()) == [checkpoint, path]


def test_numbers_that_are_not_finite_leave_the_last_checkpoint(tmp_path: Path) -> None:
    path, checkpoint = recipe(tmp_path, epochs=3), tmp_path / "checkpoint.npz"
    training = open_training(path, seed=4)
    training.advance()
    save_checkpoint(training, checkpoint)
    old = checkpoint.read_bytes()
    training.parameters.values[0] = np.inf
    with pytest.raises(
        TrainingError, match=r"^every parameter of a checkpoint must be finite, and at step 1 one was not"
    ):
        save_checkpoint(training, checkpoint)
    assert checkpoint.read_bytes() == old


@pytest.mark.parametrize("change", ["cut", "bit", "empty", "text"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, change: str) -> None:
    path, checkpoint = recipe(tmp_path, epochs=3), tmp_path / "checkpoint.npz"
    save_checkpoint(open_training(path, seed=4), checkpoint)
    raw = bytearray(checkpoint.read_bytes())
    raw[len(raw) // 2] ^= 1
    damaged = {"cut": bytes(raw[:-100]), "bit": bytes(raw), "empty": b"", "text": b"weights"}[change]
    checkpoint.write_bytes(damaged)
    with pytest.raises(
        TrainingError, match=r"must be a whole checkpoint, and is damaged or something else; start anew$"
    ):
        resume(open_training(path, seed=4), checkpoint)


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path, checkpoint = recipe(tmp_path, epochs=3), tmp_path / "checkpoint.npz"
    save_checkpoint(open_training(path, seed=4), checkpoint)
    for other in (open_training(path, seed=5), open_training(path, seed=4, epochs=4)):
        with pytest.raises(
            TrainingError, match="must be of this recipe, seed and data to go on with, and is of others"
        ):
            resume(other, checkpoint)
    with pytest.raises(TrainingError, match="must be a checkpoint that can be read, not one with 'No such file"):
        resume(open_training(path, seed=4), tmp_path / "none.npz")
