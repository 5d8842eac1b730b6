# SPDX-License-Identifier: Apache-2.0
"""Recorded bags as streams of images, and bags written so that no half one is ever seen."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

import cv2
import numpy as np
import zstandard
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_typestore

from caer_ros.files import whole_folder
from caer_ros.images import MAX_PIXELS, decode, to_bgr
from caer_ros.replay.mcap_file import LARGEST, McapFile
from caer_ros.replay.mcap_file import MAGIC as MCAP_MAGIC
from caer_ros.replay.ros1_file import MAGIC as ROS1_MAGIC
from caer_ros.replay.ros1_file import UnindexedRos1File
from caer_ros.settings import SettingError, compose, construct, read_text
from caer_ros.types import SECOND, CaerError
from caer_ros.video import natural

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

TYPES = get_typestore(Stores.LATEST)
"""Message types; those of images are the same in all ROS 2 distributions."""

_STORAGE = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGIC = {
    MCAP_MAGIC: "mcap",
    b"SQLite format 3\0": "sqlite3",
    ROS1_MAGIC: "ros1",
    _ZSTD_MAGIC: "zstd",
}
_ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")

_UNPACKED, _RATIO = 2**30, 100
"""A packed file may unpack to so many bytes, or so many times its own; more is a bomb."""

_NO_PICTURES = re.compile(
    r"/(?:debug_image|(?:aligned_)?depth\w*|disparity|infra\w*|ir|confidence|compressedDepth)(?:/|$)"
)
"""Image topics of depth cameras that are no pictures (realsense2_camera, depthai, image_proc), and
the node's own."""


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
    """One file of a bag, as rosbags' readers and our own have it."""

    @property
    def connections(self) -> Sequence[Any]: ...

    def messages(self, connections: Any) -> Iterator[tuple[Any, int, bytes]]: ...


