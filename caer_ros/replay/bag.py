# SPDX-License-Identifier: Apache-2.0
"""Recorded bags as streams of images, and bags written so that no half one is ever seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

import cv2
import numpy as np
import yaml
import zstandard
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import StoragePlugin
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from caer_ros.files import whole_folder
from caer_ros.images import MAX_PIXELS, decode, to_bgr
from caer_ros.types import SECOND, CaerError
from caer_ros.video import natural

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

TYPES = get_typestore(Stores.LATEST)
"""Message types; those of images are the same in all ROS 2 distributions."""

_STORAGE = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class BagError(CaerError):
    """A bag that cannot be read or written."""


@dataclass(frozen=True)
class Topic:
    """What a bag holds of one topic: message type and number of messages."""

    type: str
    count: int


@dataclass(frozen=True)
class RecordedImage:
    """One recorded image.

    time: when it was recorded, in ns; stamp, frame_id: its header's; cdr: the serialized ROS 2
    message, ready to be published; message: the same, deserialized by rosbags; info: the newest
    CameraInfo of its camera, None where there was none yet.
    """

    topic: str
    type: str
    time: int
    cdr: bytes | memoryview
    message: Any
    info: Any = None

    @property
    def stamp(self) -> int:
        stamp = self.message.header.stamp
        return int(stamp.sec) * SECOND + int(stamp.nanosec)

    @property
    def frame_id(self) -> str:
        return str(self.message.header.frame_id)

    def to_bgr(self, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """Return the image as uint8 BGR of shape (height, width, 3).

        Raises:
            ImageError: naming what does not fit.
        """
        read = decode if self.type == COMPRESSED_IMAGE else to_bgr
        return read(self.message, max_pixels=max_pixels)


def image_to_cdr(
    image: np.ndarray, stamp: int, frame_id: str, *, jpeg: bool = False
) -> tuple[str, memoryview]:
    """Return type and bytes of a message of a uint8 BGR image of shape (height, width, 3)."""
    types = TYPES.types
    time = types["builtin_interfaces/msg/Time"](*divmod(stamp, SECOND))
    header = types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)
    message: Any
    if jpeg:
        kind = COMPRESSED_IMAGE
        message = types[kind](
            header=header,
            format="bgr8; jpeg compressed bgr8",  # as image_transport writes it
            data=cv2.imencode(".jpg", image)[1].reshape(-1),
        )
    else:
        kind = IMAGE
        height, width, _ = image.shape
        message = types[kind](
            header=header,
            height=height,
            width=width,
            encoding="bgr8",
            is_bigendian=0,
            step=width * 3,
            data=image.reshape(-1),
        )
    return kind, TYPES.serialize_cdr(message, kind)


class _Storage(Protocol):
    """One file of a bag, as rosbags' readers have it."""

    @property
    def connections(self) -> Sequence[Any]: ...

    def messages(self, connections: Any) -> Iterator[tuple[Any, int, bytes]]: ...


