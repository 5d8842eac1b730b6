# SPDX-License-Identifier: Apache-2.0
"""The worker with the real pipeline, without a graph."""

import queue
import threading
import time

import numpy as np
import pytest
from rclpy.serialization import serialize_message

from caer_ros.node_settings import NodeSettings
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.ros import worker
from caer_ros.ros.conversions import to_image
from caer_ros.ros.counts import Statistics
from caer_ros.ros.worker import Worker
from caer_ros.types import SECOND


@pytest.fixture(scope="module")
def pipeline():
    pipeline = EmotionPipeline.from_settings(NodeSettings())
    yield pipeline
    pipeline.close()


class Desk:
    """A worker, what it counted and what it said."""

    def __init__(self, pipeline, log):
        self.log = log
        self.statistics = Statistics(["/left", "/right"], log)
        self.published = queue.Queue()
        self.forgotten = []
        self.worker = Worker(
            pipeline,
            compressed=False,
            output=self,
            statistics=self.statistics,
            now=lambda: 0,
        )

    def publish(self, *answer):
        self.published.put(answer)

    def forget(self, camera):
        self.forgotten.append(camera)

    def put(self, stamp, camera="/left"):
        image = to_image(np.zeros((48, 64, 3), np.uint8), stamp, camera[1:])
        self.worker.receive(camera, serialize_message(image))

    def answer(self):
        """Wait for an answer; return its result and frame_id."""
        result, frame_id, image = self.published.get(timeout=60)
        assert image.shape == (48, 64, 3)
        return result, frame_id

    def wait_for_errors(self, number):
        while len(self.log.errors) < number:
            assert self.published.empty()
            time.sleep(0.01)

    def counts(self):
        return self.statistics.report(0)[0]


@pytest.fixture
def desk(pipeline, log):
    desk = Desk(pipeline, log)
    yield desk
    desk.worker.stop()


def test_an_image_is_answered_with_its_stamp_and_frame_id(desk):
    desk.worker.start()
    desk.put(7)

    result, frame_id = desk.answer()

    assert (result.camera, result.stamp, frame_id) == ("/left", 7, "left")


def test_only_the_newest_image_of_a_camera_is_answered_and_the_others_are_dropped(desk):
    for stamp in (1, 2, 3):
        desk.put(stamp)
    desk.worker.start()

    assert desk.answer()[0].stamp == 3
    desk.worker.stop()
    counts = desk.counts()
    assert (counts["received"], counts["dropped"], counts["processed"]) == (3, 2, 1)


def test_all_cameras_go_through_the_pipeline_in_one_batch(desk, pipeline, monkeypatch):
    batches, process = [], pipeline.process

    def spy(frames):
        batches.append([frame.camera for frame in frames])
        return process(frames)

    monkeypatch.setattr(pipeline, "process", spy)
    desk.put(1, "/left")
    desk.put(1, "/right")
    desk.worker.start()

    assert {desk.answer()[1], desk.answer()[1]} == {"left", "right"}
    assert batches == [["/left", "/right"]]


