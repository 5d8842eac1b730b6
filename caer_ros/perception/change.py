# SPDX-License-Identifier: Apache-2.0
"""Which parts of a camera's images look otherwise than they did when they were last searched."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from caer_ros.types import Face

SAMPLES = 4
"""Pixels, across and down, that a cell's brightness is the mean of."""

NOTICED = 16
"""Difference of a cell's brightness, of 255, that is more than a camera's noise."""

OWN = 0.5
"""What moves around a followed face of itself, on each side, in lengths of the face."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


class ChangeMap:
    """The brightness of an image in cells, beside what it was when each part was searched."""

    def __init__(self, width: int, height: int, cell: float) -> None:
        """Divide images of this size into cells of about `cell` pixels on each side."""
        self._step = max(round(cell / SAMPLES), 1)
        edge = self._step * SAMPLES
        self._columns, self._rows = max(width // edge, 1), max(height // edge, 1)
        self._scale = self._columns / width, self._rows / height
        self._now = np.zeros((self._rows, self._columns), np.int16)
        self._own = np.zeros((self._rows, self._columns), bool)
        self._then: dict[Box, np.ndarray] = {}

    def look(self, image: np.ndarray, followed: Sequence[Face]) -> None:
        """Take in the next image, a uint8 BGR one; what `followed` do there is no change."""
        green = np.ascontiguousarray(image[:: self._step, :: self._step, 1])
        self._now = cv2.resize(
            green, (self._columns, self._rows), interpolation=cv2.INTER_AREA
        ).astype(np.int16)
        self._own[:] = False
        for face in followed:
            room = OWN * max(face.width, face.height)
            box = face.x1 - room, face.y1 - room, face.x2 + room, face.y2 + room
            self._own[self._part(box)] = True

    def changed(self, box: Box) -> bool:
        """Tell whether a part that was searched looks otherwise now; one that was not, does."""
        then = self._then.get(box)
        if then is None:
            return True
        part = self._part(box)
        different = np.abs(self._now[part] - then) >= NOTICED
        return bool((different & ~self._own[part]).any())

    def searched(self, box: Box) -> None:
        """Keep what a part looks like now, in which it is searched."""
        self._then[box] = self._now[self._part(box)]

    def _part(self, box: Box) -> tuple[slice, slice]:
        """Return the rows and columns of the cells that a box touches."""
        x, y = self._scale
        return (
            slice(max(int(box[1] * y), 0), max(int(np.ceil(box[3] * y)), 0)),
            slice(max(int(box[0] * x), 0), max(int(np.ceil(box[2] * x)), 0)),
        )
