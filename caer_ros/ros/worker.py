# SPDX-License-Identifier: Apache-2.0
"""The thread that turns the cameras' newest messages into results."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from sensor_msgs.msg import CameraInfo

from caer_ros.images import MAX_PIXELS, ImageError, check_stamp, decode, to_bgr
from caer_ros.perception.bearing import CalibrationError, CameraModel, add_bearings
from caer_ros.perception.doubts import Doubts, seconds
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.ros.counts import SILENCE, Statistics
from caer_ros.ros.foreign import Faces, Locate, as_it_is
from caer_ros.ros.mailbox import Mailbox
from caer_ros.ros.serialized import read_compressed_image, read_image
from caer_ros.types import SECOND, CaerError, Frame, FrameResult

FAR = 10 * SECOND
"""How far a stamp may be from the node's clock without being called wrong."""


class Arrival(NamedTuple):
    """A serialized image message, the faces found in it elsewhere, and when it came (s)."""

    serialized: bytes
    faces: Faces | None
    when: float


class Output(Protocol):
    """Where results go; called by one thread at a time."""

    def publish(self, result: FrameResult, frame_id: str, image: np.ndarray) -> None:
        """Tell what was read in an image, with its frame_id."""

    def forget(self, camera: str) -> None:
        """Tell that nobody is followed in a camera any more."""


