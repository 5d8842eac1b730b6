# SPDX-License-Identifier: Apache-2.0
"""The unit of work: one bag under one config becomes one folder of results."""

from __future__ import annotations

import hashlib
import json
import platform
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from caer_ros.files import whole_folder, write_json
from caer_ros.images import ImageError, check_stamp
from caer_ros.network.spec import resolve_weights
from caer_ros.node_settings import NodeSettings
from caer_ros.paths import package_version
from caer_ros.perception.bearing import (
    CalibrationError,
    CameraModel,
    add_bearings,
    base_topic,
    camera_info_topic,
)
from caer_ros.perception.doubts import Doubts
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.perception.tracker import person_ids
from caer_ros.replay.bag import Bag, RecordedImage
from caer_ros.replay.emotions import EmotionBag
from caer_ros.replay.expectations import Expectations, Verdict, junit
from caer_ros.replay.report import Recorder, write_report
from caer_ros.replay.stream import Clock, Image, Sink, Step
from caer_ros.replay.tally import Tally
from caer_ros.replay.timeline import TimelineWriter
from caer_ros.settings import flatten
from caer_ros.types import SECOND, CaerError, Face, Frame, FrameResult

SUMMARY = "summary.json"

_EDGE = 2**20
"""Bytes at either end of a file that tell whether it is the same as before."""


_AHEAD = 4
"""Images that are decoded while the one before them is read."""


class _Due(NamedTuple):
    """An image whose turn it is, the moment its latency counts from, and what decodes it."""

    image: RecordedImage
    since: float
    pixels: Callable[[], np.ndarray]


class ReplayError(CaerError):
    """A replay that cannot be run, or whose results cannot be written."""


@dataclass(frozen=True)
class Job:
    """What is replayed how; the same job gives the same results on any machine.

    topics: image topics to read, empty for those of the settings or, if the bag has none of
        them, all. expectations: name and text of each file of them.
    """

    bag: Path
    out: Path
    settings: NodeSettings = field(default_factory=NodeSettings)
    topics: tuple[str, ...] = ()
    realtime: bool = False
    with_images: bool = False
    expectations: tuple[tuple[str, str], ...] = ()

    def key(self) -> str:
        """Return a hash of all that the results depend on, the bag's content included."""
        values = asdict(self) | {"bag": self.bag.name, "out": "", "version": package_version()}
        digest = hashlib.sha256(json.dumps(values).encode())
        digest.update(resolve_weights(self.settings.engine.weights).read_bytes())
        if self.settings.detector.model:
            digest.update(Path(self.settings.detector.model).expanduser().read_bytes())
        files = sorted(self.bag.iterdir()) if self.bag.is_dir() else [self.bag]
        for file in filter(Path.is_file, files):
            with file.open("rb") as content:
                size = file.stat().st_size
                digest.update(f"{file.name} {size}".encode() + content.read(_EDGE))
                content.seek(max(0, size - _EDGE))
                digest.update(content.read(_EDGE))
        return digest.hexdigest()

    def done(self) -> dict[str, Any] | None:
        """Return the summary of a complete earlier run that would come out the same."""
        try:
            summary = json.loads((self.out / SUMMARY).read_text(encoding="utf-8"))
            if summary["complete"] and summary["key"] == self.key():
                return dict(summary)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None


def replay(job: Job, show_progress: bool = True, sinks: Sequence[Sink] = ()) -> dict[str, Any]:
    """Run `job` and return its summary, which is also in `job.out`; that appears once whole.

    Ctrl-C ends the run after the frame at work; what came before is kept, marked not complete.
    `sinks` take the steps too.

    Raises:
        CaerError: where the bag, the settings or the folder are no good.
    """
    expectations = Expectations(job.expectations, realtime=job.realtime)
    with ExitStack() as stack:
        bag = stack.enter_context(Bag(job.bag))
        topics = _choose_topics(bag, job)
        folder = stack.enter_context(whole_folder(job.out, replace=True))
        # fixed letters, so that two replays give the same bytes
        ids = person_ids(job.settings.tracker.id_prefix or "p")
        pipeline = EmotionPipeline.from_settings(job.settings, ids)
        stack.callback(pipeline.close)
        run = _Run(job, folder, pipeline, [expectations, *sinks])
        images = bag.images(_info_topics(topics, job.settings))
        if job.realtime:
            paced = _in_real_time(images, run.drop, job.settings.max_pixels)
        else:
            paced = _at_once(images, job.settings.max_pixels)
        total = sum(bag.topics[topic].count for topic in topics)
        # None: only where a terminal shows it
        hidden = None if show_progress else True
        bar = tqdm(total=total, desc=job.bag.name, unit=" images", disable=hidden)
        began = time.monotonic()
        with run, bar, stop_on_interrupt() as stopped:
            for batch in paced:
                run.process(batch)
                bar.update(run.taken - bar.n)
                if stopped():
                    break
        summary = run.summary(bag, topics, time.monotonic() - began, complete=not stopped())
        summary["expectations"] = list(map(asdict, expectations.verdicts(summary["nobody"])))
        write_results(folder, summary, run.recorder)
        if job.with_images:
            make_private(folder)
        return summary


