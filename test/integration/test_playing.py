# SPDX-License-Identifier: Apache-2.0
"""Bags played to the live node by `caer play`, with the greeter listening."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import String
from std_srvs.srv import SetBool

from caer_ros.msg import Emotion, EmotionArray
from caer_ros.paths import share_folder
from caer_ros.perception.pipeline import LATE
from caer_ros.replay.bag import IMAGE, TYPES, image_to_cdr, new_bag
from caer_ros.types import SECOND

CAER = str(Path(sys.prefix) / "bin" / "caer")
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
        (["{bag}", "--rate", "0"], "0 is not above 0"),
    ],
)
def test_what_cannot_be_played_is_an_error_without_traceback(graph, bag, arguments, named):
    player = graph.start(CAER, "play", *(a.format(bag=bag) for a in arguments))

    graph.spin(lambda: player.ended)
    assert player.stop() == 2
    assert named in player.output
    assert "Traceback" not in player.output


def test_the_greeter_calls_out_once_when_somebody_turns_sad(graph):
    greeter = share_folder() / "examples" / "greeter.py"
    graph.start(sys.executable, str(greeter))
    said = []
    graph.node.create_subscription(String, "/greeter/say", said.append, 10)
    publisher = graph.node.create_publisher(EmotionArray, "/caer/emotions", 10)

    def tell(*labels: tuple[str, str]) -> None:
        publisher.publish(
            EmotionArray(
                emotions=[
                    Emotion(
                        person_id=person,
                        emotion=getattr(Emotion, label.upper()),
                        label=label,
                        confidence=0.8,
                        face_weight=0.3,
                        context_weight=0.7,
                    )
                    for person, label in labels
                ]
            )
        )

    def heard() -> list[str]:
        return [message.data for message in said if not message.data.startswith("p0000")]

    # the greeter's first words are lost while its publisher has not found the subscriber here
    graph.spin(lambda: said, again=lambda: (tell(("p0000", "sad")), tell()))

    tell(("p0001", "happy"), ("p0002", "sad"))
    tell(("p0001", "sad"), ("p0002", "sad"))
    tell(("p0001", "sad"))
    tell()
    tell(("p0003", "sad"))

    graph.spin(lambda: len(heard()) == 3)
    assert [words.split()[0] for words in heard()] == ["p0002", "p0001", "p0003"]
    assert heard()[0] == "p0002 turned sad (80%, mostly by the surroundings)"


def test_the_greeter_understands_the_real_node(graph):
    graph.start_active_node()
    greeter = graph.start(sys.executable, str(share_folder() / "examples" / "greeter.py"))
    graph.spin(lambda: graph.node.count_subscribers("/caer/emotions") == 2)

    graph.answer(graph.picture)

    assert not greeter.ended
    assert greeter.stop() == 0
