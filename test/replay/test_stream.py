# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caer_ros.replay.stream import Clock, Image
from caer_ros.types import SECOND, Emotion

HAPPY, SAD = Emotion.HAPPY, Emotion.SAD


def run(results, limit=1.0, recorded=None):
    """Return the steps of results recorded at times in s, by default at their stamps."""
    clock = Clock(round(limit * SECOND))
    pixels = np.zeros((480, 640, 3), np.uint8)
    times = [r.stamp / SECOND for r in results] if recorded is None else recorded
    steps = [
        clock.step(result, Image(round(time * SECOND), "c", pixels), 0.01)
        for result, time in zip(results, times, strict=True)
    ]
    return clock, steps


def spans(steps):
    """Return (begin, end, persons) of all spans, in s."""
    return [
        (span.begin / SECOND, span.end / SECOND, [r.person_id for r in span.readings])
        for step in steps
        for span in step.spans
    ]


def test_an_answer_stands_until_the_next_image(frame):
    clock, steps = run([frame(0, a=SAD), frame(0.5, a=SAD, b=SAD), frame(0.7)])
    assert spans(steps) == [(0, 0.5, ["a"]), (0.5, 0.7, ["a", "b"])]
    assert clock.covered == round(0.7 * SECOND)
    assert clock.warnings == []


def test_an_answer_stands_no_longer_than_the_limit_and_the_gap_is_named(frame):
    clock, steps = run([frame(0, "/left", a=SAD), frame(60, "/left", a=SAD)])
    assert spans(steps) == [(0, 1, ["a"]), (1, 60, [])]
    assert [span.covered for span in steps[1].spans] == [True, False]
    assert clock.covered == SECOND
    (warning,) = clock.warnings
    assert warning.startswith("/left has no image for 60.0 s from 0.0 s on")
    assert "tracker.death, 1 s" in warning


def test_of_two_cameras_one_may_pause(frame):
    results = [frame(0, "l", a=SAD), frame(0, "r", b=SAD)]
    results += [frame(i / 2, "r", b=SAD) for i in range(1, 9)]
    clock, steps = run(results)
    assert spans(steps)[1:4] == [(0.5, 1, ["a", "b"]), (1, 1.5, ["b"]), (1.5, 2, ["b"])]
    assert clock.covered == 4 * SECOND


def test_a_clock_that_is_set_makes_no_years(frame):
    results = [frame(t, a=SAD) for t in (0, 0.1, 183_000_000, 183_000_000.1)]
    clock, steps = run(results, recorded=[5, 5.1, 5.2, 5.3])
    assert [step.time / SECOND for step in steps] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert clock.jumps == 1
    (warning,) = clock.warnings
    assert "stamps of camera jump by 182999999.9 s at 0.1 s" in warning


def test_a_loop_follows_on_the_one_before(frame):
    results = [frame(t, a=SAD) for t in (0, 0.5, 1)] * 2
    results[3] = replace(results[3], reset=True)
    clock, steps = run(results, recorded=[0, 0.5, 1, 1.5, 2, 2.5])
    assert [step.time / SECOND for step in steps] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert clock.covered == round(2.5 * SECOND)


def test_stamps_that_jitter_hold_time_up(frame):
    _, steps = run([frame(t) for t in (0, 0.1, 0.08, 0.2)])
    assert [step.time / SECOND for step in steps] == [0, 0.1, 0.1, 0.2]


def test_cameras_whose_clocks_differ_are_seen_at_the_same_time(frame):
    results = [frame(0, "l", a=SAD), frame(5000, "r", b=SAD), frame(0.5, "l"), frame(5000.5, "r")]
    clock, steps = run(results, recorded=[0, 0.1, 0.5, 0.6])
    assert [step.time / SECOND for step in steps] == [0, 0.1, 0.5, 0.6]
    assert clock.jumps == 0


def test_changes_tell_who_appeared_and_whose_label_is_another(frame):
    _, steps = run([frame(0, a=SAD), frame(0.1, a=SAD, b=HAPPY), frame(0.2, a=HAPPY)])
    changes = [[(c.reading.person_id, c.before) for c in step.changes] for step in steps]
    assert changes == [[("a", None)], [("b", None)], [("a", SAD)]]


def test_what_stands_at_the_end_is_of_all_cameras(frame):
    _, steps = run([frame(0, "l", a=SAD), frame(0.1, "r", b=SAD)])
    assert [r.person_id for r in steps[-1].standing] == ["a", "b"]
