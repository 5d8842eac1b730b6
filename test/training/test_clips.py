# SPDX-License-Identifier: Apache-2.0
"""Clips made of stills: the face moves a little, damage comes and goes, one becomes another."""

from __future__ import annotations

import numpy as np
import pytest

from caer_ros.training.clips import (
    LENGTH,
    Still,
    View,
    draw_change,
    draw_views,
    shoot,
)
from caer_ros.training.damage import Cover
from caer_ros.training.synthetic import draw_scene
from caer_ros.types import Face

NO_CHANGE = np.zeros(LENGTH)


def still(index: int = 0) -> Still:
    scene = draw_scene(0, index)
    return Still(scene.image, scene.face)


def inside(image: np.ndarray, face: Face) -> np.ndarray:
    x1, y1, x2, y2 = face.pixels(image.shape[1], image.shape[0])
    return image[y1:y2, x1:x2].astype(float)


def clip(seed: int, spells: float = 0.6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    views = draw_views(NO_CHANGE, still().side, spells, rng)
    return shoot(views, still(), rng)


def test_a_seed_draws_the_whole_clip() -> None:
    one, two, other = clip(3), clip(3), clip(4)
    assert len(one) == LENGTH
    assert all(frame.dtype == np.uint8 for frame in one)
    assert all(frame.shape == still().image.shape for frame in one)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_view_without_change_shows_the_still() -> None:
    (frame,) = shoot([View()], still(), np.random.default_rng(0))
    assert np.array_equal(frame, still().image)


def test_no_two_frames_are_alike_and_the_face_stays_about_where_it_was() -> None:
    views = draw_views(NO_CHANGE, still().side, 0.0, np.random.default_rng(0))
    assert len({(view.shift, view.zoom, view.angle) for view in views}) == LENGTH
    for seed in range(200):
        for view in draw_views(NO_CHANGE, 60.0, 0.0, np.random.default_rng(seed)):
            assert np.abs(view.shift).max() < 0.15
            assert 0.8 < view.zoom < 1.25
            assert abs(view.angle) < 15
            assert not view.covers
            assert view.look.blur is None and view.look.shrink == 1


def test_damage_comes_and_goes() -> None:
    def damaged(view: View) -> bool:
        return bool(view.covers) or view.look.blur is not None or view.look.shrink > 1

    seen = [
        [damaged(view) for view in draw_views(NO_CHANGE, 60.0, 0.6, np.random.default_rng(seed))]
        for seed in range(300)
    ]
    share = np.mean(seen)
    assert 0.2 < share < 0.6
    # as often in the first frame as in the last: what began before the clip is there
    assert np.mean(seen, axis=0).std() < 0.05
    partly = [any(frames) and not all(frames) for frames in seen]
    assert np.mean(partly) > 0.3


def test_a_hand_comes_from_aside() -> None:
    for seed in range(50):
        views = draw_views(np.zeros(60), 60.0, 0.2, np.random.default_rng(seed))
        covered = [view.covers for view in views if view.covers]
        if not covered or views[0].covers or views[-1].covers:
            continue
        reach = [float(np.hypot(*covers[0][1])) for covers in covered]
        assert reach[0] > 0.3
        assert min(reach) == 0
        return
    raise AssertionError("no cover came and went in 50 clips")


def test_a_cover_aside_leaves_the_face_free() -> None:
    views = [View(covers=((Cover("mouth"), offset),)) for offset in ((0.0, 0.0), (0.0, 3.0))]
    there, away = shoot(views, still(), np.random.default_rng(0))
    assert not np.array_equal(inside(there, still().face), inside(still().image, still().face))
    assert np.array_equal(inside(away, still().face), inside(still().image, still().face))


def test_one_face_becomes_the_other_in_its_place() -> None:
    first, second = still(0), still(2)
    views = [View(share=0.0), View(share=0.5), View(share=1.0)]
    frames = shoot(views, first, np.random.default_rng(0), second)
    assert np.array_equal(frames[0], first.image)
    assert not np.array_equal(frames[2], first.image)
    half = (inside(frames[0], first.face) + inside(frames[2], first.face)) / 2
    assert np.abs(inside(frames[1], first.face) - half).max() <= 1


def test_a_face_crop_becomes_another_one_exactly() -> None:
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(2)]
    one, two = (Still(crop, Face(0, 0, 48, 48)) for crop in crops)
    (frame,) = shoot([View(share=1.0)], one, rng, two)
    assert np.array_equal(frame, crops[1])


@pytest.mark.parametrize("middle", [(-20.0, -20.0), (8.0, 8.0), (40.0, 40.0)])
def test_a_change_grows_from_nothing_to_all(middle: tuple[float, float]) -> None:
    shares = draw_change(LENGTH, middle, np.random.default_rng(1))
    assert (np.diff(shares) >= 0).all()
    assert shares.min() >= 0 and shares.max() <= 1
    if middle[0] == 8:
        assert shares[0] == 0 and shares[-1] == 1 and shares[8] == 0.5
    else:
        assert set(shares.tolist()) == {1.0 if middle[0] < 0 else 0.0}
