# SPDX-License-Identifier: Apache-2.0
"""A camera for the benchmark."""

from __future__ import annotations

import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from caer_ros.benchmark.scenes import compose, load_people
from caer_ros.ros.conversions import to_image
from caer_ros.types import SECOND

TOPIC = "/camera/image_raw"


def publish(
    material: Path,
    width: int,
    height: int,
    persons: int,
    rate: int,
    frames: int,
    topic: str = TOPIC,
    barrier: Barrier | None = None,
) -> None:
    """Publish so many frames of a composed scene on `topic`, each stamped when it is sent.

    Waits for a subscriber first, and at `barrier` for the other cameras, whose start takes the
    processor; needs a process of its own.
    """
    scene = compose(load_people(material), width, height, persons)
    messages = [to_image(frame, 0, "camera") for frame in scene]
    rclpy.init(args=[])
    node = rclpy.create_node("caer_benchmark_camera")
    publisher = node.create_publisher(Image, topic, QoSProfile(depth=1))
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    if barrier:
        barrier.wait()
    start = time.monotonic() + 0.5  # discovery in the other direction
    for number in range(frames):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        message = messages[number % len(messages)]
        now = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, SECOND)
        publisher.publish(message)
    publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=2))
    time.sleep(0.5)
    node.destroy_node()
    rclpy.shutdown()
