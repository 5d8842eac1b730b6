# SPDX-License-Identifier: Apache-2.0
"""What is told of an image that is answered all the same."""

from __future__ import annotations

import pytest

from caer_ros.perception.doubts import doubts, seconds
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading


def result(stamp: int, width: int = 640, persons: int = 0, reset: bool = False) -> FrameResult:
    reading = Reading("p0001", Face(0, 0, 9, 9), Emotion.HAPPY, 1.0, (1.0,) * 7, 1.0, 0.0, 1, 0, 0)
    return FrameResult("camera", stamp, width, 480, (reading,) * persons, reset)


def test_of_an_image_as_expected_nothing_is_told() -> None:
    assert doubts(result(SECOND), None, 16) == {}
    assert doubts(result(2 * SECOND), result(SECOND), 16) == {}
    assert doubts(result(SECOND), result(SECOND), 16) == {}


@pytest.mark.parametrize(
    ("now", "last", "cause", "text"),
    [
        (
            result(SECOND, reset=True),
            result(3 * SECOND),
            "stamp jumped back",
            "image stamp jumped back from 3.000000000 to 1.000000000: its persons are forgotten",
        ),
        (
            result(2 * SECOND - 50_000_000),
            result(2 * SECOND),
            "stamp late",
            "image stamp 1.950000000 is before 2.000000000 of the image before",
        ),
        (
            result(2 * SECOND, width=320),
            result(SECOND),
            "size changed",
            "image size changed from 640 x 480 to 320 x 480",
        ),
        (
            result(2 * SECOND, persons=3),
            result(SECOND, persons=2),
            "crowd",
            "3 persons are in the image, as many as tracker.max_persons allows",
        ),
    ],
)
def test_what_is_unusual_has_a_cause_and_a_sentence(
    now: FrameResult, last: FrameResult, cause: str, text: str
) -> None:
    (told,) = doubts(now, last, 3).items()
    assert told[0] == cause
    assert told[1].startswith(text)


def test_a_crowd_that_stays_is_told_once() -> None:
    assert doubts(result(2 * SECOND, persons=3), result(SECOND, persons=3), 3) == {}


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.000000000"), (1_500_000_001, "1.500000001"), (-1, "-0.000000001")],
)
def test_seconds_are_written_to_the_nanosecond(nanoseconds: int, text: str) -> None:
    assert seconds(nanoseconds) == text
