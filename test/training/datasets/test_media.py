# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from caer_ros.training.datasets.media import read_frames
from caer_ros.training.examples import DataError

from .conftest import write_picture, write_video


@pytest.mark.parametrize(
    ("rate", "shades"),
    [(30.0, [0, 12, 24, 36]), (25.0, [0, 8, 20, 28, 40]), (10.0, [4 * i for i in range(12)])],
)
def test_a_video_is_sampled_at_10_hz(tmp_path: Path, rate: float, shades: list[int]) -> None:
    frames = read_frames(write_video(tmp_path / "a.avi", frames=12, rate=rate))
    assert [round(float(frame.mean())) for frame in frames] == pytest.approx(shades, abs=2)


def test_ten_seconds_at_the_ntsc_rate_give_a_hundred_samples(tmp_path: Path) -> None:
    frames = read_frames(write_video(tmp_path / "a.avi", frames=300, rate=30000 / 1001))
    assert len(frames) in (100, 101)


def test_a_slow_video_gives_every_frame(tmp_path: Path) -> None:
    assert len(read_frames(write_video(tmp_path / "a.avi", frames=7, rate=5.0))) == 7


def test_a_grey_picture_with_16_bits_becomes_8_bit_bgr(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((5, 4), 256 * 77, np.uint16))
    (frame,) = read_frames(tmp_path / "a.png")
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, np.full((5, 4, 3), 77))


@pytest.mark.parametrize("name", ["broken.png", "broken.avi"])
def test_what_cannot_be_decoded_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(DataError, match=name):
        read_frames(tmp_path / name)


def test_a_video_cut_short_gives_the_frames_it_has(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", frames=40, rate=10.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert 1 <= len(read_frames(path)) < 40


def test_a_video_of_varying_rate_is_sampled_in_its_own_time(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((48, 64, 3), 20 * i, np.uint8)) for i in range(8)]
    durations = [40, 40, 40, 40, 1000, 40, 40, 40]  # ms
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=durations)
    (tmp_path / "a.gif").rename(tmp_path / "a.mov")  # FFmpeg looks at the content
    shades = [round(float(frame.mean())) for frame in read_frames(tmp_path / "a.mov")]
    assert shades == [0, 40, 100, 140]


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_cut_short_is_no_example(name: str, tmp_path: Path) -> None:
    path = write_picture(tmp_path / name, shade=100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cut short"):
        read_frames(path)


def test_a_picture_file_is_one_frame(tmp_path: Path) -> None:
    (frame,) = read_frames(write_picture(tmp_path / "a.JPG", shade=100))
    assert frame.shape == (48, 64, 3)