def test_a_detector_that_fails_once_costs_one_image(desk, pipeline, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(pipeline.detector, "detect", lambda image, region: 1 / 0)
        desk.put(1)
        desk.worker.start()
        desk.wait_for_errors(1)

    desk.put(2)

    assert desk.answer()[0].stamp == 2
    assert desk.log.errors == ["/left: ZeroDivisionError: division by zero"]
    assert desk.counts()["errors: processing"] == 1


def test_an_answer_that_cannot_be_published_costs_no_other_camera_its_own(desk, monkeypatch):
    put = desk.published.put
    fail_left = lambda answer: 1 / 0 if answer[1] == "left" else put(answer)  # noqa: E731
    monkeypatch.setattr(desk.published, "put", fail_left)
    desk.put(1, "/left")
    desk.put(1, "/right")
    desk.worker.start()

    assert desk.answer()[1] == "right"
    desk.worker.stop()
    counts = desk.counts()
    assert (counts["processed"], counts["errors"]) == (1, 1)


def test_bytes_that_are_no_message_cost_one_image(desk):
    desk.worker.receive("/left", b"\0\1\0\0short")
    desk.worker.receive("/right", b"")
    desk.worker.start()
    desk.wait_for_errors(2)

    desk.put(2)

    assert desk.answer()[0].stamp == 2
    assert desk.counts()["errors"] == 2


def test_a_stopped_worker_starts_again_and_has_forgotten_its_stamps(desk):
    for _ in range(2):
        desk.worker.start()
        assert desk.worker.alive
        desk.put(5)
        assert desk.answer()[0].stamp == 5
        desk.worker.stop()
        assert not desk.worker.started

    assert desk.counts()["errors"] == 0


def balance(counts):
    return counts["processed"] + counts["dropped"] + counts["errors"]


def test_every_image_is_answered_dropped_or_refused_also_at_the_end(desk):
    for stamp in range(1, 200):
        desk.put(stamp, "/left")
        desk.put(0, "/right")  # a stamp of 0 is refused
        if stamp == 5:
            desk.worker.start()
    while not desk.log.errors:
        time.sleep(0.01)
    desk.worker.stop()

    counts = desk.counts()
    assert counts["received"] == 398
    assert balance(counts) == 398
    assert counts["errors"] > 0
    assert counts["dropped"] > 0


def test_images_that_wait_when_the_worker_stops_are_dropped(desk, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    read = desk.worker._read

    def slow(serialized):
        begun.set()
        go_on.wait(60)
        return read(serialized)

    monkeypatch.setattr(desk.worker, "_read", slow)
    desk.worker.start()
    desk.put(1)
    assert begun.wait(60)
    desk.put(2)
    stopping = threading.Thread(target=desk.worker.stop)
    mailbox = desk.worker._mailbox
    stopping.start()
    while not mailbox._closed:
        time.sleep(0.01)
    go_on.set()
    stopping.join()

    counts = desk.counts()
    assert (counts["received"], counts["processed"], counts["dropped"]) == (2, 1, 1)


def test_a_reset_does_not_wait_for_a_decode(desk, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def endless(serialized):
        begun.set()
        go_on.wait(60)
        raise ValueError("no image")

    monkeypatch.setattr(desk.worker, "_read", endless)
    desk.worker.start()
    desk.put(1)
    assert begun.wait(60)

    resetting = threading.Thread(target=desk.worker.reset)
    resetting.start()
    resetting.join(30)
    waits = resetting.is_alive()
    go_on.set()

    assert not waits


def test_persons_are_forgotten_with_a_reset_and_with_a_camera_that_falls_silent(desk, monkeypatch):
    desk.worker.start()
    desk.put(1)
    desk.answer()
    desk.worker.reset()
    assert desk.forgotten == ["/left"]

    monkeypatch.setattr(worker, "SILENCE", 0.0)
    desk.put(2)
    desk.answer()
    while len(desk.forgotten) < 2:
        time.sleep(0.01)
    assert desk.forgotten == ["/left", "/left"]
    assert desk.counts()["persons"] == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_not_called_alive(desk, monkeypatch):
    monkeypatch.setattr(desk.worker._mailbox, "take", lambda timeout: 1 / 0)
    desk.worker.start()
    desk.worker._thread.join()

    assert desk.worker.started
    assert not desk.worker.alive


@pytest.mark.parametrize(("hours", "side"), [(1, "behind"), (-1, "ahead")])
def test_a_stamp_an_hour_off_is_no_latency(desk, monkeypatch, hours, side):
    stamp = 10_000 * SECOND
    monkeypatch.setattr(desk.worker, "_now", lambda: stamp + hours * 3600 * SECOND)
    desk.put(stamp)
    desk.worker.start()
    desk.answer()
    desk.worker.stop()

    counts = desk.counts()
    assert counts[f"warnings: stamp {side}"] == 1
    assert counts["latency p50 (ms)"] == "nan"
    assert f"3600 s {side}" in desk.log.warnings[0]
