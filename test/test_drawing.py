# SPDX-License-Identifier: Apache-2.0
"""What is drawn over an image."""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest

from caer_ros.drawing import (
    BLACK,
    COLOURS,
    PERSON_COLOURS,
    WHITE,
    draw_readings,
    ink_on,
    person_colour,
)
from caer_ros.types import Emotion, Face, Reading

GREY = 119


def reading(face: Face, emotion: Emotion = Emotion.HAPPY, person_id: str = "p0001") -> Reading:
    probabilities = tuple(0.7 if index == emotion else 0.05 for index in range(7))
    return Reading(person_id, face, emotion, 0.7, probabilities, 0.6, 0.4, 1, 0, 0)


def blank(width: int = 640, height: int = 480) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def pixels(drawn: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return where the picture has exactly this colour."""
    return (drawn == colour).all(axis=2)


def contrast(first, second) -> float:
    """Return the contrast of two BGR colours (WCAG 2.2, "contrast ratio")."""
    lights = []
    for colour in (first, second):
        share = np.array(colour[::-1]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


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


def test_contrast_is_reckoned_right():
    assert contrast(WHITE, BLACK) == pytest.approx(21)
    assert contrast((119, 119, 119), WHITE) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colour", [*COLOURS, *PERSON_COLOURS])
def test_letters_are_readable_on_every_colour(colour):
    assert contrast(colour, ink_on(colour)) >= 4.5


@pytest.mark.parametrize("emotion", Emotion)
@pytest.mark.parametrize("number", range(len(PERSON_COLOURS)))
def test_every_tag_is_drawn_with_readable_letters(emotion, number):
    person = f"p{number:04}"
    drawn = draw_readings(blank(), [reading(Face(300, 200, 400, 320), emotion, person)])

    for ground in (person_colour(person), COLOURS[emotion]):
        tag = drawn[150:199, 290:560]
        where = pixels(tag, ground)
        assert where.sum() > 200
        rows, columns = np.nonzero(where)
        patch = tag[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        ink = max(patch.reshape(-1, 3).tolist(), key=lambda pixel: contrast(pixel, ground))
        assert contrast(ink, ground) >= 4.5


@pytest.mark.parametrize("ground", [0, 255])
def test_the_names_in_a_panel_are_readable_on_any_picture(ground):
    image = np.full((480, 640, 3), ground, np.uint8)
    drawn = draw_readings(image, [reading(Face(100, 200, 180, 300))])
    panel = drawn[215:290, 186:240]

    values, counts = np.unique(panel.reshape(-1, 3), axis=0, return_counts=True)
    shade = values[counts.argmax()]
    assert contrast(shade, values.max(axis=0)) >= 4.5


def test_colours_of_persons_and_emotions_are_told_apart():
    for person, emotion in product(PERSON_COLOURS, COLOURS):
        assert contrast(person, WHITE) >= 4.5
        lab = [
            cv2.cvtColor(np.float32([[colour]]) / 255, cv2.COLOR_BGR2LAB)[0, 0]
            for colour in (person, emotion)
        ]
        assert np.linalg.norm(lab[0] - lab[1]) > 20


def test_a_person_keeps_the_colour_and_the_next_one_has_another():
    assert person_colour("kwqzt0001") == person_colour("kwqzt0001")
    assert person_colour("p0001") != person_colour("p0002")
    assert person_colour("somebody") in PERSON_COLOURS


def test_the_box_has_the_colour_of_the_person():
    drawn = draw_readings(blank(), [reading(Face(100, 200, 180, 300), Emotion.SAD)])

    assert tuple(drawn[300, 140]) == person_colour("p0001")
    assert tuple(drawn[250, 100]) == person_colour("p0001")
    assert tuple(drawn[250, 140]) == (GREY, GREY, GREY)


def test_a_face_that_is_only_predicted_has_a_dashed_box_with_its_corners():
    found = reading(Face(100, 200, 180, 300))
    seen, predicted = (
        pixels(draw_readings(blank(), [r]), person_colour("p0001"))[205:296, 100]
        for r in (found, replace(found, detected=False))
    )
    assert seen.all()
    assert 0.3 < predicted.mean() < 0.8
    assert (np.diff(predicted.astype(int)) != 0).sum() >= 6
    corners = draw_readings(blank(), [replace(found, detected=False)])
    for y, x in ((200, 100), (200, 180), (300, 100), (300, 180)):
        assert tuple(corners[y, x]) == person_colour("p0001")


def test_a_likelier_emotion_has_a_longer_bar():
    drawn = draw_readings(blank(), [reading(Face(100, 200, 180, 300), Emotion.SAD)])

    def panel(emotion: Emotion) -> int:
        return int(pixels(drawn[200:300, 186:], COLOURS[emotion]).sum())

    def bar(emotion: Emotion) -> int:
        return int(pixels(drawn[301:312, 98:182], COLOURS[emotion]).any(axis=0).sum())

    assert panel(Emotion.SAD) > 3 * panel(Emotion.ANGER) > 0
    assert bar(Emotion.SAD) == pytest.approx(0.7 * 80, abs=3)
    assert bar(Emotion.ANGER) == pytest.approx(0.05 * 80, abs=2)


def test_the_bar_of_a_label_that_is_held_against_a_likelier_one_is_marked():
    probabilities = tuple(
        {Emotion.SAD: 0.42, Emotion.NEUTRAL: 0.28}.get(emotion, 0.06) for emotion in Emotion
    )
    held = replace(
        reading(Face(100, 200, 180, 300), Emotion.NEUTRAL),
        probabilities=probabilities,
        confidence=0.28,
    )
    drawn = draw_readings(blank(), [held])
    bar = drawn[301:314, 98:182]
    thick = {e: pixels(bar, COLOURS[e]).any(axis=1).sum() for e in Emotion}
    assert thick[Emotion.NEUTRAL] > 1.5 * thick[Emotion.SAD]

    # the white mark beside its row in the panel
    marks = [pixels(drawn[200:306, 240:], WHITE).any(axis=1)]
    rows = np.flatnonzero(marks[0]) + 200
    neutral = np.flatnonzero(pixels(drawn[200:306, 240:], COLOURS[Emotion.NEUTRAL]).any(axis=1))
    assert abs(rows.mean() - (neutral.mean() + 200)) < 4


FIVE = [
    Face(137, 80, 199, 140),
    Face(196, 195, 262, 260),
    Face(280, 174, 333, 226),
    Face(342, 240, 407, 303),
    Face(439, 232, 506, 299),
]
"""The faces of a group, as they stood in a photo of 640x480."""


@pytest.mark.parametrize("factor", [0.5, 1, 3])
@pytest.mark.parametrize("shown", [Emotion.HAPPY, Emotion.DISGUST])
def test_nothing_hides_a_face_of_a_group(factor, shown):
    group = [
        reading(Face(*(factor * v for v in (f.x1, f.y1, f.x2, f.y2))), shown, f"p{i}")
        for i, f in enumerate(FIVE)
    ]
    drawn = draw_readings(blank(round(640 * factor), round(480 * factor)), group)
    for one in group:
        face = one.face
        edge = 0.12 * face.width
        inner = drawn[
            round(face.y1 + edge) : round(face.y2 - edge),
            round(face.x1 + edge) : round(face.x2 - edge),
        ]
        assert (inner == GREY).all()
        # the box is whole, the tag has its person's colour
        colour = pixels(drawn, person_colour(one.person_id))
        for y in np.linspace(face.y1, face.y2, 9):
            assert colour[round(y) - 1 : round(y) + 2, :][
                :, round(face.x1) - 1 : round(face.x1) + 2
            ].any()


def test_a_panel_is_drawn_only_where_it_covers_nothing():
    alone = draw_readings(blank(), [reading(FIVE[0])])
    row = [reading(Face(10 + 79 * i, 200, 80 + 79 * i, 280), person_id=f"p{i}") for i in range(8)]
    crowd = draw_readings(blank(), row)

    def shade(drawn):
        return ((drawn < 60).all(axis=2) & (np.ptp(drawn, axis=2) == 0)).sum()

    assert shade(alone) > 5000
    # there is no room between the faces for any panel
    assert shade(crowd) < 500 * len(row)


def test_a_panel_lets_the_picture_through():
    image = blank()
    image[:, ::2] = 255
    drawn = draw_readings(image, [reading(Face(100, 200, 180, 300))])
    panel = drawn[220:300, 290:300].astype(int)
    assert panel.max() < 110
    assert abs(np.diff(panel[..., 0], axis=1)).min() > 20


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
@pytest.mark.parametrize("detected", [True, False])
def test_a_box_anywhere_on_any_image_is_drawn_without_error(face, size, detected):
    image = np.zeros((*size, 3), np.uint8)
    one = replace(reading(face), detected=detected)

    assert draw_readings(image, [one]).shape == image.shape


@pytest.mark.parametrize(
    "face", [Face(-50, -50, 60, 60), Face(560, 400, 700, 520), Face(0, 0, 640, 480)]
)
def test_tag_and_bar_of_a_box_at_the_border_are_inside(face):
    drawn = draw_readings(blank(), [reading(face, Emotion.SAD)])

    tag = pixels(drawn, COLOURS[Emotion.SAD])
    assert tag.sum() > 700
    rows = np.flatnonzero(tag.any(axis=1))
    assert rows.max() < 480
