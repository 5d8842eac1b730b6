# SPDX-License-Identifier: Apache-2.0
"""`benchmarks/clips.py`, with what a network says made up."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from caer_ros.training.examples import Example, one_hot
from caer_ros.types import Emotion

CLIPS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "clips.py"))
FRAMES, Way = CLIPS["FRAMES"], CLIPS["Way"]


@pytest.fixture(scope="module")
def films():
    image = np.zeros((48, 48, 3), np.uint8)
    examples = [
        Example(f"{n}", f"{n}", one_hot(Emotion(n % 7)), lambda: [image]) for n in range(70)
    ]
    return CLIPS["film"](examples, 60, 0.0, 1)


def said_of(films, late):
    """Return answers that show what was seen `late` frames ago."""
    half = np.array(
        [np.interp(0.5, s, np.arange(FRAMES)) if s.any() else 99 for s in films.shares]
    )
    said = np.zeros((len(films), FRAMES, 7))
    for n, (still, other) in enumerate(zip(films.stills, films.others, strict=True)):
        for t in range(FRAMES):
            shown = other if other and t >= half[n] + late else still
            said[n, t, shown.label] = 1.0
    return said


def test_every_second_film_changes_to_another_label(films):
    changing = [other is not None for other in films.others]
    assert changing == [bool(n % 2) for n in range(60)]
    pairs = zip(films.stills, films.others, strict=True)
    assert all(s.label != o.label for s, o in pairs if o is not None)
    assert (films.truth[::2] == films.truth[::2, :1]).all()
    assert ((films.truth[1::2] == -1).sum(axis=1) >= 1).all()


@pytest.mark.parametrize("late", [0, 3, 6])
def test_a_network_that_is_late_is_found_to_be_so(films, late):
    figures = CLIPS["judge"](said_of(films, late), films, Way("frame", False))
    assert figures.delay == pytest.approx(late / 10, abs=0.06)
    assert figures.steady == 1 and figures.changes == 0
    # a change takes up to four tenths of a second on either side of its middle
    assert figures.right.mean() == 1 if late == 0 else figures.right.mean() < 1


def test_a_clip_answers_only_when_it_is_read(films):
    figures = {
        stride: CLIPS["judge"](said_of(films, 0), films, Way("clip", True, stride))
        for stride in (2, 8)
    }
    assert figures[2].delay < 0.2 < figures[8].delay < 0.6


def test_flicker_is_counted_where_nothing_changes(films):
    said = said_of(films, 0)
    said[:, ::2] = np.eye(7)[Emotion.FEAR]
    said[:, 1::2] = np.eye(7)[Emotion.SAD]
    raw = CLIPS["judge"](said, films, Way("frame", False))
    assert raw.changes == pytest.approx(600)
    calm = CLIPS["judge"](said, films, Way("frame", False, 1, 1, (0.3, 0.2)))
    assert calm.changes < 60
