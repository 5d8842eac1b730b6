# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from caer_ros.engines.settings import EngineSettings
from caer_ros.files import MANIFEST, FileError
from caer_ros.node_settings import NodeSettings
from caer_ros.perception.detector import DetectorSettings
from caer_ros.replay import job as module
from caer_ros.replay.bag import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    TYPES,
    Bag,
    BagError,
    image_to_cdr,
    new_bag,
)
from caer_ros.replay.job import Job, replay
from caer_ros.replay.timeline import read_timeline
from caer_ros.types import SECOND

TOPIC = "/camera/image_raw"


def emotions(folder):
    """Return the EmotionArray messages of a replay and when they were recorded."""
    # without types of our own: the definitions in the bag must do
    with AnyReader([folder / "bag"]) as reader:
        return [
            (reader.deserialize(data, connection.msgtype), recorded)
            for connection, recorded, data in reader.messages()
            if connection.topic == "/caer/emotions"
        ]


def run(bag, out, **options):
    return replay(Job(bag, out, **options), show_progress=False)


def test_every_image_gets_an_emotion_array_with_its_own_header(people, replayed):
    with Bag(people) as bag:
        images = list(bag.images(bag.choose_topics()))
    messages = emotions(replayed)
    assert len(messages) == len(images) == 48
    for image, (message, recorded) in zip(images, messages, strict=True):
        # the classes differ, each reader makes its own
        assert repr(message.header) == repr(image.message.header)
        assert recorded == image.time
        assert (message.image_width, message.image_height) == (640, 360)


def test_faces_have_bearings_where_the_bag_has_a_calibration(people, calibration, tmp_path):
    with Bag(people) as bag, new_bag(tmp_path / "bag") as writer:
        (topic,) = bag.choose_topics()
        images = writer.add_connection(topic, COMPRESSED_IMAGE, typestore=TYPES)
        infos = writer.add_connection("/camera/camera_info", CAMERA_INFO, typestore=TYPES)
        for i, image in enumerate(bag.images([topic])):
            if i == 24:
                writer.write(infos, image.time - 1, calibration)
            writer.write(images, image.time, image.cdr)
    run(tmp_path / "bag", tmp_path / "out")
    messages = [message for message, _ in emotions(tmp_path / "out")]
    bearings = [[e.bearing.x, e.bearing.y, e.bearing.z] for m in messages for e in m.emotions]
    unknown = sum(len(message.emotions) for message in messages[:24])
    assert unknown > 0
    assert not np.any(bearings[:unknown])
    assert np.linalg.norm(bearings[unknown:], axis=1) == pytest.approx(1)


def test_the_timeline_has_the_persons_of_the_messages(replayed):
    expected = [
        (message.header.stamp.sec * SECOND + message.header.stamp.nanosec, e.person_id, e.label)
        for message, _ in emotions(replayed)
        for e in message.emotions
    ]
    table = list(read_timeline(replayed / "timeline.csv"))
    assert [row[:3] for row in table] == expected
    assert {row.person_id for row in table} == {"p0001"}
    assert len(table) > 24


def test_the_summary_counts_and_names_what_was_used(people, replayed):
    summary = json.loads((replayed / "summary.json").read_text())
    assert summary["complete"]
    assert summary["images"]["processed"] == 48
    assert summary["images"]["dropped"] == summary["images"]["lost"] == 0
    assert summary["topics"] == {f"{TOPIC}/compressed": 48}
    assert summary["duration"] == pytest.approx(47 / 24)
    assert list(summary["persons"]) == ["p0001"]
    assert set(summary["latency_ms"]) == {"p50", "p95", "p99", "p100"}
    assert summary["settings"]["engine.weights"] == "caer_net_s"
    assert re.fullmatch(r"\d+\.\d+\.\d+", summary["versions"]["caer_ros"])
    held = [verdict["held"] for verdict in summary["expectations"]]
    assert held == [True, False]


