# SPDX-License-Identifier: Apache-2.0
"""The package for a Python program, without ROS: read a picture, watch a camera.

`import caer_ros` offers the same names. Where another package's build has emptied
`caer_ros/__init__.py`, import them from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np

from caer_ros.drawing import draw_readings
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.perception.tracker import person_ids
from caer_ros.settings import build
from caer_ros.types import Emotion, Frame, FrameResult, Reading
from caer_ros.video import read_picture, write_picture
from caer_ros.viewer.source import Images, open_source

__all__ = ["Emotion", "EmotionPipeline", "FrameReadings", "Reading", "read", "watch"]


class FrameReadings(Sequence[Reading]):
    """What the people in one image show: a sequence of `Reading`, in order of person id.

    image: uint8 BGR of shape (height, width, 3). result: the same readings with camera and stamp.

        >>> import caer_ros
        >>> people = caer_ros.read("people.jpg")
        >>> people.stamp, people.image.shape
        (0, (667, 1000, 3))
        >>> len(people), people[0].emotion.label
        (5, 'happy')
    """

    def __init__(self, image: np.ndarray, result: FrameResult) -> None:
        self.image = image
        self.result = result

    @property
    def stamp(self) -> int:
        """When the image was taken, in ns: of a video since its beginning, of a camera UTC."""
        return self.result.stamp

    @overload
    def __getitem__(self, index: int) -> Reading: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Reading]: ...
    def __getitem__(self, index: int | slice) -> Reading | Sequence[Reading]:
        return self.result.readings[index]

    def __len__(self) -> int:
        return len(self.result.readings)

    def __repr__(self) -> str:
        people = ", ".join(f"{r.person_id} {r.emotion.label} {r.confidence:.0%}" for r in self)
        return f"<{people or 'nobody'} at {self.stamp / 1e9:.3f} s>"

    def plot(self, path: Path | str | None = None) -> np.ndarray:
        """Draw boxes, tags and probabilities over the image; return it, uint8 BGR.

        Args:
            path: file to write it to as well; its ending says the format (.png, .jpg).

        Raises:
            CaerError: where it cannot be written.

            >>> import caer_ros
            >>> caer_ros.read("people.jpg").plot("out.png").shape
            (667, 1000, 3)
        """
        drawn = draw_readings(self.image, self)
        if path is not None:
            write_picture(Path(path), drawn)
        return drawn


def read(
    picture: Path | str | np.ndarray, settings: Mapping[str, Any] | None = None
) -> FrameReadings:
    """Read the emotions of everybody in one picture, at once.

    Detector and network are loaded with the first call and kept for the next ones.

    Args:
        picture: a file, or uint8 BGR of shape (height, width, 3).
        settings: by name as in config/caer.yaml, e.g. `{"detector.min_size": 12}`.

    Raises:
        CaerError: where picture or settings are no good, or detector or network do not load.

        >>> import caer_ros
        >>> people = caer_ros.read("people.jpg")
        >>> len(people)
        5
        >>> person = people[0]
        >>> person.emotion.label, person.emotion == caer_ros.Emotion.HAPPY
        ('happy', True)
        >>> len(person.probabilities), round(sum(person.probabilities), 3)
        (7, 1.0)
        >>> round(person.face.width, -1), person.face_weight, person.context_weight
        (110.0, 1.0, 0.0)
        >>> _ = people.plot("out.png")
    """
    image = picture if isinstance(picture, np.ndarray) else read_picture(Path(picture))
    values = {"tracker.id_prefix": "p", **(settings or {}), "tracker.birth": 0.0}
    loaded = _kept(build(PipelineSettings, values))
    # of their own: tracks and ids of this picture
    ids = person_ids(loaded.settings.tracker.id_prefix)
    pipeline = EmotionPipeline(loaded.settings, loaded.detector, loaded.engine, ids)
    return FrameReadings(image, pipeline.process([Frame(str(picture)[:200], 0, image)])[0])


@lru_cache(maxsize=1)
def _kept(settings: PipelineSettings) -> EmotionPipeline:
    return EmotionPipeline.from_settings(settings)


def watch(
    source: Path | str | int | Images,
    settings: Mapping[str, Any] | None = None,
    fps: float | None = None,
) -> Iterator[FrameReadings]:
    """Yield the readings of frame after frame of a camera, stream, video, folder or bag.

    A camera gives its newest image, and is waited for when it goes away; all else gives every
    image.

    Args:
        source: a camera's number or device file, an rtsp or http address, a video, a picture, a
            folder of pictures, a bag; or an iterable of (stamp in ns, uint8 BGR image).
        settings: by name as in config/caer.yaml, e.g. `{"engine.weights": "caer_net"}`.
        fps: images a second of a video or folder, in place of its own time.

    Raises:
        CaerError: where the source or the settings are no good, or detector or network fail.

        >>> import caer_ros
        >>> for people in caer_ros.watch("talk.mp4"):
        ...     for person in people:
        ...         if people.stamp >= 5_000_000_000:
        ...             print(person.person_id, person.emotion.label)
        ...     if people.stamp >= 5_000_000_000:
        ...         break
        p0001 sad
    """
    values = {"tracker.id_prefix": "p", **(settings or {})}
    with open_source(source, fps) as frames:
        pipeline = EmotionPipeline.from_settings(build(PipelineSettings, values))
        try:
            for frame in frames:
                yield FrameReadings(frame.image, pipeline.process([frame])[0])
        finally:
            pipeline.close()
