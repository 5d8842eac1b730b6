# SPDX-License-Identifier: Apache-2.0
"""Turn a video, a picture or a folder of pictures into a bag: `caer make-bag`."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from tqdm import tqdm

from caer_ros.replay.bag import (
    COMPRESSED_IMAGE,
    IMAGE,
    TYPES,
    BagError,
    check_topic,
    image_to_cdr,
    new_bag,
)
from caer_ros.types import SECOND
from caer_ros.video import FOLDER_FPS, open_video

START = SECOND
"""Stamp of the first image in ns: fixed, so that bags can be made again; 0 means unset in ROS."""


def make_bag(
    source: Path,
    bag: Path,
    *,
    topic: str = "/camera/image_raw",
    frame_id: str = "camera",
    fps: float | None = None,
    jpeg: bool = False,
) -> int:
    """Write a video, a picture or a folder of pictures as a rosbag2; return how many images.

    Images have the time that `caer_ros.video` gives them. They are bgr8, or with `jpeg` compressed
    on `topic` + "/compressed" as image_transport names it. Progress, and what was amiss in the
    source, go to stderr.

    Raises:
        VideoError: where an image cannot be read.
        FileError: where the bag exists or cannot be written.
    """
    count = 0
    with open_video(source, fps) as images, new_bag(bag) as writer:
        kind = COMPRESSED_IMAGE if jpeg else IMAGE
        name = f"{topic}/compressed" if jpeg else topic
        connection = writer.add_connection(name, kind, typestore=TYPES)
        bar = tqdm(images, "make-bag", images.length, unit=" images", disable=None)
        for offset, image in bar:
            stamp = START + offset
            _, cdr = image_to_cdr(image, stamp, frame_id, jpeg=jpeg)
            writer.write(connection, stamp, cdr)
            count += 1
    for note in images.notes:
        print(f"warning: {note}", file=sys.stderr)
    return count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a video, a picture, or a folder of pictures")
    parser.add_argument("bag", type=Path, help="the bag (a folder) to write")
    parser.add_argument("--topic", default="/camera/image_raw", help="default: %(default)s")
    parser.add_argument("--frame-id", default="camera", help="default: %(default)s")
    parser.add_argument(
        "--fps",
        type=float,
        help=f"images a second; default: a video's own time, {FOLDER_FPS:g} for a folder",
    )
    parser.add_argument("--jpeg", action="store_true", help="write compressed images")


def main(args: argparse.Namespace) -> int:
    if args.fps is not None and not 0 < args.fps < math.inf:
        raise BagError(f"--fps is {args.fps}, it must be above 0 and finite")
    count = make_bag(
        args.source,
        args.bag,
        topic=check_topic(args.topic),
        frame_id=args.frame_id,
        fps=args.fps,
        jpeg=args.jpeg,
    )
    print(f"{args.bag}: {count} images")
    return 0
