# SPDX-License-Identifier: Apache-2.0
"""What is left to look at: the annotated video and the timeline's picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from caer_ros.drawing import COLOURS, draw_readings, ink_on
from caer_ros.replay.stream import Sink, Step
from caer_ros.types import LABELS, SECOND, CaerError, FrameResult, Reading

GAP = SECOND
"""A person unseen for longer than this, in ns, leaves a gap in the timeline."""

LONGEST = 960
"""Longer edge of a video in pixels at most."""

FRAMES = 6000
"""Frames of which a `History` keeps the readings at most: four to a pixel of the picture."""

PERSONS = 6
"""Persons shown at most, those seen longest."""

_FIRST = 12
"""Images that tell a video's rate."""

_Sighted = tuple[int, np.ndarray, tuple[Reading, ...]]
"""Stamp in ns, image, readings."""

Timeline = Mapping[int, Sequence[Reading]]
"""Readings by the stamp of their image, in ns."""


class AnnotatedVideo:
    """A VP8 WebM, which browsers play, of images with their readings drawn: a context manager.

    The first image's size holds for all, larger ones than `LONGEST` are shrunk; the rate is that
    of the first images. Images stand in the video when their stamps say, and where none comes the
    last one stands for another second. Encoding takes longer than reading
    (docs/decisions/drawing.md), so a thread of its own does it, one image behind.

    Args:
        fps: images a second at most; what comes sooner is left out.
    """

    def __init__(self, path: Path, fps: float = 30.0) -> None:
        self._path = path
        self._fps = fps
        self._first: list[_Sighted] = []
        self._encoder = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None
        self._video: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._origin = 0
        self._count = 0
        self._last: np.ndarray | None = None

    def __enter__(self) -> AnnotatedVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._first and self._video is None:
                self._open()
            if kind is None and self._pending:
                self._pending.result()
        finally:
            self._encoder.shutdown()
            if self._video:
                self._video.release()

    def write(self, image: np.ndarray, readings: Sequence[Reading], stamp: int) -> None:
        """Add an image, uint8 BGR of shape (height, width, 3), taken at `stamp` ns.

        Raises:
            CaerError: where the video cannot be written.
        """
        sighted = stamp, image, tuple(readings)
        if self._video:
            self._add(sighted)
            return
        self._first.append(sighted)
        if len(self._first) == _FIRST:
            self._open()

    def _open(self) -> None:
        stamps = [stamp for stamp, _, _ in self._first]
        apart = float(np.median(np.diff(stamps))) if len(stamps) > 1 else SECOND
        self._fps = min(self._fps, SECOND / max(apart, 1.0))
        height, width = self._first[0][1].shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        # VP8 has its colour at half the size
        self._size = (max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2)))
        self._origin = stamps[0]
        with _silent():
            self._video = cv2.VideoWriter(
                str(self._path),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter.fourcc(*"VP80"),
                self._fps,
                self._size,
            )
        if not self._video.isOpened():
            raise CaerError(
                f"OpenCV cannot write {self._path}: can the folder be written, has it VP8?"
            )
        for sighted in self._first:
            self._add(sighted)

    def _add(self, sighted: _Sighted) -> None:
        if self._pending:
            self._pending.result()
        place = round((sighted[0] - self._origin) * self._fps / SECOND)
        longest = self._count + max(1, round(self._fps))
        if place < self._count and place > self._count - 2 * _FIRST:
            return  # there is one for that time
        if place < self._count or place > longest:  # time was set, or nothing came
            place = self._count if place < self._count else longest
            self._origin = sighted[0] - round(place * SECOND / self._fps)
        self._pending = self._encoder.submit(self._encode, sighted, place - self._count)
        self._count = place + 1

    def _encode(self, sighted: _Sighted, repeats: int) -> None:
        assert self._video is not None
        _, image, readings = sighted
        drawn = draw_readings(image, readings)
        if drawn.shape[1::-1] != self._size:
            drawn = cv2.resize(drawn, self._size, interpolation=cv2.INTER_AREA)
        if self._last is not None:
            for _ in range(repeats):
                self._video.write(self._last)
        self._video.write(drawn)
        self._last = drawn