def test_the_same_bag_gives_the_same_bytes_on_one_thread_and_on_two(people, replayed, tmp_path):
    for threads in (1, 2):
        settings = NodeSettings(
            detector=DetectorSettings(threads=threads),
            # in bf16 one thread rounds otherwise than several
            engine=EngineSettings(threads=threads, precision="f32"),
        )
        run(people, tmp_path / str(threads), settings=settings)
    run(people, tmp_path / "again")
    for file in ("timeline.csv", "bag/bag.mcap"):
        assert (tmp_path / "again" / file).read_bytes() == (replayed / file).read_bytes()
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_while_an_image_is_read_the_next_ones_are_decoded():
    decoded = threading.Semaphore(0)

    class Image:
        def to_bgr(self, max_pixels):
            decoded.release()
            return np.zeros((1, 1, 3), np.uint8)

    images = [Image() for _ in range(10)]
    due = module._at_once(iter(images), 100)
    assert [next(due)[0].image] == images[:1]
    for _ in range(4):
        assert decoded.acquire(timeout=60)
    assert [one.image for (one,) in due] == images[1:]


def test_no_picture_is_written_unless_asked_for(people, replayed, tmp_path):
    with Bag(replayed / "bag") as bag:
        assert list(bag.topics) == ["/caer/emotions"]
    assert "data:image" not in (replayed / "report.html").read_text()

    run(people, tmp_path / "out", with_images=True)
    with Bag(tmp_path / "out" / "bag") as bag, Bag(people) as original:
        annotated = list(bag.images(bag.choose_topics()))
        images = list(original.images(original.choose_topics()))
        assert [m.stamp for m in annotated] == [m.stamp for m in images]
        assert {m.topic for m in annotated} == {"/caer/debug_image/compressed"}
        assert cv2.absdiff(annotated[-1].to_bgr(), images[-1].to_bgr()).max() > 100
    assert "data:image/jpeg" in (tmp_path / "out" / "report.html").read_text()
    # pictures of people are for who made them
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        assert path.name == MANIFEST or path.stat().st_mode & 0o077 == 0, path


def test_images_that_the_node_refuses_are_counted_by_cause(tmp_path, numbered):
    path = tmp_path / "bag"
    with new_bag(path) as writer:
        connection = writer.add_connection(TOPIC, IMAGE, typestore=TYPES)
        for recorded, stamp in enumerate((0, SECOND, SECOND, 2 * SECOND)):
            writer.write(connection, recorded, image_to_cdr(numbered(1), stamp, "camera")[1])
        broken = TYPES.deserialize_cdr(image_to_cdr(numbered(1), 3 * SECOND, "c")[1], IMAGE)
        broken.encoding = "rgb4"
        writer.write(connection, 5, TYPES.serialize_cdr(broken, IMAGE))
    summary = run(path, tmp_path / "out")
    assert summary["images"]["processed"] == 2
    assert summary["images"]["failed"] == {"encoding": 1, "stamp repeated": 1, "stamp zero": 1}
    assert any("rgb4" in warning for warning in summary["warnings"])
    assert [message.header.stamp.sec for message, _ in emotions(tmp_path / "out")] == [1, 2]


def test_images_may_change_their_size(record, numbered, tmp_path):
    bag = record({TOPIC: [numbered(1, 64, 48), numbered(1, 320, 240)]})
    run(bag, tmp_path / "out")
    sizes = [(m.image_width, m.image_height) for m, _ in emotions(tmp_path / "out")]
    assert sizes == [(64, 48), (320, 240)]
    (warning,) = json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"]
    assert (
        warning
        == f"{TOPIC}: image size changed from 64 x 48 to 320 x 240: its persons are forgotten"
    )


def test_a_bag_of_several_cameras_is_read_whole_or_by_topic(record, numbered, tmp_path):
    images = [numbered(i) for i in range(3)]
    bag = record({"/left": images, "/right": images[:2]})
    assert run(bag, tmp_path / "all")["images"]["processed"] == 5
    assert run(bag, tmp_path / "one", topics=("/right",))["images"]["processed"] == 2
    settings = NodeSettings(image_topics=["left", "elsewhere"])
    assert run(bag, tmp_path / "config", settings=settings)["topics"] == {"/left": 3}


