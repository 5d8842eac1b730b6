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
    assert labels == [Emotion.HAPPY] * 4 + [Emotion.SAD] * 5
    assert smoother.since == 5 * SECOND // 10


def test_what_leads_by_little_takes_longer() -> None:
    settings = SmoothingSettings(time_constant=0.0, hold=0.5)
    # ahead by 0.2, so after 2.5 s
    mixed = 0.6 * SAD + 0.4 * HAPPY
    smoother = EmotionSmoother(HAPPY, 0)
    stamps = [k * SECOND // 10 for k in range(1, 40)]
    labels = []
    for stamp in stamps:
        smoother.update(mixed, stamp, settings)
        labels.append(smoother.emotion)
    assert stamps[labels.index(Emotion.SAD)] == 25 * SECOND // 10


@pytest.mark.parametrize("time_constant", [0.0, 0.3])
def test_two_that_take_turns_at_the_top_change_nothing(time_constant: float) -> None:
    # as of a photo before a moving camera: each ahead by 0.4 for 0.4 s, for a minute
    settings = SmoothingSettings(time_constant=time_constant)
    smoother = EmotionSmoother(HAPPY, 0)
    for k in range(1, 600):
        share = 0.7 if k // 4 % 2 else 0.3
        smoother.update(share * SAD + (1 - share) * HAPPY, k * SECOND // 10, settings)
    assert smoother.emotion is Emotion.HAPPY
    assert smoother.since == 0


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_a_clear_change_is_answered_within_two_fifths_of_a_second(rate: int) -> None:
    settings = SmoothingSettings()
    smoother = EmotionSmoother(0.9 * HAPPY + 0.1 / 7, 0)
    for k in range(1, 2 * rate):
        smoother.update(0.9 * SAD + 0.1 / 7, k * SECOND // rate, settings)
        if smoother.emotion is Emotion.SAD:
            break
    assert 0.2 <= smoother.since / SECOND <= 0.4


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
            assert stamp - since >= hold * SECOND - 1
            label, since = smoother.emotion, smoother.since
        assert smoother.since == since
