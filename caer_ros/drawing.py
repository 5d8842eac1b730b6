# SPDX-License-Identifier: Apache-2.0
"""Readings drawn over the image they came from: debug image, annotated video, annotated replay."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from caer_ros.types import LABELS, Emotion, Reading

COLOURS = (
    (0, 94, 213),  # angry: vermilion
    (115, 158, 0),  # disgusted: bluish green
    (167, 121, 204),  # scared: reddish purple
    (66, 228, 240),  # happy: yellow
    (190, 190, 190),  # neutral: grey
    (178, 114, 0),  # sad: blue
    (233, 180, 86),  # surprised: sky blue
)
"""BGR per `Emotion`, from the colour-blind safe palette of Okabe and Ito (2008)."""

_DARK, _LIGHT = (40, 40, 40), (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_readings(image: np.ndarray, readings: Iterable[Reading]) -> np.ndarray:
    """Return a copy of the image with each person's box, id, label and seven probability bars.

    Args:
        image: uint8 BGR of shape (height, width, 3).
        readings: of that image; boxes may reach beyond its border.
    """
    canvas = np.array(image, order="C")
    scale = max(canvas.shape[:2]) / 640
    for reading in readings:
        _draw(canvas, reading, scale)
    return canvas


def _draw(canvas: np.ndarray, reading: Reading, scale: float) -> None:
    height, width = canvas.shape[:2]
    # far outside, OpenCV's coordinates wrap round
    x1, x2 = np.clip([reading.face.x1, reading.face.x2], -width, 2 * width).astype(int).tolist()
    y1, y2 = np.clip([reading.face.y1, reading.face.y2], -height, 2 * height).astype(int).tolist()
    line = max(1, round(2 * scale))
    row, name, bar = max(4, round(14 * scale)), round(62 * scale), round(70 * scale)
    colour = COLOURS[reading.emotion]
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line)

    title = f"{reading.person_id} {reading.emotion.label} {reading.confidence:.0%}"
    text_width = cv2.getTextSize(title, _FONT, 0.45 * scale, 1)[0][0]
    left = min(max(x1 - line // 2, 0), max(0, width - text_width))
    base = min(max(y1, row), height)
    cv2.rectangle(canvas, (left, base - row), (left + text_width, base), colour, cv2.FILLED)
    cv2.putText(canvas, title, (left, base - row // 4), _FONT, 0.45 * scale, _DARK, 1, cv2.LINE_AA)

    # beside the box where there is room: right, else left, else over it
    left = x2 + line
    if left + name + bar > width:
        left = max(x1 - line - name - bar, 0)
    top = min(max(y1, 0), max(0, height - row * len(LABELS)))
    bottom = top + row * len(LABELS)
    cv2.rectangle(canvas, (left, top), (left + name + bar, bottom), _DARK, cv2.FILLED)
    for emotion, probability in zip(Emotion, reading.probabilities, strict=True):
        base = top + (emotion + 1) * row - row // 4
        at = (left + line, base)
        cv2.putText(canvas, emotion.label, at, _FONT, 0.33 * scale, _LIGHT, 1, cv2.LINE_AA)
        start = (left + name, base - row // 2)
        end = (left + name + round(bar * probability), base)
        cv2.rectangle(canvas, start, end, COLOURS[emotion], cv2.FILLED)
