"""Logs as their readers read them: Python's csv, and TensorBoard's own reader of event files."""

from __future__ import annotations

import csv
from pathlib import Path
from struct import unpack

import pytest

from tilework.errors import OutputError
from tilework.train.data.tfrecord import records
from tilework.train.fit import Record
from tilework.train.logs import EventLog, write_csv

HISTORY = [
    Record(300, 1, 0.5, 0.75, 0.5, 0.1, 1.25),
    Record(600, 2, 0.25, 0.875, None, 0.05, 2.5),
    Record(900, 3, 0.125, 1.0, 0.625, 0.025, 3.75),
]


def test_a_line_for_each_epoch(tmp_path: Path) -> None:
    write_csv(HISTORY, tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "step": "600",
        "epoch": "2",
        "loss": "0.25",
        "train_accuracy": "0.875",
        "validation_accuracy": "",
        "rate": "0.05",
        "seconds": "2.5",
    }
    assert [int(row["step"]) for row in rows] == [300, 600, 900]


def test_events_are_records_with_their_step(tmp_path: Path) -> None:
    EventLog(tmp_path, HISTORY[:1])
    (path,) = tmp_path.iterdir()
    first, second = (record for _, record in records(path))
    assert first.endswith(b"\x1a\x0dbrain.Event:2")
    assert second[9:12] == b"\x10\xac\x02"  # field 2: 300 as a varint
    place = second.index(b"loss/training") + len(b"loss/training")
    assert second[place] == 0x15
    assert unpack("<f", second[place + 1 : place + 5]) == (0.5,)


def test_tensorboard_reads_the_scalars(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = EventLog(tmp_path, HISTORY[:1])
    for record in HISTORY[1:]:
        log.add(record)
    events = reader.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/training", "accuracy/training", "accuracy/validation", "rate"}
    assert [(e.step, e.value) for e in events.Scalars("loss/training")] == [(300, 0.5), (600, 0.25), (900, 0.125)]
    assert [e.step for e in events.Scalars("accuracy/validation")] == [300, 900]


def test_a_log_begun_again_takes_the_old_ones_place(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.elsewhere").write_bytes(b"")
    (tmp_path / "events.out.tfevents.1.tilework").write_bytes(b"")
    log = EventLog(tmp_path, HISTORY)
    assert {path.name for path in tmp_path.iterdir()} == {"events.out.tfevents.1.elsewhere", log.path.name}
    assert len(list(records(log.path))) == 1 + len(HISTORY)


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"must be a path that can be written, not one with 'No such file"):
        EventLog(tmp_path / "none", [])
