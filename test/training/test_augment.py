# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caer_ros.training.augment import AugmentSettings, Look, draw_look
from caer_ros.types import Face

EVERYTHING = AugmentSettings(
    flip=0.5,
    shift=0.1,
    scale=0.3,
    rotation=20.0,
    brightness=0.3,
    contrast=0.5,
    color=0.3,
    grey=0.3,
    low_light=0.5,
    blur=0.5,
    low_resolution=0.5,
    noise=0.5,
    jpeg=0.5,
    occlusion=0.5,
    random_context=True,
)


def picture(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_nothing_changes_by_default():
    rng = np.random.default_rng(0)
    look = draw_look(AugmentSettings(), 48, rng)
    assert np.array_equal(look.face(picture(48), rng), picture(48))
    assert look.move(Face(3, 5, 40, 60)) == Face(3, 5, 40, 60)
    assert look.corner is None


@settings(max_examples=50, deadline=None)
@given(size=st.integers(16, 128), seed=st.integers(0, 2**32))
def test_any_draw_gives_a_picture_of_the_same_size_and_the_same_seed_the_same(size, seed):
    def once() -> np.ndarray:
        rng = np.random.default_rng(seed)
        return draw_look(EVERYTHING, size, rng).face(picture(size), rng)

    one = once()
    assert one.dtype == np.uint8
    assert one.shape == (size, size, 3)
    assert np.array_equal(one, once())


@pytest.mark.parametrize(
    "name",
    sorted(
        {f.name for f in dataclasses.fields(AugmentSettings)} - {"random_context", "face_only"}
    ),
)
def test_every_setting_has_an_effect(name):
    alone = AugmentSettings(**{name: 0.9})
    box = Face(10, 10, 50, 50)
    rng = np.random.default_rng(0)
    looks = [draw_look(alone, 64, rng) for _ in range(5)]
    assert any(
        look.move(box) != box or not np.array_equal(look.face(picture(64), rng), picture(64))
        for look in looks
    )


def test_what_happens_to_the_face_alone_leaves_the_scene_as_it_is():
    rng = np.random.default_rng(0)
    both = draw_look(AugmentSettings(dark=1.0), 64, rng)
    alone = draw_look(AugmentSettings(dark=1.0, face_only=1.0), 64, rng)
    assert both.scene(picture(64), rng).mean() < 0.5 * picture(64).mean()
    assert np.array_equal(alone.scene(picture(64), rng), picture(64))
    assert alone.face(picture(64), rng).mean() < 0.5 * picture(64).mean()


def test_the_source_picture_stays_as_it_is():
    source, rng = picture(64), np.random.default_rng(1)
    for _ in range(20):
        draw_look(EVERYTHING, 64, rng).face(source, rng)
    assert np.array_equal(source, picture(64))


def test_low_light_is_darker():
    rng = np.random.default_rng(0)
    source = picture(64)
    for _ in range(10):
        dark = draw_look(AugmentSettings(low_light=1.0), 64, rng).face(source, rng)
        assert dark.mean() < 0.7 * source.mean()


def test_a_box_moves_by_parts_of_its_longer_side():
    moved = Look(shift=(0.1, -0.2), zoom=2.0).move(Face(0, 0, 20, 40, 0.5))
    assert moved == Face(-6, -28, 34, 52, 0.5)


@pytest.mark.parametrize(
    ("changes", "face_only", "hides"),
    [
        ({}, 0.0, False),
        ({"cover": 1.0}, 0.0, True),
        ({"occlusion": 1.0}, 0.0, True),
        ({"motion": 1.0}, 0.0, False),
        ({"motion": 1.0}, 1.0, True),
        ({"dark": 1.0}, 0.0, False),
        ({"dark": 1.0}, 1.0, True),
        ({"cover": 1.0, "dark": 1.0}, 0.0, False),
        ({"flip": 1.0, "noise": 1.0}, 1.0, False),
    ],
)
def test_a_look_tells_whether_the_face_lost_more_than_the_scene(changes, face_only, hides):
    settings = AugmentSettings(**changes, face_only=face_only)
    looks = [draw_look(settings, 64, np.random.default_rng(seed)) for seed in range(5)]
    assert {look.hides_face for look in looks} == {hides}
