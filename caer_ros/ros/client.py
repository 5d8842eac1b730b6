# SPDX-License-Identifier: Apache-2.0
"""The other side of a node: start it, lead it to work, hear it.

with Process(node_command("-r", "image:=/camera/image_raw"), Path("node.log")) as process:
    with Client() as client:
        client.activate(process)
        client.spin(lambda: client.emotions, "answer an image", process)
        print(from_message(client.emotions[0]))
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from ament_index_python import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from caer_ros.msg import EmotionArray
from caer_ros.ros.fast_dds import profile_variable
from caer_ros.types import CaerError

GRACE = 5.0
"""Seconds a process has to end after SIGINT, and again after SIGTERM."""

PATIENCE = 10.0
"""Seconds after which a service that has not answered is asked again."""

GOALS = {
    Transition.TRANSITION_CONFIGURE: "inactive",
    Transition.TRANSITION_ACTIVATE: "active",
    Transition.TRANSITION_DEACTIVATE: "inactive",
    Transition.TRANSITION_CLEANUP: "unconfigured",
}
"""The state that each transition leads to."""


class NodeError(CaerError):
    """A node, or a process beside it, that did not do its work."""


def node_command(*arguments: str) -> list[str]:
    """Return the command that starts the node with these `--ros-args`."""
    program = Path(get_package_prefix("caer_ros")) / "lib" / "caer_ros" / "caer_node"
    return [str(program), "--ros-args", *arguments]


def enter_own_graph() -> None:
    """Put this process and those it starts in a graph of their own, confined to this machine."""
    # an environment with the ROS wheels is a ROS prefix that nobody has to source
    prefixes = filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix])
    os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(prefixes)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    domain, reservation = reserve_domain()
    _reservations.append(reservation)
    os.environ["ROS_DOMAIN_ID"] = str(domain)


_reservations: list[socket.socket] = []
"""Held until this process ends."""

_numbers = itertools.count(os.getpid())
"""Goes on, so that nobody meets the nodes of who was there before."""


def reserve_domain() -> tuple[int, socket.socket]:
    """Return a domain of 1 to 100 that nobody else on this machine reserves while the socket is
    open.

    Raises:
        NodeError: where all are taken.
    """
    for number in itertools.islice(_numbers, 100):
        domain = 1 + number % 100
        reservation = socket.socket()
        try:
            reservation.bind(("127.0.0.1", 22100 + domain))
        except OSError:
            reservation.close()
        else:
            return domain, reservation
    raise NodeError("all ROS domains from 1 to 100 are in use on this machine")


@contextmanager
def fast_dds_profile() -> Iterator[None]:
    """Give this process and those it starts meanwhile the package's Fast DDS profile."""
    name, path = profile_variable()
    before = os.environ.get(name)
    os.environ[name] = path
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