def make_private(folder: Path) -> None:
    """Let nobody else read a folder with pictures of people."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)


def write_results(folder: Path, summary: dict[str, Any], recorder: Recorder) -> None:
    """Write summary, report and verdicts into a folder of results; completes the summary."""
    summary["presence"] = recorder.presence()
    verdicts = [Verdict(**verdict) for verdict in summary["expectations"]]
    if verdicts:
        document = junit(verdicts, Path(summary["bag"]).name)
        (folder / "junit.xml").write_bytes(document)
    write_report(folder / "report.html", summary, recorder)
    write_json(folder / SUMMARY, summary)


class _Run:
    """The pipeline between an open bag and the sinks, for one job."""

    def __init__(
        self,
        job: Job,
        folder: Path,
        pipeline: EmotionPipeline,
        sinks: Sequence[Sink],
    ) -> None:
        self.taken = 0
        self.recorder = Recorder(job.with_images)
        self._job = job
        self._folder = folder
        self._pipeline = pipeline
        self._clock = Clock(round(job.settings.tracker.death * SECOND))
        self._tally = Tally()
        self._nobody = Nobody(pipeline)
        self._sinks = [self._tally, self.recorder, self._nobody, *sinks]
        self._doubts = Doubts()
        self._warnings: dict[str, str] = {}
        self._files = ExitStack()

    def __enter__(self) -> None:
        untrained = not self._pipeline.engine.spec.trained
        self._sinks += [
            self._files.enter_context(EmotionBag(self._folder / "bag", self._job.with_images)),
            self._files.enter_context(TimelineWriter(self._folder / "timeline.csv", untrained)),
        ]

    def __exit__(self, *exception: Any) -> None:
        self._files.__exit__(*exception)

    def process(self, batch: list[_Due]) -> None:
        """Take images, each with the moment its latency counts from, through the pipeline."""
        self.taken += len(batch)
        images, frames = [], []
        for image, since, pixels in batch:
            try:
                check_stamp(image.stamp, self._doubts.last_stamp(image.topic))
                frames.append(Frame(image.topic, image.stamp, pixels()))
            except ImageError as error:
                self._tally.failed[error.cause] += 1
                warning = f"{image.topic} at {image.time} ns: {error}"
                self._warnings.setdefault(f"{image.topic} {error.cause}", warning)
            else:
                images.append((image, since))
        results = self._pipeline.process(frames) if frames else []
        now = time.monotonic()
        most = self._job.settings.tracker.max_persons
        for (image, since), frame, result in zip(images, frames, results, strict=True):
            for cause, text in self._doubts.of(result, most).items():
                self._warnings.setdefault(f"{image.topic} {cause}", f"{image.topic}: {text}")
            behind = Image(image.time, image.frame_id, frame.image)
            step = self._clock.step(self._with_bearings(image, result), behind, now - since)
            for sink in self._sinks:
                sink.take(step)

    def drop(self, image: RecordedImage) -> None:
        """Pass over an image because a newer one of its camera has come."""
        self.taken += 1
        time = self._clock.time_of(image.topic, image.stamp)
        for sink in self._sinks:
            sink.drop(time)

    def _with_bearings(self, image: RecordedImage, result: FrameResult) -> FrameResult:
        try:
            model = image.info and CameraModel.from_camera_info(image.info, image.topic)
            return add_bearings(result, model)
        except CalibrationError as error:
            self._warnings.setdefault(f"{image.topic} calibration", f"{image.topic}: {error}")
            return result

    def summary(
        self, bag: Bag, topics: list[str], seconds: float, complete: bool
    ) -> dict[str, Any]:
        """Return what was done and found, as plain values; the expectations are left open."""
        name = str(self._job.bag)
        summary = summarize(name, self._pipeline, self._clock, self._tally, seconds)
        summary |= {
            "complete": complete,
            "key": self._job.key(),
            "topics": {topic: bag.topics[topic].count for topic in topics},
            "realtime": self._job.realtime,
            "warnings": [*bag.warnings, *self._warnings.values(), *self._clock.warnings],
            "nobody": self._nobody.reason(),
            "settings": flatten(asdict(self._job.settings)),
        }
        summary["images"]["lost"] = bag.lost
        return summary


def summarize(
    source: str, pipeline: EmotionPipeline, clock: Clock, tally: Tally, seconds: float
) -> dict[str, Any]:
    """Return what is told of any run, as plain values: what was perceived, and by what.

    The expectations are left open. `seconds` is how long the run took.
    """
    engine = pipeline.engine
    duration = clock.now / SECOND
    counts = tally.summary()
    return {
        "bag": source,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "start": clock.start,
        "duration": duration,
        "covered": clock.covered / SECOND,
        "seconds": round(seconds, 3),
        "times_real_time": round(duration / seconds, 2),
        **counts,
        "images": {**counts["images"], "lost": 0, "stamp_jumps": clock.jumps},
        "gaps": [
            {"camera": g.camera, "begin": g.begin / SECOND, "end": g.end / SECOND}
            for g in clock.gaps
        ],
        "expectations": [],
        "weights": {
            "name": pipeline.settings.engine.weights,
            "architecture": engine.spec.architecture,
            "streams": engine.spec.streams,
            "trained": list(engine.spec.trained),
            "scene_part": list(engine.spec.scene_part),
        },
        "engine": {"name": engine.name, "device": engine.device, "precision": engine.precision},
        "settings": flatten(asdict(pipeline.settings)),
        "versions": {
            "caer_ros": package_version(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "openvino", "rosbags")},
        },
    }


class Nobody(Sink):
    """Why nobody is seen: looks again, less strictly, at the 1st, 2nd, 4th, 8th … image."""

    def __init__(self, pipeline: EmotionPipeline) -> None:
        self._pipeline = pipeline
        self._count = 0
        self._seen = False
        self._found: list[Face] = []

    def take(self, step: Step) -> None:
        self._seen = self._seen or bool(step.result.readings)
        self._count += 1
        if self._seen or self._count & (self._count - 1):
            return
        detector = self._pipeline.detector
        settings = detector.settings
        detector.settings = replace(settings, min_score=0.3, min_size=1)
        self._found += detector.detect(step.image.pixels)
        detector.settings = settings

    def reason(self) -> str:
        """Return the reason in words; nothing where somebody was seen, or no image answered."""
        if self._seen or not self._count:
            return ""
        detector, tracker = self._pipeline.settings.detector, self._pipeline.settings.tracker
        why = f"nobody was seen: in {self._count.bit_length()} images looked at again"
        if not self._found:
            return f"{why} is no face"
        sizes = [min(face.width, face.height) for face in self._found]
        if max(sizes) < detector.min_size:
            return (
                f"{why} the largest face has {max(sizes):.0f} pixels, below detector.min_size, "
                f"{detector.min_size}"
            )
        best = max(face.score for face in self._found)
        for name, least in (
            ("detector.min_score", detector.min_score),
            ("tracker.birth_score", tracker.birth_score),
        ):
            if best < least:
                return f"{why} the best face has a score of {best:.2f}, below {name}, {least:g}"
        return f"{why} are faces, but none was found for tracker.birth, {tracker.birth:g} s"


def _at_once(images: Iterator[RecordedImage], max_pixels: int) -> Iterator[list[_Due]]:
    """Yield each image as soon as the one before is done with; meanwhile the next are decoded."""
    waiting: deque[tuple[RecordedImage, Future[np.ndarray]]] = deque()
    with ThreadPoolExecutor(1, "caer_decoder") as decoder:
        # the bag is read here: sqlite3 wants to be in the thread that opened it
        for image in images:
            waiting.append((image, decoder.submit(image.to_bgr, max_pixels)))
            if len(waiting) > _AHEAD:
                image, pixels = waiting.popleft()
                yield [_Due(image, time.monotonic(), pixels.result)]
        for image, pixels in waiting:
            yield [_Due(image, time.monotonic(), pixels.result)]


def _in_real_time(
    images: Iterator[RecordedImage], drop: Callable[[RecordedImage], None], max_pixels: int
) -> Iterator[list[_Due]]:
    """Yield, as the node's mailbox does, the newest image of every topic that is due by now."""
    start = None
    newest: dict[str, _Due] = {}
    for image in images:
        start = time.monotonic() - image.time / SECOND if start is None else start
        due = start + image.time / SECOND
        if newest and due > time.monotonic():
            yield list(newest.values())
            newest = {}
        time.sleep(max(0.0, due - time.monotonic()))
        if image.topic in newest:
            drop(newest[image.topic].image)
        newest[image.topic] = _Due(image, due, partial(image.to_bgr, max_pixels))
    if newest:
        yield list(newest.values())


def _choose_topics(bag: Bag, job: Job) -> list[str]:
    """Return the topics of the job, else those of its settings that hold images, else all."""
    if job.topics:
        return bag.choose_topics(job.topics)
    suffix = "/compressed" if job.settings.image_transport == "compressed" else ""
    names = ["/" + topic.lstrip("/") + suffix for topic in job.settings.image_topics]
    return bag.choose_topics([n for n in names if n in bag.topics and bag.topics[n].count])


def _info_topics(topics: Sequence[str], settings: NodeSettings) -> dict[str, str]:
    """Return the CameraInfo topic of each image topic: as the settings have it, else beside it."""
    named = {
        "/" + image.lstrip("/"): "/" + info.lstrip("/")
        for image, info in zip(settings.image_topics, settings.camera_info_topics, strict=False)
        if info
    }
    return {topic: named.get(base_topic(topic)) or camera_info_topic(topic) for topic in topics}


@contextmanager
def stop_on_interrupt(pressed: threading.Event | None = None) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed; pressed again, it interrupts.

    Whoever waits for something else may wait for the event `pressed` too.
    """
    pressed = pressed or threading.Event()

    def press(signum: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
