# SPDX-License-Identifier: Apache-2.0
"""Labelled pictures and clips, the one form in which every data set reaches training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from caer_ros.types import CaerError, Emotion, Face


class DataError(CaerError):
    """A data set that is missing, of another layout or not readable."""


@dataclass(frozen=True)
class Example:
    """One labelled picture or clip; nothing is decoded before `load` is called.

    name: unique in its data set, for messages and caches, e.g. `Happy/0001.avi`.
    group: film, video or subject it comes from; splits never tear a group apart.
    target: float32 (7,) summing to 1 in `Emotion` order: one-hot, or soft votes.
    load: returns the frames, uint8 BGR (height, width, 3) each: one for a picture, for a clip
        its frames at 10 Hz; raises DataError where they cannot be read.
    boxes: the face in each frame; None where the frames are face crops already, without a scene.
    searched: the class that the picture was searched for, where its data set tells that too.
    classes: the classes that its data set has at all; what it teaches is which of these it is.
    """

    name: str
    group: str
    target: np.ndarray
    load: Callable[[], list[np.ndarray]]
    boxes: tuple[Face, ...] | None = None
    searched: Emotion | None = None
    classes: frozenset[Emotion] = frozenset(Emotion)

    @property
    def label(self) -> Emotion:
        """The class with the most votes (the first of equals)."""
        return Emotion(int(self.target.argmax()))

    @property
    def has_face(self) -> bool:
        """Whether there is a face to see; scene tables also hold backs and silhouettes."""
        return self.boxes is None or any(box.width > 0 for box in self.boxes)


def one_hot(emotion: Emotion) -> np.ndarray:
    """Return the target of an example with a single certain label, float32 (7,)."""
    return np.eye(len(Emotion), dtype=np.float32)[emotion]


def fingerprint(examples: Sequence[Example]) -> str:
    """Return by what weights remember the examples that taught them: a hash of their names."""
    names = "\n".join(sorted(example.name for example in examples))
    return hashlib.sha256(names.encode()).hexdigest()[:16]
