# SPDX-License-Identifier: Apache-2.0
"""What detection in every n-th image saves and loses, on the demo's video."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from caer_ros.benchmark.interleaved import in_own_process
from caer_ros.demo.material import VIDEO, fetch_material
from caer_ros.perception.boxes import iou
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.settings import build
from caer_ros.types import SECOND, Frame, Reading


def read(material: Path, interval: int) -> tuple[list[tuple[Reading, ...]], float]:
    """Return the readings of every frame, and the processor time of a frame in ms."""
    settings = {"detector.interval": interval}
    pipeline = EmotionPipeline.from_settings(build(PipelineSettings, settings))
    video = cv2.VideoCapture(str(material / VIDEO))
    rate = video.get(cv2.CAP_PROP_FPS)
    readings: list[tuple[Reading, ...]] = []
    spent = 0.0
    while (image := video.read()[1]) is not None:
        frame = Frame("camera", SECOND + round(len(readings) / rate * SECOND), image)
        started = time.process_time()
        (result,) = pipeline.process([frame])
        spent += time.process_time() - started
        readings.append(result.readings)
    return readings, 1e3 * spent / len(readings)


def box(reading: Reading) -> np.ndarray:
    face = reading.face
    return np.array([[face.x1, face.y1, face.x2, face.y2]])


if __name__ == "__main__":
    every = {n: in_own_process(read, fetch_material(), n) for n in (1, 2, 3, 4)}
    for n, (frames, spent) in every.items():
        pairs = [(a[0], b[0]) for a, b in zip(every[1][0], frames, strict=True) if a and b]
        overlap = np.quantile([iou(box(a), box(b)).item() for a, b in pairs], 0.05)
        same = np.mean([a.emotion == b.emotion for a, b in pairs])
        ids = {reading.person_id for readings in frames for reading in readings}
        print(
            f"every {n}.: person in {sum(map(bool, frames))} of {len(frames)} frames, "
            f"{len(ids)} id(s), overlap {overlap:.2f} (5th percentile), same label {same:.1%}, "
            f"{spent:.2f} ms a frame"
        )