@contextmanager
def _silent() -> Iterator[None]:
    """Keep OpenCV from telling on stderr that WebM has no tags of AVI, which it does without."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


class History(Sink):
    """Frames' readings for the timeline's picture, ever further apart so that memory is bound."""

    def __init__(self) -> None:
        self._frames: list[tuple[str, int, tuple[Reading, ...]]] = []
        self._last: dict[str, int] = {}
        self._spacing = 0

    def take(self, step: Step) -> None:
        """Keep a frame's readings, unless the camera's last frame that was kept is too near."""
        self.add(step.result)

    def add(self, result: FrameResult) -> None:
        if abs(result.stamp - self._last.get(result.camera, -SECOND)) < self._spacing:
            return
        self._last[result.camera] = result.stamp
        self._frames.append((result.camera, result.stamp, result.readings))
        if len(self._frames) > FRAMES:
            before, self._frames, self._last = self._frames, [], {}
            length = max(stamp for _, stamp, _ in before) - min(stamp for _, stamp, _ in before)
            self._spacing = max(1, 2 * self._spacing, 2 * length // FRAMES)
            for camera, stamp, readings in before:
                if abs(stamp - self._last.get(camera, -SECOND)) >= self._spacing:
                    self._last[camera] = stamp
                    self._frames.append((camera, stamp, readings))

    @property
    def timeline(self) -> Timeline:
        timeline: dict[int, list[Reading]] = {}
        for _, stamp, readings in self._frames:
            timeline.setdefault(stamp, []).extend(readings)
        return timeline


def draw_timeline(timeline: Timeline, title: str) -> Figure:
    """Return one row a person: the seven probabilities stacked over time, the label under them.

    Time counts from the first image, as in the report. The colours are those of the boxes in the
    video, safe for colour-blind readers.
    """
    origin = min(timeline)
    timeline = {stamp - origin: readings for stamp, readings in timeline.items()}
    persons = _by_person(timeline)
    start, end = 0.0, max(timeline) / SECOND
    # frames of a long recording are further apart
    gap = max(GAP, 3 * (max(timeline) - min(timeline)) // len(timeline))
    rows = max(1, len(persons))
    height = 1.3 + 2.6 * rows
    figure = Figure(figsize=(10, height), dpi=150)
    FigureCanvasAgg(figure)
    figure.suptitle(
        title, x=0.01, y=1 - 0.1 / height, ha="left", va="top", fontsize=11, color=_INK
    )
    grid = figure.subplots(
        2 * rows,
        1,
        sharex=True,
        gridspec_kw={
            "height_ratios": [1.0, 0.09] * rows,
            "left": 0.09,
            "right": 0.99,
            "top": 1 - 0.4 / height,
            "bottom": 0.9 / height,
        },
    )
    for axes in grid:
        axes.set_xlim(start, end)
        axes.tick_params(length=0, labelsize=8, labelcolor=_INK)
        for spine in axes.spines.values():
            spine.set_visible(False)
    for (person, readings), above, below in zip(
        persons.items(), grid[::2], grid[1::2], strict=False
    ):
        _draw_probabilities(above, _without_gaps(readings, gap))
        _draw_labels(below, _without_gaps(readings, gap))
        above.set_ylabel(person, rotation=0, ha="right", va="center", fontsize=10, color=_INK)
    grid[-1].tick_params(axis="x", length=3)
    stamp = f"{origin // SECOND}.{origin % SECOND:09d}"
    grid[-1].set_xlabel(
        f"seconds since the first image, stamp {stamp} in timeline.csv", fontsize=9, color=_INK
    )
    handles = [
        Patch(color=_rgb(colour), label=label)
        for label, colour in zip(LABELS, COLOURS, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        ncol=len(LABELS),
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
        handlelength=1.0,
    )
    return figure


_INK = "#333333"


def _rgb(bgr: tuple[int, int, int]) -> tuple[float, float, float]:
    return (bgr[2] / 255, bgr[1] / 255, bgr[0] / 255)


Sighting = tuple[int, Reading]
"""A stamp in ns and the reading of that image."""


def _by_person(timeline: Timeline) -> dict[str, list[Sighting]]:
    persons: dict[str, list[Sighting]] = {}
    for stamp, readings in sorted(timeline.items()):
        for reading in readings:
            persons.setdefault(reading.person_id, []).append((stamp, reading))
    longest = sorted(persons, key=lambda person: -len(persons[person]))[:PERSONS]
    return {person: persons[person] for person in sorted(longest)}


def _without_gaps(sightings: Sequence[Sighting], gap: int) -> list[list[Sighting]]:
    pieces: list[list[Sighting]] = []
    for sighting in sightings:
        if not pieces or sighting[0] - pieces[-1][-1][0] > gap:
            pieces.append([])
        pieces[-1].append(sighting)
    return pieces


def _draw_probabilities(axes: Axes, pieces: Sequence[Sequence[Sighting]]) -> None:
    for piece in pieces:
        seconds = np.array([stamp for stamp, _ in piece]) / SECOND
        shares = np.array([reading.probabilities for _, reading in piece]).T
        axes.stackplot(seconds, shares, colors=[_rgb(c) for c in COLOURS], linewidth=0)
        edges = np.cumsum(shares, axis=0)[:-1]
        axes.plot(seconds, edges.T, color="white", linewidth=0.6)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _draw_labels(axes: Axes, pieces: Sequence[Sequence[Sighting]]) -> None:
    left, right = axes.get_xlim()
    for piece in pieces:
        runs = [list(run) for _, run in groupby(piece, key=lambda s: s[1].emotion)]
        begins = [run[0][0] / SECOND for run in runs]
        ends = [*begins[1:], piece[-1][0] / SECOND]
        for run, begin, end in zip(runs, begins, ends, strict=True):
            colour = COLOURS[run[0][1].emotion]
            axes.axvspan(begin, end, color=_rgb(colour), linewidth=0)
            text = axes.text(
                (begin + end) / 2,
                0.47,
                run[0][1].emotion.label,
                color=_rgb(ink_on(colour)),
                fontsize=8,
                ha="center",
                va="center",
            )
            share = text.get_window_extent().width / axes.get_window_extent().width
            if share > (end - begin) / (right - left):
                text.remove()
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["label"])
