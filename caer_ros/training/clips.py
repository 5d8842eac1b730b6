# SPDX-License-Identifier: Apache-2.0
"""Clips made of stills, for want of labelled clips: what a robot's camera sees of a face in time.

A hand-held camera and a detector that is never exact move the face a little from frame to frame,
light drifts and may blink, there is noise. Hands and masks pass before the face, the picture is
smeared, dark or small for some frames. The expression may become another face's. A seed draws all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from caer_ros.perception.clips import PERIOD
from caer_ros.training.augment import Look
from caer_ros.training.damage import Cover, draw_cover, motion
from caer_ros.types import SECOND, Face

RATE = SECOND // PERIOD
"""Frames a second, as the robot samples them."""

LENGTH = 16
"""Frames of a clip that a network reads."""

SPELLS = {"cover": 0.4, "blur": 0.25, "dark": 0.2, "small": 0.15}
"""What damages a face for a while, and how often it is which."""

SPELL_SECONDS = (0.3, 1.8)

PASSING = 2
"""Frames in which a hand or a mask comes, and in which it goes."""


@dataclass(frozen=True)
class View:
    """How one frame shows the still.

    shift, zoom, angle: of the face in the frame, in parts of its side, as a factor, in degrees.
    share: how much of the face that comes after is blended in. covers: what stands before the
    face, and by how many sides it is still, or again, away from there. look: light, blur, noise.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    angle: float = 0.0
    share: float = 0.0
    covers: tuple[tuple[Cover, tuple[float, float]], ...] = ()
    look: Look = Look()


@dataclass(frozen=True)
class Still:
    """A picture, uint8 BGR, and the face in it."""

    image: np.ndarray
    face: Face

    @property
    def side(self) -> float:
        return max(self.face.width, self.face.height)