class Process:
    """A child process that does not outlive the `with` block; its output goes to the file `log`.

    It gets a session of its own, so that Ctrl-C reaches it through us, in order.
    """

    def __init__(self, command: Sequence[str], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                cwd=log.parent,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def status(self) -> int | None:
        """The exit status, None while the process runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """What the process has printed."""
        return self.log.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End the process as a person or a launch file would, and return its exit status.

        One that goes on for `GRACE` seconds gets SIGTERM, and after as many again SIGKILL.
        """
        for end in (how, signal.SIGTERM, signal.SIGKILL):
            if self.status is None:
                self._process.send_signal(end)
            try:
                return self._process.wait(None if end == signal.SIGKILL else GRACE)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("SIGKILL is waited for without end")


class Status(NamedTuple):
    """A node's or camera's last diagnostics."""

    level: bytes
    message: str
    values: dict[str, str]


class Client:
    """Hears a node, and leads it.

    emotions: every EmotionArray heard, in order; `messages.from_message` reads one.
    diagnostics: the last of each name, e.g. `/caer: pipeline`, `/caer: /camera/image_raw`.
    context, node: rclpy's, for what else is wanted; signals stay the program's own.
    """

    def __init__(
        self,
        target: str = "/caer",
        name: str = "caer_client",
        domain_id: int | None = None,
        on_emotions: Callable[[EmotionArray], object] = lambda message: None,
    ) -> None:
        self.target = target
        self.emotions: list[EmotionArray] = []
        self.diagnostics: dict[str, Status] = {}
        self._on_emotions = on_emotions
        self.context = Context()
        rclpy.init(
            args=[],
            context=self.context,
            domain_id=domain_id,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self.node = Node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.node.create_subscription(EmotionArray, f"{target}/emotions", self._hear, 50)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 50)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def spin(
        self,
        done: Callable[[], Any],
        what: str,
        process: Process | None = None,
        seconds: float = 60.0,
    ) -> Any:
        """Serve callbacks until `done()` is true, and return that.

        Raises:
            NodeError: where `process` ends first, or the time is up; `what` names what was tried.
        """
        end = time.monotonic() + seconds
        while not (result := done()):
            if process is not None and process.status is not None:
                raise NodeError(f"the node died before it could {what}")
            if time.monotonic() > end:
                raise NodeError(f"the node did not {what} within {seconds:.0f} s")
            self._executor.spin_once(timeout_sec=0.05)
        return result

    def call(
        self,
        kind: type,
        service: str,
        request: Any,
        process: Process | None = None,
        unless: Callable[[], bool] = lambda: False,
    ) -> Any:
        """Call a service of the graph and return its response.

        A response gets lost where the node has not discovered this client within 100 ms
        (rmw_fastrtps, `rmw_send_response`): the service is asked again after `PATIENCE`, `unless`
        says that this is done; then None is returned.

        Raises:
            NodeError: where it is not there, or does not answer.
        """
        client: Any = self.node.create_client(kind, service)
        answers: list[Any] = []
        due = 0.0

        def answered() -> Any:
            nonlocal due
            if time.monotonic() >= due:
                if answers and unless():
                    answers[0].set_result(None)
                else:
                    answers.append(client.call_async(request))
                due = time.monotonic() + PATIENCE
            return next(filter(Future.done, answers), None)

        try:
            self.spin(client.service_is_ready, f"serve {service}", process)
            return self.spin(answered, f"answer {service}", process).result()
        finally:
            self.node.destroy_client(client)

    def change_state(
        self, transition: int, target: str = "", process: Process | None = None
    ) -> bool:
        """Lead the node through a transition (lifecycle_msgs/Transition); return its success.

        A node that stands where the transition leads has gone through it, although the response
        got lost. It is not asked again then: rclpy 7 (Jazzy) answers no request that does not
        fit the state.
        """

        def made() -> bool:
            return self.state(target, process) == GOALS[transition]

        request = ChangeState.Request(transition=Transition(id=transition))
        service = f"{target or self.target}/change_state"
        response = self.call(ChangeState, service, request, process, unless=made)
        return response is None or bool(response.success) or made()

    def state(self, target: str = "", process: Process | None = None) -> str:
        """Return the label of the node's lifecycle state (lifecycle_msgs/State)."""
        service = f"{target or self.target}/get_state"
        return self.call(GetState, service, GetState.Request(), process).current_state.label

    def activate(self, process: Process | None = None) -> None:
        """Configure and activate the node.

        Raises:
            NodeError: where the node dies, does not answer or refuses.
        """
        for label, transition in (
            ("configure", Transition.TRANSITION_CONFIGURE),
            ("activate", Transition.TRANSITION_ACTIVATE),
        ):
            if not self.change_state(transition, process=process):
                raise NodeError(f"the node did not {label}; its log says why")

    def values(self, name: str = "pipeline", target: str = "") -> dict[str, str]:
        """Return the last diagnostics of the node or one of its cameras, empty before them."""
        status = self.diagnostics.get(f"{target or self.target}: {name}")
        return status.values if status else {}

    def _hear(self, message: EmotionArray) -> None:
        self.emotions.append(message)
        self._on_emotions(message)

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.diagnostics[status.name] = Status(status.level, status.message, values)
