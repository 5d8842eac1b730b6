# SPDX-License-Identifier: Apache-2.0
"""What Foxglove draws over the camera's image; foxglove_msgs is generated from its definitions."""

from __future__ import annotations

import pytest

from caer_ros.drawing import COLOURS
from caer_ros.ros.annotations import to_annotations
from caer_ros.ros.conversions import to_image
from caer_ros.types import Emotion, Face, FrameResult, Reading

TOPIC = "/caer/annotations"


def reading(detected: bool) -> Reading:
    return Reading(
        person_id="p0001",
        face=Face(100, 80, 200, 220, 0.9),
        emotion=Emotion.HAPPY,
        confidence=0.9,
        probabilities=(0.0, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0),
        face_weight=1.0,
        context_weight=0.0,
        frames=1,
        clip_duration=0,
        since=0,
        detected=detected,
    )


def test_who_looks_gets_a_box_and_a_tag_a_person_by_the_stamp_of_the_image(
    graph, foxglove_msgs, people
):
    from foxglove_msgs.msg import ImageAnnotations

    graph.activate(graph.start_node(**foxglove_msgs))
    heard = []
    graph.node.create_subscription(ImageAnnotations, TOPIC, heard.append, 10)

    graph.spin(
        lambda: heard and len(heard[-1].texts) == 5,
        "five tags",
        again=lambda: graph.publish(to_image(people, graph.now(), "head")),
    )

    answers = {(m.header.stamp.sec, m.header.stamp.nanosec): m for m in graph.emotions}
    for tag in heard[-1].texts:
        answer = answers[tag.timestamp.sec, tag.timestamp.nanosec]
        [emotion] = [e for e in answer.emotions if tag.text.startswith(e.person_id)]
        assert tag.text.split()[1] == emotion.label
        assert (tag.position.x, tag.position.y) == (emotion.face.x_offset, emotion.face.y_offset)
    assert len(heard[-1].points) == 10


def test_without_foxglove_msgs_there_is_no_such_topic(graph, tmp_path):
    # where it is installed this one stands before it
    (tmp_path / "foxglove_msgs.py").touch()
    graph.activate(graph.start_node(PYTHONPATH=str(tmp_path)))

    assert graph.answer(graph.picture)
    assert graph.node.count_publishers(TOPIC) == 0


@pytest.mark.parametrize("detected", [True, False])
def test_a_box_is_dashed_where_the_face_is_only_predicted(foxglove_msgs, detected):
    import foxglove_msgs.msg as foxglove

    result = FrameResult("/image", 5, 640, 480, (reading(detected),))
    annotations = to_annotations(result, foxglove)

    rim, box = annotations.points
    assert box.type == foxglove.PointsAnnotation.LINE_LIST
    assert (len(box.points) == 8) == detected
    assert {(p.x, p.y) for p in box.points} >= {(100.0, 80.0), (200.0, 220.0)}
    assert rim.points == box.points and rim.thickness > box.thickness
    [tag] = annotations.texts
    assert tag.text == "p0001 happy 90%"
    ground = tag.background_color
    told = [ground.b * 255, ground.g * 255, ground.r * 255]
    assert told == pytest.approx(COLOURS[Emotion.HAPPY])
    assert tag.timestamp.nanosec == box.timestamp.nanosec == 5
    assert not to_annotations(FrameResult("/image", 5, 640, 480, ()), foxglove).texts
