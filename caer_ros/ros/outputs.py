# SPDX-License-Identifier: Apache-2.0
"""What the node publishes of its answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from caer_ros.drawing import draw_readings
from caer_ros.msg import EmotionArray
from caer_ros.msg import EmotionEvent as EventMessage
from caer_ros.node_settings import NodeSettings
from caer_ros.perception.bearing import base_topic
from caer_ros.perception.events import EmotionEvent, EventDetector
from caer_ros.ros.annotations import find_messages, to_annotations
from caer_ros.ros.conversions import to_compressed_image, to_emotion_array, to_event, to_image
from caer_ros.ros.hri import HriFaces
from caer_ros.ros.parameters import QOS_OVERRIDES
from caer_ros.types import FrameResult

EVENTS_KEPT = 100
"""Events that a subscriber who comes late still gets."""


class Outputs:
    """The publishers of a configured node: `~/emotions`, `~/events`, for each camera
    `~/debug_image`, raw and as JPEG, and where foxglove_msgs is installed `~/annotations`; and
    /humans/faces where `hri.publish` asks for it."""

    def __init__(self, node: LifecycleNode, cameras: list[str], settings: NodeSettings) -> None:
        self._node = node
        self._frame_ids: dict[str, str] = {}
        self._detector = EventDetector(settings.events)
        self._emotions = node.create_lifecycle_publisher(
            EmotionArray, "~/emotions", QoSProfile(depth=10), qos_overriding_options=QOS_OVERRIDES
        )
        self._events = node.create_lifecycle_publisher(
            EventMessage,
            "~/events",
            QoSProfile(depth=EVENTS_KEPT, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL),
            qos_overriding_options=QOS_OVERRIDES,
        )
        own = settings.source != "hri"
        hri = settings.hri.publish or not own
        self._hri = HriFaces(node, settings.hri, own) if hri else None
        self._foxglove = find_messages()
        self._drawn = {
            camera: self._create_drawn(base_topic(camera) if len(cameras) > 1 else "")
            for camera in cameras
        }

    def update(self, settings: NodeSettings) -> None:
        """Let live settings take effect from the next image on."""
        self._detector.settings = settings.events

    def publish(self, result: FrameResult, frame_id: str, image: np.ndarray) -> None:
        """Answer one image; draw it where somebody looks."""
        self._frame_ids[result.camera] = frame_id
        self._emotions.publish(to_emotion_array(result, frame_id))
        self._tell(self._detector.update(result), frame_id)
        if self._hri:
            self._hri.publish(result, frame_id, image)
        wanted = {
            k: p for k, p in self._drawn[result.camera].items() if p.get_subscription_count()
        }
        if "annotations" in wanted:
            wanted["annotations"].publish(to_annotations(result, self._foxglove))
        if wanted.keys() & {"raw", "jpeg"}:
            drawn = draw_readings(image, result.readings)
            if "raw" in wanted:
                wanted["raw"].publish(to_image(drawn, result.stamp, frame_id))
            if "jpeg" in wanted:
                wanted["jpeg"].publish(to_compressed_image(drawn, result.stamp, frame_id))

    def forget(self, camera: str) -> None:
        """Tell that nobody is followed in a camera any more."""
        self._tell(self._detector.forget(camera), self._frame_ids.get(camera, ""))
        if self._hri:
            self._hri.forget(camera)

    def complaint(self) -> str:
        """Return what is wrong with the graph around the publishers, empty for nothing."""
        return self._hri.complaint() if self._hri else ""

    def close(self) -> None:
        self._node.destroy_lifecycle_publisher(self._emotions)
        self._node.destroy_lifecycle_publisher(self._events)
        if self._hri:
            self._hri.close()
        for publishers in self._drawn.values():
            for publisher in publishers.values():
                self._node.destroy_publisher(publisher)

    def _create_drawn(self, suffix: str) -> dict[str, Publisher]:
        """Return the publishers of what is only drawn while somebody looks."""
        image = f"~/debug_image{suffix}"
        topics = {"raw": (Image, image), "jpeg": (CompressedImage, f"{image}/compressed")}
        if self._foxglove:
            topics["annotations"] = self._foxglove.ImageAnnotations, f"~/annotations{suffix}"
        return {
            name: self._node.create_publisher(
                kind, topic, QoSProfile(depth=1), qos_overriding_options=QOS_OVERRIDES
            )
            for name, (kind, topic) in topics.items()
        }

    def _tell(self, events: Iterable[EmotionEvent], frame_id: str) -> None:
        for event in events:
            self._events.publish(to_event(event, frame_id))
