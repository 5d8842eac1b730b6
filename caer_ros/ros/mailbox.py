# SPDX-License-Identifier: Apache-2.0
"""Where camera callbacks leave their newest message for the worker."""

from __future__ import annotations

from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot a camera: a newer message takes the place of an older one that nobody took."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._slots: dict[str, T] = {}
        self._closed = False

    def put(self, camera: str, message: T) -> bool:
        """Leave a message; return whether one was overwritten."""
        with self._condition:
            overwritten = camera in self._slots
            self._slots[camera] = message
            self._condition.notify()
        return overwritten

    def take(self, timeout: float | None = None) -> dict[str, T] | None:
        """Wait for messages and take the newest of every camera.

        Empty where none came within `timeout` seconds; None once closed.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._slots or self._closed, timeout)
            if self._closed:
                return None
            taken, self._slots = self._slots, {}
        return taken

    def close(self) -> list[str]:
        """Let `take` return None; return the cameras whose messages are dropped with it."""
        with self._condition:
            self._closed = True
            left, self._slots = list(self._slots), {}
            self._condition.notify_all()
        return left
