# SPDX-License-Identifier: Apache-2.0
"""The worker with the real pipeline, without a graph."""

import queue
import time

import numpy as np
import pytest
from rclpy.serialization import serialize_message

from caer_ros.node_settings import NodeSettings
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.ros.conversions import to_image
from caer_ros.ros.diagnostics import Statistics
from caer_ros.ros.worker import Worker, seconds
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
        self.worker = Worker(
            pipeline,
            compressed=False,
            publish=lambda *answer: self.published.put(answer),
            statistics=self.statistics,
            now=lambda: 1000 * SECOND,
        )

    def put(self, stamp, camera="/left"):
        image = to_image(np.zeros((48, 64, 3), np.uint8), stamp, camera[1:])
        self.worker.put(camera, serialize_message(image))

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
        broken.setattr(pipeline.detector, "detect", lambda image: 1 / 0)
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
    desk.worker.put("/left", b"\0\1\0\0short")
    desk.worker.put("/right", b"")
    desk.worker.start()
    desk.wait_for_errors(2)

    desk.put(2)

    assert desk.answer()[0].stamp == 2
    assert desk.counts()["errors"] == 2


def test_a_stopped_worker_starts_again_and_has_forgotten_its_stamps(desk):
    for _ in range(2):
        desk.worker.start()
        assert desk.worker.running
        desk.put(5)
        assert desk.answer()[0].stamp == 5
        desk.worker.stop()
        assert not desk.worker.running

    assert desk.counts()["errors"] == 0


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.000000000"), (1_500_000_001, "1.500000001"), (-1, "-0.000000001")],
)
def test_seconds_are_written_to_the_nanosecond(nanoseconds, text):
    assert seconds(nanoseconds) == text
