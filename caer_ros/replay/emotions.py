# SPDX-License-Identifier: Apache-2.0
"""Results as serialized `caer_ros/msg/EmotionArray`, made without ROS."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.typesys import get_types_from_msg

from caer_ros.paths import share_folder
from caer_ros.replay.bag import TYPES
from caer_ros.types import SECOND, FrameResult, Reading

EMOTION_ARRAY = "caer_ros/msg/EmotionArray"


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    """Return message classes by name, the package's own among them."""
    for name in ("Emotion", "EmotionArray"):
        text = (share_folder() / "msg" / f"{name}.msg").read_text(encoding="utf-8")
        TYPES.register(get_types_from_msg(text, f"caer_ros/msg/{name}"))
    return TYPES.types


def add_emotions(writer: Any, topic: str) -> Any:
    """Add a topic of EmotionArray, with its message definition, to a bag that is written."""
    _types()
    return writer.add_connection(topic, EMOTION_ARRAY, typestore=TYPES)


def to_cdr(result: FrameResult, frame_id: str) -> memoryview:
    """Return the serialized EmotionArray of one frame, the same bytes that the node publishes."""
    types = _types()
    message = types[EMOTION_ARRAY](
        header=types["std_msgs/msg/Header"](stamp=_time(result.stamp), frame_id=frame_id),
        camera=result.camera,
        image_width=result.width,
        image_height=result.height,
        emotions=[_emotion(reading, result) for reading in result.readings],
    )
    return TYPES.serialize_cdr(message, EMOTION_ARRAY)


def _emotion(reading: Reading, result: FrameResult) -> Any:
    types = _types()
    x1, y1, x2, y2 = reading.face.pixels(result.width, result.height)
    duration = divmod(reading.clip_duration, SECOND)
    return types["caer_ros/msg/Emotion"](
        person_id=reading.person_id,
        face=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=x1, y_offset=y1, height=y2 - y1, width=x2 - x1, do_rectify=False
        ),
        detected=reading.detected,
        detection_score=reading.face.score,
        bearing=types["geometry_msgs/msg/Vector3"](*reading.bearing),
        emotion=int(reading.emotion),
        label=reading.emotion.label,
        confidence=reading.confidence,
        probabilities=np.asarray(reading.probabilities, np.float32),
        face_weight=reading.face_weight,
        context_weight=reading.context_weight,
        frames=reading.frames,
        clip_duration=types["builtin_interfaces/msg/Duration"](*duration),
        since=_time(reading.since),
    )


def _time(nanoseconds: int) -> Any:
    return _types()["builtin_interfaces/msg/Time"](*divmod(nanoseconds, SECOND))
