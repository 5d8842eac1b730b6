# SPDX-License-Identifier: Apache-2.0
"""What counts as a change of the scene."""

from __future__ import annotations

import numpy as np
import pytest

from caer_ros.perception.change import ChangeMap
from caer_ros.types import Face

ALL = (0, 0, 640, 480)
GREY = np.full((480, 640, 3), 120, np.uint8)


@pytest.fixture
def scene() -> ChangeMap:
    """A grey scene that was searched."""
    scene = ChangeMap(640, 480, 16)
    scene.look(GREY, [])
    scene.searched(ALL)
    return scene


def test_what_was_never_searched_is_new(scene: ChangeMap) -> None:
    assert scene.changed((0, 0, 100, 100))
    assert not scene.changed(ALL)


def test_noise_is_no_change(scene: ChangeMap) -> None:
    noise = np.random.default_rng(0).normal(0, 8, GREY.shape)
    scene.look((GREY + noise).clip(0, 255).astype(np.uint8), [])
    assert not scene.changed(ALL)


@pytest.mark.parametrize("place", [(0, 0), (300, 200), (616, 456), (333, 77)])
def test_the_least_face_wanted_is_a_change_wherever_it_is(
    scene: ChangeMap, place: tuple[int, int]
) -> None:
    image = GREY.copy()
    x, y = place
    image[y : y + 24, x : x + 24] = 180
    scene.look(image, [])
    assert scene.changed(ALL)


def test_what_a_followed_person_does_is_none(scene: ChangeMap) -> None:
    image = GREY.copy()
    image[190:310, 290:410] = 180
    scene.look(image, [Face(300, 200, 400, 300)])
    assert not scene.changed(ALL)
    scene.look(image, [Face(100, 200, 150, 250)])
    assert scene.changed(ALL)


@pytest.mark.parametrize("size", [(1, 1), (5, 700), (641, 481), (3840, 2160)])
def test_images_of_any_size_can_be_compared(size: tuple[int, int]) -> None:
    width, height = size
    scene = ChangeMap(width, height, 16)
    scene.look(np.zeros((height, width, 3), np.uint8), [Face(-50, -50, width + 50, -10)])
    scene.searched((0, 0, width, height))
    scene.look(np.full((height, width, 3), 255, np.uint8), [])
    assert scene.changed((0, 0, width, height))
