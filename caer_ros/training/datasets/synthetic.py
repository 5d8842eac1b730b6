# SPDX-License-Identifier: Apache-2.0
"""Drawn scenes as a data set: pictures, or clips of 16 frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from caer_ros.training.datasets.dataset import DataSet
from caer_ros.training.examples import Example, one_hot
from caer_ros.training.synthetic import draw_scene

SPLITS = ("train", "validation", "test")

LAYOUTS = {"synthetic": 1, "synthetic-clips": 16}
"""Names as a data source, with the frames that an example has."""


def read(root: Path, split: str, layout: str = "synthetic") -> DataSet:
    """Return as many pictures or clips as `root` says; each split is a series of its own.

    `all` is the test split, there being no end of scenes.
    """
    count = int(root.name)
    seed = SPLITS.index("test" if split == "all" else split)
    moments = tuple(np.linspace(1, 0, LAYOUTS[layout])[::-1].tolist())
    examples = []
    for index in range(count):
        scenes = [draw_scene(seed, index, moment) for moment in moments]
        boxes = tuple(scene.face for scene in scenes)
        name = f"{split}/{index}"
        load = partial(_load, seed, index, moments)
        examples.append(Example(name, name, one_hot(scenes[0].label), load, boxes))
    return DataSet(f"{layout}:{count}", split, tuple(examples))


def _load(seed: int, index: int, moments: Sequence[float]) -> list[np.ndarray]:
    return [draw_scene(seed, index, moment).image for moment in moments]
