# SPDX-License-Identifier: Apache-2.0
"""What happens to people's emotions, each thing told once: what a planner wants to know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from caer_ros.settings import setting
from caer_ros.types import SECOND, Emotion, FrameResult, Reading


class EventKind(IntEnum):
    """The kinds of `caer_ros/msg/EmotionEvent`."""

    APPEARED = 0
    CHANGED = 1
    HELD = 2
    LOST = 3


@dataclass(frozen=True)
class EventSettings:
    """When something counts as having happened."""

    changed: float = setting(
        0.5,
        "seconds for which a new label has to stand before CHANGED tells of it",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    held: float = setting(
        3.0,
        "seconds for which a label has to stand before HELD tells of it, once",
        minimum=0.0,
        maximum=3600.0,
        live=True,
    )


@dataclass(frozen=True, slots=True)
class EmotionEvent:
    """The twin of `caer_ros/msg/EmotionEvent`: what happened to one person at `stamp` (ns).

    `before` is the emotion told before, with CHANGED only. With LOST, `reading` is the person's
    last one.
    """

    kind: EventKind
    camera: str
    stamp: int
    reading: Reading
    emotion: Emotion
    before: Emotion | None = None


@dataclass
class _Told:
    """What has been told of a person: the emotion, and whether it has been told as held."""

    reading: Reading
    emotion: Emotion
    held: bool = False


class EventDetector:
    """Turns results into events; by stamps, so the same results give the same events.

    Persons' ids are unique over all cameras.
    """

    def __init__(self, settings: EventSettings) -> None:
        self.settings = settings
        self._told: dict[str, dict[str, _Told]] = {}
        self._stamps: dict[str, int] = {}

    def update(self, result: FrameResult) -> list[EmotionEvent]:
        """Return what happened between the camera's last result and this one."""
        before = self._told.get(result.camera, {})
        now: dict[str, _Told] = {}
        self._told[result.camera], self._stamps[result.camera] = now, result.stamp
        present = {reading.person_id for reading in result.readings}
        events = [
            EmotionEvent(EventKind.LOST, result.camera, result.stamp, told.reading, told.emotion)
            for person, told in before.items()
            if person not in present
        ]
        for reading in result.readings:
            told = before.get(reading.person_id)
            if told is None:
                told = _Told(reading, reading.emotion)
                events.append(_event(EventKind.APPEARED, result, reading))
            now[reading.person_id] = told
            told.reading = reading
            events += self._follow(told, result, reading)
        return events

    def forget(self, camera: str) -> list[EmotionEvent]:
        """Return the loss of everybody in a camera that is no longer watched."""
        stamp = self._stamps.pop(camera, 0)
        return [
            EmotionEvent(EventKind.LOST, camera, stamp, told.reading, told.emotion)
            for told in self._told.pop(camera, {}).values()
        ]

    def _follow(
        self, told: _Told, result: FrameResult, reading: Reading
    ) -> Iterator[EmotionEvent]:
        stood = (result.stamp - reading.since) / SECOND
        if reading.emotion != told.emotion and stood >= self.settings.changed:
            yield _event(EventKind.CHANGED, result, reading, told.emotion)
            told.emotion, told.held = reading.emotion, False
        if reading.emotion == told.emotion and not told.held and stood >= self.settings.held:
            yield _event(EventKind.HELD, result, reading)
            told.held = True


def _event(
    kind: EventKind, result: FrameResult, reading: Reading, before: Emotion | None = None
) -> EmotionEvent:
    return EmotionEvent(kind, result.camera, result.stamp, reading, reading.emotion, before)
