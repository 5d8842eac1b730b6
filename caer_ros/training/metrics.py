# SPDX-License-Identifier: Apache-2.0
"""What is measured of a classifier, from labels and probabilities alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caer_ros.types import Emotion

BINS = 15
"""Bins of the calibration error (Guo et al., ICML 2017, section 2)."""


@dataclass(frozen=True)
class Metrics:
    """How well probabilities fit labels; classes in `Emotion` order.

    confusion: int64 (7, 7), rows are the labels, columns what was predicted.
    recall, precision, f1: float64 (7,), NaN for a class without an example; the precision of a
        class that is never predicted is 0.
    macro_f1: the mean over the classes that have examples.
    calibration_error: the expected one, the mean distance of confidence and accuracy over bins
        of confidence, weighted by their examples.
    """

    accuracy: float
    macro_f1: float
    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray
    confusion: np.ndarray
    calibration_error: float


def measure(labels: np.ndarray, probabilities: np.ndarray) -> Metrics:
    """Measure probabilities (N, 7) against labels (N,); N is at least 1."""
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(Emotion), len(Emotion)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    hits, labelled, claimed = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    absent = np.where(labelled > 0, 0.0, np.nan)
    f1 = 2 * hits / np.maximum(labelled + claimed, 1) + absent
    return Metrics(
        accuracy=float(hits.sum() / len(labels)),
        macro_f1=float(np.nanmean(f1)),
        recall=hits / np.maximum(labelled, 1) + absent,
        precision=hits / np.maximum(claimed, 1) + absent,
        f1=f1,
        confusion=confusion,
        calibration_error=_calibration_error(labels == predicted, probabilities.max(axis=1)),
    )


def calibration(
    correct: np.ndarray, confidence: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return share of examples, mean accuracy and mean confidence of each bin of confidence.

    The bins are of equal width over [0, 1]; means of an empty one are 0.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    accuracy = np.bincount(bins, correct, BINS) / np.maximum(counts, 1)
    mean_confidence = np.bincount(bins, confidence, BINS) / np.maximum(counts, 1)
    return counts / len(confidence), accuracy, mean_confidence


def paired_interval(
    difference: np.ndarray, groups: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of paired differences (N,), by bootstrap.

    Whole groups are drawn, as pictures of one film or collection are right or wrong together.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(group, difference), np.bincount(group)
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(counts), size=(2000, len(counts)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _calibration_error(correct: np.ndarray, confidence: np.ndarray) -> float:
    share, accuracy, mean_confidence = calibration(correct, confidence)
    return float((share * np.abs(accuracy - mean_confidence)).sum())
