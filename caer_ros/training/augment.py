# SPDX-License-Identifier: Apache-2.0
"""What a robot's camera does to a picture, drawn at random."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from caer_ros.settings import setting
from caer_ros.training.damage import Cover, draw_cover, motion
from caer_ros.types import Face


@dataclass(frozen=True)
class AugmentSettings:
    """How much training pictures are changed; nothing by default."""

    flip: float = setting(0.0, "share mirrored", minimum=0.0, maximum=1.0)
    shift: float = setting(
        0.0, "the face box moves by up to this part of its side", minimum=0.0, maximum=0.5
    )
    scale: float = setting(
        0.0, "the face box grows or shrinks by up to this part", minimum=0.0, maximum=0.9
    )
    rotation: float = setting(
        0.0, "the face turns by up to so many degrees", minimum=0.0, maximum=180.0
    )
    brightness: float = setting(
        0.0, "light changes by up to this part of white", minimum=0.0, maximum=1.0
    )
    contrast: float = setting(
        0.0, "contrast grows or shrinks by up to this part", minimum=0.0, maximum=0.9
    )
    color: float = setting(
        0.0, "each colour channel gains or loses up to this part", minimum=0.0, maximum=0.9
    )
    grey: float = setting(0.0, "share turned to grey", minimum=0.0, maximum=1.0)
    low_light: float = setting(0.0, "share darkened, with noise", minimum=0.0, maximum=1.0)
    blur: float = setting(0.0, "share blurred, by defocus or motion", minimum=0.0, maximum=1.0)
    low_resolution: float = setting(
        0.0, "share shrunk up to four times and enlarged again", minimum=0.0, maximum=1.0
    )
    noise: float = setting(0.0, "share with sensor noise", minimum=0.0, maximum=1.0)
    jpeg: float = setting(0.0, "share compressed as JPEG", minimum=0.0, maximum=1.0)
    occlusion: float = setting(
        0.0, "share of faces with a rectangle in front of them", minimum=0.0, maximum=1.0
    )
    cover: float = setting(
        0.0,
        "share of faces with mouth, eyes or one side behind a mask, a hand or glasses",
        minimum=0.0,
        maximum=1.0,
    )
    motion: float = setting(
        0.0, "share moved while the picture was taken", minimum=0.0, maximum=1.0
    )
    dark: float = setting(
        0.0, "share darkened to between a tenth and a third, with noise", minimum=0.0, maximum=1.0
    )
    side_light: float = setting(0.0, "share lit from one side", minimum=0.0, maximum=1.0)
    face_only: float = setting(
        0.0, "share in which all this happens to the face alone", minimum=0.0, maximum=1.0
    )
    random_context: bool = setting(False, "cut the scene anywhere instead of in its middle")


@dataclass(frozen=True)
class Look:
    """One draw of everything a camera does to a picture or to all frames of a clip.

    shift, zoom, angle: of the face box, in parts of its side, as a factor, in degrees.
    light: gain at the left, right, top and bottom edge, or None for even light.
    table: uint8 (256, 1, 3), new value of each value and channel. dark: the part of the light that
    the table leaves. blur: float32 kernel.
    shrink: factor. noise: standard deviation in grey levels. quality: of the JPEG, 0 for none.
    cover: what stands before the face. face_only: the scene is only mirrored and cut.
    occlusion: (left, top, right, bottom) in parts of the face crop, and the BGR fill.
    corner: where the scene is cut, in parts of what there is to choose from; None for its middle.
    """

    flip: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    angle: float = 0.0
    grey: bool = False
    light: tuple[float, float, float, float] | None = None
    table: np.ndarray | None = None
    dark: float = 1.0
    blur: np.ndarray | None = None
    shrink: float = 1.0
    noise: float = 0.0
    quality: int = 0
    occlusion: tuple[tuple[float, ...], tuple[int, ...]] | None = None
    cover: Cover | None = None
    face_only: bool = False
    corner: tuple[float, float] | None = None

    @property
    def hides_face(self) -> bool:
        """Whether the face lost more than the scene: it is covered, or alone was spoilt.

        Not where the light of the whole frame is gone: a dark room says nothing of a mood.
        """
        covered = self.cover is not None or self.occlusion is not None
        if self.face_only:
            return covered or self.blur is not None or self.shrink > 2 or self.dark < 1
        return covered and self.dark == 1

    def move(self, box: Face) -> Face:
        """Return `box` shifted and zoomed."""
        side = max(box.width, box.height)
        x = (box.x1 + box.x2) / 2 + self.shift[0] * side
        y = (box.y1 + box.y2) / 2 + self.shift[1] * side
        width, height = box.width * self.zoom / 2, box.height * self.zoom / 2
        return Face(x - width, y - height, x + width, y + height, box.score, box.roll)

    def face(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a square face crop, uint8 BGR, as this camera sees it."""
        size = len(crop)
        if self.occlusion:
            (x1, y1, x2, y2), fill = self.occlusion
            crop = crop.copy()
            crop[int(y1 * size) : int(y2 * size), int(x1 * size) : int(x2 * size)] = fill
        if self.cover:
            crop = self.cover.draw(crop, Face(0, 0, size, size))
        if self.angle:
            middle = ((size - 1) / 2, (size - 1) / 2)
            turn = cv2.getRotationMatrix2D(middle, self.angle, 1.0)
            crop = cv2.warpAffine(crop, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
        return self._spoil(cv2.flip(crop, 1) if self.flip else crop, rng)

    def scene(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a whole scene, uint8 BGR, as this camera sees it, not yet mirrored."""
        return image if self.face_only else self._spoil(image, rng)

    def _spoil(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if self.light:
            image = _light(image, self.light)
        if self.table is not None:
            image = cv2.LUT(image, self.table)
        if self.blur is not None:
            image = cv2.filter2D(image, -1, self.blur, borderType=cv2.BORDER_REPLICATE)
        if self.shrink > 1:
            height, width = image.shape[:2]
            small = (max(1, int(width / self.shrink)), max(1, int(height / self.shrink)))
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.noise:
            noise = rng.standard_normal(image.shape, dtype=np.float32) * self.noise
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
        if self.quality:
            _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            image = cv2.imdecode(code, cv2.IMREAD_COLOR)  # type: ignore[assignment]
        return image


def draw_look(settings: AugmentSettings, size: int, rng: np.random.Generator) -> Look:
    """Draw a look for a picture of `size` pixels."""
    low_light = rng.random() < settings.low_light
    dark = rng.uniform(0.1, 0.33) if rng.random() < settings.dark else 1.0
    blur = _draw_blur(size, rng) if rng.random() < settings.blur else None
    if rng.random() < settings.motion:
        blur = motion(rng.uniform(0.05, 0.2) * size, rng.uniform(0, math.pi))
    return Look(
        flip=rng.random() < settings.flip,
        shift=(_around(settings.shift, rng), _around(settings.shift, rng)),
        zoom=_factor(settings.scale, rng),
        angle=_around(settings.rotation, rng),
        grey=rng.random() < settings.grey,
        light=_draw_light(rng) if rng.random() < settings.side_light else None,
        table=_draw_table(settings, low_light, dark, rng),
        dark=dark,
        blur=blur,
        shrink=rng.uniform(1.0, 4.0) if rng.random() < settings.low_resolution else 1.0,
        noise=(rng.uniform(1, 12) if rng.random() < settings.noise else 0.0)
        + (rng.uniform(2, 10) if low_light else 0.0)
        + (rng.uniform(0, 4) if dark < 1 else 0.0),
        quality=int(rng.integers(15, 90)) if rng.random() < settings.jpeg else 0,
        occlusion=_draw_occlusion(rng) if rng.random() < settings.occlusion else None,
        cover=draw_cover(rng) if rng.random() < settings.cover else None,
        face_only=rng.random() < settings.face_only,
        corner=(rng.random(), rng.random()) if settings.random_context else None,
    )


def _around(reach: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-reach, reach))


def _factor(reach: float, rng: np.random.Generator) -> float:
    """Draw a factor between 1 / (1 + reach) and 1 + reach, as often above as below 1."""
    return math.exp(_around(math.log1p(reach), rng))


def _draw_table(
    settings: AugmentSettings, low_light: bool, dark: float, rng: np.random.Generator
) -> np.ndarray | None:
    if not (low_light or dark < 1 or settings.brightness or settings.contrast or settings.color):
        return None
    gain = np.array([_factor(settings.color, rng) for _ in range(3)])
    contrast = _factor(settings.contrast, rng)
    light = _around(settings.brightness, rng)
    values = np.linspace(0, 1, 256)[:, None]
    values = ((values - 0.5) * contrast + 0.5 + light) * gain
    if low_light:
        values = np.clip(values, 0, 1) ** rng.uniform(1.0, 2.0) * rng.uniform(0.15, 0.6)
    values = np.clip(values, 0, 1) * dark
    return np.clip(255 * values + 0.5, 0, 255).astype(np.uint8)[:, None, :]


def _draw_blur(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a Gaussian of up to 3 % of the picture, or a straight motion of up to 15 %."""
    if rng.random() < 0.5:
        sigma = rng.uniform(0.005, 0.03) * size
        line = cv2.getGaussianKernel(2 * math.ceil(2 * sigma) + 1, sigma, cv2.CV_32F)
        return line @ line.T
    return motion(rng.uniform(0.03, 0.15) * size, rng.uniform(0, math.pi))


def _draw_light(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw light that falls to as little as a fifth from one side to the other."""
    shade = rng.uniform(0.2, 0.7)
    along = rng.permutation([1.3, 1.3 * shade]).tolist()
    across = rng.permutation([1.0, rng.uniform(0.6, 1.0)]).tolist()
    return (*along, *across) if rng.random() < 0.75 else (*across, *along)


def _light(image: np.ndarray, gains: tuple[float, float, float, float]) -> np.ndarray:
    """Light a picture from its edges, the gains of which are given."""
    left, right, top, bottom = gains
    height, width = image.shape[:2]
    gain = np.outer(np.linspace(top, bottom, height), np.linspace(left, right, width))
    return np.clip(image * gain[..., None].astype(np.float32), 0, 255).astype(np.uint8)


def _draw_occlusion(
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float, float], tuple[int, int, int]]:
    """Draw a rectangle of 15 to 50 % of the face in both directions, in one colour."""
    width, height = rng.uniform(0.15, 0.5, 2)
    left, top = rng.uniform(-width / 2, 1 - width / 2), rng.uniform(-height / 2, 1 - height / 2)
    corners = np.clip([left, top, left + width, top + height], 0, 1)
    blue, green, red = rng.integers(0, 256, 3).tolist()
    return tuple(corners.tolist()), (blue, green, red)
