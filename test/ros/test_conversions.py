# SPDX-License-Identifier: Apache-2.0
"""Results as messages."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.images import to_bgr
from caer_ros.messages import from_message, to_region
from caer_ros.ros.conversions import CLASSES, to_emotion_array, to_header, to_image
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading

WIDTH, HEIGHT = 640, 480
coordinates = st.floats(-2000, 2000)


@given(coordinates, coordinates, st.floats(0, 3000), st.floats(0, 3000))
def test_a_region_lies_within_the_image_and_covers_what_the_box_shows_of_it(x, y, width, height):
    face = Face(x, y, x + width, y + height)

    region = to_region(face, WIDTH, HEIGHT, CLASSES)

    right, bottom = region.x_offset + region.width, region.y_offset + region.height
    assert 0 <= region.x_offset <= right <= WIDTH
    assert 0 <= region.y_offset <= bottom <= HEIGHT
    if region.width and region.height:
        assert region.x_offset <= max(face.x1, 0) < region.x_offset + 1 or face.x1 > WIDTH
        assert right - 1 < min(face.x2, WIDTH) <= right or face.x2 < 0


def test_every_field_of_a_reading_arrives_and_comes_back():
    reading = Reading(
        person_id="p0007",
        face=Face(10.2, 20.0, 49.5, 80.0, 0.75),
        emotion=Emotion.FEAR,
        confidence=0.5,
        probabilities=(0.125, 0.125, 0.5, 0.0, 0.125, 0.125, 0.0),
        face_weight=0.25,
        context_weight=0.75,
        frames=16,
        clip_duration=1_500_000_000,
        since=7 * SECOND + 5,
        detected=False,
        bearing=(0.0, 0.6, 0.8),
    )

    result = FrameResult("/cam", 8 * SECOND + 9, WIDTH, HEIGHT, (reading,))

    message = to_emotion_array(result, "eye")

    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (8, 9)
    assert message.header.frame_id == "eye"
    assert message.camera == "/cam"
    assert (message.image_width, message.image_height) == (WIDTH, HEIGHT)
    (emotion,) = message.emotions
    assert emotion.person_id == "p0007"
    assert (emotion.face.x_offset, emotion.face.width) == (10, 40)
    assert (emotion.face.y_offset, emotion.face.height) == (20, 60)
    assert not emotion.detected
    assert emotion.detection_score == 0.75
    bearing = emotion.bearing
    assert (bearing.x, bearing.y, bearing.z) == (0.0, 0.6, 0.8)
    assert emotion.emotion == emotion.FEAR
    assert emotion.label == "scared"
    assert emotion.confidence == 0.5
    assert tuple(emotion.probabilities) == reading.probabilities
    assert (emotion.face_weight, emotion.context_weight) == (0.25, 0.75)
    assert emotion.frames == 16
    assert (emotion.clip_duration.sec, emotion.clip_duration.nanosec) == (1, 500_000_000)
    assert (emotion.since.sec, emotion.since.nanosec) == (7, 5)
    # the box comes back in whole pixels
    whole = replace(reading, face=Face(10, 20, 50, 80, 0.75))
    assert from_message(message) == replace(result, readings=(whole,))


@given(st.integers(-(2**31) * SECOND, 2**31 * SECOND - 1))
def test_any_stamp_survives(stamp):
    header = to_header(stamp, "")

    assert header.stamp.sec * SECOND + header.stamp.nanosec == stamp


def test_an_image_survives_also_when_it_is_a_slice():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)[::2, 5:50]

    assert np.array_equal(to_bgr(to_image(image, 0, "")), image)
