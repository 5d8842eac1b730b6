# SPDX-License-Identifier: Apache-2.0
"""report.html: one page, without network, of what was perceived when."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from caer_ros.drawing import COLOURS
from caer_ros.perception.crops import SCENE_CROP, SCENE_HEIGHT, SCENE_WIDTH
from caer_ros.replay.stream import Change, Sink, Step
from caer_ros.types import LABELS, SECOND, Reading

BINS = 1200
"""Most points a person's curves have; with more, pairs are joined."""

CHANGES = 500
"""Most label changes the table lists."""

MOMENTS = 48
"""Most moments shown with attention map or picture; with more, every second one is left out."""

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
        self._moments: list[dict[str, Any]] = []
        self._moment_count = 0
        self._stride = 1

    def take(self, step: Step) -> None:
        """Take in a frame's answer."""
        while step.time // self._width >= BINS:
            self._join()
        for span in step.spans:
            self._stand(span.begin, span.end, span.readings)
        # a reading is seen even where it stands for no time
        self._stand(step.time, step.time + 1, step.result.readings)
        for change in step.changes:
            self._change(step, change)

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

    def _change(self, step: Step, change: Change) -> None:
        """Note that a person appeared, or got another label."""
        reading, result = change.reading, step.result
        note = {
            "time": step.time / SECOND,
            "person": reading.person_id,
            "before": None if change.before is None else change.before.label,
            "label": reading.emotion.label,
            "confidence": round(reading.confidence, 3),
        }
        self._change_count += 1
        if len(self._changes) < CHANGES:
            self._changes.append(note)
        if reading.attention is None and not self._pictures:
            return
        if self._moment_count % self._stride == 0:
            face = reading.face.pixels(result.width, result.height)
            moment = note | {"size": [result.width, result.height], "face": face}
            if reading.attention is not None:
                moment["attention"] = np.round(reading.attention, 4).tolist()
            if self._pictures:
                moment["picture"] = _thumbnail(step.image.pixels)
            self._moments.append(moment)
        self._moment_count += 1
        if len(self._moments) > MOMENTS:
            self._moments = self._moments[::2]
            self._stride *= 2

    def data(self) -> dict[str, Any]:
        """Return all of it as plain values; shares are in thousandths."""
        return {
            "bin": self._width / SECOND,
            "series": {name: _plain(series) for name, series in self._series.items()},
            "changes": self._changes,
            "change_count": self._change_count,
            "moments": self._moments,
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


def _thumbnail(image: np.ndarray) -> str:
    """Return an image of at most 320 pixels width as a data URL."""
    height, width = image.shape[:2]
    scale = min(1.0, 320 / width)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def write_report(path: Path, summary: dict[str, Any], recorder: Recorder) -> None:
    """Write the page for a replay's summary and what was recorded of it."""
    colours = {
        label: f"#{red:02x}{green:02x}{blue:02x}"
        for label, (blue, green, red) in zip(LABELS, COLOURS, strict=True)
    }
    data = {
        "summary": summary,
        "colours": colours,
        # the part of the frame that the context stream sees
        "scene": [SCENE_CROP / SCENE_WIDTH, SCENE_CROP / SCENE_HEIGHT],
        **recorder.data(),
    }
    # the one sequence that could end the script element early
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    page = (Path(__file__).parent / "report.html").read_text(encoding="utf-8")
    path.write_text(page.replace("{{data}}", text), encoding="utf-8")
