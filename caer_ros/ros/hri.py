# SPDX-License-Identifier: Apache-2.0
"""Faces and expressions under /humans/faces, as ROS4HRI (REP 155) has them."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from caer_ros.node_settings import HriSettings
from caer_ros.ros.conversions import import_messages, to_header, to_image
from caer_ros.types import CaerError, Emotion, FrameResult, Reading

FACES = "/humans/faces"
TRACKED = f"{FACES}/tracked"

LINGER = 0.3
"""Seconds for which the list's publisher outlives its last one: in 3 of 32 ends of the node a
reader that had acknowledged it never took it."""

VALENCE_AROUSAL = {
    Emotion.ANGER: (-0.51, 0.59),
    Emotion.DISGUST: (-0.60, 0.35),
    Emotion.FEAR: (-0.64, 0.60),
    Emotion.HAPPY: (0.81, 0.51),
    Emotion.NEUTRAL: (0.0, 0.0),
    Emotion.SAD: (-0.63, -0.27),
    Emotion.SURPRISE: (0.40, 0.67),
}
"""Pleasure and arousal, -1 to 1, of Russell and Mehrabian (1977), "Evidence for a three-factor
theory of emotions", Journal of Research in Personality 11, as later works quote their table;
neutral, which it lacks, is the middle of the scale."""


class HriFaces:
    """Publishes who is followed, and of each one region, picture and expression.

    Reliable, volatile, depth 1, with the image's own header. One list for all cameras: libhri
    forgets every face that the newest list lacks, so nobody else may publish it, and an empty one
    has to follow when nobody is followed any more. Faces that are not the node's own get their
    expression only.
    """

    def __init__(self, node: Node, settings: HriSettings, own: bool) -> None:
        """Create the publisher of the list, where the faces are the node's own.

        Raises:
            CaerError: where hri_msgs is not installed, or somebody publishes the list already.
        """
        self._messages = import_messages("hri_msgs", "set hri.publish to false and source to own")
        others = node.get_publishers_info_by_topic(TRACKED)
        if own and others:
            raise CaerError(
                f"{TRACKED} is published by {others[0].node_name} already, and its readers forget "
                "whom the newest list lacks: set hri.publish to false in all nodes but one"
            )
        self._node = node
        self._size = (settings.width, settings.height)
        self._people: dict[str, dict[str, dict[str, Publisher]]] = {}
        self._frame_ids: dict[str, str] = {}
        self._stamps: dict[str, int] = {}
        self._tracked = self._create(self._messages.IdsList, TRACKED) if own else None

    def complaint(self) -> str:
        """Return what is wrong where somebody else publishes the list too."""
        number = self._node.count_publishers(TRACKED)
        if self._tracked is None or number < 2:
            return ""
        return (
            f"{number} nodes publish {TRACKED}, and its readers forget whom the newest list "
            "lacks: set hri.publish to false in all but one"
        )

    def publish(self, result: FrameResult, frame_id: str, image: np.ndarray) -> None:
        """Tell what was read in an image, uint8 BGR."""
        self._frame_ids[result.camera], self._stamps[result.camera] = frame_id, result.stamp
        people = self._people.setdefault(result.camera, {})
        present = {reading.person_id for reading in result.readings}
        for person in people.keys() - present:
            self._destroy(people.pop(person))
        for person in sorted(present - people.keys()):
            people[person] = self._create_for(person)
        self._tell_tracked(result.camera)
        for reading in result.readings:
            self._tell(people[reading.person_id], reading, result, frame_id, image)

    def forget(self, camera: str) -> None:
        """Tell that nobody is followed in a camera any more."""
        for publishers in self._people.pop(camera, {}).values():
            self._destroy(publishers)
        self._tell_tracked(camera)

    def close(self) -> None:
        for people in self._people.values():
            for publishers in people.values():
                self._destroy(publishers)
        if self._tracked is not None:
            # the last, empty list has to arrive
            self._tracked.wait_for_all_acked(Duration(seconds=1))
            if self._tracked.get_subscription_count():
                time.sleep(LINGER)
            self._node.destroy_publisher(self._tracked)

    def _tell_tracked(self, camera: str) -> None:
        if self._tracked is None:
            return
        header = to_header(self._stamps.get(camera, 0), self._frame_ids.get(camera, ""))
        ids = [person for people in self._people.values() for person in people]
        self._tracked.publish(self._messages.IdsList(header=header, ids=ids))

    def _tell(
        self,
        publishers: dict[str, Publisher],
        reading: Reading,
        result: FrameResult,
        frame_id: str,
        image: np.ndarray,
    ) -> None:
        header = to_header(result.stamp, frame_id)
        valence, arousal = valence_arousal(reading.probabilities)
        publishers["expression"].publish(
            self._messages.Expression(
                header=header,
                expression=reading.emotion.label,
                valence=valence,
                arousal=arousal,
                confidence=float(reading.confidence),
            )
        )
        if self._tracked is None:
            return
        x1, y1, x2, y2 = reading.face.pixels(result.width, result.height)
        publishers["roi"].publish(
            self._messages.NormalizedRegionOfInterest2D(
                header=header,
                xmin=x1 / result.width,
                ymin=y1 / result.height,
                xmax=x2 / result.width,
                ymax=y2 / result.height,
                c=float(reading.face.score),
            )
        )
        if x1 < x2 and y1 < y2 and publishers["cropped"].get_subscription_count():
            picture = letterbox(image[y1:y2, x1:x2], *self._size)
            publishers["cropped"].publish(to_image(picture, result.stamp, frame_id))

    def _create_for(self, person: str) -> dict[str, Publisher]:
        types = {"expression": self._messages.Expression}
        if self._tracked is not None:
            types |= {"roi": self._messages.NormalizedRegionOfInterest2D, "cropped": Image}
        return {name: self._create(t, f"{FACES}/{person}/{name}") for name, t in types.items()}

    def _create(self, kind: Any, topic: str) -> Publisher:
        # without callbacks for events, so that the executor has no part in it: people come and go
        # in the worker's thread
        callbacks = PublisherEventCallbacks(use_default_callbacks=False)
        return self._node.create_publisher(
            kind, topic, QoSProfile(depth=1), event_callbacks=callbacks
        )

    def _destroy(self, publishers: dict[str, Publisher]) -> None:
        for publisher in publishers.values():
            self._node.destroy_publisher(publisher)


def valence_arousal(probabilities: tuple[float, ...]) -> tuple[float, float]:
    """Return the mean of `VALENCE_AROUSAL`, each weighted by its probability; -1 to 1."""
    valence, arousal = np.asarray(probabilities) @ np.array(list(VALENCE_AROUSAL.values()))
    return float(valence), float(arousal)


def letterbox(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a picture in the middle of one of width x height, as large as fits, black around."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    w = max(1, round(picture.shape[1] * scale))
    h = max(1, round(picture.shape[0] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[y : y + h, x : x + w] = cv2.resize(picture, (w, h), interpolation=how)
    return canvas
