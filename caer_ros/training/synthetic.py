# SPDX-License-Identifier: Apache-2.0
"""Drawn scenes in which it is known where the label stands: in the face, or around it.

They answer a question that no data set does: whether a network that is given a face and its
surroundings uses the one that tells. In one half of the scenes the face shows the class and the
surroundings mislead; in the other the face is neutral, half of these blurred too, and only an
object elsewhere shows the class. That object is a target in the class's colour, among eleven like
it in colours of any class: the one with the darkest rings counts, however dark they are. To find
it the targets have to be compared. A seed draws everything; nothing is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from caer_ros.types import Emotion, Face

WIDTH, HEIGHT = 256, 192

UNSEEN = (51, 19)
"""Width and height of the borders where nothing is put: the context stream's centre crop leaves
out 45 and 12 pixels, and targets move by up to 6."""

COLOURS = {
    Emotion.ANGER: (40, 40, 220),
    Emotion.DISGUST: (60, 170, 40),
    Emotion.FEAR: (190, 50, 150),
    Emotion.HAPPY: (30, 220, 240),
    Emotion.NEUTRAL: (245, 245, 245),
    Emotion.SAD: (220, 90, 20),
    Emotion.SURPRISE: (20, 140, 250),
}
"""The colour (BGR) that stands for a class in the surroundings."""

TARGETS = 12
DARKEST = (20, 110)
"""Grey levels between which the rings of the target that counts are."""
LIGHTEST = 170
STEP = 30
"""How much lighter the rings of all others are, at least."""


@dataclass(frozen=True)
class Expression:
    """What a drawn face does; every value is about -1 to 1, and 0 in a neutral face.

    smile: corners of the mouth up or down. mouth: how far it stands open. wide: how wide it is.
    brow: brows up or down. tilt: inner ends of the brows up or down. eyes: wide open or narrow.
    sneer: one side of the upper lip drawn up, the nose wrinkled.
    """

    smile: float = 0.0
    mouth: float = 0.0
    wide: float = 0.0
    brow: float = 0.0
    tilt: float = 0.0
    eyes: float = 0.0
    sneer: float = 0.0


EXPRESSIONS = {
    Emotion.ANGER: Expression(smile=-0.3, wide=-0.2, brow=-0.8, tilt=-1.0, eyes=-0.4),
    Emotion.DISGUST: Expression(smile=-0.5, brow=-0.4, tilt=-0.2, eyes=-0.7, sneer=1.0),
    Emotion.FEAR: Expression(smile=-0.4, mouth=0.5, wide=0.5, brow=0.6, tilt=0.8, eyes=0.9),
    Emotion.HAPPY: Expression(smile=1.0, mouth=0.4, wide=0.6, eyes=-0.2),
    Emotion.NEUTRAL: Expression(),
    Emotion.SAD: Expression(smile=-0.9, wide=-0.1, tilt=0.9, eyes=-0.4),
    Emotion.SURPRISE: Expression(mouth=1.0, wide=-0.6, brow=1.0, eyes=1.0),
}


@dataclass(frozen=True)
class Scene:
    """A drawn picture and what is true of it.

    image: uint8 BGR (192, 256, 3). face: box of the face. target: box of the target that counts.
    in_face: whether the face shows `label`; that target then shows another class. Else the target
    shows it, and the face is neutral.
    """

    image: np.ndarray
    face: Face
    target: Face
    label: Emotion
    in_face: bool


def draw_scene(seed: int, index: int, moment: float = 1.0) -> Scene:
    """Draw scene number `index` of the series `seed`; even ones have the label in the face.

    `moment` runs from 0 to 1 through a clip: the expression grows to its full strength while head
    and targets move a little. A picture is the last moment.
    """
    rng = np.random.default_rng((seed, index))
    in_face = index % 2 == 0
    shown = Emotion(int(rng.integers(len(Emotion))))
    label = shown
    if in_face:
        others = [e for e in Emotion if e not in (Emotion.NEUTRAL, shown)]
        label = Emotion(int(rng.choice(others)))
    radius = rng.uniform(30, 38)
    head = rng.uniform((60, 50), (WIDTH - 60, HEIGHT - 50))
    # the first target is the one that counts
    classes = [shown, *rng.choice(list(Emotion), TARGETS - 1)]
    shade = rng.uniform(*DARKEST)
    shades = [shade, *rng.uniform(shade + STEP, LIGHTEST, TARGETS - 1)]
    sizes = rng.uniform(9, 12, TARGETS)
    taken = [(head, 1.35 * radius)]
    places = np.array([_free_place(rng, size, taken) for size in sizes])
    to_come = (1 - moment) * rng.uniform(-6, 6, (1 + TARGETS, 2))
    head, places = head + to_come[0], places + to_come[1:]
    canvas = _draw_wall(rng)
    for i in reversed(range(TARGETS)):
        _draw_target(canvas, places[i], sizes[i], COLOURS[Emotion(classes[i])], shades[i])
    expression = EXPRESSIONS[label if in_face else Emotion.NEUTRAL]
    _draw_head(canvas, rng, head, radius, expression, 0.4 + 0.6 * moment)
    image = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    # what a face detector calls the face: from the brows to the chin
    face = _box(head + (0, 0.1 * radius), 0.8 * radius)
    if not in_face and rng.random() < 0.5:
        _blur(image, face)
    light = rng.uniform(0.8, 1.1)
    noise = np.random.default_rng((seed, index, round(1000 * moment)))
    noisy = image * light + 4 * noise.standard_normal(image.shape, np.float32)
    target = _box(places[0], sizes[0])
    return Scene(noisy.clip(0, 255).astype(np.uint8), face, target, label, in_face)


# Drawing happens on a canvas of twice the size, in pixels of the final picture.

_SCALE = 2
_SHIFT = 4


def _fixed(points: np.ndarray) -> np.ndarray:
    """Return points (..., 2) as OpenCV's fixed-point canvas coordinates."""
    return np.rint(np.asarray(points) * _SCALE * 2**_SHIFT).astype(np.int32)


