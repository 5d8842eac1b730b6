#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls out when somebody turned sad, and turns there: a behaviour on the node's events.

    python3 greeter.py
    python3 greeter.py --ros-args -r caer/events:=/front_camera/caer/events

An event comes once, so nothing has to be remembered here. A face that appears with a sad look
turns nobody's head; one that turns sad, or has looked so for `events.held` seconds, does.
"""

import math

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import String

from caer_ros.msg import EmotionEvent


class Greeter(Node):
    """Publishes what to say on `~/say`."""

    def __init__(self) -> None:
        super().__init__("greeter")
        self.say = self.create_publisher(String, "~/say", 10)
        # transient local: what is true at the start is told too
        qos = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(EmotionEvent, "caer/events", self.react, qos)

    def react(self, event: EmotionEvent) -> None:
        if event.label != "sad":
            return
        if event.kind == EmotionEvent.CHANGED:
            self.call_out(event, f"turned sad, after {event.label_before}")
        elif event.kind == EmotionEvent.HELD:
            self.call_out(event, "has been sad for a while")

    def call_out(self, event: EmotionEvent, what: str) -> None:
        text = f"{event.person_id} {what} ({event.confidence:.0%})"
        if event.bearing.z:
            # REP 103: x right and z forward in a camera's optical frame
            angle = math.degrees(math.atan2(event.bearing.x, event.bearing.z))
            side = "right" if angle > 0 else "left"
            text += f", {abs(angle):.0f} degrees to the {side} of {event.camera}"
        self.get_logger().info(text)
        self.say.publish(String(data=text))


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(Greeter())
    except KeyboardInterrupt:
        pass
    except Exception:
        # after Ctrl-C, which rclpy's handler answers, whatever was under way may fail
        if rclpy.ok():
            raise


if __name__ == "__main__":
    main()
