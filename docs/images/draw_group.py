# SPDX-License-Identifier: Apache-2.0
"""Draw the README's group, people who do not exist, and what is read in their faces: group.png.

    .venv/bin/python docs/images/draw_group.py

Every face is drawn with OpenCV and found and read by the package as a photo's would be.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import caer_ros

SIZE = (1280, 640)
SCALE = 4  # drawn larger and shrunk, so that edges are smooth

PEOPLE = [
    # middle, size, skin, hair, shirt, expression (all colours BGR)
    ((190, 300), 1.00, (172, 200, 236), (40, 60, 90), (120, 90, 60), "happy"),
    ((430, 235), 0.92, (90, 130, 180), (25, 25, 30), (70, 110, 160), "surprised"),
    ((660, 310), 1.05, (140, 175, 220), (60, 110, 180), (90, 70, 120), "neutral"),
    ((890, 240), 0.90, (70, 95, 140), (20, 20, 25), (60, 130, 110), "happy"),
    ((1100, 305), 1.00, (160, 190, 230), (90, 90, 95), (110, 100, 70), "sad"),
]


def main() -> None:
    width, height = SIZE
    canvas = np.zeros((height * SCALE, width * SCALE, 3), np.uint8)
    top, bottom = np.array([235, 225, 210.0]), np.array([175, 160, 140.0])
    for y in range(height * SCALE):
        canvas[y] = top + (bottom - top) * y / (height * SCALE)
    for person in sorted(PEOPLE, key=lambda person: person[0][1]):
        draw_person(canvas, *person)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 4)
    picture = cv2.resize(canvas, SIZE, interpolation=cv2.INTER_AREA)
    people = caer_ros.read(picture)
    print(people)
    people.plot(Path(__file__).parent / "group.png")


def draw_person(canvas, middle, size, skin, hair, shirt, expression) -> None:
    """Draw head, shoulders and face at `middle`, in pixels of the picture."""
    x, y = middle
    darker = tuple(0.78 * value for value in skin)
    lip = (0.55 * skin[0], 0.5 * skin[1], 0.85 * skin[2])

    def at(dx, dy):
        return round((x + dx * size) * SCALE), round((y + dy * size) * SCALE)

    def ellipse(centre, axes, colour, start=0, end=360, thickness=-1, angle=0):
        axes = tuple(max(1, round(axis * size * SCALE)) for axis in axes)
        line = thickness if thickness < 0 else max(1, round(thickness * size * SCALE))
        cv2.ellipse(canvas, at(*centre), axes, angle, start, end, colour, line, cv2.LINE_AA)

    ellipse((0, 260), (125, 150), shirt)  # shoulders
    ellipse((0, 105), (32, 60), darker)  # neck
    ellipse((0, -22), (78, 92), hair)
    ellipse((-66, 8), (12, 18), darker)
    ellipse((66, 8), (12, 18), darker)
    ellipse((0, 8), (66, 86), skin)
    ellipse((0, -62), (62, 38), hair, 180, 360)
    # the light comes from the left
    side = np.zeros(canvas.shape[:2], np.uint8)
    face = np.zeros_like(side)
    axes = (round(66 * size * SCALE), round(86 * size * SCALE))
    cv2.ellipse(face, at(0, 8), axes, 0, 0, 360, 255, -1)
    cv2.ellipse(side, at(75, 20), axes, 0, 0, 360, 150, -1)
    weight = cv2.min(cv2.GaussianBlur(side, (0, 0), 14 * SCALE), face)[..., None] / 255
    canvas[:] = (canvas * (1 - weight) + np.array(darker) * weight).astype(np.uint8)

    wide = {"surprised": 1.35, "happy": 0.45, "sad": 0.45, "neutral": 0.55}[expression]
    iris = min(6.5, 8.5 * wide)
    raise_ = {"surprised": -9, "neutral": 3, "happy": 2, "sad": 2}[expression]
    for side in (-1, 1):
        ellipse((26 * side, -6), (14, 8.5 * wide), (245, 245, 245))
        ellipse((26 * side, -6), (6.5, iris), (60, 50, 40))
        ellipse((26 * side, -6), (3, min(3, iris)), (10, 10, 10))
        ellipse((26 * side + 2, -8), (1.6, 1.6), (255, 255, 255))
        ellipse((26 * side, -6), (14, 8.5 * wide), darker, 180, 360, 2.5)
        tilt = {"sad": -16, "neutral": 0, "happy": 4, "surprised": 0}[expression] * -side
        ellipse((26 * side, -16 + raise_), (18, 9), hair, 200, 340, 4.5, tilt)
    ellipse((0, 18), (9, 7), darker, 20, 160, 3)
    ellipse((-3, 2), (4, 18), darker, 100, 200, 2)
    if expression == "happy":
        ellipse((0, 34), (30, 22), (40, 30, 60), 0, 180)
        ellipse((0, 35), (26, 9), (240, 240, 240), 0, 180)
        ellipse((0, 34), (30, 22), lip, 0, 180, 3.5)
        for side in (-1, 1):
            ellipse(
                (40 * side, 26),
                (9, 16),
                darker,
                250 if side > 0 else 110,
                330 if side > 0 else 200,
                2,
            )
    elif expression == "surprised":
        ellipse((0, 52), (13, 18), (35, 25, 50))
        ellipse((0, 52), (13, 18), lip, 0, 360, 3.5)
    elif expression == "sad":
        ellipse((0, 62), (28, 18), lip, 190, 350, 5.5)
    else:
        ellipse((0, 46), (24, 3), lip, 0, 360, 3.5)


if __name__ == "__main__":
    main()