class Worker:
    """Takes the newest image of every camera through the pipeline, in one batch, in one thread.

    Every image received is in the end counted as answered, dropped or refused, once.
    """

    def __init__(
        self,
        pipeline: EmotionPipeline,
        compressed: bool,
        output: Output,
        statistics: Statistics,
        now: Callable[[], int],
        max_pixels: int = MAX_PIXELS,
        locate: Locate = as_it_is,
    ) -> None:
        self._pipeline = pipeline
        self._read = partial(_read_compressed if compressed else _read_raw, max_pixels=max_pixels)
        self._output = output
        self._locate = locate
        self._statistics = statistics
        self._now = now
        # held while the pipeline works, and not while an image is decoded, which may take long
        self._lock = threading.Lock()
        self._doubts = Doubts()
        self._answered: dict[str, float] = {}  # when, by camera that is not silent
        self._models: dict[str, CameraModel | None] = {}
        self._mailbox: Mailbox[Arrival] = Mailbox()
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        return self._thread is not None

    @property
    def alive(self) -> bool:
        """Whether the thread works; not so once it has ended unasked."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="caer_worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the images at work, drop those that wait, end the thread, forget all persons."""
        if self._thread is None:
            return
        for camera in self._mailbox.close():
            self._statistics.dropped(camera)
        self._thread.join()
        self._thread, self._mailbox = None, Mailbox()
        self.reset()

    def receive(self, camera: str, serialized: bytes) -> None:
        """Count a camera's serialized message as received, and leave it."""
        self._statistics.received(camera)
        self.put(camera, serialized)

    def put(self, camera: str, serialized: bytes, faces: Faces | None = None) -> None:
        """Leave a camera's serialized message, in place of an older one not yet taken.

        faces: what was found in it elsewhere, for `locate`; None where the own detector is to
            look.
        """
        if self._mailbox.put(camera, Arrival(serialized, faces, time.monotonic())):
            self._statistics.dropped(camera)

    def calibrate(self, camera: str, info: CameraInfo) -> None:
        """Take a camera's calibration for the bearings from the next image on."""
        model = None
        try:
            model = CameraModel.from_camera_info(info, camera)
        except CalibrationError as error:
            self._statistics.doubted(camera, "calibration", str(error))
        self._models[camera] = model
        self._statistics.calibrated(camera, model is not None)

    def update(self, settings: PipelineSettings) -> None:
        """Let live settings take effect from the next image on."""
        with self._lock:
            self._pipeline.update(settings)

    def reset(self) -> None:
        """Forget all persons."""
        with self._lock:
            self._pipeline.reset()
            self._doubts = Doubts()
            for camera in list(self._answered):
                self._forget(camera)

    def _run(self) -> None:
        # who is silent is looked for twice a second
        while (arrivals := self._mailbox.take(0.5 if self._answered else None)) is not None:
            frames, frame_ids = self._decode(arrivals)
            with self._lock:
                if frames:
                    self._process(frames, frame_ids, arrivals)
                for camera, when in list(self._answered.items()):
                    if time.monotonic() - when > SILENCE:
                        self._forget(camera)

    def _forget(self, camera: str) -> None:
        del self._answered[camera]
        self._output.forget(camera)
        self._statistics.forget(camera)

    def _decode(self, arrivals: dict[str, Arrival]) -> tuple[list[Frame], dict[str, str]]:
        """Return the images that are ones, and the frame_id of each by camera."""
        frames, frame_ids = [], {}
        for camera, arrival in arrivals.items():
            try:
                stamp, frame_ids[camera], image = self._read(arrival.serialized)
                check_stamp(stamp, self._doubts.last_stamp(camera))
                faces = arrival.faces
                if faces is not None:
                    faces = self._locate(image, faces)
            # whatever broke, the next image may go well
            except Exception as error:
                self._fail(camera, error)
            else:
                frames.append(Frame(camera, stamp, image, faces))
        return frames, frame_ids

    def _process(
        self,
        frames: list[Frame],
        frame_ids: dict[str, str],
        arrivals: dict[str, Arrival],
    ) -> None:
        try:
            results = self._pipeline.process(frames)
        except Exception as error:
            for frame in frames:
                self._fail(frame.camera, error)
            return
        for frame, result in zip(frames, results, strict=True):
            try:
                result = self._aim(result)
                self._output.publish(result, frame_ids[frame.camera], frame.image)
            # the other cameras' answers still go out
            except Exception as error:
                self._fail(frame.camera, error)
            else:
                self._answered[frame.camera] = time.monotonic()
                self._count(result, frame_ids[frame.camera], arrivals[frame.camera].when)
                most = self._pipeline.settings.tracker.max_persons
                for doubt in self._doubts.of(result, most).items():
                    self._statistics.doubted(frame.camera, *doubt)

    def _fail(self, camera: str, error: Exception) -> None:
        cause = error.cause if isinstance(error, ImageError) else "processing"
        kind = "" if isinstance(error, CaerError) else f"{type(error).__name__}: "
        self._statistics.failed(camera, cause, f"{kind}{error}")

    def _aim(self, result: FrameResult) -> FrameResult:
        """Add the bearings, where the camera's calibration is known and fits its images."""
        try:
            return add_bearings(result, self._models.get(result.camera))
        except CalibrationError as error:
            self._statistics.doubted(result.camera, "calibration", str(error))
            return result

    def _count(self, result: FrameResult, frame_id: str, arrived: float) -> None:
        now = self._now()
        latency = now - result.stamp
        # the clock is 0 while simulated time has not begun
        known = now and abs(latency) <= FAR
        self._statistics.processed(
            result,
            frame_id,
            latency / SECOND if known else math.nan,
            time.monotonic() - arrived,
        )
        if now and not known:
            side = "behind" if latency > 0 else "ahead of"
            self._statistics.doubted(
                result.camera,
                f"stamp {side.split()[0]}",
                f"image stamp {seconds(result.stamp)} is {abs(latency) // SECOND} s {side} the "
                "node's clock: does use_sim_time fit, are the computers' clocks the same?",
            )


def _read_raw(serialized: bytes, max_pixels: int) -> tuple[int, str, np.ndarray]:
    message = read_image(serialized)
    return message.stamp, message.frame_id, to_bgr(message, max_pixels=max_pixels)


def _read_compressed(serialized: bytes, max_pixels: int) -> tuple[int, str, np.ndarray]:
    message = read_compressed_image(serialized)
    return message.stamp, message.frame_id, decode(message, max_pixels=max_pixels)
