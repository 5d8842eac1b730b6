# SPDX-License-Identifier: Apache-2.0
"""A ROS graph of its own for every test: real processes, real DDS, confined to this machine."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from caer_ros.msg import EmotionArray
from caer_ros.ros.conversions import to_image
from caer_ros.ros.fast_dds import profile_variable

PATIENCE = 60.0
"""Seconds after which a condition that does not come true fails a test."""

NODE = Path(sys.prefix) / "lib" / "caer_ros" / "caer_node"

# with the defaults of Fast DDS, large images from here would hardly ever arrive
os.environ.update([profile_variable()])

CONFIGURE = Transition.TRANSITION_CONFIGURE
CLEANUP = Transition.TRANSITION_CLEANUP
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE

_numbers = itertools.count(os.getpid())


class Process:
    """A child process and what it printed."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                # not the source folder: the installed package is tested
                cwd=log.parent,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the process has printed `text`."""
        end = time.monotonic() + PATIENCE
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} is not in\n{self.output}"
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End the process as a person or a launch file would; return its exit status."""
        if not self.ended:
            self._process.send_signal(how)
        try:
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()


class Graph:
    """The other side of the node: camera, behaviour code, operator.

    emotions, diagnostics: what was heard on /caer/emotions, and the last status of each name as
    (level, message, values).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.domain = 1 + next(_numbers) % 100
        self.environment = {
            "ROS_DOMAIN_ID": str(self.domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONUNBUFFERED": "1",
        }
        self.context = Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = Node("robot", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._processes: list[Process] = []
        self._cameras: dict[str, object] = {}
        self.emotions: list[EmotionArray] = []
        self.diagnostics: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.node.create_subscription(EmotionArray, "/caer/emotions", self.emotions.append, 50)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 50)

    def close(self) -> None:
        try:
            for process in self._processes:
                process.stop()
        finally:
            self._executor.shutdown()
            rclpy.try_shutdown(context=self.context)

    def start(self, *command: str, **environment: str) -> Process:
        """Start a program in this graph."""
        log = self.folder / f"{len(self._processes)}.log"
        process = Process(command, log, {**self.environment, **environment})
        self._processes.append(process)
        return process

    def start_node(self, *arguments: str) -> Process:
        """Start the node, unconfigured, with quick diagnostics."""
        quick = ("-p", "diagnostics_period:=0.1")
        return self.start(str(NODE), "--ros-args", *quick, *arguments)

    def start_active_node(self, *arguments: str) -> Process:
        process = self.start_node(*arguments)
        for transition in (CONFIGURE, ACTIVATE):
            assert self.change_state(transition), process.output
        return process

    def spin(self, done: Callable[[], object], what: str = "", again: Callable = lambda: None):
        """Serve callbacks until `done()` is true, and return that; fail after PATIENCE.

        again: called every half second meanwhile, for messages that may get lost. A KeyError of
        `done` is what the diagnostics have not said yet.
        """

        def attempt() -> object:
            try:
                return done()
            except KeyError:
                return None

        end, due = time.monotonic() + PATIENCE, 0.0
        while not (result := attempt()):
            if time.monotonic() > end:
                logs = "\n".join(process.output for process in self._processes)
                pytest.fail(f"did not come true: {what or done}\n{self.diagnostics}\n{logs}")
            if time.monotonic() > due:
                again()
                due = time.monotonic() + 0.5
            self._executor.spin_once(timeout_sec=0.05)
        return result

    def call(self, kind: type, service: str, request: object):
        """Call a service and return its response."""
        client = self.node.create_client(kind, service)
        self.spin(client.service_is_ready, f"{service} is there")
        answer = client.call_async(request)
        self.spin(answer.done, f"{service} answers")
        self.node.destroy_client(client)
        return answer.result()

    def change_state(self, transition: int, node: str = "/caer") -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, f"{node}/change_state", request).success

    def state(self, node: str = "/caer") -> str:
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

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

    def values(self, name: str = "pipeline", node: str = "/caer") -> dict[str, str]:
        """Return the last diagnostics of the node or one of its cameras."""
        return self.diagnostics.get(f"{node}: {name}", (b"", "", {}))[2]

    def picture(self, stamp: int = 0, frame_id: str = "head", shape=(240, 320)) -> Image:
        """Return a good image of nobody."""
        pixels = np.full((*shape, 3), 90, np.uint8)
        return to_image(pixels, stamp or self.now(), frame_id)

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.diagnostics[status.name] = (status.level, status.message, values)


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
