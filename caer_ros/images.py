# SPDX-License-Identifier: Apache-2.0
"""Image messages to BGR arrays, checked; needs no rclpy.

Serves the messages of rclpy and rosbags alike. Pixels are unpacked by cv_bridge where it is
installed and the encoding is its business (Bayer, packed YUV, 16 bit), else by NumPy; colours are
converted by OpenCV in every case, so the picture is the same with and without cv_bridge.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from caer_ros.types import SECOND, CaerError, quote

logger = logging.getLogger(__name__)

MAX_PIXELS = 64_000_000
"""Most pixels that a picture may claim, unless a caller says otherwise: above what cameras have,
and 200 MB as BGR."""


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


class _Encoding(NamedTuple):
    """How an encoding stores pixels, and what makes them BGR.

    type, channels: of the array that holds them; rows: its rows for one of the image; to_bgr:
    takes that array, as uint8. bridged: cv_bridge unpacks it.
    """

    type: type[np.generic]
    channels: int
    to_bgr: Callable[[np.ndarray], np.ndarray]
    bridged: bool = False
    rows: float = 1

    @property
    def pixel(self) -> int:
        """Bytes of a pixel in its row."""
        return self.channels * np.dtype(self.type).itemsize


def _unchanged(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _code(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return partial(cv2.cvtColor, code=code)


def _nv24_to_bgr(planes: np.ndarray) -> np.ndarray:
    """Convert a plane of luma over one of interleaved chroma of full size, in studio range.

    OpenCV has no code for it: the range is widened (ITU-R BT.601, 2.5.3) for the one it has.
    """
    height, width = planes.shape[0] // 3, planes.shape[1]
    chroma = planes[height:].reshape(height, width, 2)
    level = np.arange(256)
    wide_luma = np.clip((level - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
    wide_chroma = np.clip((level - 128) * 255 / 224 + 128, 0, 255).round().astype(np.uint8)
    y, cb, cr = wide_luma[planes[:height]], *cv2.split(wide_chroma[chroma])
    return cv2.cvtColor(cv2.merge([y, cr, cb]), cv2.COLOR_YCrCb2BGR)


_GREY, _RGB, _BGRA, _RGBA = map(
    _code, (cv2.COLOR_GRAY2BGR, cv2.COLOR_RGB2BGR, cv2.COLOR_BGRA2BGR, cv2.COLOR_RGBA2BGR)
)
_UYVY, _YUYV = map(_code, (cv2.COLOR_YUV2BGR_UYVY, cv2.COLOR_YUV2BGR_YUYV))
# OpenCV names a mosaic by its second row's second and third pixel
_BAYER = {
    "rggb": _code(cv2.COLOR_BayerBG2BGR),
    "bggr": _code(cv2.COLOR_BayerRG2BGR),
    "gbrg": _code(cv2.COLOR_BayerGR2BGR),
    "grbg": _code(cv2.COLOR_BayerGB2BGR),
}
_COLOURS = {
    "mono": (1, _GREY),
    "bgr": (3, _unchanged),
    "rgb": (3, _RGB),
    "bgra": (4, _BGRA),
    "rgba": (4, _RGBA),
}

ENCODINGS = {
    **{f"{name}8": _Encoding(np.uint8, *how) for name, how in _COLOURS.items()},
    "8UC1": _Encoding(np.uint8, 1, _GREY),
    "8UC3": _Encoding(np.uint8, 3, _unchanged),
    "8UC4": _Encoding(np.uint8, 4, _BGRA),
    **{f"bayer_{name}8": _Encoding(np.uint8, 1, how, True) for name, how in _BAYER.items()},
    **{f"bayer_{name}16": _Encoding(np.uint16, 1, how, True) for name, how in _BAYER.items()},
    **{f"{name}16": _Encoding(np.uint16, *how, True) for name, how in _COLOURS.items()},
    "uyvy": _Encoding(np.uint8, 2, _UYVY),
    "yuyv": _Encoding(np.uint8, 2, _YUYV),
    "yuv422": _Encoding(np.uint8, 2, _UYVY, True),
    "yuv422_yuy2": _Encoding(np.uint8, 2, _YUYV, True),
    "nv12": _Encoding(np.uint8, 1, _code(cv2.COLOR_YUV2BGR_NV12), rows=1.5),
    "nv21": _Encoding(np.uint8, 1, _code(cv2.COLOR_YUV2BGR_NV21), rows=1.5),
    "nv24": _Encoding(np.uint8, 1, _nv24_to_bgr, rows=3),
}
"""Encodings (sensor_msgs/image_encodings.hpp) a face can be looked for in."""


def to_bgr(message: ImageMessage, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a raw image as uint8 BGR of shape (height, width, 3).

    A view of the message's data where its encoding allows (bgr8), so treat it as read only. 16-bit
    images are scaled from the full range 0 to 65535.

    Raises:
        ImageError: where size, encoding, step or data do not make a picture.
    """
    height, width, step = message.height, message.width, message.step
    encoding = ENCODINGS.get(message.encoding)
    _check_size(width, height, max_pixels)
    if encoding is None:
        raise ImageError(
            "encoding",
            f"image encoding {quote(message.encoding)} is not supported, "
            f"known are {', '.join(ENCODINGS)}",
        )
    if step < width * encoding.pixel:
        raise ImageError(
            "step",
            f"image step {step} is below width {width} x {encoding.pixel} bytes "
            f"({message.encoding})",
        )
    data = np.frombuffer(message.data, np.uint8)
    rows = int(height * encoding.rows)
    if data.size < rows * step:
        raise ImageError(
            "data length",
            f"image data has {data.size} bytes, {rows} rows x step {step} need {rows * step}",
        )
    if message.encoding.startswith("bayer") and min(height, width) < 2:
        raise ImageError(
            "zero size", f"image is {width} x {height} pixels, too few for {message.encoding}"
        )
    # planes keep the padding of their rows, as a row of one may be two of another
    across = step if encoding.rows > 1 else width
    try:
        pixels = _unpack(message, encoding, data, rows, across)
        if encoding.type is np.uint16:
            pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
        return encoding.to_bgr(pixels)[:, :width]
    except cv2.error as error:  # odd sizes of YUV
        raise ImageError(
            "conversion",
            f"{width} x {height} image of encoding {message.encoding} cannot be converted: "
            f"{' '.join(str(error).split())}",
        ) from error


