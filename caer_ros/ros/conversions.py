# SPDX-License-Identifier: Apache-2.0
"""Results to messages."""

from __future__ import annotations

from array import array

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Vector3
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from caer_ros.msg import Emotion as EmotionMessage
from caer_ros.msg import EmotionArray
from caer_ros.types import SECOND, Face, FrameResult, Reading


def to_header(stamp: int, frame_id: str) -> Header:
    """Return a header from a stamp in ns."""
    return Header(stamp=Time(**_seconds(stamp)), frame_id=frame_id)


def to_emotion_array(result: FrameResult, frame_id: str) -> EmotionArray:
    """Return the message for one processed frame."""
    return EmotionArray(
        header=to_header(result.stamp, frame_id),
        camera=result.camera,
        image_width=result.width,
        image_height=result.height,
        emotions=[to_emotion(r, result.width, result.height) for r in result.readings],
    )


def to_emotion(reading: Reading, width: int, height: int) -> EmotionMessage:
    """Return the message for one person; the face is clipped to the image's size in pixels."""
    return EmotionMessage(
        person_id=reading.person_id,
        face=to_region(reading.face, width, height),
        detected=reading.detected,
        detection_score=reading.face.score,
        bearing=Vector3(**dict(zip("xyz", reading.bearing, strict=True))),
        emotion=int(reading.emotion),
        label=reading.emotion.label,
        confidence=reading.confidence,
        probabilities=np.asarray(reading.probabilities, np.float32),
        face_weight=reading.face_weight,
        context_weight=reading.context_weight,
        frames=reading.frames,
        clip_duration=Duration(**_seconds(reading.clip_duration)),
        since=Time(**_seconds(reading.since)),
    )


def to_region(face: Face, width: int, height: int) -> RegionOfInterest:
    """Return the pixels of the image that the face's box touches; empty at the border if none."""
    x1, y1, x2, y2 = face.pixels(width, height)
    return RegionOfInterest(x_offset=x1, y_offset=y1, width=x2 - x1, height=y2 - y1)


def to_image(image: np.ndarray, stamp: int, frame_id: str) -> Image:
    """Return uint8 BGR of shape (height, width, 3) as a bgr8 message."""
    data = array("B")
    # assigning the ndarray itself would check and copy it byte by byte
    data.frombytes(np.ascontiguousarray(image).data.cast("B"))
    height, width = image.shape[:2]
    return Image(
        header=to_header(stamp, frame_id),
        height=height,
        width=width,
        encoding="bgr8",
        step=3 * width,
        data=data,
    )


def _seconds(nanoseconds: int) -> dict[str, int]:
    sec, nanosec = divmod(nanoseconds, SECOND)
    return {"sec": sec, "nanosec": nanosec}
