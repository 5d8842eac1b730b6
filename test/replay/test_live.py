# SPDX-License-Identifier: Apache-2.0
"""Replay tells what the live node would have said."""

from __future__ import annotations

from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader

from caer_ros.demo.run import TOPIC, perceive
from caer_ros.messages import to_nanoseconds
from caer_ros.msg import EmotionArray
from caer_ros.node_settings import NodeSettings
from caer_ros.paths import share_folder
from caer_ros.perception.bearing import camera_info_topic
from caer_ros.replay.bag import CAMERA_INFO, IMAGE, TYPES, Bag, image_to_cdr, new_bag
from caer_ros.replay.job import Job, replay
from caer_ros.settings import build, read_parameters


def test_the_node_over_dds_and_the_replay_read_the_same(people, calibration, tmp_path):
    with Bag(people) as bag:
        images = {image.stamp: image for image in bag.images(bag.choose_topics())}

    def write(name, stamps):
        with new_bag(tmp_path / name) as writer:
            connection = writer.add_connection(TOPIC, IMAGE, typestore=TYPES)
            info = writer.add_connection(camera_info_topic(TOPIC), CAMERA_INFO, typestore=TYPES)
            for stamp in stamps:
                _, cdr = image_to_cdr(images[stamp].to_bgr(), stamp, "head")
                # played slowly, at the stamps of a 24 Hz camera
                writer.write(info, 4 * stamp - 1, calibration)
                writer.write(connection, 4 * stamp, cdr)
        return tmp_path / name

    heard, _ = perceive(write("all", images), len(images))
    assert any(emotion.bearing.z > 0.5 for message in heard for emotion in message.emotions)

    # what a busy machine made the node drop it did not see, so neither must the replay
    seen = write("seen", (to_nanoseconds(m.header.stamp) for m in heard))
    values = read_parameters(share_folder() / "config" / "caer.yaml")
    job = Job(seen, tmp_path / "out", build(NodeSettings, values))
    replay(job, show_progress=False)
    with AnyReader([tmp_path / "out" / "bag"]) as reader:
        told = [deserialize_message(raw, EmotionArray) for _, _, raw in reader.messages()]
    assert told == heard
