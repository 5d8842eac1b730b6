# SPDX-License-Identifier: Apache-2.0
"""Boxes and tags as a message that Foxglove draws over the camera's own image."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from caer_ros import messages
from caer_ros.drawing import COLOURS, WHITE, Colour, ink_on, outline, person_colour
from caer_ros.ros.conversions import CLASSES
from caer_ros.types import FrameResult


def find_messages() -> Any:
    """Return the module `foxglove_msgs.msg`, None where it is not installed."""
    try:
        return import_module("foxglove_msgs.msg")
    except ImportError:
        return None


def to_annotations(result: FrameResult, foxglove: Any) -> Any:
    """Return the ImageAnnotations of an image, with its stamp, from the module of its messages.

    Each person has a box, in the person's colour and dashed where the face is only predicted, and
    over it a tag on the ground of the emotion's colour. Sizes are in pixels of the image.
    """
    scale = max(result.width, result.height) / 640
    stamp = messages.to_time(result.stamp, CLASSES)

    def point(x: float, y: float) -> Any:
        return foxglove.Point2(x=float(x), y=float(y))

    def colour(bgr: Colour) -> Any:
        b, g, r = (value / 255 for value in bgr)
        return foxglove.Color(r=r, g=g, b=b, a=1.0)

    boxes, tags = [], []
    for reading in result.readings:
        box = reading.face.pixels(result.width, result.height)
        lines = outline(box, 0 if reading.detected else round(10 * scale))
        # the white rim shows the dark line on dark ground
        for ground, thickness in (
            (WHITE, 4 * scale),
            (person_colour(reading.person_id), 2 * scale),
        ):
            boxes.append(
                foxglove.PointsAnnotation(
                    timestamp=stamp,
                    type=foxglove.PointsAnnotation.LINE_LIST,
                    points=[point(*end) for line in lines for end in line],
                    outline_color=colour(ground),
                    thickness=thickness,
                )
            )
        ground = COLOURS[reading.emotion]
        tags.append(
            foxglove.TextAnnotation(
                timestamp=stamp,
                position=point(box[0], box[1]),
                text=f"{reading.person_id} {reading.emotion.label} {reading.confidence:.0%}",
                font_size=12 * scale,
                text_color=colour(ink_on(ground)),
                background_color=colour(ground),
            )
        )
    return foxglove.ImageAnnotations(points=boxes, texts=tags)
