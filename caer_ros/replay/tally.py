# SPDX-License-Identifier: Apache-2.0
"""Counts over a whole bag, in memory that does not grow with its length."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from caer_ros.replay.stream import Sink, Step
from caer_ros.types import LABELS, SECOND


class Latencies:
    """Durations of which percentiles are asked, exact to 0.1 ms."""

    def __init__(self) -> None:
        self._tenths: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self._tenths)

    def add(self, seconds: float) -> None:
        self._tenths[round(1e4 * seconds)] += 1

    def percentile(self, percent: float) -> float:
        """Return the least duration in ms that `percent` of all do not exceed; NaN for none."""
        rank = max(1, math.ceil(percent / 100 * self._tenths.total()))
        for tenths in sorted(self._tenths):
            rank -= self._tenths[tenths]
            if rank <= 0:
                return tenths / 10
        return math.nan


@dataclass
class _Person:
    first: int
    last: int
    changes: int = 0
    standing: Counter[int] = field(default_factory=Counter)


class Tally(Sink):
    """What happened to the frames, and who was seen for how long with which label."""

    def __init__(self) -> None:
        self.processed = 0
        self.dropped = 0
        self.failed: Counter[str] = Counter()
        self.latencies = Latencies()
        self._steps: Counter[str] = Counter()
        self._persons: dict[str, _Person] = {}

    def take(self, step: Step) -> None:
        """Take in a frame's answer."""
        self.processed += 1
        self.latencies.add(step.latency)
        self._steps.update(step.result.seconds)
        for span in step.spans:
            for reading in span.readings:
                standing = self._persons[reading.person_id].standing
                standing[reading.emotion] += span.end - span.begin
        for reading in step.result.readings:
            stamp = step.result.stamp
            person = self._persons.setdefault(reading.person_id, _Person(stamp, stamp))
            person.last = stamp
        for change in step.changes:
            self._persons[change.reading.person_id].changes += change.before is not None

    def drop(self, time: int) -> None:
        """Take in that a frame was dropped."""
        self.dropped += 1

    def summary(self) -> dict[str, Any]:
        """Return everything as plain values: times in seconds, latencies and steps in ms."""
        total: Counter[int] = Counter()
        for person in self._persons.values():
            total.update(person.standing)
        percentiles = (50, 95, 99, 100) if self.latencies else ()
        return {
            "images": {
                "processed": self.processed,
                "dropped": self.dropped,
                "failed": dict(sorted(self.failed.items())),
            },
            "latency_ms": {f"p{p}": self.latencies.percentile(p) for p in percentiles},
            "steps_ms": {
                step: round(1e3 * seconds / self.processed, 3)
                for step, seconds in self._steps.items()
            },
            "label_seconds": _by_label(total),
            "persons": {
                name: {
                    "first": _seconds(person.first),
                    "last": _seconds(person.last),
                    "label_changes": person.changes,
                    "label_seconds": _by_label(person.standing),
                }
                for name, person in self._persons.items()
            },
        }


def _by_label(standing: Counter[int]) -> dict[str, float]:
    return {LABELS[e]: _seconds(standing[e]) for e in sorted(standing) if standing[e]}


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / SECOND