class Bag:
    """A recording opened for reading: a context manager.

    Reads rosbag2 folders (MCAP or sqlite3; split; compressed by file, message or chunk; with or
    without metadata.yaml), single `.mcap` and `.db3` files, and ROS 1 `.bag` files. Of a damaged
    file it reads what is whole.

    topics: what is in it, by name. warnings: what was found amiss, growing while it is read;
    lost: how many image messages could not be parsed.

    Raises:
        BagError: where nothing of it can be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self.lost = 0
        self._ros1 = self.path.suffix == ".bag"
        self._stack = ExitStack()
        with ExitStack() as undo:
            undo.callback(self.close)
            try:
                files, promised = self._files()
            except OSError as error:
                raise BagError(f"cannot read {self.path}: {error.strerror}") from error
            opened = [(file, self._open(file)) for file in files]
            self._storages = [(file, storage) for file, storage in opened if storage]
            if not files:
                raise BagError(f"{self.path} is no bag: it has no .mcap or .db3 file")
            if not self._storages:
                raise BagError("; ".join(self.warnings))
            self.topics: dict[str, Topic] = {}
            for _, storage in self._storages:
                for c in storage.connections:
                    before = self.topics[c.topic].count if c.topic in self.topics else 0
                    self.topics[c.topic] = Topic(c.msgtype, before + c.msgcount)
            whole = sum(topic.count for topic in self.topics.values())
            if whole < promised:
                lost = f"{promised - whole} of the {promised} messages"
                self.warnings.append(f"{lost} that metadata.yaml promises are lost")
            undo.pop_all()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def choose_topics(self, wanted: Sequence[str] = ()) -> list[str]:
        """Return the image topics to read: those `wanted`, else all.

        Without a wish the compressed twin of a raw topic is passed over.

        Raises:
            BagError: where there is no such image topic; lists those there are.
        """
        topics = sorted(self.topics.items())
        there = ", ".join(f"{name} ({t.type}, {t.count})" for name, t in topics) or "none"
        images = [name for name, t in topics if t.type in (IMAGE, COMPRESSED_IMAGE)]
        for name in wanted:
            if name not in images:
                raise BagError(f"{self.path} has no image topic {name}; there are: {there}")
        twins = {f"{name}/compressed" for name in images}
        chosen = list(wanted) or [name for name in images if name not in twins]
        if not chosen:
            raise BagError(f"{self.path} has no image topic; there are: {there}")
        if not any(self.topics[name].count for name in chosen):
            raise BagError(f"{self.path} is empty: no image on {', '.join(chosen)}")
        return chosen

    def images(self, topics: Iterable[str] | Mapping[str, str]) -> Iterator[RecordedImage]:
        """Yield the images of `topics` in order of recording; other messages are passed over.

        A mapping names the CameraInfo topic of each; the bag need not have it.
        """
        infos = topics if isinstance(topics, Mapping) else {}
        newest: dict[str, Any] = {}
        wanted = {*topics, *(t for t in infos.values() if self._type(t) == CAMERA_INFO)}
        for file, storage in self._storages:
            chosen = [c for c in storage.connections if c.topic in wanted]
            if not chosen:
                continue
            stream = storage.messages(chosen)
            while True:
                try:
                    connection, time, raw = next(stream)
                except StopIteration:
                    break
                # what damaged bytes make the parsers raise has no common base
                except Exception as error:
                    self.warnings.append(f"{file.name} is damaged, its rest is lost: {error}")
                    break
                try:
                    cdr, message = self._message(connection, raw)
                    if connection.msgtype == CAMERA_INFO:
                        newest[connection.topic] = message
                        continue
                    topic = connection.topic
                    info = newest.get(infos.get(topic, ""))
                    yield RecordedImage(topic, connection.msgtype, time, cdr, message, info)
                except (SerdeError, zstandard.ZstdError) as error:
                    if not self.lost:
                        where = f"message at {time} ns on {connection.topic}"
                        self.warnings.append(f"{where} is lost, the first one: {error}")
                    self.lost += 1

    def _type(self, topic: str) -> str | None:
        return self.topics[topic].type if topic in self.topics else None

    def _message(self, connection: Any, raw: bytes) -> tuple[bytes | memoryview, Any]:
        """Return a message as CDR and deserialized."""
        cdr: bytes | memoryview = raw
        if self._ros1:
            cdr = TYPES.ros1_to_cdr(raw, connection.msgtype)
        elif raw[:4] == _ZSTD_MAGIC:  # compressed by message; CDR starts with 0
            cdr = zstandard.decompress(raw)
        return cdr, TYPES.deserialize_cdr(memoryview(cdr), connection.msgtype)

    def _files(self) -> tuple[list[Path], int]:
        """Return the storage files in order, and how many messages metadata.yaml promises."""
        if not self.path.exists():
            raise BagError(f"{self.path} does not exist")
        if self.path.is_file():
            return [self.path], 0
        try:
            text = (self.path / "metadata.yaml").read_text(encoding="utf-8")
            metadata = yaml.safe_load(text)["rosbag2_bagfile_information"]
            files = [self.path / PurePath(name).name for name in metadata["relative_file_paths"]]
            return files, int(metadata["message_count"])
        except FileNotFoundError:
            self.warnings.append(
                f"{self.path} has no metadata.yaml, reading files in order of name"
            )
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            self.warnings.append(f"{self.path}/metadata.yaml is not readable: {error!r}")
        files = [file for file in self.path.iterdir() if file.name.endswith(_STORAGE)]
        return sorted(files, key=natural), 0

    def _open(self, file: Path) -> _Storage | None:
        try:
            if file.suffix == ".zstd":
                folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
                with file.open("rb") as packed, (folder / file.stem).open("wb") as plain:
                    zstandard.ZstdDecompressor().copy_stream(packed, plain)
                file = folder / file.stem
            if self._ros1:
                return self._stack.enter_context(rosbag1.Reader(file))
            return self._stack.enter_context(rosbag2.Reader(file))
        # what damaged bytes make the parsers raise has no common base
        except Exception as error:
            if isinstance(error, OSError) or file.suffix != ".mcap":
                self.warnings.append(f"cannot read {file}: {error}")
                return None
            storage = _TruncatedMcap(file)
            self.warnings.append(f"{file} is damaged ({error}); {storage.loss}")
            return storage if storage.connections else None


@dataclass
class _TruncatedConnection:
    topic: str
    msgtype: str
    msgcount: int = 0


class _TruncatedMcap:
    """The records at the head of an MCAP file whose end, and with it the index, is lost.

    Messages come in the order of the file, sorted by time within a chunk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections: dict[int, _TruncatedConnection] = {}
        for _ in self._messages():
            pass
        size = path.stat().st_size
        count = sum(c.msgcount for c in self.connections)
        lost = f"the last {size - self._whole} of {size} bytes are lost"
        self.loss = f"{count} messages are whole, {lost}"

    @property
    def connections(self) -> list[_TruncatedConnection]:
        return list(self._connections.values())

    def messages(self, connections: Any) -> Iterator[tuple[Any, int, bytes]]:
        topics = {c.topic for c in connections}
        return (m for m in self._messages() if m[0].topic in topics)

    def _messages(self) -> Iterator[tuple[_TruncatedConnection, int, bytes]]:
        """Yield all whole messages, learning the topics and how far the file is whole."""
        schemas: dict[int, str] = {}
        found: dict[int, _TruncatedConnection] = {}
        self._whole = 0
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            records = StreamReader(file, emit_chunks=True, record_size_limit=size).records
            while True:
                try:
                    group: list[McapRecord] = [next(records)]
                    if isinstance(group[0], Chunk):
                        group = breakup_chunk(group[0], validate_crc=True)
                # the end, or whatever damaged bytes make the parsers raise
                except Exception:
                    break
                self._whole = file.tell()
                messages = []
                for r in group:
                    if isinstance(r, Schema):
                        schemas[r.id] = r.name
                    elif isinstance(r, Channel):
                        kind = schemas.get(r.schema_id, "unknown")
                        found.setdefault(r.id, _TruncatedConnection(r.topic, kind))
                    elif isinstance(r, Message):
                        messages.append(r)
                for m in sorted(messages, key=lambda m: m.log_time):
                    found[m.channel_id].msgcount += 1
                    yield found[m.channel_id], m.log_time, m.data
        self._connections = found


def is_bag(path: Path) -> bool:
    """Tell whether a file or folder is a bag, by its name or what lies in it."""
    if path.is_dir():
        content = [entry.name for entry in path.iterdir()]
        return "metadata.yaml" in content or any(n.endswith(_STORAGE) for n in content)
    return path.name.endswith((*_STORAGE, ".bag"))


@contextmanager
def new_bag(path: Path) -> Iterator[rosbag2.Writer]:
    """Write a rosbag2 (MCAP) that appears under `path` only once it is whole.

    Raises:
        FileError: where `path` exists or cannot be written.
    """
    with whole_folder(path) as folder:
        folder.rmdir()  # the writer makes it anew
        # format 8 is what all distributions read
        with rosbag2.Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            yield writer
