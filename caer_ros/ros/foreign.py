# SPDX-License-Identifier: Apache-2.0
"""Faces that another node has found: detections (vision_msgs), or ROS4HRI's regions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from caer_ros.images import ImageError
from caer_ros.messages import to_nanoseconds
from caer_ros.node_settings import DetectionSettings
from caer_ros.perception.pipeline import Detector
from caer_ros.ros.conversions import import_messages
from caer_ros.ros.counts import Statistics
from caer_ros.ros.hri import FACES, TRACKED
from caer_ros.ros.serialized import read_stamp
from caer_ros.types import Face

KEPT = 15
"""Images, and lists of faces, of one camera that wait for each other."""

Faces = tuple[Face, ...]
Locate = Callable[[np.ndarray, Faces], Faces]
"""Turns what came from elsewhere for an image into faces in its pixels."""


class Pairing:
    """Brings one camera's images and the faces found in them together, by the exact stamp.

    An image that nothing came for is refused once `KEPT` newer ones wait, or as soon as a newer
    one has found its faces.
    """

    def __init__(
        self, camera: str, put: Callable[[bytes, Faces], None], statistics: Statistics
    ) -> None:
        self._camera = camera
        self._put = put
        self._statistics = statistics
        self._images: dict[int, bytes] = {}
        self._faces: dict[int, Faces] = {}

    def image(self, serialized: bytes) -> None:
        """Take a serialized image message."""
        self._statistics.received(self._camera)
        try:
            stamp = read_stamp(serialized)
        except ImageError as error:
            self._statistics.failed(self._camera, error.cause, str(error))
            return
        if stamp in self._images:
            self._statistics.dropped(self._camera)
        self._images[stamp] = serialized
        self._pair(stamp)

    def faces(self, stamp: int, faces: Faces) -> None:
        """Take all the faces that were found in the image of a stamp."""
        self._faces[stamp] = faces
        self._pair(stamp)

    def close(self) -> None:
        """Drop what waits."""
        for _ in self._images:
            self._statistics.dropped(self._camera)
        self._images, self._faces = {}, {}

    def _pair(self, stamp: int) -> None:
        if stamp in self._images and stamp in self._faces:
            self._put(self._images.pop(stamp), self._faces.pop(stamp))
            older = [s for s in self._images if s < stamp]
            self._faces = {s: faces for s, faces in self._faces.items() if s > stamp}
        else:
            older = list(self._images)[: max(0, len(self._images) - KEPT)]
            for s in list(self._faces)[: max(0, len(self._faces) - KEPT)]:
                del self._faces[s]
        for s in older:
            del self._images[s]
            self._statistics.failed(
                self._camera,
                "unpaired",
                "no faces came from elsewhere for an image: do they carry its very stamp?",
            )


def import_detections() -> Any:
    """Return the module `vision_msgs.msg`.

    Raises:
        CaerError: where it is not installed.
    """
    return import_messages("vision_msgs", "set source to own")


class Detections:
    """Reads a camera's `vision_msgs/Detection2DArray`."""

    def __init__(
        self, node: Node, topic: str, settings: DetectionSettings, pairing: Pairing
    ) -> None:
        self._node, self._settings, self._pairing = node, settings, pairing
        self._subscription = node.create_subscription(
            import_detections().Detection2DArray, topic, self._hear, QoSProfile(depth=KEPT)
        )

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)
        self._pairing.close()

    def _hear(self, message: Any) -> None:
        faces = [_to_face(detection) for detection in message.detections if self._fits(detection)]
        self._pairing.faces(to_nanoseconds(message.header.stamp), tuple(faces))

    def _fits(self, detection: Any) -> bool:
        wanted = self._settings.class_id
        return not wanted or any(r.hypothesis.class_id == wanted for r in detection.results)