def draw_change(length: int, middle: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Draw how one face becomes another within 0.2 to 0.8 s, float64 (length,) from 0 to 1.

    `middle` is the range of frames in which it is half done, which may lie outside the clip.
    """
    half = rng.uniform(0.1, 0.4) * RATE
    return np.clip(0.5 + (np.arange(length) - rng.uniform(*middle)) / (2 * half), 0.0, 1.0)


def draw_views(
    shares: np.ndarray, side: float, spells: float, rng: np.random.Generator
) -> list[View]:
    """Draw the views of one clip: as many as `shares`, which tells how much of the other is seen.

    side: of the face in pixels. spells: how often a second, on average, damage begins; each lasts
    0.3 to 1.8 s and may have begun before the clip.
    """
    length = len(shares)
    shift = np.stack([_sway(length, 0.04, rng) for _ in range(2)], axis=1)
    shift = shift + rng.normal(0, 0.015, (length, 2))
    zoom = np.exp(_sway(length, 0.05, rng) + rng.normal(0, 0.02, length))
    angle = _sway(length, 6.0, rng) + rng.normal(0, 1.5, length)
    gains = _draw_light(length, rng)
    noise = rng.exponential(4.0)
    covers: list[list[tuple[Cover, tuple[float, float]]]] = [[] for _ in range(length)]
    blurs: list[np.ndarray | None] = [None] * length
    shrinks = np.ones(length)
    for kind, first, end in _draw_spells(length, spells, rng):
        frames = range(max(first, 0), min(end, length))
        if kind == "cover":
            cover = draw_cover(rng)
            come, go = (rng.uniform(0, 2 * math.pi) for _ in range(2))
            for t in frames:
                early = (first + PASSING - t) / PASSING
                late = (t - (end - 1 - PASSING)) / PASSING
                away, where = (early, come) if early > late else (late, go)
                away = 0.8 * max(away, 0.0)
                covers[t].append((cover, (away * math.cos(where), away * math.sin(where))))
        elif kind == "blur":
            most, direction = rng.uniform(0.08, 0.25), rng.uniform(0, math.pi)
            for t in frames:
                length_here = most * side * rng.uniform(0.5, 1.0)
                blurs[t] = motion(length_here, direction + rng.normal(0, 0.3))
        elif kind == "dark":
            gains[frames] *= rng.uniform(0.08, 0.3)
        else:
            shrinks[frames] = max(side / rng.uniform(10, 22), 1.0)
    return [
        View(
            (float(shift[t, 0]), float(shift[t, 1])),
            float(zoom[t]),
            float(angle[t]),
            float(shares[t]),
            tuple(covers[t]),
            Look(table=_table(gains[t]), blur=blurs[t], shrink=float(shrinks[t]), noise=noise),
        )
        for t in range(length)
    ]


def shoot(
    views: Sequence[View], still: Still, rng: np.random.Generator, other: Still | None = None
) -> list[np.ndarray]:
    """Return the frames, uint8 BGR of the still's size, with the face about where it was.

    `other` comes after; its face is laid over that of `still`. `rng` draws the noise.
    """
    height, width = still.image.shape[:2]
    blended = still.image if other is None else _aligned(other, still)
    middle = np.array([still.face.x1 + still.face.x2, still.face.y1 + still.face.y2]) / 2
    frames = []
    for view in views:
        image = still.image
        if view.share > 0:
            image = cv2.addWeighted(image, 1 - view.share, blended, view.share, 0.0)
        for cover, (x, y) in view.covers:
            box = still.face
            x, y = x * box.width, y * box.height
            image = cover.draw(image, Face(box.x1 + x, box.y1 + y, box.x2 + x, box.y2 + y))
        turn = cv2.getRotationMatrix2D((middle - 0.5).tolist(), view.angle, view.zoom)
        turn[:, 2] = turn[:, 2] + np.array(view.shift) * still.side
        image = cv2.warpAffine(
            image,
            turn,
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        frames.append(view.look.scene(image, rng))
    return frames


def _sway(length: int, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a slow and a quick swing about zero, float64 (length,), hardly ever above `reach`."""
    seconds = np.arange(length) / RATE
    slow, quick = rng.uniform(0.2, 0.8), rng.uniform(1.5, 4.0)
    phases = rng.uniform(0, 2 * math.pi, 2)
    return reach * (
        rng.uniform(0, 0.75) * np.sin(2 * math.pi * slow * seconds + phases[0])
        + rng.uniform(0, 0.25) * np.sin(2 * math.pi * quick * seconds + phases[1])
    )


def _draw_light(length: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the gain of each frame: it drifts, and in a quarter of the clips a lamp blinks."""
    gains = np.exp(_sway(length, 0.3, rng))
    if rng.random() < 0.25:
        phase = np.arange(length) / RATE * rng.uniform(1.0, 4.0) + rng.random()
        gains = np.where(phase % 1 < 0.5, rng.uniform(0.35, 0.8) * gains, gains)
    return gains


def _draw_spells(
    length: int, spells: float, rng: np.random.Generator
) -> list[tuple[str, int, int]]:
    """Draw (kind, first frame, frame after the last) of the damage that reaches into a clip."""
    before = round(SPELL_SECONDS[1] * RATE)
    starts = np.flatnonzero(rng.random(before + length) < spells / RATE) - before
    kinds = rng.choice(list(SPELLS), len(starts), p=list(SPELLS.values())).tolist()
    lasts = np.rint(rng.uniform(*SPELL_SECONDS, len(starts)) * RATE).astype(int)
    drawn = zip(kinds, starts.tolist(), (starts + lasts).tolist(), strict=True)
    return [(kind, first, end) for kind, first, end in drawn if end > 0]


def _table(gain: float) -> np.ndarray:
    values = np.clip(gain * np.arange(256.0) + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(values[:, None, None], 3, axis=2)


def _aligned(other: Still, still: Still) -> np.ndarray:
    """Return `other` moved and scaled so that its face fills the box of the face of `still`."""
    height, width = still.image.shape[:2]
    scale = still.side / other.side
    one, two = still.face, other.face
    # pixel i covers [i, i + 1), so its middle is at i + 0.5, before and after
    x = (one.x1 + one.x2 - scale * (two.x1 + two.x2 - 1) - 1) / 2
    y = (one.y1 + one.y2 - scale * (two.y1 + two.y2 - 1) - 1) / 2
    return cv2.warpAffine(
        other.image,
        np.array([[scale, 0.0, x], [0.0, scale, y]]),
        (width, height),
        borderMode=cv2.BORDER_REPLICATE,
    )
