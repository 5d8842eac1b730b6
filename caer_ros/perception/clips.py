# SPDX-License-Identifier: Apache-2.0
"""The last second and a half of a person, at the rhythm the video network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caer_ros.settings import setting
from caer_ros.types import SECOND

PERIOD = SECOND // 10
"""Clips are read at 10 frames a second (Lee et al., section 4.1)."""


@dataclass(frozen=True)
class ClipSettings:
    """How often a video network reads a person's clip, and a static one the scene."""

    stride: int = setting(
        8,
        "samples, a tenth of a second each, from one reading of a person's clip to the next; in "
        "between the last reading is carried on (video networks only; the paper overlaps clips "
        "of 16 by 8)",
        minimum=1,
        maximum=16,
        live=True,
    )
    scene_rate: float = setting(
        2.0,
        "times a second that a static network with a scene stream looks at the scene, which "
        "changes more slowly than a face and costs more",
        minimum=0.1,
        maximum=100.0,
        live=True,
    )


class SampleClock:
    """Picks out of a camera's images those nearest to a beat of 10 Hz."""

    def __init__(self) -> None:
        self._due: int | None = None
        self._last = 0

    def tick(self, stamp: int) -> bool:
        """Tell whether the image at `stamp` is a sample; stamps must not fall.

        The next image is expected after as long as this one took. A camera slower than 10 Hz has
        all its images sampled; after a gap the beat starts anew.
        """
        interval = stamp - self._last
        self._last = stamp
        if self._due is None:
            self._due = stamp + PERIOD
            return True
        if stamp + interval / 2 < self._due:
            return False
        self._due += PERIOD
        if self._due <= stamp:
            self._due = stamp + PERIOD
        return True


class ClipBuffer:
    """The last samples of one picture stream, in memory allocated once.

    A clip of 16 faces of 96 pixels takes 442 kB, one of 16 scenes of 112 pixels 602 kB.
    """

    def __init__(self, length: int, size: int) -> None:
        """Make room for `length` pictures of (size, size, 3) bytes."""
        self._pictures = np.empty((length, size, size, 3), np.uint8)
        self._stamps: list[int] = []
        self._next = 0

    @property
    def newest(self) -> int | None:
        """The stamp of the newest sample, None before the first."""
        return self._stamps[-1] if self._stamps else None

    def add(self, stamp: int) -> np.ndarray:
        """Return the room for the sample at `stamp`, to be filled; the oldest one gives way.

        Stamps must rise.
        """
        if len(self._stamps) == len(self._pictures):
            del self._stamps[0]
        self._stamps.append(stamp)
        room = self._pictures[self._next]
        self._next = (self._next + 1) % len(self._pictures)
        return room

    def read(self, out: np.ndarray) -> tuple[int, int]:
        """Write the clip that ends with the newest sample to `out` (length, size, size, 3).

        Its frames are a tenth of a second apart whatever the samples are: each is the sample
        nearest in time. Before the first sample that one is repeated, so that a clip just begun
        is a still picture that starts to move.

        Returns how many samples were used, and the nanoseconds they span.
        """
        stamps = np.array(self._stamps, np.int64)
        times = stamps[-1] - PERIOD * np.arange(len(self._pictures) - 1, -1, -1)
        nearest = np.abs(stamps - times[:, None]).argmin(axis=1)
        oldest = self._next - len(stamps)
        np.take(self._pictures, oldest + nearest, axis=0, out=out, mode="wrap")
        return len(set(nearest.tolist())), int(stamps[-1] - stamps[nearest[0]])
