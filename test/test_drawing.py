# SPDX-License-Identifier: Apache-2.0
"""What is drawn over an image."""

import numpy as np
import pytest

from caer_ros.drawing import COLOURS, draw_readings
from caer_ros.types import Emotion, Face, Reading


def reading(face: Face, emotion: Emotion = Emotion.HAPPY, person_id: str = "p0001") -> Reading:
    probabilities = tuple(0.7 if index == emotion else 0.05 for index in range(7))
    return Reading(person_id, face, emotion, 0.7, probabilities, 0.6, 0.4, 1, 0, 0)


def test_the_image_itself_is_left_alone():
    image = np.zeros((120, 160, 3), np.uint8)
    image.flags.writeable = False

    drawn = draw_readings(image, [reading(Face(20, 30, 60, 80))])

    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert drawn.any()
    assert not image.any()


def test_nobody_draws_nothing():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)

    assert np.array_equal(draw_readings(image, []), image)


def test_the_box_has_the_colour_of_the_emotion():
    image = np.full((480, 640, 3), 17, np.uint8)

    drawn = draw_readings(image, [reading(Face(100, 200, 180, 300), Emotion.SAD)])

    assert tuple(drawn[300, 140]) == COLOURS[Emotion.SAD]
    assert tuple(drawn[250, 140]) == (17, 17, 17)


def test_a_likelier_emotion_has_a_longer_bar():
    drawn = draw_readings(
        np.zeros((480, 640, 3), np.uint8), [reading(Face(100, 200, 180, 300), Emotion.SAD)]
    )

    def pixels(emotion: Emotion) -> int:
        return int((drawn[200:300, 200:] == COLOURS[emotion]).all(axis=2).sum())

    assert pixels(Emotion.SAD) > 3 * pixels(Emotion.ANGER) > 0


@pytest.mark.parametrize(
    "face",
    [
        Face(-50, -50, 20, 20),
        Face(600, 400, 900, 700),
        Face(0, 0, 640, 480),
        Face(-1e7, -1e7, 1e7, 1e7),
        Face(10, 10, 10, 10),
    ],
)
@pytest.mark.parametrize("size", [(480, 640), (20, 30), (1, 1)])
def test_a_box_anywhere_on_any_image_is_drawn_without_error(face, size):
    image = np.zeros((*size, 3), np.uint8)

    assert draw_readings(image, [reading(face)]).shape == image.shape
