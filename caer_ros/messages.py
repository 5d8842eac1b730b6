# SPDX-License-Identifier: Apache-2.0
"""Results to `caer_ros/msg/EmotionArray` and back, by the classes of rclpy or of rosbags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from caer_ros.types import SECOND, Emotion, Face, FrameResult, Reading

EMOTION_ARRAY, EMOTION = "caer_ros/msg/EmotionArray", "caer_ros/msg/Emotion"
HEADER, TIME = "std_msgs/msg/Header", "builtin_interfaces/msg/Time"
DURATION = "builtin_interfaces/msg/Duration"
REGION, VECTOR = "sensor_msgs/msg/RegionOfInterest", "geometry_msgs/msg/Vector3"

Classes = Mapping[str, Any]
"""Message classes by the names above; their fields are given by keyword, all of them."""


def to_message(result: FrameResult, frame_id: str, classes: Classes) -> Any:
    """Return the EmotionArray of one processed frame; faces are clipped to the image."""
    return classes[EMOTION_ARRAY](
        header=to_header(result.stamp, frame_id, classes),
        camera=result.camera,
        image_width=result.width,
        image_height=result.height,
        emotions=[_to_emotion(r, result.width, result.height, classes) for r in result.readings],
    )


def to_header(stamp: int, frame_id: str, classes: Classes) -> Any:
    """Return a header from a stamp in ns."""
    return classes[HEADER](stamp=to_time(stamp, classes), frame_id=frame_id)


def to_time(stamp: int, classes: Classes) -> Any:
    """Return a stamp in ns as a Time message."""
    return _to_seconds(stamp, classes[TIME])


def to_region(face: Face, width: int, height: int, classes: Classes) -> Any:
    """Return the pixels of the image that the face's box touches; empty at the border if none."""
    x1, y1, x2, y2 = face.pixels(width, height)
    return classes[REGION](
        x_offset=x1, y_offset=y1, height=y2 - y1, width=x2 - x1, do_rectify=False
    )


def _to_emotion(reading: Reading, width: int, height: int, classes: Classes) -> Any:
    x, y, z = reading.bearing
    return classes[EMOTION](
        person_id=reading.person_id,
        face=to_region(reading.face, width, height, classes),
        detected=reading.detected,
        detection_score=reading.face.score,
        bearing=classes[VECTOR](x=x, y=y, z=z),
        emotion=int(reading.emotion),
        label=reading.emotion.label,
        confidence=reading.confidence,
        probabilities=np.asarray(reading.probabilities, np.float32),
        face_weight=reading.face_weight,
        context_weight=reading.context_weight,
        frames=reading.frames,
        clip_duration=_to_seconds(reading.clip_duration, classes[DURATION]),
        since=to_time(reading.since, classes),
    )


def _to_seconds(nanoseconds: int, cls: Any) -> Any:
    sec, nanosec = divmod(nanoseconds, SECOND)
    return cls(sec=sec, nanosec=nanosec)


def from_message(message: Any) -> FrameResult:
    """Return an EmotionArray as what the pipeline made, in whole pixels and float32."""
    return FrameResult(
        camera=message.camera,
        stamp=to_nanoseconds(message.header.stamp),
        width=message.image_width,
        height=message.image_height,
        readings=tuple(_from_emotion(emotion) for emotion in message.emotions),
    )


def _from_emotion(emotion: Any) -> Reading:
    face, bearing = emotion.face, emotion.bearing
    return Reading(
        person_id=emotion.person_id,
        face=Face(
            x1=face.x_offset,
            y1=face.y_offset,
            x2=face.x_offset + face.width,
            y2=face.y_offset + face.height,
            score=emotion.detection_score,
        ),
        emotion=Emotion(emotion.emotion),
        confidence=emotion.confidence,
        probabilities=tuple(emotion.probabilities.tolist()),
        face_weight=emotion.face_weight,
        context_weight=emotion.context_weight,
        frames=emotion.frames,
        clip_duration=to_nanoseconds(emotion.clip_duration),
        since=to_nanoseconds(emotion.since),
        detected=emotion.detected,
        bearing=(bearing.x, bearing.y, bearing.z),
    )


def to_nanoseconds(moment: Any) -> int:
    """Return a Time or Duration message in ns."""
    return int(moment.sec) * SECOND + int(moment.nanosec)
