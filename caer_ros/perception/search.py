# SPDX-License-Identifier: Apache-2.0
"""Where in a camera's images faces are looked for: near known ones, everywhere, and far away.

The detector shrinks what it is given to its own size, so a search of the whole image sees no
further in a better image. Three kinds of region take turns instead:

- a crop around each face that is followed, in every image, for a sixth of the work;
- the whole image every `WHOLE_PERIOD`, and at once where a followed face is missed;
- tiles, shrunk by less, all within `TILES_PERIOD`, for people far away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np

from caer_ros.perception.boxes import corners, iou
from caer_ros.types import SECOND, Face

WHOLE_PERIOD = SECOND // 10
TILES_PERIOD = SECOND // 2

CROP_FACES = 2.5
"""Edge of the crop around a followed face, in lengths of the face's longer side."""

SAME_FACE_IOU = 0.3
"""Boxes that overlap by more belong to one face (MediaPipe's value for BlazeFace)."""


class Region(NamedTuple):
    """A part of an image in whole pixels, and what it is: `whole`, `tile` or `crop`."""

    kind: str
    x1: int
    y1: int
    x2: int
    y2: int


class Detector(Protocol):
    """What the search needs of a `FaceDetector`; the attributes are described there."""

    inputs: Mapping[str, tuple[int, int]]
    sure: float

    @property
    def least(self) -> float: ...

    def detect(self, image: np.ndarray, region: Region | None = None) -> list[Face]: ...


class FaceSearch:
    """The search of one camera's images, all of one size."""

    def __init__(self, width: int, height: int, detector: Detector) -> None:
        self._detector = detector
        self._whole = Region("whole", 0, 0, width, height)
        columns, rows = detector.inputs["whole"]
        self._seen_in_whole = detector.sure * max(width / columns, height / rows)
        self._tiles = split(width, height, detector) if self._is_far() else []
        work = {kind: math.prod(size) for kind, size in detector.inputs.items()}
        # twice the share of the work: each crop has to be cut and merged too
        self._most_crops = work["whole"] // work["crop"] // 2
        self._turn = 0
        self._whole_stamp: int | None = None
        self._tiles_stamp: int | None = None

    def _is_far(self) -> bool:
        return self._seen_in_whole > self._detector.least

    def find(self, image: np.ndarray, stamp: int, followed: Sequence[Face]) -> list[Face]:
        """Return the faces in `image`, the largest first.

        Every face of `followed`, where known ones are expected, is looked for; a new one is found
        when its part of the image has its turn. Stamps must not fall.
        """
        large = [face for face in followed if _length(face) >= self._seen_in_whole]
        small = [face for face in followed if _length(face) < self._seen_in_whole]
        crowd = len(large) > self._most_crops
        found: list[Face] = []
        for face in small if crowd else followed:
            self._look(image, self._crop(face), found)
        missed = not crowd and len(apart(large, found)) > 0
        last = self._whole_stamp
        if crowd or missed or last is None or stamp - last >= WHOLE_PERIOD:
            self._whole_stamp = stamp
            self._look(image, self._whole, found)
        for tile in self._due_tiles(stamp):
            self._look(image, tile, found)
        return sorted(found, key=lambda face: (-face.width * face.height, face.x1, face.y1))

    def _look(self, image: np.ndarray, region: Region, found: list[Face]) -> None:
        """Add to `found` what the region shows; of several finds of one face the surest stays."""
        for face in self._detector.detect(image, region):
            others = apart(found, [face])
            surest = max((o.score for o in found if o not in others), default=0.0)
            if face.score > surest:
                found[:] = [*others, face]

    def _due_tiles(self, stamp: int) -> list[Region]:
        """Return the tiles whose turn it is: all in the first image, then as time goes on."""
        if not self._tiles:
            return []
        count = len(self._tiles)
        period = TILES_PERIOD // count
        if self._tiles_stamp is None or stamp - self._tiles_stamp >= TILES_PERIOD:
            self._tiles_stamp = stamp
        else:
            count = (stamp - self._tiles_stamp) // period
            self._tiles_stamp += count * period
        due = [self._tiles[(self._turn + i) % len(self._tiles)] for i in range(count)]
        self._turn = (self._turn + count) % len(self._tiles)
        return due

    def _crop(self, face: Face) -> Region:
        """Return the square around `face`, as far as it is inside the image."""
        half = CROP_FACES * max(_length(face), 1.0) / 2
        x, y = (face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2
        width, height = self._whole.x2, self._whole.y2
        x1, x2 = (min(max(round(v), 0), width) for v in (x - half, x + half))
        y1, y2 = (min(max(round(v), 0), height) for v in (y - half, y + half))
        return Region("crop", x1, y1, x2, y2)


def split(width: int, height: int, detector: Detector) -> list[Region]:
    """Return the tiles of an image in which the least faces wanted are found.

    They overlap by as much as a face has to have to be found in the whole image, so that every
    smaller face is in one of them undivided.
    """
    columns, rows = detector.inputs["whole"]
    overlap = detector.sure * max(width / columns, height / rows)
    scale = detector.least / detector.sure
    spans = []
    for length, size in zip((width, height), detector.inputs["tile"], strict=True):
        most = size * scale
        # a tile that is hardly larger than its overlap would make no way
        step = max(most - overlap, most / 2)
        count = max(1, math.ceil((length - most) / step) + 1)
        edge = min(length, math.ceil(most))
        starts = [round(i * (length - edge) / max(count - 1, 1)) for i in range(count)]
        spans.append([(start, start + edge) for start in starts])
    return [Region("tile", x1, y1, x2, y2) for (y1, y2), (x1, x2) in product(spans[1], spans[0])]


def apart(faces: Sequence[Face], others: Sequence[Face]) -> list[Face]:
    """Return those of `faces` that are none of `others`."""
    overlap = iou(corners(faces), corners(others)).max(axis=1, initial=0.0)
    return [face for face, most in zip(faces, overlap, strict=True) if most <= SAME_FACE_IOU]


def _length(face: Face) -> float:
    return max(face.width, face.height)
