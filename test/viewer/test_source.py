# SPDX-License-Identifier: Apache-2.0
"""Frames of whatever has images."""

import threading
import time

import cv2
import numpy as np
import pytest

from caer_ros.replay.make_bag import make_bag
from caer_ros.types import SECOND, CaerError
from caer_ros.viewer.source import open_source


def test_every_image_of_a_video_comes_with_its_time(film):
    with open_source(film) as source:
        frames = list(source)
        assert (source.length, source.live, source.dropped, source.notes) == (36, False, 0, [])
    assert [frame.stamp for frame in frames] == pytest.approx(
        [i * SECOND / 24 for i in range(36)], abs=2e6
    )
    assert {frame.camera for frame in frames} == {str(film)}
    assert frames[0].image.shape == (360, 640, 3)


def test_the_address_of_a_file_is_read_as_that_file(film, film_address):
    with open_source(film) as source:
        there = [(frame.stamp, frame.image.sum()) for frame in source]
    with open_source(film_address.replace("://", "://me:secret@")) as source:
        assert (source.name, source.live, source.length) == (film_address, False, 36)
        frames = [(frame.stamp, frame.image.sum()) for frame in source]
    assert frames == there


def test_a_folder_comes_in_order_at_the_rate_asked_for(tmp_path):
    for i in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((30, 40, 3), i, np.uint8))
    with open_source(tmp_path, fps=2) as source:
        frames = [(frame.stamp, frame.image[0, 0, 0]) for frame in source]
    assert frames == [(0, 1), (SECOND // 2, 2), (SECOND, 10)]


@pytest.mark.parametrize("as_file", [False, True])
def test_a_bag_comes_with_its_topics_and_stamps(tmp_path, film, as_file):
    make_bag(film, tmp_path / "bag", topic="/camera")
    path = next((tmp_path / "bag").glob("*.mcap")) if as_file else tmp_path / "bag"
    with open_source(str(path)) as source:
        frames = list(source)
        assert source.length == 36
    assert {frame.camera for frame in frames} == {"/camera"}
    assert frames[0].stamp == SECOND


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("none.mp4", "none.mp4 does not exist"),
        ("99", "99 cannot be opened: is it plugged in, and free\\? Cameras here: "),
        ("http://127.0.0.1:9/none.mjpg", "cannot be opened: is the address right"),
        (".", "no picture"),
    ],
)
def test_what_cannot_be_opened_is_named_at_once(source, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaerError, match=reason):
        open_source(source)


def test_a_camera_gives_its_newest_image_and_counts_what_it_dropped(stream):
    with open_source(stream.address) as source:
        frames = iter(source)
        first = next(frames)
        end = time.monotonic() + 60
        while source.dropped < 5:
            assert time.monotonic() < end
            time.sleep(0.05)
        asked = time.time_ns()
        next(frames)  # may have lain there
        newest = next(frames)
    assert source.live
    assert newest.stamp > asked > first.stamp
    assert first.image.shape == (360, 640, 3)


def test_a_camera_s_password_is_in_no_name(stream):
    address = stream.address.replace("://", "://admin:secret@")
    with open_source(address) as source:
        frame = next(iter(source))
    assert source.name == frame.camera == stream.address


def test_a_camera_that_goes_away_is_waited_for(stream):
    told = []
    gone, back = threading.Event(), threading.Event()

    def tell(line):
        told.append(line)
        (back if line.endswith("is back") else gone).set()

    with open_source(stream.address, notify=tell) as source:
        frames = iter(source)
        before = next(frames).stamp
        stream.stop()
        assert gone.wait(60)
        stream.start()
        assert back.wait(60)
        after = next(frame.stamp for frame in frames if frame.stamp > before)
    assert after > before
    assert told[0].startswith(f"{stream.address} is gone")
