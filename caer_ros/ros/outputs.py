# SPDX-License-Identifier: Apache-2.0
"""What the node publishes of its answers."""

from __future__ import annotations

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from caer_ros.drawing import draw_readings
from caer_ros.msg import EmotionArray
from caer_ros.perception.bearing import base_topic
from caer_ros.ros.conversions import to_emotion_array, to_image
from caer_ros.ros.parameters import QOS_OVERRIDES
from caer_ros.types import FrameResult


class Outputs:
    """The publishers of a configured node: `~/emotions`, and `~/debug_image` for each camera."""

    def __init__(self, node: LifecycleNode, cameras: list[str]) -> None:
        self._node = node
        self._debug_images: dict[str, Publisher] = {}
        self._emotions = node.create_lifecycle_publisher(
            EmotionArray, "~/emotions", QoSProfile(depth=10), qos_overriding_options=QOS_OVERRIDES
        )
        for camera in cameras:
            topic = "~/debug_image" + (base_topic(camera) if len(cameras) > 1 else "")
            self._debug_images[camera] = node.create_publisher(
                Image, topic, QoSProfile(depth=1), qos_overriding_options=QOS_OVERRIDES
            )

    def publish(self, result: FrameResult, frame_id: str, image: np.ndarray) -> None:
        """Answer one image; draw it where somebody looks."""
        self._emotions.publish(to_emotion_array(result, frame_id))
        debug_image = self._debug_images[result.camera]
        if debug_image.get_subscription_count():
            drawn = draw_readings(image, result.readings)
            debug_image.publish(to_image(drawn, result.stamp, frame_id))

    def forget(self, camera: str) -> None:
        """Tell that nobody is followed in a camera any more: nothing, by these topics."""

    def close(self) -> None:
        self._node.destroy_lifecycle_publisher(self._emotions)
        for publisher in self._debug_images.values():
            self._node.destroy_publisher(publisher)
