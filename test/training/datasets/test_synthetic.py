# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from caer_ros.training.datasets import own_splits, read
from caer_ros.training.synthetic import draw_scene


def test_scenes_are_a_data_set_with_splits_of_its_own() -> None:
    source = "synthetic:30"
    assert own_splits(source) == ("train", "validation", "test")
    first = {split: read(source, split).examples[1] for split in own_splits(source)}
    pictures = [example.load()[0] for example in first.values()]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])
    data = read(source, "train")
    assert len(data.examples) == 30
    for index, example in enumerate(data.examples):
        scene = draw_scene(0, index)
        assert example.label is scene.label
        assert example.boxes == (scene.face,)
        assert np.array_equal(example.load()[0], scene.image)


def test_a_clip_ends_with_the_picture() -> None:
    (example,) = read("synthetic-clips:1", "train").examples
    frames = example.load()
    scene = draw_scene(0, 0)
    assert len(frames) == len(example.boxes or ()) == 16
    assert np.array_equal(frames[-1], scene.image)
    assert example.label is scene.label
    changes = [np.abs(frame.astype(int) - frames[-1]).mean() for frame in frames]
    assert changes[0] > changes[8] > 0
