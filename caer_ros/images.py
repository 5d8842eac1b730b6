# SPDX-License-Identifier: Apache-2.0
"""Image messages to BGR arrays, checked; serves rclpy's and rosbags' messages alike, no rclpy.

8-bit colour and grey are a view or one OpenCV call. Bayer, YUV and 16-bit images go through
cv_bridge where a working one is installed, else through rosbags-image.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from caer_ros.types import SECOND, CaerError

logger = logging.getLogger(__name__)


class ImageError(CaerError):
    """An image message that is no picture; `cause` is what the diagnostics count it under."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class ImageMessage(Protocol):
    """The fields of sensor_msgs/Image that make the picture; `data` is any buffer of bytes."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImageMessage(Protocol):
    """The fields of sensor_msgs/CompressedImage that make the picture."""

    format: str
    data: Any


BYTES_PER_PIXEL = {
    **dict.fromkeys(("mono8", "8UC1"), 1),
    **dict.fromkeys(("bgr8", "rgb8", "8UC3"), 3),
    **dict.fromkeys(("bgra8", "rgba8", "8UC4"), 4),
    **dict.fromkeys(("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"), 1),
    **dict.fromkeys(("bayer_rggb16", "bayer_bggr16", "bayer_gbrg16", "bayer_grbg16"), 2),
    **dict.fromkeys(("mono16", "uyvy", "yuv422", "yuyv", "yuv422_yuy2"), 2),
    **dict.fromkeys(("bgr16", "rgb16"), 6),
    **dict.fromkeys(("bgra16", "rgba16"), 8),
}
"""Encodings (sensor_msgs/image_encodings.hpp) a face can be looked for in."""

_DIRECT = {
    "mono8": cv2.COLOR_GRAY2BGR,
    "8UC1": cv2.COLOR_GRAY2BGR,
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "8UC4": cv2.COLOR_BGRA2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
}


def to_bgr(message: ImageMessage) -> np.ndarray:
    """Return a raw image as uint8 BGR of shape (height, width, 3).

    A view of the message's data where its encoding allows (bgr8), so treat it as read only. 16-bit
    images are scaled from the full range 0 to 65535.

    Raises:
        ImageError: where size, encoding, step or data do not make a picture.
    """
    height, width, step, encoding = message.height, message.width, message.step, message.encoding
    if height == 0 or width == 0:
        raise ImageError("zero size", f"image is {width} x {height} pixels")
    if encoding not in BYTES_PER_PIXEL:
        raise ImageError(
            "encoding",
            f"image encoding {encoding!r} is not supported, "
            f"known are {', '.join(BYTES_PER_PIXEL)}",
        )
    pixel = BYTES_PER_PIXEL[encoding]
    if step < width * pixel:
        raise ImageError(
            "step", f"image step {step} is below width {width} x {pixel} bytes ({encoding})"
        )
    data = np.frombuffer(message.data, np.uint8)
    if data.size < height * step:
        raise ImageError(
            "data length",
            f"image data has {data.size} bytes, "
            f"height {height} x step {step} needs {height * step}",
        )
    if encoding in ("bgr8", "8UC3"):
        return np.ndarray((height, width, 3), np.uint8, data, strides=(step, 3, 1))
    rows: np.ndarray = np.ndarray((height, width * pixel), np.uint8, data, strides=(step, 1))
    if encoding in _DIRECT:
        image = rows if pixel == 1 else rows.reshape(height, width, pixel)
        return cv2.cvtColor(image, _DIRECT[encoding])
    if encoding.startswith("bayer") and min(height, width) < 2:
        raise ImageError(
            "zero size", f"image is {width} x {height} pixels, too few for {encoding}"
        )
    # rosbags-image takes no padded rows, so padding is cut off for both converters
    packed = SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=message.is_bigendian,
        step=width * pixel,
        data=np.ascontiguousarray(rows).reshape(-1),
    )
    try:
        return np.asarray(converter().to_bgr(packed))
    except Exception as error:  # both libraries raise whatever their parts raise
        raise ImageError(
            "conversion",
            f"{width} x {height} image of encoding {encoding} cannot be converted: {error}",
        ) from error


def decode(message: CompressedImageMessage, *, upright: bool = False) -> np.ndarray:
    """Return a compressed image (JPEG, PNG, what else OpenCV reads) as to_bgr does a raw one.

    Its orientation tag (EXIF) is ignored, as image_transport does, so that boxes and calibration
    stay valid; `upright` follows it.

    Raises:
        ImageError: where the data are empty, cut short or not an image.
    """
    if "compressedDepth" in message.format:
        raise ImageError("encoding", f"format {message.format!r} is a depth image, not a picture")
    data = bytes(message.data)
    if not data:
        raise ImageError("zero size", "compressed image has no data")
    # OpenCV fills what a cut file lacks with grey and reports success
    whole = True
    if data.startswith(b"\xff\xd8"):
        whole = _jpeg_ends(data)
    elif data.startswith(b"\x89PNG"):
        whole = data.rfind(b"IEND") != -1
    if not whole:
        raise ImageError(
            "truncated",
            f"{message.format!r} image of {len(data)} bytes is cut short: no end marker",
        )
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # a header that names more pixels than OpenCV's limit
        image = None
    if image is None:
        raise ImageError(
            "decoding", f"{len(data)} bytes of format {message.format!r} are no image OpenCV reads"
        )
    return image


def check_stamp(stamp: int, before: int | None) -> None:
    """Refuse a stamp (ns) that says nothing: 0, or that of the same camera's image `before`.

    Raises:
        ImageError: naming the stamp.
    """
    if stamp == 0:
        raise ImageError("stamp zero", "image stamp is 0: its driver must stamp it")
    if stamp == before:
        text = f"{stamp // SECOND}.{stamp % SECOND:09d}"
        raise ImageError("stamp repeated", f"image stamp {text} is that of the image before")


def _jpeg_ends(data: bytes) -> bool:
    """Tell whether an end marker follows the start of scan (ITU-T T.81, annex B).

    Segments before the scan are stepped over, as an embedded thumbnail has an end marker too.
    Any number of fill bytes 0xFF may stand before a marker.
    """
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xFF:
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        scan = data[position + 1] == 0xDA
        position += 2 + length
        if scan:
            return data.find(b"\xff\xd9", position) != -1
    return False


class Converter(NamedTuple):
    """The library that converts what is not plain 8-bit, by its name."""

    name: str
    to_bgr: Callable[[Any], np.ndarray]


@lru_cache(maxsize=1)
def converter() -> Converter:
    """Return the first library that is installed and converts a known Bayer and 16-bit image.

    The check matters: the package `cv-bridge` on PyPI is ROS 1 code that imports, then fails.

    Raises:
        ImageError: where neither works.
    """
    reasons = []
    for candidate in (_cv_bridge, _rosbags_image):
        try:
            found = candidate()
            _check(found)
        except Exception as error:  # a broken installation may raise anything
            reason = f"{candidate.__name__[1:]}: {type(error).__name__}: {error}"
            logger.debug("converter not usable: %s", reason)
            reasons.append(reason)
        else:
            return found
    raise ImageError(
        "conversion",
        f"neither cv_bridge nor rosbags-image works ({'; '.join(reasons)}); "
        "install one of them for Bayer, YUV and 16-bit images",
    )


def _cv_bridge() -> Converter:
    from cv_bridge import CvBridge  # type: ignore[import-not-found,unused-ignore]

    bridge = CvBridge()
    return Converter("cv_bridge", lambda message: bridge.imgmsg_to_cv2(message, "bgr8"))


def _rosbags_image() -> Converter:
    from rosbags.image import image_to_cvimage

    return Converter("rosbags-image", lambda message: image_to_cvimage(message, "bgr8"))


def _check(found: Converter) -> None:
    bayer = np.empty((8, 8), np.uint8)
    bayer[0::2, 0::2], bayer[1::2, 1::2] = 200, 40  # red, blue
    bayer[0::2, 1::2] = bayer[1::2, 0::2] = 120
    grey = np.full((8, 8), 100 * 257, ">u2")
    for encoding, pixels, expected in (
        ("bayer_rggb8", bayer, (40, 120, 200)),
        ("mono16", grey, (100, 100, 100)),
    ):
        message = SimpleNamespace(
            height=8,
            width=8,
            encoding=encoding,
            is_bigendian=int(pixels.dtype.itemsize > 1),
            step=8 * pixels.dtype.itemsize,
            data=pixels.view(np.uint8).reshape(-1),
        )
        image = found.to_bgr(message)
        if image.shape != (8, 8, 3) or image.dtype != np.uint8:
            raise ValueError(f"{encoding} became {image.dtype} of shape {image.shape}")
        # 1 for rounding
        if np.abs(image[4, 4].astype(int) - expected).max() > 1:
            raise ValueError(f"{encoding} became {image[4, 4]} instead of {expected}")
