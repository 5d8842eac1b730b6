# SPDX-License-Identifier: Apache-2.0
"""What the network sees: geometry, borders, hiding."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.crops import (
    LEVEL,
    context_crop,
    even_light,
    face_crop,
    face_cut,
    halve,
    shrink_scene,
)
from caer_ros.types import Face

SIZE = 96
SCENE = NetworkSpec().scene_size
pixels = st.floats(-1e5, 1e5, allow_nan=False)


def ramp(width: int, height: int) -> np.ndarray:
    """A picture whose blue is its column and green its row, at most 255 of each."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return image


def test_a_crop_of_the_same_size_is_the_picture_itself(
    rng: np.random.Generator,
) -> None:
    image = rng.integers(0, 256, (200, 200, 3), np.uint8)
    crop = face_cut(image, Face(50, 60, 50 + SIZE, 60 + SIZE), SIZE, margin=0.0)
    np.testing.assert_array_equal(crop, image[60 : 60 + SIZE, 50 : 50 + SIZE])


@pytest.mark.parametrize("side", [24.0, 61.5, 96.0, 150.25, 210.0])
def test_the_crop_covers_the_box_exactly_at_every_scale(side: float) -> None:
    image = ramp(256, 256)
    x, y = 20.5, 30.25
    crop = face_cut(image, Face(x, y, x + side, y + side), SIZE, margin=0.0).astype(float)
    middles = (np.arange(SIZE) + 0.5) * side / SIZE - 0.5
    np.testing.assert_allclose(crop[40, :, 0], x + middles, atol=1.1)
    np.testing.assert_allclose(crop[:, 40, 1], y + middles, atol=1.1)


def test_an_enlarged_crop_blends_with_what_lies_beyond_the_box() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 20:44] = 200
    crop = face_cut(image, Face(20, 20, 44, 44), SIZE, margin=0.0)
    # the outermost crop pixels are read 3/8 of a pixel outside
    np.testing.assert_allclose(crop[50, [0, -1], 0], 200 * 5 / 8, atol=2)


def test_the_margin_is_added_on_every_side_of_the_longer_edge() -> None:
    image = ramp(256, 256)
    crop = face_cut(image, Face(100, 80, 140, 160), SIZE, margin=0.25)
    # 80 high, so the square is 120 and starts at 120 - 60 in both directions
    np.testing.assert_allclose(crop[0, [0, -1], 0], [60, 180], atol=1)
    np.testing.assert_allclose(crop[[0, -1], 0, 1], [60, 180], atol=1)


