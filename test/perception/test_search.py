# SPDX-License-Identifier: Apache-2.0
"""Where faces are looked for, and that people far away are found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from caer_ros.demo.material import GROUP
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.detector import BLAZEFACE_INPUTS, DetectorSettings, FaceDetector
from caer_ros.perception.search import (
    TILES_PERIOD,
    WHOLE_PERIOD,
    FaceSearch,
    Region,
    apart,
    split,
)
from caer_ros.types import SECOND, Face
from caer_ros.video import read_picture

SIZES = [(640, 480), (480, 640), (1280, 720), (1920, 1080), (3840, 2160), (1920, 300)]
IMAGE = np.zeros((480, 640, 3), np.uint8)


class Recorder:
    """A detector that finds the given faces wherever it looks, and keeps the regions."""

    inputs = BLAZEFACE_INPUTS
    sure = 14.0
    least = 24.0

    def __init__(self, *faces: Face) -> None:
        self.faces = faces
        self.regions: list[Region] = []

    def detect(self, image: np.ndarray, region: Region | None = None) -> list[Face]:
        assert region is not None
        self.regions.append(region)
        return [
            face
            for face in self.faces
            if region.x1 <= face.x1 < face.x2 <= region.x2
            and region.y1 <= face.y1 < face.y2 <= region.y2
        ]

    def kinds(self) -> list[str]:
        """Return what was looked at since the last call."""
        kinds = [region.kind for region in self.regions]
        self.regions.clear()
        return kinds


@pytest.mark.parametrize("size", SIZES)
def test_each_face_too_small_for_the_whole_is_undivided_in_a_tile(size: tuple[int, int]) -> None:
    detector = Recorder()
    tiles = np.array([tile[1:] for tile in split(*size, detector)])
    width, height = size
    assert (tiles >= 0).all()
    assert (tiles[:, 2:] <= size).all()
    columns, rows = detector.inputs["whole"]
    longest = int(detector.sure * max(width / columns, height / rows))
    rng = np.random.default_rng(0)
    for _ in range(500):
        x, y = rng.integers(width - longest + 1), rng.integers(height - longest + 1)
        inside = (tiles[:, :2] <= [x, y]) & (tiles[:, 2:] >= [x + longest, y + longest])
        assert inside.all(axis=1).any()
    # none has to be shrunk by more than the least faces allow
    most = np.array(detector.inputs["tile"]) * detector.least / detector.sure
    assert (tiles[:, 2:] - tiles[:, :2] <= np.ceil(most)).all()


def test_an_image_that_the_whole_shows_well_enough_has_no_tiles() -> None:
    detector = Recorder()
    FaceSearch(320, 240, detector).find(IMAGE[:240, :320], 0, [])
    assert detector.kinds() == ["whole"]


def test_a_followed_face_is_looked_for_in_every_image_and_all_else_in_turn() -> None:
    face = Face(100, 100, 200, 200)
    detector = Recorder(face)
    search = FaceSearch(640, 480, detector)
    assert search.find(IMAGE, 0, []) == [face]
    assert detector.kinds() == ["whole", "tile"]
    kinds = []
    for i in range(1, 31):
        assert search.find(IMAGE, i * SECOND // 30, [face]) == [face]
        kinds.append(detector.kinds())
    assert all(looked[0] == "crop" for looked in kinds)
    assert sum("whole" in looked for looked in kinds) == 10
    assert sum("tile" in looked for looked in kinds) == 2


def test_a_missed_face_is_looked_for_everywhere_at_once() -> None:
    face = Face(400, 100, 500, 200)
    detector = Recorder(face)
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    detector.kinds()
    assert search.find(IMAGE, WHOLE_PERIOD // 3, [Face(100, 100, 200, 200)]) == [face]
    assert detector.kinds() == ["crop", "whole"]


def test_for_a_crowd_the_whole_image_costs_less_than_crops() -> None:
    faces = [Face(75 * i, 100, 75 * i + 60, 160) for i in range(8)]
    small = Face(300, 300, 325, 325)
    detector = Recorder(*faces, small)
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    detector.kinds()
    assert len(search.find(IMAGE, WHOLE_PERIOD // 3, [*faces, small])) == 9
    assert detector.kinds() == ["crop", "whole"]


@pytest.mark.parametrize("rate", [1, 5, 10, 30])
def test_all_tiles_have_their_turn_within_half_a_second(rate: int) -> None:
    detector = Recorder()
    search = FaceSearch(1920, 1080, detector)
    blank = np.zeros((1080, 1920, 3), np.uint8)
    seen: dict[Region, list[int]] = {}
    for i in range(3 * rate):
        stamp = i * SECOND // rate
        detector.regions.clear()
        search.find(blank, stamp, [])
        tiles = [region for region in detector.regions if region.kind == "tile"]
        assert len(tiles) == len(set(tiles))
        for tile in tiles:
            seen.setdefault(tile, []).append(stamp)
    assert len(seen) > 4
    for stamps in seen.values():
        assert stamps[0] == 0
        assert max(np.diff(stamps)) <= TILES_PERIOD + SECOND // rate


def test_a_crop_ends_at_the_border_of_the_image() -> None:
    detector = Recorder()
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [Face(-20, -20, 80, 80), Face(700, 500, 760, 560)])
    first, second = [region for region in detector.regions if region.kind == "crop"]
    assert first[1:] == (0, 0, 155, 155)
    assert second.x1 <= second.x2 <= 640
    assert second.y1 <= second.y2 <= 480


def test_the_surest_find_of_a_face_counts_whatever_region_showed_it() -> None:
    """A crop may show a face aslant and doubtful that the whole image shows well."""
    doubtful, sure = Face(80, 110, 180, 210, 0.53), Face(100, 100, 200, 200, 0.83)

    class Aslant(Recorder):
        def detect(self, image: np.ndarray, region: Region | None = None) -> list[Face]:
            super().detect(image, region)
            return [doubtful if region and region.kind == "crop" else sure]

    search = FaceSearch(640, 480, Aslant())
    assert search.find(IMAGE, 0, [sure]) == [sure]


def test_faces_that_are_there_already_are_not_found_again() -> None:
    face, other = Face(0, 0, 10, 10), Face(20, 0, 30, 10)
    assert apart([Face(1, 0, 11, 10), other], [face]) == [other]
    assert apart([face], []) == [face]
    assert apart([], [face]) == []


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(DetectorSettings(threads=1))


@pytest.fixture(scope="module")
def far(material: Path) -> np.ndarray:
    """A frame of 1920x1080 with the group photo in a corner, its faces 22 to 28 pixels long."""
    photo = read_picture(material / GROUP)
    small = cv2.resize(photo, None, fx=0.27, fy=0.27, interpolation=cv2.INTER_AREA)
    frame = np.full((1080, 1920, 3), 120, np.uint8)
    frame[-small.shape[0] - 40 : -40, -small.shape[1] - 60 : -60] = small
    return frame


def test_five_people_far_away_are_found_and_followed(
    detector: FaceDetector, far: np.ndarray
) -> None:
    assert detector.detect(far) == []  # in the whole image they are four pixels long
    search = FaceSearch(1920, 1080, detector)
    first = search.find(far, 0, [])
    assert len(first) == 5
    faces = first
    for i in range(1, 10):
        faces = search.find(far, i * SECOND // 30, faces)
        overlap = iou(corners(first), corners(faces))
        assert len(faces) == 5
        assert (overlap.max(axis=1) > 0.6).all()


def test_who_is_not_wanted_that_small_is_not_searched_for(far: np.ndarray) -> None:
    near = FaceDetector(DetectorSettings(threads=1, min_size=100))
    assert FaceSearch(1920, 1080, near).find(far, 0, []) == []


def test_a_face_that_a_region_cuts_off_belongs_to_another_region(
    detector: FaceDetector, material: Path
) -> None:
    photo = read_picture(material / GROUP)
    height, width = photo.shape[:2]
    whole = detector.detect(photo)
    face = whole[0]
    middle = round((face.x1 + face.x2) / 2)
    left = detector.detect(photo, Region("tile", 0, 0, middle, height))
    right = detector.detect(photo, Region("tile", middle, 0, width, height))
    assert len(left) + len(right) == len(whole) - 1
    assert not apart([*left, *right], whole)
