# SPDX-License-Identifier: Apache-2.0
"""Small data sets, made by the tests, in every layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from caer_ros.training.synthetic import Scene, draw_scene

CLASSES = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


def write_picture(path: Path, *, shade: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a picture of one grey shade, size (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), shade, np.uint8))
    return path


def write_video(path: Path, *, frames: int, rate: float) -> Path:
    """Write a video whose frame number n has the shade 4 n modulo 256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 4 * index % 256, np.uint8))
    writer.release()
    return path


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes `per_class` pictures into a folder for each class."""

    def make(folder: str = "", *, per_class: int = 2, classes: tuple[str, ...] = CLASSES) -> Path:
        for number, name in enumerate(classes):
            for index in range(per_class):
                write_picture(tmp_path / folder / name / f"{index:04}.png", shade=30 * number)
        return tmp_path

    return make


def write_scene(path: Path, *, index: int) -> Scene:
    """Write a drawn scene, whose face the detector finds; return it."""
    scene = draw_scene(0, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), scene.image)
    return scene


def write_scene_video(path: Path, *, frames: int) -> Path:
    """Write a drawn scene as a still video of 24 frames a second."""
    image = draw_scene(0, 4).image
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (image.shape[1], image.shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 24, size)
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep found faces out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
