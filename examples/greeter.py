#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls out when somebody turned sad: how a robot's behaviour code uses the emotions.

    python3 greeter.py
    python3 greeter.py --ros-args -r caer/emotions:=/front_camera/caer/emotions

An `EmotionArray` comes for every processed image, also with nobody in it, so "nobody is there" can
be told from "no answer came". Stamps are those of the images: compare them with each other, not
with the clock of the computer this runs on.
"""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String

from caer_ros.msg import Emotion, EmotionArray


class Greeter(Node):
    """Publishes what to say on `~/say`, once for each time that a person turns sad."""

    def __init__(self) -> None:
        super().__init__("greeter")
        self.labels: dict[str, dict[str, str]] = {}  # of every camera's persons
        self.say = self.create_publisher(String, "~/say", 10)
        self.create_subscription(EmotionArray, "caer/emotions", self.react, 10)

    def react(self, message: EmotionArray) -> None:
        before = self.labels.get(message.camera, {})
        self.labels[message.camera] = {e.person_id: e.label for e in message.emotions}
        for emotion in message.emotions:
            if emotion.emotion == Emotion.SAD and before.get(emotion.person_id) != emotion.label:
                self.call_out(emotion)

    def call_out(self, emotion: Emotion) -> None:
        decided = "face" if emotion.face_weight >= emotion.context_weight else "surroundings"
        text = (
            f"{emotion.person_id} turned sad ({emotion.confidence:.0%}, mostly by the {decided})"
        )
        self.get_logger().info(text)
        self.say.publish(String(data=text))


def main() -> None:
    rclpy.init()
    greeter = Greeter()
    try:
        rclpy.spin(greeter)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        greeter.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
