"""Records of a training as files: CSV for tables, event files for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from time import time

from tilework.errors import OutputError
from tilework.files import replacing
from tilework.tensorboard import first_event, scalars_event
from tilework.train.data.tfrecord import framed
from tilework.train.fit import Record

NAMES = tuple(field.name for field in fields(Record))
SCALARS = {"loss": "loss/training", "train_accuracy": "accuracy/training", "validation_accuracy": "accuracy/validation"}
RATE = "rate"
ENDING = "tilework"


def write_csv(history: Iterable[Record], path: str | Path) -> None:
    """A line for each epoch under a line of names; what there is none of stays empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.to_dict() for record in history)
    with replacing(path) as file:
        file.write(text.getvalue().encode())


class EventLog:
    """An event file of TensorBoard in a folder, begun with other events and the epochs done so far; it takes the place
    of older ones of ours there. An event is a TFRecord with a message Event."""

    def __init__(self, folder: str | Path, history: Sequence[Record], *others: bytes) -> None:
        for old in Path(folder).glob(f"events.out.tfevents.*.{ENDING}"):
            with suppress(OSError):
                old.unlink()
        self.path = Path(folder) / f"events.out.tfevents.{round(time())}.{ENDING}"
        self._append(first_event(), *others, *(event(record) for record in history))

    def add(self, record: Record) -> None:
        """Append an epoch; TensorBoard shows it at its next look."""
        self._append(event(record))

    def _append(self, *events: bytes) -> None:
        new = b"".join(map(framed, events))
        try:
            with self.path.open("ab") as file:
                file.write(new)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise OutputError(f"{self.path} must be a path that can be written, not one with '{reason}'") from None


def event(record: Record) -> bytes:
    """An epoch as an Event: its step, and a summary of a scalar for each number."""
    scalars = {SCALARS[name]: getattr(record, name) for name in SCALARS} | {RATE: record.rate}
    return scalars_event(record.step, scalars)
