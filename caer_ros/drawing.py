# SPDX-License-Identifier: Apache-2.0
"""Readings drawn over the image they came from: debug image, annotated video, annotated replay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import cv2
import numpy as np

from caer_ros.types import LABELS, Emotion, Reading

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255 each, as OpenCV has them."""

COLOURS: tuple[Colour, ...] = (
    (0, 94, 213),  # angry: vermilion
    (115, 158, 0),  # disgusted: bluish green
    (167, 121, 204),  # scared: reddish purple
    (66, 228, 240),  # happy: yellow
    (190, 190, 190),  # neutral: grey
    (178, 114, 0),  # sad: blue
    (233, 180, 86),  # surprised: sky blue
)
"""Per `Emotion`, from the colour-blind safe palette of Okabe and Ito (2008)."""

PERSON_COLOURS: tuple[Colour, ...] = (
    (110, 40, 90),  # plum
    (60, 80, 10),  # pine
    (20, 50, 120),  # rust
    (115, 65, 20),  # navy
    (80, 20, 140),  # wine
    (20, 75, 90),  # olive
    (95, 85, 0),  # teal
    (60, 60, 60),  # slate
)
"""Of persons in turn. All are dark, those of emotions are not: neither is taken for the other."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

_FONT = cv2.FONT_HERSHEY_DUPLEX
_PANEL: Colour = (24, 24, 24)
_PANEL_OPACITY = 0.72

_Point = tuple[int, int]
_Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom lie outside."""


def person_colour(person_id: str) -> Colour:
    """Return the colour of a person's box: the same in every image, and not the next id's."""
    number = re.search(r"\d+$", person_id)
    index = int(number[0]) if number else crc32(person_id.encode())
    return PERSON_COLOURS[index % len(PERSON_COLOURS)]


def ink_on(colour: Colour) -> Colour:
    """Return black or white, whichever is easier to read on `colour`."""
    # above this luminance the contrast (WCAG 2.2) of black is the greater
    return BLACK if _luminance(colour) > 0.179 else WHITE


def outline(box: _Box, dash: int) -> list[tuple[_Point, _Point]]:
    """Return the lines around a box, as dashes of `dash` pixels unless that is 0."""
    x1, y1, x2, y2 = box
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    sides = zip(corners, corners[1:], strict=False)
    return [piece for begin, end in sides for piece in _dashes(begin, end, dash)]


def draw_readings(image: np.ndarray, readings: Iterable[Reading]) -> np.ndarray:
    """Return a copy of the image with each person's box, tag and probabilities.

    A box, in the person's colour and dashed where the face is only predicted, has a tag (id, and
    in the emotion's colour label and confidence) and under it a bar of the seven probabilities
    end to end, of which that of the label is the thicker part. A panel with a row an emotion is
    added where it covers no face, tag or other panel.

    Args:
        image: uint8 BGR of shape (height, width, 3).
        readings: of that image; boxes may reach beyond its border.
    """
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    style = _Style.of(width, height)
    # what is near, and so large, is laid out first
    persons = sorted(readings, key=lambda reading: -reading.face.width * reading.face.height)
    boxes = [_pixels(reading, width, height) for reading in persons]
    bars = [style.bar(box, width, height) for box in boxes]
    taken = [*boxes, *bars]
    tags = []
    for reading, box, bar in zip(persons, boxes, bars, strict=True):
        tags.append(style.place_tag(reading, box, bar, taken, width, height))
        taken.append(tags[-1])
    for reading, box in zip(persons, boxes, strict=True):
        panel = style.place_panel(box, taken, width, height)
        if panel:
            taken.append(panel)
            style.draw_panel(canvas, panel, reading)
    # last, so that nothing hides them
    for reading, box, bar in zip(persons, boxes, bars, strict=True):
        style.draw_box(canvas, box, reading)
        style.draw_bar(canvas, bar, reading)
    for reading, tag in zip(persons, tags, strict=True):
        style.draw_tag(canvas, tag, reading)
    return canvas