def test_a_damaged_bag_is_replayed_as_far_as_it_is_whole(record, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (480, 800, 3), np.uint8)
    bag = record({TOPIC: [noise] * 3})
    data = (bag / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(data[: len(data) * 4 // 5])
    summary = run(bag, tmp_path / "out")
    assert summary["images"]["processed"] == 2
    assert any("bytes are lost" in warning for warning in summary["warnings"])


def test_a_bag_that_cannot_be_replayed_leaves_nothing(record, tmp_path):
    with pytest.raises(BagError, match="no image topic"):
        run(record({}, also="/chatter"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_replace_older_results_whole(record, tmp_path):
    out = tmp_path / "results" / "out"
    run(record(), out, with_images=True)
    (out / "notes.txt").write_text("mine")
    (out / "bag" / "notes.txt").write_text("mine too")
    (out / "report.html").write_text("stale")
    run(tmp_path / "bag", out)
    assert {entry.name for entry in out.iterdir()} == {
        MANIFEST, "bag", "notes.txt", "report.html", "summary.json", "timeline.csv",
    }  # fmt: skip
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "bag" / "notes.txt").read_text() == "mine too"
    assert (out / "report.html").read_text() != "stale"
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]


def test_a_folder_that_is_not_ours_is_left_alone(record, tmp_path):
    (tmp_path / "thesis").mkdir()
    # the name of a file tells nothing of who wrote it
    (tmp_path / "thesis" / "summary.json").write_text("words")
    with pytest.raises(FileError, match="thesis holds files that caer_ros did not write"):
        run(record(), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "summary.json").read_text() == "words"


def test_a_place_that_cannot_be_written_is_named(record, tmp_path):
    bag = record()
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(FileError, match=f"cannot write {re.escape(str(out))}"):
            run(bag, out)


def test_what_is_done_is_known_until_something_changes(record, tmp_path, numbered):
    job = Job(record(), tmp_path / "out")
    assert job.done() is None
    summary = replay(job, show_progress=False)
    assert job.done() == summary
    for change in (
        {"expectations": "- {persons: at most 1}"},
        {"with_images": True},
        {"settings": NodeSettings(detector=DetectorSettings(min_score=0.9))},
        {"bag": record({TOPIC: [numbered(3)]}, name="other")},
    ):
        assert dataclasses.replace(job, **change).done() is None
    (tmp_path / "out" / "summary.json").write_text("{")
    assert job.done() is None


def test_another_detector_under_the_same_name_is_a_change(record, tmp_path):
    model = tmp_path / "detector.onnx"
    settings = NodeSettings(detector=DetectorSettings(model=str(model)))
    job = Job(record(), tmp_path / "out", settings)
    model.write_bytes(b"first")
    key = job.key()
    model.write_bytes(b"second")
    assert job.key() != key


class Clock:
    """Stands for the machine's clock: it goes on when somebody sleeps or works."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_in_real_time_what_comes_while_the_node_is_busy_is_dropped(record, numbered, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    dropped, taken = [], []
    with Bag(record({TOPIC: [numbered(i) for i in range(10)]})) as bag:
        # 10 Hz; each image takes 0.25 s
        for batch in module._in_real_time(bag.images([TOPIC]), dropped.append, 100):
            ((image, due, _),) = batch
            assert clock.now >= due
            taken.append(int(image.to_bgr()[0, 0, 0]))
            clock.now += 0.25
    assert taken == [0, 2, 5, 7, 9]
    assert sorted(int(i.to_bgr()[0, 0, 0]) for i in dropped) == [1, 3, 4, 6, 8]


def test_in_real_time_a_fast_node_gets_every_image_when_it_is_due(record, numbered, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    images = [numbered(i) for i in range(4)]
    with Bag(record({"/a": images, "/b": images[:2]})) as bag:
        batches = list(module._in_real_time(bag.images(["/a", "/b"]), pytest.fail, 100))
    topics = [[due.image.topic for due in batch] for batch in batches]
    assert topics == [["/a", "/b"], ["/a", "/b"], ["/a"], ["/a"]]
    assert clock.now == pytest.approx(100.3)


def caer(*arguments, code="", stderr=subprocess.PIPE, **options):
    command = f"{code}\nimport sys\nfrom caer_ros.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        **options,
    )


def test_ctrl_c_leaves_a_valid_partial_result(record, numbered, tmp_path):
    bag = record({TOPIC: [numbered(i % 200) for i in range(1000)]})
    out = tmp_path / "out"
    terminal, stderr = pty.openpty()  # a log has no bar
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = caer("replay", bag, "--out", out, "--realtime", stderr=stderr)
    os.close(stderr)
    errors = ""
    # once the bar moves, an image has been answered
    while not re.search(r"[1-9]\d*/1000", errors):
        errors += os.read(terminal, 1024).decode()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    os.close(terminal)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "stopped early" in output
    summary = json.loads((out / "summary.json").read_text())
    assert not summary["complete"]
    assert 0 < summary["images"]["processed"] < 1000
    assert len(emotions(out)) == summary["images"]["processed"]
    assert "Stopped early" in (out / "report.html").read_text()
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_full_disk_is_an_error_and_leaves_nothing(people, tmp_path):
    # a limit on the size of files stands for the disk's
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    )
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = caer("replay", people, "--out", out, "--with-images", code=code, env=environment)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert f"caer: error: cannot write {out}: File too large" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_length_of_the_bag(people, tmp_path):
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from caer_ros.replay.job import Job, replay\n"
        "bag, out = map(Path, sys.argv[1:])\n"
        "summary = replay(Job(bag, out), show_progress=False)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(peak, summary['duration'], summary['images']['processed'])\n"
    )
    with Bag(people) as bag:
        images = [image.to_bgr() for image in bag.images(bag.choose_topics())]
    jpegs = [cv2.resize(image, None, fx=0.5, fy=0.5) for image in images]
    peaks = []
    for minutes in (1, 10):
        path = tmp_path / str(minutes)
        with new_bag(path) as writer:
            kind, _ = image_to_cdr(jpegs[0], SECOND, "camera", jpeg=True)
            connection = writer.add_connection("/camera", kind, typestore=TYPES)
            for i in range(600 * minutes):
                stamp = SECOND + i * SECOND // 10
                _, cdr = image_to_cdr(jpegs[i % len(jpegs)], stamp, "camera", jpeg=True)
                writer.write(connection, stamp, cdr)
        out = tmp_path / f"out{minutes}"
        command = [sys.executable, "-c", code, path, out]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, duration, processed = map(float, done.stdout.split())
        assert duration == pytest.approx(60 * minutes, abs=0.2)
        assert processed == 600 * minutes
        assert (out / "report.html").stat().st_size < 1_000_000
        peaks.append(peak / 1024)
    # ten times the length, hardly a megabyte more for each further minute
    assert peaks[1] - peaks[0] < 12, peaks


@pytest.mark.parametrize(
    ("detector", "why"),
    [
        (
            DetectorSettings(min_size=2000),
            r"the largest face has \d+ pixels",
        ),
        (DetectorSettings(min_score=0.99), r"a score of 0.\d+, below detector.min_score, 0.99"),
    ],
)
def test_the_summary_says_why_nobody_was_seen(people, tmp_path, detector, why):
    settings = NodeSettings(detector=detector)
    expectations = (("e.yaml", "- seen: at least 50 %"),)
    summary = run(people, tmp_path / "out", settings=settings, expectations=expectations)
    assert re.search(f"nobody was seen: in 6 images looked at again .*{why}", summary["nobody"])
    assert summary["nobody"] in summary["expectations"][0]["text"]


def test_where_no_face_is_nobody_is_seen(record, replayed, tmp_path):
    summary = run(record(), tmp_path / "out")
    assert summary["nobody"] == "nobody was seen: in 4 images looked at again is no face"
    assert json.loads((replayed / "summary.json").read_text())["nobody"] == ""