class Bag:
    """A recording opened for reading: a context manager.

    Reads rosbag2 folders (MCAP or sqlite3; split; compressed by file, message or chunk; with or
    without metadata.yaml), single MCAP and sqlite3 files, and ROS 1 bags; a file's content says
    what it is, not its name. Of a damaged file it reads what is whole.

    topics: what is in it, by name. warnings: what was found amiss, growing while it is read;
    lost: how many image messages are damaged or could not be parsed.

    Raises:
        BagError: where nothing of it can be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self.lost = 0
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
            if whole < promised and self.warnings:
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
        """Return the image topics to read: those `wanted`, else all that hold images.

        Without a wish the compressed twin of a raw topic is passed over, and, where there are
        others, the node's own debug images and what by its name is depth or infrared; `warnings`
        says so.

        Raises:
            BagError: where there is no such image topic; lists those there are.
        """
        topics = sorted(self.topics.items())
        there = ", ".join(f"{name} ({t.type}, {t.count})" for name, t in topics) or "none"
        images = [name for name, t in topics if t.type in (IMAGE, COMPRESSED_IMAGE)]
        for name in wanted:
            if name not in images:
                raise BagError(f"{self.path} has no image topic {name}; there are: {there}")
        if not images:
            raise BagError(f"{self.path} has no image topic; there are: {there}")
        full = [name for name in wanted or images if self.topics[name].count]
        if not full:
            raise BagError(f"{self.path} is empty: no image on {', '.join(wanted or images)}")
        if wanted:
            return list(wanted)
        twins = {f"{name}/compressed" for name in full}
        chosen = [name for name in full if name not in twins]
        pictures = [name for name in chosen if not _NO_PICTURES.search(name)]
        if pictures and len(pictures) < len(chosen):
            others = ", ".join(name for name in chosen if name not in pictures)
            self.warnings.append(
                f"passed over, no camera's pictures: {others}; --topic reads them"
            )
        return pictures or chosen

    def images(self, topics: Iterable[str] | Mapping[str, str]) -> Iterator[RecordedImage]:
        """Yield the images of `topics` in order of recording; other messages are passed over.

        A mapping names the CameraInfo topic of each; the bag need not have it.
        """
        infos = topics if isinstance(topics, Mapping) else {}
        newest: dict[str, Any] = {}
        wanted = {*topics, *(t for t in infos.values() if self._type(t) == CAMERA_INFO)}
        for file, storage in self._storages:
            chosen = [c for c in storage.connections if c.topic in wanted]
            for connection, time, raw in self._messages(file, storage, chosen):
                try:
                    cdr, message = _deserialize(storage, connection, raw)
                # what damaged bytes make the parsers raise has no common base
                except Exception as error:
                    if not self.lost:
                        where = f"message at {time} ns on {connection.topic}"
                        self.warnings.append(f"{where} is lost, the first one: {error}")
                    self.lost += 1
                    continue
                if connection.msgtype == CAMERA_INFO:
                    newest[connection.topic] = message
                    continue
                topic = connection.topic
                info = newest.get(infos.get(topic, ""))
                yield RecordedImage(topic, connection.msgtype, time, cdr, message, info)

    def _messages(
        self, file: Path, storage: _Storage, chosen: list[Any]
    ) -> Iterator[tuple[Any, int, bytes]]:
        """Yield the messages of one file, and count those that it promised and did not give."""
        missing = sum(c.msgcount for c in chosen if c.msgtype != CAMERA_INFO)
        stream = storage.messages(chosen) if chosen else iter(())
        while True:
            try:
                connection, time, raw = next(stream)
            except StopIteration:
                break
            # what damaged bytes make the parsers raise has no common base
            except Exception as error:
                self.warnings.append(f"{file.name} is damaged, its rest is lost: {error}")
                break
            missing -= connection.msgtype != CAMERA_INFO
            yield connection, time, raw
        self.lost += max(0, missing)
        self._tell_damage(file, storage)

    def _tell_damage(self, file: Path, storage: _Storage) -> None:
        for damage in getattr(storage, "damage", {}).values():
            warning = f"{file.name} is damaged: {damage}"
            if warning not in self.warnings:
                self.warnings.append(warning)

    def _type(self, topic: str) -> str | None:
        return self.topics[topic].type if topic in self.topics else None

    def _files(self) -> tuple[list[Path], int]:
        """Return the storage files in order, and how many messages metadata.yaml promises."""
        if not self.path.exists():
            raise BagError(f"{self.path} does not exist")
        if self.path.is_file():
            return [self.path], 0
        if not self.path.is_dir():
            raise BagError(f"{self.path} is no file and no folder")
        path = self.path / "metadata.yaml"
        try:
            content = construct(compose(read_text(path), str(path)), str(path))
            metadata = content["rosbag2_bagfile_information"]
            files = [self.path / PurePath(name).name for name in metadata["relative_file_paths"]]
            return files, int(metadata["message_count"])
        except (SettingError, KeyError, TypeError, ValueError) as error:
            if path.exists():
                self.warnings.append(f"{path} is not readable: {error}")
            else:
                self.warnings.append(
                    f"{self.path} has no metadata.yaml, reading files in order of name"
                )
        return sorted(_storage_files(self.path), key=natural), 0

    def _open(self, file: Path) -> _Storage | None:
        """Return an open storage file; None, with a warning, where nothing of it can be read."""
        try:
            if not file.is_file():
                raise BagError("it is no file" if file.exists() else "it does not exist")
            kind = _kind(file)
            if kind == "zstd":
                file = self._unpacked(file)
                kind = _kind(file)
            storage = self._opened(file, kind)
        # what damaged bytes make the parsers raise has no common base
        except Exception as error:
            self.warnings.append(f"cannot read {file}: {error or type(error).__name__}")
            return None
        self._tell_damage(file, storage)
        return storage if storage.connections else None

    def _opened(self, file: Path, kind: str) -> _Storage:
        if kind == "mcap":
            return self._stack.enter_context(closing(McapFile(file)))
        if kind == "sqlite3":
            return self._stack.enter_context(rosbag2.Reader(self._recovered(file)))
        if kind == "ros1":
            try:
                return self._stack.enter_context(rosbag1.Reader(file))
            # no index, whatever its parser makes of that
            except Exception:
                return UnindexedRos1File(file)
        size = file.stat().st_size
        raise BagError(f"its {size} bytes are no MCAP, sqlite3 or ROS 1 bag" if size else "empty")

    def _temporary(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="caer_")))

    def _unpacked(self, file: Path) -> Path:
        """Return a file packed as a whole, unpacked until the bag is closed."""
        plain = self._temporary() / file.stem
        left = max(_UNPACKED, _RATIO * file.stat().st_size)
        with file.open("rb") as packed, plain.open("wb") as out:
            for part in zstandard.ZstdDecompressor().read_to_iter(packed):
                left -= len(part)
                if left < 0:
                    raise BagError(f"it unpacks to more than {_RATIO} times its size")
                out.write(part)
        return plain

    def _recovered(self, file: Path) -> Path:
        """Return a sqlite3 file under a name that rosbags opens, and with all that is in it.

        A recorder that was killed leaves a log beside the file. It is joined in a copy.
        """
        logs = [file.with_name(file.name + ending) for ending in ("-wal", "-journal")]
        logs = [log for log in logs if log.is_file() and log.stat().st_size]
        if not logs:
            if not any(sign in str(file) for sign in "#?%"):
                return file
            link = self._temporary() / "bag.db3"
            link.symlink_to(file.resolve())
            return link
        copy = self._temporary() / "bag.db3"
        shutil.copyfile(file, copy)
        for log in logs:
            shutil.copyfile(log, f"{copy}{log.name.removeprefix(file.name)}")
        with closing(sqlite3.connect(copy)) as database:
            database.execute("PRAGMA journal_mode=DELETE")
        self.warnings.append(
            f"{file.name} was left by a recorder that was killed: read from a copy, with its log"
        )
        return copy


def check_topic(name: str) -> str:
    """Return the name of a topic, checked (design.ros2.org/articles/topic_and_service_names).

    Raises:
        BagError: where it cannot be one.
    """
    if not re.fullmatch(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", name, re.ASCII):
        raise BagError(
            f"{name!r} cannot be a topic: expected names of letters, digits and _ that begin with "
            "no digit, parted by /"
        )
    return name


def is_bag(path: Path) -> bool:
    """Tell whether a folder holds a rosbag2, or a file is named like one of a bag."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_storage_files(path))
    return path.is_file() and path.name.lower().endswith((*_ENDINGS, ".bag", ".bag.active"))


def _storage_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are named like those of a rosbag2."""
    files = (file for file in folder.iterdir() if file.is_file())
    return [file for file in files if file.name.lower().endswith(_ENDINGS)]


def _kind(file: Path) -> str:
    """Return `mcap`, `sqlite3`, `ros1` or `zstd` by a file's first bytes, else by its name."""
    with file.open("rb") as content:
        head = content.read(16)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return "mcap" if file.name.lower().endswith(".mcap") and head else ""


def _deserialize(storage: _Storage, connection: Any, raw: bytes) -> tuple[bytes | memoryview, Any]:
    """Return a message as CDR and deserialized."""
    cdr: bytes | memoryview = raw
    if isinstance(storage, rosbag1.Reader) or getattr(connection, "ros1", False):
        cdr = TYPES.ros1_to_cdr(raw, connection.msgtype)
    elif raw[:4] == _ZSTD_MAGIC:  # compressed by message; CDR starts with 0
        size = zstandard.get_frame_parameters(raw).content_size
        if size > LARGEST:
            raise BagError(f"it claims {size} bytes")
        cdr = zstandard.decompress(raw)
    return cdr, TYPES.deserialize_cdr(memoryview(cdr), connection.msgtype)


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