@dataclass(frozen=True)
class _Style:
    """Sizes in pixels that go with the size of an image.

    text: OpenCV's font scale of a tag; stroke: of its letters; line: of a box.
    """

    text: float
    stroke: int
    line: int
    pad: int
    thin: int

    @classmethod
    def of(cls, width: int, height: int) -> _Style:
        # letters below this size cannot be read, so they do not shrink with the image
        scale = max(max(width, height) / 640, 0.8)
        return cls(
            text=0.38 * scale,
            stroke=max(1, round(0.6 * scale)),
            line=max(1, round(2 * scale)),
            pad=max(2, round(3 * scale)),
            thin=max(2, round(3 * scale)),
        )

    def bar(self, box: _Box, width: int, height: int) -> _Box:
        """Return the place of the bar under a box; in it, where it would be out of the image."""
        x1, _, x2, y2 = box
        y2 = min(max(y2 + self.line, 0), max(0, height - 2 * self.thin))
        return x1, y2, max(x2, x1 + 8 * self.thin), y2 + 2 * self.thin

    def place_tag(
        self,
        reading: Reading,
        box: _Box,
        bar: _Box,
        taken: Sequence[_Box],
        width: int,
        height: int,
    ) -> _Box:
        """Return the place at the box where a tag covers least of what is taken."""
        parts = [self.text_size(text, self.text) for text in _tag_texts(reading)]
        w = sum(part[0] for part in parts) + 4 * self.pad
        h = max(part[1] for part in parts) + 2 * self.pad
        x1, y1, x2, _ = box
        above, below = y1 - h - self.line // 2, bar[3]
        places = [(x1, above), (x2 - w, above), (x1, below), (x2 - w, below)]
        places += [(x2 + self.line, y1), (x1 - w - self.line, y1)]
        tags = []
        for left, top in places:
            left = min(max(left - self.line // 2, 0), max(0, width - w))
            top = min(max(top, 0), max(0, height - h))
            tags.append((left, top, left + w, top + h))
        return min(tags, key=lambda tag: sum(_overlap(tag, other) for other in taken))

    def place_panel(
        self, box: _Box, taken: Sequence[_Box], width: int, height: int
    ) -> _Box | None:
        """Return a place beside the box where a panel covers nothing, or None."""
        w, h = self.panel_size
        x1, y1, x2, y2 = box
        gap = 2 * self.line
        lowest = max(0, height - h)
        for left, top in (
            (x2 + gap, y1),
            (x1 - gap - w, y1),
            (x2 + gap, y2 - h),
            (x1 - gap - w, y2 - h),
        ):
            top = min(max(top, 0), lowest)
            panel = left, top, left + w, top + h
            inside = left >= 0 and left + w <= width and h <= height
            if inside and not any(_overlap(panel, other) for other in taken):
                return panel
        return None

    def draw_box(self, canvas: np.ndarray, box: _Box, reading: Reading) -> None:
        pieces = outline(box, 0 if reading.detected else 5 * self.line)
        # the white rim shows the dark line on dark ground
        for colour, line in (
            (WHITE, self.line + 2),
            (person_colour(reading.person_id), self.line),
        ):
            for a, b in pieces:
                cv2.line(canvas, a, b, colour, line)

    def draw_bar(self, canvas: np.ndarray, bar: _Box, reading: Reading) -> None:
        x1, top, x2, bottom = bar
        ends = np.cumsum([0.0, *reading.probabilities])
        edges = np.round(x1 + (x2 - x1) * ends / max(ends[-1], 1e-6)).astype(int).tolist()
        for emotion in Emotion:
            left, right = edges[emotion], edges[emotion + 1]
            if emotion == reading.emotion:
                right = max(right, left + self.thin)
                cv2.rectangle(canvas, (left - 1, top), (right, bottom), BLACK, cv2.FILLED)
                cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), COLOURS[emotion], -1)
            elif right > left:
                low = top + self.thin
                cv2.rectangle(canvas, (left, top), (right - 1, low), BLACK, cv2.FILLED)
                cv2.rectangle(canvas, (left, top), (right - 1, low - 1), COLOURS[emotion], -1)

    def draw_tag(self, canvas: np.ndarray, tag: _Box, reading: Reading) -> None:
        left, top, right, bottom = tag
        grounds = person_colour(reading.person_id), COLOURS[reading.emotion]
        texts = _tag_texts(reading)
        middle = left + self.text_size(texts[0], self.text)[0] + 2 * self.pad
        for text, colour, x1, x2 in zip(
            texts, grounds, (left, middle), (middle, right), strict=True
        ):
            cv2.rectangle(canvas, (x1, top), (x2 - 1, bottom - 1), colour, cv2.FILLED)
            self.write(canvas, text, x1 + self.pad, bottom - self.pad, self.text, ink_on(colour))

    def draw_panel(self, canvas: np.ndarray, panel: _Box, reading: Reading) -> None:
        left, top, right, bottom = panel
        ground = canvas[top:bottom, left:right]
        cv2.addWeighted(_names(self), _PANEL_OPACITY, ground, 1 - _PANEL_OPACITY, 0, ground)
        ground[: self.line] = person_colour(reading.person_id)
        row, names = self.row
        start = left + 2 * self.pad + names
        length = right - self.pad - start - row
        for emotion, probability in zip(Emotion, reading.probabilities, strict=True):
            high = top + self.line + self.pad + emotion * row
            base = high + row - self.pad
            end = start + max(1, round(length * probability))
            bar = (start, high + self.pad // 2), (end, base)
            cv2.rectangle(canvas, *bar, COLOURS[emotion], cv2.FILLED)
            if emotion == reading.emotion:  # which a likelier one may stand beside
                mark = (end + self.pad, (high + base) // 2)
                points = np.array([mark, *((mark[0] + row // 2, y) for y in (high, base))])
                cv2.fillPoly(canvas, [points], WHITE, cv2.LINE_AA)

    @property
    def small(self) -> float:
        return 0.85 * self.text

    @property
    def panel_size(self) -> tuple[int, int]:
        row, names = self.row
        length = round(130 * self.text) + row  # of a bar with its mark
        return 3 * self.pad + names + length, self.line + 2 * self.pad + len(LABELS) * row

    @property
    def row(self) -> tuple[int, int]:
        """Height of a panel's row and width of its name."""
        sizes = [self.text_size(label, self.small) for label in LABELS]
        return max(size[1] for size in sizes) + 2 * self.pad, max(size[0] for size in sizes)

    def text_size(self, text: str, size: float) -> tuple[int, int]:
        (width, height), _ = cv2.getTextSize(text, _FONT, size, self.stroke)
        return width, height

    def write(
        self, canvas: np.ndarray, text: str, left: int, base: int, size: float, colour: Colour
    ) -> None:
        cv2.putText(canvas, text, (left, base), _FONT, size, colour, self.stroke, cv2.LINE_AA)


@lru_cache(maxsize=16)
def _names(style: _Style) -> np.ndarray:
    """Return a panel with nothing but the names of the emotions; letters take time to draw."""
    width, height = style.panel_size
    panel = np.full((height, width, 3), _PANEL, np.uint8)
    for emotion in Emotion:
        base = style.line + (emotion + 1) * style.row[0]
        style.write(panel, emotion.label, style.pad, base, style.small, WHITE)
    return panel


def _tag_texts(reading: Reading) -> tuple[str, str]:
    return reading.person_id, f"{reading.emotion.label} {reading.confidence:.0%}"


def _pixels(reading: Reading, width: int, height: int) -> _Box:
    """Return the box in whole pixels; far outside, OpenCV's coordinates wrap round."""
    face = reading.face
    x1, x2 = np.clip([face.x1, face.x2], -width, 2 * width).astype(int).tolist()
    y1, y2 = np.clip([face.y1, face.y2], -height, 2 * height).astype(int).tolist()
    return x1, y1, x2, y2


def _overlap(first: _Box, second: _Box) -> int:
    """Return the area that two boxes share, in pixels."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0, width) * max(0, height)


def _dashes(begin: _Point, end: _Point, length: int) -> list[tuple[_Point, _Point]]:
    """Return the pieces of a line that are drawn: dashes of `length` pixels, or with 0 all."""
    distance = abs(end[0] - begin[0]) + abs(end[1] - begin[1])  # it is level or upright
    if not length or distance <= length:
        return [(begin, end)]
    count = round(distance / (2 * length))
    # corners are always drawn
    marks = np.linspace(begin, end, 2 * count + 2).round().astype(int).tolist()
    return [(tuple(a), tuple(b)) for a, b in zip(marks[::2], marks[1::2], strict=False)]


def _luminance(colour: Colour) -> float:
    """Return the relative luminance, 0 to 1, as WCAG 2.2 defines it."""
    blue, green, red = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4
        for value in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
