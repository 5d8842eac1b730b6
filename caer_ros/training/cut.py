# SPDX-License-Identifier: Apache-2.0
"""What a network sees of an example, cut by the very functions that the robot uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from caer_ros.network.spec import NetworkSpec
from caer_ros.perception.crops import (
    CropSettings,
    context_crop,
    even_light,
    face_cut,
    shrink_scene,
)
from caer_ros.training.augment import Look
from caer_ros.training.examples import DataError, Example
from caer_ros.types import Emotion, Face


def boxes_of(example: Example, frames: Sequence[np.ndarray]) -> tuple[Face, ...]:
    """Return the face in each frame; for a face crop that is the whole picture."""
    return example.boxes or tuple(Face(0, 0, f.shape[1], f.shape[0]) for f in frames)


def class_mask(example: Example) -> np.ndarray:
    """Return which classes the example's data set has, bool (7,)."""
    return np.array([emotion in example.classes for emotion in Emotion])


def check(example: Example, spec: NetworkSpec) -> None:
    """See that the example has what the network reads.

    Raises:
        DataError: for a face crop where the network needs a scene.
    """
    if spec.has_context and example.boxes is None:
        raise DataError(
            f"{example.name} is a face crop without a scene, which a network with streams "
            f"{spec.streams!r} needs; for face crops take one with streams 'face'"
        )


def cut(
    example: Example,
    frames: Sequence[np.ndarray],
    boxes: Sequence[Face],
    spec: NetworkSpec,
    *,
    look: Look | None = None,
    rng: np.random.Generator | None = None,
    face_size: int | None = None,
    hide_face: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return faces (T, size, size, 3) and contexts of T frames, None for a stream it lacks.

    `look`, with the `rng` of its noise, changes them as a camera would; `face_size` stands in for
    the spec's. Without `hide_face` the face is left in the scene, which only studies do.
    """
    look, rng = look or Look(), rng or np.random.default_rng(0)
    faces = contexts = None
    pairs = list(zip(frames, boxes, strict=True))
    if spec.has_face:
        size = face_size or spec.face_size
        margin = CropSettings().face_margin if example.boxes else 0.0
        faces = np.stack(
            [
                even_light(look.face(face_cut(frame, look.move(box), size, margin), rng))
                for frame, box in pairs
            ]
        )
    if spec.has_context:
        contexts = np.stack(
            [_context(frame, box, spec, look, rng, hide_face) for frame, box in pairs]
        )
    return faces, contexts


def _context(
    frame: np.ndarray,
    box: Face,
    spec: NetworkSpec,
    look: Look,
    rng: np.random.Generator,
    hide_face: bool,
) -> np.ndarray:
    size = spec.context_size
    scene = shrink_scene(frame, spec.scene_size)
    rows, columns = scene.image.shape[:2]
    corner = None
    if look.corner:
        corner = (
            round(look.corner[0] * (columns - size)),
            round(look.corner[1] * (rows - size)),
        )
    scene = replace(scene, image=look.scene(scene.image, rng))
    context = context_crop(scene, [box] if hide_face else [], size, corner)
    return cv2.flip(context, 1) if look.flip else context
