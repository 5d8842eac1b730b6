# SPDX-License-Identifier: Apache-2.0
"""Class names as data sets spell them."""

from __future__ import annotations

from caer_ros import types
from caer_ros.training.examples import DataError
from caer_ros.types import SPELLINGS, Emotion


def emotion_named(name: str, where: object) -> Emotion:
    """Return the emotion that `name` means in any known spelling, upper or lower case.

    Raises:
        DataError: for any other name; `where` it stood is part of the message.
    """
    emotion = types.emotion_named(name)
    if emotion is None:
        known = ", ".join(spellings[0].capitalize() for spellings in SPELLINGS.values())
        raise DataError(
            f"{where}: {name!r} is none of the classes {known} or their other spellings"
        )
    return emotion
