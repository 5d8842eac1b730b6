# SPDX-License-Identifier: Apache-2.0
"""Serialized image messages read in place.

A subscription with `raw=True` and the few lines here leave the pixels where the middleware put
them, and refuse bytes that would end the process in the middleware's own deserializer
(docs/decisions/raw_subscription.md).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from caer_ros.images import ImageError
from caer_ros.types import SECOND

_BYTE_ORDER = {b"\x00\x00": ">", b"\x00\x01": "<"}
"""The encapsulations of plain CDR (OMG DDSI-RTPS 2.5, section 10.2): the one that ROS 2 uses."""


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
        ImageError: where the bytes are not plain CDR or end before the message does.
    """
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
        ImageError: where the bytes are not plain CDR or end before the message does.
    """
    cdr = _Cdr(serialized)
    return SerializedCompressedImage(cdr.stamp(), cdr.string(), cdr.string(), cdr.sequence())


def read_stamp(serialized: bytes) -> int:
    """Return the stamp (ns) of a serialized message that begins with a header.

    Raises:
        ImageError: where the bytes are not plain CDR or end before the stamp does.
    """
    return _Cdr(serialized).stamp()


class _Cdr:
    """Reads plain CDR from front to back; alignment counts from the fifth byte."""

    def __init__(self, serialized: bytes) -> None:
        order = _BYTE_ORDER.get(serialized[:2])
        if order is None or len(serialized) < 4:
            raise ImageError(
                "malformed",
                f"message of {len(serialized)} bytes begins with {serialized[:4].hex(' ')!r}, "
                "not as plain CDR does",
            )
        self._order = order
        self._body = memoryview(serialized)[4:]
        self._at = 0

    def stamp(self) -> int:
        seconds = self._take("i", 4)
        return seconds * SECOND + self.uint32()

    def uint8(self) -> int:
        return self._take("B", 1)

    def uint32(self) -> int:
        return self._take("I", 4)

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

    def _take(self, kind: str, size: int) -> int:
        at = -(-self._at // size) * size
        if at + size > len(self._body):
            raise ImageError("malformed", f"message of {len(self._body) + 4} bytes is cut short")
        self._at = at + size
        return int(struct.unpack_from(self._order + kind, self._body, at)[0])
