# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from caer_ros.training.datasets.classes import SPELLINGS, emotion_named
from caer_ros.training.examples import DataError
from caer_ros.types import LABELS, Emotion


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("Angry", Emotion.ANGER),
        ("ANGER", Emotion.ANGER),
        ("disgusted", Emotion.DISGUST),
        ("Fearful", Emotion.FEAR),
        ("Happiness", Emotion.HAPPY),
        (" Neutral ", Emotion.NEUTRAL),
        ("Sadness", Emotion.SAD),
        ("surprised", Emotion.SURPRISE),
    ],
)
def test_spellings_in_use_are_accepted(name: str, emotion: Emotion) -> None:
    assert emotion_named(name, "here") is emotion


def test_the_words_of_the_messages_are_accepted() -> None:
    assert [emotion_named(label, "here") for label in LABELS] == list(Emotion)


def test_no_spelling_means_two_classes() -> None:
    spellings = [name for names in SPELLINGS.values() for name in names]
    assert len(spellings) == len(set(spellings))


def test_an_unknown_class_is_named_with_its_place() -> None:
    with pytest.raises(DataError, match=r"/data/train: 'Contempt' is none of the classes Anger"):
        emotion_named("Contempt", "/data/train")
