# SPDX-License-Identifier: Apache-2.0
"""What the node as a whole says of itself on /diagnostics, and once in its log."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from caer_ros.engines.base import Engine
from caer_ros.ros.counts import LOG_PERIOD, SILENCE, Statistics, to_status
from caer_ros.ros.sources import Subscriptions
from caer_ros.text import printable

ENGINE, DEVICE, PRECISION, WEIGHTS = "engine", "device", "precision", "weights"
TRAINED = "trained"
"""Keys of the diagnostics that other programs read."""

UNTRAINED = "no, random initialisation"
"""The value of `TRAINED` where nothing was."""

EXPLAIN = 5.0
"""Seconds of a camera's silence after which the log says why."""


class Health:
    """Publishes /diagnostics.

    problem: why the last transition failed, or empty.
    """

    def __init__(self, node: Node) -> None:
        self.problem = ""
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._namesakes = 0
        self._failures: list[str] = []
        self._logged_failure = -LOG_PERIOD
        self._explained: dict[str, str] = {}

    def failed(self, error: Exception) -> None:
        """Note an error that a callback let through; the node goes on."""
        text = printable(f"{type(error).__name__}: {error}")
        self._failures.append(text)
        if time.monotonic() - self._logged_failure >= LOG_PERIOD:
            self._logged_failure = time.monotonic()
            self._node.get_logger().error(f"a callback failed, the node goes on: {text}")

    def report(
        self,
        state: str,
        statistics: Statistics,
        subscriptions: Subscriptions,
        engine: Engine | None,
        weights: str,
        complaint: str = "",
    ) -> None:
        """Publish what there is to say; to be called once a period.

        complaint: what is wrong with the graph around the node's publishers.
        """
        name = self._node.get_fully_qualified_name()
        clock = self._node.get_clock().now()
        values, statuses = statistics.report(
            clock.nanoseconds, self._explain_silence(statistics, subscriptions)
        )
        values = {"state": state, **values, **_engine_values(engine, weights)}
        if problem := self.problem or "; ".join(self._failures[-1:]):
            values["last error"] = problem
        level, message = self._judge(state, clock.nanoseconds, engine, complaint)
        self._failures = []
        if not subscriptions:
            statuses = []  # nobody listens, so silence is no fault
        own = to_status("pipeline", level, message, values)
        for status in (own, *statuses):
            status.name = f"{name}: {status.name}"
            status.hardware_id = engine.device if engine else ""
        array = DiagnosticArray(status=[own, *statuses])
        array.header.stamp = clock.to_msg()
        self._publisher.publish(array)

    def _explain_silence(
        self, statistics: Statistics, subscriptions: Subscriptions
    ) -> dict[str, str]:
        """Return why cameras are silent, and log it where that is new."""
        if not subscriptions:
            self._explained = {}
            return {}
        reasons = {c: subscriptions.explain_silence(c) for c in statistics.silent(SILENCE)}
        for camera in statistics.silent(EXPLAIN):
            reason = reasons.get(camera, "")
            if reason != self._explained.get(camera, ""):
                self._node.get_logger().warning(f"{camera}: no image: {reason}")
        self._explained = {c: r for c, r in reasons.items() if c in statistics.silent(EXPLAIN)}
        return reasons

    def _judge(
        self, state: str, clock: int, engine: Engine | None, complaint: str
    ) -> tuple[bytes, str]:
        """Return level and message of the node as a whole."""
        doubled = self._check_name()
        if self.problem:
            return DiagnosticStatus.ERROR, self.problem
        if self._failures:
            return DiagnosticStatus.ERROR, f"a callback failed: {self._failures[-1]}"
        if state == "broken":
            return DiagnosticStatus.ERROR, (
                "the worker thread has ended, the log says why; deactivate and activate"
            )
        if doubled:
            return DiagnosticStatus.WARN, doubled
        if complaint:
            return DiagnosticStatus.WARN, complaint
        if clock == 0:
            return DiagnosticStatus.WARN, "use_sim_time is set, but no time has come on /clock"
        if engine is not None and not engine.spec.trained:
            return DiagnosticStatus.WARN, f"{state}; the weights are a random initialisation"
        return DiagnosticStatus.OK, state

    def _check_name(self) -> str:
        """Return what is wrong where other nodes bear this one's name, and log it when new."""
        node = self._node
        me = (node.get_name(), node.get_namespace())
        before, self._namesakes = self._namesakes, node.get_node_names_and_namespaces().count(me)
        if self._namesakes < 2:
            return ""
        doubled = (
            f"{self._namesakes} nodes are named {node.get_fully_qualified_name()}: services and "
            "parameters reach any of them; give each a name or a namespace of its own"
        )
        if self._namesakes != before:
            node.get_logger().error(doubled)
        return doubled


def _engine_values(engine: Engine | None, weights: str) -> dict[str, str]:
    if engine is None:
        return {}
    return {
        ENGINE: engine.name,
        DEVICE: engine.device,
        PRECISION: engine.precision,
        WEIGHTS: weights,
        TRAINED: ", ".join(engine.spec.trained) or UNTRAINED,
    }