def _unpack(
    message: ImageMessage, encoding: _Encoding, data: np.ndarray, rows: int, width: int
) -> np.ndarray:
    """Return the pixels in this machine's byte order, shape (rows, width[, channels])."""
    shape = (rows, width, encoding.channels)[: 2 if encoding.channels == 1 else 3]
    kind = np.dtype(encoding.type).newbyteorder(">" if message.is_bigendian else "<")
    strides = (message.step, encoding.pixel, kind.itemsize)[: len(shape)]
    pixels: np.ndarray = np.ndarray(shape, kind, data, strides=strides)
    if encoding.bridged and (bridge := _cv_bridge()):
        # without padding, which it takes for pixels
        packed = SimpleNamespace(
            height=rows,
            width=width,
            encoding=message.encoding,
            is_bigendian=message.is_bigendian,
            step=width * encoding.pixel,
            data=pixels.tobytes(),
        )
        try:
            unpacked = np.asarray(bridge.imgmsg_to_cv2(packed, "passthrough"))
        except Exception as error:  # it raises whatever its parts raise
            logger.debug("cv_bridge does not unpack %s: %s", message.encoding, error)
        else:
            if unpacked.shape == shape and unpacked.dtype == encoding.type:
                return unpacked
    # OpenCV reads neither foreign byte order nor 16 bits at odd addresses
    return pixels if encoding.type is np.uint8 else pixels.astype(encoding.type)


@lru_cache(maxsize=1)
def _cv_bridge() -> Any | None:
    """Return cv_bridge's converter, None where there is none.

    Only its `passthrough` may be called: where it was built for NumPy 1 and finds NumPy 2, as an
    apt ROS does after `pip install numpy`, its conversion of colours ends the process.
    """
    try:
        from cv_bridge import CvBridge  # type: ignore[import-not-found,unused-ignore]

        return CvBridge()
    except Exception as error:  # a broken installation may raise anything
        logger.debug("no cv_bridge: %s", error)
        return None


