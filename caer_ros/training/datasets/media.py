# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos from disk, as uint8 BGR."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import cv2
import numpy as np

from caer_ros.perception.clips import SampleClock
from caer_ros.training.examples import DataError
from caer_ros.types import SECOND

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
VIDEOS = frozenset({".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v"})


def read_frames(path: Path) -> list[np.ndarray]:
    """Return the frames of a picture (one) or a video (at 10 Hz), uint8 BGR.

    Raises:
        DataError: where nothing can be decoded.
    """
    return read_video(path) if path.suffix.lower() in VIDEOS else [read_picture(path)]


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as uint8 BGR, whatever its depth and channels."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path} cannot be read as a picture")
    return image


def read_video(path: Path) -> list[np.ndarray]:
    """Return the frames of a video at 10 Hz, picked as the node picks a camera's images.

    A video cut short gives the frames it has.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        if not capture.isOpened() or not math.isfinite(rate) or rate <= 0:
            raise DataError(f"{path} cannot be read as a video")
        clock = SampleClock()
        frames: list[np.ndarray] = []
        for index in itertools.count():
            if not capture.grab():
                break
            if clock.tick(round(index * SECOND / rate)):
                decoded, frame = capture.retrieve()
                if decoded:
                    frames.append(frame)
    finally:
        capture.release()
    if not frames:
        raise DataError(f"{path} holds no frame that can be decoded")
    return frames