def _polygon(canvas: np.ndarray, points: np.ndarray, colour: tuple[float, ...]) -> None:
    cv2.fillPoly(canvas, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def _line(canvas: np.ndarray, points: np.ndarray, colour: tuple[float, ...], width: float) -> None:
    thickness = max(1, round(width * _SCALE))
    cv2.polylines(canvas, [_fixed(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def _disc(
    canvas: np.ndarray, centre: np.ndarray, radius: float, colour: tuple[float, ...]
) -> None:
    reach = round(radius * _SCALE * 2**_SHIFT)
    cv2.circle(canvas, _fixed(centre).tolist(), reach, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _free_place(
    rng: np.random.Generator, radius: float, taken: list[tuple[np.ndarray, float]]
) -> np.ndarray:
    """Return a point, add it to `taken`; as far from the others as 50 tries find.

    It lies where the centre crop of the context stream sees all of it.
    """
    least = np.array(UNSEEN) + radius
    tries = rng.uniform(least, (WIDTH, HEIGHT) - least, (50, 2))
    others, reaches = (np.array(column) for column in zip(*taken, strict=True))
    gaps = (np.linalg.norm(tries[:, None] - others, axis=2) - reaches).min(axis=1) - radius
    fits = np.flatnonzero(gaps > 0)
    place = tries[fits[0] if len(fits) else gaps.argmax()]
    taken.append((place, radius))
    return place


def _box(centre: np.ndarray, radius: float) -> Face:
    x, y = map(float, centre)
    return Face(x - radius, y - radius, x + radius, y + radius)


def _draw_wall(rng: np.random.Generator) -> np.ndarray:
    """Return a canvas with a dull gradient from one corner to another."""
    corners = rng.uniform(70, 170, (2, 2, 3)).astype(np.float32)
    corners[..., :] = 0.7 * corners.mean(-1, keepdims=True) + 0.3 * corners
    size = (WIDTH * _SCALE, HEIGHT * _SCALE)
    return cv2.resize(corners, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _draw_target(
    canvas: np.ndarray,
    centre: np.ndarray,
    radius: float,
    colour: tuple[int, int, int],
    shade: float,
) -> None:
    """Draw a disc of `colour` with two rings of the grey level `shade`, one around it."""
    rings = (shade, shade, shade)
    for share, fill in ((1.0, rings), (0.85, colour), (0.5, rings), (0.25, colour)):
        _disc(canvas, centre, share * radius, fill)


def _rotation(angle: float) -> np.ndarray:
    return np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])


def _draw_head(
    canvas: np.ndarray,
    rng: np.random.Generator,
    centre: np.ndarray,
    radius: float,
    expression: Expression,
    strength: float,
) -> None:
    """Draw a head; its features are in units of `radius`, x to the right and y down."""
    turn = _rotation(rng.normal(0, 0.08))
    aside = np.array([rng.normal(0, 0.05), rng.normal(0, 0.03)])
    drawn = {
        name: strength * value + rng.normal(0, 0.12) for name, value in vars(expression).items()
    }
    tone = rng.uniform(0.35, 1.0)
    skin = (150 * tone, 185 * tone, 235 * tone)
    dark = (70 * tone, 85 * tone, 120 * tone)
    hair = tuple(rng.uniform(10, 80) * np.array([0.6, 0.8, 1.0]))

    def at(points: ArrayLike, *, fixed: bool = False) -> np.ndarray:
        """Map points of the head to the picture; features shift as the head turns."""
        return centre + (np.asarray(points) + (0 if fixed else aside)) @ turn * radius

    ellipse = _arc(0, 2 * np.pi, 40)
    _polygon(canvas, at(ellipse * (0.98, 1.12) + (0, -0.12), fixed=True), hair)
    _polygon(canvas, at(ellipse * (0.82, 1.0) + (0, 0.04), fixed=True), skin)

    opening = 0.11 * (1 + 0.65 * drawn["eyes"])
    for side in (-1, 1):
        eye = np.array([0.34 * side, -0.12])
        _polygon(canvas, at(ellipse * (0.17, max(opening, 0.02)) + eye), (250, 250, 250))
        _polygon(canvas, at(ellipse * min(0.085, max(opening, 0.02)) + eye), (30, 20, 20))
        inner = np.array([0.15 * side, -0.4 - 0.12 * drawn["brow"] - 0.13 * drawn["tilt"]])
        outer = np.array([0.56 * side, -0.4 - 0.12 * drawn["brow"] + 0.10 * drawn["tilt"]])
        middle = (inner + outer) / 2 - (0, 0.05)
        _line(canvas, at([inner, middle, outer]), hair, 0.09 * radius)

    nose = [(-0.02, -0.05), (-0.1, 0.26), (0.08, 0.27)]
    _line(canvas, at(nose), dark, 0.04 * radius)
    if drawn["sneer"] > 0.4:
        for side in (-1, 1):
            _line(canvas, at([(0.05 * side, 0.0), (0.17 * side, 0.08)]), dark, 0.05 * radius)
            _line(canvas, at([(0.18 * side, 0.2), (0.42 * side, 0.48)]), dark, 0.05 * radius)

    half = 0.34 * (1 + 0.35 * drawn["wide"])
    x = np.linspace(-1, 1, 15)
    bend = -0.17 * drawn["smile"] * (x**2 - 0.4)
    lift = -0.16 * drawn["sneer"] * np.exp(-((x - 0.45) ** 2) / 0.08)
    gap = np.sqrt(1 - x**2) * (0.03 + 0.19 * max(drawn["mouth"], 0.0))
    upper = np.stack([half * x, 0.56 + bend + lift - 0.6 * gap], axis=1)
    lower = np.stack([half * x, 0.56 + bend + gap], axis=1)
    _polygon(canvas, at(np.concatenate([upper, lower[::-1]])), (40, 30, 70))
    _line(canvas, at(upper), (90 * tone, 80 * tone, 190 * tone), 0.06 * radius)
    _line(canvas, at(lower), (90 * tone, 80 * tone, 190 * tone), 0.06 * radius)


def _arc(start: float, end: float, count: int) -> np.ndarray:
    angles = np.linspace(start, end, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _blur(image: np.ndarray, face: Face) -> None:
    """Blur the face until nothing can be read from it."""
    part = image[int(face.y1) : int(face.y2) + 1, int(face.x1) : int(face.x2) + 1]
    part[:] = cv2.GaussianBlur(part, (0, 0), 0.16 * face.width)