def decode(
    message: CompressedImageMessage, *, file: bool = False, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Return a compressed image (JPEG, PNG, WebP) as to_bgr does a raw one.

    file: it is of a file that the user has named. Then BMP and TIFF are read too, which nobody
        sends, and it is turned by its orientation tag; image_transport does not turn, so that
        boxes and calibration stay valid.

    Raises:
        ImageError: where the data are empty, cut short, too many pixels or no such picture.
    """
    data, name = bytes(message.data), f"image of format {quote(message.format)}"
    if "compressedDepth" in message.format:
        raise ImageError("encoding", f"{name} holds depths, it is no picture")
    if not data:
        raise ImageError("zero size", f"{name} has no data")
    try:
        width, height = _read_header(data, file)
        _check_size(width, height, max_pixels)
        # a block of 8 x 8 pixels takes a bit of a JPEG at least
        if data.startswith(_JPEG) and width * height > 8 * 64 * len(data):
            raise ImageError(
                "truncated", f"{len(data)} bytes are too few for {width} x {height} pixels"
            )
    except ImageError as error:
        raise ImageError(error.cause, f"{name}: {error}") from None
    # the header ends within a field
    except (struct.error, IndexError):
        raise ImageError("truncated", f"{name}: {len(data)} bytes are cut short") from None
    flags = cv2.IMREAD_COLOR | (0 if file else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError("decoding", f"{name}: {len(data)} bytes cannot be decoded")
    return image


_JPEG = b"\xff\xd8"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width == 0 or height == 0:
        raise ImageError("zero size", f"image is {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            "too large",
            f"image is {width} x {height} pixels, {max_pixels / 1e6:g} megapixels are allowed",
        )


def _read_header(data: bytes, file: bool) -> tuple[int, int]:
    """Return width and height of a picture that is whole, as its header claims them.

    OpenCV reports no size before it decodes, and fills what a cut file lacks with grey; not so
    with BMP and TIFF, which it refuses.
    """
    if data.startswith(_JPEG):
        return _read_jpeg_header(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _read_png_header(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
            raise _cut(data)
        return _read_webp_header(data)
    if file and data.startswith(b"BM"):
        return _read_bmp_header(data)
    if file and data.startswith((b"II*\0", b"MM\0*")):
        return _read_tiff_header(data)
    known = "JPEG, PNG, WebP, BMP or TIFF" if file else "JPEG, PNG or WebP"
    raise ImageError("decoding", f"{len(data)} bytes are no {known}")


def _cut(data: bytes) -> ImageError:
    return ImageError("truncated", f"{len(data)} bytes are cut short: no end marker")


def _read_jpeg_header(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG (ITU-T T.81, annex B).

    Segments are stepped over one by one, as an embedded thumbnail has a size and an end too. Any
    number of fill bytes 0xFF may stand before a marker.
    """
    position, size = 2, (0, 0)
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        # a start of frame; three numbers in its range mean something else
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">2H", data, position + 5)
            size = width, height
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
        if marker == 0xDA:  # start of scan
            if data.find(b"\xff\xd9", position) == -1:
                raise _cut(data)
            return size
    raise _cut(data)


def _read_png_header(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG of whole chunks (ISO/IEC 15948, clause 5).

    OpenCV 4.12 allocates the length that a chunk claims, up to 4 GB, before it reads it.
    """
    position = 8
    while data[position + 4 : position + 8] != b"IEND":
        position += 12 + struct.unpack_from(">I", data, position)[0]
        if position >= len(data):
            raise _cut(data)
    width, height = struct.unpack_from(">2I", data, 16)
    return width, height


def _read_webp_header(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP (RFC 9649, sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<2H", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        canvas = int.from_bytes(data[24:30], "little")
        return (canvas & 0xFFFFFF) + 1, (canvas >> 24) + 1
    raise ImageError("decoding", f"WebP begins with chunk {quote(str(kind))}, not with a picture")


def _read_bmp_header(data: bytes) -> tuple[int, int]:
    """Return width and height of a BMP; rows from the top down count below zero."""
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<2H" if size == 12 else "<2i", data, 18)
    return abs(width), abs(height)


def _read_tiff_header(data: bytes) -> tuple[int, int]:
    """Return width and height of a TIFF's first picture (TIFF 6.0, section 2)."""
    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    edges = {256: 0, 257: 0}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(f"{order}2HI", data, at)
        if tag in edges:
            (edges[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)
    return edges[256], edges[257]


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
