# SPDX-License-Identifier: Apache-2.0
"""What spoils a picture, and where."""

from __future__ import annotations

import numpy as np
import pytest

from caer_ros.training.damage import DAMAGES, PARTS, damaged, draw_cover
from caer_ros.types import Face

FACE = Face(60, 40, 120, 100)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)


@pytest.mark.parametrize("area", ["frame", "face"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_every_damage_changes_the_face_the_same_way_each_time(
    kind: str, area: str, image: np.ndarray
) -> None:
    before = image.copy()
    one, two = (damaged(kind, image, FACE, area, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(image, before)
    assert np.array_equal(one, two)
    assert one.shape == image.shape and one.dtype == np.uint8
    assert (one[40:100, 60:120] != image[40:100, 60:120]).any()


@pytest.mark.parametrize("kind", ["mouth", "mask", "eyes"])
def test_a_cover_touches_nothing_but_its_part(kind: str, image: np.ndarray) -> None:
    changed = (damaged(kind, image, FACE, "frame", np.random.default_rng(0)) != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    (left, top), (right, bottom) = PARTS["mouth" if kind == "mask" else kind]
    assert 40 + 60 * top - 1 <= rows.min() and rows.max() <= 40 + 60 * bottom + 1
    assert 60 + 60 * left - 1 <= columns.min() and columns.max() <= 60 + 60 * right + 1


@pytest.mark.parametrize("kind", ["blur", "dark", "bright", "noise", "small", "jpeg"])
def test_what_happens_to_the_face_alone_ends_near_it(kind: str, image: np.ndarray) -> None:
    alone = damaged(kind, image, FACE, "face", np.random.default_rng(0))
    whole = damaged(kind, image, FACE, "frame", np.random.default_rng(0))
    far = np.ones((150, 200), bool)
    far[9:131, 29:151] = False
    assert np.array_equal(alone[far], image[far])
    assert (whole[far] != image[far]).any()


def test_a_small_face_has_so_many_pixels_left(image: np.ndarray) -> None:
    small = damaged("small", image, FACE, "frame", np.random.default_rng(0))
    # three pixels became one, so neighbours differ by a fraction of what they did
    assert np.abs(np.diff(small[..., 0].astype(int))).mean() < 20
    assert np.abs(np.diff(image[..., 0].astype(int))).mean() > 60


@pytest.mark.parametrize("box", [Face(-50, -50, 5, 5), Face(190, 140, 260, 210), Face(0, 0, 1, 1)])
def test_faces_at_the_border_are_covered_as_far_as_they_are_seen(
    box: Face, image: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        covered = draw_cover(rng).draw(image, box)
        assert covered.shape == image.shape