class HriRegions:
    """Reads `/humans/faces/<id>/roi` of all faces on /humans/faces/tracked."""

    def __init__(self, node: Node, pairing: Pairing) -> None:
        self._node, self._pairing = node, pairing
        messages = import_messages("hri_msgs", "set source to own")
        self._region = messages.NormalizedRegionOfInterest2D
        self._listed: dict[int, set[str]] = {}
        self._found: dict[int, dict[str, Face]] = {}
        self._regions: dict[str, Subscription] = {}
        self._tracked = node.create_subscription(
            messages.IdsList, TRACKED, self._hear_list, QoSProfile(depth=KEPT)
        )

    def close(self) -> None:
        for subscription in (self._tracked, *self._regions.values()):
            self._node.destroy_subscription(subscription)
        self._regions = {}
        self._pairing.close()

    def _hear_list(self, message: Any) -> None:
        ids = set(message.ids)
        for gone in self._regions.keys() - ids:
            self._node.destroy_subscription(self._regions.pop(gone))
        for new in sorted(ids - self._regions.keys()):
            self._regions[new] = self._node.create_subscription(
                self._region,
                f"{FACES}/{new}/roi",
                partial(self._hear_region, new),
                QoSProfile(depth=KEPT),
            )
        stamp = to_nanoseconds(message.header.stamp)
        self._listed[stamp] = ids
        self._tell(stamp)

    def _hear_region(self, person: str, region: Any) -> None:
        stamp = to_nanoseconds(region.header.stamp)
        face = Face(region.xmin, region.ymin, region.xmax, region.ymax, region.c or 1.0)
        self._found.setdefault(stamp, {})[person] = replace(face, person_id=person)
        self._tell(stamp)

    def _tell(self, stamp: int) -> None:
        """Hand on the faces of a stamp once all that are listed have come."""
        listed, found = self._listed.get(stamp), self._found.get(stamp, {})
        if listed is not None and listed <= found.keys():
            self._pairing.faces(stamp, tuple(found[person] for person in sorted(listed)))
            del self._listed[stamp]
            self._found.pop(stamp, None)
        for waiting in (self._listed, self._found):
            for old in sorted(waiting)[: max(0, len(waiting) - KEPT)]:  # type: ignore[call-overload]
                del waiting[old]


def as_it_is(image: np.ndarray, faces: Faces) -> Faces:
    """Return the faces of detections that are faces."""
    return faces


def from_fractions(image: np.ndarray, faces: Faces) -> Faces:
    """Return faces whose boxes are fractions of the image in its pixels."""
    height, width = image.shape[:2]
    return tuple(
        replace(f, x1=f.x1 * width, y1=f.y1 * height, x2=f.x2 * width, y2=f.y2 * height)
        for f in faces
    )


def inside(detector: Detector, image: np.ndarray, bodies: Faces) -> Faces:
    """Return the largest face that the own detector finds in each person's box, if any."""
    height, width = image.shape[:2]
    faces = []
    for body in bodies:
        x1, y1, x2, y2 = body.pixels(width, height)
        if x1 < x2 and y1 < y2 and (found := detector.detect(image[y1:y2, x1:x2])):
            f = found[0]
            moved = replace(f, x1=f.x1 + x1, y1=f.y1 + y1, x2=f.x2 + x1, y2=f.y2 + y1)
            faces.append(replace(moved, person_id=body.person_id))
    return tuple(faces)


def _to_face(detection: Any) -> Face:
    box = detection.bbox
    x, y = box.center.position.x, box.center.position.y
    scores: Sequence[float] = [result.hypothesis.score for result in detection.results]
    return Face(
        x1=x - box.size_x / 2,
        y1=y - box.size_y / 2,
        x2=x + box.size_x / 2,
        y2=y + box.size_y / 2,
        score=max(scores, default=1.0),
        person_id=to_token(detection.id),
    )


def to_token(name: str) -> str:
    """Return a foreign name as one that is valid in a ROS topic: `12` becomes `id12`."""
    token = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"id{token}" if token[:1].isdigit() else token