def test_beyond_the_border_the_border_pixel_is_repeated() -> None:
    image = ramp(200, 200)
    crop = face_cut(image, Face(-48, 0, 48, 96), SIZE, margin=0.0)
    assert (crop[:, : SIZE // 2, 0] == 0).all()
    assert (np.diff(crop[10, SIZE // 2 :, 0].astype(int)) == 1).all()


def test_shrinking_a_fine_pattern_gives_its_mean_not_an_alias() -> None:
    checkers = (np.indices((600, 600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = cv2.merge([checkers] * 3)
    crop = face_cut(image, Face(0, 0, 600, 600), SIZE, margin=0.0)
    assert abs(crop.astype(float) - 127.5).max() < 2.0
    scene = shrink_scene(image, SCENE)
    assert abs(scene.image.astype(float) - 127.5).max() < 2.0


def test_a_crop_is_written_where_the_caller_wants_it(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    face = Face(30, 40, 200, 230)
    batch = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    face_crop(image, face, SIZE, 0.2, out=batch[1])
    np.testing.assert_array_equal(batch[1], face_crop(image, face, SIZE, 0.2))
    assert not batch[0].any()


@pytest.mark.parametrize("degrees", [-60.0, -25.0, 25.0, 60.0])
def test_a_rolled_face_is_cut_upright_but_for_the_last_degrees(
    degrees: float, rng: np.random.Generator
) -> None:
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (300, 300, 3), np.uint8), (0, 0), 6)
    image = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    box = Face(100, 110, 196, 206)
    # the picture clockwise about the middle of the face, but for what is left
    left = np.copysign(np.degrees(LEVEL), degrees)
    middle = (148 - 0.5, 158 - 0.5)
    turn = cv2.getRotationMatrix2D(middle, -(degrees - left), 1.0)
    rolled = cv2.warpAffine(image, turn, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    face = dataclasses.replace(box, roll=float(np.radians(degrees)))
    difference = face_cut(rolled, face, SIZE, 0.0).astype(int) - face_cut(image, box, SIZE, 0.0)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("roll", [-LEVEL, -0.05, 0.05, LEVEL])
def test_a_face_held_nearly_level_is_cut_as_it_is(roll: float, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (200, 200, 3), np.uint8)
    face = Face(50, 60, 150, 160)
    turned = dataclasses.replace(face, roll=roll)
    np.testing.assert_array_equal(
        face_cut(image, turned, SIZE, 0.1), face_cut(image, face, SIZE, 0.1)
    )


def test_a_face_in_the_dark_has_more_contrast(rng: np.random.Generator) -> None:
    coarse = rng.integers(10, 64, (6, 6, 3), np.uint8)
    dark = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
    before = cv2.cvtColor(dark, cv2.COLOR_BGR2GRAY)
    assert even_light(dark).std() > 1.5 * before.std()


def test_the_network_sees_faces_in_grey(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (200, 200, 3), np.uint8)
    crop = face_crop(image, Face(50, 60, 150, 160), 64, 0.1)
    assert crop.shape == (64, 64, 3) and crop.dtype == np.uint8
    assert (crop == crop[..., :1]).all()


@given(x=pixels, y=pixels, width=st.floats(0, 1e5), height=st.floats(0, 1e5))
def test_any_box_gives_a_crop_of_pixels_the_image_has(
    x: float, y: float, width: float, height: float
) -> None:
    image = np.full((37, 53, 3), (10, 20, 30), np.uint8)
    crop = face_cut(image, Face(x, y, x + width, y + height), SIZE, margin=0.3)
    assert crop.shape == (SIZE, SIZE, 3)
    assert (crop == (10, 20, 30)).all()
    context = context_crop(shrink_scene(image, SCENE), [Face(x, y, x + width, y + height)], 112)
    assert context.shape == (112, 112, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3), (3000, 2)])
def test_pictures_of_any_shape_are_served(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    assert (face_cut(image, Face(0, 0, shape[1], shape[0]), SIZE, margin=0.1) == 77).all()
    assert (context_crop(shrink_scene(image, SCENE), [], 112) == 77).all()


def test_halving_stays_on_the_pixel_grid() -> None:
    image = ramp(251, 131)
    small, power = halve(image, 5.3)
    assert power == 4
    assert small.shape == (32, 62, 3)
    # the mean of columns 4 x to 4 x + 3
    np.testing.assert_allclose(small[5, :, 0], 4 * np.arange(62) + 1.5, atol=1)


def test_the_scene_is_the_whole_frame_and_the_context_its_centre() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, 640)
    image[..., 1] = np.linspace(0, 255, 480)[:, None]
    scene = shrink_scene(image, SCENE)
    assert scene.image.shape == (128, 171, 3)
    np.testing.assert_allclose(scene.image[64, [0, 170], 0], [0, 255], atol=2)
    np.testing.assert_allclose(scene.image[[0, 127], 80, 1], [0, 255], atol=2)
    context = context_crop(scene, [], 112)
    np.testing.assert_array_equal(context, scene.image[8:120, 29:141])


def test_another_context_size_keeps_the_proportion() -> None:
    size = NetworkSpec(context_size=224).scene_size
    scene = shrink_scene(np.zeros((480, 640, 3), np.uint8), size)
    assert scene.image.shape == (256, 342, 3)
    assert context_crop(scene, [], 224).shape == (224, 224, 3)


def test_a_corner_moves_the_crop_and_the_hidden_face_with_it(
    rng: np.random.Generator,
) -> None:
    image = rng.integers(1, 256, (480, 640, 3), np.uint8)
    scene = shrink_scene(image, SCENE)
    face = Face(200, 100, 300, 220)
    centre = context_crop(scene, [face], 112)
    corner = context_crop(scene, [face], 112, corner=(0, 0))
    np.testing.assert_array_equal(centre[:104, :83], corner[8:, 29:])


def test_hiding_leaves_the_scene_and_the_rest_of_the_crop_alone() -> None:
    image = np.full((480, 640, 3), 200, np.uint8)
    scene = shrink_scene(image, SCENE)
    context = context_crop(scene, [Face(280, 200, 360, 280)], 112)
    assert (scene.image == 200).all()
    black = (context == 0).all(axis=2)
    assert ((context == 200).all(axis=2) | black).all()
    # 80 pixels and a quarter on each side are 32 scene pixels, and the interpolation reaches a
    # little further
    rows, columns = np.nonzero(black)
    assert 32 <= np.ptp(rows) + 1 <= 35
    assert 32 <= np.ptp(columns) + 1 <= 35


def test_a_network_may_read_the_whole_frame() -> None:
    spec = NetworkSpec(context_encoder="efficientnet_lite0", context_view="whole")
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, 640)
    context = context_crop(shrink_scene(image, spec.scene_size), [], spec.context_size)
    assert context.shape == (112, 112, 3)
    np.testing.assert_allclose(context[50, [0, -1], 0], [0, 255], atol=3)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(20, 900), st.integers(20, 900)),
    box=st.tuples(*[st.floats(-0.2, 1.0)] * 2, *[st.floats(0.01, 1.2)] * 2),
    size=st.sampled_from([64, 112, 224]),
    view=st.sampled_from(["centre", "whole"]),
)
def test_what_is_inside_a_hidden_box_has_no_influence(
    shape: tuple[int, int], box: tuple[float, float, float, float], size: int, view: str
) -> None:
    whole = NetworkSpec(context_size=size, context_view=view).scene_size
    height, width = shape
    x, y = box[0] * width, box[1] * height
    face = Face(x, y, x + box[2] * width, y + box[3] * height)
    dark = np.full((height, width, 3), 40, np.uint8)
    bright = dark.copy()
    rows = slice(max(int(np.floor(face.y1)), 0), max(int(np.ceil(face.y2)), 0))
    columns = slice(max(int(np.floor(face.x1)), 0), max(int(np.ceil(face.x2)), 0))
    bright[rows, columns] = 255
    np.testing.assert_array_equal(
        context_crop(shrink_scene(dark, whole), [face], size),
        context_crop(shrink_scene(bright, whole), [face], size),
    )
