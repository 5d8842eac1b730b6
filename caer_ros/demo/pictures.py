# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves to look at: the annotated video and the timeline picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from caer_ros.drawing import COLOURS, draw_readings, ink_on
from caer_ros.replay.bag import Bag
from caer_ros.types import LABELS, SECOND, CaerError, Reading

GAP = SECOND
"""A person unseen for longer than this, in ns, leaves a gap in the timeline."""

PERSONS = 6
"""Persons shown at most, those seen longest."""

Timeline = Mapping[int, Sequence[Reading]]
"""Readings by the stamp of their image, in ns."""


def write_video(bag: Path, topic: str, timeline: Timeline, path: Path) -> None:
    """Write the bag's images, each with the readings of its stamp drawn over it, as an MP4.

    Of the codecs in OpenCV's wheels MPEG-4 Part 2 alone keeps up; desktop players have it.
    """
    with Bag(bag) as recording:
        stamps = [image.stamp for image in recording.images([topic])]
        rate = (len(stamps) - 1) * SECOND / (stamps[-1] - stamps[0])
        height, width = next(recording.images([topic])).to_bgr().shape[:2]
        video = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height)
        )
        if not video.isOpened():
            raise CaerError(f"OpenCV cannot write {path}: is the folder writable?")
        for image in recording.images([topic]):
            video.write(draw_readings(image.to_bgr(), timeline.get(image.stamp, ())))
    video.release()


def draw_timeline(timeline: Timeline, title: str) -> Figure:
    """Return one row a person: the seven probabilities stacked over time, the label under them.

    The colours are those of the boxes in the video, safe for colour-blind readers.
    """
    persons = _by_person(timeline)
    start, end = min(timeline) / SECOND, max(timeline) / SECOND
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
        _draw_probabilities(above, readings)
        _draw_labels(below, readings)
        above.set_ylabel(person, rotation=0, ha="right", va="center", fontsize=10, color=_INK)
    grid[-1].tick_params(axis="x", length=3)
    grid[-1].set_xlabel("image stamp in seconds", fontsize=9, color=_INK)
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


def _without_gaps(sightings: Sequence[Sighting]) -> list[list[Sighting]]:
    pieces: list[list[Sighting]] = []
    for sighting in sightings:
        if not pieces or sighting[0] - pieces[-1][-1][0] > GAP:
            pieces.append([])
        pieces[-1].append(sighting)
    return pieces


def _draw_probabilities(axes: Axes, sightings: Sequence[Sighting]) -> None:
    for piece in _without_gaps(sightings):
        seconds = np.array([stamp for stamp, _ in piece]) / SECOND
        shares = np.array([reading.probabilities for _, reading in piece]).T
        axes.stackplot(seconds, shares, colors=[_rgb(c) for c in COLOURS], linewidth=0)
        edges = np.cumsum(shares, axis=0)[:-1]
        axes.plot(seconds, edges.T, color="white", linewidth=0.6)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _draw_labels(axes: Axes, sightings: Sequence[Sighting]) -> None:
    left, right = axes.get_xlim()
    for piece in _without_gaps(sightings):
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
