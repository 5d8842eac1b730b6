# SPDX-License-Identifier: Apache-2.0
"""Factories of recordings: real bags written by rosbags, of images that tell their index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from caer_ros.demo.material import VIDEO
from caer_ros.replay.bag import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, TYPES, image_to_cdr
from caer_ros.replay.job import Job, replay
from caer_ros.replay.make_bag import make_bag
from caer_ros.replay.stream import Clock, Image, Step
from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading

TOPIC = "/camera/image_raw"
START = 1_000 * SECOND


def _numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), index, np.uint8)


@pytest.fixture
def numbered() -> Callable[..., np.ndarray]:
    """Return a function that makes an image whose grey value is a number."""
    return _numbered


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that records images into a new bag and returns its path.

    `images` are given per topic; they come at 10 Hz from 1 s on. `also` adds a topic of another
    type with one message.
    """

    def _record(
        images: dict[str, Sequence[np.ndarray]] | None = None,
        *,
        name: str = "bag",
        storage: StoragePlugin = StoragePlugin.MCAP,
        compression: CompressionMode = CompressionMode.NONE,
        jpeg: bool = False,
        also: str | None = None,
        start: int = SECOND,
    ) -> Path:
        images = {TOPIC: [_numbered(i) for i in range(10)]} if images is None else images
        path = tmp_path / name
        writer = Writer(path, version=8, storage_plugin=storage)
        writer.set_compression(compression, CompressionFormat.ZSTD)
        kind = COMPRESSED_IMAGE if jpeg else IMAGE
        with writer:
            if also is not None:
                other = writer.add_connection(also, "std_msgs/msg/String", typestore=TYPES)
                text = TYPES.types["std_msgs/msg/String"](data="hello")
                writer.write(other, start, TYPES.serialize_cdr(text, "std_msgs/msg/String"))
            connections = {t: writer.add_connection(t, kind, typestore=TYPES) for t in images}
            for i in range(max(map(len, images.values()), default=0)):
                for topic, connection in connections.items():
                    if i < len(images[topic]):
                        stamp = start + i * SECOND // 10
                        _, cdr = image_to_cdr(images[topic][i], stamp, "camera", jpeg=jpeg)
                        writer.write(connection, stamp, cdr)
        return path

    return _record


@pytest.fixture
def frame() -> Callable[..., FrameResult]:
    """Return a function that makes a result of persons and their emotions at a time in s."""

    def _frame(time: float, camera: str = "camera", **persons: Emotion) -> FrameResult:
        readings = tuple(
            Reading(
                person_id=person,
                face=Face(10, 20, 30, 50, 0.9),
                emotion=emotion,
                confidence=0.7,
                probabilities=tuple(0.7 if e == emotion else 0.05 for e in Emotion),
                face_weight=0.75,
                context_weight=0.25,
                frames=1,
                clip_duration=0,
                since=0,
            )
            for person, emotion in sorted(persons.items())
        )
        return FrameResult(camera, START + round(time * SECOND), 640, 480, readings)

    return _frame


@pytest.fixture
def steps() -> Callable[..., list[Step]]:
    """Return a function that gives results their time, recorded when they were stamped.

    An answer stands for `limit` seconds at most; each took `latency` seconds.
    """

    def _steps(
        results: Iterable[FrameResult], limit: float = 10, latency: float = 0.01
    ) -> list[Step]:
        clock = Clock(round(limit * SECOND))
        pixels = np.full((480, 640, 3), 77, np.uint8)
        return [clock.step(r, Image(r.stamp, "camera", pixels), latency) for r in results]

    return _steps


@pytest.fixture(scope="session")
def people(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag of the demo video's first two seconds, one person, JPEG images."""
    folder = tmp_path_factory.mktemp("frames")
    video = cv2.VideoCapture(str(material / VIDEO))
    for i in range(48):
        cv2.imwrite(str(folder / f"{i}.png"), video.read()[1])
    path = tmp_path_factory.mktemp("people") / "people"
    make_bag(folder, path, fps=24, jpeg=True)
    return path


@pytest.fixture(scope="session")
def replayed(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of a replay of `people`, judged by two expectations."""
    out = tmp_path_factory.mktemp("replayed") / "out"
    expectations = "- {seen: at least 50 %}\n- {name: alone, persons: at most 0}\n"
    replay(Job(people, out, expectations=(("people.yaml", expectations),)), False)
    return out


@pytest.fixture(scope="session")
def calibration() -> memoryview:
    """Return a serialized CameraInfo for the images of `people`."""
    info = TYPES.types[CAMERA_INFO](
        header=TYPES.types["std_msgs/msg/Header"](
            stamp=TYPES.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id="camera"
        ),
        height=360,
        width=640,
        distortion_model="plumb_bob",
        d=np.array([0.1, 0, 0, 0, 0]),
        k=np.array([500.0, 0, 320, 0, 500, 180, 0, 0, 1]),
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )
    return TYPES.serialize_cdr(info, CAMERA_INFO)
