# SPDX-License-Identifier: Apache-2.0
"""Bags played to the live node by `caer play`, with the greeter listening."""

from __future__ import annotations

import itertools
import sys

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Vector3
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from caer_ros.demo.material import GROUP
from caer_ros.msg import EmotionEvent
from caer_ros.paths import share_folder
from caer_ros.perception.pipeline import LATE
from caer_ros.replay.bag import IMAGE, TYPES, image_to_cdr, new_bag
from caer_ros.ros.conversions import to_image
from caer_ros.types import SECOND

from .conftest import CAER, DEACTIVATE

BEGIN = 1_600_000_000 * SECOND
IMAGES, RATE = 30, 15


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Return a bag of two seconds in which nobody is seen, years ago."""
    path = tmp_path_factory.mktemp("bags") / "empty_room"
    with new_bag(path) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=TYPES)
        for number in range(IMAGES):
            stamp = BEGIN + number * SECOND // RATE
            pixels = np.full((240, 320, 3), number, np.uint8)
            writer.write(connection, stamp, image_to_cdr(pixels, stamp, "head")[1])
    return path


def stamps(graph):
    return [m.header.stamp.sec * SECOND + m.header.stamp.nanosec for m in graph.emotions]


def test_a_played_bag_is_answered_with_its_own_stamps(graph, bag):
    graph.start_active_node()

    player = graph.start(CAER, "play", str(bag), "--rate", "0.5")

    graph.spin(lambda: player.ended, "the bag has been played")
    assert player.stop() == 0
    assert f"{IMAGES} images played" in player.output
    recorded = [BEGIN + number * SECOND // RATE for number in range(IMAGES)]
    heard = stamps(graph)
    assert heard == sorted(set(heard))
    assert set(heard) <= set(recorded)
    # what the machine could not keep up with is dropped, not queued
    graph.spin(lambda: int(graph.values()["processed"]) == len(graph.emotions))
    assert int(graph.values()["processed"]) + int(graph.values()["dropped"]) > IMAGES / 2


def test_with_the_clock_of_the_bag_ages_are_those_of_then(graph, bag):
    graph.start_active_node("-p", "use_sim_time:=true")

    player = graph.start(CAER, "play", str(bag), "--clock", "--loop", "--rate", "2")

    graph.spin(lambda: int(graph.values()["stamp resets"]) >= 3, "three loops")
    assert player.stop() == 0
    # once the player's last images are long answered, all that was counted has been heard
    graph.spin(lambda: graph.diagnostics["/caer: /image"][0] == DiagnosticStatus.STALE)
    heard = stamps(graph)
    jumps = sum(a - b > LATE for a, b in zip(heard, heard[1:], strict=False))
    # each time round the stamps jump back once, and so does the count of resets
    assert int(graph.values()["stamp resets"]) == jumps
    assert "image stamp jumped back from 16000000" in graph.values("/image")["last error"]
    age = float(graph.values()["age of last image (s)"])
    assert -IMAGES / RATE < age < 10
    assert float(graph.values()["latency p50 (ms)"]) < 10_000


def test_a_paused_bag_waits_and_goes_on(graph, bag):
    graph.start_active_node("-p", "use_sim_time:=true")
    player = graph.start(CAER, "play", str(bag), "--clock", "--start-paused")

    graph.spin(lambda: graph.node.count_publishers("/image"))
    # although simulated time has not begun, the node reports once a period
    seen = graph.values().get("state")
    graph.diagnostics.clear()
    graph.spin(lambda: graph.values().get("state") == "active")
    assert seen in (None, "active")
    assert graph.emotions == []
    assert not player.ended

    answer = graph.call(SetBool, "/caer_player/pause", SetBool.Request(data=False))
    assert answer.message == "playing"
    graph.spin(lambda: graph.emotions, "the bag goes on")
    graph.spin(lambda: player.ended, "the bag ends")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["{bag}", "--topic", "/other"], "has no image topic /other; there are: /image"),
        (["{bag}", "--rate", "0"], "is no number above 0"),
    ],
)
def test_what_cannot_be_played_is_an_error_without_traceback(graph, bag, arguments, named):
    player = graph.start(CAER, "play", *(a.format(bag=bag) for a in arguments))

    graph.spin(lambda: player.ended)
    assert player.stop() == 2
    assert named in player.output
    assert "Traceback" not in player.output


@pytest.fixture
def planner(graph):
    """Start an example; return a function that publishes an event, and what the example says."""
    said = []
    qos = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    publisher = graph.node.create_publisher(EmotionEvent, "/caer/events", qos)
    graph.node.create_subscription(String, "/greeter/say", lambda m: said.append(m.data), 10)

    def tell(person, kind, label="", before="", **fields):
        publisher.publish(
            EmotionEvent(
                camera="/eye",
                person_id=person,
                kind=kind,
                label=label,
                label_before=before,
                confidence=0.8,
                **fields,
            )
        )

    def start(example):
        program = graph.start(sys.executable, str(share_folder() / "examples" / example))
        numbers = itertools.count()

        def next_person():
            number = next(numbers)
            tell(f"q{number - 1}", EmotionEvent.LOST, "sad")
            tell(f"q{number}", EmotionEvent.HELD, "sad")

        # its words are lost until its publisher has found the subscriber here
        graph.spin(lambda: said, "the example speaks", again=next_person)
        tell(f"q{next(numbers) - 1}", EmotionEvent.LOST, "sad")
        return program

    return start, tell, said


def test_the_greeter_calls_out_once_when_somebody_turns_sad(graph, planner):
    start, tell, said = planner
    greeter = start("greeter.py")

    tell("p0001", EmotionEvent.APPEARED, "sad")
    tell("p0001", EmotionEvent.CHANGED, "happy", "sad")
    tell("p0001", EmotionEvent.CHANGED, "sad", "happy", bearing=Vector3(x=0.5, y=0.0, z=0.5))
    tell("p0001", EmotionEvent.HELD, "sad")
    tell("p0001", EmotionEvent.LOST, "sad")

    graph.spin(lambda: len([words for words in said if words.startswith("p0001")]) == 2)
    assert [words for words in said if words.startswith("p0001")] == [
        "p0001 turned sad, after happy (80%), 45 degrees to the right of /eye",
        "p0001 has been sad for a while (80%)",
    ]
    assert greeter.stop() == 0


def test_the_tree_comforts_who_is_sad_until_that_is_over(graph, planner):
    start, tell, said = planner
    tree = start("py_trees_greeter.py")

    tell("p0001", EmotionEvent.CHANGED, "sad", "happy")
    tell("p0002", EmotionEvent.HELD, "happy")
    tell("p0003", EmotionEvent.HELD, "sad")

    graph.spin(lambda: "p0003, can I help you?" in said)
    assert not any(words.startswith(("p0001", "p0002")) for words in said)
    assert tree.stop() == 0


def test_the_greeter_understands_the_real_node(graph, material):
    group = cv2.resize(cv2.imread(str(material / GROUP)), (640, 480))
    graph.start_active_node("-p", "events.held:=0.5", "-p", "tracker.id_prefix:=p")
    heard = []
    qos = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    graph.node.create_subscription(EmotionEvent, "/caer/events", heard.append, qos)

    def kinds(person):
        return [event.kind for event in heard if event.person_id == person]

    graph.spin(
        lambda: EmotionEvent.HELD in kinds("p0001"),
        "a look is held",
        again=lambda: graph.publish(to_image(group, graph.now(), "head")),
    )
    # no image comes any more
    graph.spin(lambda: EmotionEvent.LOST in kinds("p0001"), "the person is lost")

    first = next(event for event in heard if event.person_id == "p0001")
    assert (first.kind, first.camera, first.header.frame_id) == (0, "/image", "head")
    assert first.label
    assert 0 < first.confidence <= 1
    assert kinds("p0001").count(EmotionEvent.APPEARED) == 1

    late = []
    graph.node.create_subscription(EmotionEvent, "/caer/events", late.append, qos)
    graph.spin(lambda: late == heard, "who comes late hears it too")


@pytest.mark.parametrize("how", ["reset", "disable", "deactivate"])
def test_who_is_forgotten_is_lost_at_once(graph, material, how):
    group = cv2.resize(cv2.imread(str(material / GROUP)), (640, 480))
    graph.start_active_node()
    heard = []
    # transient local: who appears before the node has found this subscriber is heard of too
    qos = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    graph.node.create_subscription(EmotionEvent, "/caer/events", heard.append, qos)
    graph.spin(
        lambda: sum(event.kind == EmotionEvent.APPEARED for event in heard) == 5,
        "five persons appear",
        again=lambda: graph.publish(to_image(group, graph.now(), "head")),
    )

    if how == "reset":
        graph.call(Trigger, "/caer/reset", Trigger.Request())
    elif how == "disable":
        graph.call(SetBool, "/caer/enable", SetBool.Request(data=False))
    else:
        assert graph.change_state(DEACTIVATE)

    def lost():
        return {event.person_id for event in heard if event.kind == EmotionEvent.LOST}

    graph.spin(lambda: len(lost()) == 5)
    graph.spin(lambda: graph.values()["persons"] == "0")
