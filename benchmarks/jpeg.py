# SPDX-License-Identifier: Apache-2.0
"""What decoding JPEG at half size would save and lose: time, faces found, how far boxes move."""

from __future__ import annotations

import time

import cv2
import numpy as np

from caer_ros.benchmark.scenes import compose, load_people
from caer_ros.demo.material import fetch_material
from caer_ros.perception.crops import face_crop
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.types import Face

FULL, HALF = cv2.IMREAD_COLOR, cv2.IMREAD_REDUCED_COLOR_2
SIZES = ((640, 480), (1280, 720), (1920, 1080))


def decode_ms(data: np.ndarray, how: int) -> float:
    """Return the median processor time in ms."""
    seconds = []
    for _ in range(200):
        started = time.thread_time()
        cv2.imdecode(data, how)
        seconds.append(time.thread_time() - started)
    return 1e3 * float(np.median(seconds))


def scaled(face: Face, factor: float) -> Face:
    x1, y1, x2, y2 = (factor * x for x in (face.x1, face.y1, face.x2, face.y2))
    return Face(x1, y1, x2, y2, face.score)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    people = load_people(fetch_material())
    detector = FaceDetector(DetectorSettings())
    for width, height in SIZES:
        for persons in (1, 5, 10):
            image = compose(people, width, height, persons)[0]
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            full, half = (cv2.imdecode(data, how) for how in (FULL, HALF))
            assert full is not None and half is not None
            faces, fewer = detector.detect(full), detector.detect(half)
            # what the network would see: crops of the same face, from both pictures
            changes = [
                np.abs(
                    face_crop(full, face, 64, 0.1).astype(float)
                    - face_crop(half, scaled(face, 0.5), 64, 0.1)
                ).mean()
                for face in faces
            ]
            print(
                f"{width}x{height}, {persons} person(s): full {decode_ms(data, FULL):.2f} ms, "
                f"half {decode_ms(data, HALF):.2f} ms; faces {len(faces)} and {len(fewer)}; "
                f"crops differ by {np.mean(changes):.1f} of 255, faces are "
                f"{np.mean([face.width for face in faces]):.0f} pixels wide"
            )
