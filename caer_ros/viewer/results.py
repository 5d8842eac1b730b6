# SPDX-License-Identifier: Apache-2.0
"""The folder that `caer watch --out` leaves: timeline, report, annotated pictures."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from caer_ros.drawing import draw_readings
from caer_ros.files import whole_folder
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.replay.job import make_private, write_results
from caer_ros.replay.report import Recorder
from caer_ros.replay.stream import Sink, Step
from caer_ros.replay.timeline import TimelineWriter
from caer_ros.video import write_picture
from caer_ros.viewer.pictures import AnnotatedVideo, History, draw_timeline
from caer_ros.viewer.source import Source

LIVE_FPS = 10.0
"""Images a second at most in the video of a camera: encoding takes time that reading needs."""


class Results(Sink):
    """A sink whose folder appears once the block ends: a context manager.

    timeline.csv, report.html, summary.json and, but for a single picture, timeline.png. With
    `pictures` also annotated.webm (annotated.png of a single picture, a video for each topic of a
    bag), and small pictures in the report.

    Raises:
        FileError: where the folder cannot be written, or holds files of others.
    """

    def __init__(
        self, folder: Path, source: Source, pipeline: EmotionPipeline, pictures: bool
    ) -> None:
        self._whole = whole_folder(folder, replace=True)
        self._source = source
        self._pipeline = pipeline
        self._pictures = pictures
        self._recorder = Recorder(pictures)
        self._history = History()
        self._videos: dict[str, AnnotatedVideo] = {}
        self._files = ExitStack()

    def __enter__(self) -> Results:
        with ExitStack() as undo:
            self._folder = undo.enter_context(self._whole)
            self._files = undo.pop_all()
        untrained = not self._pipeline.engine.spec.trained
        self._timeline = self._files.enter_context(
            TimelineWriter(self._folder / "timeline.csv", untrained)
        )
        return self

    def __exit__(self, *exception: Any) -> None:
        self._files.__exit__(*exception)

    def take(self, step: Step) -> None:
        """Take in a frame's answer."""
        self._timeline.take(step)
        self._recorder.take(step)
        self._history.take(step)
        if not self._pictures:
            return
        result, image = step.result, step.image.pixels
        if self._source.length == 1:
            write_picture(self._folder / "annotated.png", draw_readings(image, result.readings))
            return
        if result.camera not in self._videos:
            number = f"_{len(self._videos) + 1}" if self._videos else ""
            path = self._folder / f"annotated{number}.webm"
            fps = {"fps": LIVE_FPS} if self._source.live else {}
            self._videos[result.camera] = self._files.enter_context(AnnotatedVideo(path, **fps))
        self._videos[result.camera].write(image, result.readings, result.stamp)

    def conclude(self, summary: dict[str, Any]) -> None:
        """Write what can only be written at the end."""
        write_results(self._folder, summary, self._recorder)
        if self._source.length != 1:  # else no time went by
            engine = "{name} on {device}, {precision}".format_map(summary["engine"])
            title = f"Emotions read by {summary['weights']['name']} ({engine})"
            figure = draw_timeline(self._history.timeline, title)
            figure.savefig(self._folder / "timeline.png")
        if self._pictures:
            make_private(self._folder)
