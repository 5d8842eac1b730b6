# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import cv2
import pytest
from PIL import Image

from caer_ros.cli import main
from caer_ros.replay.bag import Bag
from caer_ros.replay.make_bag import START, make_bag
from caer_ros.types import SECOND
from caer_ros.video import VideoError


def images(path):
    with Bag(path) as bag:
        return list(bag.images(bag.choose_topics()))


def stamps(path):
    return [message.stamp - START for message in images(path)]


@pytest.fixture
def video(tmp_path, numbered):
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for i in range(10):
        writer.write(numbered(20 * i))
    writer.release()
    return path


def test_a_video_keeps_its_images_and_time_stamps(video, tmp_path):
    assert make_bag(video, tmp_path / "bag", frame_id="head") == 10
    messages = images(tmp_path / "bag")
    assert [m.stamp - START for m in messages] == [i * SECOND // 25 for i in range(10)]
    assert all(m.time == m.stamp and m.frame_id == "head" for m in messages)
    assert {m.topic for m in messages} == {"/camera/image_raw"}
    # the codec is lossy
    assert [m.to_bgr().mean() for m in messages] == pytest.approx(
        [20 * i for i in range(10)], abs=4
    )


def test_a_video_of_varying_rate_keeps_its_time_stamps(tmp_path, numbered):
    frames = [Image.fromarray(numbered(60 * i)) for i in range(4)]
    durations = [100, 300, 50, 200]
    frames[0].save(tmp_path / "v.gif", save_all=True, append_images=frames[1:], duration=durations)
    make_bag(tmp_path / "v.gif", tmp_path / "bag")
    assert stamps(tmp_path / "bag") == [0, SECOND // 10, SECOND * 4 // 10, SECOND * 45 // 100]


def test_a_rate_replaces_the_video_s_own_time_stamps(video, tmp_path):
    make_bag(video, tmp_path / "bag", fps=5)
    assert stamps(tmp_path / "bag") == [i * SECOND // 5 for i in range(10)]


def test_a_folder_of_images_comes_in_natural_order_at_the_rate(tmp_path, numbered):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in (10, 9, 2):
        cv2.imwrite(str(folder / f"{i}.png"), numbered(i))
    (folder / "notes.txt").write_text("no image")
    assert make_bag(folder, tmp_path / "bag", fps=20) == 3
    assert stamps(tmp_path / "bag") == [0, SECOND // 20, SECOND // 10]
    assert [int(m.to_bgr()[0, 0, 0]) for m in images(tmp_path / "bag")] == [2, 9, 10]


def test_jpeg_images_go_to_the_compressed_topic(video, tmp_path):
    make_bag(video, tmp_path / "bag", topic="/eye", jpeg=True)
    messages = images(tmp_path / "bag")
    assert {m.topic for m in messages} == {"/eye/compressed"}
    assert messages[5].to_bgr().mean() == pytest.approx(100, abs=6)


def test_a_bag_can_be_made_again_byte_for_byte(video, tmp_path):
    make_bag(video, tmp_path / "a" / "bag")
    make_bag(video, tmp_path / "b" / "bag")
    for name in ("bag.mcap", "metadata.yaml"):
        first = (tmp_path / "a" / "bag" / name).read_bytes()
        assert first == (tmp_path / "b" / "bag" / name).read_bytes()


def test_what_cannot_be_read_leaves_no_bag(tmp_path, numbered):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="x.mp4 is no video"):
        make_bag(tmp_path / "x.mp4", tmp_path / "bag")
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), numbered(1))
    whole = cv2.imencode(".jpg", numbered(2))[1].tobytes()
    (folder / "2.jpg").write_bytes(whole[:-100])
    with pytest.raises(VideoError, match="2.jpg .* cut short"):
        make_bag(folder, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


def test_what_was_amiss_in_the_source_is_said(tmp_path, numbered, capsys):
    cv2.imwrite(str(tmp_path / "1.png"), numbered(1))
    (tmp_path / "2.heic").write_bytes(b"x")
    assert main(["make-bag", str(tmp_path), str(tmp_path / "bag")]) == 0
    assert "warning: 1 of the files" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_a_rate_that_sets_no_pace_is_refused(rate, tmp_path, capsys):
    assert main(["make-bag", str(tmp_path), str(tmp_path / "bag"), "--fps", rate]) == 2
    assert "must be above 0 and finite" in capsys.readouterr().err


def test_a_full_disk_is_an_error_and_leaves_nothing(video, tmp_path):
    # a limit on the size of files, in a process of its own, stands for the disk's
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from caer_ros.files import FileError\n"
        "from caer_ros.replay.make_bag import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: make_bag(*map(Path, sys.argv[1:]))\n"
        "except FileError as error: print(error)\n"
    )
    folder = tmp_path / "bags"
    command = [sys.executable, "-c", code, video, folder / "bag"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"cannot write {folder / 'bag'}: File too large" in done.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("topic", ["bad topic", "/a//b", "/1/image", "a/", "", "/ü"])
def test_what_cannot_be_a_topic_is_refused(topic, video, tmp_path, capsys):
    bag = tmp_path / "bag"
    assert main(["make-bag", str(video), str(bag), "--topic", topic]) == 2
    assert "cannot be a topic" in capsys.readouterr().err
    make_bag(video, bag, topic=topic)
    # it is told before ROS is started
    assert main(["play", str(bag)]) == 2
    assert "cannot be a topic" in capsys.readouterr().err
