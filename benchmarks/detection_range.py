# SPDX-License-Identifier: Apache-2.0
"""How far away people are found: the faces of the demo's group photo, pasted small into frames.

    .venv/bin/python benchmarks/detection_range.py [--min-size 20] [--places 4]

For each frame size, background and face length: the share of faces found within half a second
after they came into the picture of a still camera at 30 Hz, each frame of it searched as the node
does, and in brackets in one search of the whole frame. Then the finds a frame that are none of the
pasted faces, and the processor time of a frame on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import cv2
import numpy as np

from caer_ros.demo.material import GROUP, fetch_material
from caer_ros.perception.boxes import corners, iou
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.perception.search import FaceSearch
from caer_ros.process import keep_opencv_to_one_thread
from caer_ros.types import SECOND, Face
from caer_ros.video import read_picture

SIZES = (640, 480), (1280, 720), (1920, 1080)
LENGTHS = (16, 20, 24, 30, 40, 50, 60, 80)
SURROUNDINGS = 0.5
"""What a pasted face brings along on each side, in lengths of the face."""

FOUND_IOU = 0.4

FRAMES = 15
"""Half a second."""


def scenes(
    photo: np.ndarray, faces: list[Face], size: tuple[int, int], length: int, blurred: bool, n: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield `n` times the ground, every face once on it at random places, and the boxes (5, 4)."""
    width, height = size
    ground: np.ndarray = np.full((height, width, 3), (120, 125, 130), np.uint8)
    if blurred:
        small = cv2.GaussianBlur(cv2.resize(photo, (width // 8, height // 8)), (0, 0), width / 200)
        ground = cv2.resize(small, size)
    rng = np.random.default_rng(0)
    for _ in range(n):
        frame = ground.copy()
        taken = np.zeros((height, width), bool)
        boxes = []
        for face in faces:
            longest = max(face.width, face.height)
            room = SURROUNDINGS * longest
            x1, y1, x2, y2 = Face(
                face.x1 - room, face.y1 - room, face.x2 + room, face.y2 + room
            ).pixels(photo.shape[1], photo.shape[0])
            scale = length / longest
            patch = cv2.resize(
                photo[y1:y2, x1:x2], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
            )
            rows, columns = patch.shape[:2]
            while True:
                x, y = rng.integers(width - columns + 1), rng.integers(height - rows + 1)
                place = slice(y, y + rows), slice(x, x + columns)
                if not taken[place].any():
                    break
            taken[place] = True
            frame[place] = patch
            box = (corners([face])[0] - [x1, y1, x1, y1]) * scale
            boxes.append(box + [x, y, x, y])
        yield ground, frame, np.array(boxes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--min-size", type=int, default=DetectorSettings().min_size)
    parser.add_argument("--places", type=int, default=4, help="of each face")
    args = parser.parse_args()
    keep_opencv_to_one_thread()
    photo = read_picture(fetch_material() / GROUP)
    faces = FaceDetector(DetectorSettings()).detect(photo)
    detector = FaceDetector(DetectorSettings(min_size=args.min_size, threads=1))
    print("| frame | background | " + " | ".join(f"{n} px" for n in LENGTHS) + " | false | ms |")
    print("|---|---|" + "---|" * (len(LENGTHS) + 2))
    for size in SIZES:
        for blurred in (False, True):
            cells, false, spent, images = [], 0, 0.0, 0
            for length in LENGTHS:
                found = whole = total = 0
                for ground, frame, boxes in scenes(
                    photo, faces, size, length, blurred, args.places
                ):
                    search = FaceSearch(*size, detector)
                    seen: list[Face] = []
                    best = np.zeros(len(boxes))
                    for i in range(FRAMES):
                        search.find(ground, (i - FRAMES) * SECOND // 30, seen)
                    for i in range(FRAMES):
                        started = time.process_time()
                        seen = search.find(frame, i * SECOND // 30, seen)
                        spent += time.process_time() - started
                        images += 1
                        overlap = iou(boxes, corners(seen))
                        best = np.maximum(best, overlap.max(axis=1, initial=0.0))
                    # a face beside it that came along in the surroundings is none of the five
                    false += int((overlap.max(axis=0, initial=0.0) == 0).sum())
                    found += int((best >= FOUND_IOU).sum())
                    overlap = iou(boxes, corners(detector.detect(frame)))
                    whole += int((overlap.max(axis=1, initial=0.0) >= FOUND_IOU).sum())
                    total += len(boxes)
                cells.append(f"{found / total:.2f} ({whole / total:.2f})")
            name = f"{size[0]}x{size[1]} | {'blurred photo' if blurred else 'plain'}"
            row = " | ".join(cells)
            scenes_seen = len(LENGTHS) * args.places
            print(
                f"| {name} | {row} | {false / scenes_seen:.2f} | {1e3 * spent / images:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
