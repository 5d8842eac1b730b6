# SPDX-License-Identifier: Apache-2.0
"""A replay's time, kept once: what stood when, and whose label changed.

All sinks of a replay (statistics, report, expectations, timeline, bag) take the same steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caer_ros.types import SECOND, Emotion, FrameResult, Reading

GAPS = 100
"""Most gaps that are kept one by one; all are counted."""


@dataclass(frozen=True)
class Image:
    """The image behind an answer.

    recorded: when it was recorded, in ns; pixels: uint8 BGR of shape (height, width, 3).
    """

    recorded: int
    frame_id: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Span:
    """What stood at all cameras together from `begin` to `end`, ns since the first image.

    covered: whether any camera's answer stood; where none did, nobody knows who was there.
    """

    begin: int
    end: int
    readings: Sequence[Reading]
    covered: bool


@dataclass(frozen=True)
class Change:
    """A person's label is now another than `before`; None where the person appeared."""

    reading: Reading
    before: Emotion | None


@dataclass(frozen=True)
class Gap:
    """A camera gave no image from `begin` to `end`, ns since the first image, for too long."""

    camera: str
    begin: int
    end: int


@dataclass(frozen=True)
class Step:
    """One frame's answer, and what came to pass since the step before.

    time: ns since the first image, never falling; spans: what stood from the last step until
    now, in order; standing: what stands at all cameras from now on; latency: seconds from taking
    the image to its answer.
    """

    result: FrameResult
    image: Image
    latency: float
    time: int
    spans: Sequence[Span]
    standing: Sequence[Reading]
    changes: Sequence[Change]


class Sink:
    """What takes the steps of a replay."""

    def take(self, step: Step) -> None:
        """Take in a frame's answer."""

    def drop(self, time: int) -> None:
        """Take in that a frame was dropped, at `time` in ns since the first image."""


@dataclass
class _Camera:
    """A camera's last answer: its time, how far its stamp is from that, when it was recorded."""

    time: int
    offset: int
    recorded: int
    readings: Sequence[Reading]


class Clock:
    """Turns answers into steps.

    An answer stands until its camera's next one, but no longer than `limit` ns, after which the
    tracker too takes persons for gone; a longer wait is a gap. Time is that of the stamps. Where
    a camera's stamps jump, back or so far on that the recording knows nothing of it, it goes on
    by the time of recording: a loop of a bag follows on the one before, and a clock that is set
    makes no years.

    covered: ns in which an answer stood; gaps, gap_count: the first of them, and how many; jumps:
    how often stamps jumped.
    """

    def __init__(self, limit: int) -> None:
        self.now = 0
        self.covered = 0
        self.gaps: list[Gap] = []
        self.gap_count = 0
        self.jumps = 0
        self._limit = limit
        self._origin: int | None = None
        self._cameras: dict[str, _Camera] = {}
        self._labels: dict[str, Emotion] = {}
        self._warnings: dict[str, str] = {}

    @property
    def start(self) -> int:
        """The stamp of the first image, in ns; 0 before it."""
        return self._origin or 0

    @property
    def warnings(self) -> list[str]:
        """The first gap and the first jump of each camera, in words."""
        return list(self._warnings.values())

    def step(self, result: FrameResult, image: Image, latency: float) -> Step:
        """Take the answer to a camera's next image."""
        before = self._cameras.get(result.camera)
        time, offset = self._time(result, image.recorded, before)
        if before and time - before.time > self._limit:
            self._note_gap(Gap(result.camera, before.time, time))
        spans = self._spans(time)
        self.covered += sum(span.end - span.begin for span in spans if span.covered)
        self.now = time
        self._cameras[result.camera] = _Camera(time, offset, image.recorded, result.readings)
        standing = self._standing(time)
        changes = self._changes(result.readings)
        return Step(result, image, latency, time, spans, standing, changes)

    def time_of(self, camera: str, stamp: int) -> int:
        """Return the time of an image that gets no answer."""
        before = self._cameras.get(camera)
        return max(self.now, stamp - (before.offset if before else self._origin or stamp))

    def _time(self, result: FrameResult, recorded: int, before: _Camera | None) -> tuple[int, int]:
        """Return a frame's time, and the distance of its camera's stamps from time."""
        if self._origin is None:
            self._origin = result.stamp
        last = before or max(
            self._cameras.values(), key=lambda c: c.time, default=_Camera(0, 0, recorded, ())
        )
        offset = before.offset if before else self._origin
        time = result.stamp - offset
        elapsed, passed = time - last.time, max(0, recorded - last.recorded)
        # a bag may have been recorded while another was played ten times as fast
        if result.reset or elapsed < -self._limit or elapsed > self._limit + 10 * passed:
            time = last.time + passed
            offset = result.stamp - time
            if before:
                self.jumps += 1
                self._warnings.setdefault(
                    f"jump {result.camera}",
                    f"stamps of {result.camera} jump by {elapsed / SECOND:.1f} s at "
                    f"{last.time / SECOND:.1f} s: time goes on by that of recording",
                )
        return max(self.now, time), offset

    def _spans(self, end: int) -> list[Span]:
        """Return what stood from now until `end`, cut where an answer gets too old."""
        limits = {c.time + self._limit for c in self._cameras.values()}
        cuts = sorted({self.now, end, *(t for t in limits if self.now < t < end)})
        spans = []
        for begin, until in zip(cuts, cuts[1:], strict=False):
            covered = any(c.time + self._limit >= until for c in self._cameras.values())
            spans.append(Span(begin, until, self._standing(until), covered))
        return spans

    def _standing(self, until: int) -> list[Reading]:
        """Return the readings of all cameras whose answers stand until a time to come."""
        cameras = [c for c in self._cameras.values() if c.time + self._limit >= until]
        return [reading for camera in cameras for reading in camera.readings]

    def _changes(self, readings: Sequence[Reading]) -> list[Change]:
        changes = []
        for reading in readings:
            before = self._labels.get(reading.person_id)
            if before != reading.emotion:
                changes.append(Change(reading, before))
                self._labels[reading.person_id] = reading.emotion
        return changes

    def _note_gap(self, gap: Gap) -> None:
        self.gap_count += 1
        if len(self.gaps) < GAPS:
            self.gaps.append(gap)
        self._warnings.setdefault(
            f"gap {gap.camera}",
            f"{gap.camera} has no image for {(gap.end - gap.begin) / SECOND:.1f} s from "
            f"{gap.begin / SECOND:.1f} s on: an answer stands no longer than tracker.death, "
            f"{self._limit / SECOND:g} s",
        )
