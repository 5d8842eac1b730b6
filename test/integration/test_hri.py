# SPDX-License-Identifier: Apache-2.0
"""What a ROS4HRI listener hears, with hri_msgs generated from its definitions."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from caer_ros.ros.conversions import to_image
from caer_ros.ros.hri import VALENCE_AROUSAL, letterbox, valence_arousal
from caer_ros.types import Emotion

from .conftest import ACTIVATE, CONFIGURE, DEACTIVATE


@pytest.fixture
def tracked(graph, hri_msgs):
    """Return the id lists heard on /humans/faces/tracked."""
    from hri_msgs.msg import IdsList

    heard = []
    graph.node.create_subscription(IdsList, "/humans/faces/tracked", heard.append, 100)
    return heard


def start(graph, hri_msgs, *arguments):
    program = graph.start_node("-p", "hri.publish:=true", *arguments, **hri_msgs)
    graph.activate(program)
    return program


def test_a_listener_hears_who_is_there_and_what_each_face_shows(graph, hri_msgs, tracked, people):
    from hri_msgs.msg import Expression, NormalizedRegionOfInterest2D

    start(graph, hri_msgs)

    def publish():
        graph.publish(to_image(people, graph.now(), "head"))

    graph.spin(lambda: tracked and len(tracked[-1].ids) == 5, "five faces", again=publish)
    face = tracked[-1].ids[0]
    topic = f"/humans/faces/{face}"
    regions, expressions, pictures = [], [], []
    for kind, name, heard in (
        (NormalizedRegionOfInterest2D, "roi", regions),
        (Expression, "expression", expressions),
        (Image, "cropped", pictures),
    ):
        graph.node.create_subscription(kind, f"{topic}/{name}", heard.append, 10)
    graph.spin(lambda: regions and expressions and pictures, "all of one face", again=publish)

    region, expression, picture = regions[-1], expressions[-1], pictures[-1]
    told = {
        (m.header.stamp.sec, m.header.stamp.nanosec): emotion
        for m in graph.emotions
        for emotion in m.emotions
        if emotion.person_id == face
    }
    emotion = told[region.header.stamp.sec, region.header.stamp.nanosec]
    assert region.header.frame_id == "head"
    assert region.xmin == pytest.approx(emotion.face.x_offset / 640)
    assert region.ymax == pytest.approx((emotion.face.y_offset + emotion.face.height) / 480)
    assert 0 < region.c <= 1
    emotion = told[expression.header.stamp.sec, expression.header.stamp.nanosec]
    assert expression.expression == emotion.label
    assert expression.confidence == pytest.approx(emotion.confidence)
    assert -1 <= expression.valence <= 1
    assert (picture.width, picture.height, picture.encoding) == (128, 128, "bgr8")
    for endpoint in graph.node.get_publishers_info_by_topic(f"{topic}/roi"):
        assert endpoint.qos_profile.reliability.name == "RELIABLE"
        assert endpoint.qos_profile.durability == QoSDurabilityPolicy.VOLATILE


@pytest.mark.parametrize("how", ["silence", "reset", "disable", "deactivate", "shutdown"])
def test_an_empty_list_follows_when_nobody_is_followed_any_more(
    graph, hri_msgs, tracked, people, how
):
    program = start(graph, hri_msgs)
    graph.spin(
        lambda: tracked and len(tracked[-1].ids) == 5,
        "five faces",
        again=lambda: graph.publish(to_image(people, graph.now(), "head")),
    )
    face = tracked[-1].ids[0]
    graph.spin(lambda: graph.node.count_publishers(f"/humans/faces/{face}/roi") == 1)

    if how == "reset":
        graph.call(Trigger, "/caer/reset", Trigger.Request())
    elif how == "disable":
        graph.call(SetBool, "/caer/enable", SetBool.Request(data=False))
    elif how == "deactivate":
        assert graph.change_state(DEACTIVATE)
    elif how == "shutdown":
        assert program.stop() == 0

    graph.spin(lambda: list(tracked[-1].ids) == [], "an empty list")
    graph.spin(lambda: graph.node.count_publishers(f"/humans/faces/{face}/roi") == 0)


def test_one_list_has_the_faces_of_all_cameras(graph, hri_msgs, tracked, people):
    start(graph, hri_msgs, "-p", 'image_topics:=["/left", "/right"]')

    def publish(*sides):
        for side in sides:
            graph.publish(to_image(people, graph.now(), "head"), side)

    graph.spin(
        lambda: tracked and len(tracked[-1].ids) == 10,
        "ten faces",
        again=lambda: publish("/left", "/right"),
    )
    assert len(set(tracked[-1].ids)) == 10
    # one camera falls silent: the other one's faces stay
    graph.spin(lambda: len(tracked[-1].ids) == 5, "five are left", again=lambda: publish("/right"))


def test_a_second_list_is_refused_and_one_that_comes_later_is_told(graph, hri_msgs, tracked):
    from hri_msgs.msg import IdsList

    other = graph.node.create_publisher(IdsList, "/humans/faces/tracked", 1)
    program = graph.start_node("-p", "hri.publish:=true", **hri_msgs)
    graph.spin(lambda: graph.values())
    assert not graph.change_state(CONFIGURE)
    program.wait_for("/humans/faces/tracked is published by robot already")

    graph.node.destroy_publisher(other)
    graph.spin(lambda: graph.change_state(CONFIGURE))
    assert graph.change_state(ACTIVATE)
    graph.node.create_publisher(IdsList, "/humans/faces/tracked", QoSProfile(depth=1))
    graph.spin(
        lambda: "2 nodes publish /humans/faces/tracked" in graph.diagnostics["/caer: pipeline"][1]
    )


def test_without_hri_msgs_configuring_fails_with_what_to_do(graph, tmp_path):
    # where it is installed this one stands before it
    (tmp_path / "hri_msgs.py").touch()
    program = graph.start_node("-p", "hri.publish:=true", PYTHONPATH=str(tmp_path))

    assert not graph.change_state(CONFIGURE)
    program.wait_for("cannot configure: hri_msgs cannot be imported")
    assert "set hri.publish to false" in program.output


def test_valence_and_arousal_are_the_mean_by_probability():
    certain = [0.0] * 7
    certain[Emotion.SAD] = 1.0
    assert valence_arousal(tuple(certain)) == pytest.approx(VALENCE_AROUSAL[Emotion.SAD])
    certain[Emotion.SAD] = certain[Emotion.HAPPY] = 0.5
    assert valence_arousal(tuple(certain)) == pytest.approx((0.09, 0.12))


@pytest.mark.parametrize("shape", [(50, 100), (100, 50), (300, 10), (1, 1), (500, 700)])
def test_a_picture_is_letterboxed_in_its_middle(shape):
    picture = letterbox(np.full((*shape, 3), 200, np.uint8), 128, 96)

    assert picture.shape == (96, 128, 3)
    lit = np.argwhere(picture[:, :, 0] > 100)
    (top, left), (bottom, right) = lit.min(0), lit.max(0)
    assert abs(top - (95 - bottom)) <= 1
    assert abs(left - (127 - right)) <= 1
    assert right - left == 127 or bottom - top == 95
