# SPDX-License-Identifier: Apache-2.0
"""A ROS graph of its own for every test: real processes, real DDS, confined to this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import Image

from caer_ros.demo.material import GROUP
from caer_ros.msg import EmotionArray
from caer_ros.ros import client
from caer_ros.ros.client import Client, NodeError, Process, reserve_domain
from caer_ros.ros.conversions import to_image
from caer_ros.ros.fast_dds import profile_variable

from ..conftest import PREFIX
from .foreign import generate

PATIENCE = 60.0
"""Seconds after which a condition that does not come true fails a test."""

client.GRACE = PATIENCE

NODE = PREFIX / "lib" / "caer_ros" / "caer_node"
CAER = str(PREFIX / "bin" / "caer")

# with the defaults of Fast DDS, large images from here would hardly ever arrive
os.environ.update([profile_variable()])

CONFIGURE = Transition.TRANSITION_CONFIGURE
CLEANUP = Transition.TRANSITION_CLEANUP
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE


class Program(Process):
    """A child process; `stop` waits for a slow machine."""

    @property
    def ended(self) -> bool:
        return self.status is not None

    def wait_for(self, text: str) -> None:
        """Wait until the process has printed `text`."""
        end = time.monotonic() + PATIENCE
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} is not in\n{self.output}"
            time.sleep(0.05)


class Graph(Client):
    """The other side of the node: camera, behaviour code, operator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.domain, self._port = reserve_domain()
        self._programs: list[Program] = []
        self._cameras: dict[str, object] = {}
        super().__init__(name="robot", domain_id=self.domain)

    def close(self) -> None:
        try:
            for program in self._programs:
                program.stop()
        finally:
            super().close()
            self._port.close()

    def start(self, *command: str, **environment: str) -> Program:
        """Start a program in this graph."""
        log = self.folder / f"{len(self._programs)}.log"
        own = {
            "ROS_DOMAIN_ID": str(self.domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONUNBUFFERED": "1",
        }
        self._programs.append(Program(command, log, **own, **environment))
        return self._programs[-1]

    def start_node(self, *arguments: str, **environment: str) -> Program:
        """Start the node, unconfigured, with quick diagnostics."""
        quick = ("-p", "diagnostics_period:=0.1")
        return self.start(str(NODE), "--ros-args", *quick, *arguments, **environment)

    def start_active_node(self, *arguments: str) -> Program:
        program = self.start_node(*arguments)
        self.activate(program)
        return program

    def activate(self, process: Process | None = None) -> None:
        try:
            super().activate(process)
        except NodeError as error:
            self._fail(error)

    def spin(self, done: Callable, what: str = "", *args, again: Callable = lambda: None):
        """Serve callbacks until `done()` is true, and return that; fail after PATIENCE.

        again: called every half second meanwhile, for messages that may get lost. A KeyError of
        `done` is what the diagnostics have not said yet.
        """
        due = 0.0

        def attempt() -> object:
            nonlocal due
            if time.monotonic() > due:
                again()
                due = time.monotonic() + 0.5
            try:
                return done()
            except KeyError:
                return None

        try:
            return super().spin(attempt, what or repr(done), *args, seconds=PATIENCE)
        except NodeError as error:
            self._fail(error)

    def _fail(self, error: NodeError) -> NoReturn:
        logs = "\n".join(program.output for program in self._programs)
        pytest.fail(f"{error}\n{self.diagnostics}\n{logs}")

    def publish(self, message: object, topic: str = "/image") -> None:
        """Publish once the node listens."""
        if topic not in self._cameras:
            self._cameras[topic] = self.node.create_publisher(type(message), topic, 5)
        publisher = self._cameras[topic]
        self.spin(publisher.get_subscription_count, f"the node subscribes {topic}")
        publisher.publish(message)

    def now(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def answer(self, make: Callable[[], object], topic: str = "/image") -> EmotionArray:
        """Publish what `make` makes until it is answered, and return the answer."""
        sent = []

        def send() -> None:
            message = make()
            sent.append((message.header.stamp.sec, message.header.stamp.nanosec))
            self.publish(message, topic)

        def answers() -> list[EmotionArray]:
            return [
                e for e in self.emotions if (e.header.stamp.sec, e.header.stamp.nanosec) in sent
            ]

        return self.spin(answers, f"an answer to the image on {topic}", again=send)[0]

    def picture(self, stamp: int = 0, frame_id: str = "head", shape=(240, 320)) -> Image:
        """Return a good image of nobody."""
        pixels = np.full((*shape, 3), 90, np.uint8)
        return to_image(pixels, stamp or self.now(), frame_id)


@pytest.fixture
def graph(tmp_path):
    graph = Graph(tmp_path)
    yield graph
    graph.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A graph whose node is active, shared by the tests of a module."""
    graph = Graph(tmp_path_factory.mktemp("served"))
    graph.process = graph.start_active_node()
    yield graph
    graph.close()


@pytest.fixture
def people(material):
    """Return a picture of five people, 640 x 480."""
    return cv2.resize(cv2.imread(str(material / GROUP)), (640, 480))


@pytest.fixture(scope="session")
def hri_msgs(tmp_path_factory):
    """Return the variables with which a process finds hri_msgs."""
    definitions = {
        "IdsList": "std_msgs/Header header\nstring[] ids\n",
        "NormalizedRegionOfInterest2D": "std_msgs/Header header\nfloat32 xmin\n"
        "float32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c\n",
        "Expression": "std_msgs/Header header\nstring expression\nfloat32 valence\n"
        "float32 arousal\nfloat32 confidence\n",
    }
    return generate(tmp_path_factory.mktemp("hri"), "hri_msgs", definitions, ["std_msgs"])


@pytest.fixture(scope="session")
def vision_msgs(tmp_path_factory):
    """Return the variables with which a process finds vision_msgs."""
    definitions = {
        "Point2D": "float64 x\nfloat64 y\n",
        "Pose2D": "Point2D position\nfloat64 theta\n",
        "BoundingBox2D": "Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
        "ObjectHypothesis": "string class_id\nfloat64 score\n",
        "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\n"
        "geometry_msgs/PoseWithCovariance pose\n",
        "Detection2D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\n"
        "BoundingBox2D bbox\nstring id\n",
        "Detection2DArray": "std_msgs/Header header\nDetection2D[] detections\n",
    }
    folder = tmp_path_factory.mktemp("vision")
    return generate(folder, "vision_msgs", definitions, ["std_msgs", "geometry_msgs"])


@pytest.fixture(scope="session")
def foxglove_msgs(tmp_path_factory):
    """Return the variables with which a process finds foxglove_msgs."""
    time = "builtin_interfaces/Time timestamp\n"
    definitions = {
        "Point2": "float64 x\nfloat64 y\n",
        "Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a\n",
        "PointsAnnotation": time + "uint8 LINE_LOOP=2\nuint8 LINE_LIST=4\nuint8 type\n"
        "Point2[] points\nColor outline_color\nColor[] outline_colors\nColor fill_color\n"
        "float64 thickness\n",
        "TextAnnotation": time + "Point2 position\nstring text\nfloat64 font_size\n"
        "Color text_color\nColor background_color\n",
        "ImageAnnotations": "PointsAnnotation[] points\nTextAnnotation[] texts\n",
    }
    folder = tmp_path_factory.mktemp("foxglove")
    return generate(folder, "foxglove_msgs", definitions, ["builtin_interfaces"])
