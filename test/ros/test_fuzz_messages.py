# SPDX-License-Identifier: Apache-2.0
"""Damaged messages: each gives a picture within the limit or an ImageError, and ends no process.

`python test/ros/test_fuzz_messages.py 1000000 [SEED]` runs as many as you like.
"""

from __future__ import annotations

import faulthandler
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from caer_ros.images import ENCODINGS, ImageError, decode, to_bgr
from caer_ros.ros.conversions import to_header
from caer_ros.ros.serialized import read_compressed_image, read_image

LIMIT = 100_000
"""Pixels allowed: above the whole pictures, so that claims of all sizes are tried."""

NUMBERS = [0, 1, 2, 3, 7, 255, 256, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def read_raw(serialized: bytes) -> np.ndarray:
    return to_bgr(read_image(serialized), max_pixels=LIMIT)


def read_compressed(serialized: bytes) -> np.ndarray:
    return decode(read_compressed_image(serialized), max_pixels=LIMIT)


def seeds() -> list[tuple[Callable[[bytes], np.ndarray], bytes]]:
    """Return good messages of every encoding and container, each with its reader."""
    header, found = to_header(1, "head"), []
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for name, form in ENCODINGS.items():
        size = int(8 * form.rows) * 12 * form.pixel
        message = Image(
            header=header, height=8, width=12, encoding=name, step=12 * form.pixel,
            data=bytes(range(256)) * (size // 256) + bytes(size % 256),
        )  # fmt: skip
        found.append((read_raw, serialize_message(message)))
    for kind, options in (
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".png", []),
        (".webp", []),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
    ):
        data = cv2.imencode(kind, pixels, options)[1].tobytes()
        message = CompressedImage(header=header, format=kind[1:], data=data)
        found.append((read_compressed, serialize_message(message)))
    return found


def damage(message: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return `message` changed in one to four ways."""
    data = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        # the header is short, and most goes wrong there
        if rng.random() < 0.5:
            at = rng.randrange(min(len(data), 200) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            data[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(NUMBERS))
        elif kind == 2:
            data[at : at + 2] = struct.pack(rng.choice("<>") + "H", rng.randrange(65_536))
        elif kind == 3:
            del data[at : at + rng.randrange(1, 40)]
        elif kind == 4:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
        elif kind == 5:
            start = rng.randrange(len(other))
            data[at:] = other[start : start + rng.randrange(1, 2000)]
        else:
            del data[at:]
    return bytes(data)


def fuzz(count: int, seed: int) -> Counter[str]:
    """Read so many damaged messages; return how many of each outcome."""
    print(f"{count} messages, seed {seed}", flush=True)
    rng = random.Random(seed)
    good = seeds()
    outcomes: Counter[str] = Counter()
    for number in range(count):
        read, message = rng.choice(good)
        data = damage(message, rng.choice(good)[1], rng)
        began = time.thread_time()
        try:
            image = read(data)
        except ImageError as error:
            assert len(str(error)) < 2000, f"seed {seed}, message {number}: {data.hex()}"
            outcomes[error.cause] += 1
        except BaseException:
            print(f"seed {seed}, message {number}: {data.hex()}")
            raise
        else:
            assert image.dtype == np.uint8, f"seed {seed}, message {number}: {data.hex()}"
            assert 0 < image.size <= 3 * LIMIT, f"seed {seed}, message {number}: {data.hex()}"
            outcomes["picture"] += 1
        spent = time.thread_time() - began
        if spent > 1:
            outcomes["slow"] += 1
            print(f"seed {seed}, message {number} took {spent:.1f} s: {data.hex()}")
    return outcomes


def test_every_good_message_gives_its_picture():
    shapes = [read(message).shape for read, message in seeds()]

    assert set(shapes) == {(8, 12, 3), (24, 32, 3)}


def test_damaged_messages_are_pictures_or_image_errors():
    outcomes = fuzz(5_000, 1)

    # the damage reaches past the header, and is not too much
    assert {"picture", "malformed", "too large", "decoding", "truncated", "step"} <= set(outcomes)


@pytest.mark.slow
def test_many_damaged_messages_are_pictures_or_image_errors():
    fuzz(300_000, time.time_ns())


if __name__ == "__main__":
    faulthandler.enable()
    print(fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()))
