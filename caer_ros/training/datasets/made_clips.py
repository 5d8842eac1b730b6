# SPDX-License-Identifier: Apache-2.0
"""Clips made of the stills of another data set, see `caer_ros.training.clips`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from caer_ros.training.clips import LENGTH, Still, draw_change, draw_views, shoot
from caer_ros.training.cut import boxes_of
from caer_ros.training.datasets.dataset import DataSet
from caer_ros.training.examples import DataError, Example

CLEAR = 0.3
"""Share of the clips without damage; in the others it begins `SPELLS` times a second."""

SPELLS = 0.6

CHANGING = 0.4
"""Share of the clips in which the expression may change; in some it has before, or will after."""


def make_clips(stills: DataSet) -> DataSet:
    """Return a clip of each still with a face; what is drawn depends on the still's name alone.

    The target is what is shown at the end: where one face becomes another just then, the votes
    for both by their shares. Both have the same classes in their data sets (`Example.classes`).

    Raises:
        DataError: where the data set has clips already.
    """
    examples = [example for example in stills.examples if example.has_face]
    peers: dict[object, list[Example]] = {}
    for example in examples:
        if example.boxes is not None and len(example.boxes) != 1:
            raise DataError(f"{stills.source}: {example.name} is a clip already")
        peers.setdefault(example.classes, []).append(example)
    clips = tuple(_clip(example, peers[example.classes]) for example in examples)
    return replace(stills, source=f"clips:{stills.source}", examples=clips)


def load_still(example: Example) -> Still:
    """Read the picture of an example and the face in it."""
    frames = example.load()
    return Still(frames[0], boxes_of(example, frames[:1])[0])


def seeded(name: str) -> np.random.Generator:
    """Return random numbers that depend on `name` alone."""
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))


def _clip(example: Example, peers: Sequence[Example]) -> Example:
    name = f"{example.name}#clip"
    rng = seeded(name)
    other, shares = None, np.zeros(LENGTH)
    if rng.random() < CHANGING:
        other = peers[int(rng.integers(len(peers)))]
        shares = draw_change(LENGTH, (-4.0, LENGTH + 3.0), rng)
    share = float(shares[-1])
    target, searched = example.target, example.searched
    if other is not None:
        target = ((1 - share) * target + share * other.target).astype(np.float32)
        searched = other.searched if share > 0.5 else searched
    return replace(
        example,
        name=name,
        target=target,
        searched=searched,
        load=partial(_load, name, example, other, shares),
        boxes=None if example.boxes is None else example.boxes * LENGTH,
    )


def _load(
    name: str, example: Example, other: Example | None, shares: np.ndarray
) -> list[np.ndarray]:
    rng = seeded(f"{name}/views")
    still = load_still(example)
    spells = 0.0 if rng.random() < CLEAR else SPELLS
    views = draw_views(shares, still.side, spells, rng)
    return shoot(views, still, rng, None if other is None else load_still(other))
