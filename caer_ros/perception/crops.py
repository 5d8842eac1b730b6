# SPDX-License-Identifier: Apache-2.0
"""What the network sees of a person: the face, and the scene with faces hidden.

Training cuts its pictures with these same functions. All pictures are uint8 BGR.

A picture that has to shrink is first halved, averaging 2x2 pixels, until less than a factor of two
is left, then sampled with linear interpolation: free of aliasing at a tenth of the cost of
`cv2.INTER_AREA`, which is fast for whole factors of two only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from caer_ros.settings import setting
from caer_ros.types import Face

HIDDEN_MARGIN = 0.25
"""What is hidden around a face in the scene, in parts of its box: less leaves corners of the mouth
that tell what the scene should."""


LEVEL = math.radians(10.0)
"""Roll of a face that is left as it is; the network is trained on that much and more."""


@dataclass(frozen=True)
class CropSettings:
    """How faces and scenes are cut out of a frame."""

    face_margin: float = setting(
        0.1,
        "what the square face crop adds to the detected box on each side, as a fraction of the "
        "box's longer side",
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    hide: str = setting(
        "own",
        "whose faces are blacked out in the scene: the person's own, as in the paper, or all, "
        "which cuts the scene once a frame instead of once a person",
        choices=("own", "all"),
    )


def halve(image: np.ndarray, ratio: float) -> tuple[np.ndarray, int]:
    """Shrink `image` by the largest power of two that does not exceed `ratio`.

    Returns the picture and that power; a last odd row or column is left out at each step, so that
    its pixel (x, y) stands for exactly the square from (x, y) * power on.
    """
    power = 1
    while ratio >= 2.0 * power and min(image.shape[:2]) >= 2:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * height, : 2 * width]
        image = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
        power *= 2
    return image, power


def face_crop(
    image: np.ndarray,
    face: Face,
    size: int,
    margin: float,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return what the network sees of `face`: `face_cut` under `even_light`."""
    return even_light(face_cut(image, face, size, margin), out)


def face_cut(image: np.ndarray, face: Face, size: int, margin: float) -> np.ndarray:
    """Cut a square around the middle of `face` and scale it to (size, size, 3).

    The square's side is the box's longer side and `margin` times that on both ends. It is turned
    with the face, but for the last `LEVEL` of its roll: so much the eyes are often wrong by. Where
    it reaches beyond the image the nearest border pixel is repeated, so that no edge appears which
    the network could take for a part of the face. The cut is exact to 1/32 pixel.
    """
    side = max(face.width, face.height, 1.0) * (1.0 + 2.0 * margin)
    left = (face.x1 + face.x2 - side) / 2
    top = (face.y1 + face.y2 - side) / 2
    turn = math.copysign(max(abs(face.roll) - LEVEL, 0.0), face.roll)
    return _sample(image, (left, top, side, side), (size, size), turn)[0]


def even_light(crop: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return a face crop in grey, its contrast evened out by CLAHE (Zuiderveld, 1994).

    A face in the dark, or lit from one side, then looks much like one in good light. The three
    channels of the result, uint8 BGR, are equal.
    """
    grey = cv2.createCLAHE(2.0, (4, 4)).apply(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY))
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR, dst=out)


@dataclass(frozen=True)
class Scene:
    """A whole frame at the size that the context stream crops from.

    image: uint8 BGR. scale_x, scale_y: frame pixels a scene pixel is wide and high.
    reach: how far from its middle, in frame pixels, a scene pixel was read.
    """

    image: np.ndarray
    scale_x: float
    scale_y: float
    reach: float


def shrink_scene(image: np.ndarray, size: tuple[int, int]) -> Scene:
    """Resize a frame to `size`, width and height (`NetworkSpec.scene_size`).

    The frame's aspect ratio is not kept, as in the paper.
    """
    width, height = size
    rows, columns = image.shape[:2]
    small, power = _sample(image, (0.0, 0.0, columns, rows), size)
    # linear interpolation reads one halved pixel around a point, each half a pixel to either side
    return Scene(small, columns / width, rows / height, 1.5 * power + 0.1)


def context_crop(
    scene: Scene,
    hidden: Iterable[Face],
    size: int,
    corner: tuple[int, int] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Cut (size, size, 3) out of a scene and black out the faces `hidden`.

    Every pixel that holds any of a hidden box, `HIDDEN_MARGIN` wider on each side, is black: what
    is inside has no influence.
    `corner` is the crop's (left, top) in the scene, random in training; without it the centre is
    cut. The scene itself stays as it is.
    """
    height, width = scene.image.shape[:2]
    left, top = corner or ((width - size) // 2, (height - size) // 2)
    crop = scene.image[top : top + size, left : left + size]
    if out is None:
        out = crop.copy()
    else:
        out[:] = crop
    for face in hidden:
        margin_x, margin_y = HIDDEN_MARGIN * face.width, HIDDEN_MARGIN * face.height
        x1, x2 = _touched(
            face.x1 - margin_x, face.x2 + margin_x, scene.scale_x, scene.reach, left, size
        )
        y1, y2 = _touched(
            face.y1 - margin_y, face.y2 + margin_y, scene.scale_y, scene.reach, top, size
        )
        out[y1:y2, x1:x2] = 0
    return out


def _touched(
    low: float, high: float, scale: float, reach: float, offset: int, size: int
) -> tuple[int, int]:
    """Return the range of crop pixels that were read from between `low` and `high`."""
    first = math.ceil((low - reach) / scale - 0.5) - offset
    last = math.floor((high + reach) / scale - 0.5) - offset
    return min(max(first, 0), size), min(max(last + 1, 0), size)


def _sample(
    image: np.ndarray,
    region: tuple[float, float, float, float],
    size: tuple[int, int],
    turn: float = 0.0,
) -> tuple[np.ndarray, int]:
    """Scale the region (left, top, width, height) of `image` to `size` (width, height).

    The region is turned about its middle by `turn`, clockwise in radians. Returns the picture and
    the power of two by which it was halved on the way.
    """
    left, top, width, height = region
    middle_x, middle_y = left + width / 2, top + height / 2
    scale_x, scale_y = width / size[0], height / size[1]
    ratio = min(scale_x, scale_y)
    cosine, sine = math.cos(turn), math.sin(turn)
    # only the part of the image that the region needs, with room for the interpolation
    reach_x = (abs(cosine) * width + abs(sine) * height) / 2 + 4.0 * max(ratio, 1.0)
    reach_y = (abs(sine) * width + abs(cosine) * height) / 2 + 4.0 * max(ratio, 1.0)
    rows, columns = image.shape[:2]
    x1, x2 = _span(middle_x - reach_x, middle_x + reach_x, columns)
    y1, y2 = _span(middle_y - reach_y, middle_y + reach_y, rows)
    small, power = halve(image[y1:y2, x1:x2], ratio)
    # pixel i covers [i, i + 1), so its middle is at i + 0.5, before and after
    matrix = np.array([[cosine * scale_x, -sine * scale_y], [sine * scale_x, cosine * scale_y]])
    origin = np.array([middle_x - x1, middle_y - y1])
    origin -= matrix @ [(size[0] - 1) / 2, (size[1] - 1) / 2]
    sampled = cv2.warpAffine(
        small,
        np.column_stack([matrix, origin - 0.5 * power]) / power,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return sampled, power


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """Return the whole pixels of [low, high] inside a picture of `length`, at least one."""
    first = min(max(math.floor(low), 0), length - 1)
    return first, min(max(math.ceil(high), first + 1), length)
