# SPDX-License-Identifier: Apache-2.0
"""Where in a camera's images faces are looked for: near known ones, everywhere, and far away.

The detector shrinks what it is given to its own size, so a search of the whole image sees no
further in a better image. Its time is shared out instead:

- Who is followed is looked for in every image, in the regions that cost least: the whole image
  shrunk to half of what the detector was made for, where they are large; a crop around a face; the
  whole image or a tile of it, where that shows several.
- Newcomers are looked for in the whole image and, for those far away, in tiles of it, one of these
  after the other. Those go first whose part of the image changed since they were searched, and the
  others rest for `REST`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np

from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.change import ChangeMap
from caer_ros.types import SECOND, Face

SEARCH_PERIOD = SECOND // 15
"""Time from one search for newcomers to the next, as long as something changes; shorter where
`ROUND` asks for it."""

ROUND = SECOND // 2
"""Time in which all of an image that changes is searched."""

REST = 2 * SECOND
"""Time after which also what did not change is searched."""

PAUSE = SECOND // 20
"""Time for which persons who keep still need not be looked for again."""

CROP_FACES = 2.5
"""Height of the crop around a followed face, in lengths of the face's longer side."""

ROOM = 0.5
"""What a region has to show around a followed face on each side, in lengths of the face."""

OVERHEAD = 10_000
"""What a look at any region costs beside the network, in pixels of the network's input."""

SAME_FACE_IOU = 0.3
"""Boxes that overlap by more belong to one face (MediaPipe's value for BlazeFace)."""


class Region(NamedTuple):
    """A part of an image in whole pixels, and how it is looked at.

    kind: `whole`, `tile`, `coarse` (the whole, shrunk by twice as much) or `crop`.
    """

    kind: str
    x1: int
    y1: int
    x2: int
    y2: int


class Detector(Protocol):
    """What the search needs of a `FaceDetector`; the attributes are described there."""

    inputs: Mapping[str, tuple[int, int]]
    sure: float
    clear: float

    @property
    def least(self) -> float: ...

    def detect(self, image: np.ndarray, region: Region | None = None) -> list[Face]: ...


class FaceSearch:
    """The search of one camera's images, all of one size."""

    def __init__(self, width: int, height: int, detector: Detector) -> None:
        self._detector = detector
        self._whole = Region("whole", 0, 0, width, height)
        self._coarse = Region("coarse", 0, 0, width, height)
        self._found_in_whole = detector.sure * self._scale(self._whole)
        far = self._found_in_whole > detector.least
        self._tiles = split(width, height, detector) if far else []
        self._change = ChangeMap(width, height, detector.least * 2 / 3)
        # when each was searched, the one that was searched first in front
        self._searched: dict[Region, int | None] = dict.fromkeys([self._whole, *self._tiles])
        self._period = min(SEARCH_PERIOD, ROUND // len(self._searched))
        # time of which no search made use yet, and when the last image came
        self._saved = 0
        self._stamp: int | None = None

    def rests(self, stamp: int, calm: bool) -> bool:
        """Tell whether this image need not be searched; calm: who is followed keeps still."""
        return calm and self._stamp is not None and stamp - self._stamp < PAUSE

    def find(self, image: np.ndarray, stamp: int, followed: Sequence[Face]) -> list[Face]:
        """Return the faces in `image`, the largest first.

        Every face of `followed`, where known ones are expected, is looked for; a new one is found
        when its part of the image has its turn. Stamps must not fall.
        """
        self._change.look(image, followed)
        regions = self._due(stamp)
        regions += self._cover(followed, regions)
        found: list[Face] = []
        for region in regions:
            self._look(image, region, found)
        large = [face for face in followed if _length(face) >= self._found_in_whole]
        if self._whole not in regions and apart(large, found):
            self._look(image, self._whole, found)
        return sorted(found, key=lambda face: (-face.width * face.height, face.x1, face.y1))

    def _look(self, image: np.ndarray, region: Region, found: list[Face]) -> None:
        """Add to `found` what the region shows; of several finds of one face the surest stays."""
        for face in self._detector.detect(image, region):
            others = apart(found, [face])
            surest = max((o.score for o in found if o not in others), default=0.0)
            if face.score > surest:
                found[:] = [*others, face]

    def _due(self, stamp: int) -> list[Region]:
        """Return where newcomers are looked for now: everywhere in the first image."""
        count = len(self._searched)
        if self._stamp is not None:
            elapsed = stamp - self._stamp
            self._saved = min(self._saved + elapsed, max(2 * self._period, elapsed))
            count = min(self._saved // self._period, max(elapsed // self._period, 1))
        self._stamp = stamp
        due: list[Region] = []
        for region, last in list(self._searched.items()):
            if len(due) == count:
                break
            if last is None or stamp - last >= REST or self._change.changed(region[1:]):
                due.append(region)
                del self._searched[region]
                self._searched[region] = stamp
                self._change.searched(region[1:])
        self._saved = max(self._saved - len(due) * self._period, 0)
        return due

    def _cover(self, followed: Sequence[Face], chosen: Iterable[Region]) -> list[Region]:
        """Return the regions that, beside those `chosen`, show all of `followed` for the least.

        That one is taken which costs least for each face that it shows, until all are shown
        (Chvátal 1979).
        """
        left = list(followed)
        for region in chosen:
            left = [face for face in left if not self._shows(region, face)]
        cover: list[Region] = []
        while left:
            # a tile costs as much as three crops
            shared = [self._coarse, self._whole, *(self._tiles if len(left) > 2 else ())]
            shown = {region: [f for f in left if self._shows(region, f)] for region in shared}
            shown |= {self._crop(face): [face] for face in left}
            best = max(shown, key=lambda region: len(shown[region]) / self._cost(region))
            cover.append(best)
            left = [face for face in left if face not in shown[best]]
        return cover

    def _cost(self, region: Region) -> int:
        return math.prod(self._detector.inputs[region.kind]) + OVERHEAD

    def _scale(self, region: Region) -> float:
        """Return by how much a region is shrunk for the detector."""
        columns, rows = self._detector.inputs[region.kind]
        return max((region.x2 - region.x1) / columns, (region.y2 - region.y1) / rows)

    def _shows(self, region: Region, face: Face) -> bool:
        """Tell whether a region shows a followed face clearly, and undivided."""
        if _length(face) < self._detector.clear * self._scale(region):
            return False
        room = ROOM * _length(face)
        width, height = self._whole[3:]
        return (
            (region.x1 == 0 or region.x1 <= face.x1 - room)
            and (region.y1 == 0 or region.y1 <= face.y1 - room)
            and (region.x2 == width or region.x2 >= face.x2 + room)
            and (region.y2 == height or region.y2 >= face.y2 + room)
        )

    def _crop(self, face: Face) -> Region:
        """Return the part of the image around `face` that fills the detector's input."""
        columns, rows = self._detector.inputs["crop"]
        half_y = CROP_FACES * max(_length(face), 1.0) / 2
        half_x = half_y * columns / rows
        x, y = (face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2
        width, height = self._whole[3:]
        x1, x2 = (min(max(round(v), 0), width) for v in (x - half_x, x + half_x))
        y1, y2 = (min(max(round(v), 0), height) for v in (y - half_y, y + half_y))
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
