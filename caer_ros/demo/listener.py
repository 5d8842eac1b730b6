# SPDX-License-Identifier: Apache-2.0
"""The third party: hears the emotions as a robot's behaviour code would."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.client import Client
from rclpy.node import Node

from caer_ros.msg import Emotion, EmotionArray
from caer_ros.types import CaerError


class DemoError(CaerError):
    """A part of the demo that did not do its work."""


class Listener(Node):
    """Collects the emotions and diagnostics of the node `/caer`, and leads it to work.

    messages: all that was heard, in order. status: the node's last diagnostics, by key.
    on_message, on_change: called for every message, and for every person whose label is new.
    """

    def __init__(
        self,
        on_message: Callable[[EmotionArray], object],
        on_change: Callable[[EmotionArray, Emotion], object],
    ) -> None:
        super().__init__("caer_demo")
        self.messages: list[EmotionArray] = []
        self.status: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._on_message = on_message
        self._on_change = on_change
        self.create_subscription(EmotionArray, "/caer/emotions", self._hear, 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 10)
        self._change_state: Client[Any, Any] = self.create_client(
            ChangeState, "/caer/change_state"
        )

    def activate_node(self, alive: Callable[[], bool]) -> None:
        """Configure and activate the node.

        Raises:
            DemoError: where the node dies, does not answer or refuses.
        """
        self.spin_until(self._change_state.service_is_ready, alive, "start", 30.0)
        for label, transition in (
            ("configure", Transition.TRANSITION_CONFIGURE),
            ("activate", Transition.TRANSITION_ACTIVATE),
        ):
            request = ChangeState.Request(transition=Transition(id=transition))
            answer = self._change_state.call_async(request)
            self.spin_until(answer.done, alive, label, 60.0)
            response = answer.result()
            if response is None or not response.success:
                raise DemoError(f"the node did not {label}")

    def spin_until(
        self, done: Callable[[], bool], alive: Callable[[], bool], what: str, seconds: float
    ) -> None:
        """Serve callbacks until `done()`.

        Raises:
            DemoError: where `alive()` ends first, or the time is up; `what` names what was tried.
        """
        end = time.monotonic() + seconds
        while not done():
            if not alive():
                raise DemoError(f"the node died before it could {what}")
            if time.monotonic() > end:
                raise DemoError(f"the node did not {what} within {seconds:.0f} s")
            rclpy.spin_once(self, timeout_sec=0.1)

    def _hear(self, message: EmotionArray) -> None:
        self.messages.append(message)
        self._on_message(message)
        for emotion in message.emotions:
            if self._labels.get(emotion.person_id) != emotion.label:
                self._labels[emotion.person_id] = emotion.label
                self._on_change(message, emotion)

    def _diagnose(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "/caer: pipeline":
                self.status = {pair.key: pair.value for pair in status.values}
