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
    ROUND,
    FaceSearch,
    Region,
    apart,
    split,
)
from caer_ros.types import SECOND, Face
from caer_ros.video import read_picture

SIZES = [(640, 480), (480, 640), (1280, 720), (1920, 1080), (3840, 2160), (1920, 300)]
IMAGE = np.zeros((480, 640, 3), np.uint8)
HD = np.zeros((720, 1280, 3), np.uint8)


class Recorder:
    """A detector that finds the given faces wherever it looks, and keeps the regions."""

    inputs = BLAZEFACE_INPUTS
    sure, clear = 12.8, 16.0
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


def test_each_image_that_changes_has_one_search_for_newcomers_at_most() -> None:
    face = Face(100, 100, 160, 160)
    detector = Recorder(face)
    search = FaceSearch(1280, 720, detector)
    rng = np.random.default_rng(0)
    assert search.find(HD, 0, []) == [face]
    assert set(detector.kinds()) == {"whole", "tile"}
    for i in range(1, 31):
        image = rng.integers(0, 2, (720, 1280, 1), np.uint8).repeat(3, axis=2) * 255
        assert search.find(image, i * SECOND // 30, [face]) == [face]
        assert len(detector.kinds()) <= 2


def test_what_does_not_change_is_searched_every_two_seconds() -> None:
    detector = Recorder()
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    detector.kinds()
    kinds = []
    for i in range(1, 70):
        search.find(IMAGE, i * SECOND // 30, [])
        kinds += detector.kinds()
    assert sorted(kinds) == ["tile", "tile", "whole"]


def test_a_part_that_changed_is_searched_at_once() -> None:
    detector = Recorder()
    search = FaceSearch(1280, 720, detector)
    for i in range(10):
        search.find(HD, i * SECOND // 30, [])
    detector.regions.clear()
    changed = HD.copy()
    changed[300:330, 20:50] = 200
    for i in range(10, 16):
        search.find(changed, i * SECOND // 30, [])
    assert {region.kind for region in detector.regions} == {"whole", "tile"}
    for region in detector.regions:
        assert region.x1 <= 20 < 50 <= region.x2
        assert region.y1 < 330
        assert region.y2 > 300


def test_the_own_movement_of_who_is_followed_is_no_change() -> None:
    face = Face(300, 200, 400, 300)
    detector = Recorder(face)
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    kinds = []
    for i in range(1, 30):
        image = IMAGE.copy()
        image[200 + i : 300, 300 + i : 400] = 200
        detector.kinds()
        search.find(image, i * SECOND // 30, [face])
        kinds += detector.kinds()
    assert set(kinds) == {"coarse"}


@pytest.mark.parametrize(
    ("faces", "kinds"),
    [
        ([Face(100, 100, 200, 200)], {"coarse"}),
        ([Face(100 * i, 100, 100 * i + 85, 190) for i in range(6)], {"coarse"}),
        ([Face(100, 100, 150, 150)], {"crop"}),
        ([Face(70 * i, 100, 70 * i + 50, 150) for i in range(9)], {"whole"}),
        ([Face(100, 100, 200, 200), Face(400, 100, 430, 130)], {"coarse", "crop"}),
        ([Face(50 + 40 * i, 100, 80 + 40 * i, 130) for i in range(8)], {"tile"}),
    ],
)
def test_who_is_followed_is_looked_for_where_it_costs_least(
    faces: list[Face], kinds: set[str]
) -> None:
    detector = Recorder(*faces)
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    detector.kinds()
    assert len(search.find(IMAGE, SECOND // 30, faces)) == len(faces)
    assert set(detector.kinds()) == kinds


def test_a_missed_face_is_looked_for_everywhere_at_once() -> None:
    face = Face(400, 100, 500, 200)
    detector = Recorder(face)
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    detector.kinds()
    assert search.find(IMAGE, SECOND // 30, [Face(100, 100, 150, 150)]) == [face]
    assert detector.kinds() == ["crop", "whole"]


@pytest.mark.parametrize("rate", [1, 5, 10, 30, 60])
def test_all_of_an_image_that_changes_is_searched_within_half_a_second(rate: int) -> None:
    detector = Recorder()
    search = FaceSearch(1920, 1080, detector)
    seen: dict[Region, list[int]] = {}
    for i in range(3 * rate):
        stamp = i * SECOND // rate
        detector.regions.clear()
        search.find(np.full((1080, 1920, 3), 67 * i % 251, np.uint8), stamp, [])
        for region in detector.regions:
            seen.setdefault(region, []).append(stamp)
    assert len(seen) > 4
    for stamps in seen.values():
        assert stamps[0] == 0
        assert max(np.diff(stamps)) <= ROUND + max(SECOND // 10, SECOND // rate)


def test_who_keeps_still_is_looked_for_in_every_second_image_of_a_fast_camera() -> None:
    search = FaceSearch(640, 480, Recorder())
    assert not search.rests(0, True)
    search.find(IMAGE, 0, [])
    assert search.rests(SECOND // 30, True)
    assert not search.rests(SECOND // 30, False)
    assert not search.rests(2 * SECOND // 30, True)
    assert not search.rests(SECOND // 15, True)


def test_a_crop_ends_at_the_border_of_the_image() -> None:
    detector = Recorder()
    search = FaceSearch(640, 480, detector)
    search.find(IMAGE, 0, [])
    search.find(IMAGE, SECOND // 30, [Face(-10, -10, 40, 40), Face(700, 500, 760, 560)])
    first, second = [region for region in detector.regions if region.kind == "crop"]
    assert first[1:] == (0, 0, 98, 78)
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
        assert (overlap.max(axis=1) > 0.5).all()


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
