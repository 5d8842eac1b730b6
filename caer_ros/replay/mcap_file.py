# SPDX-License-Identifier: Apache-2.0
"""MCAP files, whole or damaged: chunks that are whole are read, whatever lies between them.

https://mcap.dev/spec; the records are parsed by the `mcap` library.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.reader import make_reader
from mcap.records import Channel, Chunk, DataEnd, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

MAGIC = b"\x89MCAP0\r\n"

LARGEST = 2**29
"""Most bytes of a chunk or message: several images of the largest kind."""

_OPCODES = range(1, 0x10)
_CHUNK_HEAD = 9
"""Bytes of a record's opcode and length."""


@dataclass
class Connection:
    """A topic of a storage file; ros1: whether its messages are serialized as ROS 1 does."""

    topic: str
    msgtype: str
    msgcount: int
    ros1: bool = False


@dataclass(frozen=True)
class _Place:
    """A chunk, or with `chunk` False a run of messages outside chunks; begin: its first stamp."""

    offset: int
    begin: int
    chunk: bool = True


class McapFile:
    """An MCAP file opened for reading.

    connections: its topics that are ROS messages; damage: what was found amiss by place in the
    file, growing while it is read. Messages come in order of recording.

    Raises:
        Exception: of whatever kind, where not even its beginning can be read.
    """

    def __init__(self, path: Path) -> None:
        self.damage: dict[int, str] = {}
        self._size = path.stat().st_size
        self._file = path.open("rb")
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, Connection] = {}
        try:
            self._places = self._indexed() or self._scanned()
        except BaseException:
            self._file.close()
            raise

    @property
    def connections(self) -> list[Connection]:
        return [connection for connection in self._channels.values() if connection.msgtype]

    def close(self) -> None:
        self._file.close()

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Any, int, bytes]]:
        """Yield (connection, time of recording in ns, serialized message)."""
        chosen = {i for i, c in self._channels.items() if c in connections}
        waiting: list[tuple[int, int, Message]] = []
        count = 0
        for place in [*self._places, None]:
            while waiting and (place is None or waiting[0][0] < place.begin):
                time, _, message = heapq.heappop(waiting)
                yield self._channels[message.channel_id], time, message.data
            for message in self._messages_at(place) if place else ():
                if message.channel_id in chosen:
                    count += 1
                    heapq.heappush(waiting, (message.log_time, count, message))

    def _indexed(self) -> list[_Place]:
        """Return the chunks that a whole file's index names; none where it has no index."""
        try:
            summary = make_reader(self._file).get_summary()
        # what damaged bytes make the parser raise has no common base
        except Exception:
            return []
        if summary is None or summary.statistics is None or not summary.chunk_indexes:
            return []
        for schema in summary.schemas.values():
            self._learn(schema)
        for channel in summary.channels.values():
            self._learn(channel)
        for number, count in summary.statistics.channel_message_counts.items():
            if number in self._channels:
                self._channels[number].msgcount = count
        places = [
            _Place(c.chunk_start_offset, c.message_start_time) for c in summary.chunk_indexes
        ]
        return sorted(places, key=lambda place: place.begin)

    def _scanned(self) -> list[_Place]:
        """Return the chunks, and messages outside of any, that a walk through the file finds."""
        places: list[_Place] = []
        counts: Counter[int] = Counter()
        end, whole = False, 0
        for offset, record in self._records():
            whole = self._file.tell()
            end = end or isinstance(record, DataEnd)
            if isinstance(record, Schema | Channel):
                self._learn(record)
            elif isinstance(record, Chunk):
                place = _Place(offset, record.message_start_time)
                found = [message.channel_id for message in self._messages_at(place)]
                counts.update(found)
                places += [place] if found else []
            elif isinstance(record, Message) and record.channel_id in self._channels:
                counts[record.channel_id] += 1
                places.append(_Place(offset, record.log_time, chunk=False))
        for number, connection in self._channels.items():
            connection.msgcount = counts[number]
        if not end:
            self.damage[whole] = (
                f"cut short, {counts.total()} messages are whole, the last "
                f"{self._size - whole} of {self._size} bytes are lost"
            )
        return sorted(places, key=lambda place: place.begin)

    def _records(self) -> Iterator[tuple[int, McapRecord]]:
        """Yield each record and its offset, up to where the file is cut or makes no sense."""
        offset = len(MAGIC)
        while offset + _CHUNK_HEAD <= self._size:
            self._file.seek(offset)
            head = self._file.read(_CHUNK_HEAD)
            length = int.from_bytes(head[1:], "little")
            after = offset + _CHUNK_HEAD + length
            if head[0] not in _OPCODES or after > self._size:
                return
            try:
                record = self._record_at(offset)
            except Exception:
                self.damage[offset] = f"a record at byte {offset} is passed over"
            else:
                self._file.seek(after)
                if record is not None:
                    yield offset, record
            offset = after

    def _record_at(self, offset: int) -> McapRecord | None:
        self._file.seek(offset)
        records = StreamReader(
            self._file, skip_magic=True, emit_chunks=True, record_size_limit=LARGEST
        ).records
        return next(records, None)

    def _messages_at(self, place: _Place) -> list[Message]:
        """Return the messages of known channels at a place; what is damaged is named."""
        try:
            record = self._record_at(place.offset)
            if isinstance(record, Chunk):
                if record.uncompressed_size > LARGEST:
                    raise ValueError(f"it claims {record.uncompressed_size} bytes")
                records = breakup_chunk(record, validate_crc=True)
            else:
                records = [record] if isinstance(record, Message) else []
        # what damaged bytes make the parser and the decompressors raise has no common base
        except Exception as error:
            self.damage[place.offset] = (
                f"the messages of the chunk at byte {place.offset} are lost: {error}"
            )
            return []
        for found in records:
            if isinstance(found, Schema | Channel):
                self._learn(found)
        messages = [message for message in records if isinstance(message, Message)]
        known = [message for message in messages if message.channel_id in self._channels]
        if len(known) < len(messages):
            count = len(messages) - len(known)
            self.damage[place.offset] = (
                f"{count} messages of the chunk at byte {place.offset} are of an unknown channel"
            )
        return known

    def _learn(self, record: Schema | Channel) -> None:
        if isinstance(record, Schema):
            self._schemas.setdefault(record.id, record.name)
        elif record.id not in self._channels:
            ros1 = record.message_encoding == "ros1"
            name = self._schemas.get(record.schema_id, "")
            if ros1 and name.count("/") == 1:
                name = name.replace("/", "/msg/")
            kind = name if ros1 or record.message_encoding == "cdr" else ""
            self._channels[record.id] = Connection(record.topic, kind, 0, ros1)
