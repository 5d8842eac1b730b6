# SPDX-License-Identifier: Apache-2.0
"""What receiving an image costs a Python subscriber, step by step towards what the node does."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from caer_ros.benchmark.camera import TOPIC, publish
from caer_ros.benchmark.interleaved import in_own_process
from caer_ros.benchmark.pipeline import RATE
from caer_ros.demo.material import fetch_material
from caer_ros.images import to_bgr
from caer_ros.ros.client import enter_own_graph, fast_dds_profile
from caer_ros.ros.main import keep_large_blocks, make_executor
from caer_ros.ros.serialized import read_image

WARM_UP, IMAGES = 30, 180
STEPS = {
    "rclpy as it comes": (False, False, False),
    "glibc keeps freed blocks": (True, False, False),
    "events executor": (True, True, False),
    "raw subscription": (True, True, True),
}
ROUNDS = 5


def receive(keep: bool, events: bool, raw: bool) -> float:
    """Return this process's processor time of an image in ms, pinned, after `WARM_UP` ones."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if keep:
        keep_large_blocks()
    rclpy.init(args=[])
    node = rclpy.create_node("caer_benchmark_subscriber")
    times = []

    def hear(message: Image | bytes) -> None:
        to_bgr(read_image(message) if isinstance(message, bytes) else message)
        times.append(time.process_time())

    qos = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, TOPIC, hear, qos, raw=raw)
    executor = make_executor() if events else SingleThreadedExecutor()
    executor.add_node(node)
    while len(times) < IMAGES - 20:
        executor.spin_once(timeout_sec=0.2)
    return 1e3 * (times[-1] - times[WARM_UP]) / (len(times) - 1 - WARM_UP)


def measure(material: Path, width: int, height: int, *step: bool) -> float:
    camera = multiprocessing.get_context("spawn").Process(
        target=publish, args=(material, width, height, 1, RATE, IMAGES), daemon=True
    )
    with fast_dds_profile():
        camera.start()
    spent = float(in_own_process(receive, *step))
    camera.join()
    return spent


if __name__ == "__main__":
    enter_own_graph()
    for size in ((640, 480), (1280, 720), (1920, 1080)):
        times: dict[str, list[float]] = {name: [] for name in STEPS}
        for _ in range(ROUNDS):
            for name, step in STEPS.items():
                times[name].append(measure(fetch_material(), *size, *step))
        for name, found in times.items():
            print(
                f"{size[0]}x{size[1]} {name:25} {statistics.median(found):.2f} ms "
                f"({min(found):.2f} to {max(found):.2f})"
            )
