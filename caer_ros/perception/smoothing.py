# SPDX-License-Identifier: Apache-2.0
"""Probabilities over time, and a label that does not flicker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caer_ros.settings import setting
from caer_ros.types import SECOND, Emotion


@dataclass(frozen=True)
class SmoothingSettings:
    """How calm probabilities and label are; both in seconds, whatever the camera's rate."""

    time_constant: float = setting(
        0.3,
        "seconds in which the probabilities make 63 % of a change; 0 passes them on as they are",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    hold: float = setting(
        0.2,
        "seconds for which another emotion has to be ahead of the label before the label changes; "
        "one that is ahead by 0.5 takes twice as long as one that is ahead by 1",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )


class EmotionSmoother:
    """The smoothed emotion of one person.

    probabilities: float64 (7,), summing to 1. emotion: the label. since: stamp from which it has
    held.
    """

    def __init__(self, probabilities: np.ndarray, stamp: int) -> None:
        """Start with the first reading as it is."""
        self.probabilities = _normalised(probabilities)
        self.emotion = Emotion(int(self.probabilities.argmax()))
        self.since = stamp
        self._stamp = stamp
        # (7,), how far each emotion has been ahead of the label, summed up over the seconds
        self._lead = np.zeros(len(self.probabilities))

    def update(self, probabilities: np.ndarray, stamp: int, settings: SmoothingSettings) -> None:
        """Take in the network's probabilities (7,) for `stamp`; stamps must not fall.

        The label follows a cumulative sum test (Page 1954): what leads by little has to do so for
        long, and two that take turns at the top cancel each other out.
        """
        seconds = (stamp - self._stamp) / SECOND
        self._stamp = stamp
        # exact for an input that holds between stamps, so the rate does not matter
        keep = np.exp(-seconds / settings.time_constant) if settings.time_constant else 0.0
        said = _normalised(probabilities)
        self.probabilities = _normalised(said + keep * (self.probabilities - said))
        self._lead = np.maximum(self._lead + seconds * (said - said[self.emotion]), 0.0)
        rival = Emotion(int(self.probabilities.argmax()))
        # less a nanosecond, since the sum is rounded
        if rival != self.emotion and self._lead[rival] >= settings.hold - 1e-9:
            self.emotion, self.since = rival, stamp
            self._lead[:] = 0.0


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    values = np.asarray(probabilities, np.float64)
    return values / values.sum()
