# SPDX-License-Identifier: Apache-2.0
"""Images in, readings out: the only file that knows the order of the steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Protocol

import cv2
import numpy as np

from caer_ros.engines.base import Batch, Engine, EngineError, Prediction
from caer_ros.engines.select import load_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.perception.clips import PERIOD, ClipBuffer, ClipSettings, SampleClock
from caer_ros.perception.crops import CropSettings, context_crop, face_crop, shrink_scene
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.perception.smoothing import EmotionSmoother, SmoothingSettings
from caer_ros.perception.tracker import PersonTracker, TrackerSettings, person_ids
from caer_ros.settings import check_live
from caer_ros.types import SECOND, Face, Frame, FrameResult, Person, Reading

LATE = SECOND // 10
"""A frame that is older than the camera's last one by no more than this came out of order; by
more, time was set back."""


@dataclass(frozen=True)
class PipelineSettings:
    """All settings of the pipeline; their dotted names are the node's parameters."""

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    crops: CropSettings = field(default_factory=CropSettings)
    clips: ClipSettings = field(default_factory=ClipSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    smoothing: SmoothingSettings = field(default_factory=SmoothingSettings)


class Detector(Protocol):
    """What the pipeline needs of a `FaceDetector`."""

    settings: DetectorSettings

    def detect(self, image: np.ndarray) -> list[Face]: ...

    def look(self, image: np.ndarray, face: Face) -> float: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Answer:
    """What the network said of one person, and of how much it said so."""

    probabilities: np.ndarray
    face_weight: float
    context_weight: float
    attention: np.ndarray | None
    frames: int
    clip_duration: int


@dataclass
class _Known:
    """A tracked person.

    face, context: the person's clips; None where the network does not read such a stream, and for
        a context that all share.
    visible: whether the last detection found the face; if not, the last answer goes on.
    unread: samples since the clip was last read.
    due: stamp from which the clip waits to be read, None while it does not.
    """

    person: Person
    face: ClipBuffer | None
    context: ClipBuffer | None
    visible: bool = True
    unread: int = 0
    due: int | None = None
    answer: _Answer | None = None
    smoother: EmotionSmoother | None = None


@dataclass
class _Camera:
    """What is remembered of one camera.

    scene: the clip of the context that all its persons share, or None.
    skip: frames to come in which the detector does not run.
    """

    stamp: int
    shape: tuple[int, ...]
    tracker: PersonTracker
    scene: ClipBuffer | None
    clock: SampleClock = field(default_factory=SampleClock)
    skip: int = 0
    known: dict[str, _Known] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()


@dataclass
class _Look:
    """One frame on its way: its camera, the time since the camera's frame before, in ns."""

    frame: Frame
    camera: _Camera
    elapsed: int
    repeated: bool = False
    reset: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


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
    ) -> None:
        """Join a loaded detector and a loaded engine, which the pipeline owns from then on.

        `ids` names persons, see `person_ids`; who makes several pipelines hands on the same one,
        so that no id comes twice.
        """
        self.settings = settings
        self.detector = detector
        self.engine = engine
        self._cameras: dict[str, _Camera] = {}
        self._ids = ids or person_ids(settings.tracker.id_prefix)

    @classmethod
    def from_settings(
        cls, settings: PipelineSettings, ids: Iterator[str] | None = None
    ) -> EmotionPipeline:
        """Load the detector and the engine that `settings` name; OpenCV gets one thread.

        Raises:
            CaerError: where one of them cannot be loaded.
        """
        # its threads take processor time and no image is done sooner (docs/performance.md)
        cv2.setNumThreads(1)
        return cls(settings, FaceDetector(settings.detector), load_engine(settings.engine), ids)

    def warm_up(self) -> None:
        """Run detector and network once on nothing, so that the first image does not wait.

        Raises:
            CaerError: where one of them fails.
        """
        self.detector.detect(np.zeros((480, 640, 3), np.uint8))
        self.engine.infer(Batch.blank(self.engine.spec, 1))

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Read the persons in the newest frame of each camera, all of them in one batch.

        A frame with the stamp of the camera's last one, or up to 0.1 s older, changes nothing and
        gets the last readings again. An older one starts the camera anew, and so, without being
        called a reset, does one of another size.

        Raises:
            CaerError: where the detector or the engine failed. These frames then have no result;
                the next ones are read as usual.
        """
        looks = [self._look(frame) for frame in frames]
        self._read([look for look in looks if not look.repeated])
        return [self._conclude(look) for look in looks]

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

    def close(self) -> None:
        """Free detector and engine; the pipeline must not be used afterwards."""
        self.reset()
        # the reverse of loading: on CPUs with AMX, OpenVINO gives the thread a signal stack and at
        # the end puts back the one before, which by then must still be there
        self.engine.close()
        self.detector.close()

    def _look(self, frame: Frame) -> _Look:
        """Find the persons in `frame` and take their samples."""
        camera = self._cameras.get(frame.camera)
        age = frame.stamp - camera.stamp if camera else 0
        if camera and -LATE <= age <= 0:
            return _Look(frame, camera, 0, repeated=True)
        reset = age < 0
        if camera is None or reset or camera.shape != frame.image.shape:
            camera = self._cameras[frame.camera] = self._new_camera(frame)
            age = 0
        camera.stamp = frame.stamp
        look = _Look(frame, camera, age, reset=reset)
        self._track(look)
        with _timed(look.seconds, "crops"):
            self._sample(look)
        return look

    def _new_camera(self, frame: Frame) -> _Camera:
        spec = self.engine.spec
        shared = spec.has_context and self.settings.crops.hide == "all"
        return _Camera(
            frame.stamp,
            frame.image.shape,
            PersonTracker(self.settings.tracker, self._ids),
            ClipBuffer(spec.clip_length, spec.context_size) if shared else None,
        )

    def _track(self, look: _Look) -> None:
        """Bring the camera's persons to the frame's stamp."""
        frame, camera = look.frame, look.camera
        detecting = camera.skip == 0
        if detecting:
            with _timed(look.seconds, "detector"):
                faces = self.detector.detect(frame.image)
            camera.skip = self.settings.detector.interval
        camera.skip -= 1
        with _timed(look.seconds, "tracker"):
            if detecting:
                persons = camera.tracker.update(
                    faces, frame.stamp, partial(self.detector.look, frame.image)
                )
            else:
                persons = camera.tracker.predict(frame.stamp)
            before = camera.known
            camera.known = {}
            for person in persons:
                known = before.get(person.person_id) or self._meet(person, camera)
                known.person = person
                if detecting:
                    known.visible = person.detected
                camera.known[person.person_id] = known

    def _meet(self, person: Person, camera: _Camera) -> _Known:
        spec = self.engine.spec
        own = spec.has_context and camera.scene is None
        return _Known(
            person,
            ClipBuffer(spec.clip_length, spec.face_size) if spec.has_face else None,
            ClipBuffer(spec.clip_length, spec.context_size) if own else None,
        )

    def _sample(self, look: _Look) -> None:
        """Cut what the network reads of each person who is visible, where a sample is due."""
        frame, camera, spec = look.frame, look.camera, self.engine.spec
        beat = not spec.is_video or camera.clock.tick(frame.stamp)
        # who is new does not wait for the beat
        sampled = [
            known
            for known in camera.known.values()
            if known.visible and (beat or (known.answer is None and not known.unread))
        ]
        if not sampled:
            return
        scene = shrink_scene(frame.image, spec.context_size) if spec.has_context else None
        if scene and camera.scene:
            faces = [known.person.face for known in camera.known.values()]
            context_crop(scene, faces, spec.context_size, out=camera.scene.add(frame.stamp))
        for known in sampled:
            face = known.person.face
            if known.face:
                margin = self.settings.crops.face_margin
                face_crop(
                    frame.image, face, spec.face_size, margin, out=known.face.add(frame.stamp)
                )
            if scene and known.context:
                context_crop(scene, [face], spec.context_size, out=known.context.add(frame.stamp))
            known.unread += 1
            if known.due is None and (known.answer is None or known.unread >= self._stride):
                known.due = frame.stamp

    @property
    def _stride(self) -> int:
        return self.settings.clips.stride if self.engine.spec.is_video else 1

    def _read(self, looks: Sequence[_Look]) -> None:
        """Let the network read the clips that are due, the longest waiting first.

        Clips are spread over the frames of a stride instead of all being read in the frame in
        which they get due: ten people who came in together would else stop the node ten times as
        long.
        """
        due = [
            (known.due, look.camera, known)
            for look in looks
            for known in look.camera.known.values()
            if known.due is not None
        ]
        if not due:
            return
        if self.engine.spec.is_video:
            due.sort(key=lambda item: item[0])
            visible = [sum(k.visible for k in look.camera.known.values()) for look in looks]
            share = sum(n * look.elapsed for n, look in zip(visible, looks, strict=True))
            del due[max(1, math.ceil(share / (self._stride * PERIOD))) :]
        chosen = [(camera, known) for _, camera, known in due]

        seconds: dict[str, float] = {}
        with _timed(seconds, "crops"):
            batch, spans = self._batch(chosen)
        with _timed(seconds, "network"):
            prediction = self.engine.infer(batch)
        if not np.isfinite(prediction.probabilities).all():
            raise EngineError(
                f"{self.engine.name} gave probabilities that are not numbers; "
                "try another engine.precision"
            )
        for i, (_, known) in enumerate(chosen):
            known.answer = _answer(prediction, i, spans[i])
            known.unread, known.due = 0, None
        for look in looks:
            for step, spent in seconds.items():
                look.seconds[step] = look.seconds.get(step, 0.0) + spent / len(looks)

    def _batch(
        self, chosen: Sequence[tuple[_Camera, _Known]]
    ) -> tuple[Batch, list[tuple[int, int]]]:
        """Return the clips as one batch, and each one's samples and time span."""
        spec = self.engine.spec
        spans = [(0, 0)] * len(chosen)
        contexts = context_index = faces = None
        if spec.has_context:
            clips = [c for camera, known in chosen if (c := known.context or camera.scene)]
            scenes = list(dict.fromkeys(clips))
            contexts, scene_spans = _stack(scenes, spec.clip_length, spec.context_size)
            context_index = np.array([scenes.index(clip) for clip in clips], np.int64)
            spans = [scene_spans[i] for i in context_index]
        if spec.has_face:
            clips = [clip for _, known in chosen if (clip := known.face)]
            faces, spans = _stack(clips, spec.clip_length, spec.face_size)
        return Batch(faces, contexts, context_index), spans

    def _conclude(self, look: _Look) -> FrameResult:
        """Smooth what the network said and put the readings together."""
        frame, camera = look.frame, look.camera
        if not look.repeated:
            with _timed(look.seconds, "smoothing"):
                camera.readings = tuple(
                    self._reading(known, known.answer, frame.stamp)
                    for known in camera.known.values()
                    if known.answer
                )
        height, width = frame.image.shape[:2]
        return FrameResult(
            frame.camera,
            frame.stamp,
            width,
            height,
            camera.readings,
            look.reset,
            look.seconds,
        )

    def _reading(self, known: _Known, answer: _Answer, stamp: int) -> Reading:
        if known.smoother is None:
            known.smoother = EmotionSmoother(answer.probabilities, stamp)
        else:
            known.smoother.update(answer.probabilities, stamp, self.settings.smoothing)
        probabilities = tuple(known.smoother.probabilities.tolist())
        emotion = known.smoother.emotion
        return Reading(
            person_id=known.person.person_id,
            face=known.person.face,
            emotion=emotion,
            confidence=probabilities[emotion],
            probabilities=probabilities,
            face_weight=answer.face_weight,
            context_weight=answer.context_weight,
            frames=answer.frames,
            clip_duration=answer.clip_duration,
            since=known.smoother.since,
            detected=known.person.detected,
            attention=answer.attention,
        )


def _stack(
    clips: Sequence[ClipBuffer], length: int, size: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the clips as one batch for the engine, and each one's samples and time span."""
    batch = np.empty((len(clips), length, size, size, 3), np.uint8)
    spans = [clip.read(out) for clip, out in zip(clips, batch, strict=True)]
    return batch if length > 1 else batch[:, 0], spans


def _answer(prediction: Prediction, i: int, span: tuple[int, int]) -> _Answer:
    attention = None if prediction.attention is None else prediction.attention[i].copy()
    return _Answer(
        prediction.probabilities[i].copy(),
        float(prediction.face_weight[i]),
        float(prediction.context_weight[i]),
        attention,
        *span,
    )


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the wall time of the body to `seconds[step]`."""
    started = perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + perf_counter() - started
