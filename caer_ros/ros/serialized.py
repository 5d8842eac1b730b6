# SPDX-License-Identifier: Apache-2.0
"""Serialized image messages read in place.

rclpy copies every field of a message it deserializes; a subscription with `raw=True` and the few
lines here leave the pixels where the middleware put them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from caer_ros.images import ImageError
from caer_ros.types import SECOND

_CDR_LE = b"\x00\x01"
"""Encapsulation of plain little endian CDR (OMG DDSI-RTPS 2.5, section 10.2), what every common
middleware and machine uses; anything else is left to rclpy."""


@dataclass(slots=True)
class SerializedImage:
    """A sensor_msgs/Image; the stamp in ns, `data` a view of the serialized message."""

    stamp: int
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


@dataclass(slots=True)
class SerializedCompressedImage:
    """A sensor_msgs/CompressedImage; the stamp in ns, `data` a view of the serialized message."""

    stamp: int
    frame_id: str
    format: str
    data: Any


def read_image(serialized: bytes) -> SerializedImage:
    """Read a serialized sensor_msgs/Image without copying its pixels.

    Raises:
        ImageError: where the bytes end before the message does.
    """
    if serialized[:2] != _CDR_LE:
        m = deserialize_message(serialized, Image)
        return SerializedImage(
            *_header(m), m.height, m.width, m.encoding, m.is_bigendian, m.step, m.data
        )
    cdr = _Cdr(serialized)
    return SerializedImage(
        stamp=cdr.stamp(),
        frame_id=cdr.string(),
        height=cdr.uint32(),
        width=cdr.uint32(),
        encoding=cdr.string(),
        is_bigendian=cdr.uint8(),
        step=cdr.uint32(),
        data=cdr.sequence(),
    )


def read_compressed_image(serialized: bytes) -> SerializedCompressedImage:
    """Read a serialized sensor_msgs/CompressedImage without copying its data.

    Raises:
        ImageError: where the bytes end before the message does.
    """
    if serialized[:2] != _CDR_LE:
        m = deserialize_message(serialized, CompressedImage)
        return SerializedCompressedImage(*_header(m), m.format, m.data)
    cdr = _Cdr(serialized)
    return SerializedCompressedImage(cdr.stamp(), cdr.string(), cdr.string(), cdr.sequence())


def _header(message: Image | CompressedImage) -> tuple[int, str]:
    stamp = message.header.stamp
    return stamp.sec * SECOND + stamp.nanosec, message.header.frame_id


class _Cdr:
    """Reads plain little endian CDR from front to back; alignment counts from the fifth byte."""

    def __init__(self, serialized: bytes) -> None:
        self._body = memoryview(serialized)[4:]
        self._at = 0

    def stamp(self) -> int:
        seconds = self._take("<i", 4, 4)
        return seconds * SECOND + self.uint32()

    def uint8(self) -> int:
        return self._take("<B", 1, 1)

    def uint32(self) -> int:
        return self._take("<I", 4, 4)

    def string(self) -> str:
        # the length counts the terminating zero
        return str(self.sequence()[:-1], "utf-8", "replace")

    def sequence(self) -> memoryview:
        length = self.uint32()
        found = self._body[self._at : self._at + length]
        if len(found) < length:
            raise ImageError("malformed", f"message ends {length - len(found)} bytes too early")
        self._at += length
        return found

    def _take(self, kind: str, size: int, alignment: int) -> int:
        at = -(-self._at // alignment) * alignment
        if at + size > len(self._body):
            raise ImageError("malformed", f"message of {len(self._body) + 4} bytes is cut short")
        self._at = at + size
        return int(struct.unpack_from(kind, self._body, at)[0])
