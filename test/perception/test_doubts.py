# SPDX-License-Identifier: Apache-2.0
"""What is told of an image that is answered all the same."""

from __future__ import annotations

import pytest

from caer_ros.perception.doubts import Doubts, seconds
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading


def result(stamp: int, width: int = 640, persons: int = 0, reset: bool = False) -> FrameResult:
    reading = Reading("p0001", Face(0, 0, 9, 9), Emotion.HAPPY, 1.0, (1.0,) * 7, 1.0, 0.0, 1, 0, 0)
    return FrameResult("camera", stamp, width, 480, (reading,) * persons, reset)


def told(*results: FrameResult, max_persons: int = 3) -> list[dict[str, str]]:
    doubts = Doubts()
    return [doubts.of(result, max_persons) for result in results]


def test_of_an_image_as_expected_nothing_is_told() -> None:
    assert told(result(SECOND), result(2 * SECOND), result(2 * SECOND)) == [{}, {}, {}]


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
            "image stamp 1.950000000 is before 2.000000000 of an earlier image",
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
    ((found, sentence),) = told(last, now)[-1].items()
    assert found == cause
    assert sentence.startswith(text)


def test_a_crowd_that_stays_is_told_once() -> None:
    first, second = told(result(SECOND, persons=3), result(2 * SECOND, persons=3))
    assert list(first) == ["crowd"]
    assert second == {}


def test_stamps_that_go_to_and_fro_are_told_as_such() -> None:
    """Even where none of them is far from the one before."""
    tenths = [10, 11, 13, 12, 14, 13, 15, 16, 15, 17]
    found = told(*(result(t * SECOND // 10) for t in tenths))
    assert [list(f) for f in found if f] == [["stamp late"], ["stamp late"], ["stamp jitter"]]
    assert "to and fro, 1.500000000 after 1.600000000" in found[8]["stamp jitter"]


def test_an_image_late_now_and_then_is_no_jitter() -> None:
    stamps = [t for k in range(5) for t in (6 * k + 1, 6 * k)]
    found = told(*(result(t * SECOND // 10 + SECOND) for t in stamps))
    assert list(found[-1]) == ["stamp jitter"]
    found = told(*(result(t * SECOND) for t in stamps))
    assert [list(f) for f in found if f] == [["stamp late"]] * 5


def test_a_jump_back_is_no_jitter_and_starts_anew() -> None:
    found = told(*(result(t * SECOND, reset=t == 1) for t in (9, 1, 2, 9, 1, 2)))
    assert [list(f) for f in found if f] == [["stamp jumped back"]] * 2


def test_each_camera_is_looked_at_by_itself() -> None:
    doubts = Doubts()
    other = FrameResult("other", SECOND, 64, 48, ())
    doubts.of(result(5 * SECOND), 3)
    assert doubts.of(other, 3) == {}
    assert doubts.last_stamp("other") == SECOND
    assert doubts.last_stamp("third") is None


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.000000000"), (1_500_000_001, "1.500000001"), (-1, "-0.000000001")],
)
def test_seconds_are_written_to_the_nanosecond(nanoseconds: int, text: str) -> None:
    assert seconds(nanoseconds) == text
