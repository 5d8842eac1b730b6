# SPDX-License-Identifier: Apache-2.0
"""Class names as data sets spell them."""

from __future__ import annotations

from caer_ros.training.examples import DataError
from caer_ros.types import Emotion

SPELLINGS = {
    Emotion.ANGER: ("anger", "angry"),
    Emotion.DISGUST: ("disgust", "disgusted"),
    Emotion.FEAR: ("fear", "fearful", "afraid", "scared"),
    Emotion.HAPPY: ("happy", "happiness", "joy"),
    Emotion.NEUTRAL: ("neutral", "neutrality"),
    Emotion.SAD: ("sad", "sadness"),
    Emotion.SURPRISE: ("surprise", "surprised"),
}

_EMOTIONS = {name: emotion for emotion, names in SPELLINGS.items() for name in names}


def emotion_named(name: str, where: object) -> Emotion:
    """Return the emotion that `name` means in any known spelling, upper or lower case.

    Raises:
        DataError: for any other name; `where` it stood is part of the message.
    """
    try:
        return _EMOTIONS[name.strip().lower()]
    except KeyError:
        known = ", ".join(spellings[0].capitalize() for spellings in SPELLINGS.values())
        raise DataError(
            f"{where}: {name!r} is none of the classes {known} or their other spellings"
        ) from None
