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
from caer_ros.types import LABELS, SECOND, FrameResult, Reading

BINS = 1200
"""Most points a person's curves have; with more, pairs are joined."""

CHANGES = 500
"""Most label changes the table lists."""

MOMENTS = 48
"""Most moments shown with attention map or picture; with more, every second one is left out."""

_WIDTH = SECOND // 50
"""Width of a bin at first, in ns: as fine as the fastest cameras."""

_SAMPLE = np.dtype(
    [("count", "f4"), ("values", "f4", len(LABELS) + 2), ("labels", "f4", len(LABELS))]
)


class Recorder:
    """What the report draws, kept while the bag goes by in memory that does not grow with it.

    pictures: whether small pictures are kept of the moments that are shown.
    """

    def __init__(self, pictures: bool) -> None:
        self._pictures = pictures
        self._origin: int | None = None
        self._end = 0
        self._width = _WIDTH
        self._series: dict[str, dict[int, np.ndarray]] = {}
        self._standing: dict[str, tuple[int, Sequence[Reading]]] = {}
        self._labels: dict[str, int] = {}
        self._changes: list[dict[str, Any]] = []
        self._change_count = 0
        self._moments: list[dict[str, Any]] = []
        self._moment_count = 0
        self._stride = 1

    @property
    def duration(self) -> float:
        """Seconds from the first stamp to the last."""
        return self._end / SECOND

    def answer(self, result: FrameResult, image: np.ndarray) -> None:
        """Take in the answer to a frame, and the frame's image, uint8 BGR (height, width, 3)."""
        self._origin = result.stamp if self._origin is None else self._origin
        now = max(0, result.stamp - self._origin)
        self._end = max(self._end, now)
        while self._end // self._width >= BINS:
            self._join()
        before, standing = self._standing.get(result.camera, (now, ()))
        self._standing[result.camera] = now, result.readings
        # a reading stands until its camera's next frame
        for index in range(before // self._width + 1, now // self._width):
            self._add(index, standing)
        self._add(now // self._width, result.readings)
        for reading in result.readings:
            label = self._labels.get(reading.person_id)
            if label != reading.emotion:
                self._labels[reading.person_id] = reading.emotion
                self._change(now, reading, label, image)

    def _add(self, index: int, readings: Sequence[Reading]) -> None:
        for reading in readings:
            series = self._series.setdefault(reading.person_id, {})
            sample = series.setdefault(index, np.zeros((), _SAMPLE))
            weights = reading.face_weight, reading.context_weight
            sample["count"] += 1
            sample["values"] += (*reading.probabilities, *weights)
            sample["labels"][reading.emotion] += 1

    def _join(self) -> None:
        self._width *= 2
        for person, series in self._series.items():
            joined: dict[int, np.ndarray] = {}
            for index, sample in series.items():
                into = joined.setdefault(index // 2, np.zeros((), _SAMPLE))
                for name in _SAMPLE.names or ():
                    into[name] += sample[name]
            self._series[person] = joined

    def _change(self, now: int, reading: Reading, before: int | None, image: np.ndarray) -> None:
        """Note that a person appeared, or got another label."""
        change = {
            "time": now / SECOND,
            "person": reading.person_id,
            "before": None if before is None else LABELS[before],
            "label": reading.emotion.label,
            "confidence": round(reading.confidence, 3),
        }
        self._change_count += 1
        if len(self._changes) < CHANGES:
            self._changes.append(change)
        if reading.attention is None and not self._pictures:
            return
        if self._moment_count % self._stride == 0:
            height, width = image.shape[:2]
            face = reading.face.pixels(width, height)
            moment = change | {"size": [width, height], "face": face}
            if reading.attention is not None:
                moment["attention"] = np.round(reading.attention, 4).tolist()
            if self._pictures:
                moment["picture"] = _thumbnail(image)
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
            values = np.round(1000 * sample["values"] / sample["count"]).astype(int)
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
