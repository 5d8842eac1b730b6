# SPDX-License-Identifier: Apache-2.0
"""The faces of a data set, found once with the project's own detector and kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.paths import cache_folder
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.training.datasets.media import read_frames
from caer_ros.training.examples import DataError
from caer_ros.types import CaerError, Face


class FaceFinder:
    """Finds faces in pictures and videos, and keeps them in a file for the next time.

    A file is known again by its path, size and time of change, and by the detector's settings.
    What a killed process had found is kept; several processes may share the cache.
    """

    def __init__(self, cache: Path | None = None) -> None:
        """Open the cache, by default `~/.cache/caer_ros/faces.sqlite`; make it where missing.

        Raises:
            PathError, DataError: where the cache cannot be written.
        """
        cache = cache or cache_folder() / "faces.sqlite"
        self._path = cache
        self._detector: FaceDetector | None = None
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            self._cache = sqlite3.connect(cache, timeout=60, isolation_level=None)
            self._cache.execute("PRAGMA synchronous = OFF")
            self._cache.execute("CREATE TABLE IF NOT EXISTS files (key PRIMARY KEY, found)")
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"cannot keep found faces in {cache}: {error}") from error

    def find(self, path: Path) -> list[list[Face]]:
        """Return the faces in each frame of a picture or video (`read_frames`).

        Raises:
            DataError: where nothing can be decoded.
            CaerError: where the cache broke or its disk is full.
        """
        # what is kept of a face changes with its fields
        what = f"{DetectorSettings()} by name {[field.name for field in fields(Face)]}"
        found = self._remember(path, what, self._detect)
        return [[Face(**values) for values in frame] for frame in found]

    def count_frames(self, path: Path) -> int:
        """Return how many frames `read_frames` gives; raises what it raises."""
        return self._remember(path, "frames", lambda frames: len(frames))

    def _detect(self, frames: list[np.ndarray]) -> list[list[dict[str, Any]]]:
        if self._detector is None:
            self._detector = FaceDetector(DetectorSettings())
        return [[asdict(face) for face in self._detector.detect(frame)] for frame in frames]

    def _remember(self, path: Path, what: str, find: Callable[[list[np.ndarray]], Any]) -> Any:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        key = json.dumps([str(path.resolve()), stat.st_size, stat.st_mtime_ns, what])
        try:
            row = self._cache.execute("SELECT found FROM files WHERE key = ?", (key,)).fetchone()
            if row:
                return json.loads(row[0])
            found = find(read_frames(path))
            row = (key, json.dumps(found))
            self._cache.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", row)
        # not a DataError: the picture is not to blame
        except sqlite3.Error as error:
            raise CaerError(f"cannot keep found faces in {self._path}: {error}") from error
        return found

    def close(self) -> None:
        """Close the cache and the detector."""
        self._cache.close()
        if self._detector is not None:
            self._detector.close()


def main_face(found: Sequence[Sequence[Face]]) -> tuple[Face, ...] | None:
    """Return one person's box in each frame, or None where no frame has a face.

    The person is whose face is the largest of all; from there it is followed to both ends by
    overlap. Where it is missed its box is interpolated between the frames that have it, and held
    before the first and after the last.
    """
    start = max(range(len(found)), key=lambda i: max(map(_area, found[i]), default=0.0))
    if not found[start]:
        return None
    known = {start: max(found[start], key=_area)}
    for frames in (range(start + 1, len(found)), range(start - 1, -1, -1)):
        last = known[start]
        for index in frames:
            overlap = iou(corners(found[index]), corners([last]))[:, 0]
            if overlap.any():
                known[index] = last = found[index][int(overlap.argmax())]
    at = sorted(known)
    boxes = corners([known[index] for index in at])
    x1, y1, x2, y2 = (np.interp(range(len(found)), at, column) for column in boxes.T)
    return tuple(
        known.get(i) or Face(float(x1[i]), float(y1[i]), float(x2[i]), float(y2[i]), score=0.0)
        for i in range(len(found))
    )


def _area(face: Face) -> float:
    return face.width * face.height
