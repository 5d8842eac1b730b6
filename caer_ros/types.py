# SPDX-License-Identifier: Apache-2.0
"""The common tongue of all rooms: small frozen dataclasses, and the base of all errors.

Stamps and durations are whole nanoseconds (`int`), as in ROS messages; boxes are pixels of the
full image, origin top left; images are uint8 arrays of shape (height, width, 3) in OpenCV's BGR
order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from math import ceil, floor

import numpy as np

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


class CaerError(Exception):
    """An error whose message names the value that is wrong and the way out.

    Commands print it without a traceback; the node logs it and lives on.
    """


def quote(text: str, most: int = 60) -> str:
    """Return foreign text as a log line may show it: cut, quoted, control characters escaped."""
    return repr(text if len(text) <= most else f"{text[:most]}…")


class Emotion(IntEnum):
    """The seven classes in CAER's order (Lee et al., ICCV 2019, section 4.1).

    >>> from caer_ros import Emotion
    >>> Emotion.FEAR.label, [int(emotion) for emotion in Emotion]
    ('scared', [0, 1, 2, 3, 4, 5, 6])
    """

    ANGER = 0
    DISGUST = 1
    FEAR = 2
    HAPPY = 3
    NEUTRAL = 4
    SAD = 5
    SURPRISE = 6

    @property
    def label(self) -> str:
        """The word hri_msgs/Expression uses for this emotion, e.g. `scared`."""
        return LABELS[self]


LABELS = ("angry", "disgusted", "scared", "happy", "neutral", "sad", "surprised")
"""Words of hri_msgs/Expression (REP 155), indexed by `Emotion`."""


SPELLINGS = {
    Emotion.ANGER: ("anger", "angry"),
    Emotion.DISGUST: ("disgust", "disgusted"),
    Emotion.FEAR: ("fear", "fearful", "afraid", "scared"),
    Emotion.HAPPY: ("happy", "happiness", "joy"),
    Emotion.NEUTRAL: ("neutral", "neutrality"),
    Emotion.SAD: ("sad", "sadness"),
    Emotion.SURPRISE: ("surprise", "surprised"),
}
"""Words that people and data sets use for each emotion, in lower case."""

_BY_WORD = {word: emotion for emotion, words in SPELLINGS.items() for word in words}


def emotion_named(word: str) -> Emotion | None:
    """Return the emotion that a word in `SPELLINGS` means, in upper or lower case; else None."""
    return _BY_WORD.get(word.strip().lower())


@dataclass(frozen=True, slots=True)
class Face:
    """A face in an image: box corners in pixels (may reach beyond the border), score 0 to 1.

    `roll` is how far the line of the eyes is turned clockwise from level, in radians. `person_id`
    is whose face it is, where it comes from elsewhere and is known there.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    score: float = 1.0
    roll: float = 0.0
    person_id: str = field(default="", kw_only=True)

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the corners of the pixels that the box touches, clipped to an image's size."""
        x1, x2 = (min(max(x, 0), width) for x in (floor(self.x1), ceil(self.x2)))
        y1, y2 = (min(max(y, 0), height) for y in (floor(self.y1), ceil(self.y2)))
        return x1, y1, x2, y2


@dataclass(frozen=True, slots=True)
class Person:
    """A tracked face at one stamp.

    `person_id` is stable while tracked and never reused. `detected` is False where the detector
    did not find the face when it ran last, at this stamp or before.
    """

    person_id: str
    face: Face
    stamp: int
    detected: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What one person shows in one frame: the field-by-field twin of `caer_ros/msg/Emotion`.

    `detected` is False where the face was looked for and not found, so that `face` is the
    tracker's prediction; `face.score` is then that of the last detection.
    `bearing` is the unit vector (x, y, z) from the camera to the middle of the face in the
    camera's optical frame (REP 103: x right, y down, z forward), or zeros where the camera's
    calibration is unknown.
    `probabilities` has seven floats in `Emotion` order, smoothed, summing to 1; `clip_duration`
    and `since` are nanoseconds. `attention`, where the weights in use have a context stream, is
    the spatial attention of the last inference: float32 of shape (height, width), summing to 1.

        >>> import caer_ros
        >>> person = caer_ros.read("people.jpg")[0]
        >>> person.emotion.label, person.confidence == person.probabilities[person.emotion]
        ('happy', True)
        >>> person.face.x1 < person.face.x2, person.detected, person.attention
        (True, True, None)
    """

    person_id: str
    face: Face
    emotion: Emotion
    confidence: float
    probabilities: tuple[float, ...]
    face_weight: float
    context_weight: float
    frames: int
    clip_duration: int
    since: int
    detected: bool = True
    bearing: tuple[float, float, float] = (0.0, 0.0, 0.0)
    attention: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image: uint8 BGR of shape (height, width, 3), read only, with its stamp in ns.

    `faces` are those that were found in it elsewhere, None where the own detector is to look.

    Raises:
        CaerError: where image or stamp are something else.
    """

    camera: str
    stamp: int
    image: np.ndarray
    faces: tuple[Face, ...] | None = None

    def __post_init__(self) -> None:
        image = self.image
        if not isinstance(image, np.ndarray):
            kind = type(image).__name__
            raise CaerError(f"image is {kind}, expected a uint8 array of (height, width, 3)")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise CaerError(
                f"image is {image.dtype} {image.shape}, expected uint8 (height, width, 3)"
            )
        if not isinstance(self.stamp, int | np.integer):
            raise CaerError(f"stamp is {self.stamp!r}, expected whole nanoseconds")


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What the pipeline made of one frame.

    `readings` is ordered by person id. `reset` is True where the stamp jumped back and the
    camera's tracks and clips were dropped. `seconds` maps a step (`detector`, `tracker`, `crops`,
    `network`, `smoothing`) to the wall time it took; steps shared by several cameras' frames are
    split evenly between them.
    """

    camera: str
    stamp: int
    width: int
    height: int
    readings: tuple[Reading, ...]
    reset: bool = False
    seconds: dict[str, float] = field(default_factory=dict, compare=False)
