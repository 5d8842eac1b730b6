# SPDX-License-Identifier: Apache-2.0
"""Real people, the real detector, the real network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from caer_ros.demo.material import GROUP, LEAVING, VIDEO
from caer_ros.perception.crops import face_crop
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.settings import build
from caer_ros.types import SECOND, Frame, FrameResult

# middles of the five faces of the group picture, found by eye
GROUP_FACES = [(262, 128), (358, 308), (478, 272), (583, 383), (737, 367)]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(DetectorSettings(threads=1))


@pytest.fixture(scope="module")
def group(material: Path) -> np.ndarray:
    image = cv2.imread(str(material / GROUP))
    assert image.shape == (667, 1000, 3)
    return image


def frames(path: Path, every: int = 1) -> list[Frame]:
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS)
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    images = [image for read, image in (video.read() for _ in range(count)) if read]
    return [
        Frame("video", round(k / rate * SECOND), image)
        for k, image in enumerate(images)
        if k % every == 0
    ]


def run(frames: list[Frame], **settings: object) -> list[FrameResult]:
    values = {"engine.engine": "openvino", "engine.threads": 1, "detector.threads": 1}
    values |= {"tracker.id_prefix": "p", **settings}
    pipeline = EmotionPipeline.from_settings(build(PipelineSettings, values))
    results = [result for frame in frames for result in pipeline.process([frame])]
    pipeline.close()
    return results


@pytest.mark.parametrize("degrees", [-25, 25])
def test_faces_roll_with_the_camera(
    group: np.ndarray, detector: FaceDetector, degrees: int
) -> None:
    height, width = group.shape[:2]
    # OpenCV turns counter-clockwise
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    rolled = detector.detect(cv2.warpAffine(group, turn, (width, height)))
    level = detector.detect(group)
    for face in level:
        middle = turn @ [(face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2, 1.0]
        same = min(
            rolled,
            key=lambda f: np.hypot(*(middle - [(f.x1 + f.x2) / 2, (f.y1 + f.y2) / 2])),
        )
        assert np.degrees(same.roll - face.roll) == pytest.approx(degrees, abs=12)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_all_five_of_the_group_are_found_in_place_at_any_resolution(
    group: np.ndarray, detector: FaceDetector, scale: float
) -> None:
    image = cv2.resize(group, None, fx=scale, fy=scale)
    faces = detector.detect(image)
    found = sorted(((f.x1 + f.x2) / 2 / scale, (f.y1 + f.y2) / 2 / scale) for f in faces)
    np.testing.assert_allclose(found, GROUP_FACES, atol=8)
    assert all(75 * scale < face.width < 115 * scale for face in faces)


def test_the_precision_does_not_decide_who_is_found(
    group: np.ndarray, detector: FaceDetector
) -> None:
    exact = FaceDetector(DetectorSettings(threads=1, precision="f32")).detect(group)
    for face, other in zip(detector.detect(group), exact, strict=True):
        assert (face.x1, face.y1) == pytest.approx((other.x1, other.y1), abs=0.03 * face.width)
        assert face.score == pytest.approx(other.score, abs=0.03)


def test_small_faces_gain_by_a_close_look_and_hair_loses(group: np.ndarray) -> None:
    detector = FaceDetector(DetectorSettings(threads=1, precision="f32"))
    image = np.full((480, 640, 3), 120, np.uint8)
    image[100:260, 200:440] = cv2.resize(group, (240, 160), interpolation=cv2.INTER_AREA)
    small = [face for face in detector.detect(image) if face.score < 0.7]
    assert small
    assert all(detector.look(image, face) > 0.7 for face in small)
    cut = image[100:, 200:440]
    assert all(detector.look(cut, face) > 0.7 for face in detector.detect(cut))

    # the back of a head on shoulders: the long hair of one of them, the curls of another
    for x1, y1, x2, y2 in [(290, 400, 345, 600), (425, 170, 530, 232)]:
        image = np.full((480, 640, 3), 120, np.uint8)
        cv2.ellipse(image, (320, 376), (128, 144), 0, 0, 360, (60, 50, 40), -1)
        head = cv2.ellipse(np.zeros_like(image), (320, 200), (52, 68), 0, 0, 360, (1, 1, 1), -1)
        hair = np.zeros_like(image)
        hair[120:280, 240:400] = cv2.resize(group[y1:y2, x1:x2], (160, 160))
        image = np.where(head, hair, image)
        found = detector.detect(image)
        assert found
        assert all(detector.look(image, face) < 0.5 for face in found)


def test_a_grey_picture_given_as_bgr_and_a_mirrored_one_have_the_same_faces(
    group: np.ndarray, detector: FaceDetector
) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(group, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert len(detector.detect(grey)) == 5
    assert len(detector.detect(np.ascontiguousarray(group[:, ::-1]))) == 5


def test_a_picture_that_is_a_view_of_a_larger_one_is_served(
    group: np.ndarray, detector: FaceDetector
) -> None:
    part = group[200:500, 500:850]
    part.flags.writeable = False
    assert len(detector.detect(part)) == 2


def test_faces_cut_by_the_border_are_found_and_cropped(
    group: np.ndarray, detector: FaceDetector
) -> None:
    # the middle of the left man's face is 30 pixels from the new border
    (face,) = [f for f in detector.detect(group[:240, 232:420]) if f.y2 < 200]
    assert face.x1 < 0
    assert face_crop(group[:, 232:], face, 96, 0.2).std() > 20


def test_one_woman_is_one_person_through_the_whole_video(material: Path) -> None:
    results = run(frames(material / VIDEO, every=4))
    assert {r.person_id for result in results for r in result.readings} == {"p0001"}
    # the birth time passes before a face is a person
    assert [len(result.readings) for result in results] == [0] + [1] * (len(results) - 1)
    for result in results[1:]:
        assert sum(result.readings[0].probabilities) == pytest.approx(1.0)


def test_detecting_every_third_frame_finds_the_same_places(material: Path) -> None:
    some = frames(material / VIDEO)[:60]
    every, third = run(some), run(some, **{"detector.interval": 3})
    for a, b in zip(every[20:], third[20:], strict=True):
        one, other = a.readings[0].face, b.readings[0].face
        assert abs(one.x1 - other.x1) < 0.1 * one.width
        assert abs(one.y2 - other.y2) < 0.1 * one.height


def test_after_a_cut_to_another_scene_the_person_is_gone(material: Path) -> None:
    results = run(frames(material / LEAVING, every=3), **{"tracker.death": 0.5})
    there = [[r.person_id for r in result.readings] == ["p0001"] for result in results]
    # the man is seen up to 2.7 s, a drawn film follows
    last = max(k for k, present in enumerate(there) if present)
    assert all(there[1 : last + 1])
    assert results[last].stamp == pytest.approx(3.2 * SECOND, abs=0.15 * SECOND)


def test_the_video_network_runs_on_clips_and_twice_the_same(material: Path) -> None:
    some = frames(material / VIDEO)[:42]
    first, second = (run(some, **{"engine.weights": "caer_net"}) for _ in range(2))
    assert first == second
    (reading,) = first[-1].readings
    assert reading.frames == 16
    assert reading.clip_duration == pytest.approx(1.5 * SECOND, rel=0.05)
