# SPDX-License-Identifier: Apache-2.0
"""Turn a video or a folder of images into a bag: `caer make-bag`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from caer_ros.replay.bag import (
    COMPRESSED_IMAGE,
    IMAGE,
    TYPES,
    BagError,
    image_to_cdr,
    natural,
    new_bag,
)
from caer_ros.types import SECOND

START = SECOND
"""Stamp of the first image in ns: fixed, so that bags can be made again; 0 means unset in ROS."""


def make_bag(
    source: Path,
    bag: Path,
    *,
    topic: str = "/camera/image_raw",
    frame_id: str = "camera",
    rate: float | None = None,
    jpeg: bool = False,
) -> int:
    """Write a video, or a folder of images in order of name, as a rosbag2; return their number.

    Images of a video keep its own time stamps, also where its rate varies, unless a `rate` in Hz
    is given; those of a folder come at `rate`, 10 Hz if none is given. Images are bgr8, or with
    `jpeg` compressed on `topic` + "/compressed" as image_transport names it.

    Raises:
        BagError: where nothing can be read, or the bag exists or cannot be written.
    """
    images = _folder(source, rate or 10.0) if source.is_dir() else _video(source, rate)
    count = 0
    with new_bag(bag) as writer:
        kind = COMPRESSED_IMAGE if jpeg else IMAGE
        name = f"{topic}/compressed" if jpeg else topic
        connection = writer.add_connection(name, kind, typestore=TYPES)
        total = _length(source)
        for offset, image in tqdm(images, "make-bag", total, unit=" images", disable=None):
            stamp = START + offset
            _, cdr = image_to_cdr(image, stamp, frame_id, jpeg=jpeg)
            writer.write(connection, stamp, cdr)
            count += 1
        if not count:
            raise BagError(f"{source} has no image that can be read")
    return count


def _video(path: Path, rate: float | None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each frame with its time since the first one, in ns."""
    if not path.is_file():
        raise BagError(f"{path} does not exist")
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise BagError(f"{path} is no video OpenCV can read")
    try:
        first = None
        index = 0
        while video.grab():
            # OpenCV has the time in ms as a float, whose noise ends far below a microsecond
            time = round(video.get(cv2.CAP_PROP_POS_MSEC) * 1000) * 1000
            first = time if first is None else first
            whole, image = video.retrieve()
            if whole:
                yield (time - first if rate is None else round(index * SECOND / rate)), image
            index += 1
    finally:
        video.release()


def _folder(path: Path, rate: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each image of a folder with its time since the first one, in ns."""
    index = 0
    for file in sorted(path.iterdir(), key=natural):
        if not cv2.haveImageReader(str(file)):
            continue
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise BagError(f"{file} cannot be read as an image; repair or remove it")
        yield round(index * SECOND / rate), image
        index += 1


def _length(source: Path) -> int | None:
    """Return how many images to expect, for the progress bar."""
    if source.is_dir():
        return sum(cv2.haveImageReader(str(file)) for file in source.iterdir())
    video = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG)
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    return count if count > 0 else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a video, or a folder of images")
    parser.add_argument("bag", type=Path, help="the bag (a folder) to write")
    parser.add_argument("--topic", default="/camera/image_raw", help="default: %(default)s")
    parser.add_argument("--frame-id", default="camera", help="default: %(default)s")
    parser.add_argument(
        "--rate",
        type=float,
        help="images a second; default: a video's own time stamps, 10 for a folder",
    )
    parser.add_argument("--jpeg", action="store_true", help="write compressed images")


def main(args: argparse.Namespace) -> int:
    if args.rate is not None and not 0 < args.rate < math.inf:
        raise BagError(f"--rate is {args.rate}, it must be above 0 and finite")
    count = make_bag(
        args.source,
        args.bag,
        topic=args.topic,
        frame_id=args.frame_id,
        rate=args.rate,
        jpeg=args.jpeg,
    )
    print(f"{args.bag}: {count} images")
    return 0
