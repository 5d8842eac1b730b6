# SPDX-License-Identifier: Apache-2.0
"""Factories for the perception tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from caer_ros.engines.base import Batch, Engine, EngineError, Prediction
from caer_ros.network.spec import NetworkSpec
from caer_ros.perception import crops
from caer_ros.perception.detector import DetectorSettings
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.perception.search import Region
from caer_ros.settings import build
from caer_ros.types import Face, Frame


class PaintedDetector:
    """Finds what `paint` painted: a face is where the red channel is 255, told apart by green.

    It does so in whole images only, of which `calls` counts how many there were.
    """

    inputs = dict.fromkeys(("whole", "tile", "coarse", "crop"), (10_000, 10_000))
    sure = clear = 1.0
    least = 1.0

    def __init__(self) -> None:
        self.settings = DetectorSettings()
        self.calls = 0
        self.closed = False

    def detect(self, image: np.ndarray, region: Region | None = None) -> list[Face]:
        assert region is not None
        assert region.kind in ("whole", "coarse")
        self.calls += 1
        rows, columns = np.nonzero(image[..., 2] == 255)
        marks = image[rows, columns, 1]
        faces = []
        for mark in np.unique(marks):
            y, x = rows[marks == mark], columns[marks == mark]
            faces.append(Face(float(x.min()), float(y.min()), x.max() + 1.0, y.max() + 1.0, 0.9))
        return faces

    def look(self, image: np.ndarray, face: Face) -> float:
        return face.score

    def close(self) -> None:
        self.closed = True


class BlueEngine(Engine):
    """Says with how much blue the newest face is painted: emotion `blue // 32`, and keeps calls.

    fail: the next calls raise. numbers: what the probabilities are multiplied with.
    """

    name, device, precision = "blue", "CPU", "f32"

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.calls: list[Batch] = []
        self.fail = False
        self.factor = 1.0
        self.closed = False

    def infer(self, batch: Batch) -> Prediction:
        if self.fail:
            raise EngineError("out of order")
        self.calls.append(batch)
        count, faces = len(batch), batch.faces
        emotions = np.zeros(count, int)
        if faces is not None:
            newest = faces[:, -1] if self.spec.is_video else faces
            middle = self.spec.face_size // 2
            emotions = newest[:, middle, middle, 0] // 32
        probabilities = np.full((count, 7), 0.05, np.float32)
        probabilities[np.arange(count), emotions] = 0.7
        has_context = self.spec.has_context
        weight = np.full(count, 0.25 if has_context else 0.0, np.float32)
        attention = np.full((count, 7, 7), 1 / 49, np.float32) if has_context else None
        return Prediction(probabilities * self.factor, 1 - weight, weight, attention)

    def close(self) -> None:
        self.closed = True


def paint(
    faces: Sequence[tuple[float, float, int]], size: tuple[int, int] = (640, 480), edge: int = 60
) -> np.ndarray:
    """A grey picture with square faces (middle x, middle y, blue)."""
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    for mark, (x, y, blue) in enumerate(faces):
        top, left = round(y - edge / 2), round(x - edge / 2)
        image[max(top, 0) : top + edge, max(left, 0) : left + edge] = blue, mark, 255
    return image


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def as_painted(crop: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Stand in for `even_light`, which would leave no colour to tell faces by."""
    out[:] = crop
    return out


@pytest.fixture
def make_pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., EmotionPipeline]:
    """A pipeline over painted pictures: `make_pipeline(spec, **{"tracker.birth": 0.5})`."""
    monkeypatch.setattr(crops, "even_light", as_painted)

    def make(spec: NetworkSpec | None = None, **settings: object) -> EmotionPipeline:
        values = {"tracker.birth": 0.0, "tracker.id_prefix": "p", **settings}
        return EmotionPipeline(
            build(PipelineSettings, values),
            PaintedDetector(),
            BlueEngine(spec or NetworkSpec()),
        )

    return make


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """A frame of painted faces: `make_frame(stamp, (x, y, blue), …)`."""

    def make(
        stamp: int,
        *faces: tuple[float, float, int],
        camera: str = "head",
        size: tuple[int, int] = (640, 480),
    ) -> Frame:
        return Frame(camera, stamp, paint(faces, size))

    return make
