# SPDX-License-Identifier: Apache-2.0
"""Images in, readings out: the only file that knows the order of the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from caer_ros.engines.base import Batch, Engine, EngineError
from caer_ros.engines.select import load_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.perception import search
from caer_ros.perception.clips import ClipBuffer, ClipSettings
from caer_ros.perception.crops import CropSettings
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.perception.schedule import (
    CameraState,
    FrameState,
    PersonPrediction,
    PersonState,
    choose_due,
    make_batch,
)
from caer_ros.perception.search import FaceSearch
from caer_ros.perception.smoothing import EmotionSmoother, SmoothingSettings
from caer_ros.perception.tracker import PersonTracker, TrackerSettings, person_ids
from caer_ros.settings import check_live
from caer_ros.types import SECOND, Face, Frame, FrameResult, Reading

LATE = SECOND // 2
"""A frame that is older than the camera's last one by no more than this came out of order, or its
driver stamps with jitter; by more, time was set back."""


@dataclass(frozen=True)
class PipelineSettings:
    """All settings of the pipeline; their dotted names are the node's parameters."""

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    crops: CropSettings = field(default_factory=CropSettings)
    clips: ClipSettings = field(default_factory=ClipSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    smoothing: SmoothingSettings = field(default_factory=SmoothingSettings)


class Detector(search.Detector, Protocol):
    """What the pipeline needs of a `FaceDetector`."""

    settings: DetectorSettings

    def look(self, image: np.ndarray, face: Face) -> float: ...

    def close(self) -> None: ...


class EmotionPipeline:
    """Reads the emotions of everybody in the images of any number of cameras.

    The same frames give the same readings: nothing depends on the machine's clock.

        >>> import numpy as np
        >>> from caer_ros import EmotionPipeline
        >>> from caer_ros.perception.pipeline import PipelineSettings
        >>> from caer_ros.types import Frame
        >>> pipeline = EmotionPipeline.from_settings(PipelineSettings())
        >>> image = np.zeros((480, 640, 3), np.uint8)
        >>> [result] = pipeline.process([Frame(camera="head", stamp=0, image=image)])
        >>> result.camera, result.readings
        ('head', ())
        >>> pipeline.close()
    """

    def __init__(
        self,
        settings: PipelineSettings,
        detector: Detector,
        engine: Engine,
        ids: Iterator[str] | None = None,
        clock: Callable[[], Any] = perf_counter,
    ) -> None:
        """Join a loaded detector and a loaded engine, which the pipeline owns from then on.

        `ids` names persons, see `person_ids`; who makes several pipelines hands on the same one,
        so that no id comes twice. `clock` tells seconds; differences of it are
        `FrameResult.seconds` and change nothing else.
        """
        self.settings = settings
        self.detector = detector
        self.engine = engine
        self._cameras: dict[str, CameraState] = {}
        self._ids = ids or person_ids(settings.tracker.id_prefix)
        self._clock = clock

    @classmethod
    def from_settings(
        cls,
        settings: PipelineSettings,
        ids: Iterator[str] | None = None,
        clock: Callable[[], Any] = perf_counter,
    ) -> EmotionPipeline:
        """Load the detector and the engine that `settings` name.

        Raises:
            CaerError: where one of them cannot be loaded.
        """
        detector, engine = FaceDetector(settings.detector), load_engine(settings.engine)
        return cls(settings, detector, engine, ids, clock)

    def warm_up(self) -> None:
        """Run detector and network once on nothing, so that the first image does not wait.

        Raises:
            CaerError: where one of them fails.
        """
        blank = np.zeros((480, 640, 3), np.uint8)
        self._new_search(blank.shape).find(blank, 0, [Face(200.0, 200.0, 300.0, 300.0)])
        self.engine.infer(Batch.blank(self.engine.spec, 1))

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Read the persons in the newest frame of each camera, all of them in one batch.

        A frame with the stamp of the camera's last one, or up to 0.5 s older, changes nothing and
        gets the last readings again. An older one starts the camera anew, and so, without being
        called a reset, does one of another size.

        Raises:
            CaerError: where the detector or the engine failed. These frames then have no result;
                the next ones are read as usual.
        """
        states = [self._track_and_sample(frame) for frame in frames]
        self._infer([state for state in states if not state.repeated])
        return [self._result(state) for state in states]

    def reset(self) -> None:
        """Forget all persons; ids go on."""
        self._cameras.clear()

    def update(self, settings: PipelineSettings) -> None:
        """Change settings that may change while the pipeline runs, from the next frame on.

        Raises:
            SettingError: where another setting differs; nothing is changed then.
        """
        check_live(self.settings, settings)
        self.settings = settings
        self.detector.settings = settings.detector
        for camera in self._cameras.values():
            camera.tracker.settings = settings.tracker
            camera.search = self._new_search(camera.shape)

    def close(self) -> None:
        """Free detector and engine; the pipeline must not be used afterwards."""
        self.reset()
        # the reverse of loading: on CPUs with AMX, OpenVINO gives the thread a signal stack and at
        # the end puts back the one before, which by then must still be there
        self.engine.close()
        self.detector.close()

    def _track_and_sample(self, frame: Frame) -> FrameState:
        """Find the persons in `frame` and cut what the network reads of them."""
        camera = self._cameras.get(frame.camera)
        age = frame.stamp - camera.stamp if camera else 0
        if camera and -LATE <= age <= 0:
            return FrameState(frame, camera, 0, repeated=True)
        reset = age < 0
        if camera is None or reset or camera.shape != frame.image.shape:
            camera = self._cameras[frame.camera] = self._new_camera(frame)
            age = 0
        camera.stamp = frame.stamp
        state = FrameState(frame, camera, age, reset=reset)
        self._track(state)
        with self._timed(state.seconds, "crops"):
            settings = self.settings
            camera.sample(frame, age, self.engine.spec, settings.crops, settings.clips)
        return state

    def _new_camera(self, frame: Frame) -> CameraState:
        spec = self.engine.spec
        shared = spec.has_context and self.settings.crops.hide == "all"
        return CameraState(
            frame.stamp,
            frame.image.shape,
            self._new_search(frame.image.shape),
            PersonTracker(self.settings.tracker, self._ids),
            ClipBuffer(spec.clip_length, spec.context_size) if shared else None,
        )

    def _new_search(self, shape: tuple[int, ...]) -> FaceSearch:
        return FaceSearch(shape[1], shape[0], self.detector)

    def _track(self, state: FrameState) -> None:
        """Bring the camera's persons to the frame's stamp."""
        frame, camera = state.frame, state.camera
        resting = camera.search.rests(frame.stamp, camera.tracker.calm)
        detecting = frame.faces is not None or (camera.skip == 0 and not resting)
        closely: Callable[[Face], float] = attrgetter("score")
        faces: Sequence[Face] = frame.faces or ()
        if detecting and frame.faces is None:
            closely = partial(self.detector.look, frame.image)
            with self._timed(state.seconds, "tracker"):
                expected = camera.tracker.expected(frame.stamp)
            with self._timed(state.seconds, "detector"):
                faces = camera.search.find(frame.image, frame.stamp, expected)
            camera.skip = self.settings.detector.interval
        camera.skip = max(camera.skip - 1, 0)
        with self._timed(state.seconds, "tracker"):
            if detecting:
                persons = camera.tracker.update(faces, frame.stamp, closely)
            else:
                persons = camera.tracker.predict(frame.stamp)
            camera.keep(persons, self.engine.spec)
        camera.reading = not camera.rested
        camera.rested = resting and not detecting

    def _infer(self, states: Sequence[FrameState]) -> None:
        """Let the network read the clips that are due, of all cameras in one batch."""
        spec = self.engine.spec
        chosen = choose_due(states, spec, self.settings.clips.stride)
        if not chosen:
            return
        seconds: dict[str, Any] = {}
        with self._timed(seconds, "crops"):
            batch, spans = make_batch(chosen, spec)
        with self._timed(seconds, "network"):
            prediction = self.engine.infer(batch)
        if not np.isfinite(prediction.probabilities).all():
            raise EngineError(
                f"{self.engine.name} gave probabilities that are not numbers; "
                "try another engine.precision"
            )
        for i, (_, person) in enumerate(chosen):
            person.prediction = PersonPrediction.of(prediction, i, spans[i])
            person.new_samples, person.due_since = 0, None
        for state in states:
            for step, spent in seconds.items():
                state.seconds[step] = state.seconds.get(step, 0.0) + spent / len(states)

    def _result(self, state: FrameState) -> FrameResult:
        """Smooth what the network said and put the readings together."""
        frame, camera = state.frame, state.camera
        if not state.repeated:
            with self._timed(state.seconds, "smoothing"):
                camera.readings = tuple(
                    self._reading(person, person.prediction, frame.stamp)
                    for person in camera.persons.values()
                    if person.prediction
                )
        height, width = frame.image.shape[:2]
        return FrameResult(
            frame.camera,
            frame.stamp,
            width,
            height,
            camera.readings,
            state.reset,
            state.seconds,
        )

    def _reading(self, state: PersonState, prediction: PersonPrediction, stamp: int) -> Reading:
        if state.smoother is None:
            state.smoother = EmotionSmoother(prediction.probabilities, stamp)
        else:
            state.smoother.update(prediction.probabilities, stamp, self.settings.smoothing)
        probabilities = tuple(state.smoother.probabilities.tolist())
        emotion = state.smoother.emotion
        return Reading(
            person_id=state.person.person_id,
            face=state.person.face,
            emotion=emotion,
            confidence=probabilities[emotion],
            probabilities=probabilities,
            face_weight=prediction.face_weight,
            context_weight=prediction.context_weight,
            frames=prediction.frames,
            clip_duration=prediction.clip_duration,
            since=state.smoother.since,
            detected=state.person.detected,
            attention=prediction.attention,
        )

    @contextmanager
    def _timed(self, seconds: dict[str, Any], step: str) -> Iterator[None]:
        """Add what the clock says the body took to `seconds[step]`."""
        started = self._clock()
        yield
        seconds[step] = seconds.get(step, 0.0) + self._clock() - started
