# SPDX-License-Identifier: Apache-2.0
"""ROS 1 bags without an index: cut short, or left by a recorder that was killed (`.bag.active`).

https://wiki.ros.org/Bags/Format/2.0
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import lz4.frame
from rosbags.typesys.msg import normalize_msgtype

from caer_ros.replay.mcap_file import LARGEST, Connection
from caer_ros.types import SECOND

MAGIC = b"#ROSBAG V2.0\n"

_MESSAGE, _CHUNK, _CONNECTION = 2, 5, 7
_HEADER_MOST = 2**20

_DECOMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"none": bytes,
    b"bz2": bz2.decompress,
    b"lz4": lz4.frame.decompress,
}


class UnindexedRos1File:
    """The whole chunks of a ROS 1 bag, in order of the file, sorted by time within a chunk.

    connections: its topics; damage: what was found amiss, by place in the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections: dict[int, Connection] = {}
        count = sum(len(messages) for messages in self._chunks())
        size = path.stat().st_size
        self.damage = {
            self._whole: f"no index, {count} messages are whole, the last {size - self._whole} of "
            f"{size} bytes are lost"
        }

    @property
    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Any, int, bytes]]:
        """Yield (connection, time of recording in ns, serialized message)."""
        for messages in self._chunks(learn=False):
            for number, time, data in sorted(messages, key=lambda message: message[1]):
                if self._connections[number] in connections:
                    yield self._connections[number], time, data

    def _chunks(self, learn: bool = True) -> Iterator[list[tuple[int, int, bytes]]]:
        """Yield the (connection, time, message) of each whole chunk."""
        with self._path.open("rb") as file:
            file.seek(len(MAGIC))
            self._whole = file.tell()
            while (record := _read(file.read)) is not None:
                header, data = record
                if header.get(b"op") == bytes([_CHUNK]):
                    try:
                        plain = _decompress(header, data)
                    # what damaged bytes make the decompressors raise has no common base
                    except Exception:
                        return
                    yield list(self._messages(plain, learn))
                self._whole = file.tell()

    def _messages(self, data: bytes, learn: bool) -> Iterator[tuple[int, int, bytes]]:
        position = 0

        def read(size: int) -> bytes:
            nonlocal position
            position += size
            return data[position - size : position]

        while (record := _read(read)) is not None:
            header, content = record
            op, number = header.get(b"op"), int.from_bytes(header.get(b"conn", b""), "little")
            if op == bytes([_CONNECTION]) and number not in self._connections:
                fields = _fields(content)
                topic = header.get(b"topic", b"").decode(errors="replace")
                kind = normalize_msgtype(fields.get(b"type", b"x/x").decode(errors="replace"))
                self._connections[number] = Connection(topic, kind, 0, ros1=True)
            elif op == bytes([_MESSAGE]) and number in self._connections:
                time = header.get(b"time", bytes(8))
                seconds, rest = time[:4], time[4:]
                self._connections[number].msgcount += learn
                nanoseconds = int.from_bytes(rest, "little")
                yield number, int.from_bytes(seconds, "little") * SECOND + nanoseconds, content


def _decompress(header: dict[bytes, bytes], data: bytes) -> bytes:
    size = int.from_bytes(header.get(b"size", b""), "little")
    if size > LARGEST:
        raise ValueError(f"a chunk claims {size} bytes")
    return _DECOMPRESS[header[b"compression"]](data)


def _read(read: Callable[[int], bytes]) -> tuple[dict[bytes, bytes], bytes] | None:
    """Return header and data of the next record, None where it is not whole."""
    header = _sized(read, _HEADER_MOST)
    data = _sized(read, LARGEST) if header is not None else None
    return None if header is None or data is None else (_fields(header), data)


def _sized(read: Callable[[int], bytes], most: int) -> bytes | None:
    length = read(4)
    size = int.from_bytes(length, "little")
    if len(length) < 4 or size > most:
        return None
    data = read(size)
    return data if len(data) == size else None


def _fields(header: bytes) -> dict[bytes, bytes]:
    """Return the `name=value` fields of a header."""
    fields = {}
    position = 0
    while position + 4 <= len(header):
        size = int.from_bytes(header[position : position + 4], "little")
        name, _, value = header[position + 4 : position + 4 + size].partition(b"=")
        fields[name] = value
        position += 4 + size
    return fields
