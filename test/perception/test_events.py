# SPDX-License-Identifier: Apache-2.0
"""Events: each thing told once, by the images' stamps."""

import pytest

from caer_ros.perception.events import EventDetector, EventKind, EventSettings
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading

APPEARED, CHANGED, HELD, LOST = EventKind
RATE = 10


@pytest.fixture
def detector():
    return EventDetector(EventSettings(changed=0.5, held=3.0))


def result(stamp, *persons, camera="/left"):
    """Return a result at `stamp` seconds of (id, emotion, seconds from which it has held)."""
    readings = tuple(
        Reading(
            person, Face(0, 0, 9, 9), emotion, 0.5, (0.0,) * 7, 1.0, 0.0, 1, 0, int(since * SECOND)
        )
        for person, emotion, since in persons
    )
    return FrameResult(camera, int(stamp * SECOND), 64, 48, readings)


def play(detector, emotions, start=100.0):
    """Show one person, an emotion an image (None: nobody); return (kind, seconds, emotion)."""
    events, before, since = [], None, 0.0
    for number, emotion in enumerate(emotions):
        stamp = start + number / RATE
        since = since if emotion == before else stamp
        before = emotion
        shown = [("p1", emotion, since)] if emotion is not None else []
        events += detector.update(result(stamp, *shown))
    return [(e.kind, round(e.stamp / SECOND - start, 3), e.emotion) for e in events]


def test_a_person_appears_once(detector):
    assert play(detector, [Emotion.NEUTRAL] * 20) == [(APPEARED, 0.0, Emotion.NEUTRAL)]


def test_a_label_that_stands_is_told_as_changed_and_later_once_as_held(detector):
    events = play(detector, [Emotion.NEUTRAL] * 10 + [Emotion.SAD] * 80)

    assert events == [
        (APPEARED, 0.0, Emotion.NEUTRAL),
        (CHANGED, 1.5, Emotion.SAD),
        (HELD, 4.0, Emotion.SAD),
    ]


def test_a_change_names_the_label_before(detector):
    detector.update(result(1, ("p1", Emotion.NEUTRAL, 1)))
    (event,) = detector.update(result(3, ("p1", Emotion.SAD, 2)))

    assert (event.kind, event.before, event.emotion) == (CHANGED, Emotion.NEUTRAL, Emotion.SAD)
    assert event.reading.since == 2 * SECOND


def test_a_flicker_shorter_than_the_hold_time_is_no_event(detector):
    flicker = [Emotion.HAPPY] * 10 + [Emotion.SAD] * 4
    events = play(detector, flicker * 3)

    assert events == [(APPEARED, 0.0, Emotion.HAPPY)]


def test_what_was_held_is_not_held_again_after_a_flicker(detector):
    held = [Emotion.HAPPY] * 40
    events = play(detector, [*held, Emotion.SAD, *held])

    assert [kind for kind, _, _ in events] == [APPEARED, HELD]


def test_after_a_change_the_next_label_is_held_anew(detector):
    events = play(detector, [Emotion.HAPPY] * 40 + [Emotion.SAD] * 40 + [Emotion.HAPPY] * 40)

    assert [kind for kind, _, _ in events] == [APPEARED, HELD, CHANGED, HELD, CHANGED, HELD]


def test_who_is_no_longer_there_is_lost_with_the_last_label_told(detector):
    events = play(detector, [Emotion.HAPPY] * 10 + [Emotion.SAD] * 2 + [None] * 5)

    assert events == [(APPEARED, 0.0, Emotion.HAPPY), (LOST, 1.2, Emotion.HAPPY)]


def test_a_camera_that_is_forgotten_loses_its_people_and_no_other_camera_does(detector):
    detector.update(result(1, ("p1", Emotion.SAD, 1), camera="/left"))
    detector.update(result(2, ("p2", Emotion.SAD, 2), camera="/right"))

    (lost,) = detector.forget("/left")

    assert (lost.kind, lost.camera, lost.stamp) == (LOST, "/left", 1 * SECOND)
    assert lost.reading.person_id == "p1"
    assert detector.forget("/left") == []
    assert detector.update(result(3, ("p2", Emotion.SAD, 2), camera="/right")) == []


def test_who_is_still_there_after_a_silence_appears_again(detector):
    detector.update(result(1, ("p1", Emotion.SAD, 1)))
    detector.forget("/left")

    (event,) = detector.update(result(9, ("p1", Emotion.SAD, 8.5)))

    assert event.kind == APPEARED


def test_a_stamp_that_jumped_back_takes_nothing_for_held(detector):
    detector.update(result(100, ("p1", Emotion.SAD, 90)))

    events = detector.update(result(5, ("p2", Emotion.SAD, 5)))

    assert [e.kind for e in events] == [LOST, APPEARED]


@pytest.mark.parametrize(("changed", "first"), [(0.0, 1.0), (1.0, 2.0)])
def test_the_hold_time_is_a_setting_that_may_change_meanwhile(detector, changed, first):
    detector.settings = EventSettings(changed=changed, held=60.0)

    events = play(detector, [Emotion.HAPPY] * 10 + [Emotion.SAD] * 30)

    assert [(kind, at) for kind, at, _ in events] == [(APPEARED, 0.0), (CHANGED, first)]
