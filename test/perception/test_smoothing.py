# SPDX-License-Identifier: Apache-2.0
"""Probabilities over time and the label's hysteresis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.perception.smoothing import EmotionSmoother, SmoothingSettings
from caer_ros.types import SECOND, Emotion

HAPPY = np.eye(7)[Emotion.HAPPY]
SAD = np.eye(7)[Emotion.SAD]


def test_the_first_reading_counts_as_it_is() -> None:
    smoother = EmotionSmoother(HAPPY, 5)
    assert smoother.emotion is Emotion.HAPPY
    assert smoother.since == 5
    np.testing.assert_array_equal(smoother.probabilities, HAPPY)


@pytest.mark.parametrize("rate", [5, 10, 30, 60])
def test_a_change_is_made_to_63_percent_in_the_time_constant_at_any_rate(rate: int) -> None:
    smoother = EmotionSmoother(HAPPY, 0)
    for k in range(1, rate + 1):
        smoother.update(SAD, k * SECOND // rate, SmoothingSettings(time_constant=1.0))
    assert smoother.probabilities[Emotion.SAD] == pytest.approx(1 - np.exp(-1), rel=1e-6)


def test_no_time_constant_passes_probabilities_on() -> None:
    smoother = EmotionSmoother(HAPPY, 0)
    smoother.update(SAD, 1, SmoothingSettings(time_constant=0.0))
    np.testing.assert_array_equal(smoother.probabilities, SAD)


def test_the_label_changes_after_the_hold_and_says_since_when() -> None:
    settings = SmoothingSettings(time_constant=0.0, hold=0.5)
    smoother = EmotionSmoother(HAPPY, 0)
    labels = []
    for tenth in range(1, 10):
        smoother.update(SAD, tenth * SECOND // 10, settings)
        labels.append(smoother.emotion)
    # sad from 0.1 s on, so for half a second at 0.6 s
    assert labels == [Emotion.HAPPY] * 5 + [Emotion.SAD] * 4
    assert smoother.since == 6 * SECOND // 10


def test_a_rival_that_gives_way_in_between_starts_over() -> None:
    settings = SmoothingSettings(time_constant=0.0, hold=0.5)
    smoother = EmotionSmoother(HAPPY, 0)
    for tenth in range(1, 40):
        smoother.update(HAPPY if tenth % 4 == 0 else SAD, tenth * SECOND // 10, settings)
    assert smoother.emotion is Emotion.HAPPY
    assert smoother.since == 0


def test_no_hold_follows_the_most_probable_at_once() -> None:
    settings = SmoothingSettings(time_constant=0.0, hold=0.0)
    smoother = EmotionSmoother(HAPPY, 0)
    smoother.update(SAD, 1, settings)
    assert (smoother.emotion, smoother.since) == (Emotion.SAD, 1)


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda p: sum(p) > 0.01),
            st.integers(0, 3 * SECOND),
        ),
        min_size=1,
        max_size=30,
    ),
    st.floats(0, 2),
    st.floats(0, 2),
)
def test_probabilities_stay_a_distribution_and_labels_hold_their_time(
    readings: list[tuple[list[float], int]], time_constant: float, hold: float
) -> None:
    settings = SmoothingSettings(time_constant=time_constant, hold=hold)
    stamp = 0
    smoother = EmotionSmoother(np.array(readings[0][0]), stamp)
    label, since = smoother.emotion, smoother.since
    for probabilities, step in readings:
        stamp += step
        smoother.update(np.array(probabilities), stamp, settings)
        assert smoother.probabilities.sum() == pytest.approx(1.0)
        assert (smoother.probabilities >= 0).all()
        if smoother.emotion != label:
            assert smoother.since == stamp
            assert smoother.emotion == smoother.probabilities.argmax()
            assert stamp - since >= hold * SECOND
            label, since = smoother.emotion, smoother.since
        assert smoother.since == since
