# SPDX-License-Identifier: Apache-2.0
"""Results as serialized `caer_ros/msg/EmotionArray`, made without ROS."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg

from caer_ros.drawing import draw_readings
from caer_ros.messages import EMOTION, EMOTION_ARRAY, to_message
from caer_ros.paths import share_folder
from caer_ros.replay.bag import COMPRESSED_IMAGE, TYPES, image_to_cdr
from caer_ros.replay.stream import Sink, Step
from caer_ros.types import FrameResult

EMOTIONS = "/caer/emotions"
ANNOTATED = "/caer/debug_image/compressed"


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    """Return message classes by name, the package's own among them."""
    for name in (EMOTION, EMOTION_ARRAY):
        file = share_folder() / "msg" / f"{name.rpartition('/')[2]}.msg"
        TYPES.register(get_types_from_msg(file.read_text(encoding="utf-8"), name))
    return TYPES.types


class EmotionBag(Sink):
    """A rosbag2 (MCAP) of a replay's answers on /caer/emotions, message definition included.

    With `pictures` also the annotated images, as JPEG on /caer/debug_image/compressed. A context
    manager.
    """

    def __init__(self, path: Path, pictures: bool) -> None:
        # format 8 is what all distributions read
        self._writer = Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
        self._pictures = pictures

    def __enter__(self) -> EmotionBag:
        self._writer.open()
        _types()
        self._emotions = self._writer.add_connection(EMOTIONS, EMOTION_ARRAY, typestore=TYPES)
        if self._pictures:
            self._images = self._writer.add_connection(
                ANNOTATED, COMPRESSED_IMAGE, typestore=TYPES
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def take(self, step: Step) -> None:
        """Write a frame's answer at the time at which the image was recorded."""
        result, image = step.result, step.image
        self._writer.write(self._emotions, image.recorded, to_cdr(result, image.frame_id))
        if self._pictures:
            annotated = draw_readings(image.pixels, result.readings)
            _, cdr = image_to_cdr(annotated, result.stamp, image.frame_id, jpeg=True)
            self._writer.write(self._images, image.recorded, cdr)


def to_cdr(result: FrameResult, frame_id: str) -> memoryview:
    """Return the serialized EmotionArray of one frame, the same bytes that the node publishes."""
    return TYPES.serialize_cdr(to_message(result, frame_id, _types()), EMOTION_ARRAY)
