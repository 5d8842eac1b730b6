# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caer_ros.benchmark.scenes import CYCLE, compose, load_people
from caer_ros.perception.detector import DetectorSettings, FaceDetector
from caer_ros.types import CaerError


@pytest.fixture(scope="module")
def people(material: Path) -> list[np.ndarray]:
    return load_people(material)


def test_the_group_photo_has_five_people(people: list[np.ndarray]) -> None:
    assert len(people) == 5
    for person in people:
        assert person.dtype == np.uint8
        assert person.shape[0] == person.shape[1] > 100


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
@pytest.mark.parametrize("persons", [0, 1, 5, 10])
def test_the_detector_finds_as_many_as_were_composed(
    width: int, height: int, persons: int, people: list[np.ndarray]
) -> None:
    frames = compose(people, width, height, persons)
    assert frames.shape == (CYCLE, height, width, 3)
    detector = FaceDetector(DetectorSettings(threads=1))
    found = [len(detector.detect(frame)) for frame in frames[::8]]
    assert found == [persons] * len(found)


def test_people_move_a_little_and_the_end_joins_the_beginning(people: list[np.ndarray]) -> None:
    frames = compose(people, 640, 480, 1).astype(np.int16)
    steps = np.abs(frames - np.roll(frames, -1, axis=0)).mean(axis=(1, 2, 3))
    assert steps.min() > 0
    assert steps.max() < 3 * np.median(steps)


def test_material_without_the_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaerError, match="multi_face.jpg cannot be read"):
        load_people(tmp_path)
