# SPDX-License-Identifier: Apache-2.0
"""Who is read when: the persons of a camera, their clips, and which of them are due."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from caer_ros.engines.base import Batch, Prediction
from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.clips import PERIOD, ClipBuffer, ClipSettings, SampleClock
from caer_ros.perception.crops import CropSettings, context_crop, face_crop, shrink_scene
from caer_ros.perception.search import FaceSearch
from caer_ros.perception.smoothing import EmotionSmoother
from caer_ros.perception.tracker import PersonTracker
from caer_ros.types import SECOND, Frame, Person, Reading


@dataclass(frozen=True)
class PersonPrediction:
    """What the network said of one person, and of how many samples over how long (ns)."""

    probabilities: np.ndarray
    face_weight: float
    context_weight: float
    attention: np.ndarray | None
    frames: int
    clip_duration: int

    @classmethod
    def of(cls, prediction: Prediction, i: int, span: tuple[int, int]) -> PersonPrediction:
        """Return the part of `prediction` that is of the `i`-th person in the batch."""
        attention = None if prediction.attention is None else prediction.attention[i].copy()
        return cls(
            prediction.probabilities[i].copy(),
            float(prediction.face_weight[i]),
            float(prediction.context_weight[i]),
            attention,
            *span,
        )


@dataclass(eq=False)
class PersonState:
    """What is remembered of a tracked person.

    face_clip, context_clip: None where the network does not read such a stream, and for a context
        that all persons share.
    new_samples: samples since the last inference.
    due_since: stamp from which the clip waits for inference, None while it does not.
    """

    person: Person
    face_clip: ClipBuffer | None
    context_clip: ClipBuffer | None
    new_samples: int = 0
    due_since: int | None = None
    prediction: PersonPrediction | None = None
    smoother: EmotionSmoother | None = None


@dataclass(eq=False)
class CameraState:
    """What is remembered of one camera.

    scene_clip: the clip of the context that all its persons share, or None.
    skip: frames to come in which the detector does not run.
    rested: whether it did not in this frame, because everybody keeps still; reading: whether a
        static network reads in this frame. So looking and reading take turns where both are rare.
    """

    stamp: int
    shape: tuple[int, ...]
    search: FaceSearch
    tracker: PersonTracker
    scene_clip: ClipBuffer | None
    clock: SampleClock = field(default_factory=SampleClock)
    skip: int = 0
    rested: bool = False
    reading: bool = True
    persons: dict[str, PersonState] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()

    def keep(self, persons: Sequence[Person], spec: NetworkSpec) -> None:
        """Take in the tracker's persons."""
        before = self.persons
        self.persons = {}
        for person in persons:
            state = before.get(person.person_id)
            if state is None:
                own_scene = spec.has_context and self.scene_clip is None
                state = PersonState(
                    person,
                    ClipBuffer(spec.clip_length, spec.face_size) if spec.has_face else None,
                    ClipBuffer(spec.clip_length, spec.context_size) if own_scene else None,
                )
            state.person = person
            self.persons[person.person_id] = state

    def sample(
        self,
        frame: Frame,
        elapsed: int,
        spec: NetworkSpec,
        crops: CropSettings,
        clips: ClipSettings,
    ) -> None:
        """Cut what the network reads of each person who is visible, where a sample is due.

        elapsed: ns since the camera's frame before.
        """
        beat = self.clock.tick(frame.stamp) if spec.is_video else self.reading
        # who is new does not wait for the beat
        sampled = [
            state
            for state in self.persons.values()
            if state.person.detected
            and (beat or (state.prediction is None and not state.new_samples))
        ]
        if not sampled:
            return
        for state in sampled:
            face = state.person.face
            if state.face_clip:
                out = state.face_clip.add(frame.stamp)
                face_crop(frame.image, face, spec.face_size, crops.face_margin, out=out)
            state.new_samples += 1
            stride = clips.stride if spec.is_video else 1
            fresh = state.prediction is None or state.new_samples >= stride
            if state.due_since is None and fresh:
                state.due_since = frame.stamp
        if spec.has_context:
            period = 0 if spec.is_video else round(SECOND / clips.scene_rate)
            self._sample_scenes(sampled, frame, elapsed, spec, period)

    def _sample_scenes(
        self,
        sampled: Sequence[PersonState],
        frame: Frame,
        elapsed: int,
        spec: NetworkSpec,
        period: int,
    ) -> None:
        """Cut the scenes that are older than `period`, ns: the one all share, or each person's.

        Those of several persons are spread over a period's frames.
        """
        clips = [(s.context_clip, [s.person.face]) for s in sampled if s.context_clip]
        if self.scene_clip:
            clips = [(self.scene_clip, [s.person.face for s in self.persons.values()])]
        new = [(clip, faces) for clip, faces in clips if clip.newest is None]
        old = [
            (newest, clip, faces)
            for clip, faces in clips
            if (newest := clip.newest) is not None and frame.stamp - newest >= period
        ]
        old.sort(key=lambda item: item[0])
        share = math.ceil(len(clips) * elapsed / period) if period else len(old)
        due = [*new, *(item[1:] for item in old[: max(share, 1)])]
        if not due:
            return
        scene = shrink_scene(frame.image, spec.scene_size)
        for clip, faces in due:
            context_crop(scene, faces, spec.context_size, out=clip.add(frame.stamp))


@dataclass(eq=False)
class FrameState:
    """One frame on its way: its camera, and the time since the camera's frame before, in ns."""

    frame: Frame
    camera: CameraState
    elapsed: int
    repeated: bool = False
    reset: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


def choose_due(
    frames: Sequence[FrameState], spec: NetworkSpec, stride: int
) -> list[tuple[CameraState, PersonState]]:
    """Return the persons whose clips are read now, the longest waiting first.

    For a video network they are spread over the frames of a stride instead of all being read in
    the frame in which they get due: ten people who came in together would else stop the node ten
    times as long.
    """
    due = [
        (state.due_since, frame.camera, state)
        for frame in frames
        for state in frame.camera.persons.values()
        if state.due_since is not None
    ]
    if spec.is_video:
        due.sort(key=lambda item: item[0])
        share = sum(
            frame.elapsed * sum(state.person.detected for state in frame.camera.persons.values())
            for frame in frames
        )
        del due[max(1, math.ceil(share / (stride * PERIOD))) :]
    return [(camera, state) for _, camera, state in due]


def make_batch(
    chosen: Sequence[tuple[CameraState, PersonState]], spec: NetworkSpec
) -> tuple[Batch, list[tuple[int, int]]]:
    """Return the clips of the persons as one batch, and each one's samples and time span."""
    spans = [(0, 0)] * len(chosen)
    contexts = context_index = faces = None
    if spec.has_context:
        clips = [c for camera, state in chosen if (c := state.context_clip or camera.scene_clip)]
        scenes = list(dict.fromkeys(clips))
        contexts, scene_spans = _stack(scenes, spec.clip_length, spec.context_size)
        context_index = np.array([scenes.index(clip) for clip in clips], np.int64)
        spans = [scene_spans[i] for i in context_index]
    if spec.has_face:
        clips = [clip for _, state in chosen if (clip := state.face_clip)]
        faces, spans = _stack(clips, spec.clip_length, spec.face_size)
    return Batch(faces, contexts, context_index), spans


def _stack(
    clips: Sequence[ClipBuffer], length: int, size: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    batch = np.empty((len(clips), length, size, size, 3), np.uint8)
    spans = [clip.read(out) for clip, out in zip(clips, batch, strict=True)]
    return batch if length > 1 else batch[:, 0], spans
