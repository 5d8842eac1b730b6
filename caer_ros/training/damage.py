# SPDX-License-Identifier: Apache-2.0
"""What hides a face or spoils a picture: drawn at random to learn from, or fixed to judge by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from caer_ros.types import Face

PARTS = {
    "mouth": ((0.08, 0.56), (0.92, 1.04)),
    "eyes": ((0.04, 0.22), (0.96, 0.47)),
    "left": ((-0.04, 0.0), (0.5, 1.0)),
    "right": ((0.5, 0.0), (1.04, 1.0)),
}
"""Parts of a face, (left, top) and (right, bottom) in parts of its box."""

MASK_COLORS = ((235, 235, 235), (205, 190, 150), (35, 35, 35), (120, 120, 120))
"""BGR of masks as worn: white, light blue, black, grey."""


@dataclass(frozen=True)
class Cover:
    """Something in front of a part of a face.

    part: a name of `PARTS`. color: BGR, or None for the mean of the face, which is skin. shape:
    `box`, `round` (an ellipse, as a hand or a cup) or `mask` (narrow at the chin). shift: of
    the upper edge of a mouth's cover, in parts of the face. folds: deviation of the texture in
    grey levels, drawn from `seed`.
    """

    part: str
    color: tuple[int, int, int] | None = (128, 128, 128)
    shape: str = "box"
    shift: float = 0.0
    folds: float = 0.0
    seed: int = 0

    def draw(self, image: np.ndarray, face: Face) -> np.ndarray:
        """Return a copy of `image`, uint8 BGR, with `face` covered."""
        image = image.copy()
        (left, top), (right, bottom) = PARTS[self.part]
        top += self.shift
        x = face.x1 + face.width * np.array([left, right])
        y = face.y1 + face.height * np.array([top, bottom])
        x1, y1, x2, y2 = Face(x[0], y[0], x[1], y[1]).pixels(image.shape[1], image.shape[0])
        if x2 <= x1 or y2 <= y1:
            return image
        color: tuple[float, ...]
        if self.color is None:
            px1, py1, px2, py2 = face.pixels(image.shape[1], image.shape[0])
            color = tuple(0.9 * image[py1:py2, px1:px2].mean(axis=(0, 1)))
        else:
            color = tuple(map(float, self.color))
        shape = np.zeros((y2 - y1, x2 - x1), np.uint8)
        rows, columns = shape.shape
        if self.shape == "round":
            middle = (columns // 2, rows // 2)
            cv2.ellipse(shape, middle, (columns // 2, max(rows // 2, 1)), 0, 0, 360, 1, -1)
        elif self.shape == "mask":
            corners = [[0, rows // 8], [columns // 2, 0], [columns, rows // 8]]
            corners += [[int(0.75 * columns), rows], [int(0.25 * columns), rows]]
            cv2.fillPoly(shape, [np.array(corners)], 1)
        else:
            shape[:] = 1
        fill: np.ndarray = np.full((rows, columns, 3), color, np.float32)
        if self.folds:
            rng = np.random.default_rng(self.seed)
            coarse = rng.standard_normal((4, 4)).astype(np.float32) * self.folds
            fill = (
                fill
                + cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)[..., None]
            )
        region = image[y1:y2, x1:x2]
        region[shape > 0] = np.clip(fill, 0, 255).astype(np.uint8)[shape > 0]
        return image


def draw_cover(rng: np.random.Generator) -> Cover:
    """Draw a mask, a hand, glasses or a flat patch; the mouth is covered in six cases of ten."""
    part = str(rng.choice(["mouth", "eyes", "left", "right"], p=[0.6, 0.2, 0.1, 0.1]))
    kind = rng.random()
    color: tuple[int, int, int] | None
    if kind < 0.35:
        color, shape = None, "round" if rng.random() < 0.6 else "box"
    elif kind < 0.75:
        base = np.array(MASK_COLORS[rng.integers(len(MASK_COLORS))])
        blue, green, red = np.clip(base + rng.integers(-25, 26, 3), 0, 255).tolist()
        color, shape = (blue, green, red), "mask" if part == "mouth" else "round"
    else:
        blue, green, red = rng.integers(0, 256, 3).tolist()
        color, shape = (blue, green, red), "box"
    return Cover(
        part,
        color,
        shape,
        float(rng.uniform(-0.1, 0.08)),
        float(rng.uniform(0, 20)),
        int(rng.integers(2**31)),
    )


def motion(length: float, angle: float) -> np.ndarray:
    """Return the float32 kernel of a straight motion by `length` pixels at `angle`, radians."""
    edge = 2 * math.ceil(length / 2) + 1
    kernel = np.zeros((edge, edge), np.float32)
    reach = length / 2 * np.array([math.cos(angle), math.sin(angle)])
    middle = np.array([edge // 2, edge // 2])
    ends = np.rint([middle - reach, middle + reach]).astype(int).tolist()
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()


DAMAGES = (
    "mouth",
    "mask",
    "eyes",
    "blur",
    "dark",
    "bright",
    "noise",
    "roll",
    "small",
    "jpeg",
)
"""Ways to spoil a picture that a network can be judged by, see `damaged`."""


def darkened(pictures: np.ndarray) -> np.ndarray:
    """Return uint8 pictures with 0.15 of their light."""
    return (0.15 * pictures).astype(np.uint8)


AREAS = ("frame", "face")


def damaged(
    kind: str, image: np.ndarray, face: Face, area: str, rng: np.random.Generator
) -> np.ndarray:
    """Return a copy of `image`, uint8 BGR, with one kind of damage of a fixed strength.

    mouth, eyes: a grey patch; mask: a light blue one, narrow at the chin. blur: a motion by 16 %
    of the face, in a direction that `rng` draws. dark: 0.15 of the light. bright: 2.5 times the
    light, what is too much is white. noise: a deviation of 25 grey levels. roll: the camera
    turned by 30 degrees about the face, to either side. small: as if the face had 20 pixels.
    jpeg: quality 30. Of blur to jpeg, but for roll, `area` is the whole frame, or the face and
    what lies within half its size: who moves, a face in shadow.
    """
    if kind in ("mouth", "eyes"):
        return Cover(kind).draw(image, face)
    if kind == "mask":
        return Cover("mouth", MASK_COLORS[1], "mask").draw(image, face)
    side = max(face.width, face.height)
    if kind == "roll":
        middle = ((face.x1 + face.x2 - 1) / 2, (face.y1 + face.y2 - 1) / 2)
        turn = cv2.getRotationMatrix2D(middle, float(rng.choice([-30, 30])), 1.0)
        size = (image.shape[1], image.shape[0])
        return cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE)
    out = image.copy()
    region: tuple[slice, slice] = (slice(None), slice(None))
    if area == "face":
        reach = side / 2
        around = Face(face.x1 - reach, face.y1 - reach, face.x2 + reach, face.y2 + reach)
        x1, y1, x2, y2 = around.pixels(image.shape[1], image.shape[0])
        region = slice(y1, y2), slice(x1, x2)
    out[region] = _spoiled(kind, out[region], side, rng)
    return out


def _spoiled(kind: str, image: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """Spoil a whole picture in which the face has `side` pixels."""
    if kind == "blur":
        kernel = motion(0.16 * side, rng.uniform(0, math.pi))
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if kind == "dark":
        return darkened(image)
    if kind == "bright":
        return np.minimum(2.5 * image, 255).astype(np.uint8)
    if kind == "noise":
        noise = rng.standard_normal(image.shape, dtype=np.float32) * 25
        return np.clip(image + noise, 0, 255).astype(np.uint8)
    if kind == "small":
        height, width = image.shape[:2]
        shrink = max(side / 20, 1.0)
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    assert kind == "jpeg"
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded
