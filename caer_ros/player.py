# SPDX-License-Identifier: Apache-2.0
"""`caer play`: the images of a bag on their topics again, for machines without rosbag2."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool

from caer_ros.arguments import positive
from caer_ros.perception.bearing import camera_info_topic
from caer_ros.replay.bag import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    TYPES,
    Bag,
    RecordedImage,
    check_topic,
)
from caer_ros.types import SECOND

CLOCK_PERIOD = 0.025
"""Seconds between two messages on /clock, as in `ros2 bag play --clock`."""


class Player(Node):
    """Publishes recorded images at the pace they were recorded, serialized as they are.

    Before each goes the newest CameraInfo of its camera, where the bag has one beside it.

    Serves `~/pause` (std_srvs/SetBool). With `clock`, /clock follows the bag: it slows down,
    stands still and jumps back with it.
    """

    def __init__(
        self, bag: Bag, topics: list[str], *, rate: float, clock: bool, paused: bool
    ) -> None:
        super().__init__("caer_player")
        self._bag = bag
        self._rate = rate
        self._running = threading.Event()
        if not paused:
            self._running.set()
        self._publishers_of: dict[str, Publisher] = {
            topic: self.create_publisher(
                CompressedImage if bag.topics[topic].type == COMPRESSED_IMAGE else Image,
                topic,
                QoSProfile(depth=10),
            )
            for topic in topics
        }
        self._infos = {topic: camera_info_topic(topic) for topic in topics}
        self._info_publishers = {
            info: self.create_publisher(CameraInfo, info, QoSProfile(depth=10))
            for info in self._infos.values()
            if info in bag.topics and bag.topics[info].type == CAMERA_INFO
        }
        self._clock_publisher = self.create_publisher(Clock, "/clock", 1) if clock else None
        self.create_service(SetBool, "~/pause", self._serve_pause)

    def wait_for_subscribers(self, seconds: float) -> None:
        """Wait until every topic has a subscriber; warn about those that have none by then."""
        end = time.monotonic() + seconds
        while rclpy.ok() and time.monotonic() < end:
            if all(p.get_subscription_count() for p in self._publishers_of.values()):
                return
            time.sleep(0.01)
        for topic, publisher in self._publishers_of.items():
            if seconds and not publisher.get_subscription_count():
                self.get_logger().warning(f"nobody subscribes to {topic}, playing all the same")

    def play(self) -> int:
        """Play the bag once; return how many images were published."""
        published, start, bag_start = 0, time.monotonic(), 0
        for image in self._images():
            if not published:
                bag_start = image.time
            start += self._wait(start, bag_start, image.time)
            if not rclpy.ok():
                break
            if image.info is not None:
                info = bytes(TYPES.serialize_cdr(image.info, CAMERA_INFO))
                self._info_publishers[self._infos[image.topic]].publish(info)
            self._publishers_of[image.topic].publish(bytes(image.cdr))
            published += 1
        return published

    def _images(self) -> Iterator[RecordedImage]:
        yield from self._bag.images(self._infos)
        for warning in self._bag.warnings:
            self.get_logger().warning(warning)

    def _wait(self, start: float, bag_start: int, bag_time: int) -> float:
        """Wait until `bag_time` is due, keeping /clock going; return the seconds spent paused."""
        paused = 0.0
        while rclpy.ok():
            if not self._running.is_set():
                pause = time.monotonic()
                while rclpy.ok() and not self._running.wait(CLOCK_PERIOD):
                    pass
                paused += time.monotonic() - pause
            elapsed = (time.monotonic() - start - paused) * self._rate
            now = min(bag_start + round(elapsed * SECOND), bag_time)
            if self._clock_publisher is not None:
                stamp = Time(sec=now // SECOND, nanosec=now % SECOND)
                self._clock_publisher.publish(Clock(clock=stamp))
            left = (bag_time - now) / SECOND / self._rate
            if left <= 0:
                break
            time.sleep(min(left, CLOCK_PERIOD))
        return paused

    def _serve_pause(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        if request.data:
            self._running.clear()
        else:
            self._running.set()
        response.success = True
        response.message = "paused" if request.data else "playing"
        return response


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="folder or file of a bag")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        help="play only this image topic; may be given several times",
    )
    parser.add_argument("--rate", type=positive, default=1.0, help="speed, 1 as recorded")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--clock", action="store_true", help="publish the bag's time on /clock")
    parser.add_argument(
        "--start-paused", action="store_true", help="until ~/pause is called with false"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for subscribers before the first image (default 10)",
    )


def main(args: argparse.Namespace) -> int:
    """Play the bag until its end or until interrupted."""
    with Bag(args.bag) as bag:
        topics = [check_topic(topic) for topic in bag.choose_topics(args.topic)]
        # Ctrl-C is to reach the loop below, not to end the context under it
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        player = Player(bag, topics, rate=args.rate, clock=args.clock, paused=args.start_paused)
        services = threading.Thread(target=_spin, args=(player,), daemon=True)
        services.start()
        published = 0
        try:
            player.wait_for_subscribers(args.wait)
            while rclpy.ok():
                published += player.play()
                if not args.loop:
                    break
            if rclpy.ok():
                # what is still on its way would be lost with the publishers
                for publisher in player.publishers:
                    publisher.wait_for_all_acked(Duration(seconds=2))
        except KeyboardInterrupt:
            pass
        finally:
            # rclpy's signal handler may do so at this very moment
            with suppress(RuntimeError):
                rclpy.try_shutdown()
            services.join()
    print(f"{published} images played", file=sys.stderr)
    return 0


def _spin(node: Node) -> None:
    try:
        rclpy.spin(node)
    except (ExternalShutdownException, KeyboardInterrupt):
        pass
