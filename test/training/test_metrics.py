# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from caer_ros.training.metrics import calibration, measure
from caer_ros.types import Emotion

ANGER, HAPPY, SAD = Emotion.ANGER, Emotion.HAPPY, Emotion.SAD


def sure(predicted: list[int], confidence: float = 1.0) -> np.ndarray:
    """Return probabilities with `confidence` on what is predicted, the rest spread evenly."""
    rows = np.full((len(predicted), 7), (1 - confidence) / 6)
    rows[np.arange(len(predicted)), predicted] = confidence
    return rows


def test_figures_of_a_confusion_counted_by_hand() -> None:
    labels = np.array([ANGER, ANGER, ANGER, HAPPY, HAPPY, SAD])
    metrics = measure(labels, sure([ANGER, ANGER, HAPPY, HAPPY, SAD, SAD]))
    assert metrics.accuracy == pytest.approx(4 / 6)
    assert metrics.confusion[ANGER].tolist() == [2, 0, 0, 1, 0, 0, 0]
    assert metrics.confusion[HAPPY].tolist() == [0, 0, 0, 1, 0, 1, 0]
    assert metrics.confusion[SAD].tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert metrics.recall[[ANGER, HAPPY, SAD]] == pytest.approx([2 / 3, 1 / 2, 1])
    assert metrics.precision[[ANGER, HAPPY, SAD]] == pytest.approx([1, 1 / 2, 1 / 2])
    assert metrics.f1[[ANGER, HAPPY, SAD]] == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert metrics.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)


def test_a_class_without_examples_has_no_figures_and_is_left_out_of_the_mean() -> None:
    metrics = measure(np.array([ANGER, SAD]), sure([ANGER, HAPPY]))
    assert np.isnan(metrics.recall[HAPPY])
    assert np.isnan(metrics.f1[HAPPY])
    assert metrics.f1[SAD] == 0
    assert metrics.macro_f1 == pytest.approx(1 / 2)


def test_calibration_error_counted_by_hand() -> None:
    labels = np.array([ANGER] * 10)
    # ten answers at 0.7 of which six are right, two more at 0.95 of which one is
    predicted = [ANGER] * 6 + [HAPPY] * 4
    assert measure(labels, sure(predicted, 0.7)).calibration_error == pytest.approx(0.1)
    both = np.concatenate([sure(predicted, 0.7), sure([ANGER, SAD], 0.95)])
    error = measure(np.array([ANGER] * 12), both).calibration_error
    assert error == pytest.approx((10 * 0.1 + 2 * 0.45) / 12)


def test_a_confidence_of_one_is_in_the_last_bin() -> None:
    share, accuracy, confidence = calibration(np.array([True, False]), np.array([1.0, 1.0]))
    assert share[-1] == 1
    assert accuracy[-1] == 0.5
    assert confidence[-1] == 1
