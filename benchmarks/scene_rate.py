# SPDX-License-Identifier: Apache-2.0
"""What it changes and saves to look at the scene less often than at the faces.

With weights that read the scene, on the demo's video and on a camera that pans over the demo's
group photo, each at 30 Hz with five people: labels and probabilities against a scene for every
reading, and the processor time of an image.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from caer_ros.benchmark.interleaved import in_own_process
from caer_ros.demo.material import GROUP, VIDEO, fetch_material
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.settings import build
from caer_ros.types import SECOND, Frame, Reading
from caer_ros.video import Video, read_picture

RATES = (100.0, 5.0, 2.0, 1.0, 0.5)


def pan(material: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield stamps and images of a camera that swings over the group photo for ten seconds."""
    photo = read_picture(material / GROUP)
    height, width = photo.shape[:2]
    for k in range(300):
        x = (width - 640) / 2 * (1 + math.sin(0.8 * k / 30))
        y = max(height - 480, 0) / 2 * (1 + math.sin(0.5 * k / 30))
        middle = (x + 319.5, y + 239.5)
        yield k * SECOND // 30, cv2.getRectSubPix(photo, (640, 480), middle)


def read(
    material: Path, weights: str, rate: float, moving: bool
) -> tuple[list[dict[str, Reading]], float]:
    """Return the readings of every image by person, and the processor time of one in ms."""
    settings = {"engine.weights": weights, "clips.scene_rate": rate, "tracker.id_prefix": "p"}
    pipeline = EmotionPipeline.from_settings(build(PipelineSettings, settings))
    readings, spent = [], 0.0
    for stamp, image in pan(material) if moving else Video(material / VIDEO):
        started = time.process_time()
        (result,) = pipeline.process([Frame("camera", SECOND + stamp, image)])
        spent += time.process_time() - started
        readings.append({reading.person_id: reading for reading in result.readings})
    pipeline.close()
    return readings, 1e3 * spent / len(readings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", default="caer_net_s_scene")
    weights = parser.parse_args().weights
    for moving in (False, True):
        print("a camera that pans over five people" if moving else "the demo's video")
        runs = {
            rate: in_own_process(read, fetch_material(), weights, rate, moving) for rate in RATES
        }
        for rate, (images, spent) in runs.items():
            pairs = [
                (first[name], second[name])
                for first, second in zip(runs[RATES[0]][0], images, strict=True)
                for name in first.keys() & second.keys()
            ]
            same = np.mean([a.emotion == b.emotion for a, b in pairs])
            apart = [np.abs(np.subtract(a.probabilities, b.probabilities)).max() for a, b in pairs]
            print(
                f"{rate:5g} Hz: same label {same:.1%}, largest difference of a probability "
                f"{np.mean(apart):.3f} (mean), {np.quantile(apart, 0.95):.3f} (95th percentile), "
                f"{spent:.2f} ms an image",
                flush=True,
            )


if __name__ == "__main__":
    main()
