# SPDX-License-Identifier: Apache-2.0
"""Results and images to rclpy's messages, and back."""

from __future__ import annotations

from array import array
from importlib import import_module
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Vector3
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from caer_ros import messages
from caer_ros.msg import Emotion, EmotionArray
from caer_ros.msg import EmotionEvent as EventMessage
from caer_ros.perception.events import EmotionEvent
from caer_ros.types import CaerError, FrameResult

CLASSES: messages.Classes = {
    messages.EMOTION_ARRAY: EmotionArray,
    messages.EMOTION: Emotion,
    messages.HEADER: Header,
    messages.TIME: Time,
    messages.DURATION: Duration,
    messages.REGION: RegionOfInterest,
    messages.VECTOR: Vector3,
}


def import_messages(package: str, instead: str) -> Any:
    """Return the message module of a package that need not be installed.

    Raises:
        CaerError: where it is not, with what to do `instead` of installing it.
    """
    try:
        return import_module(f"{package}.msg")
    except ImportError as error:
        raise CaerError(
            f"{package} cannot be imported ({error}): install it (on an apt ROS "
            f"ros-$ROS_DISTRO-{package.replace('_', '-')}), or {instead}"
        ) from error


def to_header(stamp: int, frame_id: str) -> Header:
    """Return a header from a stamp in ns."""
    return messages.to_header(stamp, frame_id, CLASSES)


def to_emotion_array(result: FrameResult, frame_id: str) -> EmotionArray:
    """Return the message for one processed frame; `messages.from_message` is the way back."""
    return messages.to_message(result, frame_id, CLASSES)


def to_event(event: EmotionEvent, frame_id: str) -> EventMessage:
    """Return the message for something that happened."""
    reading = event.reading
    x, y, z = reading.bearing
    return EventMessage(
        header=to_header(event.stamp, frame_id),
        camera=event.camera,
        person_id=reading.person_id,
        kind=int(event.kind),
        label=event.emotion.label,
        label_before=event.before.label if event.before is not None else "",
        confidence=reading.probabilities[event.emotion],
        since=messages.to_time(reading.since, CLASSES),
        bearing=Vector3(x=x, y=y, z=z),
    )


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


def to_compressed_image(image: np.ndarray, stamp: int, frame_id: str) -> CompressedImage:
    """Return uint8 BGR of shape (height, width, 3) as a JPEG, named as image_transport does."""
    data = array("B")
    data.frombytes(cv2.imencode(".jpg", image)[1].data.cast("B"))
    return CompressedImage(
        header=to_header(stamp, frame_id), format="bgr8; jpeg compressed bgr8", data=data
    )
