# SPDX-License-Identifier: Apache-2.0
"""Every engine against eager float32 on a thousand real faces, with the networks that ship."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from caer_ros.demo.material import GROUP, VIDEO
from caer_ros.engines.base import Batch, EngineError
from caer_ros.engines.select import make_engine
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.network.spec import NetworkSpec, resolve_weights
from caer_ros.perception.crops import context_crop, face_crop, shrink_scene
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.types import Face


def real_crops(material: Path, spec: NetworkSpec, persons: int) -> Batch:
    """Cut faces from film and group photo, each box moved and scaled a little, by a fixed seed."""
    detector = FaceDetector(DetectorSettings(threads=1))
    video = cv2.VideoCapture(str(material / VIDEO))
    images = [cv2.imread(str(material / GROUP))]
    while (read := video.read())[0]:
        images.append(read[1])
    seen = [(image, detector.detect(image)) for image in (images[0], *images[1::24])]
    rng = np.random.default_rng(0)
    faces, contexts = [], []
    for number in range(persons):
        image, found = seen[number % len(seen)]
        face = found[number // len(seen) % len(found)]
        face = moved(face, rng)
        faces.append(face_crop(image, face, spec.face_size, 0.1))
        if spec.has_context:
            scene = shrink_scene(image, spec.scene_size)
            contexts.append(context_crop(scene, found, spec.context_size))
    return Batch(
        clips(np.stack(faces), spec) if spec.has_face else None,
        clips(np.stack(contexts), spec) if spec.has_context else None,
        np.arange(persons) if spec.has_context else None,
    )


def moved(face: Face, rng: np.random.Generator) -> Face:
    dx, dy, grow = rng.normal(0, 0.05, 3) * face.width
    return replace(
        face,
        x1=face.x1 + dx - grow,
        y1=face.y1 + dy - grow,
        x2=face.x2 + dx + grow,
        y2=face.y2 + dy + grow,
    )


def clips(pictures: np.ndarray, spec: NetworkSpec) -> np.ndarray:
    """Return pictures as they are, or each at the head of a clip of those after it."""
    if not spec.is_video:
        return pictures
    index = (np.arange(len(pictures))[:, None] + np.arange(spec.clip_length)) % len(pictures)
    return pictures[index]


CHOICES = [
    pytest.param("openvino", "f32", 1e-4),
    pytest.param("openvino", "bf16", 2e-2),
    pytest.param("torch", "f32", 1e-4),
    pytest.param("torch", "f32", 1e-4, marks=pytest.mark.gpu, id="torch on a GPU"),
    pytest.param("torch", "f16", 2e-2, marks=pytest.mark.gpu),
    pytest.param("tensorrt", "f32", 1e-4, marks=pytest.mark.gpu),
    pytest.param("tensorrt", "f16", 2e-2, marks=pytest.mark.gpu),
]


@pytest.mark.parametrize(("engine", "precision", "tolerance"), CHOICES)
@pytest.mark.parametrize(
    ("network", "persons"),
    [("caer_net_s", 1000), pytest.param("caer_net", 1000, marks=pytest.mark.slow)],
)
def test_probabilities_and_labels_are_those_of_eager_torch(
    network: str,
    persons: int,
    engine: str,
    precision: str,
    tolerance: float,
    material: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    weights = resolve_weights(network)
    settings = EngineSettings(
        engine=engine, precision=precision, threads=1, cache_dir=str(tmp_path)
    )
    try:
        fast = make_engine(engine, weights, settings)
    except EngineError as error:
        if precision == "bf16":
            pytest.skip(str(error))
        raise
    if request.node.get_closest_marker("gpu"):
        assert fast.device != "CPU"
    torch.set_num_threads(1)
    eager = load_checkpoint(weights)
    batch = real_crops(material, eager.spec, persons)
    largest, same = 0.0, 0
    for part in batch.split(10):
        with torch.inference_mode():
            expected = eager(
                *(None if array is None else torch.from_numpy(array) for array in part.arrays)
            ).scores.numpy()
        given = fast.infer(part).probabilities
        largest = max(largest, float(np.abs(given - expected).max()))
        same += int((given.argmax(axis=1) == expected.argmax(axis=1)).sum())
    assert largest <= tolerance
    assert same >= 0.995 * persons
