# SPDX-License-Identifier: Apache-2.0
"""report.html: one page, without network, of what was perceived when."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from caer_ros.replay.page import report_page
from caer_ros.replay.stream import Change, Sink, Step
from caer_ros.types import LABELS, SECOND, Reading

BINS = 1200
"""Most points a person's curves have; with more, pairs are joined."""

CHANGES = 500
"""Most label changes the table lists."""

FRAMES = 600
"""Most images a camera's picture or attention is kept of, one a second; with more, every second
one is left out."""

PICTURES = 7_000_000
"""Most bytes of those pictures; with more, every second one is left out."""

RUNS = 200
"""Most runs of one label that a person's strip has."""

_WIDTH = SECOND // 50
"""Width of a bin at first, in ns: as fine as the fastest cameras."""

_SAMPLE = np.dtype(
    [("time", "f8"), ("values", "f8", len(LABELS) + 2), ("labels", "f8", len(LABELS))]
)
"""A bin: seconds for which the person's readings stood in it, and what they said, times that."""


class Recorder(Sink):
    """What the report draws, kept while the bag goes by in memory that does not grow with it.

    pictures: whether small pictures are kept of the moments that are shown.
    """

    def __init__(self, pictures: bool) -> None:
        self._pictures = pictures
        self._width = _WIDTH
        self._series: dict[str, dict[int, np.ndarray]] = {}
        self._changes: list[dict[str, Any]] = []
        self._change_count = 0
        self._frames: list[dict[str, Any]] = []
        self._seconds = 1
        self._next: dict[str, int] = {}
        self._faces: dict[str, tuple[float, str]] = {}

    def take(self, step: Step) -> None:
        """Take in a frame's answer."""
        while step.time // self._width >= BINS:
            self._join()
        for span in step.spans:
            self._stand(span.begin, span.end, span.readings)
        # a reading is seen even where it stands for no time
        self._stand(step.time, step.time + 1, step.result.readings)
        for change in step.changes:
            self._change(step.time, change)
        if step.time >= self._next.get(step.result.camera, 0):
            self._frame(step)

    def _stand(self, begin: int, end: int, readings: Sequence[Reading]) -> None:
        """Add what stood from `begin` to `end`, in ns, to the bins between."""
        for reading in readings:
            series = self._series.setdefault(reading.person_id, {})
            values = np.array(
                (*reading.probabilities, reading.face_weight, reading.context_weight)
            )
            for index in range(begin // self._width, (end - 1) // self._width + 1):
                sample = series.setdefault(index, np.zeros((), _SAMPLE))
                left = max(begin, index * self._width)
                share = (min(end, (index + 1) * self._width) - left) / SECOND
                sample["time"] += share
                sample["values"] += share * values
                sample["labels"][reading.emotion] += share

    def _join(self) -> None:
        self._width *= 2
        for person, series in self._series.items():
            joined: dict[int, np.ndarray] = {}
            for index, sample in series.items():
                into = joined.setdefault(index // 2, np.zeros((), _SAMPLE))
                for name in _SAMPLE.names or ():
                    into[name] += sample[name]
            self._series[person] = joined

    def _change(self, time: int, change: Change) -> None:
        """Note that a person appeared, or got another label."""
        self._change_count += 1
        if len(self._changes) < CHANGES:
            self._changes.append(
                {
                    "time": time / SECOND,
                    "person": change.reading.person_id,
                    "before": None if change.before is None else change.before.label,
                    "label": change.reading.emotion.label,
                    "confidence": round(change.reading.confidence, 3),
                }
            )

    def _frame(self, step: Step) -> None:
        """Keep where the faces were, where the network looked and, if wanted, a small picture."""
        result, pixels = step.result, step.image.pixels
        period = self._seconds * SECOND
        self._next[result.camera] = (step.time // period + 1) * period
        faces = []
        for reading in result.readings:
            box = reading.face.pixels(result.width, result.height)
            face: dict[str, Any] = {"person": reading.person_id, "box": box}
            if reading.attention is not None:
                most = max(float(reading.attention.max()), 1e-9)
                face["attention"] = np.round(99 * reading.attention / most).astype(int).tolist()
            faces.append(face)
            if self._pictures:
                self._keep_face(reading, pixels)
        if not self._pictures and not any("attention" in face for face in faces):
            return
        size = [result.width, result.height]
        frame = {"time": step.time / SECOND, "camera": result.camera, "size": size, "faces": faces}
        if self._pictures:
            frame["picture"] = _picture(pixels, 240)
        self._frames.append(frame)
        size_of_all = sum(len(frame.get("picture", "")) for frame in self._frames)
        if len(self._frames) > FRAMES or size_of_all > PICTURES:
            self._frames = self._frames[::2]
            self._seconds *= 2

    def _keep_face(self, reading: Reading, pixels: np.ndarray) -> None:
        """Keep the best picture of a person's face: a large one, surely found."""
        height, width = pixels.shape[:2]
        x1, y1, x2, y2 = reading.face.pixels(width, height)
        worth = (x2 - x1) * (y2 - y1) * reading.face.score * reading.detected
        if worth > 1.2 * self._faces.get(reading.person_id, (0.0, ""))[0]:
            self._faces[reading.person_id] = worth, _picture(pixels[y1:y2, x1:x2], 96)

    def presence(self) -> dict[str, list[list[float]]]:
        """Return for each person the runs of one label: begin and end in s, index of the label."""
        return {name: self._runs(series) for name, series in self._series.items()}

    def _runs(self, series: dict[int, np.ndarray]) -> list[list[float]]:
        width = self._width / SECOND
        join = 0.0
        while True:
            runs: list[list[float]] = []
            for index in sorted(series):
                label = int(series[index]["labels"].argmax())
                begin = index * width
                near = bool(runs) and begin - runs[-1][1] <= join + width / 2
                if near and (runs[-1][2] == label or runs[-1][1] - runs[-1][0] < join):
                    runs[-1][1] = begin + width
                else:
                    runs.append([begin, begin + width, label])
            if len(runs) <= RUNS:
                return [[round(begin, 3), round(end, 3), label] for begin, end, label in runs]
            # what is too short to be seen is drawn into the run before
            join = 2 * join + width

    def data(self) -> dict[str, Any]:
        """Return all of it as plain values; shares are in thousandths."""
        return {
            "bin": self._width / SECOND,
            "series": {name: _plain(series) for name, series in self._series.items()},
            "changes": self._changes,
            "change_count": self._change_count,
            "frames": self._frames,
            "faces": {name: picture for name, (_, picture) in self._faces.items()},
        }


def _plain(series: dict[int, np.ndarray]) -> dict[str, Any]:
    """Return a person's bins from the first to the last, nulls where there is no reading."""
    first, last = min(series), max(series)
    bins: list[list[int] | None] = []
    for index in range(first, last + 1):
        sample = series.get(index)
        if sample is None:
            bins.append(None)
        else:
            values = np.round(1000 * sample["values"] / sample["time"]).astype(int)
            bins.append([int(sample["labels"].argmax()), *values.tolist()])
    return {"first": first, "bins": bins}


def _picture(image: np.ndarray, most: int) -> str:
    """Return an image of at most `most` pixels width as a data URL."""
    height, width = image.shape[:2]
    scale = min(1.0, most / width)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def write_report(path: Path, summary: dict[str, Any], recorder: Recorder) -> None:
    """Write the page for a replay's summary and what was recorded of it."""
    path.write_text(report_page(summary, recorder.data()), encoding="utf-8")
