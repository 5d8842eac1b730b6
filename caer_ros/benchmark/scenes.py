# SPDX-License-Identifier: Apache-2.0
"""Moving pictures with any number of real faces, composed in memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from caer_ros.demo.material import GROUP
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.types import CaerError, Face

CYCLE = 24
"""Frames until a scene begins anew, where it left off."""

SURROUNDINGS = 1.6
"""Edge of the picture around a face, as a multiple of the face's."""


def load_people(material: Path) -> list[np.ndarray]:
    """Return a square picture of each person in the demo material's group photo, BGR.

    Raises:
        CaerError: where the photo or a face in it is missing.
    """
    image = cv2.imread(str(material / GROUP))
    if image is None:
        raise CaerError(f"{material / GROUP} cannot be read; remove its folder and try again")
    detector = FaceDetector(DetectorSettings())
    faces = detector.detect(image)
    detector.close()
    if len(faces) < 5:
        raise CaerError(f"{len(faces)} of 5 faces were found in {material / GROUP}")
    return [_around(image, face) for face in faces]


def compose(people: list[np.ndarray], width: int, height: int, persons: int) -> np.ndarray:
    """Return `CYCLE` frames, uint8 BGR (CYCLE, height, width, 3), with `persons` moving people.

    They stand in a grid, each swaying by a tenth of a face; those beyond the people there are are
    mirror images.
    """
    columns = max(1, int(np.ceil(np.sqrt(persons * width / height))))
    rows = max(1, int(np.ceil(persons / columns)))
    cell_width, cell_height = width // columns, height // rows
    edge = int(0.85 * min(cell_width, cell_height))
    ramp = np.linspace(60, 160, height, dtype=np.uint8)[:, None, None]
    frames = np.broadcast_to(ramp, (CYCLE, height, width, 3)).copy()
    for n in range(persons):
        picture = people[n % len(people)]
        if n // len(people) % 2:
            picture = picture[:, ::-1]
        picture = cv2.resize(picture, (edge, edge), interpolation=cv2.INTER_AREA)
        row, column = divmod(n, columns)
        for i, frame in enumerate(frames):
            phase = 2 * np.pi * (i / CYCLE + n / persons)
            sway = 0.05 * edge * np.array([np.sin(phase), np.cos(phase)])
            x, y = np.round(
                [
                    column * cell_width + (cell_width - edge) / 2 + sway[0],
                    row * cell_height + (cell_height - edge) / 2 + sway[1],
                ]
            ).astype(int)
            frame[y : y + edge, x : x + edge] = picture
    return frames


def _around(image: np.ndarray, face: Face) -> np.ndarray:
    edge = int(SURROUNDINGS * max(face.width, face.height))
    centre = ((face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2)
    return cv2.getRectSubPix(image, (edge, edge), centre)
