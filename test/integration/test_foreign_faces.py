# SPDX-License-Identifier: Apache-2.0
"""Faces found by other nodes: detections beside the image, and ROS4HRI's regions."""

from __future__ import annotations

import pytest

from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.ros.conversions import to_header, to_image

from .conftest import CONFIGURE


@pytest.fixture(scope="module")
def detector():
    detector = FaceDetector(DetectorSettings())
    yield detector
    detector.close()


def detections(stamp, boxes, class_id="face"):
    """Return a Detection2DArray of (x1, y1, x2, y2, id) boxes."""
    from vision_msgs.msg import (
        BoundingBox2D,
        Detection2D,
        Detection2DArray,
        ObjectHypothesis,
        ObjectHypothesisWithPose,
        Point2D,
        Pose2D,
    )

    return Detection2DArray(
        header=to_header(stamp, "head"),
        detections=[
            Detection2D(
                results=[
                    ObjectHypothesisWithPose(
                        hypothesis=ObjectHypothesis(class_id=class_id, score=0.9)
                    )
                ],
                bbox=BoundingBox2D(
                    center=Pose2D(position=Point2D(x=float(x1 + x2) / 2, y=float(y1 + y2) / 2)),
                    size_x=float(x2 - x1),
                    size_y=float(y2 - y1),
                ),
                id=name,
            )
            for x1, y1, x2, y2, name in boxes
        ],
    )


def test_detected_faces_are_read_in_the_image_of_their_stamp_under_their_ids(
    graph, vision_msgs, people, detector
):
    faces = detector.detect(people)
    boxes = [(f.x1, f.y1, f.x2, f.y2, str(n)) for n, f in enumerate(faces)]
    program = graph.start_node("-p", "source:=detections", **vision_msgs)
    graph.activate(program)

    def publish():
        stamp = graph.now()
        graph.publish(to_image(people, stamp, "head"))
        graph.publish(detections(stamp, boxes), "/detections")

    message = graph.spin(
        lambda: next((m for m in graph.emotions if len(m.emotions) == 5), None),
        "five faces are read",
        again=publish,
    )

    assert {emotion.person_id for emotion in message.emotions} == {f"id{n}" for n in range(5)}
    found = {emotion.person_id: emotion.face for emotion in message.emotions}
    for x1, _, _, y2, name in boxes:
        region = found[f"id{name}"]
        assert region.x_offset == pytest.approx(x1, abs=3)
        assert region.y_offset + region.height == pytest.approx(y2, abs=3)


def test_in_the_boxes_of_persons_the_node_looks_for_the_face_itself(
    graph, vision_msgs, people, detector
):
    face = max(detector.detect(people), key=lambda f: f.x1)
    body = (face.x1 - face.width, face.y1 - face.height, 640, 480, "w7")
    program = graph.start_node(
        *("-p", "source:=detections", "-p", "detections.kind:=persons"),
        *("-p", "detections.class_id:=person", "-p", 'detections.topics:=["/yolo"]'),
        **vision_msgs,
    )
    graph.activate(program)

    def publish(class_id="person"):
        stamp = graph.now()
        graph.publish(to_image(people, stamp, "head"))
        graph.publish(detections(stamp, [body], class_id), "/yolo")

    graph.spin(lambda: len(graph.emotions) > 3, "an answer", again=lambda: publish("chair"))
    assert not any(message.emotions for message in graph.emotions)
    message = graph.spin(
        lambda: next((m for m in graph.emotions if m.emotions), None), "a face", again=publish
    )

    (emotion,) = message.emotions
    assert emotion.person_id == "w7"
    assert emotion.face.x_offset == pytest.approx(face.x1, abs=face.width / 3)


def test_images_without_detections_are_counted_and_named(graph, vision_msgs):
    program = graph.start_node("-p", "source:=detections", **vision_msgs)
    graph.activate(program)

    graph.spin(
        lambda: int(graph.values("/image").get("errors: unpaired", "0")) > 5,
        again=lambda: [graph.publish(graph.picture(graph.now() + n)) for n in range(10)],
    )

    program.wait_for("no faces came from elsewhere for an image: do they carry its very stamp?")
    assert graph.emotions == []


def test_the_regions_of_ros4hri_get_their_expressions(graph, hri_msgs, people, detector):
    from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D

    faces = {f"f{n}": face for n, face in enumerate(detector.detect(people))}
    tracked = graph.node.create_publisher(IdsList, "/humans/faces/tracked", 1)
    regions = {
        name: graph.node.create_publisher(
            NormalizedRegionOfInterest2D, f"/humans/faces/{name}/roi", 1
        )
        for name in faces
    }
    heard = []
    graph.node.create_subscription(Expression, "/humans/faces/f0/expression", heard.append, 10)
    program = graph.start_node("-p", "source:=hri", **hri_msgs)
    graph.activate(program)

    def publish():
        stamp = graph.now()
        header = to_header(stamp, "head")
        for name, face in faces.items():
            regions[name].publish(
                NormalizedRegionOfInterest2D(
                    header=header,
                    xmin=face.x1 / 640,
                    ymin=face.y1 / 480,
                    xmax=face.x2 / 640,
                    ymax=face.y2 / 480,
                    c=face.score,
                )
            )
        graph.publish(to_image(people, stamp, "head"))
        tracked.publish(IdsList(header=header, ids=list(faces)))

    graph.spin(lambda: heard, "an expression", again=publish)

    message = next(m for m in graph.emotions if m.header.stamp == heard[0].header.stamp)
    assert {emotion.person_id for emotion in message.emotions} == set(faces)
    emotion = next(e for e in message.emotions if e.person_id == "f0")
    assert heard[0].expression == emotion.label
    assert emotion.face.x_offset == pytest.approx(faces["f0"].x1, abs=3)
    # who finds the faces publishes them; the list is not the node's to publish
    assert graph.node.count_publishers("/humans/faces/tracked") == 1
    assert graph.node.count_publishers("/humans/faces/f0/roi") == 1


@pytest.mark.parametrize(
    ("source", "module", "named"),
    [
        ("detections", "vision_msgs", "vision_msgs cannot be imported"),
        ("hri", "hri_msgs", "hri_msgs cannot be imported"),
    ],
)
def test_messages_that_are_not_installed_fail_the_transition(
    graph, tmp_path, source, module, named
):
    (tmp_path / f"{module}.py").touch()
    program = graph.start_node("-p", f"source:={source}", PYTHONPATH=str(tmp_path))

    assert not graph.change_state(CONFIGURE)
    program.wait_for(f"cannot configure: {named}")


def test_settings_that_exclude_each_other_fail_the_transition(graph):
    program = graph.start_node(*("-p", "source:=hri", "-p", 'image_topics:=["/left", "/right"]'))

    assert not graph.change_state(CONFIGURE)
    program.wait_for("source is hri, which knows one camera, and image_topics has 2")
