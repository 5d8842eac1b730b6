# SPDX-License-Identifier: Apache-2.0
"""timeline.csv: one row per person and message."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from caer_ros.files import whole_file
from caer_ros.replay.stream import Sink, Step
from caer_ros.types import SECOND, CaerError, FrameResult

FLUSH = 1.0
"""Seconds after which rows are in the file, though hidden: what a killed process leaves."""


class TimelineError(CaerError):
    """A timeline that cannot be read."""


class Row(NamedTuple):
    """One person at one stamp (ns); confidence and weights are 0 to 1."""

    stamp: int
    person_id: str
    label: str
    confidence: float
    face_weight: float
    context_weight: float


def rows(result: FrameResult) -> Iterator[Row]:
    """Yield the rows of one frame."""
    for r in result.readings:
        label, weights = r.emotion.label, (r.face_weight, r.context_weight)
        yield Row(result.stamp, r.person_id, label, r.confidence, *weights)


class TimelineWriter(Sink):
    """Write a timeline.csv that appears under `path` only once it is closed.

    A context manager; an exception leaves nothing behind. With `untrained` weights (a random
    initialisation) the file's first line is a comment that says so.

    Raises:
        FileError: where it cannot be written, naming why.
    """

    def __init__(self, path: Path, untrained: bool = False) -> None:
        self._whole = whole_file(path)
        self._untrained = untrained
        self._flushed = -FLUSH

    def take(self, step: Step) -> None:
        """Write the rows of a replay's step."""
        for row in rows(step.result):
            self.write(row)
        if time.monotonic() > self._flushed + FLUSH:
            self._file.flush()
            self._flushed = time.monotonic()

    def write(self, row: Row) -> None:
        """Write `row`: stamp in seconds with nine digits, values with four."""
        stamp = f"{row.stamp // SECOND}.{row.stamp % SECOND:09d}"
        values = (f"{value:.4f}" for value in row[3:])
        self._csv.writerow((stamp, row.person_id, row.label, *values))

    def __enter__(self) -> TimelineWriter:
        file = self._file = self._whole.__enter__()
        if self._untrained:
            file.write("# untrained weights (random initialisation): labels mean nothing\n")
        self._csv = csv.writer(file, lineterminator="\n")
        self._csv.writerow(Row._fields)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._whole.__exit__(*exception)


def read_timeline(path: Path) -> Iterator[Row]:
    """Yield the rows of a timeline.csv.

    Raises:
        TimelineError: naming the line that is not a row.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(line for line in file if not line.startswith("#"))
        if tuple(next(lines, ())) != Row._fields:
            raise TimelineError(f"{path} has not the columns {','.join(Row._fields)}")
        for line in lines:
            try:
                seconds, nanoseconds = line[0].split(".")
                stamp = int(seconds) * SECOND + int(nanoseconds.ljust(9, "0"))
                values = [float(value) for value in line[3:]]
                yield Row(stamp, line[1], line[2], *values)
            except (ValueError, TypeError, IndexError) as error:
                raise TimelineError(f"{path}: {line} is not a row ({error})") from error
