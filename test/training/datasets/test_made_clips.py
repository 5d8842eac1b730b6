# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from caer_ros.training.clips import LENGTH
from caer_ros.training.datasets import own_splits, read
from caer_ros.training.datasets.dataset import DataSet
from caer_ros.training.datasets.made_clips import make_clips
from caer_ros.training.examples import DataError, Example, one_hot
from caer_ros.types import Emotion, Face


def picture(number: int, emotion: Emotion, **options: object) -> Example:
    image = np.full((48, 48, 3), 2 * number, np.uint8)
    example = Example(f"p{number}", f"film{number % 7}", one_hot(emotion), lambda: [image])
    return replace(example, **options)  # type: ignore[arg-type]


def pictures(**options: object) -> DataSet:
    emotions = [Emotion.HAPPY, Emotion.SAD, Emotion.ANGER, Emotion.NEUTRAL]
    examples = tuple(picture(n, emotions[n % 4], **options) for n in range(100))
    return DataSet("some", "train", examples)


def test_every_still_is_a_clip_of_its_own_and_of_its_group() -> None:
    stills = pictures()
    clips = make_clips(stills)
    assert clips.source == "clips:some"
    assert [clip.group for clip in clips.examples] == [still.group for still in stills.examples]
    assert not {clip.name for clip in clips.examples} & {e.name for e in stills.examples}
    first = clips.examples[0].load()
    assert len(first) == LENGTH
    assert np.array_equal(first, make_clips(stills).examples[0].load())


def test_the_target_is_what_the_end_shows() -> None:
    stills = pictures()
    clips = make_clips(stills)
    targets = np.array([clip.target for clip in clips.examples])
    assert targets.dtype == np.float32
    assert np.allclose(targets.sum(axis=1), 1)
    same = [c.label == s.label for c, s in zip(clips.examples, stills.examples, strict=True)]
    assert 60 < sum(same) < 95
    mixed = ((targets > 0.01) & (targets < 0.99)).any(axis=1)
    assert 1 <= mixed.sum() <= 15


def test_what_was_searched_for_goes_with_the_face_that_is_shown() -> None:
    happy = [picture(n, Emotion.HAPPY, searched=Emotion.HAPPY) for n in range(50)]
    sad = [picture(n, Emotion.SAD, searched=Emotion.SAD) for n in range(50, 100)]
    clips = make_clips(DataSet("some", "train", (*happy, *sad)))
    assert all(clip.searched == clip.label for clip in clips.examples)


def test_classes_stay_those_of_the_data_set() -> None:
    two, three = (
        frozenset({Emotion.HAPPY, Emotion.SAD}),
        frozenset({Emotion.ANGER, Emotion.FEAR, Emotion.NEUTRAL}),
    )
    examples = [picture(n, Emotion.HAPPY, classes=two) for n in range(50)]
    examples += [picture(n, Emotion.FEAR, classes=three) for n in range(50, 100)]
    for clip in make_clips(DataSet("some", "train", tuple(examples))).examples:
        assert clip.label in clip.classes


def test_a_scene_keeps_the_box_in_every_frame_and_one_without_a_face_is_left_out() -> None:
    box, none = Face(10, 10, 30, 30), Face(0, 0, 0, 0)
    examples = (
        picture(0, Emotion.HAPPY, boxes=(box,)),
        picture(1, Emotion.SAD, boxes=(none,)),
        picture(2, Emotion.SAD, boxes=(box,)),
    )
    clips = make_clips(DataSet("some", "train", examples))
    assert [clip.boxes for clip in clips.examples] == [(box,) * LENGTH] * 2


def test_clips_are_not_made_of_clips() -> None:
    box = Face(10, 10, 30, 30)
    with pytest.raises(DataError, match="p0 is a clip already"):
        make_clips(DataSet("some", "all", (picture(0, Emotion.HAPPY, boxes=(box, box)),)))


def test_clips_of_a_layout_have_its_splits(class_folders: Callable[..., Path]) -> None:
    root = class_folders(per_class=5)
    source = f"clips:folder:{root}"
    assert own_splits(source) == own_splits(f"folder:{root}")
    for split in ("train", "validation"):
        clips, stills = (read(s, split, faces=True) for s in (source, f"folder:{root}"))
        assert [clip.name for clip in clips.examples] == [
            f"{e.name}#clip" for e in stills.examples
        ]


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(DataError, match="data 'film:x' is not"):
        read("clips:film:x")
