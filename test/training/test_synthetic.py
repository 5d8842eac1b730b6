# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.crops import (
    CropSettings,
    context_crop,
    face_crop,
    shrink_scene,
)
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.training import synthetic
from caer_ros.training.synthetic import Scene, draw_scene
from caer_ros.types import Emotion, Face


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(0, index) for index in range(80)]


def test_a_scene_is_always_drawn_alike() -> None:
    assert np.array_equal(draw_scene(1, 7).image, draw_scene(1, 7).image)
    assert not np.array_equal(draw_scene(1, 7).image, draw_scene(1, 9).image)
    assert not np.array_equal(draw_scene(1, 7).image, draw_scene(2, 7).image)


def test_the_label_is_in_every_second_face(scenes: list[Scene]) -> None:
    assert [scene.in_face for scene in scenes] == [True, False] * 40
    # a neutral face says nothing, so no face says "neutral"
    assert all(scene.label is not Emotion.NEUTRAL for scene in scenes if scene.in_face)
    assert {scene.label for scene in scenes if not scene.in_face} == set(Emotion)


def test_the_target_that_counts_has_the_colour_of_its_class(scenes: list[Scene]) -> None:
    for scene in scenes:
        shade = _above_the_middle(scene.image, scene.target, 0.68)
        nearest = min(
            Emotion, key=lambda e: np.abs(_hue(shade) - _hue(synthetic.COLOURS[e])).sum()
        )
        assert (nearest is scene.label) != scene.in_face


def test_no_target_has_darker_rings_than_the_one_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes: list[Face] = []
    drawn = synthetic._draw_target

    def note(canvas: np.ndarray, centre: np.ndarray, radius: float, *rest: Any) -> None:
        boxes.append(synthetic._box(centre, radius))
        drawn(canvas, centre, radius, *rest)

    monkeypatch.setattr(synthetic, "_draw_target", note)
    for index in range(40):
        boxes.clear()
        scene = draw_scene(0, index)
        assert len(boxes) == synthetic.TARGETS
        assert boxes[-1] == scene.target
        *others, least = (_above_the_middle(scene.image, box, 0.38).mean() for box in boxes)
        assert least + 10 < min(others)


def _above_the_middle(image: np.ndarray, target: Face, share: float) -> np.ndarray:
    """Return the mean colour at this share of the radius above and below the middle."""
    x, y = (target.x1 + target.x2) / 2, (target.y1 + target.y2) / 2
    reach = share * target.height / 2
    rows = [round(y - reach), round(y + reach)]
    return image[rows, round(x) - 1 : round(x) + 2].mean(axis=(0, 1))


def _hue(shade: ArrayLike) -> np.ndarray:
    return np.asarray(shade) / np.max(shade)


def test_target_and_face_are_apart_and_the_context_stream_sees_the_target(
    scenes: list[Scene],
) -> None:
    for scene in scenes:
        assert not iou(corners([scene.face]), corners([scene.target])).any()
        small = shrink_scene(scene.image, NetworkSpec().scene_size)
        height, width = small.image.shape[:2]
        left, top = (width - 112) // 2 * small.scale_x, (height - 112) // 2 * small.scale_y
        assert left <= scene.target.x1
        assert top <= scene.target.y1
        assert scene.target.x2 <= left + 112 * small.scale_x
        assert scene.target.y2 <= top + 112 * small.scale_y


@pytest.mark.parametrize("index", range(0, 20, 2))
def test_nothing_of_an_expression_shows_where_the_face_is_hidden(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pictures() -> tuple[np.ndarray, np.ndarray]:
        scene = draw_scene(0, index)
        margin = CropSettings().face_margin
        face = face_crop(scene.image, scene.face, 96, margin)
        return face, context_crop(
            shrink_scene(scene.image, NetworkSpec().scene_size), [scene.face], 112
        )

    face, context = pictures()
    neutral = dict.fromkeys(Emotion, synthetic.EXPRESSIONS[Emotion.NEUTRAL])
    monkeypatch.setattr(synthetic, "EXPRESSIONS", neutral)
    other_face, other_context = pictures()
    assert np.abs(face.astype(int) - other_face).max() > 50
    assert np.array_equal(context, other_context)


def test_the_detector_takes_drawn_faces_for_faces(scenes: list[Scene]) -> None:
    detector = FaceDetector(DetectorSettings(threads=1))
    expressive = [scene for scene in scenes if scene.in_face]
    overlaps = [
        iou(corners(detector.detect(scene.image)), corners([scene.face])).max(initial=0.0)
        for scene in expressive
    ]
    assert np.mean(np.array(overlaps) > 0.5) > 0.9
