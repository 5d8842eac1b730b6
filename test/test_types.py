# SPDX-License-Identifier: Apache-2.0
"""The common tongue agrees with the message definitions."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from caer_ros.types import LABELS, CaerError, Emotion, Face, Frame, Reading

MESSAGE = (Path(__file__).parents[1] / "msg" / "Emotion.msg").read_text(encoding="utf-8")


def test_emotions_have_the_message_constants():
    constants = dict(re.findall(r"^uint8 ([A-Z]+)=(\d)$", MESSAGE, flags=re.MULTILINE))
    assert {name: int(value) for name, value in constants.items()} == {
        emotion.name: emotion.value for emotion in Emotion
    }


def test_every_emotion_has_a_label_of_its_own():
    assert len(LABELS) == len(set(LABELS)) == len(Emotion)
    assert Emotion.FEAR.label == "scared"


def test_every_message_field_has_its_source_in_a_reading():
    body = "\n".join(line for line in MESSAGE.splitlines() if not line.startswith("#"))
    names = set(re.findall(r"^\S+ ([a-z_]+)$", body, flags=re.MULTILINE))
    derived = {"label", "detection_score"}  # of `emotion` and `face.score`
    assert names - derived == {field.name for field in fields(Reading)} - {"attention"}


@pytest.mark.parametrize("width, height", [(10.5, 20.0), (0.0, 0.0)])
def test_a_face_knows_its_size(width, height):
    face = Face(-3.0, 4.0, -3.0 + width, 4.0 + height)
    assert (face.width, face.height) == (width, height)


def test_the_pixels_of_a_box_hold_it_and_stay_in_the_image():
    assert Face(1.5, 2.0, 3.2, 4.0).pixels(10, 10) == (1, 2, 4, 4)
    assert Face(-5.0, -5.0, 20.0, 3.5).pixels(10, 8) == (0, 0, 10, 4)
    assert Face(20.0, 20.0, 30.0, 30.0).pixels(10, 8) == (10, 8, 10, 8)


PICTURE = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("stamp", "image", "text"),
    [
        (0, None, "image is NoneType, expected a uint8 array"),
        (0, [[1]], "image is list, expected a uint8 array"),
        (0, PICTURE[..., 0], r"image is uint8 \(4, 6\), expected uint8 \(height, width, 3\)"),
        (0, np.zeros((4, 6, 4), np.uint8), r"image is uint8 \(4, 6, 4\)"),
        (0, PICTURE / 2, r"image is float64 \(4, 6, 3\)"),
        (0, PICTURE[:0], r"image is uint8 \(0, 6, 3\)"),
        (0.5, PICTURE, "stamp is 0.5, expected whole nanoseconds"),
        (None, PICTURE, "stamp is None, expected whole nanoseconds"),
    ],
)
def test_a_frame_that_is_none_is_refused_where_it_is_made(stamp, image, text):
    with pytest.raises(CaerError, match=text):
        Frame("camera", stamp, image)


def test_a_frame_may_be_a_view_with_a_stamp_of_numpy():
    frame = Frame("camera", np.int64(3), PICTURE[::2, ::-1])
    assert frame.stamp == 3
